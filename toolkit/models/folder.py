"""A model's folder: written from a model, and read into something that predicts."""

from __future__ import annotations

import logging
import platform
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from toolkit.errors import AlreadyExists, InvalidValue, NotFound, ToolkitError
from toolkit.models.flavor import Flavor, SavedFlavor, SaveRequest
from toolkit.models.infer import infer_signature
from toolkit.models.input_example import InputExample
from toolkit.models.loading import PYFUNC, LoadedModel, load_model, load_native, opened
from toolkit.models.lookup import flavor_named, flavor_of
from toolkit.models.metadata import ModelMetadata
from toolkit.models.own_code import copy_code
from toolkit.models.requirements import CONDA, PYTHON_ENV, distributions, environment, write_environment
from toolkit.models.signature import Signature
from toolkit.models.trust import Trust

__all__ = ["LoadedModel", "load_model", "load_native", "save_model"]

logger = logging.getLogger(__name__)

EXTRA_FILES = "extra_files"


def save_model(
    model: object,
    path: Path,
    *,
    flavor: str | None = None,
    signature: Signature | bool | None = None,
    input_example: object = None,
    pip_requirements: Sequence[str] | str | Path | None = None,
    extra_pip_requirements: Sequence[str] | str | Path | None = None,
    conda_env: Mapping[str, Any] | str | Path | None = None,
    code_paths: Sequence[str | Path] | None = None,
    metadata: Mapping[str, Any] | None = None,
    extra_files: Sequence[str | Path] | None = None,
    options: Mapping[str, object] | None = None,
) -> ModelMetadata:
    """Save a model into a folder, whole or not at all.

    Args:
        model: The model.
        path: The folder, which is empty or not there.
        flavor: Its flavor; default: that of its class.
        signature: What it takes and gives; ``False``: nothing is said; default: what the example shows.
        input_example: Data that it takes, or a pair of data and parameters.
        pip_requirements: What it needs, instead of what is found.
        extra_pip_requirements: What it needs besides.
        conda_env: A conda environment instead of both.
        code_paths: Files and folders of code that it needs; they are copied.
        metadata: What else is to be said of it.
        extra_files: Files that are kept with it, in ``extra_files/``.
        options: The flavor's own arguments.

    Returns:
        What the MLmodel says.

    Raises:
        AlreadyExists: The folder has something in it.
        InvalidValue: The model or an argument cannot be used.
        NotFound: There is no such file.
    """
    if path.exists() and (not path.is_dir() or any(path.iterdir())):
        raise AlreadyExists(f"{path} is there already, and is no empty folder: name another one to save the model into")
    kind = flavor_named(flavor) if flavor else flavor_of(model)
    wanted = _Wanted(
        signature=signature,
        example=input_example,
        code_paths=[Path(each) for each in _listed(code_paths, "code_paths")],
        extra_files=[Path(each) for each in _listed(extra_files, EXTRA_FILES)],
        metadata=metadata,
        options=dict(options or {}),
    )
    was_there = path.exists()
    path.mkdir(parents=True, exist_ok=True)
    environments = {
        "pip_requirements": pip_requirements,
        "extra_pip_requirements": extra_pip_requirements,
        "conda_env": conda_env,
    }
    try:
        return _save(model, path, kind, wanted, environments)
    except BaseException:
        shutil.rmtree(path, ignore_errors=True)
        if was_there:
            path.mkdir(exist_ok=True)
        raise


@dataclass(frozen=True, kw_only=True, slots=True)
class _Wanted:
    """What is to be saved beside the model's data; see `save_model`."""

    signature: Signature | bool | None
    example: object
    code_paths: Sequence[Path]
    extra_files: Sequence[Path]
    metadata: Mapping[str, Any] | None
    options: Mapping[str, object]


def _save(model: object, path: Path, kind: Flavor, wanted: _Wanted, environments: Mapping[str, Any]) -> ModelMetadata:
    given = wanted.signature if isinstance(wanted.signature, Signature) else None
    info = InputExample.save(path, wanted.example) if wanted.example is not None else None
    infers = wanted.signature is None and wanted.example is not None
    request = SaveRequest(
        signature=_of_example(wanted.example) if infers else given,
        input_example=wanted.example,
        options=wanted.options,
        code_paths=wanted.code_paths,
    )
    saved = kind.save(model, path, request)
    code = copy_code(wanted.code_paths, path)
    extra = _copy_extra(wanted.extra_files, path)
    found = saved.requirements
    if wanted.code_paths:
        found = (*found, *distributions((), [path / str(code)]))
    result = ModelMetadata(
        flavors=_flavors(kind, saved, code, extra),
        signature=given,
        saved_input_example_info=info,
        metadata=dict(wanted.metadata) if wanted.metadata is not None else None,
    )
    if wanted.example is not None and saved.pyfunc is not None:
        result = _tried(result, path, wanted.example, infers=infers)
    takes = None if result.signature is None else result.signature.inputs
    if takes is not None and not takes.is_tensor_spec():
        found = (*found, "pandas")  # columns are held against them as a frame
    write_environment(path, environment(found, **environments))
    result = replace(result, model_size_bytes=sum(file.stat().st_size for file in path.rglob("*") if file.is_file()))
    result.write(path)
    return result


def _listed(paths: Sequence[str | Path] | None, name: str) -> Sequence[str | Path]:
    if isinstance(paths, str | Path):
        raise InvalidValue(f"{name} is {str(paths)!r}: wanted a list of paths")
    return paths or ()


def _flavors(
    kind: Flavor, saved: SavedFlavor, code: str | None, extra: Sequence[Mapping[str, str]]
) -> dict[str, Mapping[str, Any]]:
    """Return the keys of all flavors that a model has."""
    flavors: dict[str, Mapping[str, Any]] = {}
    if saved.pyfunc is not None:
        flavors[PYFUNC] = {
            "code": code,
            "env": {"conda": CONDA, "virtualenv": PYTHON_ENV},
            "loader_module": kind.loader_module,
            "python_version": platform.python_version(),
            **saved.pyfunc,
        }
        if code is None:
            del flavors[PYFUNC]["code"]  # type: ignore[attr-defined]  # the dict of above
    if kind.name != PYFUNC:
        flavors[kind.name] = {"code": code, **saved.block, **({EXTRA_FILES: list(extra)} if extra else {})}
    return flavors


def _copy_extra(paths: Sequence[Path], folder: Path) -> list[dict[str, str]]:
    """Copy files that are to be kept with a model.

    Raises:
        NotFound: One is not there.
        InvalidValue: Two have one name.
    """
    kept: list[dict[str, str]] = []
    for path in paths:
        target = folder / EXTRA_FILES / path.name
        if not path.is_file():
            raise NotFound(f"extra_files names {path}, which is no file here")
        if target.exists():
            raise InvalidValue(f"extra_files names two files called {path.name!r}: wanted one of each name")
        target.parent.mkdir(exist_ok=True)
        shutil.copyfile(path, target)
        kept.append({"path": f"{EXTRA_FILES}/{path.name}"})
    return kept


# -- the example -------------------------------------------------------------------------------------


def _of_example(example: object) -> Signature | None:
    """Return what an example shows of a model's input; ``None``, with a warning, if that has no name."""
    given = InputExample.of(example)
    try:
        return infer_signature(given.data, None, given.params)
    except ToolkitError as error:
        logger.warning("the model has no signature: %s", error)
        return None


def _tried(metadata: ModelMetadata, folder: Path, example: object, *, infers: bool) -> ModelMetadata:
    """Return the same with the signature that the example shows, after the saved model has predicted with it once.

    What fails is told and no more: a model may need more than there is here.
    """
    given = InputExample.of(example)
    try:
        result = opened(folder, metadata, Trust.all(), {}).predict(given.data, given.params)
        if infers:
            return replace(metadata, signature=infer_signature(given.data, result, given.params))
    except Exception as error:  # noqa: BLE001 - a model of the user's, which is saved already
        logger.warning("the model does not predict with its example: %s: %s", type(error).__name__, error)
        if infers:
            return replace(metadata, signature=_of_example(example))
    return metadata
