"""What the box of a step, its row and its bars say."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from toolkit.server.pages import numbers, times
from toolkit.server.pages.cells import cut
from toolkit.server.pages.states import look
from toolkit.server.pages.workflow_steps import DECLARED, TRIAL, Item, Step

_TITLE, _LINE = 20, 25  # characters for which a step's box has room


@dataclass(frozen=True, kw_only=True, slots=True)
class Face:
    """What the box of a step says.

    Attributes:
        title: Its name, so short that it fits.
        line: How long it took and one metric; or why it did not run.
        badges: What else is to be known at a glance: cached, tried again, of how many.
        shares: Of a step that stands for many runs the share of each state, in percent: where it begins, how wide it
            is, and its tone.
        said: All of it, for who does not see it.
    """

    title: str
    line: str
    badges: Sequence[str]
    shares: Sequence[tuple[float, float, str]]
    said: str


def length(step: Step, now: int) -> int | None:
    """Return how long a step took, from its first run's beginning to its last one's end."""
    end = step.end(now)
    return None if step.start is None or end is None else max(0, end - step.start)


_SIGNS = {
    "FINISHED": "✓",
    "CACHED": "↺",
    "RUNNING": "●",
    "RETRYING": "↻",
    "FAILED": "×",
    "LOST": "×",
    "KILLED": "■",
    "PRUNED": "○",
    "SKIPPED": "○",
}


def face(step: Step, now: int) -> Face:
    """Return what the box of a step says."""
    took = length(step, now)
    word = look(step.state).word
    facts = [word.lower()] if step.state == "CACHED" else [times.duration(took)] if took is not None else []
    told = "" if step.members else metric_of(step)
    declared = declared_of(step) if step.state == DECLARED else []
    line = " · ".join([*facts, *([told] if told else [])]) or ", ".join(declared) or step.reason
    line = line or ("" if step.state == DECLARED else word)
    if len(line) > _LINE and told:
        line = told
    if step.is_many and len(step.counts) > 1:
        line = " ".join(f"{number}\u202f{_SIGNS.get(state, '…')}" for state, number in step.counts)
    return Face(
        title=_short(step.name, _TITLE - sum(len(badge) + 1 for badge in _badges(step))),
        line=_short(line, _LINE),
        badges=_badges(step),
        shares=_shares(step) if step.is_many else (),
        said=", ".join(_said(step, word, [*facts, *([told] if told else []), *declared])),
    )


def _badges(step: Step) -> Sequence[str]:
    badges = [f"×{step.size}"] if step.is_many and step.size else []
    if step.tries > 1:
        badges.append(f"try {step.tries}")
    return badges


def _said(step: Step, word: str, facts: Sequence[str]) -> Sequence[str]:
    said = [step.name, word]
    if step.is_many and step.size:
        counts = ", ".join(f"{number} {look(state).word.lower()}" for state, number in step.counts)
        said.append(f"{step.size} {'steps' if step.members else 'runs'}: {counts}")
    said += facts
    if step.tries > 1:
        said.append(f"tried {step.tries} times")
    return [*said, step.reason] if step.reason else said


def declared_of(step: Step) -> list[str]:
    """Return what a project says of how a step is run, in few words."""
    plan = step.plan
    if plan is None:
        return []
    said = [f"for each {', '.join(plan.foreach)}"] if plan.foreach else []
    said += [f"searches {', '.join(plan.searches)}"] if plan.searches else []
    said += ["on a condition"] if plan.when else []
    said += [f"{plan.retries} {'retry' if plan.retries == 1 else 'retries'}"] if plan.retries else []
    said += ["cached"] if plan.cache else []
    if not said and plan.entry_point and plan.entry_point != step.name:
        said.append(f"runs {plan.entry_point}")
    if not said and plan.outputs:
        said.append(f"leaves {', '.join(plan.outputs)}")
    return said


def _short(text: str, longest: int) -> str:
    return text if len(text) <= longest else f"{text[: longest - 1]}…"


def _shares(step: Step) -> Sequence[tuple[float, float, str]]:
    total = step.size or 1
    at, found = 0.0, []
    for state, number in step.counts:
        found.append((at, number / total * 100, look(state).tone))
        at += number / total * 100
    return found


def metric_of(step: Step | Item) -> str:
    """Return one metric as text: of several runs from the least to the greatest, of a search the best."""
    items = [step] if isinstance(step, Item) else step.items
    if isinstance(step, Step) and step.best and step.shown is not None:
        items = [step.shown]
    keys = list(dict.fromkeys(key for item in items for key in item.metrics))
    if not keys:
        return ""
    values = [item.metrics[keys[0]] for item in items if keys[0] in item.metrics]
    finite = [value for value in values if math.isfinite(value)] or values
    digits = numbers.digits_of(finite)
    low, high = numbers.metric(min(finite), digits), numbers.metric(max(finite), digits)
    return f"{keys[0].rpartition('/')[2]} {low}" + (f" – {high}" if low != high else "")


def by_urgency(step: Step) -> Sequence[Item]:
    """Return the runs of a step: the best, then those that somebody should look at, else in their order."""
    order = {state: number for number, (state, _) in enumerate(step.counts)}
    trials = {item.run.info.run_id: item.run.data.tags.get(TRIAL, "") for item in step.items}

    def place(item: Item) -> tuple[bool, int, int]:
        number = trials[item.run.info.run_id]
        return item.run.info.run_id != step.best, order[item.state], numbers.whole(number) or 0

    return sorted(step.items, key=place)


def brief(value: str) -> str:
    """Return a parameter's value in so few characters that a column has room: a number in four digits."""
    try:
        return numbers.metric(float(value)) if len(value) > _TITLE // 2 else value
    except ValueError:
        return cut(value, 40)


def part_of(step: Step, item: Item) -> str:
    """Return what tells a run from the others of its step: of a trial its number alone, as its values stand beside."""
    text = item.run.info.run_name.removeprefix(step.name).strip() or item.run.info.run_name
    number = item.run.data.tags.get(TRIAL)
    return f"trial {number}" if number else text


def varied(step: Step) -> Sequence[str]:
    """Return the parameters in which the runs of a step differ, those that the project varies first."""
    declared = [*step.plan.foreach, *step.plan.searches] if step.plan else []
    values: dict[str, set[str]] = {}
    for item in step.items:
        for key, value in item.run.data.params.items():
            values.setdefault(key, set()).add(value)
    differ = sorted(key for key, found in values.items() if len(found) > 1)
    return list(dict.fromkeys([*(key for key in declared if key in values), *differ]))[:4]
