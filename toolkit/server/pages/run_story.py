"""Why a run is as it is: what it is a part of, took over or goes on from; what failed in it; how to run it again."""

from __future__ import annotations

import json
import shlex
from collections.abc import Sequence
from dataclasses import dataclass

from toolkit.errors import NotFound, ToolkitError
from toolkit.server.pages.asked import Asked
from toolkit.server.pages.log_lines import Row, last_of
from toolkit.server.pages.view import quoted
from toolkit.tracking.records import Run, RunStatus, SearchQuery

_LAST = 20
_LOOKED_AT = 400
_FAILED_PARTS = 5


@dataclass(frozen=True, kw_only=True, slots=True)
class Reason:
    """Something that tells why a run is as it is.

    Attributes:
        text: In words.
        place: The address that says more; empty: none does.
        outside: Whether that is another program's page.
    """

    text: str
    place: str = ""
    outside: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class Failure:
    """What is to be seen first of a run that failed.

    Attributes:
        run: The run whose log it is: the run itself, or the first of its parts that failed.
        error: The last line that tells of an error.
        rows: The last lines.
        parts: Its parts that failed, of each the last try.
    """

    run: Run
    error: Row | None = None
    rows: Sequence[Row] = ()
    parts: Sequence[Run] = ()


def reasons(asked: Asked, run: Run, parent: Run | None) -> Sequence[Reason]:
    """Return why a run is as it is, each with the address of the page that says more.

    Args:
        asked: The request.
        run: The run.
        parent: The run that it is a part of.
    """
    tags = run.data.tags
    found: list[Reason] = []

    def from_run(name: str, text: str) -> None:
        if source := tags.get(name):
            found.append(Reason(text=f"{text} {source[:8]}", place=asked.url("runs", source)))

    from_run("toolkit.cached_from", "taken from the cache: the same as run")
    from_run("toolkit.resumed_from", "resumed from run")
    from_run("toolkit.reproduced_from", "reproduces run")
    if verdict := tags.get("toolkit.reproduction"):
        found.append(Reason(text=f"came to the {verdict}" if verdict == "same" else f"came to something {verdict}"))
    if step := tags.get("toolkit.step"):
        place = ""
        if parent is not None and parent.data.tags.get("toolkit.workflow"):
            place = asked.url("workflows", parent.info.run_id, step=step)
        found.append(Reason(text=f"step {step}", place=place))
    if trial := tags.get("toolkit.trial"):
        found.append(Reason(text=f"trial {trial}"))
    if "toolkit.pruned" in tags:
        found.append(Reason(text="pruned"))
    found += _attempts(asked, run)
    if name := tags.get("toolkit.deployment"):
        found.append(Reason(text=f"keeps the snapshot of deployment {name}"))
    return [*found, *_prefect(run, parent)]


def _attempts(asked: Asked, run: Run) -> Sequence[Reason]:
    """Return which try of a step a run is, and where the tries beside it are."""
    tags, info = run.data.tags, run.info
    attempt = tags.get("toolkit.attempt", "")
    again = attempt not in ("", "1")
    if not info.parent_run_id or not attempt or not (again or info.status is RunStatus.FAILED):
        return ()
    filter_ = f"parent_run_id = {quoted(info.parent_run_id)} AND run_name = {quoted(info.run_name)}"
    query = SearchQuery(filter=filter_, limit=50, fields=["tags.`toolkit.attempt`", "tags.`toolkit.step`"])
    every = {
        other.data.tags.get("toolkit.attempt", ""): other.info.run_id
        for other in asked.stores.runs.search_runs(query).items
        if other.data.tags.get("toolkit.step") == tags.get("toolkit.step")
    }
    if len(every) < 2:
        return [Reason(text=f"attempt {attempt}")] if again else ()
    others = sorted(every.keys() - {attempt}, key=lambda text: (len(text), text))
    return [
        Reason(text=f"attempt {attempt} of {len(every)}"),
        *(Reason(text=f"attempt {number}", place=asked.url("runs", every[number])) for number in others),
    ]


def _prefect(run: Run, parent: Run | None) -> Sequence[Reason]:
    from toolkit.server.pages.workflow_prefect import prefect_url, task_url  # noqa: PLC0415 - of those pages

    if parent is not None and (place := task_url(parent, run)):
        return [Reason(text="Prefect's task run", place=place, outside=True)]
    if place := prefect_url(run):
        return [Reason(text="Prefect's flow run", place=place, outside=True)]
    return ()


def failure(asked: Asked, run: Run) -> Failure | None:
    """Return what is to be seen first of a run that failed; ``None`` for one that did not, or has left nothing.

    Args:
        asked: The request.
        run: The run.
    """
    if run.info.status is not RunStatus.FAILED:
        return None
    parts: Sequence[Run] = ()
    shown = run
    rows = _last_rows(asked, run)
    if not rows:
        filter_ = f"parent_run_id = {quoted(run.info.run_id)} AND status = 'FAILED'"
        fields = ["tags.`toolkit.attempt`", "tags.`toolkit.step`"]
        query = SearchQuery(filter=filter_, order_by=["start_time ASC"], limit=_LOOKED_AT, fields=fields)
        found = asked.stores.runs.search_runs(query).items
        last_tries = {(part.data.tags.get("toolkit.step"), part.info.run_name): part for part in found}
        parts = list(last_tries.values())[:_FAILED_PARTS]
        for part in parts:
            if rows := _last_rows(asked, part):
                shown = part
                break
    if not rows and not parts:
        return None
    error = next((row for row in reversed(rows) if row.level == "error"), None)
    return Failure(run=shown, error=error, rows=rows[-_LAST:], parts=parts)


def _last_rows(asked: Asked, run: Run) -> Sequence[Row]:
    try:
        return last_of(asked, run.info.run_id, _LOOKED_AT)
    except ToolkitError:  # it is elsewhere, or damaged: the log's own page says it
        return ()


def commands(run: Run) -> Sequence[tuple[str, str]]:
    """Return what to type to go on with a run: what it does, and the command or the line of Python."""
    tags, info = run.data.tags, run.info
    found: list[tuple[str, str]] = []
    if tags.get("toolkit.workflow"):
        if info.status in (RunStatus.FAILED, RunStatus.KILLED):
            found.append(("Go on where it stopped", f"toolkit run --resume {info.run_id}"))
        if again := _again(tags.get("toolkit.request", "")):
            found.append(("Run it again", again))
    if info.status is RunStatus.FINISHED and (tags.get("toolkit.workflow") or tags.get("toolkit.step")):
        found.append(("Make it again, and compare", f"toolkit reproduce {info.run_id}"))
    found.append(("Read it in Python", f'toolkit.get_run("{info.run_id}")'))
    return found


def _again(request: str) -> str:
    """Return the command that asks for the same once more; empty where what was asked for cannot be read."""
    try:
        told = json.loads(request)
        words = ["toolkit", "run", str(told["uri"])]
        for option, name in (("-v", "version"), ("-e", "entry_point"), ("-w", "workflow")):
            if told.get(name):
                words += [option, str(told[name])]
        for name, value in told["parameters"].items():
            if value is None:
                continue
            text = value if isinstance(value, str) else json.dumps(value)
            words += ["-P", f"{name}={text}"]
        if told.get("env_manager"):
            words += ["--env-manager", str(told["env_manager"])]
    except (ValueError, KeyError, TypeError, AttributeError):
        return ""
    return shlex.join(words)


def diff_of(asked: Asked, run: Run) -> str:
    """Return the address of what a run's code differed in from its commit; empty where nothing says it."""
    if run.data.tags.get("mlflow.source.git.dirty") != "True":
        return ""
    for run_id in (run.info.run_id, run.info.parent_run_id):
        if run_id is None:
            continue
        try:
            entries = asked.stores.runs.list_artifacts(run_id, prefix="source/changes.diff", limit=1).items
        except NotFound:  # the whole was removed for good
            continue
        if entries:
            return asked.url("runs", run_id, "artifacts", path="source/changes.diff")
    return ""
