"""What is told of a step that was chosen: why it is as it is, its tries, what it was given and what it left."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup

from toolkit.errors import InvalidValue, ToolkitError
from toolkit.flows.input_record import INPUTS, INPUTS_PATH, Input, of_text
from toolkit.server.artifacts.files import Files
from toolkit.server.pages.asked import Asked
from toolkit.server.pages.cells import cut
from toolkit.server.pages.states import CACHED_FROM
from toolkit.server.pages.workflow_faces import by_urgency, varied
from toolkit.server.pages.workflow_prefect import task_url
from toolkit.server.pages.workflow_steps import Item, Step, WorkflowRun
from toolkit.tracking.records import SYSTEM, ArtifactEntry, Run

_MOST_ITEMS = 200
_LINES = 20
_MOST_FILES = 200
_FEW_FILES = 12
_LONGEST_INPUTS = 1_000_000
_OWN = ("logs/", "source/", "environment/")
_ARTIFACT = re.compile(r"runs:/([0-9a-f]{32})/(.+)", re.DOTALL)


@dataclass(frozen=True, kw_only=True, slots=True)
class Given:
    """Data that a step was given.

    Attributes:
        parameter: The parameter that names them.
        text: What they are, for people.
        run_id: The run that left them; empty for what was on the machine.
        path: Their path in that run, or on the machine.
        step: The step of this workflow's run that left them.
        digest: SHA-256 over them; empty where it is not known.
    """

    parameter: str
    text: str
    run_id: str = ""
    path: str = ""
    step: str = ""
    digest: str = ""


def attempt_of(asked: Asked, step: Step | None) -> int | None:
    """Return which try of a step is asked for; ``None``: the last.

    Raises:
        InvalidValue: There is no such try.
    """
    text = asked.query.get("attempt", "")
    if not text or step is None:
        return None
    number = int(text) if text.isdecimal() and len(text) < 10 else 0
    if not 1 <= number <= step.tries:
        raise InvalidValue(f"step {step.name!r} has no attempt {text[:20]!r}: wanted 1 to {step.tries}")
    return number


def panel(asked: Asked, found: WorkflowRun, step: Step, attempt: int | None) -> Mapping[str, Any]:
    """Return what is told of a step that was chosen.

    Args:
        asked: The request.
        found: The workflow's run.
        step: The step.
        attempt: The try that is looked at; ``None``: the last.
    """
    items = by_urgency(step)
    item = step.shown
    if attempt is not None:
        tried = [each for each in items if len(each.tries) >= attempt]
        item = item if item in tried else tried[0]
    run = None if item is None else item.run if attempt is None else item.tries[attempt - 1]
    metrics: dict[str, None] = {}
    for each in step.items:
        metrics |= dict.fromkeys(each.metrics)
    given = _given(asked, found, run) if run else ()
    named = {each.parameter for each in given}
    return {
        "item": item,
        "run": run,
        "attempt": attempt,
        "items": items[:_MOST_ITEMS],
        "left_out": max(0, len(items) - _MOST_ITEMS),
        "varied": () if step.plan and step.plan.foreach else varied(step),
        "metrics": list(metrics)[:3] if step.is_many else _measured(run),
        "lines": _last_lines(asked, run) if run else (),
        "before": [link for link in found.links if link.target == step.name],
        "after": [link for link in found.links if link.source == step.name],
        "task": task_url(found.run, run) if run else "",
        "params": sorted((key, value) for key, value in run.data.params.items() if key not in named) if run else (),
        "given": given,
        "files": _files(asked, run) if run else ((), 0),
        "retries": _tried(step, item),
    }


def _measured(run: Run | None) -> Sequence[str]:
    return [] if run is None else sorted(key for key in run.data.metrics if not key.startswith(SYSTEM))


def _tried(step: Step, item: Item | None) -> Sequence[Run]:
    """Return the tries of the run that is shown, where there were several."""
    return item.tries if item is not None and step.tries > 1 else ()


def _given(asked: Asked, found: WorkflowRun, run: Run) -> Sequence[Given]:
    """Return the data that a run was given, as it has recorded them."""
    text = run.data.tags.get(INPUTS) or _inputs_file(asked, run)
    if not text:
        return ()
    runs = [(one, step.name) for step in found.steps for item in step.items for one in item.tries]
    owner = {one.data.tags.get(CACHED_FROM, ""): name for one, name in runs}  # whose results it took over
    owner |= {one.info.run_id: name for one, name in runs}
    try:
        return [_one(each, owner) for each in of_text(text)]
    except (ValueError, AttributeError):  # written by somebody else
        return ()


def _one(each: Input, owner: Mapping[str, str]) -> Given:
    digest = str(each.sha256 or "")
    if each.artifact is None:
        place = str(each.project or each.path or "")
        return Given(parameter=each.parameter, text=cut(place, 80), path=str(each.path or ""), digest=digest)
    match = _ARTIFACT.fullmatch(each.artifact)
    if match is None:
        return Given(parameter=each.parameter, text=cut(each.artifact, 80), digest=digest)
    run_id, path = match.groups()
    step = owner.get(run_id, "")
    return Given(parameter=each.parameter, text=cut(path, 80), run_id=run_id, path=path, step=step, digest=digest)


def _inputs_file(asked: Asked, run: Run) -> str:
    found = asked.stores.runs.list_artifacts(run.info.run_id, prefix=INPUTS_PATH, limit=1).items
    if not found:
        return ""
    files = Files(asked.stores, asked.catalog)
    try:
        with files.open(files.of_run(run.info.run_id, INPUTS_PATH)).stream as stream:
            return stream.read(_LONGEST_INPUTS).decode(errors="replace")
    except ToolkitError:  # it is elsewhere, or gone
        return ""


def _files(asked: Asked, run: Run) -> tuple[Sequence[ArtifactEntry], int]:
    """Return the files that a run has left, without what every run has, and how many more there are."""
    listed = asked.stores.runs.list_artifacts(run.info.run_id, limit=_MOST_FILES).items
    own = [entry for entry in listed if not entry.path.startswith(_OWN)]
    return own[:_FEW_FILES], max(0, len(own) - _FEW_FILES)


def _last_lines(asked: Asked, run: Run) -> Sequence[tuple[int, Markup]]:
    """Return the last lines that a run wrote."""
    from toolkit.server.pages.log_lines import last_of  # noqa: PLC0415 - here alone

    try:
        return [(row.number, row.text) for row in last_of(asked, run.info.run_id, _LINES)]
    except ToolkitError:  # it has none yet, or it is elsewhere
        return ()
