"""Gates: what a version must show before it takes a stage or an alias. One line of text each, and how it is judged.

``accuracy >= 0.9``, ``rmse < 0.3 on wine-test``: a metric against a bound, on data of that name. ``accuracy higher by
0.01``, ``rmse lower by 0.02``: better than the current holder, measured on the same data. ``tag reviewed = yes``, ``tag
owner``: a tag of the version. ``test drift``: a test that passed. ``signature``: whoever calls the holder can call the
version. ``example``: the model scores its own input example. A key that is no plain word stands in backticks.

Nothing is read here: what is known of a version comes in as `Evidence`, and what needs its files as a `Finding`.
"""

from __future__ import annotations

import math
import operator
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal

from toolkit.errors import InvalidValue

GATE_LENGTH = 1_000

_OPERATORS: dict[str, Callable[[float, float], bool]] = {
    ">=": operator.ge,
    "<=": operator.le,
    "!=": operator.ne,
    "==": operator.eq,
    "=": operator.eq,
    ">": operator.gt,
    "<": operator.lt,
}
_NAME = r"(?:`(?P<quoted>[^`]+)`|(?P<plain>[\w./\-:](?:[\w./\-: ]*?[\w./\-:])??))"
_DATA = r"(?:\s+on\s+(?P<dataset>\S(?:.*\S)?))?"
_NUMBER = r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?"
_BOUND = re.compile(rf"{_NAME}\s*(?P<operator>>=|<=|==|!=|=|>|<)\s*(?P<bound>{_NUMBER}){_DATA}")
_BETTER = re.compile(rf"{_NAME}\s+(?P<way>higher|lower)(?:\s+by\s+(?P<by>{_NUMBER}))?{_DATA}")
_TAG = re.compile(rf"tag\s+{_NAME}(?:\s*=\s*(?P<value>\S(?:.*\S)?))?")
_TEST = re.compile(rf"test\s+{_NAME}")
_PLAIN = re.compile(r"[\w./\-]+")
_WANTED = (
    "wanted such as 'accuracy >= 0.9', 'rmse < 0.3 on DATA', 'accuracy higher by 0.01', 'rmse lower by 0.02', "
    "'tag reviewed = yes', 'test drift', 'signature' or 'example'"
)


@dataclass(frozen=True, slots=True)
class Bound:
    """A metric is within a bound.

    Attributes:
        metric: Its key.
        operator: How it is compared.
        bound: With what.
        dataset: Name of the data that it is measured on; ``None``: of any.
    """

    metric: str
    operator: str
    bound: float
    dataset: str | None = None

    def __str__(self) -> str:
        """Return the text that `read_gate` reads."""
        return f"{_quoted(self.metric)} {self.operator} {_number(self.bound)}{_on(self.dataset)}"


@dataclass(frozen=True, slots=True)
class Better:
    """A metric is better than the holder's, measured on the same data.

    Attributes:
        metric: Its key.
        higher: Whether a higher value is better.
        by: How much better at least; 0: at all.
        dataset: Name of the data; ``None``: any that both were measured on.
    """

    metric: str
    higher: bool
    by: float = 0.0
    dataset: str | None = None

    def __str__(self) -> str:
        """Return the text that `read_gate` reads."""
        way = "higher" if self.higher else "lower"
        by = f" by {_number(self.by)}" if self.by else ""
        return f"{_quoted(self.metric)} {way}{by}{_on(self.dataset)}"


@dataclass(frozen=True, slots=True)
class Tagged:
    """A tag of the version is there, and has a value.

    Attributes:
        key: Its key.
        value: Its value; ``None``: any but an empty one.
    """

    key: str
    value: str | None = None

    def __str__(self) -> str:
        """Return the text that `read_gate` reads."""
        return f"tag {_quoted(self.key)}" + ("" if self.value is None else f" = {self.value}")


@dataclass(frozen=True, slots=True)
class Tested:
    """A test of the version passed.

    Attributes:
        name: What the test is called.
    """

    name: str

    def __str__(self) -> str:
        """Return the text that `read_gate` reads."""
        return f"test {_quoted(self.name)}"


@dataclass(frozen=True, slots=True)
class Signature:
    """Whoever calls the holder can call the version."""

    def __str__(self) -> str:
        """Return the text that `read_gate` reads."""
        return "signature"


@dataclass(frozen=True, slots=True)
class Example:
    """The model scores its own input example."""

    def __str__(self) -> str:
        """Return the text that `read_gate` reads."""
        return "example"


Gate = Bound | Better | Tagged | Tested | Signature | Example


def read_gate(text: str) -> Gate:
    """Return the gate that a line says.

    Raises:
        InvalidValue: It says none.
    """
    line = text.strip()
    if len(line) > GATE_LENGTH or any(ord(letter) < 32 for letter in line):
        raise InvalidValue(f"a gate is one line of at most {GATE_LENGTH} characters, not {line[:100]!r}")
    if line in ("signature", "example"):
        return Signature() if line == "signature" else Example()
    if found := _TEST.fullmatch(line):
        return Tested(_name(found))
    if found := _BETTER.fullmatch(line):
        return Better(_name(found), found["way"] == "higher", abs(float(found["by"] or 0)), found["dataset"])
    if found := _TAG.fullmatch(line):
        return Tagged(_name(found), found["value"])
    if found := _BOUND.fullmatch(line):
        sign = "==" if found["operator"] == "=" else found["operator"]
        return Bound(_name(found), sign, float(found["bound"]), found["dataset"])
    raise InvalidValue(f"{line[:200]!r} is no gate: {_WANTED}")


def _name(found: re.Match[str]) -> str:
    return found["quoted"] or found["plain"]


def _quoted(name: str) -> str:
    return name if _PLAIN.fullmatch(name) else f"`{name}`"


def _on(dataset: str | None) -> str:
    return "" if dataset is None else f" on {dataset}"


def _number(value: float) -> str:
    """Return a number as people write it."""
    if math.isnan(value) or math.isinf(value):
        return str(value)
    text = format(Decimal(repr(value)), "f")
    return text.removesuffix(".0") if len(text) <= 20 else repr(value)


# -- what is known of a version --------------------------------------------------------------------------


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
        return _number(self.value) + (f" on {self.dataset or self.digest}" if self.digest or self.dataset else "")


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


# -- judging ---------------------------------------------------------------------------------------------


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
    if isinstance(gate, Tested):
        state = version.tests.get(gate.name)
        passed = state is not None and state.lower() in ("passed", "finished")
        return Finding(passed=passed, found="no such test is known" if state is None else f"it is {state}")
    return Finding(passed=False, found="it needs the model's files, which cannot be read here")


def _judge_bound(gate: Bound, version: Evidence) -> Finding:
    points = _on_data(version.measured.get(gate.metric, ()), gate.dataset)
    if not points:
        return Finding(passed=False, found=f"{_quoted(gate.metric)} was not measured{_on(gate.dataset)}")
    newest = points[0]
    if _OPERATORS[gate.operator](newest.value, gate.bound):
        return Finding(passed=True, found=f"it is {newest}")
    if math.isnan(newest.value) or gate.operator in ("==", "!="):
        return Finding(passed=False, found=f"it is {newest}")
    if newest.value == gate.bound:
        return Finding(passed=False, found=f"it is {newest}, the bound itself")
    short = _number(float(abs(_difference(newest.value, gate.bound))))
    where = "below" if gate.operator in (">=", ">") else "above"
    return Finding(passed=False, found=f"it is {newest}, {short} {where} {_number(gate.bound)}")


def _judge_better(gate: Better, version: Evidence, holder: Evidence | None) -> Finding:
    if holder is None:
        return Finding(passed=True, found="no other version holds it")
    ours = _on_data(version.measured.get(gate.metric, ()), gate.dataset)
    theirs = _on_data(holder.measured.get(gate.metric, ()), gate.dataset)
    them = f"version {holder.version}"
    for points, whose in ((ours, "its own"), (theirs, f"that of {them}")):
        if not points:
            return Finding(passed=False, found=f"{whose} {_quoted(gate.metric)} was not measured{_on(gate.dataset)}")
    their = {point.digest: point for point in reversed(theirs) if point.digest is not None}
    pair = next(((point, their[point.digest]) for point in ours if point.digest in their), None)
    if pair is None:
        return Finding(
            passed=False,
            found=f"it was measured on other data than {them} (digests {_digests(ours)} and {_digests(theirs)})",
        )
    (mine, other), sign = pair, 1 if gate.higher else -1
    gain = sign * _difference(mine.value, other.value)
    found = f"it is {mine}, that of {them} {_number(other.value)}"
    if gain.is_nan():
        return Finding(passed=False, found=found)
    if gain > 0 and gain >= Decimal(repr(gate.by)):
        return Finding(passed=True, found=f"{found}: better by {_number(float(gain))}")
    kind = f"better by {_number(float(gain))}" if gain > 0 else "no better"
    if gain < 0:
        kind = f"worse by {_number(float(-gain))}"
    short = f", {_number(float(Decimal(repr(gate.by)) - gain))} short" if gate.by else ""
    return Finding(passed=False, found=f"{found}: {kind}{short}")


def _judge_tag(gate: Tagged, version: Evidence) -> Finding:
    value = version.tags.get(gate.key)
    if value is None:
        return Finding(passed=False, found="it has no such tag")
    passed = bool(value) if gate.value is None else value == gate.value
    return Finding(passed=passed, found=f"it is {value[:100]!r}")


def _on_data(points: Sequence[Measurement], dataset: str | None) -> Sequence[Measurement]:
    return points if dataset is None else [point for point in points if point.dataset == dataset]


def _digests(points: Sequence[Measurement]) -> str:
    return ", ".join(dict.fromkeys((point.digest or "unknown")[:12] for point in points))


def _difference(one: float, other: float) -> Decimal:
    """Return a difference of the numbers that people see: 0.3 - 0.2 is 0.1."""
    return Decimal(repr(one)) - Decimal(repr(other))
