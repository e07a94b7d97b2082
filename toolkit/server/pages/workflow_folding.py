"""Many steps as few: those that are called alike become one, so that a large graph can be looked at."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from toolkit.server.pages.workflow_steps import Link, Step, WorkflowRun, as_one

_NUMBER = re.compile(r"[-_./ #]?\d+")
_FEWEST = 3
_MOST_LISTED = 500


@dataclass(frozen=True, kw_only=True)
class Folded:
    """A graph whose steps are folded.

    Attributes:
        nodes: Steps, and such that stand for several; none where even these are too many.
        links: Between them.
        members: The steps that each node stands for, where it stands for several.
        patterns: What chooses these.
        listed: The steps, those first that somebody should look at.
        left_out: How many more there are.
    """

    nodes: Sequence[Step]
    links: Sequence[Link]
    members: Mapping[str, Sequence[Step]]
    patterns: Mapping[str, str]
    listed: Sequence[Step]
    left_out: int


def fold(found: WorkflowRun, *, most: int) -> Folded:
    """Return a graph with steps that differ only in numbers folded.

    Args:
        found: The workflow's run.
        most: How many nodes can be drawn.
    """
    groups: dict[str, list[Step]] = {}
    for step in found.steps:
        groups.setdefault(_pattern(step.name), []).append(step)
    names: dict[str, str] = {}
    nodes: list[Step] = []
    members: dict[str, Sequence[Step]] = {}
    for pattern, steps in groups.items():
        if len(steps) < _FEWEST:
            nodes += steps
            names |= {step.name: step.name for step in steps}
            continue
        nodes.append(as_one(pattern, steps))
        members[pattern] = steps
        names |= {step.name: pattern for step in steps}
    gives: dict[tuple[str, str], dict[str, None]] = {}
    for link in found.links:
        source, target = names[link.source], names[link.target]
        if source != target:
            gives.setdefault((source, target), {}).update(dict.fromkeys(link.gives))
    listed = sorted(found.steps, key=lambda step: step.urgency)
    return Folded(
        nodes=nodes if len(nodes) <= most else (),
        links=[Link(*pair, tuple(taken)) for pair, taken in gives.items()] if len(nodes) <= most else (),
        members=members,
        patterns={pattern: f'"{pattern}"' if re.search(r"[\s(),]", pattern) else pattern for pattern in members},
        listed=listed[:_MOST_LISTED],
        left_out=max(0, len(listed) - _MOST_LISTED),
    )


def _pattern(name: str) -> str:
    """Return a name with a star for each number in it."""
    return _NUMBER.sub(lambda match: match.group()[: -len(match.group().lstrip("-_./ #"))] + "*", name)
