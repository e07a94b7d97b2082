"""Preparing what a step's command runs in."""

from __future__ import annotations

from pathlib import Path
from typing import Literal, TypeAlias

from toolkit.errors import EnvironmentBuildError, ProjectError
from toolkit.flows.environments import local, uv
from toolkit.flows.environments.container import DockerOptions
from toolkit.flows.environments.prepared import PreparedEnvironment, Report
from toolkit.settings import environment
from toolkit.spec.environment import read_environment
from toolkit.spec.project import EnvironmentRef, Project, PythonEnv

__all__ = ["DockerOptions", "Manager", "PreparedEnvironment", "Report", "choose", "prepare", "prepare_declared"]

Manager: TypeAlias = Literal["uv", "local", "conda"]
"""What provides an environment: one of its own, built by uv or by conda, or the interpreter that runs us."""


def prepare(
    spec: PythonEnv | None, *, manager: Literal["uv", "local"], home: Path, project: Path, report: Report
) -> PreparedEnvironment:
    """Return an environment that is ready, building it where need be.

    Args:
        spec: What the project declares; ``None`` where it declares nothing.
        manager: ``uv`` for an environment of its own, ``local`` for the interpreter that runs us, whatever is declared.
        home: Toolkit's home; environments are kept in ``envs`` and logs in ``logs`` below it.
        project: The project's directory: what relative paths in requirements are relative to.
        report: Takes short lines of progress, in the calling thread.

    Raises:
        EnvironmentBuildError: It cannot be built; the message says why, and what can be done.
    """
    if manager == "local":
        return local.prepare()
    return uv.prepare(spec, home=home, project=project, report=report)


def prepare_declared(
    ref: EnvironmentRef | None,
    spec: PythonEnv | None,
    *,
    manager: Manager,
    home: Path,
    project: Project,
    report: Report,
) -> PreparedEnvironment:
    """Return the environment that a project, an entry point or a step declares, ready to be used.

    Args:
        ref: What declares it; ``None`` where nothing does.
        spec: What uv is to build, where it is uv that builds.
        manager: What provides it.
        home: Toolkit's home.
        project: The project.
        report: Takes short lines of progress.

    Raises:
        EnvironmentBuildError: It cannot be built; the message says why, and what can be done.
    """
    if manager != "conda":
        return prepare(spec, manager=manager, home=home, project=project.directory, report=report)
    from toolkit.flows.environments import conda  # noqa: PLC0415 - few projects need it

    if ref is None:
        raise EnvironmentBuildError(
            "--env-manager conda needs a conda_env, and the project declares none: leave the option out"
        )
    return conda.prepare(ref, project=project, home=home, report=report)


def choose(ref: EnvironmentRef | None, project: Project, wanted: Manager | None) -> tuple[Manager, PythonEnv | None]:
    """Return what provides an environment, and what uv is to build where it is uv.

    A conda file goes to uv where that can provide all of it, which is quicker and needs no conda; else to conda, if
    one is there.

    Args:
        ref: What declares it; ``None`` where nothing does.
        project: The project.
        wanted: What the user asks for, if they do.

    Raises:
        ProjectError: What is declared cannot be read.
        EnvironmentBuildError: It needs conda, and there is none.
    """
    if wanted in ("local", "conda"):
        return wanted, None
    if ref is None:
        return wanted or "local", None
    try:
        spec = read_environment(project, ref)
    except ProjectError:
        if wanted is None and ref.kind == "conda_env" and _has_conda():
            return "conda", None
        raise
    if wanted is None and spec.unmet and _has_conda():
        return "conda", None
    return "uv", spec


def _has_conda() -> bool:
    from toolkit.flows.environments import conda  # noqa: PLC0415 - few projects need it

    return conda.find_program(environment()) is not None
