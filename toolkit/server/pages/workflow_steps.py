"""The steps of a workflow's run: what the project declares, and what became of each."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

from toolkit.errors import ToolkitError
from toolkit.flows.children import children
from toolkit.flows.recorded_graph import GRAPH, GRAPH_PATH, PlannedStep, read_graph
from toolkit.server.pages import numbers, states
from toolkit.server.pages.asked import Asked
from toolkit.tracking.records import SYSTEM, Run, RunStatus, SearchQuery

STEP, ATTEMPT, TRIAL = "toolkit.step", "toolkit.attempt", "toolkit.trial"
BEST_RUN = "toolkit.best_run."
WORKFLOW = "toolkit.workflow"

ORDER = ("FAILED", "LOST", "RUNNING", "RETRYING", "WAITING", "SCHEDULED", "KILLED", "PRUNED", "FINISHED", "CACHED")
"""States, with those first that somebody should look at."""
DECLARED = "DECLARED"
"""State of a step of a workflow that has not run."""
_MOST_RUNS = 5_000
_WELL = ("FINISHED", "CACHED")
_OUTPUT = re.compile(r"runs:/([0-9a-f]{32})/([^\s,\]]+)")


@dataclass(frozen=True, kw_only=True)
class Item:
    """One run of a step, with its earlier tries.

    Attributes:
        tries: Its runs, the first try first.
        state: Of the last.
    """

    tries: Sequence[Run]
    state: str

    @property
    def run(self) -> Run:
        """The run of the last try."""
        return self.tries[-1]

    @property
    def metrics(self) -> Mapping[str, float]:
        """What it measured, without what it took of the machine."""
        return {key: value for key, value in sorted(self.run.data.metrics.items()) if not key.startswith(SYSTEM)}


@dataclass(frozen=True, kw_only=True)
class Step:
    """A step of a workflow's run.

    Attributes:
        name: Its name.
        plan: What the project declares of it; ``None`` where that is not known.
        items: Its runs; one, unless it is run for each of several values.
        state: Where it stands.
        reason: Why it did not run, where it did not.
        best: The run that a search found best.
        members: The steps that it stands for, where it stands for several.
    """

    name: str
    plan: PlannedStep | None
    items: Sequence[Item]
    state: str
    reason: str = ""
    best: str | None = None
    members: Sequence[Step] = ()

    @property
    def is_many(self) -> bool:
        """Whether it stands for several runs."""
        return bool(self.members) or len(self.items) > 1 or (self.plan is not None and self.plan.is_many)

    @property
    def size(self) -> int:
        """How many runs, or steps, it stands for."""
        return len(self.members) or len(self.items)

    @property
    def urgency(self) -> int:
        """Its place among steps of which somebody should look at the first first."""
        return _urgency(self.state)

    @property
    def counts(self) -> Sequence[tuple[str, int]]:
        """How many of its runs, or steps, are in each state."""
        found = Counter(each.state for each in self.members or self.items)
        return sorted(found.items(), key=lambda each: _urgency(each[0]))

    @property
    def start(self) -> int | None:
        """When its first try began."""
        return min((item.tries[0].info.start_time for item in self.items), default=None)

    def end(self, now: int) -> int | None:
        """Return when its last try ended; now while one runs."""
        return max((end_of(item.run, now) for item in self.items), default=None)

    @property
    def tries(self) -> int:
        """How often it was tried; of several runs the most."""
        return max((len(item.tries) for item in self.items), default=0)

    @property
    def shown(self) -> Item | None:
        """The run that is looked at first: one that is to be looked at, else the best, else the last."""
        if not self.items:
            return None
        best = next((item for item in self.items if item.run.info.run_id == self.best), None)
        if best is not None and self.state in _WELL:
            return best
        return min(self.items, key=lambda item: (_urgency(item.state), -item.run.info.start_time))


@dataclass(frozen=True, slots=True)
class Link:
    """A step that comes after another.

    Attributes:
        source: The step that comes first.
        target: The one that comes after it.
        gives: What the one takes of the other; empty where it only comes later.
    """

    source: str
    target: str
    gives: Sequence[str] = ()


@dataclass(frozen=True, kw_only=True)
class WorkflowRun:
    """A run of a workflow.

    Attributes:
        run: Its run.
        steps: Its steps, in the project's order, else in that in which they began.
        links: Which come after which.
        is_planned: Whether the project's graph is known, so that steps that have not begun are there too.
        has_run: Whether it has begun; if not, the run is none that is recorded.
    """

    run: Run
    steps: Sequence[Step]
    links: Sequence[Link]
    is_planned: bool
    has_run: bool = True

    @cached_property
    def by_name(self) -> Mapping[str, Step]:
        """The steps by their names."""
        return {step.name: step for step in self.steps}

    @cached_property
    def before(self) -> Mapping[str, Sequence[Link]]:
        """What leads to each step."""
        found: dict[str, list[Link]] = {step.name: [] for step in self.steps}
        for link in self.links:
            found[link.target].append(link)
        return found

    def step(self, name: str) -> Step | None:
        """Return a step by its name."""
        return self.by_name.get(name)

    def only(self, names: Collection[str]) -> WorkflowRun:
        """Return the same with some of the steps, and what is between them."""
        kept = frozenset(names)
        return replace(
            self,
            steps=[step for step in self.steps if step.name in kept],
            links=[link for link in self.links if link.source in kept and link.target in kept],
        )


def end_of(run: Run, now: int) -> int:
    """Return when a run ended; now while it runs."""
    info = run.info
    return info.end_time if info.end_time is not None else (info.start_time if info.status.terminal else now)


def read_workflow(asked: Asked, run: Run) -> WorkflowRun:
    """Return a workflow's run with its steps.

    Args:
        asked: The request.
        run: The workflow's run.
    """
    made = [child for child in children(asked.stores.runs, run.info.run_id) if STEP in child.data.tags]
    planned = graph_of(asked, run)
    steps = _steps(run, planned, made)
    return WorkflowRun(run=run, steps=steps, links=_links(steps), is_planned=bool(planned))


def read_standing(asked: Asked, run: Run) -> Sequence[Step]:
    """Return the steps of a workflow's run without what they logged, for who asks only how they stand.

    Args:
        asked: The request.
        run: The workflow's run; of very many runs of its steps the newest are read.
    """
    query = SearchQuery(
        filter=f"tags.`{STEP}` IS NOT NULL AND parent_run_id = '{run.info.run_id}'",
        order_by=["start_time DESC"],
        limit=_MOST_RUNS,
        fields=[f"tags.`{STEP}`", f"tags.`{ATTEMPT}`", *states.FIELDS],
    )
    made = asked.stores.runs.search_runs(query).items
    return _steps(run, graph_of(asked, run), made[::-1])


def _steps(run: Run, plan: Sequence[PlannedStep], made: Sequence[Run]) -> Sequence[Step]:
    """Return the steps that a workflow's run declares, and those that it made runs of."""
    planned = {step.name: step for step in plan}
    names = list(dict.fromkeys([*planned, *(child.data.tags[STEP] for child in made)]))
    by_step: dict[str, list[Run]] = {name: [] for name in names}
    for child in made:
        by_step[child.data.tags[STEP]].append(child)
    steps: dict[str, Step] = {}
    for name in names:
        steps[name] = _step(run, name, planned.get(name), by_step[name])
    for _ in names:  # who needs a step that did not run did not run either, whatever the order
        told = {name: _told(run, step, steps) for name, step in steps.items()}
        if told == steps:
            break
        steps = told
    return list(steps.values())


def graph_of(asked: Asked, run: Run) -> Sequence[PlannedStep]:
    """Return the steps that a workflow's run declares; none where it does not say so."""
    text = run.data.tags.get(GRAPH) or _graph_file(asked, run)
    try:
        return read_graph(text) if text else ()
    except ValueError:  # of another version, or written by somebody else
        return ()


def _graph_file(asked: Asked, run: Run) -> str:
    if WORKFLOW not in run.data.tags:
        return ""
    from toolkit.server.artifacts.files import Files  # noqa: PLC0415 - here alone

    files = Files(asked.stores, asked.catalog)
    try:
        with files.open(files.of_run(run.info.run_id, GRAPH_PATH)).stream as stream:
            return stream.read(_LONGEST_GRAPH).decode(errors="replace")
    except ToolkitError:  # it has none
        return ""


_LONGEST_GRAPH = 8_000_000


def state_of_step(run: Run, *, retries: int = 0, goes_on: bool = False) -> str:
    """Return the state of a step's run as people see it.

    Args:
        run: The run.
        retries: How often it is tried again.
        goes_on: Whether the workflow's run goes on.
    """
    if run.info.status is RunStatus.FAILED and goes_on and _attempt(run) <= retries:
        return "RETRYING"
    return states.state_of(run)


def _step(whole: Run, name: str, plan: PlannedStep | None, runs: Sequence[Run]) -> Step:
    tries: dict[str, list[Run]] = {}
    for run in sorted(runs, key=lambda run: (run.info.start_time, _attempt(run))):
        tries.setdefault(run.info.run_name, []).append(run)
    goes_on = whole.info.status is RunStatus.RUNNING
    retries = plan.retries if plan else 0
    items = [
        Item(tries=each, state=state_of_step(each[-1], retries=retries, goes_on=goes_on)) for each in tries.values()
    ]
    best = whole.data.tags.get(BEST_RUN + name)
    state = _state([item.state for item in items], found=best is not None, goes_on=goes_on)
    return Step(name=name, plan=plan, items=items, state=state, best=best)


def _attempt(run: Run) -> int:
    number = numbers.whole(run.data.tags.get(ATTEMPT, ""))
    return 1 if number is None else number


def _state(states: Sequence[str], *, found: bool, goes_on: bool) -> str:
    """Return the state of a step by those of its runs; a search that has found its best has ended well."""
    if not states:
        return "WAITING" if goes_on else "SKIPPED"
    if found or set(states) <= {"FINISHED", "CACHED", "PRUNED"}:
        return "CACHED" if set(states) == {"CACHED"} else "FINISHED"
    if goes_on and {"RUNNING", "RETRYING", "SCHEDULED"} & set(states):
        return "RUNNING" if "RUNNING" in states else "RETRYING" if "RETRYING" in states else "SCHEDULED"
    return min(states, key=_urgency)


def as_one(name: str, steps: Sequence[Step]) -> Step:
    """Return a step that stands for several."""
    items = [item for step in steps for item in step.items]
    return Step(
        name=name, plan=None, items=items, state=min((s.state for s in steps), key=_urgency), members=list(steps)
    )


def _urgency(state: str) -> int:
    return ORDER.index(state) if state in ORDER else len(ORDER)


def _told(whole: Run, step: Step, steps: Mapping[str, Step]) -> Step:
    """Return a step that did not run with the reason for it."""
    if step.items or step.plan is None:
        return step
    needs = [steps[name] for name in step.plan.needs if name in steps]
    goes_on = whole.info.status is RunStatus.RUNNING
    blocked = [need for need in needs if need.state in ("FAILED", "LOST", "KILLED", "SKIPPED")]
    if blocked:
        said = ", ".join(f"{need.name}, which {_ENDS[need.state]}" for need in blocked)
        return Step(name=step.name, plan=step.plan, items=(), state="SKIPPED", reason=f"needs {said}")
    if goes_on:
        open_ = [need.name for need in needs if need.state not in _WELL]
        asks = f"runs only if {_bare(step.plan.when)}" if step.plan.when else ""
        reason = f"waits for {', '.join(open_)}" if open_ else asks
        return Step(name=step.name, plan=step.plan, items=(), state="WAITING", reason=reason)
    if step.plan.when and whole.info.status in (RunStatus.FINISHED, RunStatus.FAILED):
        reason = f"its condition was not met: {_bare(step.plan.when)}"
    else:
        reason = "the workflow's run ended before it began"
    return Step(name=step.name, plan=step.plan, items=(), state="SKIPPED", reason=reason)


_ENDS = {"FAILED": "failed", "LOST": "was lost", "KILLED": "was stopped", "SKIPPED": "did not run"}


def _bare(expression: str) -> str:
    text = expression.strip()
    return text[3:-2].strip() if text.startswith("${{") and text.endswith("}}") and text.count("${{") == 1 else text


def _declared(steps: Sequence[Step]) -> dict[tuple[str, str], list[str]]:
    gives: dict[tuple[str, str], list[str]] = {}
    for step in steps:
        for name, taken in (step.plan.needs if step.plan else {}).items():
            gives[name, step.name] = [each.removeprefix("outputs.") for each in taken]
    return gives


def declared_links(steps: Sequence[Step]) -> Sequence[Link]:
    """Return which steps come after which as the project says."""
    names = {step.name for step in steps}
    return [Link(*pair, tuple(taken)) for pair, taken in _declared(steps).items() if names.issuperset(pair)]


def _links(steps: Sequence[Step]) -> Sequence[Link]:
    """Return which steps come after which: as the project says, and as parameters of runs say."""
    gives = _declared(steps)
    owner = {run.info.run_id: step.name for step in steps for item in step.items for run in item.tries}
    for step in steps:
        for item in step.items:
            for value in item.run.data.params.values():
                for run_id, path in _OUTPUT.findall(value):
                    source = owner.get(run_id)
                    if source is None or source == step.name:
                        continue
                    known = gives.setdefault((source, step.name), [])
                    if step.plan is None and path not in known:
                        known.append(path)
    names = {step.name for step in steps}
    return [Link(*pair, tuple(taken)) for pair, taken in gives.items() if names.issuperset(pair)]
