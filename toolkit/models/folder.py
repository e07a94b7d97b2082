"""A model's folder: written from a model, and read into something that predicts."""

from __future__ import annotations

import platform
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from toolkit.errors import AlreadyExists
from toolkit.models.flavor import Flavor, LoadContext, Predictor, SaveRequest
from toolkit.models.lookup import flavor_named, flavor_of, flavor_with_loader
from toolkit.models.metadata import ModelMetadata
from toolkit.models.requirements import pinned, write_environment
from toolkit.models.trust import Trust

if TYPE_CHECKING:
    from toolkit.models.signature import Signature

PYFUNC = "python_function"


class LoadedModel:
    """A model that predicts in one way, whatever library it is of."""

    def __init__(self, predictor: Predictor, metadata: ModelMetadata) -> None:
        self._predictor = predictor
        self._metadata = metadata

    @property
    def metadata(self) -> ModelMetadata:
        """What its MLmodel says."""
        return self._metadata

    @property
    def native(self) -> object:
        """The model as its library knows it."""
        return self._predictor.native

    def predict(self, data: Any, params: Mapping[str, Any] | None = None) -> Any:  # noqa: ANN401 - what the model takes
        """Return what the model says of data.

        Args:
            data: What its signature wants; without one, what the model wants.
            params: What else the signature names, such as a temperature.

        Raises:
            InvalidValue: The data do not fit the signature.
        """
        return self._predictor.predict(data, params)

    def unwrap_python_model(self) -> object:
        """Return the object that was saved: of a class of `PythonModel`, or the library's."""
        return self._predictor.native


def save_model(
    model: object,
    path: Path,
    *,
    flavor: str | None = None,
    signature: Signature | None = None,
    input_example: object = None,
    pip_requirements: Sequence[str] | str | None = None,
    extra_pip_requirements: Sequence[str] | str | None = None,
    conda_env: Mapping[str, Any] | str | None = None,
    code_paths: Sequence[str | Path] | None = None,
    metadata: Mapping[str, Any] | None = None,
    extra_files: Sequence[str | Path] | None = None,
    options: Mapping[str, object] = {},
) -> ModelMetadata:
    """Save a model into a folder.

    Raises:
        AlreadyExists: The folder has something in it.
        InvalidValue: The model or an argument cannot be used.
    """
    if path.exists() and (not path.is_dir() or any(path.iterdir())):
        raise AlreadyExists(f"{path} is there already and not an empty folder")
    kind = flavor_named(flavor) if flavor else flavor_of(model)
    path.mkdir(parents=True, exist_ok=True)
    try:
        return _save(model, path, kind, SaveRequest(signature=signature, options=options), metadata)
    except BaseException:
        shutil.rmtree(path, ignore_errors=True)
        raise


def _save(
    model: object, path: Path, kind: Flavor, request: SaveRequest, metadata: Mapping[str, Any] | None
) -> ModelMetadata:
    saved = kind.save(model, path, request)
    flavors: dict[str, Mapping[str, Any]] = {}
    if saved.pyfunc is not None:
        flavors[PYFUNC] = {
            "env": {"conda": "conda.yaml", "virtualenv": "python_env.yaml"},
            "loader_module": kind.loader_module,
            "python_version": platform.python_version(),
            **saved.pyfunc,
        }
    if kind.name != PYFUNC:
        flavors[kind.name] = {"code": None, **saved.block}
    write_environment(path, pinned(saved.requirements))
    size = sum(file.stat().st_size for file in path.rglob("*") if file.is_file())
    result = ModelMetadata(flavors=flavors, signature=request.signature, metadata=metadata)
    result = replace(result, model_size_bytes=size)
    result.write(path)
    return result


def load_model(path: Path, *, trust: Trust | None = None, config: Mapping[str, Any] | None = None) -> LoadedModel:
    """Load a model so that it predicts.

    Raises:
        NotFound: The folder has no MLmodel, or the model has no flavor ``python_function``.
        UntrustedModel: It would run code that is not trusted.
        InvalidValue: What it takes is not installed, or the files cannot be used.
    """
    metadata = ModelMetadata.read(path)
    block = metadata.flavor(PYFUNC)
    loader = str(block.get("loader_module"))
    flavor = flavor_with_loader(loader)
    assert flavor is not None, loader
    context = LoadContext(trust=trust or Trust(), config={**(block.get("config") or {}), **(config or {})})
    return LoadedModel(flavor.predictor(path, metadata, context), metadata)


def load_native(path: Path, flavor: str, *, trust: Trust | None = None) -> Any:  # noqa: ANN401 - the library's class
    """Load a model as its library knows it; raises what `load_model` does."""
    block = ModelMetadata.read(path).flavor(flavor)
    return flavor_named(flavor).load(path, block, LoadContext(trust=trust or Trust()))
