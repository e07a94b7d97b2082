"""How a version does at gates: what is known of it, what was found, and the report of that.

Nothing is read here: what is known of a version comes in as `Evidence`, and what needs its files as a `Finding`.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal

from toolkit.registry.gates import Better, Bound, Gate, Tagged, Trial, number_text, on_data, quoted

_OPERATORS: dict[str, Callable[[float, float], bool]] = {
    ">=": operator.ge,
    "<=": operator.le,
    "!=": operator.ne,
    "==": operator.eq,
    "=": operator.eq,
    ">": operator.gt,
    "<": operator.lt,
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Measurement:
    """A value of a metric.

    Attributes:
        value: The value.
        dataset: Name of the data that it was measured on, where that is known.
        digest: Digest of that data.
    """

    value: float
    dataset: str | None = None
    digest: str | None = None

    def __str__(self) -> str:
        """Return the value, and what it was measured on."""
        return number_text(self.value) + (f" on {self.dataset or self.digest}" if self.digest or self.dataset else "")


@dataclass(frozen=True, kw_only=True, slots=True)
class Evidence:
    """What a store knows of a version.

    Attributes:
        version: Its number.
        measured: The values of each metric that is asked for, the newest first.
        tags: Its tags.
        tests: What is known of each test that is asked for, such as ``passed`` or ``FAILED``.
    """

    version: int
    measured: Mapping[str, Sequence[Measurement]] = field(default_factory=dict)
    tags: Mapping[str, str] = field(default_factory=dict)
    tests: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True, slots=True)
class Finding:
    """What was found of a gate.

    Attributes:
        passed: Whether the version shows what is wanted.
        found: What it shows, and by how much it falls short.
    """

    passed: bool
    found: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Line:
    """A line of a report.

    Attributes:
        gate: What was wanted, as `read_gate` reads it.
        passed: Whether it is so.
        found: What is, and by how much it falls short.
    """

    gate: str
    passed: bool
    found: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Report:
    """How a version does at the gates of a target.

    Attributes:
        name: The registered model.
        version: The number of the version.
        target: What it would take, as text.
        holder: The number of the version that has it now; ``None``: none has.
        lines: One for each gate, in their order.
    """

    name: str
    version: int
    target: str
    holder: int | None
    lines: Sequence[Line] = ()

    @property
    def passed(self) -> bool:
        """Whether every gate is passed."""
        return all(line.passed for line in self.lines)

    def failures(self) -> str:
        """Return in one line what fails, and by how much."""
        return "; ".join(f"{line.gate}: {line.found}" for line in self.lines if not line.passed)


def judge(gate: Gate, version: Evidence, holder: Evidence | None) -> Finding:
    """Judge a gate by what is known of a version and of the current holder.

    Args:
        gate: The gate: none that needs the model's files.
        version: The version.
        holder: Who holds the target now, if it is another version.
    """
    if isinstance(gate, Bound):
        return _judge_bound(gate, version)
    if isinstance(gate, Better):
        return _judge_better(gate, version, holder)
    if isinstance(gate, Tagged):
        return _judge_tag(gate, version)
    if isinstance(gate, Trial):
        state = version.tests.get(gate.name)
        passed = state is not None and state.lower() in ("passed", "finished")
        return Finding(passed=passed, found="no such test is known" if state is None else f"it is {state}")
    return Finding(passed=False, found="it needs the model's files, which cannot be read here")


def _judge_bound(gate: Bound, version: Evidence) -> Finding:
    points = _of_data(version.measured.get(gate.metric, ()), gate.dataset)
    if not points:
        return Finding(passed=False, found=f"{quoted(gate.metric)} was not measured{on_data(gate.dataset)}")
    newest = points[0]
    if _OPERATORS[gate.operator](newest.value, gate.bound):
        return Finding(passed=True, found=f"it is {newest}")
    if math.isnan(newest.value) or gate.operator in ("==", "!="):
        return Finding(passed=False, found=f"it is {newest}")
    if newest.value == gate.bound:
        return Finding(passed=False, found=f"it is {newest}, the bound itself")
    short = number_text(float(abs(_difference(newest.value, gate.bound))))
    where = "below" if gate.operator in (">=", ">") else "above"
    return Finding(passed=False, found=f"it is {newest}, {short} {where} {number_text(gate.bound)}")


def _judge_better(gate: Better, version: Evidence, holder: Evidence | None) -> Finding:
    if holder is None:
        return Finding(passed=True, found="no other version holds it")
    ours = _of_data(version.measured.get(gate.metric, ()), gate.dataset)
    theirs = _of_data(holder.measured.get(gate.metric, ()), gate.dataset)
    them = f"version {holder.version}"
    for points, whose in ((ours, "its own"), (theirs, f"that of {them}")):
        if not points:
            return Finding(passed=False, found=f"{whose} {quoted(gate.metric)} was not measured{on_data(gate.dataset)}")
    their = {point.digest: point for point in reversed(theirs) if point.digest is not None}
    pair = next(((point, their[point.digest]) for point in ours if point.digest in their), None)
    if pair is None:
        return Finding(passed=False, found=_incomparable(ours, theirs, them))
    (mine, other), sign = pair, 1 if gate.higher else -1
    gain = sign * _difference(mine.value, other.value)
    found = f"it is {mine}, that of {them} {number_text(other.value)}"
    if gain.is_nan():
        return Finding(passed=False, found=found)
    if gain > 0 and gain >= Decimal(repr(gate.by)):
        return Finding(passed=True, found=f"{found}: better by {number_text(float(gain))}")
    kind = f"better by {number_text(float(gain))}" if gain > 0 else "no better"
    if gain < 0:
        kind = f"worse by {number_text(float(-gain))}"
    short = f", {number_text(float(Decimal(repr(gate.by)) - gain))} short" if gate.by else ""
    return Finding(passed=False, found=f"{found}: {kind}{short}")


def _judge_tag(gate: Tagged, version: Evidence) -> Finding:
    value = version.tags.get(gate.key)
    if value is None:
        return Finding(passed=False, found="it has no such tag")
    passed = bool(value) if gate.value is None else value == gate.value
    return Finding(passed=passed, found=f"it is {value[:100]!r}")


def _of_data(points: Sequence[Measurement], dataset: str | None) -> Sequence[Measurement]:
    return points if dataset is None else [point for point in points if point.dataset == dataset]


def _incomparable(ours: Sequence[Measurement], theirs: Sequence[Measurement], them: str) -> str:
    """Return why two values are not compared."""
    for points, whose in ((ours, "it"), (theirs, them)):
        if all(point.digest is None for point in points):
            return f"the data that {whose} was measured on are not known: log them (log_input, or dataset= of a metric)"
    return f"it was measured on other data than {them} (digests {_digests(ours)} and {_digests(theirs)})"


def _digests(points: Sequence[Measurement]) -> str:
    return ", ".join(dict.fromkeys((point.digest or "unknown")[:12] for point in points))


def _difference(one: float, other: float) -> Decimal:
    """Return a difference of the numbers that people see: 0.3 - 0.2 is 0.1."""
    if not (math.isfinite(one) and math.isfinite(other)):
        return Decimal(one - other)
    return Decimal(repr(one)) - Decimal(repr(other))
