"""Flavors: how the models of one library are kept in a folder and got out of it again."""

from __future__ import annotations

import importlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

from toolkit.artifacts.key import is_key
from toolkit.errors import InvalidValue, NotFound
from toolkit.models.trust import Trust

if TYPE_CHECKING:
    from toolkit.models.metadata import ModelMetadata
    from toolkit.models.signature import Signature


@dataclass(frozen=True, kw_only=True, slots=True)
class SaveRequest:
    """How a model is to be saved.

    Attributes:
        signature: What it takes and gives, where that is known.
        input_example: Data that it takes, as the user gave them, where there are any.
        options: The flavor's own arguments; it refuses those that it does not know.
        code_paths: Files and folders of code that it needs; they are copied by whoever calls the flavor.
    """

    signature: Signature | None = None
    input_example: object = None
    options: Mapping[str, object] = field(default_factory=dict)
    code_paths: Sequence[Path] = ()

    def read(self, **defaults: object) -> dict[str, Any]:
        """Return the options, with the defaults of those that were not given.

        Raises:
            InvalidValue: One was given that is none.
        """
        for name in self.options:
            if name not in defaults:
                known = ", ".join(defaults) or "none"
                raise InvalidValue(f"this kind of model is saved without an argument {name!r}: there are {known}")
        return {**defaults, **self.options}


@dataclass(frozen=True, kw_only=True, slots=True)
class SavedFlavor:
    """What a flavor has saved.

    Attributes:
        block: Its keys in the MLmodel; ``code`` is added by whoever called it.
        pyfunc: Keys of ``python_function`` beside ``env``, ``python_version`` and ``code``; ``None``: it has no such
            flavor, for it cannot predict.
        requirements: Names of the distributions that it takes to load the model, without versions.
    """

    block: Mapping[str, Any]
    pyfunc: Mapping[str, Any] | None = None
    requirements: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class LoadContext:
    """How a model is to be loaded.

    Attributes:
        trust: What may run code.
        config: What is given to the model as ``model_config``.
    """

    trust: Trust = field(default_factory=Trust)
    config: Mapping[str, Any] = field(default_factory=dict)


@runtime_checkable
class Predictor(Protocol):
    """A loaded model that predicts in the uniform way."""

    @property
    def native(self) -> object:
        """The model as its library knows it."""
        ...

    def predict(self, data: Any, params: Mapping[str, Any] | None = None) -> Any:  # noqa: ANN401 - what the model takes
        """Return what the model says of data, which fit its signature already."""
        ...


class Flavor(Protocol):
    """How the models of one library are kept.

    A module of a flavor imports its library inside of the functions that need it, so that to ask a flavor costs
    nothing. It is found by an entry point of the group ``toolkit.flavors`` that names an instance of its class.
    """

    @property
    def name(self) -> str:
        """Its key in the MLmodel, such as ``sklearn``."""
        ...

    @property
    def package(self) -> str:
        """What pip installs for it, such as ``scikit-learn``."""
        ...

    @property
    def modules(self) -> tuple[str, ...]:
        """Top-level modules whose objects it takes, such as ``sklearn``."""
        ...

    @property
    def loader_module(self) -> str:
        """What ``python_function`` names as its loader, such as ``mlflow.sklearn``."""
        ...

    def takes(self, model: object) -> bool:
        """Tell whether it can save a model, by the modules of the model's classes: the library is not imported."""
        ...

    def save(self, model: Any, folder: Path, request: SaveRequest) -> SavedFlavor:  # noqa: ANN401 - the library's class
        """Write a model's data into a folder that is there.

        Raises:
            InvalidValue: The model or an option cannot be used.
        """
        ...

    def load(self, folder: Path, block: Mapping[str, Any], context: LoadContext) -> Any:  # noqa: ANN401 - the same
        """Return the native object.

        Args:
            folder: The model's.
            block: Its keys in the MLmodel.
            context: How to load it.

        Raises:
            UntrustedModel: It would run code that is not trusted.
            InvalidValue: What it takes is not installed, or the files cannot be used.
        """
        ...

    def predictor(self, folder: Path, metadata: ModelMetadata, context: LoadContext) -> Predictor:
        """Return something that predicts with the model; raises what `load` does."""
        ...


def class_modules(model: object) -> tuple[str, ...]:
    """Return the top-level modules of a model's class and of its bases, nearest first."""
    return tuple(dict.fromkeys(each.__module__.partition(".")[0] for each in type(model).__mro__))


def imported(module: str, package: str, extra: str | None = None) -> ModuleType:
    """Import a library that a flavor needs.

    Args:
        module: What to import.
        package: What pip installs for it.
        extra: Of toolkit, that brings it in a version that fits, where there is one.

    Raises:
        InvalidValue: It is not installed.
    """
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        if error.name is None or error.name.partition(".")[0] != module.partition(".")[0]:
            raise
        install = f"'toolkit[{extra}]', or pip install {package}" if extra else package
        raise InvalidValue(
            f"this kind of model needs {package}, which is not installed: pip install {install}"
        ) from None


def part_of(folder: Path, name: object) -> Path:
    """Return the path of a file or folder that an MLmodel names.

    Raises:
        InvalidValue: The name leads out of the model's folder.
        NotFound: There is no such file.
    """
    text = str(name).removeprefix("./").rstrip("/")
    if not isinstance(name, str) or not is_key(text):
        raise InvalidValue(f"the MLmodel of {folder} names {name!r}: wanted a path inside of the model's folder")
    path = folder / text
    if not path.exists():
        raise NotFound(f"the model in {folder} has no {text!r}, which its MLmodel names")
    return path
