"""Environments that uv builds from pip-style requirements, once for each content."""

from __future__ import annotations

import hashlib
import json
import platform
import re
import shutil
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from toolkit import settings
from toolkit.errors import EnvironmentBuildError
from toolkit.flows.environments import requirements
from toolkit.flows.environments.builder import Builder
from toolkit.flows.environments.local import first_on_path
from toolkit.flows.environments.prepared import PreparedEnvironment, Report, machine, write_lock
from toolkit.flows.environments.requirements import Requirements
from toolkit.flows.environments.store import Place, Stored
from toolkit.spec.project import PythonEnv

_FORMAT = "1"
"""Raised when environments are made in another way, so that old ones are not used any more."""
_CHATTER = re.compile(
    r"\s*(Using |Creating |Activate |Resolved |Prepared |Installed |Audited |Checked |Building |Built |Downloading |"
    r"Downloaded |Bytecode |warning: Failed to inspect|[+~-] \S+==)"
)
_REASONS = (
    ("was not found in the", "a package is not on the index"),
    ("not found in the provided package locations", "a package is not on the index"),
    ("No solution found", "no set of versions meets all requirements"),
    ("Couldn't parse", "a requirement cannot be read"),
    ("Distribution not found", "a local package is not there"),
    ("No interpreter found", "this Python is not on the machine and uv cannot get it"),
    ("Invalid version request", "this Python cannot be had"),
    ("Failed to build", "a package cannot be built from source"),
    ("Request failed", "the network or the index cannot be reached"),
    ("error sending request", "the network or the index cannot be reached"),
    ("No space left", "the disk is full"),
)


@dataclass(frozen=True, kw_only=True, slots=True)
class _Plan:
    """What is to be built.

    Attributes:
        spec: The environment as declared.
        project: The project's directory: what relative paths are relative to.
        first: Requirements to install first.
        then: Requirements to install after these.
        python: What uv is asked for.
        key: The key.
        lock: Whether the requirements are a lock: all that is installed, and nothing else.
    """

    spec: PythonEnv | None
    project: Path
    first: Requirements
    then: Requirements
    python: str
    key: str
    lock: bool = False

    @property
    def title(self) -> str:
        """The environment's short name for progress and messages."""
        return self.key[:8]


def prepare(spec: PythonEnv | None, *, home: Path, project: Path, report: Report) -> PreparedEnvironment:
    """Return the environment that a specification describes, building it if there is none yet.

    Builders of the same environment, in threads and in processes, share one build: the others wait.

    Args:
        spec: What is wanted; ``None`` for the running Python without any package.
        home: Toolkit's home.
        project: The project's directory.
        report: Takes lines of progress.

    Raises:
        EnvironmentBuildError: It cannot be built; the message says why, with uv's own words.
    """
    return _obtain(_plan(spec, project), home=home, project=project, report=report)


def prepare_locked(
    lines: Sequence[str], *, options: Sequence[str], python: str, home: Path, project: Path, report: Report
) -> PreparedEnvironment:
    """Return an environment that holds what a lock lists and nothing else, building it if there is none yet.

    Args:
        lines: A line for each distribution, as in a lock.
        options: Lines of requirements files that say where distributions are to be had, such as ``--index-url``.
        python: Full version of Python.
        home: Toolkit's home.
        project: The project's directory.
        report: Takes lines of progress.

    Raises:
        EnvironmentBuildError: It cannot be built; the message says why, with uv's own words.
    """
    nothing = Requirements(lines=(), count=0, inputs=())
    listed = requirements.read(lines, project=project, source=Path("the recorded lock"))
    key = hashlib.sha256(json.dumps([_FORMAT, "lock", machine(), python, lines, options, listed.inputs]).encode())
    plan = _Plan(
        spec=None,
        project=project,
        first=nothing,
        then=replace(listed, lines=(*options, *listed.lines)),
        python=sys.executable if python == platform.python_version() else python,
        key=key.hexdigest()[:16],
        lock=True,
    )
    return _obtain(plan, home=home, project=project, report=report)


def kept(key: str, lock: str, *, home: Path, project: Path, report: Report) -> PreparedEnvironment | None:
    """Return the environment of a key if it is still there and has this very lock."""
    place = Place(home, key)
    found = place.find()
    if found is None or found.lock != lock or found.kind != "uv":
        return None
    stored, _, release = place.obtain(lambda: found, report=report, project=project)
    report(f"using environment {key[:8]}")
    return _prepared(key, stored, release, reused=True)


def _obtain(plan: _Plan, *, home: Path, project: Path, report: Report) -> PreparedEnvironment:
    started = time.perf_counter()
    place = Place(home, plan.key)
    stored, reused, release = place.obtain(lambda: _build(plan, place, report), report=report, project=project)
    seconds = time.perf_counter() - started
    report(f"using environment {plan.title}" if reused else f"environment {plan.title} ready in {seconds:.1f} s")
    return _prepared(plan.key, stored, release, reused=reused, seconds=seconds)


def _prepared(
    key: str, stored: Stored, release: Callable[[], None], *, reused: bool, seconds: float = 0.0
) -> PreparedEnvironment:
    return PreparedEnvironment(
        kind="uv",
        key=key,
        directory=stored.directory,
        python=stored.python,
        lock=stored.lock,
        variables=_variables(stored),
        unset=("PYTHONHOME", "__PYVENV_LAUNCHER__"),
        reused=reused,
        seconds=seconds,
        release=release,
    )


def _variables(stored: Stored) -> dict[str, str]:
    """Return what makes a command find the environment."""
    programs = stored.directory / "bin"
    variables = {
        "PATH": first_on_path(programs, settings.environment().get("PATH")),
        "VIRTUAL_ENV": str(stored.directory),
    }
    if not (programs / "pip").exists():
        # A command that calls pip would reach the one of whoever started us, and change their environment.
        variables["PIP_PYTHON"] = str(programs / "python")
    return variables


# -- what is wanted ----------------------------------------------------------------------------------


def _plan(spec: PythonEnv | None, project: Path) -> _Plan:
    if spec is None:
        nothing = Requirements(lines=(), count=0, inputs=())
        return _with_key(_Plan(spec=None, project=project, first=nothing, then=nothing, python=sys.executable, key=""))
    if spec.unmet:
        raise EnvironmentBuildError(
            f"{spec.file} asks conda for {', '.join(spec.unmet)}, which uv cannot provide, and neither conda, mamba nor"
            " micromamba is used: install one of them, list the Python packages among them under 'pip:', or run in the"
            " present environment with --env-manager local"
        )
    return _with_key(
        _Plan(
            spec=spec,
            project=project,
            first=requirements.read(spec.build_dependencies, project=project, source=spec.file),
            then=requirements.read(spec.dependencies, project=project, source=spec.file),
            python=_wanted_python(spec.python),
            key="",
        )
    )


def _wanted_python(text: str | None) -> str:
    """Return what to ask uv for: ``3.8`` is the newest 3.8, as is ``3.8.*``; nothing is the running Python."""
    if text is None:
        return sys.executable
    return re.sub(r"^(\d+(?:\.\d+)*)\.\*$", r"\1", text.strip())


def _with_key(plan: _Plan) -> _Plan:
    """Return a plan with its key: the SHA-256 over all that decides what the environment is."""
    spec = plan.spec
    text = json.dumps(
        {
            "format": _FORMAT,
            "machine": machine(),
            "python": platform.python_version() if plan.python == sys.executable else plan.python,
            "implementation": sys.implementation.name,
            "first": list(spec.build_dependencies) if spec else [],
            "then": list(spec.dependencies) if spec else [],
            "inputs": sorted({*plan.first.inputs, *plan.then.inputs}),
        },
        sort_keys=True,
    )
    key = hashlib.sha256(text.encode()).hexdigest()[:16]
    return _Plan(spec=spec, project=plan.project, first=plan.first, then=plan.then, python=plan.python, key=key)


# -- building ----------------------------------------------------------------------------------------


def _build(plan: _Plan, place: Place, report: Report) -> Stored:
    """Build an environment; the caller holds the claim."""
    count = plan.first.count + plan.then.count
    wanted = platform.python_version() if plan.python == sys.executable else plan.python
    report(f"building environment {plan.title} (python {wanted}, {count} requirement{'' if count == 1 else 's'})")
    uv = _uv(plan, place, report)
    uv.begin()
    directory = place.start()
    try:
        _make(uv, plan.python, directory)
        for part in (plan.first, plan.then):
            if part.count:
                only = ["--no-deps"] if plan.lock else []
                uv.run(
                    ["pip", "install", "--python", str(directory / "bin" / "python"), *only, "--requirements", "-"],
                    text="\n".join(part.lines) + "\n",
                )
        frozen = uv.run(["pip", "freeze", "--python", str(directory / "bin" / "python")])
        python = _python_version(directory)
        stored = Stored(
            directory=directory, python=python, lock=write_lock(python, [line for line in frozen.splitlines() if line])
        )
        place.finish(stored)
    finally:
        place.discard()
    return stored


def _make(uv: Builder, python: str, directory: Path) -> None:
    """Make an empty virtual environment with a Python of this machine, else one that uv gets."""
    command = ["venv", "--no-project", "--prompt", f"toolkit-{directory.parent.name[:8]}", str(directory), "--python"]
    if python == sys.executable:
        uv.run([*command, python])
        return
    try:
        uv.run([*command, python, "--no-python-downloads"])
    except EnvironmentBuildError:
        found = _pyenv_python(python)
        uv.run([*command, str(found) if found else python])


def _pyenv_python(wanted: str) -> Path | None:
    """Return the newest matching Python that pyenv has; uv finds one only where it is pyenv's active one."""
    if not re.fullmatch(r"\d+(\.\d+)*", wanted):
        return None
    root = Path(settings.environment().get("PYENV_ROOT") or "~/.pyenv").expanduser()
    matching = [
        folder
        for folder in (root / "versions").glob(f"{wanted}*")
        if re.fullmatch(re.escape(wanted) + r"(\.\d+)*", folder.name) and (folder / "bin" / "python").exists()
    ]
    newest = max(matching, key=lambda folder: [int(part) for part in folder.name.split(".")], default=None)
    return newest / "bin" / "python" if newest else None


def _python_version(directory: Path) -> str:
    """Return the full version of an environment's Python from its own configuration."""
    text = (directory / "pyvenv.cfg").read_text(encoding="utf-8")
    match = re.search(r"(?m)^version(?:_info)?\s*=\s*(\S+)", text)
    return match[1] if match else "unknown"


def _uv(plan: _Plan, place: Place, report: Report) -> Builder:
    """Return what runs uv for one environment, in the project's directory."""
    environ = settings.environment()
    if environ.get("PYTHONDONTWRITEBYTECODE"):  # else Python keeps what it compiles: what is used, when it is used
        environ.setdefault("UV_COMPILE_BYTECODE", "1")
    environ["NO_COLOR"] = "1"
    return Builder(
        name="uv",
        program=_find_uv(environ.get("PATH")),
        title=plan.title,
        declared=str(plan.spec.file) if plan.spec else "the recorded lock" if plan.lock else "the running Python",
        log=place.log,
        directory=plan.project,
        environ=environ,
        report=report,
        reasons=_REASONS,
        chatter=_CHATTER,
    )


def _find_uv(path: str | None) -> str:
    """Return the uv that was installed with us, else the one on the path."""
    import uv  # noqa: PLC0415 - of use only where something is built

    try:
        return uv.find_uv_bin()
    except FileNotFoundError:
        found = shutil.which("uv", path=path)
    if found is None:
        raise EnvironmentBuildError("uv is not installed: pip install uv, or run with --env-manager local")
    return found
