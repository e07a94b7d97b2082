"""Steps whose code calls `mlflow.run`: what that runs in.

Unless it is told otherwise, it builds an environment for the project's ``python_env`` once more, with pyenv, which few
machines have. It builds none where there is one already below ``MLFLOW_ENV_ROOT``, by the name that it gives to the
content. So the environment of a step stands there under its name: what a step runs, runs in what the step runs in.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path

from toolkit.flows.environments.prepared import PreparedEnvironment
from toolkit.settings import environment
from toolkit.spec.environment import read_environment
from toolkit.spec.project import EnvironmentRef, Project, PythonEnv

_ROOT = "MLFLOW_ENV_ROOT"
_FILES = {"-r": False, "--requirement": False, "-c": True, "--constraint": True}


def stand_in(home: Path, project: Project, ref: EnvironmentRef | None, prepared: PreparedEnvironment) -> dict[str, str]:
    """Put an environment where `mlflow.run` looks; return the variables by which it looks there.

    Nothing is done where the user has a place for MLflow's environments, or where there is no virtual environment.

    Args:
        home: Toolkit's home.
        project: The project.
        ref: What declares the environment.
        prepared: The environment.
    """
    directory = prepared.directory
    if ref is None or ref.kind != "python_env" or directory is None or environment().get(_ROOT):
        return {}
    if not (directory / "bin" / "activate").is_file():  # what MLflow runs first
        return {}
    root = home / "mlflow-envs"
    try:
        root.mkdir(parents=True, exist_ok=True)
        for name in environment_names(read_environment(project, ref), project.directory, prepared.python):
            _point(root / name, directory)
    except OSError:  # MLflow then builds its own, as everywhere
        return {}
    return {_ROOT: str(root)}


def _point(link: Path, directory: Path) -> None:
    """Make a link; what MLflow has built there itself stays."""
    if link.is_symlink():
        if link.readlink() == directory:
            return
    elif link.exists():
        return
    made = link.with_name(f".{secrets.token_hex(8)}")
    made.symlink_to(directory)
    try:
        made.replace(link)
    except OSError:
        with suppress(OSError):
            made.unlink()
        raise


# -- names -----------------------------------------------------------------------------------------


def environment_names(spec: PythonEnv, project: Path, python: str) -> tuple[str, ...]:
    """Return the names that MLflow gives to the environment of a python_env file: 3's first, then that of early 2's.

    Args:
        spec: What the file says.
        project: The project's directory, which files of requirements are relative to.
        python: Full version of the interpreter that runs MLflow; for files that name none.

    Raises:
        OSError: A file of requirements cannot be read.
    """
    said = {
        "python": spec.python or python,
        "build_dependencies": list(spec.build_dependencies),
        "dependencies": list(spec.dependencies),
    }
    lines = list(_requirements(spec.dependencies, project))
    new = "".join(f"_Requirement(req_str={line!r}, is_constraint={limits})" for line, limits in sorted(lines))
    old = "".join(line for line, _ in lines)
    return tuple(
        f"mlflow-{hashlib.sha1((str(said) + end).encode(), usedforsecurity=False).hexdigest()}" for end in (new, old)
    )


def _requirements(lines: Iterable[str], folder: Path, limits: bool = False) -> Iterator[tuple[str, bool]]:
    """Yield requirements, those of other files among them, and whether each only limits a version."""
    for line in _joined(each.strip().partition(" #")[0].rstrip() for each in lines):
        if not line or line.startswith("#"):
            continue
        option, _, file = line.partition(" ")
        if option in _FILES:
            path = Path(folder, file.strip())
            yield from _requirements(path.read_text(encoding="utf-8").splitlines(), path.parent, _FILES[option])
        else:
            yield line, limits


def _joined(lines: Iterable[str]) -> Iterator[str]:
    """Yield lines, those that end in a backslash together with the next."""
    whole = ""
    for line in lines:
        whole += line.rstrip("\\")
        if not line.endswith("\\"):
            yield whole
            whole = ""
    if whole:
        yield whole
