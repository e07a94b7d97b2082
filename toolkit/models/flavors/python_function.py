"""``python_function``: a class or a function of the user's, or a Python file that makes one, and files it needs."""

from __future__ import annotations

import bz2
import gzip
import lzma
import os
import shutil
from collections.abc import Mapping
from importlib import metadata
from pathlib import Path
from typing import Any

from toolkit.artifacts.key import is_key
from toolkit.errors import InvalidValue, NotFound
from toolkit.models.code_model import run_file
from toolkit.models.flavor import LoadContext, SavedFlavor, SaveRequest, class_modules, part_of
from toolkit.models.metadata import ModelMetadata
from toolkit.models.pickles import loads, pickled
from toolkit.models.python_model import PythonModel, PythonModelContext, PythonPredictor, as_python_model
from toolkit.models.requirements import distributions, imports

DATA = "python_model.pkl"
ARTIFACTS = "artifacts"
CODE_LOADER = "mlflow.pyfunc.loaders.code_model"
_OPEN = {"lzma": (".xz", lzma), "bzip2": (".bz2", bz2), "gzip": (".gz", gzip)}


class PythonFunctionFlavor:
    """Models of the user's own."""

    name = "python_function"
    package = "cloudpickle"
    modules = ("toolkit", "mlflow")
    loader_module = "mlflow.pyfunc.model"

    def takes(self, model: object) -> bool:
        """Tell whether a model is of a class of `PythonModel`, ours or MLflow's, or names a Python file."""
        if isinstance(model, str | os.PathLike):
            return os.fspath(model).endswith(".py")
        return isinstance(model, PythonModel) or ("mlflow" in class_modules(model) and hasattr(model, "load_context"))

    def save(self, model: Any, folder: Path, request: SaveRequest) -> SavedFlavor:  # noqa: ANN401 - a class of the user's
        """Write the model.

        Options are ``artifacts``, files and folders that it needs, by name; ``model_config``, which it finds in its
        context; ``compression`` of its pickle, ``lzma``, ``bzip2`` or ``gzip``; ``streamable``. Without a model:
        ``loader_module``, a module with a function ``_load_pyfunc(path)``, and ``data_path``, what that is given.

        Raises:
            InvalidValue: The model or an option cannot be used.
            NotFound: There is no such file.
        """
        options = request.read(
            artifacts=None, model_config=None, streamable=None, compression=None, loader_module=None, data_path=None
        )
        if options["loader_module"] is not None:
            return _with_loader(str(options["loader_module"]), options["data_path"], folder)
        if isinstance(model, str | os.PathLike):
            pyfunc, python_model = _copy_file(Path(model), folder, options["model_config"])
            needed = distributions(imports(Path(model)) - {"mlflow"})
        else:
            python_model = as_python_model(model)
            pyfunc, modules = _write_pickle(python_model, folder, options["compression"])
            needed = distributions(modules)
        if options["artifacts"]:
            pyfunc[ARTIFACTS] = _copy_artifacts(options["artifacts"], folder)
        if options["model_config"]:
            pyfunc["config"] = dict(options["model_config"])
        streams = options["streamable"]
        if streams is None:
            own = getattr(type(python_model), "predict_stream", PythonModel.predict_stream)
            streams = own is not PythonModel.predict_stream
        return SavedFlavor(
            block={}, pyfunc={**pyfunc, "streamable": bool(streams)}, requirements=("cloudpickle", *needed)
        )

    def load(self, folder: Path, block: Mapping[str, Any], context: LoadContext) -> Any:  # noqa: ANN401 - the same
        """Return the model, ready to predict.

        Raises:
            UntrustedModel: It is not trusted.
            InvalidValue: It cannot be loaded.
        """
        return self._predictor(folder, block, context).native

    def predictor(self, folder: Path, metadata: ModelMetadata, context: LoadContext) -> PythonPredictor:
        """Return what calls the model with its context."""
        return self._predictor(folder, metadata.flavor(self.name), context)

    def _predictor(self, folder: Path, block: Mapping[str, Any], context: LoadContext) -> PythonPredictor:
        config = {**(block.get("config") or {}), **context.config}
        if "model_code_path" in block:
            path = part_of(folder, str(block["model_code_path"]).replace("\\", "/").rpartition("/")[2])
            context.trust.require(path, "a Python file that is run")
            model = as_python_model(run_file(path, config))
        else:
            path = part_of(folder, block.get("python_model"))
            context.trust.require(path, "a pickle")
            model = loads(_read(path, block.get("python_model_compression")), str(path))
        artifacts = {
            name: str(part_of(folder, each.get("path"))) for name, each in (block.get(ARTIFACTS) or {}).items()
        }
        surroundings = PythonModelContext(artifacts, config)
        model.load_context(surroundings)
        return PythonPredictor(model, surroundings)


def _with_loader(loader: str, data: object, folder: Path) -> SavedFlavor:
    """Return a model that a module of the user's loads from data of its own."""
    pyfunc: dict[str, Any] = {"loader_module": loader}
    if data is not None:
        source = Path(str(data))
        if not source.exists():
            raise NotFound(f"data_path names {source}, which is not there")
        pyfunc["data"] = "data"
        target = folder / "data"
        if source.is_dir():
            shutil.copytree(source, target)
        else:
            target.mkdir()
            shutil.copyfile(source, target / source.name)
            pyfunc["data"] = f"data/{source.name}"
    return SavedFlavor(block={}, pyfunc=pyfunc, requirements=distributions([loader]))


def _copy_file(path: Path, folder: Path, config: Mapping[str, Any] | None) -> tuple[dict[str, Any], object]:
    """Copy a Python file, after it has been run once to see that it makes a model."""
    if not path.is_file():
        raise NotFound(f"there is no file {path} to make a model of")
    model = as_python_model(run_file(path, config))
    shutil.copyfile(path, folder / path.name)
    return {"loader_module": CODE_LOADER, "model_code_path": str(path)}, model


def _write_pickle(model: object, folder: Path, compression: str | None) -> tuple[dict[str, Any], frozenset[str]]:
    """Write a model's pickle; return the keys that say so, and the modules that it takes."""
    made = pickled(model)
    content = made.content
    block: dict[str, Any] = {"cloudpickle_version": metadata.version("cloudpickle"), "python_model": DATA}
    if compression is not None:
        suffix, library = _compression(compression)
        block |= {"python_model": DATA + suffix, "python_model_compression": compression}
        content = library.compress(content)
    (folder / block["python_model"]).write_bytes(content)
    return block, made.modules


def _read(path: Path, compression: str | None) -> bytes:
    content = path.read_bytes()
    if compression is None:
        return content
    try:
        unpacked: bytes = _compression(compression)[1].decompress(content)
    except (OSError, EOFError, lzma.LZMAError) as error:
        raise InvalidValue(f"{path} is not {compression}: {error}") from None
    return unpacked


def _compression(name: str) -> tuple[str, Any]:
    if name not in _OPEN:
        raise InvalidValue(f"there is no compression {name!r}: wanted one of {', '.join(_OPEN)}")
    return _OPEN[name]


def _copy_artifacts(artifacts: Mapping[str, Any], folder: Path) -> dict[str, dict[str, str]]:
    """Copy files that a model needs, each under its name of the model's if two are called alike.

    Raises:
        InvalidValue: They are not given by name.
        NotFound: One is not there.
    """
    if not isinstance(artifacts, Mapping):
        raise InvalidValue(f"artifacts is {artifacts!r:.100}: wanted paths by name, such as {{'vocabulary': 'v.txt'}}")
    saved: dict[str, dict[str, str]] = {}
    taken: set[str] = set()
    for name, given in artifacts.items():
        source = Path(given)
        if not source.exists():
            raise NotFound(f"artifacts names {given} as {name!r}, which is not there")
        place = source.name if source.name not in taken else f"{name}/{source.name}"
        if not is_key(place) or place in taken:
            raise InvalidValue(f"artifacts has the name {name!r}: wanted one that can be a folder's")
        taken.add(place)
        target = folder / ARTIFACTS / place
        target.parent.mkdir(parents=True, exist_ok=True)
        if source.is_dir():
            shutil.copytree(source, target)
        else:
            shutil.copyfile(source, target)
        saved[name] = {"path": f"{ARTIFACTS}/{place}", "uri": str(given)}
    return saved


FLAVOR = PythonFunctionFlavor()
