"""Which flavors there are, and which one a model is of. A flavor's module is imported when it is wanted.

What is built in stands in a table beside its entry points, so that no metadata of installed packages is read for it;
flavors of other packages are asked after it.
"""

from __future__ import annotations

import importlib
from importlib.metadata import EntryPoint, entry_points
from typing import cast

from toolkit.errors import InvalidValue
from toolkit.models.flavor import Flavor, class_modules

GROUP = "toolkit.flavors"

BUILT_IN = {
    "python_function": ("toolkit", "mlflow"),
    "sklearn": ("sklearn",),
    "xgboost": ("xgboost",),
    "lightgbm": ("lightgbm",),
    "catboost": ("catboost",),
    "pytorch": ("torch", "lightning", "pytorch_lightning"),
    "tensorflow": ("tensorflow",),
    "keras": ("keras",),
    "onnx": ("onnx",),
    "statsmodels": ("statsmodels",),
    "spark": ("pyspark",),
    "transformers": ("transformers",),
}
"""Top-level modules whose objects a flavor takes, by the flavor's name."""

_LOADERS = {
    "mlflow.pyfunc.model": "python_function",
    "mlflow.pyfunc.loaders.code_model": "python_function",
    **{f"mlflow.{name}": name for name in BUILT_IN if name != "python_function"},
}


def names() -> list[str]:
    """Return the names of all flavors, those of other packages too."""
    return sorted({*BUILT_IN, *_others()})


def flavor_named(name: str) -> Flavor:
    """Return a flavor.

    Raises:
        InvalidValue: There is none of this name.
    """
    if name in BUILT_IN:
        return cast(Flavor, importlib.import_module(f"toolkit.models.flavors.{name}").FLAVOR)
    others = _others()
    if name not in others:
        raise InvalidValue(f"there is no flavor {name!r}: there are {', '.join(names())}")
    return cast(Flavor, others[name].load())


def flavor_of(model: object) -> Flavor:
    """Return the flavor that saves a model: that of the nearest class of the model's that one takes.

    Raises:
        InvalidValue: None does.
    """
    if (name := library_flavor_of(model)) is not None:
        return flavor_named(name)
    for name in _others():
        if (flavor := flavor_named(name)).takes(model):
            return flavor
    own = flavor_named("python_function")
    if own.takes(model) or callable(model):
        return own
    raise InvalidValue(
        f"no flavor saves a {type(model).__module__}.{type(model).__qualname__}: there are {', '.join(names())}; wrap "
        "it in a class of toolkit.pyfunc.PythonModel"
    )


def library_flavor_of(model: object) -> str | None:
    """Return the name of the flavor of a model of a library that is built in, or of a class of `PythonModel`."""
    for module in class_modules(model):
        for name, modules in BUILT_IN.items():
            if module in modules and flavor_named(name).takes(model):
                return name
    return None


def flavor_with_loader(loader_module: str) -> Flavor | None:
    """Return the flavor that a ``loader_module`` of an MLmodel means; ``None``: a foreign one."""
    if loader_module in _LOADERS:
        return flavor_named(_LOADERS[loader_module])
    return next((each for name in _others() if (each := flavor_named(name)).loader_module == loader_module), None)


def _others() -> dict[str, EntryPoint]:
    """Return the flavors of other packages."""
    return {each.name: each for each in entry_points(group=GROUP) if each.name not in BUILT_IN}
