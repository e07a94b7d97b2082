"""Where the files of a version come from: what a client may name, and where that is.

A place is compared as text with those of the run or the logged model that it must be of; nothing is opened here. The
rules and the texts are MLflow 3.17's.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import NoReturn
from urllib.parse import unquote, unquote_plus, urlsplit

from toolkit.errors import InvalidValue, NotFound, ToolkitError
from toolkit.registry.catalog import Catalog
from toolkit.registry.names import IS_PROMPT, ModelUri
from toolkit.registry.records import ModelVersion, Stage
from toolkit.registry.store import RegistryStore
from toolkit.tracking.logged_models import LoggedModel
from toolkit.tracking.store import RunStore

_ROUTE = ("api", "2.0", "mlflow-artifacts", "artifacts")
_DRIVE = re.compile(r"[a-zA-Z]")


@dataclass(frozen=True, kw_only=True, slots=True)
class Resolved:
    """A source that may be registered.

    Attributes:
        source: What is kept of it.
        location: Where the files are.
        run_id: The run that made them.
        model_id: The logged model that they are.
    """

    source: str
    location: str
    run_id: str | None
    model_id: str | None


class Sources:
    """Resolves the sources of versions.

    Args:
        catalog: The models that they may name.
        runs: The runs that they may name.
        told: How clients are told where artifacts are.
    """

    def __init__(self, catalog: Catalog, runs: RunStore, told: Callable[[str], str]) -> None:
        self._catalog = catalog
        self._runs = runs
        self._told = told

    def resolve(self, source: str, run_id: str | None, model_id: str | None) -> Resolved:
        """Return what is to be registered.

        Args:
            source: As the client says.
            run_id: The run that made it, if the client says so.
            model_id: The logged model that it is, if the client says so.

        Raises:
            InvalidValue: The source is no clean place, or lies elsewhere than in what the client names.
        """
        try:
            return self._resolve(source, run_id, model_id)
        except ToolkitError:
            raise
        except ValueError:  # urllib's, of what is no URI
            raise InvalidValue(f"Invalid model version source: '{source}'. Wanted a URI.") from None

    def check_location(self, location: str, root: str, run_id: str | None, model_id: str | None) -> None:
        """Check where a client says that the files of a version are.

        Args:
            location: Where, as it is stored.
            root: Where this server keeps artifacts.
            run_id: The run that made them, if the client says so.
            model_id: The logged model that they are, if the client says so.

        Raises:
            InvalidValue: It is no clean place, or one on this machine that is not below the root, nor of the run or the
                model.
        """
        try:
            scheme = urlsplit(location).scheme.lower()
        except ValueError:
            raise InvalidValue(f"Invalid model version source: '{location}'. Wanted a URI.") from None
        if not _is_local(scheme):
            _check_clean(location)
        elif below(location, root) is None:
            roots = [self._run_root(run_id, location)]
            roots += [self._model(model_id, location).artifact_uri] if model_id is not None else []
            if all(self._within(location, each) is None for each in roots):
                self._refuse_place(location, scheme, "run_id")

    def _resolve(self, source: str, run_id: str | None, model_id: str | None) -> Resolved:
        scheme = urlsplit(source).scheme.lower()
        if not _is_local(scheme):
            _check_clean(source)
        if scheme == "models":
            return self._of_uri(source, run_id, model_id)
        if model_id is not None:
            return self._of_model(source, scheme, run_id, model_id)
        location = source
        if scheme == "runs":
            named = urlsplit(source)
            if named.netloc or not run_id or named.path.strip("/").partition("/")[0] != run_id:
                _refuse(source, "run_id")
            self._run_root(run_id, source)
        elif _is_local(scheme) or _is_proxied(source):
            within = self._within(source, self._run_root(run_id, source))
            if within is None:
                self._refuse_place(source, scheme, "run_id")
            location = within
        return Resolved(source=source, location=location, run_id=run_id, model_id=None)

    def _run_root(self, run_id: str | None, source: str) -> str | None:
        if run_id is None:
            return None
        try:
            return self._runs.get_run(run_id).info.artifact_uri
        except NotFound as error:
            _refuse(source, "run_id", f" {error}")

    def _model(self, model_id: str, source: str) -> LoggedModel:
        try:
            return self._catalog.logged.get_model(model_id)
        except NotFound as error:
            _refuse(source, "model_id", f" {error}")

    def _of_model(self, source: str, scheme: str, run_id: str | None, model_id: str) -> Resolved:
        """Resolve the files of a logged model."""
        model = self._model(model_id, source)
        location = source
        if scheme == "runs":
            _refuse(source, "model_id")
        if _is_local(scheme) or _is_proxied(source):
            within = self._within(source, model.artifact_uri)
            if within is None:
                self._refuse_place(source, scheme, "model_id")
            location = within
        return Resolved(source=source, location=location, run_id=run_id or model.source_run_id, model_id=model_id)

    def _of_uri(self, source: str, run_id: str | None, model_id: str | None) -> Resolved:
        """Resolve a URI ``models:/…``: a logged model, or another version, whose files are the same."""
        try:
            uri = ModelUri.read(source)
        except InvalidValue:
            _refuse(source, "model_id")
        if uri.model_id is not None:
            if model_id not in (None, uri.model_id):
                _refuse(source, "model_id")
            model = self._model(uri.model_id, source)
            return Resolved(
                source=source,
                location=model.artifact_uri,
                run_id=run_id or model.source_run_id,
                model_id=uri.model_id,
            )
        version = version_of(self._catalog.registered, uri)
        if self._catalog.registered.get_model(version.name).tags.get(IS_PROMPT, "").lower() == "true":
            raise InvalidValue(
                f"Invalid model version source: '{source}'. Prompt versions cannot be used as model version sources."
            )
        if run_id not in (None, version.run_id) or model_id not in (None, version.model_id):
            raise InvalidValue(
                f"Invalid model version source: '{source}'. The run_id and model_id request parameters must match the "
                "referenced model version."
            )
        return Resolved(
            source=f"models:/{version.name}/{version.version}",
            location=version.location,
            run_id=version.run_id,
            model_id=version.model_id,
        )

    def _within(self, source: str, root: str | None) -> str | None:
        """Return where a source below a root is; ``None`` if it is not there."""
        if root is None:
            return None
        for shown in dict.fromkeys((root, self._told(root))):
            rest = below(source, shown)
            if rest is not None:
                return "/".join((root.rstrip("/"), *rest))
        return None

    def _refuse_place(self, source: str, scheme: str, named: str) -> NoReturn:
        if not _is_local(scheme):
            _refuse(source, named)
        raise InvalidValue(
            f"Invalid model version source: '{source}'. To use a local path as a model version source, the {named} "
            "request parameter has to be specified and the local path has to be contained within the artifact "
            f"directory of the run specified by the {named}."
        )


def version_of(registry: RegistryStore, uri: ModelUri) -> ModelVersion:
    """Return the version that a URI names by its number, its alias or its stage.

    Raises:
        InvalidValue: The model has no version of this alias or stage.
        NotFound: There is no such model or version.
    """
    name = uri.name or ""
    if uri.version is not None:
        return registry.get_version(name, uri.version)
    if uri.alias is not None:
        return registry.find_alias(name, uri.alias)
    stage = uri.stage or ""
    found = registry.latest_versions(name, [] if stage.lower() == "latest" else [Stage.read(stage)])
    if not found:
        raise InvalidValue(f"No versions of model with name '{name}' and stage '{stage}' found")
    return max(found, key=lambda version: version.version)


def _refuse(source: str, named: str, why: str = "") -> NoReturn:
    raise InvalidValue(
        f"Invalid model version source: '{source}'. The {named} request parameter must identify the resource that "
        f"contains the source.{why}"
    )


def _is_local(scheme: str) -> bool:
    return scheme in ("", "file") or _DRIVE.fullmatch(scheme) is not None


def _is_proxied(source: str) -> bool:
    """Tell whether a source is at a server's proxy of artifacts."""
    scheme, _, parts = _parts(source)
    if scheme == "mlflow-artifacts":
        return True
    routes = (parts[start : start + len(_ROUTE)] for start in range(len(parts)))
    return scheme in ("http", "https") and _ROUTE in routes


def _parts(uri: str) -> tuple[str, str, tuple[str, ...]]:
    """Return the scheme, the host and the parts of the path of a URI; a plain path is one of a file."""
    split = urlsplit(uri)
    scheme = split.scheme.lower() or "file"
    path = uri if not split.scheme else split.path
    quoted = scheme != "file" or bool(split.scheme)
    return scheme, split.netloc.lower(), tuple(_unquoted(part) if quoted else part for part in path.split("/") if part)


def _unquoted(text: str) -> str:
    while (shorter := unquote(text)) != text:
        text = shorter
    return text


def below(source: str, root: str) -> tuple[str, ...] | None:
    """Return the path of a source below a root; ``None`` if it is elsewhere, or no clean path."""
    (scheme, host, parts), (root_scheme, root_host, root_parts) = _parts(source), _parts(root)
    if (scheme, host) != (root_scheme, root_host) or not root_parts or parts[: len(root_parts)] != root_parts:
        return None
    rest = parts[len(root_parts) :]
    return None if any(part in (".", "..") or "\x00" in part or "/" in part for part in rest) else rest


def _check_clean(source: str) -> None:
    """Refuse a place that leads out of itself, however it is written.

    Raises:
        InvalidValue: It does.
    """
    text = source
    while (shorter := unquote_plus(text)) != text:
        text = shorter
    path = re.sub(r"/+", "/", urlsplit(text).path.rstrip("/"))
    clean = path == "" or (path.startswith("/") and posixpath.normpath(path) == path)
    if "\x00" in text or ".." in text.split("/") or not clean:
        raise InvalidValue(
            f"Invalid model version source: '{source}'. If supplying a source as an http, https, local file path, ftp, "
            "objectstore, or mlflow-artifacts uri, an absolute path must be provided without relative path references "
            "present. Please provide an absolute path."
        )
