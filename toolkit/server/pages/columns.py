"""Columns of a table of runs, as addresses and people name them: ``m:rmse``, ``p:alpha``, ``t:team``, ``a:user``.

``m:`` shows the last value of a metric, ``min:rmse`` and ``max:rmse`` the least and the greatest that it had, and
``s:rmse`` its course, as a small line.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

from toolkit.errors import InvalidValue
from toolkit.server.pages.given_tags import is_given
from toolkit.tracking.records import SYSTEM, Run

KINDS = {"m": ("metrics", "Metrics"), "p": ("params", "Parameters"), "t": ("tags", "Tags"), "a": ("attributes", "Run")}
COURSE = "s"
LEAST, GREATEST = "min", "max"
EXTREMES = {LEAST: "least", GREATEST: "greatest"}
ATTRIBUTES = {
    "user": "user_id",
    "duration": "",
    "started": "start_time",
    "source": "",
    "id": "run_id",
    "reason": "reason",
}
"""Of runs: how it is ordered by; empty: it is not."""

MOST = 60
_METRICS, _PARAMS = 3, 5


@dataclass(frozen=True, slots=True)
class Column:
    """A column.

    Attributes:
        kind: ``m``, ``p``, ``t`` or ``a``; ``s`` for a course, ``min`` and ``max`` for the extremes of a metric.
        key: The key of the metric, the parameter or the tag; the attribute's name.
    """

    kind: str
    key: str

    @property
    def id(self) -> str:
        """Return what addresses call it."""
        return f"{self.kind}:{self.key}"

    @property
    def field(self) -> str:
        """Return what filters and orders call it; empty for what they do not know."""
        if self.kind == "a":
            return ATTRIBUTES.get(self.key, "")
        if self.kind not in KINDS:
            return ""
        quoted = self.key.replace("`", "``")
        return f"{KINDS[self.kind][0]}.`{quoted}`"

    @property
    def group(self) -> str:
        """Return what is in front of the last part of a key: ``train/`` of ``train/loss``."""
        head, slash, _ = self.key.rpartition("/")
        return head + slash if self.kind not in "ta" else ""

    @property
    def leaf(self) -> str:
        """Return the last part of a key."""
        return self.key[len(self.group) :]


def read(text: str) -> Column:
    """Return a column of an address.

    Raises:
        InvalidValue: It is none.
    """
    kind, colon, key = text.partition(":")
    if not colon or kind not in (*KINDS, COURSE, *EXTREMES) or not key or (kind == "a" and key not in ATTRIBUTES):
        raise InvalidValue(f"there is no column {text[:100]!r}: wanted m:METRIC, p:PARAMETER, t:TAG, or a:ATTRIBUTE")
    return Column(kind, key)


def read_all(texts: Iterable[str]) -> Sequence[Column]:
    """Return the columns of an address, each once.

    Raises:
        InvalidValue: One of them is none, or there are too many.
    """
    found = list(dict.fromkeys(read(text) for text in texts if text))
    if len(found) > MOST:
        raise InvalidValue(f"{len(found)} columns were asked for: wanted at most {MOST}")
    return found


def usual(runs: Sequence[Run], primary: str | None = None) -> Sequence[Column]:
    """Return the columns that say most of some runs: what they measure, and the parameters in which they differ.

    Args:
        runs: The runs.
        primary: The metric that matters most.
    """
    measured = Counter(key for run in runs for key in run.data.metrics if not key.startswith(SYSTEM))
    metrics = [key for key, _ in sorted(measured.items(), key=lambda item: (item[0] != primary, -item[1], item[0]))]
    return [
        Column("a", "started"),
        Column("a", "duration"),
        Column("a", "user"),
        *(Column("m", key) for key in metrics[:_METRICS]),
        *(Column(COURSE, key) for key in metrics[:1] if key == primary),
        *(Column("p", key) for key in _differing(runs)[:_PARAMS]),
    ]


def _differing(runs: Sequence[Run]) -> list[str]:
    """Return the parameters in which runs differ, those that most of them have first."""
    values: dict[str, set[str | None]] = {}
    count: Counter[str] = Counter()
    for run in runs:
        for key, value in run.data.params.items():
            values.setdefault(key, set()).add(value)
            count[key] += 1
    varied = [key for key in values if len(values[key]) > 1 or (count[key] < len(runs) and len(runs) > 1)]
    few = varied or list(values)
    return sorted(few, key=lambda key: (-count[key], key))


def loaded(columns: Sequence[Column]) -> Sequence[str]:
    """Return the values that must be loaded for some columns, as searches name them."""
    found = [column.field for column in columns if column.kind in "mpt"]
    return [*found, "tags.`mlflow.source.name`"] if Column("a", "source") in columns else found


def keys_of(runs: Sequence[Run]) -> Sequence[Column]:
    """Return all columns that some runs fill, for whoever chooses."""
    found: set[tuple[str, str]] = {("a", name) for name in ATTRIBUTES}
    for run in runs:
        found |= {("m", key) for key in run.data.metrics}
        found |= {("p", key) for key in run.data.params}
        found |= {("t", key) for key in run.data.tags if is_given(key)}
    return ordered({Column(kind, key) for kind, key in found})


def ordered(found: Collection[Column]) -> Sequence[Column]:
    """Return columns by their kind, then by their key."""
    order = "ampt"
    return sorted(found, key=lambda each: (order.index(each.kind), each.key))
