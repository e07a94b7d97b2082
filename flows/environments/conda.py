"""Environments that conda, mamba or micromamba builds from a ``conda_env`` file, once for each content."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from toolkit import settings
from toolkit.errors import EnvironmentBuildError, ProjectError
from toolkit.flows.environments import requirements
from toolkit.flows.environments.builder import Builder
from toolkit.flows.environments.local import distributions, first_on_path
from toolkit.flows.environments.prepared import PreparedEnvironment, Report, machine, write_lock
from toolkit.flows.environments.store import Place, Stored
from toolkit.spec.environment import read_environment
from toolkit.spec.project import EnvironmentRef, Project

_FORMAT = "conda-1"
"""Raised when environments are made in another way, so that old ones are not used any more."""
_NAMES = ("mamba", "micromamba", "conda")
"""Programs to look for, the quickest first; all make the same environments."""
_MLFLOWS_NAMES = ("MLFLOW_CONDA_CREATE_ENV_CMD", "MLFLOW_CONDA_HOME")
"""Variables by which MLflow's users name the program, as conda's own do by ``CONDA_EXE``; no settings of ours."""
_CHATTER = re.compile(
    r"\s*$|.*(\|\s*\d+%|━|\d+(\.\d+)?[kM]?B\s*/|--:--)|Channels:|Platform:|Collecting package metadata"
)
_REASONS = (
    ("PackagesNotFoundError", "a package is not on the channels"),
    ("ResolvePackageNotFound", "a package is not on the channels"),
    ("does not exist (perhaps a typo", "a package is not on the channels"),
    ("nothing provides", "a package is not on the channels"),
    ("Unsatisfiable", "no set of versions meets all requirements"),
    ("Could not solve", "no set of versions meets all requirements"),
    ("CondaHTTPError", "the network or the channel cannot be reached"),
    ("CondaSSLError", "the network or the channel cannot be reached"),
    ("Could not resolve host", "the network or the channel cannot be reached"),
    ("Download error", "the network or the channel cannot be reached"),
    ("Connection failed", "the network or the channel cannot be reached"),
    ("Pip failed", "pip cannot install what stands under 'pip:'"),
    ("pip failed", "pip cannot install what stands under 'pip:'"),
    ("InvalidVersionSpec", "a requirement cannot be read"),
    ("NoSpaceLeft", "the disk is full"),
    ("No space left", "the disk is full"),
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Program:
    """A program that builds conda environments.

    Attributes:
        name: ``conda``, ``mamba`` or ``micromamba``.
        path: Where it is.
    """

    name: str
    path: str

    def create(self, prefix: Path, file: Path) -> list[str]:
        """Return the arguments that make an environment of a file."""
        verb = ["create", "--yes"] if self.name == "micromamba" else ["env", "create"]
        return [*verb, "--prefix", str(prefix), "--file", str(file)]


def find_program(environ: Mapping[str, str]) -> Program | None:
    """Return the program to build conda environments with; ``None`` where there is none.

    ``MLFLOW_CONDA_HOME`` and ``MLFLOW_CONDA_CREATE_ENV_CMD`` as in MLflow, then what an activated installation says of
    itself, then the path.
    """
    wanted, home = (environ.get(name) for name in _MLFLOWS_NAMES)
    candidates = [f"{home}/bin/{wanted or 'conda'}"] if home else []
    names = (wanted, *_NAMES) if wanted else _NAMES
    candidates += [found for name in names if (found := shutil.which(name, path=environ.get("PATH", "")))]
    candidates += [environ[name] for name in ("MAMBA_EXE", "CONDA_EXE") if environ.get(name)]
    for path in candidates:
        if shutil.which(path):
            name = Path(path).name.lower().removesuffix(".exe")
            return Program(name=name if name in _NAMES else "conda", path=path)
    return None


def prepare(ref: EnvironmentRef, *, project: Project, home: Path, report: Report) -> PreparedEnvironment:
    """Return the environment that a conda file describes, building it if there is none yet.

    Builders of the same environment, in threads and in processes, share one build: the others wait.

    Args:
        ref: The ``conda_env``.
        project: The project.
        home: Toolkit's home.
        report: Takes lines of progress.

    Raises:
        EnvironmentBuildError: It cannot be built, or there is no program to build it with; or what is declared is no
            conda file.
    """
    started = time.perf_counter()
    if ref.kind != "conda_env" or ref.path is None:
        raise EnvironmentBuildError(
            f"--env-manager conda builds a conda_env, and {ref.path or 'this project'} is a {ref.kind}: leave the "
            "option out, or declare conda_env",
            mark=ref.mark,
        )
    file = project.directory / ref.path
    key = _key(file, project, ref)
    place = Place(home, key)
    stored, reused, release = place.obtain(
        lambda: _build(file, place, report), report=report, project=project.directory
    )
    seconds = time.perf_counter() - started
    report(f"using environment {key[:8]}" if reused else f"environment {key[:8]} ready in {seconds:.1f} s")
    return _prepared(key, stored, release, reused=reused, seconds=seconds)


def _prepared(
    key: str, stored: Stored, release: Callable[[], None], *, reused: bool, seconds: float
) -> PreparedEnvironment:
    return PreparedEnvironment(
        kind="conda",
        key=key,
        directory=stored.directory,
        python=stored.python,
        lock=stored.lock,
        variables=_variables(stored.directory),
        unset=("PYTHONHOME", "VIRTUAL_ENV", "__PYVENV_LAUNCHER__"),
        reused=reused,
        seconds=seconds,
        release=release,
    )


def prepare_locked(key: str, lock: str, *, home: Path, project: Path, report: Report) -> PreparedEnvironment:
    """Return the environment of a key that has this very lock.

    Raises:
        EnvironmentBuildError: It is not here, or another one by now.
    """
    started = time.perf_counter()
    place = Place(home, key)
    found = place.find()
    if found is None or found.lock != lock:
        raise EnvironmentBuildError(
            f"the conda environment {key[:8]} that the run had is not on this machine any more; --allow environment"
            " builds what the project declares as it is resolved now"
        )
    stored, _, release = place.obtain(lambda: found, report=report, project=project)
    report(f"using environment {key[:8]}")
    return _prepared(key, stored, release, reused=True, seconds=time.perf_counter() - started)


def _key(file: Path, project: Project, ref: EnvironmentRef) -> str:
    """Return the hash of the file and of what its pip part includes."""
    try:
        text = file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise EnvironmentBuildError(f"{file} cannot be read: {error}", mark=ref.mark) from None
    try:
        lines: Sequence[str] = read_environment(project, ref).dependencies
    except ProjectError:  # what pip could not be told, conda may well understand
        lines = ()
    included = requirements.read(lines, project=file.parent, source=file).inputs
    content = json.dumps({"format": _FORMAT, "machine": machine(), "file": text, "inputs": included}, sort_keys=True)
    return hashlib.sha256(content.encode()).hexdigest()[:16]


# -- building ----------------------------------------------------------------------------------------


def no_program(file: Path) -> EnvironmentBuildError:
    """Return what to say where there is no program to build with."""
    return EnvironmentBuildError(
        f"{file} needs conda, and neither conda, mamba nor micromamba is on the PATH: install one (micromamba is a "
        "single file), name its folder in MLFLOW_CONDA_HOME, or list the Python packages under 'pip:' and run with uv"
    )


def _build(file: Path, place: Place, report: Report) -> Stored:
    """Build an environment; the caller holds the claim."""
    environ = settings.environment(VIRTUAL_ENV=None, PYTHONHOME=None, PYTHONPATH=None)
    program = find_program(environ)
    if program is None:
        raise no_program(file)
    report(f"building environment {place.key[:8]} of {file.name} with {program.name}")
    builder = Builder(
        name=program.name,
        program=program.path,
        title=place.key[:8],
        declared=str(file),
        log=place.log,
        directory=file.parent,
        environ=environ | {"CONDA_ALWAYS_YES": "1", "MAMBA_ALWAYS_YES": "true", "NO_COLOR": "1", "PIP_NO_INPUT": "1"},
        report=report,
        reasons=_REASONS,
        chatter=_CHATTER,
        quiet=False,
    )
    builder.begin()
    directory = place.start()
    try:
        builder.run(program.create(directory, file))
        python, lock = _lock(directory)
        stored = Stored(directory=directory, python=python, lock=lock, kind="conda")
        place.finish(stored)
    finally:
        place.discard()
    return stored


def _lock(prefix: Path) -> tuple[str, str]:
    """Return the Python of an environment and its lock.

    Python's packages stand as in every lock; conda's are comments above them, as conda's explicit lists have them.
    """
    python = ""
    packages = []
    for file in sorted((prefix / "conda-meta").glob("*.json")):
        record = json.loads(file.read_bytes())
        if record.get("name") == "python":
            python = str(record.get("version", ""))
        address = record.get("url") or "{name}-{version}-{build}".format_map({"build": "", **record})
        digest = record.get("sha256") or record.get("md5") or ""
        packages.append(f"# conda {address}" + (f"#{digest}" if digest else ""))
    folders = sorted(prefix.glob("lib/python3*/site-packages"))
    found = [f"{name}=={version}" for folder in folders for name, version in distributions(str(folder))]
    header, platform_line, *rest = write_lock(python or "none", found).splitlines()
    return python, "\n".join([header, platform_line, *packages, *rest]) + "\n"


# -- using -------------------------------------------------------------------------------------------


def _variables(prefix: Path) -> dict[str, str]:
    """Return what makes a command find the environment: what ``conda activate`` sets."""
    path = first_on_path(prefix / "bin", settings.environment().get("PATH"))
    variables = {
        "PATH": path,
        "CONDA_PREFIX": str(prefix),
        "CONDA_DEFAULT_ENV": str(prefix),
        "CONDA_SHLVL": "1",
    }
    if not (prefix / "bin" / "pip").exists():
        variables["PIP_PYTHON"] = str(prefix / "bin" / "python")
    variables |= _declared(prefix)
    return variables | _activated(prefix, variables)


def _declared(prefix: Path) -> dict[str, str]:
    """Return the variables that the file declared (``variables:``), where conda notes them."""
    try:
        declared = json.loads((prefix / "conda-meta" / "state").read_bytes()).get("env_vars", {})
    except (OSError, ValueError):
        return {}
    return {str(name): str(value) for name, value in declared.items()}


def _activated(prefix: Path, variables: Mapping[str, str]) -> dict[str, str]:
    """Return what the packages' own scripts change when the environment is activated."""
    scripts = sorted((prefix / "etc" / "conda" / "activate.d").glob("*.sh"))
    if not scripts:
        return {}
    before = settings.environment(**variables)
    commands = 'for script in "$@"; do . "$script" >/dev/null 2>&1 </dev/null; done; env -0'
    done = subprocess.run(
        ["bash", "-c", commands, "activate", *map(str, scripts)],
        env=before,
        capture_output=True,
        check=False,
        timeout=60,
    )
    pairs = (item.partition("=") for item in done.stdout.decode("utf-8", "surrogateescape").split("\0") if item)
    ignored = ("_", "SHLVL", "PWD", "OLDPWD")
    return {name: value for name, _, value in pairs if before.get(name) != value and name not in ignored}
