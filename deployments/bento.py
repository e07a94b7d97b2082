"""A registered version becomes a Bento: its model, its requirements and a service that a person can read."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from toolkit.artifacts.digest import file_digest
from toolkit.deployments.bento_parts import Allowed, Parts, parts_of
from toolkit.deployments.bento_store import BENTOS, MODELS, BentoStore, bentoml_home
from toolkit.deployments.bento_tag import BentoTag
from toolkit.deployments.carried_source import PACKAGE
from toolkit.deployments.serving.template import service_code
from toolkit.errors import BuildFailed, ToolkitError
from toolkit.models.input_example import InputExample
from toolkit.models.metadata import ModelMetadata
from toolkit.settings import environment, load

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from toolkit.deployments.config import ServiceConfig
    from toolkit.recording.stores import Stores
    from toolkit.registry.catalog import Catalog
    from toolkit.settings import Settings

DESCRIPTION = "model.json"
"""What the service of a Bento knows of its model; it lies beside ``service.py``."""

_LONGEST = 600.0  # seconds that BentoML has
_IN_IMAGE = {"BENTOML_HOST": "0.0.0.0", "BENTOML_DO_NOT_TRACK": "True"}  # noqa: S104 - in a container nobody else could ask


@dataclass(frozen=True, kw_only=True, slots=True)
class BuiltBento:
    """A Bento in BentoML's store.

    Attributes:
        tag: ``wine-quality:3``.
        digest: SHA-256 of all that it was built from, in hexadecimal: the same inputs give the same.
        path: Its folder in BentoML's store.
        model: The registered model's name.
        version: Its number.
        run_id: The run that made the model, where that is known.
        model_path: The model's folder (with its ``MLmodel``) in BentoML's store.
        made: Whether it was built now; False: it was there already.
    """

    tag: str
    digest: str
    path: Path
    model: str
    version: int
    run_id: str | None
    model_path: Path
    made: bool


def build(
    uri: str,
    stores: Stores,
    catalog: Catalog,
    config: ServiceConfig,
    *,
    home: Path | None = None,
    allowed: Allowed | None = None,
    replaces: bool = False,
    report: Callable[[str], None] = lambda _: None,
) -> BuiltBento:
    """Build the Bento of a registered version, or find the one that was built from the same.

    It is called after the model, with the version's number as its tag. Where that tag is taken by a Bento that was
    built otherwise (of another configuration, by another toolkit, of another registry), which may be serving, the new
    one gets a tag of its own, ``wine-quality:3-1f2e3d4c``.

    Args:
        uri: ``models:/wine/3``, ``models:/wine@champion``, ``models:/wine/Production``.
        stores: Where runs and artifacts are.
        catalog: Where models are.
        config: How it is to serve.
        home: Where BentoML's store is; default: where BentoML looks for it.
        allowed: What of the model may run code; default: what the settings say of models that the store has recorded.
        replaces: Whether it takes the plain tag, whoever has it.
        report: Told what is done.

    Raises:
        InvalidValue: It is no registered version, or one that cannot be served.
        NotFound: There is no such version.
        ArtifactCorrupt: A file of it is not what was recorded.
        BuildFailed: BentoML could not do it; its store is as it was.
    """
    store = BentoStore(home or bentoml_home(environment()))
    parts = parts_of(uri, stores, catalog, config, allowed or said_in(load()))
    plain = BentoTag.of(parts.version.name, parts.version.version)
    tags = [plain] if replaces else [plain, plain.variant(parts.digest)]
    with store.workshop(plain.name) as workshop:
        for tag in tags:
            labels = store.labels(BENTOS, tag)
            if labels is not None and labels.get("digest") == parts.digest:
                found = _built(parts, store, tag, _model_tag(parts, store, plain), made=False)
                if (found.model_path / "MLmodel").is_file():
                    return found
                break
            if labels is None or replaces:
                break
        taken = "" if tag == plain else f", for {plain} is there, built otherwise (--replace takes its tag)"
        report(f"building {tag}{taken}")
        return _make(parts, store, tag, _model_tag(parts, store, plain), workshop)


def said_in(settings: Settings, *, everything: bool = False) -> Allowed:
    """Return what settings say of what may run code.

    Args:
        settings: The settings.
        everything: Whether the user said of this model that it may.
    """
    types = frozenset(each.strip() for each in (settings.trusted_types or "").split(",") if each.strip())
    return Allowed(everything=everything, pickles=settings.allow_pickle_deserialization, types=types)


def _model_tag(parts: Parts, store: BentoStore, plain: BentoTag) -> BentoTag:
    """Return what the model is called in BentoML's store: other files never stand under a tag that is taken."""
    labels = store.labels(MODELS, plain)
    return plain if labels is None or labels.get("digest") == parts.model_digest else plain.variant(parts.model_digest)


def _built(parts: Parts, store: BentoStore, tag: BentoTag, model_tag: BentoTag, *, made: bool) -> BuiltBento:
    return BuiltBento(
        tag=str(tag),
        digest=parts.digest,
        path=store.path(BENTOS, tag),
        model=parts.version.name,
        version=parts.version.version,
        run_id=parts.version.run_id,
        model_path=store.path(MODELS, model_tag),
        made=made,
    )


# -- how it is made ----------------------------------------------------------------------------------


def _make(parts: Parts, store: BentoStore, tag: BentoTag, model_tag: BentoTag, workshop: Path) -> BuiltBento:
    """Make a Bento and its model in an empty store of BentoML's, and move them over."""
    for name in ("home", "temporary", "model", "source"):
        (workshop / name).mkdir()
    made = BentoStore(workshop / "home")
    there = store.labels(MODELS, model_tag) is not None  # it may be serving, and is not touched
    if there:
        made.show(MODELS, model_tag, store.path(MODELS, model_tag))
    else:
        _copy_model(parts, workshop / "model")
    for path, text in _source(parts, model_tag).items():
        file = workshop / "source" / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")
    _run_bentoml({**_order(parts, tag, model_tag, workshop), "model_is_there": there}, workshop)
    if not there:
        store.put(MODELS, model_tag, made.path(MODELS, model_tag))
    store.put(BENTOS, tag, made.path(BENTOS, tag))
    return _built(parts, store, tag, model_tag, made=True)


def _copy_model(parts: Parts, folder: Path) -> None:
    """Copy the files of a model that were read, as they were read.

    Raises:
        BuildFailed: One has changed since.
    """
    for path, digest in parts.files.items():
        copy = folder / path
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(parts.folder / path, copy)
        if file_digest(copy) != digest:
            raise BuildFailed(f"the model's {path} was changed while it was copied: build it again")


def _source(parts: Parts, model_tag: BentoTag) -> dict[str, str]:
    """Return the files of a Bento's source: the service, what it knows of its model, and what of ours it needs."""
    model = ModelMetadata.read(parts.folder)
    code = service_code(
        str(model_tag),
        parts.config,
        model.signature,
        example=_example(parts.folder, model),
        raw=bool(model.extra.get("is_signature_from_type_hint")),
        base_image="" if parts.requirements.from_source else f"python:{parts.requirements.python}-slim",
    )
    said = {
        "model": parts.version.name,
        "version": parts.version.version,
        "run_id": parts.version.run_id,
        "digest": parts.digest,
        "model_tag": str(model_tag),
        "config": parts.config.to_dict(),
        "trusted": parts.trusted,
        "trusted_types": parts.types,
        "built_with": _our_version(),
    }
    return {
        **parts.source,
        "service.py": code,
        DESCRIPTION: json.dumps(said, indent=2, sort_keys=True) + "\n",
    }


def _order(parts: Parts, tag: BentoTag, model_tag: BentoTag, workshop: Path) -> dict[str, Any]:
    labels = {
        "model": parts.version.name,
        "version": str(parts.version.version),
        "run_id": parts.version.run_id or "",
        "built_by": f"{PACKAGE} {_our_version()}",
    }
    bentofile = {
        "service": "service",
        "name": tag.name,
        "description": _readme(parts, tag),
        "labels": {**labels, "digest": parts.digest},
        "models": [str(model_tag)],
        "envs": [{"name": name, "value": value} for name, value in _IN_IMAGE.items()],
        "python": {"packages": list(parts.requirements.lines), "lock_packages": False, "pack_git_packages": False},
        "docker": {"python_version": parts.requirements.python},
    }
    file = workshop / "bentofile.yaml"
    file.write_text(yaml.safe_dump(bentofile, sort_keys=False, allow_unicode=True), encoding="utf-8")
    return {
        "model_tag": str(model_tag),
        "model": str(workshop / "model"),
        "model_labels": {**labels, "digest": parts.model_digest},
        "name": tag.name,
        "version": tag.version,
        "source": str(workshop / "source"),
        "bentofile": str(file),
    }


def _readme(parts: Parts, tag: BentoTag) -> str:
    version = parts.version
    return "\n".join(
        [
            f"# {tag}",
            "",
            f"Version {version.version} of the registered model {version.name!r}"
            + (f", made by run {version.run_id}." if version.run_id else "."),
            "",
            "`POST /predict` takes rows by the names of their columns, `POST /invocations` MLflow's scoring protocol.",
            "",
            f"    bentoml serve {tag}",
            f"    bentoml containerize {tag}",
            "",
        ]
    )


def _run_bentoml(order: Mapping[str, Any], workshop: Path) -> None:
    """Let a process of its own do what BentoML is needed for.

    Raises:
        BuildFailed: It could not.
    """
    command = [sys.executable, "-P", str(Path(__file__).with_name("bento_process.py"))]
    variables = environment(
        BENTOML_HOME=str(workshop / "home"),
        TMPDIR=str(workshop / "temporary"),
        BENTOML_DO_NOT_TRACK="True",
        PYTHONDONTWRITEBYTECODE="1",
    )
    try:
        done = subprocess.run(
            command,
            input=json.dumps(order),
            env=variables,
            cwd=workshop,
            capture_output=True,
            text=True,
            timeout=_LONGEST,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise BuildFailed(
            f"BentoML took longer than {_LONGEST:g} s to build {order['name']}:{order['version']}"
        ) from None
    if done.returncode:
        said = [line for line in done.stderr.strip().splitlines() if line.strip()]
        raise BuildFailed(
            f"BentoML could not build {order['name']}:{order['version']}: {said[-1] if said else done.returncode}"
        )


def _our_version() -> str:
    return str(sys.modules[PACKAGE].__version__)


def _example(folder: Path, model: ModelMetadata) -> Mapping[str, Any]:
    """Return the first row of a model's example by column; nothing where it is not of rows and columns."""
    try:
        body = json.loads(InputExample.load_request(folder, model) or "{}")
        table = body["dataframe_split"]
        return dict(zip(table["columns"], table["data"][0], strict=True))
    except (ToolkitError, ValueError, KeyError, IndexError, TypeError):  # it is shown, and nothing depends on it
        return {}
