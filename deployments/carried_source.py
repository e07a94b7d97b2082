"""The part of toolkit that goes into a Bento: what loads a model and serves it, and nothing of what trains or records.

A Bento has no toolkit among its requirements: an image of it would hold Prefect, a server and a database's drivers. It
carries the modules that the service imports instead, found by reading their imports.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator, Mapping
from functools import lru_cache
from pathlib import Path

PACKAGE = "toolkit"

_SERVING = f"{PACKAGE}.deployments.serving"
_FLAVORS = f"{PACKAGE}.models.flavors"

_READ_LATER = ("numpy", "orjson", "pandas", "pyarrow")
"""What reads the bodies of requests, imported when the first of a kind comes: JSON, CSV, Parquet."""

_PYFUNC = '''"""Models that predict in one way: what of it a served model can need."""

from __future__ import annotations

from toolkit.models.loading import LoadedModel
from toolkit.models.python_model import PythonModel, PythonModelContext

__all__ = ["LoadedModel", "PyFuncModel", "PythonModel", "PythonModelContext"]

PyFuncModel = LoadedModel
'''


def carried_source() -> Mapping[str, str]:
    """Return the files that a Bento carries, by their paths in it; sorted."""
    files = {_path(name, file): file.read_text(encoding="utf-8") for name, file in carried_modules().items()}
    files[f"{PACKAGE}/pyfunc.py"] = _PYFUNC  # code of models imports it; ours can also log, by way of everything
    return dict(sorted(files.items()))


@lru_cache(maxsize=1)
def carried_modules() -> Mapping[str, Path]:
    """Return the modules that the service imports, at whatever time, by name."""
    found: dict[str, Path] = {}
    waiting = [PACKAGE, f"{PACKAGE}.models.python_model", *_below(_SERVING), *_below(_FLAVORS)]
    while waiting:
        name = waiting.pop()
        file = None if name in found else _file(name)
        if file is None:
            continue
        found[name] = file
        waiting.append(name.rpartition(".")[0])
        if name != PACKAGE:  # the root hands out everything, when it is asked for it
            waiting += [each for each in _imports(file) if each.partition(".")[0] == PACKAGE]
    return dict(sorted(found.items()))


@lru_cache(maxsize=1)
def needed_modules() -> frozenset[str]:
    """Return the top-level modules of others that the service cannot do without."""
    flavors = f"{_FLAVORS}."  # what a flavor needs is among its model's requirements
    names = set(_READ_LATER)
    for name, file in carried_modules().items():
        if name != PACKAGE and not name.startswith(flavors):
            names.update(each.partition(".")[0] for each in _imports(file, at_once=True))
    return frozenset(names - {PACKAGE, *sys.stdlib_module_names})


def _below(package: str) -> list[str]:
    return [f"{package}.{file.stem}" for file in sorted(_place(package).glob("*.py")) if file.name != "__init__.py"]


def _place(name: str) -> Path:
    """Return where a module of ours is; not by importing it: that may take a while."""
    return Path(str(sys.modules[PACKAGE].__file__)).parent.joinpath(*name.split(".")[1:])


def _file(name: str) -> Path | None:
    """Return the file of a module of ours; ``None`` where the name is no module's."""
    if not name:
        return None
    path = _place(name)
    if (path / "__init__.py").is_file():
        return path / "__init__.py"
    file = path.with_name(f"{path.name}.py")
    return file if file.is_file() else None


def _path(name: str, file: Path) -> str:
    folder = name.replace(".", "/")
    return f"{folder}/__init__.py" if file.name == "__init__.py" else f"{folder}.py"


def _imports(file: Path, *, at_once: bool = False) -> Iterator[str]:
    """Give the names that a file imports, but for type checkers.

    Args:
        file: A Python file.
        at_once: Only those of the module itself, not of its functions.
    """
    waiting: list[ast.AST] = [ast.parse(file.read_text(encoding="utf-8"))]
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            waiting += node.orelse
        elif not (at_once and isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)):
            waiting += ast.iter_child_nodes(node)
