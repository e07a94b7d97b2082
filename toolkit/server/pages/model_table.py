"""What the table of a model's versions shows beside their names: how each does at gates, its metrics, its files."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from markupsafe import Markup

from toolkit.errors import ToolkitError
from toolkit.registry.gates import Example
from toolkit.registry.history import Held
from toolkit.registry.promotion import Policy
from toolkit.registry.records import ModelVersion, RegisteredModel, Stage
from toolkit.server.pages import numbers
from toolkit.server.pages.directions import lower_is_better
from toolkit.server.pages.model_files import Contract, contract_of

if TYPE_CHECKING:
    from toolkit.server.pages.asked import Asked

WIDTH, HEIGHT = 320, 84
_EDGE = 10
_AT_ONCE = 8
_USUAL, _MOST = 4, 12
_TARGETS = 3
_FIRST = ("champion", "production", "prod")
"""Aliases that stand for what is in production where no stage does."""

Item = TypeVar("Item")
Found = TypeVar("Found")


@dataclass(frozen=True, kw_only=True, slots=True)
class Cell:
    """A metric of a version.

    Attributes:
        text: The value.
        exact: The value in full.
        gap: By how much it differs from the version in production; empty where there is nothing to compare.
        better: Whether that is better; None where nobody can say.
    """

    text: str
    exact: str
    gap: str = ""
    better: bool | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Passed:
    """How a version does at the gates of a stage or an alias.

    Attributes:
        target: The stage, or the alias with ``@``.
        passed: How many gates it passes.
        total: How many there are.
    """

    target: str
    passed: int
    total: int


def chosen(asked: Asked, told: Sequence[Mapping[str, float]]) -> tuple[Sequence[str], Sequence[str]]:
    """Return the metrics that are shown, those that were chosen or that most versions have, and all that there are."""
    counts: dict[str, int] = {}
    for values in told:
        for key in values:
            counts[key] = counts.get(key, 0) + 1
    ranked = sorted(counts, key=lambda key: (-counts[key], key.count("/"), key))
    wanted = [key for key in dict.fromkeys(asked.all("m")) if key in counts]
    return (wanted or ranked[:_USUAL])[:_MOST], ranked


def in_production(model: RegisteredModel, held: Held) -> tuple[int, str] | None:
    """Return which version others are held against, and why: the newest in Production, else that of an alias."""
    holders = held.holders(Stage.PRODUCTION)
    if holders:
        return holders[-1], "Production"
    return next(((model.aliases[alias], f"@{alias}") for alias in _FIRST if alias in model.aliases), None)


def cells(
    values: Mapping[str, float], columns: Sequence[str], base: Mapping[str, float], digits: Mapping[str, int]
) -> Mapping[str, Cell]:
    """Return the metrics of a version, held against another's.

    Args:
        values: What was measured of it.
        columns: The metrics that are shown.
        base: What was measured of the other; empty: nothing is compared.
        digits: How many each metric needs.
    """
    found = {}
    for key in columns:
        if key not in values:
            continue
        value, other, lower = values[key], base.get(key), lower_is_better(key)
        differs = other is not None and value != other
        found[key] = Cell(
            text=numbers.metric(value, digits[key]),
            exact=repr(value),
            gap=numbers.difference(value, other, lower_is_better=lower) if differs and other is not None else "",
            better=(value < other) == lower if differs and other is not None and lower is not None else None,
        )
    return found


def gates(asked: Asked, versions: Sequence[ModelVersion], policies: Sequence[Policy]) -> Mapping[int, Sequence[Passed]]:
    """Return how versions do at the gates of their model; those that load a model are judged on a page of their own."""
    wanted = [each for each in policies if each.gates and not any(isinstance(gate, Example) for gate in each.gates)]
    pairs = [(version, policy) for version in versions for policy in wanted[:_TARGETS]]

    def judged(pair: tuple[ModelVersion, Policy]) -> Passed | None:
        version, policy = pair
        try:
            report = asked.catalog.promotions.check(version.name, version.version, policy.target)
        except ToolkitError:  # its files cannot be read, or it was deleted meanwhile
            return None
        good = sum(line.passed for line in report.lines)
        return Passed(target=str(policy.target), passed=good, total=len(report.lines))

    found: dict[int, list[Passed]] = {}
    for (version, _), told in zip(pairs, _all(judged, pairs), strict=True):
        if told is not None:
            found.setdefault(version.version, []).append(told)
    return found


def files(asked: Asked, versions: Sequence[ModelVersion]) -> Mapping[int, Contract]:
    """Return what the files of versions say: their flavors and sizes."""
    told = _all(lambda version: contract_of(asked, version, whole=False), versions)
    return {version.version: each for version, each in zip(versions, told, strict=True)}


def _all(call: Callable[[Item], Found], items: Sequence[Item]) -> Sequence[Found]:
    """Call something for each of some: stores far away answer several at once."""
    if len(items) < 2:
        return [call(each) for each in items]
    with ThreadPoolExecutor(min(_AT_ONCE, len(items)), thread_name_prefix="versions") as pool:
        return list(pool.map(call, items))


def course(
    asked: Asked,
    key: str,
    versions: Sequence[ModelVersion],
    told: Mapping[int, Mapping[str, float]],
    aliases: Mapping[int, Sequence[str]],
) -> tuple[str, Markup, str] | None:
    """Return a metric's course over versions as a picture with what it says; None for fewer than two values.

    Args:
        asked: The request.
        key: The metric.
        versions: The versions, the oldest first.
        told: What was measured of each.
        aliases: What stands for each.
    """
    points = [
        (each, told[each.version][key]) for each in versions if math.isfinite(told[each.version].get(key, math.nan))
    ]
    if len(points) < 2:
        return None
    low, high = min(value for _, value in points), max(value for _, value in points)
    span = (high - low) or 1.0
    step = (WIDTH - 2 * _EDGE) / (len(points) - 1)
    places = [
        (_EDGE + step * at, HEIGHT - _EDGE - (value - low) / span * (HEIGHT - 2 * _EDGE))
        for at, (_, value) in enumerate(points)
    ]
    digits = numbers.digits_of([value for _, value in points])
    dots = Markup("").join(
        Markup(
            '<a href="{}"><circle class="v-{}" cx="{:.1f}" cy="{:.1f}" r="{}"><title>{}</title></circle></a>'
        ).format(
            asked.url("models", each.name, "versions", each.version),
            str(each.stage).lower(),
            *place,
            5 if each.stage.active or each.version in aliases else 4,
            f"version {each.version}: {numbers.metric(value, digits)}{_standing(each, aliases.get(each.version, ()))}",
        )
        for (each, value), place in zip(points, places, strict=True)
    )
    line = "M" + "L".join(f"{x:.1f} {y:.1f}" for x, y in places)
    drawn = Markup(
        '<svg class="versions" viewBox="0 0 {w} {h}" role="group" aria-label="{label}"><path d="{line}"/>{dots}</svg>'
    ).format(w=WIDTH, h=HEIGHT, label=f"{key} of {len(points)} versions", line=line, dots=dots)
    return key, drawn, f"{numbers.metric(low, digits)} to {numbers.metric(high, digits)}"


def _standing(version: ModelVersion, aliases: Sequence[str]) -> str:
    said = [str(version.stage)] if version.stage.active else []
    said += [f"@{alias}" for alias in aliases]
    return f" ({', '.join(said)})" if said else ""
