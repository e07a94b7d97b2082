"""Pickles of models, which go both ways between us and MLflow though neither has the other's classes.

Where a pickle of ours needs one of our classes it names MLflow's of the same kind, by a function of the standard
library that both have; and where one of MLflow's names its own, ours is taken.
"""

from __future__ import annotations

import dis
import importlib
import importlib.util
import io
import pickle
import pkgutil
import sys
from dataclasses import dataclass
from types import BuiltinFunctionType, CodeType, FunctionType, ModuleType
from typing import Any, NamedTuple

import cloudpickle

from toolkit.errors import InvalidValue
from toolkit.models.python_model import FunctionModel, PythonModel, PythonModelContext

_HOME = "mlflow.pyfunc.model"
_OURS: dict[str, Any] = {
    "PythonModel": PythonModel,
    "PythonModelContext": PythonModelContext,
    "_FunctionPythonModel": FunctionModel,
}
_THEIRS = {ours: f"{_HOME}:{name}" for name, ours in _OURS.items()}


@dataclass(frozen=True, kw_only=True, slots=True)
class Pickled:
    """A model as a pickle.

    Attributes:
        content: The pickle.
        modules: Top-level modules of what is in it, and of what functions in it import.
    """

    content: bytes
    modules: frozenset[str]


class _Pickler(cloudpickle.Pickler):  # type: ignore[misc]  # it has no types
    def __init__(self, file: io.BytesIO) -> None:
        super().__init__(file, protocol=pickle.DEFAULT_PROTOCOL)
        self.modules: set[str] = set()

    def reducer_override(self, obj: Any) -> Any:  # noqa: ANN401 - the form of this method
        if isinstance(obj, type) and obj in _THEIRS:
            return pkgutil.resolve_name, (_THEIRS[obj],)
        self.modules.update(_modules_of(obj))
        return super().reducer_override(obj)


class _PlainPickler(pickle.Pickler):
    def __init__(self, file: io.BytesIO) -> None:
        super().__init__(file, protocol=pickle.DEFAULT_PROTOCOL)
        self.modules: set[str] = set()

    def reducer_override(self, obj: Any) -> Any:  # noqa: ANN401 - the form of this method
        self.modules.update(_modules_of(obj))
        return NotImplemented


class _Unpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:  # noqa: ANN401 - the form of this method
        if module == _HOME and name in _OURS:
            return _OURS[name]
        if (module, name) == ("pkgutil", "resolve_name"):
            return _resolve
        if (module, name) == ("cloudpickle.cloudpickle", "subimport"):
            return _subimport
        if module == _CHECKS and name in _CHECK_NAMES:
            return _CHECK_NAMES[name]
        if (ours := _stand_in(module)) != module:
            return _stand_in_for(ours, module, name)
        return super().find_class(module, name)


def dumps(model: object) -> bytes:
    """Return a model as a pickle; functions and classes of scripts are in it whole.

    Raises:
        InvalidValue: Something in it cannot be pickled.
    """
    return pickled(model).content


def pickled(model: object, *, plain: bool = False) -> Pickled:
    """Return a model as a pickle, and what it takes to load it.

    Args:
        model: The model.
        plain: Write what Python's own pickle does, which takes no functions and classes of scripts.

    Raises:
        InvalidValue: Something in it cannot be pickled.
    """
    file = io.BytesIO()
    pickler: _Pickler | _PlainPickler = _PlainPickler(file) if plain else _Pickler(file)
    try:
        pickler.dump(model)
    except (pickle.PicklingError, TypeError, AttributeError, RecursionError) as error:
        raise InvalidValue(
            f"a {type(model).__qualname__} cannot be pickled ({error}): keep what is open, such as files, out of the "
            "model and open it in load_context, or save a Python file that makes the model"
        ) from error
    return Pickled(content=file.getvalue(), modules=frozenset(pickler.modules))


def loads(content: bytes, what: str) -> Any:  # noqa: ANN401 - whatever was pickled
    """Return what a pickle holds. It can run any code: whoever calls this has asked whether it is trusted.

    Args:
        content: The pickle.
        what: Which file it is, for messages.

    Raises:
        InvalidValue: It cannot be loaded.
    """
    try:
        return _Unpickler(io.BytesIO(content)).load()
    except ModuleNotFoundError as error:
        raise InvalidValue(
            f"{what} needs the module {error.name!r}, which is not here: install what the model's requirements.txt "
            "says; save modules of your own along with the model by code_paths"
        ) from error
    except (pickle.UnpicklingError, AttributeError, EOFError, ImportError, IndexError, TypeError, ValueError) as error:
        raise InvalidValue(
            f"{what} cannot be unpickled ({type(error).__name__}: {error}): its requirements.txt says what it was made "
            "with"
        ) from error


def _modules_of(obj: object) -> set[str]:
    """Return the top-level modules that an object which is pickled takes."""
    if isinstance(obj, ModuleType):
        return {obj.__name__.partition(".")[0]}
    named = obj if isinstance(obj, type | FunctionType | BuiltinFunctionType) else type(obj)
    if named in _THEIRS:
        return set()
    whole = "<locals>" in named.__qualname__  # such things are in the pickle themselves, not by the name of a module
    found = {str(named.__module__).partition(".")[0]} if named.__module__ and not whole else set()
    return found | _imports(obj.__code__) if isinstance(obj, FunctionType) else found


def _imports(code: CodeType) -> set[str]:
    """Return the top-level modules that a function imports when it runs."""
    found = {str(each.argval).partition(".")[0] for each in dis.get_instructions(code) if each.opname == "IMPORT_NAME"}
    for inner in code.co_consts:
        if isinstance(inner, CodeType):
            found |= _imports(inner)
    return found - {""}


def _resolve(name: str) -> Any:  # noqa: ANN401 - whatever the name is
    module, _, rest = name.partition(":")
    return _OURS[rest] if module == _HOME and rest in _OURS else pkgutil.resolve_name(name)


def _subimport(name: str) -> ModuleType:
    """Import a module that a pickled function uses."""
    return importlib.import_module(_stand_in(name))


def has_mlflow() -> bool:
    """Tell whether MLflow is installed; a folder of that name, which is a package to Python, is not it."""
    if "mlflow" in sys.modules:
        return True
    spec = importlib.util.find_spec("mlflow")
    return spec is not None and spec.origin is not None


def _stand_in(module: str) -> str:
    """Return the name of our module for one of MLflow's, where that is not installed."""
    if module.partition(".")[0] == "mlflow" and not has_mlflow():
        return "toolkit" + module.removeprefix("mlflow")
    return module


def _stand_in_for(ours: str, module: str, name: str) -> Any:  # noqa: ANN401 - whatever the name is
    """Return what we have under the name of something of MLflow's; else an empty class, which holds what it is given.

    Pickles of MLflow's classes have private records of its in them, which nobody asks for here.
    """
    try:
        return pkgutil.resolve_name(f"{ours}:{name}")
    except (ImportError, AttributeError):
        return type(name, (), {"__module__": module})


# -- MLflow's check of a model's input against its type hints, which a pickle of a class of its holds ---

_CHECKS = "mlflow.pyfunc.utils.data_validation"


class _FuncInfo(NamedTuple):
    input_type_hint: Any
    input_param_name: str


def _validate(args: tuple[Any, ...], kwargs: dict[str, Any], index: int, hint: Any, name: str) -> tuple[Any, Any]:  # noqa: ANN401 - arguments of any function
    """Return the arguments with the input as the type hint wants it.

    Raises:
        InvalidValue: It does not fit.
    """
    from pydantic import TypeAdapter, ValidationError  # noqa: PLC0415 - for models of MLflow's that have type hints

    try:
        if name in kwargs:
            return args, {**kwargs, name: TypeAdapter(hint).validate_python(kwargs[name])}
        value = TypeAdapter(hint).validate_python(args[index])
    except ValidationError as error:
        first = error.errors()[0]
        place = "".join(f"[{each}]" for each in first["loc"])
        raise InvalidValue(
            f"the input does not fit {hint}: {place} is {first['input']!r:.100}: {first['msg']}"
        ) from None
    return (*args[:index], value, *args[index + 1 :]), kwargs


_CHECK_NAMES = {"FuncInfo": _FuncInfo, "_validate_model_input": _validate}
