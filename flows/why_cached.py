"""Why a step's results were taken over, or why they were not: what is different from the nearest earlier run of it."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from toolkit.errors import InvalidValue, NotFound, ToolkitError
from toolkit.flows.children import children
from toolkit.flows.code_state import Manifest
from toolkit.flows.resume import STEP
from toolkit.flows.step import LOCK_PATH
from toolkit.flows.step_cache import (
    CACHE,
    CACHE_KEY,
    MISS,
    NOT_ASKED_FOR,
    NOT_DECLARED,
    OFF,
    REFRESHED,
    RESUMED,
    manifest_path,
    nearest,
    read_keys,
)
from toolkit.flows.step_key import Change, Components
from toolkit.flows.taking import CACHED_FROM
from toolkit.recording.run import RecordedRun
from toolkit.recording.stores import Stores
from toolkit.tracking.records import Lifecycle, Run, RunStatus
from toolkit.tracking.step_keys import StepKey, StepKeyQuery

_COMPARED = 200
_NAMED = 20
_LEFT_ALONE = {
    OFF: "it was run with --no-cache",
    NOT_ASKED_FOR: "its step has no `cache: true`",
    NOT_DECLARED: "its entry point declares neither `outputs` nor `metrics`, so nobody knows what it leaves",
    REFRESHED: "it was run again because of --refresh",
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Reason:
    """One thing that is different.

    Attributes:
        text: What.
        details: Which files, which packages, what to look at next; a line each.
    """

    text: str
    details: Sequence[str] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class Explanation:
    """Why a run of a step is what it is.

    Attributes:
        run_id: The run.
        run_name: Its name.
        step: Its step.
        state: What the cache had to do with it: ``hit``, ``miss``, ``resumed``, ``refreshed``, ``off`` and others;
            ``unknown`` where the run does not say.
        text: That in a sentence.
        key: Its key.
        taken_from: The run whose results it took over.
        compared_with: The earlier run that differs least.
        reasons: What is different from that.
    """

    run_id: str
    run_name: str
    step: str
    state: str
    text: str
    key: str | None = None
    taken_from: str | None = None
    compared_with: str | None = None
    reasons: Sequence[Reason] = ()


def explain(stores: Stores, run: Run) -> list[Explanation]:
    """Explain a run of a step, or each step of a workflow's run.

    Raises:
        InvalidValue: The run is neither.
    """
    if STEP in run.data.tags:
        return [_explain(stores, run)]
    found = [_explain(stores, child) for child in children(stores.runs, run.info.run_id) if STEP in child.data.tags]
    if not found:
        raise InvalidValue(f"run {run.info.run_id} is no run of a step, and has no steps: the cache is for steps")
    return found


def _explain(stores: Stores, run: Run) -> Explanation:
    tags = run.data.tags
    state, origin = tags.get(CACHE, "unknown"), tags.get(CACHED_FROM)
    said = Explanation(
        run_id=run.info.run_id,
        run_name=run.info.run_name,
        step=tags[STEP],
        state=state,
        text=_LEFT_ALONE.get(state, "the cache had nothing to do with it"),
        key=tags.get(CACHE_KEY),
        taken_from=origin,
    )
    if origin is not None:
        return replace(said, text=_taken_over(stores, state, origin))
    if state == MISS:
        return _missed(stores, run, said)
    return said


def _taken_over(stores: Stores, state: str, origin: str) -> str:
    if state == RESUMED:
        return f"its results were taken over from run {origin}: the run that was resumed had finished this step"
    told = f"its results were taken over from run {origin}"
    try:
        info = stores.runs.get_run(origin).info
    except NotFound:
        return f"{told}, which was removed since"
    gone = ", and was deleted since" if info.lifecycle_stage is Lifecycle.DELETED else ""
    return (
        f"{told}, by {info.user_id}{gone}: the command, the parameters, the code, the environment, the inputs and the"
        " steps before it are the same"
    )


def _missed(stores: Stores, run: Run, said: Explanation) -> Explanation:
    own = _own_key(stores, run)
    if own is None:
        return replace(said, text="nothing that could be taken over was found; what its key was made of is not known")
    key, components = own
    query = StepKeyQuery(family=key.family, before=run.info.start_time + 1, limit=_COMPARED)
    earlier = [each for each in read_keys(stores.runs.find_step_keys(query)) if each[0].run_id != run.info.run_id]
    found = nearest(components, earlier)
    if found is None:
        return replace(said, text="it was the first run of this step: there was nothing to take over")
    other, differences = found
    if not differences:
        return replace(said, text=_unusable(stores, other), compared_with=other.run_id)
    return replace(
        said,
        text=f"nothing was taken over: since run {other.run_id}, the nearest earlier one, this has changed",
        compared_with=other.run_id,
        reasons=[_reason(stores, run, other, change) for change in differences],
    )


def _own_key(stores: Stores, run: Run) -> tuple[StepKey, Components] | None:
    found = read_keys(stores.runs.find_step_keys(StepKeyQuery(run_ids=[run.info.run_id])))
    return found[0] if found else None


def _unusable(stores: Stores, other: StepKey) -> str:
    """Say why an earlier run of the same key could not be taken over."""
    same = f"nothing has changed since run {other.run_id}, but nothing could be taken over from it"
    info = stores.runs.get_run(other.run_id).info
    if info.status is not RunStatus.FINISHED:
        return f"{same}: it is {info.status}"
    if info.lifecycle_stage is Lifecycle.DELETED:
        return f"{same}: it was deleted"
    if not other.reusable:
        return f"{same}: its results were struck off, or were not to be kept"
    return f"{same}: both ran at the same time"


# -- component by component ------------------------------------------------------------------------


def _reason(stores: Stores, run: Run, other: StepKey, change: Change) -> Reason:
    details: Sequence[str] = ()
    match change.kind:
        case "code":
            details = _files(stores, run, other, change)
        case "environment":
            details = _packages(stores, run, other)
        case "input":
            details = [f"digest {_digest(change.old)} -> {_digest(change.new)}"]
        case "command" | "outputs":
            details = [f"was {change.old}", f"is  {change.new}"]
        case "before":
            details = _before(stores, run, change)
    return Reason(text=str(change), details=details)


def _digest(digest: str | None) -> str:
    return "none" if digest is None else digest[:12]


def _files(stores: Stores, run: Run, other: StepKey, change: Change) -> list[str]:
    try:
        before = _manifest(stores, stores.runs.get_run(other.run_id), change.old)
        now = _manifest(stores, run, change.new)
    except (ToolkitError, ValueError, OSError) as error:
        return [f"which files is not known: {error}"]
    lines = []
    for path in sorted(before.keys() | now.keys()):
        if before.get(path) != now.get(path):
            how = "added" if path not in before else "removed" if path not in now else "changed"
            lines.append(f"{how} {path}")
    return _first(lines)


def _manifest(stores: Stores, run: Run, digest: str | None) -> Mapping[str, str]:
    """Return the files of a step's code: its workflow's run lists them."""
    if run.info.parent_run_id is None or digest is None:
        raise NotFound("the run is no part of another")
    parent = RecordedRun(stores, stores.runs.get_run(run.info.parent_run_id))
    return Manifest.of_text(_text(parent, manifest_path(digest))).files


def _packages(stores: Stores, run: Run, other: StepKey) -> list[str]:
    try:
        before = _locked(_text(RecordedRun(stores, stores.runs.get_run(other.run_id)), LOCK_PATH))
        now = _locked(_text(RecordedRun(stores, run), LOCK_PATH))
    except (ToolkitError, ValueError, OSError) as error:
        return [f"which packages is not known: {error}"]
    changed = sorted(name for name in before.keys() | now.keys() if before.get(name) != now.get(name))
    told = [f"{name} {before.get(name, 'none')} -> {now.get(name, 'none')}" for name in changed]
    return _first(told) or ["what its container is given"]


def _locked(text: str) -> dict[str, str]:
    """Return the version of each line of a lock, by name."""
    found = {}
    for line in text.splitlines():
        name, equals, version = line.partition("==")
        if not equals:
            name, _, version = line.removeprefix("# ").partition(" ")
        found[name.strip()] = version.strip() or "there"
    return found


def _before(stores: Stores, run: Run, change: Change) -> list[str]:
    if change.old is None or change.new is None:
        return ["it was not there before" if change.old is None else "it is no longer there"]
    keys = set(change.new.split())
    parent = run.info.parent_run_id
    ran = [
        f"toolkit runs why-cached {child.info.run_id}"
        for child in (children(stores.runs, parent) if parent else [])
        if child.data.tags.get(STEP) == change.name and child.data.tags.get(CACHE_KEY) in keys
    ]
    return [f"see {line}" for line in ran[:3]] or ["it has no key of its own, so nobody can tell"]


def _first(lines: list[str]) -> list[str]:
    return lines if len(lines) <= _NAMED else [*lines[:_NAMED], f"and {len(lines) - _NAMED} more"]


def _text(run: RecordedRun, path: str) -> str:
    """Return the text of an artifact.

    Raises:
        ToolkitError: There is none, or it cannot be read.
    """
    for entry in run.stores.runs.list_artifacts(run.run_id, prefix=path).items:
        with tempfile.TemporaryDirectory(prefix="toolkit-") as folder:
            target = Path(folder) / "text"
            run.fetch(entry, target)
            return target.read_text(encoding="utf-8", errors="surrogateescape")
    raise NotFound(f"run {run.run_id} has no {path}")


def lines(explanations: Sequence[Explanation]) -> Iterator[str]:
    """Give explanations as lines of text."""
    for each in explanations:
        yield f"{each.run_name}  {each.run_id}  {each.state}"
        yield f"  {each.text}"
        for reason in each.reasons:
            yield f"  - {reason.text}"
            for detail in reason.details:
                yield f"      {detail}"
