"""skops, imported in a tenth of the time, where nothing depends on what it takes to be harmless."""

from __future__ import annotations

import contextlib
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from importlib.machinery import ModuleSpec
    from pathlib import Path

    from toolkit.models.trust import Trust

_UTILS, _TRUSTED = "skops.io._utils", "skops.io._trusted_types"


@contextlib.contextmanager
def quick_skops(folder: Path, trust: Trust) -> Iterator[None]:
    """Keep skops from making its lists of harmless types, if it is first imported in this context.

    For the names of all estimators it imports every module of scikit-learn, and pytest with them; for those of NumPy's
    functions it looks through all modules of the process, for each of them: 2 s of a service's start, and 30 MB. A
    service trusts a file by its digest or not at all, so that the lists are for nothing; without them skops trusts
    less, never more.

    Args:
        folder: The model's.
        trust: What of it may run code: only where it has such files, and all of them may, anything is done.
    """
    files = list(folder.rglob("*.skops"))
    if _TRUSTED in sys.modules or not files or not all(trust.allows(file) for file in files):
        yield
        return
    import sklearn.utils  # noqa: PLC0415 - for models that are kept so, which are of it

    found, watcher = sklearn.utils.all_estimators, _NoFunctions()
    sklearn.utils.all_estimators = list
    sys.meta_path.insert(0, watcher)
    try:
        yield
    finally:
        sys.meta_path.remove(watcher)
        sklearn.utils.all_estimators = found


class _NoFunctions:
    """Is asked for each module to be imported, and finds none; right before the lists it hides the functions."""

    def find_spec(self, name: str, path: object = None, target: object = None) -> ModuleSpec | None:  # noqa: ARG002
        utils = sys.modules.get(_UTILS)
        if name == _TRUSTED and hasattr(utils, "get_public_type_names"):
            utils.get_public_type_names = _none  # type: ignore[union-attr]
        return None


def _none(*_: object, **__: object) -> list[str]:
    return []
