"""Preparing what a step's command runs in."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from toolkit.flows.environments import local, uv
from toolkit.flows.environments.prepared import PreparedEnvironment, Report
from toolkit.spec.project import PythonEnv

__all__ = ["PreparedEnvironment", "Report", "prepare"]


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
