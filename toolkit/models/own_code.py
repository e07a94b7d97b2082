"""Code of the user's that a model needs: copied beside it, and found again when it is loaded."""

from __future__ import annotations

import atexit
import importlib
import shutil
import sys
import tempfile
import threading
from collections.abc import Sequence
from pathlib import Path

from toolkit.errors import InvalidValue, NotFound
from toolkit.models.flavor import part_of
from toolkit.models.trust import Trust

FOLDER = "code"

_lock = threading.Lock()
_used: list[str] = []
_SKIPPED = shutil.ignore_patterns("__pycache__", "*.pyc", ".git", ".venv")


def copy_code(paths: Sequence[Path], folder: Path) -> str | None:
    """Copy files and folders of code beside a model.

    Returns:
        Where they are in the model's folder; ``None`` if there are none.

    Raises:
        NotFound: There is nothing at one of the paths.
        InvalidValue: Two have one name, or the model would be copied into itself.
    """
    if not paths:
        return None
    target = folder / FOLDER
    target.mkdir(exist_ok=True)
    for path in paths:
        source = path.absolute()
        if not source.exists():
            raise NotFound(f"code_paths names {path}, which is not there")
        if (target / source.name).exists():
            raise InvalidValue(f"code_paths names two things called {source.name!r}: wanted one of each name")
        if folder.resolve().is_relative_to(source.resolve()):
            raise InvalidValue(
                f"code_paths names {path}, and the model is saved inside of it: name a folder of code only"
            )
        if source.is_dir():
            shutil.copytree(source, target / source.name, ignore=_SKIPPED)
        else:
            shutil.copy2(source, target / source.name)
    return FOLDER


def use_code(folder: Path, name: str, trust: Trust) -> None:
    """Let modules that were saved with a model be imported.

    They are copied first: Python writes bytecode beside what it imports, and reads it there, and that is no place for
    it. They are in front of others of the same name. Modules of a model that was loaded before give way, so that two
    versions of a model in one process have each its own code; what that model has imported already it keeps.

    Args:
        folder: The model's.
        name: Where they are in it.
        trust: What may run.

    Raises:
        UntrustedModel: They are not trusted.
    """
    path = part_of(folder, name)
    trust.require(path, "code that was saved with a model")
    temporary = Path(tempfile.mkdtemp(prefix="toolkit-code-")).resolve()
    atexit.register(shutil.rmtree, temporary, ignore_errors=True)
    own = str(shutil.copytree(path, temporary / FOLDER))
    with _lock:
        while _used:
            _forget(_used.pop())
        sys.path.insert(0, own)
        _used.append(own)
    importlib.invalidate_caches()


def _forget(folder: str) -> None:
    """Take modules that came from a folder out of the table of those that are loaded."""
    if folder in sys.path:
        sys.path.remove(folder)
    for name, module in list(sys.modules.items()):
        file = getattr(module, "__file__", None)
        if isinstance(file, str) and Path(file).is_relative_to(folder):
            del sys.modules[name]
