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
    """

    name: str
    needs: Mapping[str, Sequence[str]] = field(default_factory=dict)
    foreach: Sequence[str] = ()
    searches: Sequence[str] = ()
    when: str = ""
    retries: int = 0
    entry_point: str = ""

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
    steps = [asdict(_planned(step)) for step in plan.workflow.steps.values()]
    told = [{key: value for key, value in step.items() if value} for step in steps]
    return json.dumps({"schema": _SCHEMA, "steps": told}, separators=(",", ":"))


def read_graph(text: str) -> Sequence[PlannedStep]:
    """Return what `graph_text` told.

    Raises:
        ValueError: It is another text.
    """
    try:
        told = json.loads(text)
        if told["schema"] != _SCHEMA:
            raise ValueError(f"a graph of schema {told['schema']!r}")
        return [PlannedStep(**step) for step in told["steps"]]
    except (TypeError, KeyError, RecursionError) as error:
        raise ValueError("not a recorded graph") from error


def _planned(step: Step) -> PlannedStep:
    needs: dict[str, list[str]] = {name: [] for name in sorted(dependencies(step))}
    for template in templates(step):
        for reference in template.references:
            root, *path = reference.path
            if root != "steps" or len(path) < 2:
                continue
            name, taken = path[0], ".".join(path[1:]).removeprefix("best.")
            if taken not in needs[name]:
                needs[name].append(taken)
    return PlannedStep(
        name=step.name,
        needs=needs,
        foreach=list(step.foreach),
        searches=list(step.search.parameters) if step.search else [],
        when=str(step.when.source) if step.when else "",
        retries=step.retries,
        entry_point=step.entry_point or "",
    )
