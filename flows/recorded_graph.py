"""The graph of a workflow as its run records it, before the first step begins: so that it can be shown meanwhile."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING

from toolkit.recording.run import TAG_LIMIT
from toolkit.spec.graph import dependencies, templates

if TYPE_CHECKING:
    from toolkit.flows.plan import Plan
    from toolkit.spec.project import Step

GRAPH = "toolkit.graph"
"""Tag of a workflow's run: its steps and what each needs, as JSON."""
GRAPH_PATH = "source/graph.json"
"""Artifact that holds it where it is longer than a tag can be."""
_SCHEMA = 1
_LONGEST = 200  # characters of a value that are told


@dataclass(frozen=True, kw_only=True, slots=True)
class PlannedStep:
    """A step as the project declares it.

    Attributes:
        name: Its name.
        needs: The steps that must have ended well before it, and what it takes of each: ``outputs.train``; nothing
            where it only comes later.
        foreach: The parameters that it is run once for each value of.
        searches: The parameters whose best values it looks for.
        when: The condition on which it runs; empty: always.
        retries: How often it is tried again.
        entry_point: What it runs; empty where it only registers or deploys.
        cache: Whether an earlier result may be used again.
        timeout: Seconds after which a try is ended; 0: none.
        concurrency: How many of its runs go on at the same time at most; 0: no limit of its own.
        gives: What it gives to the entry point, by parameter, as the project writes it; of ``foreach`` and of a search
            what they vary.
        defaults: The entry point's defaults of what it does not give.
        outputs: What it leaves, by name, and where.
    """

    name: str
    needs: Mapping[str, Sequence[str]] = field(default_factory=dict)
    foreach: Sequence[str] = ()
    searches: Sequence[str] = ()
    when: str = ""
    retries: int = 0
    entry_point: str = ""
    cache: bool = False
    timeout: float = 0
    concurrency: int = 0
    gives: Mapping[str, str] = field(default_factory=dict)
    defaults: Mapping[str, str] = field(default_factory=dict)
    outputs: Mapping[str, str] = field(default_factory=dict)

    @property
    def is_many(self) -> bool:
        """Whether it makes a run for each of several values."""
        return bool(self.foreach or self.searches)


def graph_tag(plan: Plan) -> dict[str, str]:
    """Return the tag that tells a plan's graph; none where it is longer than a tag can be."""
    text = graph_text(plan)
    return {GRAPH: text} if len(text) <= TAG_LIMIT else {}


def graph_text(plan: Plan) -> str:
    """Return a plan's graph as JSON."""
    steps = [asdict(each) for each in planned_steps(plan)]
    told = [{key: value for key, value in step.items() if value} for step in steps]
    return json.dumps({"schema": _SCHEMA, "steps": told}, separators=(",", ":"))


def planned_steps(plan: Plan) -> Sequence[PlannedStep]:
    """Return a plan's steps as its graph tells them."""
    return [_planned(plan, step) for step in plan.workflow.steps.values()]


def read_graph(text: str) -> Sequence[PlannedStep]:
    """Return what `graph_text` told.

    Raises:
        ValueError: It is another text.
    """
    try:
        told = json.loads(text)
        if told["schema"] != _SCHEMA:
            raise ValueError(f"a graph of schema {told['schema']!r}")
        check_text(told)
        known = PlannedStep.__slots__  # what a later version tells besides is left out
        steps = [PlannedStep(**{key: step[key] for key in step if key in known}) for step in told["steps"]]
        if not all(_is_sound(step) for step in steps):
            raise TypeError
        return steps
    except (TypeError, KeyError, AttributeError, RecursionError) as error:
        raise ValueError("not a recorded graph") from error


def check_text(told: object) -> None:
    """Check that what JSON told can be written into a page: its escapes may have made halves of characters.

    Raises:
        ValueError: It cannot.
    """
    json.dumps(told, ensure_ascii=False).encode()


def _is_sound(step: PlannedStep) -> bool:
    """Tell whether what was read has the form of a step: anybody may have written it."""
    texts = [step.name, step.when, step.entry_point, *step.foreach, *step.searches]
    lists = [step.foreach, step.searches, *step.needs.values()]
    texts += [text for pair in (*step.gives.items(), *step.defaults.items(), *step.outputs.items()) for text in pair]
    numbers = [step.retries, step.timeout, step.concurrency]
    return (
        all(isinstance(each, str) for each in (*texts, *step.needs, *(one for part in lists for one in part)))
        and all(isinstance(each, list | tuple) for each in lists)
        and all(isinstance(each, int | float) and abs(each) < 2**63 for each in numbers)
    )


def _planned(plan: Plan, step: Step) -> PlannedStep:
    entry = plan.entry_points[step.name]
    needs: dict[str, list[str]] = {name: [] for name in sorted(dependencies(step))}
    for template in templates(step):
        for reference in template.references:
            root, *path = reference.path
            if root != "steps" or len(path) < 2:
                continue
            name, taken = path[0], ".".join(path[1:]).removeprefix("best.")
            if taken not in needs[name]:
                needs[name].append(taken)
    given = {*step.parameters, *step.foreach, *(step.search.parameters if step.search else ())}
    return PlannedStep(
        name=step.name,
        needs=needs,
        foreach=list(step.foreach),
        searches=list(step.search.parameters) if step.search else [],
        when=str(step.when.source) if step.when else "",
        retries=step.retries,
        entry_point=step.entry_point or "",
        cache=step.cache,
        timeout=step.timeout or 0,
        concurrency=step.concurrency or 0,
        gives=_gives(step),
        defaults={
            name: _cut(parameter.default)
            for name, parameter in entry.parameters.items()
            if parameter.default is not None and name not in given
        },
        outputs={name: _cut(path) for name, path in entry.outputs.items()},
    )


def _gives(step: Step) -> dict[str, str]:
    found = {name: template.source for name, template in {**step.parameters, **step.foreach}.items()}
    if step.search is not None:
        found["search"] = step.search.template.source
    return {name: _cut(value) for name, value in found.items()}


def _cut(value: object) -> str:
    text = value if isinstance(value, str) else json.dumps(value, default=str)
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"
