"""Going on where a workflow's run stopped: which steps it has finished, and what it was asked to do."""

from __future__ import annotations

import json
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from toolkit.errors import Conflict, InvalidValue, NotFound
from toolkit.flows.environments.container import DockerOptions
from toolkit.flows.plan import Plan
from toolkit.recording import context as tag
from toolkit.recording.run import PARAM_LIMIT, TAG_LIMIT
from toolkit.tracking.records import Run, RunQuery, RunStatus
from toolkit.tracking.store import RunStore

REQUEST = "toolkit.request"
"""Tag of a workflow's run: what was asked for, as JSON, so that it can be asked for again."""
REQUEST_PATH = "source/request.json"
"""Artifact that holds it where it is longer than a tag can be."""
RESUMED_FROM = "toolkit.resumed_from"
"""Tag of a workflow's run that goes on where another stopped."""
STEP = "toolkit.step"
CODE_DIGEST = "toolkit.code_digest"
_WORKFLOW = "toolkit.workflow"


@dataclass(frozen=True, kw_only=True, slots=True)
class Asked:
    """What a workflow's run was asked to do.

    Attributes:
        uri: The project.
        version: Branch, tag or commit, where one was given.
        entry_point: The entry point; ``None`` for a workflow.
        workflow: The workflow; ``None`` for an entry point alone.
        parameters: Its parameters, but for defaults that are paths.
        directory: Where the project's code was then.
        caller: Directory that the URI, and relative paths among the parameters, are relative to.
        env_manager: What steps ran in, where that was said.
        docker_args: Arguments of ``docker run`` for steps in containers; of variables the names alone.
        build_image: Whether these ran from an image that was built with the project in it.
    """

    uri: str
    version: str | None = None
    entry_point: str | None = None
    workflow: str | None = None
    parameters: Mapping[str, object]
    directory: str | None = None
    caller: str | None = None
    env_manager: str | None = None
    docker_args: Sequence[str] | None = None
    build_image: bool | None = None


def request_tag(plan: Plan, *, env_manager: str | None, docker: DockerOptions | None = None) -> dict[str, str]:
    """Return the tag that says what was asked for; none where it is longer than a tag can be."""
    text = request_text(plan, env_manager=env_manager, docker=docker)
    return {REQUEST: text} if len(text) <= TAG_LIMIT else {}


def request_text(plan: Plan, *, env_manager: str | None, docker: DockerOptions | None = None) -> str:
    """Return what was asked for, as JSON."""
    kinds = {name: parameter.type for name, parameter in plan.workflow.parameters.items()}
    values = {  # a default that is a path is relative to the project, and a given one to the caller
        name: value
        for name, value in {**plan.parameters, **plan.extra}.items()
        if name in plan.given or (value is not None and kinds.get(name) != "path")
    }
    told: dict[str, object] = {
        "uri": plan.source.uri,
        "version": plan.source.version,
        "directory": str(plan.project.directory),
        "entry_point": plan.workflow.name if plan.single else None,
        "workflow": None if plan.single else plan.workflow.name,
        "parameters": values,
        "caller": str(plan.caller),
        "env_manager": env_manager,
    }
    if docker is not None and docker != DockerOptions():
        told |= {"docker_args": docker.without_secrets(), "build_image": docker.build_image}
    return json.dumps(told, default=str)


def asked(run: Run, text: str | None = None) -> Asked:
    """Return what the run of a workflow was asked to do.

    Args:
        run: The run.
        text: What it was asked, where no tag says it.

    Raises:
        InvalidValue: It is no workflow's run, or does not say.
    """
    tags = run.data.tags
    if _WORKFLOW not in tags:
        of = f"; it is a part of run {run.info.parent_run_id}: resume that" if STEP in tags else ""
        raise InvalidValue(f"run {run.info.run_id} is not the run of a workflow, and cannot be resumed{of}")
    try:
        told = json.loads(tags[REQUEST] if text is None else text)
        if not isinstance(told["uri"], str) or not isinstance(told["parameters"], dict):
            raise TypeError
        return Asked(**{name: told.get(name) for name in Asked.__slots__})
    except (KeyError, ValueError, TypeError, AttributeError):
        raise InvalidValue(
            f"run {run.info.run_id} does not say how it was called (it has no tag {REQUEST!r} that can be read): run"
            " the project again; steps with `cache: true` are taken over"
        ) from None


def check_resumable(run: Run) -> None:
    """Refuse to go on where nothing is left to do, or where it still goes on.

    Raises:
        Conflict: The run is not FAILED or KILLED.
    """
    info = run.info
    if info.status is RunStatus.FINISHED:
        raise Conflict(f"run {info.run_id} has FINISHED: nothing of it is left to do; run the project again instead")
    if not info.status.terminal:
        raise Conflict(f"run {info.run_id} is {info.status}: wait until it has ended, or stop it")


class Resumed:
    """An earlier run of a workflow, whose finished steps need not run again.

    Args:
        runs: Where it is.
        run: The workflow's run.
    """

    def __init__(self, runs: RunStore, run: Run) -> None:
        self.run = run
        self._directory = asked(run).directory
        self._finished = _finished(runs, run)
        self._lock = threading.Lock()

    def take(self, step: str, values: Mapping[str, object], directory: Path) -> Run | None:
        """Return a run that finished a step with these values; each is returned once.

        Args:
            step: The step.
            values: Its entry point's parameters.
            directory: Where the project's code is now: paths in it are the same that they were where it was then.
        """
        with self._lock:
            waiting = self._finished.get(step, [])
            for index, run in enumerate(waiting):
                if all(self._same(run.data.params.get(name), value, directory) for name, value in values.items()):
                    return waiting.pop(index)
        return None

    def _same(self, logged: str | None, value: object, directory: Path) -> bool:
        text = "" if value is None else str(value)
        if logged is None or logged == text:
            return logged == text
        if self._directory and logged.startswith(f"{self._directory}/"):
            return f"{directory}{logged.removeprefix(self._directory)}" == text
        return len(text) > PARAM_LIMIT and logged[:-1] == text[: len(logged) - 1]

    def code_change(self, plan: Plan) -> str | None:
        """Say how the code differs from what the run had; ``None`` if it does not."""
        tags, source = self.run.data.tags, plan.source
        if tags.get(CODE_DIGEST) == source.digest:
            return None
        before, now = tags.get(tag.GIT_COMMIT), source.commit
        if before and now and before != now:
            return f"commit {before[:12]} -> {now[:12]}"
        return f"its digest was {tags.get(CODE_DIGEST, 'unknown')[:12]}, and is {source.digest[:12]}"


def _finished(runs: RunStore, run: Run) -> dict[str, list[Run]]:
    """Return what a run has finished; last what those have that it went on from: it may not have come so far."""
    found: dict[str, list[Run]] = {}
    seen: set[str] = set()
    current: Run | None = run
    while current is not None and current.info.run_id not in seen:
        seen.add(current.info.run_id)
        for step, finished in _finished_of(runs, current.info.run_id).items():
            found.setdefault(step, []).extend(finished)
        before = current.data.tags.get(RESUMED_FROM)
        try:
            current = runs.get_run(before) if before else None
        except NotFound:
            current = None
    return found


def _finished_of(runs: RunStore, parent: str) -> dict[str, list[Run]]:
    found: dict[str, list[Run]] = {}
    query = RunQuery(parent_run_id=parent, status=[RunStatus.FINISHED])
    while True:
        page = runs.list_runs(query)
        for run in page.items:
            if (step := run.data.tags.get(STEP)) is not None:
                found.setdefault(step, []).append(run)
        if page.next_page_token is None:
            return found
        query = replace(query, page_token=page.next_page_token)
