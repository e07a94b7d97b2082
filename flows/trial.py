"""A trial of a search: its number, its values, and what became of it; also read back from the run that it was."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Literal

from toolkit.errors import NotFound
from toolkit.tracking.records import Run, RunQuery, RunStatus
from toolkit.tracking.store import RunStore

TRIAL = "toolkit.trial"
"""Tag of a trial's run: its number, from 0."""
TRIAL_VALUES = "toolkit.trial_values"
"""Tag of a trial's run: the values of what is varied, as JSON."""
SEARCH_SEED = "toolkit.search_seed"
"""Tag of a trial's run: what chance began with."""
PRUNED = "toolkit.pruned"
"""Tag of a run that was stopped because it did not look good: where it stood then, as JSON of step to value."""

_STEP = "toolkit.step"
_RESUMED_FROM = "toolkit.resumed_from"
_KEPT_POINTS = 100


@dataclass(frozen=True, kw_only=True, slots=True)
class Trial:
    """One try of a search.

    Attributes:
        number: Its number, from 0.
        values: What is varied, by parameter.
    """

    number: int
    values: Mapping[str, object]

    def tags(self, seed: int) -> dict[str, str]:
        """Return the tags of its run."""
        return {TRIAL: str(self.number), TRIAL_VALUES: json.dumps(dict(self.values)), SEARCH_SEED: str(seed)}


@dataclass(frozen=True, kw_only=True, slots=True)
class EarlierTrial:
    """A trial of the run that this one goes on from.

    Attributes:
        trial: The trial.
        state: Whether it has ended well, was pruned, or is to be tried again.
        points: Of one that was pruned, the metric by step.
        seed: What chance began with then.
    """

    trial: Trial
    state: Literal["finished", "pruned", "open"]
    points: Mapping[int, float]
    seed: int


def pruned_tag(points: Mapping[int, float]) -> dict[str, str]:
    """Return the tag of a run that is pruned after these points of the metric, by step."""
    last = list(points.items())[-_KEPT_POINTS:]
    return {PRUNED: json.dumps({str(step): value for step, value in last})}


def earlier_trials(runs: RunStore, run: Run, step: str) -> list[EarlierTrial]:
    """Return what a workflow's run has tried for a step, and those runs that it went on from; by number.

    Args:
        runs: Where it is.
        run: The workflow's run.
        step: The step.
    """
    found: dict[int, EarlierTrial] = {}
    seen: set[str] = set()
    current: Run | None = run
    while current is not None and current.info.run_id not in seen:
        seen.add(current.info.run_id)
        for trial in _trials_of(runs, current.info.run_id, step):
            known = found.get(trial.trial.number)
            if known is None or known.state == "open":
                found[trial.trial.number] = trial
        current = _before(runs, current)
    return [found[number] for number in sorted(found)]


def _before(runs: RunStore, run: Run) -> Run | None:
    before = run.data.tags.get(_RESUMED_FROM)
    try:
        return runs.get_run(before) if before else None
    except NotFound:
        return None


def _trials_of(runs: RunStore, parent: str, step: str) -> list[EarlierTrial]:
    found = []
    query = RunQuery(parent_run_id=parent)
    while True:
        page = runs.list_runs(query)
        found += [trial for run in page.items if (trial := _read(run, step)) is not None]
        if page.next_page_token is None:
            return sorted(found, key=lambda trial: trial.state == "open")  # a retry that ended well comes first
        query = replace(query, page_token=page.next_page_token)


def _read(run: Run, step: str) -> EarlierTrial | None:
    tags = run.data.tags
    if tags.get(_STEP) != step or TRIAL not in tags:
        return None
    try:
        trial = Trial(number=int(tags[TRIAL]), values=dict(json.loads(tags[TRIAL_VALUES])))
        seed = int(tags.get(SEARCH_SEED, "0"))
        points = {int(at): float(value) for at, value in json.loads(tags.get(PRUNED, "{}")).items()}
    except (ValueError, KeyError, TypeError, AttributeError):
        return None  # somebody has changed the tags: it is not counted
    if run.info.status is RunStatus.FINISHED:  # also one that was faster than the wish to prune it
        return EarlierTrial(trial=trial, state="finished", points={}, seed=seed)
    return EarlierTrial(trial=trial, state="pruned" if PRUNED in tags else "open", points=points, seed=seed)
