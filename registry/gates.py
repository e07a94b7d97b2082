"""Gates: what a version must show before it takes a stage or an alias. One line of text each, and how it is judged.

``accuracy >= 0.9``, ``rmse < 0.3 on wine-test``: a metric against a bound, on data of that name. ``accuracy higher by
0.01``, ``rmse lower by 0.02``: better than the current holder, measured on the same data. ``tag reviewed = yes``, ``tag
owner``: a tag of the version. ``test drift``: a test that passed. ``signature``: whoever calls the holder can call the
version. ``example``: the model scores its own input example. A key that is no plain word stands in backticks.

What becomes of them is told in `toolkit.registry.judging`.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from decimal import Decimal

from toolkit.errors import InvalidValue

GATE_LENGTH = 1_000

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
        return f"{quoted(self.metric)} {self.operator} {number_text(self.bound)}{on_data(self.dataset)}"


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
        by = f" by {number_text(self.by)}" if self.by else ""
        return f"{quoted(self.metric)} {way}{by}{on_data(self.dataset)}"


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
        return f"tag {quoted(self.key)}" + ("" if self.value is None else f" = {self.value}")


@dataclass(frozen=True, slots=True)
class Trial:
    """A test of the version passed.

    Attributes:
        name: What the test is called.
    """

    name: str

    def __str__(self) -> str:
        """Return the text that `read_gate` reads."""
        return f"test {quoted(self.name)}"


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


Gate = Bound | Better | Tagged | Trial | Signature | Example


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
        return Trial(_name(found))
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


def quoted(name: str) -> str:
    """Return a key as a gate writes it."""
    return name if _PLAIN.fullmatch(name) else f"`{name}`"


def on_data(dataset: str | None) -> str:
    """Return how a gate names data."""
    return "" if dataset is None else f" on {dataset}"


def number_text(value: float) -> str:
    """Return a number as people write it."""
    if math.isnan(value) or math.isinf(value):
        return str(value)
    text = format(Decimal(repr(value)), "f")
    return text.removesuffix(".0") if len(text) <= 20 else repr(value)
