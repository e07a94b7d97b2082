"""Names that a package hands out though they live in a layer above it.

MLflow has ``mlflow.artifacts.download_artifacts`` and ``mlflow.tracking.MlflowClient``; here the packages of these
names are at the bottom, and know nothing of scripts. The root, which is loaded before any of them, says where such a
name lives; the package asks for it when somebody uses it. So no import points upward.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

Load = Callable[[str, str], Any]

_homes: Mapping[str, Mapping[str, str]] = {}
_load: Load | None = None


def hand_out(homes: Mapping[str, Mapping[str, str]], load: Load) -> None:
    """Say which names packages hand out.

    Args:
        homes: Of each package its names, and of each name the module that it lives in.
        load: Gives a module's object by name.
    """
    global _homes, _load
    _homes, _load = homes, load


def handed_out(package: str, name: str) -> Any:  # noqa: ANN401 - a function or a class of above
    """Return what a package hands out under a name.

    Raises:
        AttributeError: Nothing.
    """
    home = _homes.get(package, {}).get(name)
    if home is None or _load is None:
        raise AttributeError(f"module {package!r} has no attribute {name!r}")
    return _load(home, name)
