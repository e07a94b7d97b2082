"""What is asked for when a project is run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal


@dataclass(frozen=True, kw_only=True, slots=True)
class RunRequest:
    """What `run_project` is to do.

    Attributes:
        uri: The project: a directory, a Git repository or a zip file, and ``#subdirectory``.
        entry_point: Entry point to run.
        workflow: Workflow to run, instead.
        parameters: Values by name.
        experiment_name: Experiment of the runs, made if there is none of this name.
        experiment_id: The same by id.
        run_name: Name of the parent run.
        env_manager: What steps run in.
        docker_args: Arguments of ``docker run`` for steps in containers.
        build_image: Whether these run from an image that is built with the project in it.
        version: Branch, tag or commit of a repository; digest that an archive must have.
        caller: Directory that relative paths are relative to; ``None``: the working directory.
        no_cache: Whether to take nothing from the cache, and to put nothing into it.
        refresh: Steps that run again whatever the cache has.
        resume: Id of the run that stopped, to go on from; `resumed_request` makes a request of it.
        task_runner: What starts the steps, as `toolkit.flows.task_runner.read_runner` takes it.
    """

    uri: str
    entry_point: str | None = None
    workflow: str | None = None
    parameters: Mapping[str, object] = field(default_factory=dict)
    experiment_name: str | None = None
    experiment_id: str | None = None
    run_name: str | None = None
    env_manager: Literal["uv", "local", "conda"] | None = None
    docker_args: tuple[str, ...] = ()
    build_image: bool = False
    version: str | None = None
    caller: Path | None = None
    no_cache: bool = False
    refresh: Sequence[str] = ()
    resume: str | None = None
    task_runner: str | None = None
