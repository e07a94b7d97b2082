"""How far what a service is given has moved from what its model was trained on, column by column.

The reference is the profile of the training data (`toolkit.data.profile`). Rows are counted into its bins, so that
memory does not grow with them. The measure is the population stability index, the sum of ``(p - q) ln(p / q)`` over the
bins, with the customary bounds of 0.1 and 0.25; for few rows it is large by chance alone, about ``(1/n + 1/m)`` times a
chi-squared value (Yurdakul, "Statistical properties of population stability index", 2018), so it counts above that.
"""

from __future__ import annotations

import json
import math
from bisect import bisect_left
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

MOVED, DRIFTED = 0.1, 0.25
"""From these values of the index on a column has moved, or drifted."""

SHARE_MOVED, SHARE_DRIFTED = 0.05, 0.2
"""The same of the share of rows beyond the training data's values, and of the change in the share of missing ones."""

LEAST_ROWS = 50
"""Of fewer rows nothing is concluded."""

_CERTAIN = 3.09  # standard deviations: by chance beyond them once in a thousand columns
_SMOOTHING = 0.5  # of a row in each bin: an empty one would make the index infinite


class Verdict(StrEnum):
    """What is concluded of a column."""

    SAME = "same"
    MOVED = "moved"
    DRIFTED = "drifted"
    FEW = "few rows"
    UNKNOWN = "no reference"
    """The profile says nothing of how its values are spread, and no more are missing than were."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Reference:
    """A column of the training data.

    Attributes:
        name: Its name.
        missing: Share of missing values, 0 to 1.
        edges: Upper ends of its bins but for the last; None: it is no column of numbers.
        shares: Of its bins.
        least: Smallest value.
        most: Greatest value.
        values: Shares of its categories; None: it has none.
    """

    name: str
    missing: float = 0.0
    edges: Sequence[float] | None = None
    shares: Sequence[float] = ()
    least: float = -math.inf
    most: float = math.inf
    values: Mapping[str, float] | None = None

    @classmethod
    def read(cls, column: Mapping[str, Any]) -> Reference:
        """Return the column that a profile tells.

        Raises:
            ValueError, TypeError, KeyError: It is not of the form that `toolkit.data.profile` writes.
        """
        told: dict[str, Any] = {"name": str(column["name"]), "missing": float(column.get("missing", 0.0))}
        if "edges" in column:
            edges, shares = [float(each) for each in column["edges"]], [float(each) for each in column["shares"]]
            if len(shares) != len(edges) + 1 or edges != sorted(edges):
                raise ValueError("the bins do not fit their edges")
            told |= {"edges": edges, "shares": shares, "least": float(column["min"]), "most": float(column["max"])}
        elif "values" in column:
            told["values"] = {str(name): float(share) for name, share in column["values"].items()}
        return cls(**told)


def references(profile: str | None) -> Mapping[str, Reference]:
    """Return the columns of a dataset's profile by name; those that cannot be read are left out."""
    try:
        columns = json.loads(profile or "{}")["columns"]
    except (ValueError, KeyError, TypeError):
        return {}
    found: dict[str, Reference] = {}
    for column in columns if isinstance(columns, list) else ():
        try:
            reference = Reference.read(column)
        except (ValueError, TypeError, KeyError, AttributeError):
            continue
        found[reference.name] = reference
    return found


@dataclass(frozen=True, kw_only=True, slots=True)
class ColumnDrift:
    """How a column is now, beside how it was.

    Attributes:
        name: Its name.
        rows: How many rows were looked at.
        index: Population stability index; None where the profile has no bins, or no value came.
        missing: Share of missing values now.
        missing_before: Share in the training data.
        outside: Share of values below the least or above the greatest of the training data, or of categories that
            these do not have; None where that is not known.
        verdict: What is concluded.
    """

    name: str
    rows: int
    index: float | None
    missing: float
    missing_before: float
    outside: float | None
    verdict: Verdict


class _Tally:
    """What came of a column."""

    def __init__(self, reference: Reference) -> None:
        self.reference = reference
        self.rows = self.missing = self.outside = 0
        categories = [] if reference.values is None else list(reference.values)
        self._place = {name: at for at, name in enumerate(categories)}
        self.counts = [0] * (len(categories) + 1 if reference.edges is None else len(reference.edges) + 1)

    def add(self, value: object) -> None:
        """Count a value."""
        self.rows += 1
        if value is None or (isinstance(value, float) and math.isnan(value)):
            self.missing += 1
        elif self.reference.edges is not None:
            self._add_number(value, self.reference.edges)
        elif self.reference.values is not None:
            at = self._place.get(str(value).lower() if isinstance(value, bool) else str(value), len(self._place))
            self.outside += at == len(self._place)
            self.counts[at] += 1

    def _add_number(self, value: object, edges: Sequence[float]) -> None:
        if not isinstance(value, int | float):
            self.outside += 1  # a text, where numbers were
            return
        self.counts[bisect_left(edges, value)] += 1
        self.outside += not self.reference.least <= value <= self.reference.most

    def drift(self, reference_rows: int) -> ColumnDrift:
        """Return how the column has moved."""
        reference, present = self.reference, self.rows - self.missing
        spread = reference.edges is not None or reference.values is not None
        shares = reference.shares if reference.values is None else [*reference.values.values(), 0.0]
        index = _index(self.counts, shares, reference_rows) if spread and any(self.counts) else None
        missing = self.missing / self.rows if self.rows else 0.0
        outside = self.outside / present if spread and present else None
        return ColumnDrift(
            name=reference.name,
            rows=self.rows,
            index=index,
            missing=missing,
            missing_before=reference.missing,
            outside=outside,
            verdict=self._verdict(index, outside, missing, reference_rows),
        )

    def _verdict(self, index: float | None, outside: float | None, missing: float, reference_rows: int) -> Verdict:
        if self.rows < LEAST_ROWS:
            return Verdict.FEW
        expected = self.reference.missing
        certain = _CERTAIN * math.sqrt(max(expected * (1 - expected), 1 / self.rows) / self.rows)
        change = abs(missing - expected) if abs(missing - expected) > certain else 0.0
        share = max(change, outside or 0.0)
        chance = _by_chance(len(self.counts), sum(self.counts), reference_rows)
        index = index if index is not None and index > chance else 0.0
        if index >= DRIFTED or share >= SHARE_DRIFTED:
            return Verdict.DRIFTED
        if index >= MOVED or share >= SHARE_MOVED:
            return Verdict.MOVED
        return Verdict.UNKNOWN if outside is None and self.rows > self.missing else Verdict.SAME


class Inputs:
    """Counts rows of inputs against the columns of training data.

    Args:
        columns: Of the training data.
        rows: How many rows the profile was made of.
    """

    def __init__(self, columns: Iterable[Reference], rows: int) -> None:
        self._tallies = {column.name: _Tally(column) for column in columns}
        self._reference_rows = max(1, rows)
        self.rows = 0
        self.others: set[str] = set()
        """Columns that came, of which the profile says nothing; not all of very many."""

    def add(self, row: Mapping[str, object]) -> None:
        """Count a row; a column that it does not have is missing in it."""
        self.rows += 1
        for name, tally in self._tallies.items():
            tally.add(row.get(name))
        if len(self.others) < 100:
            self.others.update(name for name in list(row)[:1_000] if name not in self._tallies)

    def drift(self) -> Sequence[ColumnDrift]:
        """Return how each column has moved, those that moved most first."""
        found = [tally.drift(self._reference_rows) for tally in self._tallies.values()]
        order = [Verdict.DRIFTED, Verdict.MOVED, Verdict.SAME, Verdict.UNKNOWN, Verdict.FEW]
        return sorted(found, key=lambda each: (order.index(each.verdict), -(each.index or 0.0), each.name))


def _index(counts: Sequence[int], shares: Sequence[float], reference_rows: int) -> float:
    """Return the population stability index of counts, beside the shares of as many bins."""
    total, bins = sum(counts), len(counts)
    floor = _SMOOTHING / (reference_rows + _SMOOTHING * bins)
    whole = sum(max(share, floor) for share in shares)
    index = 0.0
    for count, share in zip(counts, shares, strict=True):
        now = (count + _SMOOTHING) / (total + _SMOOTHING * bins)
        before = max(share, floor) / whole
        index += (now - before) * math.log(now / before)
    return index


def _by_chance(bins: int, rows: int, reference_rows: int) -> float:
    """Return the index that chance alone hardly exceeds, by the approximation of Wilson and Hilferty."""
    free = max(1, bins - 1)
    spread = 2 / (9 * free)
    chi_squared = free * (1 - spread + _CERTAIN * math.sqrt(spread)) ** 3
    return chi_squared * (1 / max(1, rows) + 1 / reference_rows)
