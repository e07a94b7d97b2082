"""Two runs of the same steps, side by side: every metric, and the digest of every file that they left."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from toolkit.errors import InvalidValue
from toolkit.tracking.records import ArtifactEntry

NOT_RESULTS = ("logs/", "environment/", "source/", "cache/", "reproduction/")
"""Folders of artifacts that tell of a run itself: the clock and the machine are in them."""
SYSTEM = "system/"
"""Beginning of metrics that tell of the machine."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Bound:
    """How far two values of a metric may be apart.

    Attributes:
        value: The bound; of a percentage its hundredth part.
        only_relative: Whether it is a part of the old value alone; else it may also be the difference itself.
    """

    value: float = 0.0
    only_relative: bool = False

    def holds(self, old: float, new: float) -> bool:
        """Tell whether two values are close enough; NaN is like NaN, and an infinity like itself."""
        if old == new or (math.isnan(old) and math.isnan(new)):
            return True
        if not (math.isfinite(old) and math.isfinite(new)):
            return False
        difference = abs(new - old)
        return difference <= self.value * abs(old) or (not self.only_relative and difference <= self.value)


@dataclass(frozen=True, kw_only=True, slots=True)
class Tolerance:
    """How far metrics may be apart.

    Attributes:
        general: Of those that are not named.
        named: Of those that are, by metric or by ``<step>.<metric>``.
    """

    general: Bound = field(default_factory=Bound)
    named: Mapping[str, Bound] = field(default_factory=dict)

    def of(self, step: str, metric: str) -> Bound:
        """Return what holds for a metric of a step; ``step`` is the whole label or its first word."""
        names = (f"{step}.{metric}", f"{step.partition(' ')[0]}.{metric}", metric)
        return next((self.named[name] for name in names if name in self.named), self.general)


def read_tolerance(texts: Iterable[str]) -> Tolerance:
    """Read ``X``, ``X%``, ``metric=X`` and ``step.metric=X%``.

    Raises:
        InvalidValue: One is of another form, or stands twice.
    """
    general: Bound | None = None
    named: dict[str, Bound] = {}
    for text in texts:
        name, sign, number = text.rpartition("=")
        bound = _bound(number, text)
        if (not sign and general is not None) or name in named:
            raise InvalidValue(f"--tolerance {text!r}: there is another one for the same: give one")
        if sign and not name:
            raise InvalidValue(f"--tolerance {text!r} names no metric: write metric={number}, or {number} alone")
        if sign:
            named[name] = bound
        else:
            general = bound
    return Tolerance(general=general or Bound(), named=named)


def _bound(number: str, text: str) -> Bound:
    percent = number.endswith("%")
    try:
        value = float(number.removesuffix("%"))
    except ValueError:
        value = math.nan
    if not (value >= 0 and math.isfinite(value)):
        raise InvalidValue(f"--tolerance {text!r}: wanted a number such as 0.001, 1% or rmse=0.001, not below 0")
    return Bound(value=value / 100 if percent else value, only_relative=percent)


# -- what is compared ------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True, slots=True)
class Results:
    """What a run of a step left.

    Attributes:
        label: The step, with what tells it from its siblings.
        run_id: The run.
        metrics: Latest values.
        files: Files, in the order of their paths.
    """

    label: str
    run_id: str
    metrics: Mapping[str, float]
    files: Sequence[ArtifactEntry]


@dataclass(frozen=True, kw_only=True, slots=True)
class MetricRow:
    """A metric of a step, old and new.

    Attributes:
        step: The step's label.
        metric: The metric.
        old: Its old value; ``None`` where it has none.
        new: Its new one.
        difference: New minus old, where both are numbers.
        relative: The difference as a part of the old value; ``None`` where that is 0.
        within: Whether they are close enough.
    """

    step: str
    metric: str
    old: float | None
    new: float | None
    difference: float | None
    relative: float | None
    within: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class OutputRow:
    """A file that a step left, old and new.

    Attributes:
        step: The step's label.
        path: The artifact's path.
        old: Its old SHA-256; ``None`` where there is none.
        new: Its new one.
    """

    step: str
    path: str
    old: str | None
    new: str | None

    @property
    def same(self) -> bool:
        """Whether both are the same."""
        return self.old == self.new


@dataclass(frozen=True, kw_only=True, slots=True)
class Comparison:
    """Two runs side by side.

    Attributes:
        metrics: Each metric.
        outputs: Each file.
        only_old: Steps that only the old run has.
        only_new: Steps that only the new one has.
    """

    metrics: Sequence[MetricRow]
    outputs: Sequence[OutputRow]
    only_old: Sequence[str] = ()
    only_new: Sequence[str] = ()

    def same(self, *, outputs: bool) -> bool:
        """Tell whether the new run is the old one again.

        Args:
            outputs: Whether files count, too.
        """
        steps = not self.only_old and not self.only_new
        files = not outputs or all(row.same for row in self.outputs)
        return steps and files and all(row.within for row in self.metrics)


def compare(old: Sequence[Results], new: Sequence[Results], tolerance: Tolerance) -> Comparison:
    """Put what two runs left side by side, step by step, in the order of the old one."""
    before, now = {each.label: each for each in old}, {each.label: each for each in new}
    both = [label for label in before if label in now]
    return Comparison(
        metrics=[row for label in both for row in _metrics(before[label], now[label], tolerance)],
        outputs=[row for label in both for row in _outputs(before[label], now[label])],
        only_old=[label for label in before if label not in now],
        only_new=[label for label in now if label not in before],
    )


def _metrics(old: Results, new: Results, tolerance: Tolerance) -> Iterable[MetricRow]:
    for name in sorted(old.metrics.keys() | new.metrics.keys()):
        if name.startswith(SYSTEM):
            continue
        was, now = old.metrics.get(name), new.metrics.get(name)
        finite = was is not None and now is not None and math.isfinite(was) and math.isfinite(now)
        difference = now - was if finite and was is not None and now is not None else None
        yield MetricRow(
            step=old.label,
            metric=name,
            old=was,
            new=now,
            difference=difference,
            relative=difference / abs(was) if difference is not None and was else None,
            within=was is not None and now is not None and tolerance.of(old.label, name).holds(was, now),
        )


def _outputs(old: Results, new: Results) -> Iterable[OutputRow]:
    was, now = ({file.path: file.sha256 for file in each.files} for each in (old, new))
    for path in sorted(was.keys() | now.keys()):
        if not path.startswith(NOT_RESULTS):
            yield OutputRow(step=old.label, path=path, old=was.get(path), new=now.get(path))
