"""Models that are a Python file: it is run when the model is loaded, and says which object the model is.

Files that were written for MLflow say ``mlflow.models.set_model(model)``; where MLflow is not installed, modules of
ours stand in for it while such a file runs.
"""

from __future__ import annotations

import importlib
import importlib.util
import sys
import threading
import types
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from toolkit.errors import InvalidValue, NotFound
from toolkit.models.pickles import has_mlflow

_STAND_INS = {
    "mlflow": "toolkit",
    "mlflow.pyfunc": "toolkit.pyfunc",
    "mlflow.pyfunc.model": "toolkit.pyfunc",
    "mlflow.models": "toolkit.models",
    "mlflow.models.model": "toolkit.models",
    "mlflow.models.signature": "toolkit.models",
    "mlflow.exceptions": "toolkit.exceptions",
}

_lock = threading.Lock()


@dataclass(kw_only=True, slots=True)
class _Running:
    """What a file that is run says, and what it is told."""

    config: Mapping[str, Any] | None
    model: object = None


_running: ContextVar[_Running | None] = ContextVar("toolkit_code_model", default=None)


def set_model(model: object) -> None:
    """Say which object is the model, in a file that makes one. Outside of loading a model it does nothing."""
    running = _running.get()
    if running is not None:
        running.model = model


class ModelConfig:
    """What a model that is a file was configured with.

    Args:
        development_config: Values, or a YAML file of them, for when the file is run by itself.

    Raises:
        NotFound: The model was saved without ``model_config``, or there is no such file.
    """

    def __init__(self, *, development_config: str | Path | Mapping[str, Any] | None = None) -> None:
        running = _running.get()
        given: str | Path | Mapping[str, Any] | None = development_config
        if running is not None and (running.config or not given):
            given = running.config
        if not given:
            raise NotFound("this model reads a ModelConfig and has none: give model_config when it is saved or loaded")
        self._values = dict(given) if isinstance(given, Mapping) else _yaml(Path(given))

    def get(self, key: str) -> Any:  # noqa: ANN401 - whatever was configured
        """Return a value.

        Raises:
            KeyError: There is none of this name.
        """
        return self._values[key]

    def to_dict(self) -> dict[str, Any]:
        """Return all values."""
        return dict(self._values)


def run_file(path: Path, config: Mapping[str, Any] | None) -> object:
    """Run a file and return the object that it says is the model. Whoever calls this has asked whether it is trusted.

    Raises:
        InvalidValue: It fails, or names no model.
    """
    running = _Running(config=config)
    name = f"toolkit_code_model_{uuid.uuid4().hex}"
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None:
        raise InvalidValue(f"{path} is no Python file")
    module = importlib.util.module_from_spec(spec)
    token = _running.set(running)
    sys.modules[name] = module  # where dataclasses and pickle look for the classes that it defines
    try:
        with _stand_ins():
            # by no loader of Python's: it would take bytecode that lies beside the file, or leave some there
            exec(compile(path.read_bytes(), str(path), "exec"), module.__dict__)  # noqa: S102 - what this is for
    except Exception as error:  # a file of the user's, which may raise anything
        del sys.modules[name]
        raise InvalidValue(f"the model's file {path} failed: {type(error).__name__}: {error}") from error
    finally:
        _running.reset(token)
    model = running.model
    if model is None and "mlflow" in sys.modules:
        model = _said_to_mlflow()
    if model is None:
        raise InvalidValue(f"{path} names no model: it has to call toolkit.models.set_model(model)")
    return model


class _StandIn(types.ModuleType):
    """A module of MLflow's whose names are those of one of ours; it is no package, so that nothing else is in it."""

    def __init__(self, name: str, ours: str) -> None:
        super().__init__(name)
        self._ours = ours

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - whatever the name is
        if name.startswith("__"):
            raise AttributeError(name)
        return getattr(importlib.import_module(self._ours), name)


@contextmanager
def _stand_ins() -> Iterator[None]:
    """Let modules of ours stand in for MLflow's, unless it is installed."""
    if has_mlflow():
        yield
        return
    with _lock:
        sys.modules.update({theirs: _StandIn(theirs, ours) for theirs, ours in _STAND_INS.items()})
        try:
            yield
        finally:
            for theirs in _STAND_INS:
                sys.modules.pop(theirs, None)


def _said_to_mlflow() -> object:
    """Return what a file told MLflow that is installed beside us."""
    return getattr(sys.modules.get("mlflow.models.model"), "__mlflow_model__", None)


def _yaml(path: Path) -> dict[str, Any]:
    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise NotFound(f"there is no file {path} to configure the model with") from None
    except yaml.YAMLError as error:
        raise InvalidValue(f"{path} is no YAML: {' '.join(str(error).split())}") from None
    if not isinstance(values, dict):
        raise InvalidValue(f"{path} holds no keys and values")
    return values
