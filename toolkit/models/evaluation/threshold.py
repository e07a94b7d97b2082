"""What a model must show: bounds on metrics, and how much better than a baseline it must be."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from typing import Any

from toolkit.errors import InvalidValue
from toolkit.models.evaluation.metric import ALIASES, GREATER_IS_BETTER

_TEXT = re.compile(
    r"\s*(?P<metric>[^<>=]+?)\s*(?P<sign>>=|<=)\s*"
    r"(?:(?P<number>[-+]?[\d.][\d.eE+-]*)|baseline\s*(?:(?P<change>[-+]\s*[\d.][\d.eE+-]*)\s*(?P<percent>%)?)?)\s*"
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Threshold:
    """What a metric must be.

    Attributes:
        min: At least this.
        max: At most this.
        better_than_baseline_by: Better than the baseline's value by at least this; 0: no worse; below 0: worse by at
            most so much.
        better_than_baseline_by_share: The same as a share of the baseline's value: 0.05 is five per cent.
        greater_is_better: Which way is better; default: as it is known of the metric.
    """

    min: float | None = None
    max: float | None = None
    better_than_baseline_by: float | None = None
    better_than_baseline_by_share: float | None = None
    greater_is_better: bool | None = None

    @classmethod
    def read(cls, metric: str, given: object) -> Threshold:
        """Return a threshold from what a user gives.

        Args:
            metric: The metric that it is for.
            given: A threshold, ours or MLflow's, its fields by name, or a number: at least that, or at most where less
                is better.

        Raises:
            InvalidValue: It is nothing of that.
        """
        known = [each.name for each in fields(cls)]
        if isinstance(given, cls):
            found = given
        elif isinstance(given, Mapping):
            if wrong := [name for name in given if name not in known]:
                raise InvalidValue(f"the threshold of {metric} has {wrong[0]!r}: wanted some of {', '.join(known)}")
            found = cls(**given)
        elif hasattr(given, "min_absolute_change"):
            found = cls._of_mlflow(given)
        elif _is_number(given):
            found = cls(min=given) if _direction(metric, None) else cls(max=given)  # type: ignore[arg-type]  # it is one
        else:
            raise InvalidValue(
                f"the threshold of {metric} is {given!r}: wanted a number, or some of {', '.join(known)}"
            )
        found.check(metric)
        return found

    @classmethod
    def _of_mlflow(cls, given: Any) -> Threshold:  # noqa: ANN401 - MLflow's MetricThreshold
        greater = bool(given.greater_is_better)
        return cls(
            min=given.threshold if greater else None,
            max=None if greater else given.threshold,
            better_than_baseline_by=given.min_absolute_change,
            better_than_baseline_by_share=given.min_relative_change,
            greater_is_better=greater,
        )

    def check(self, metric: str) -> None:
        """Look whether the threshold makes sense.

        Raises:
            InvalidValue: It does not.
        """
        values = [getattr(self, each.name) for each in fields(self)[:4]]
        if all(value is None for value in values):
            raise InvalidValue(f"the threshold of {metric} wants nothing: give min, max or better_than_baseline_by")
        for each in fields(self)[:4]:
            value = getattr(self, each.name)
            if value is not None and not _is_number(value):
                raise InvalidValue(f"the threshold of {metric} has {each.name}={value!r}: wanted a finite number")
        if self.needs_baseline:
            _direction(metric, self.greater_is_better)

    @property
    def needs_baseline(self) -> bool:
        """Whether it takes a baseline to say whether it is met."""
        return self.better_than_baseline_by is not None or self.better_than_baseline_by_share is not None


@dataclass(frozen=True, slots=True)
class MetricThreshold:
    """A threshold in MLflow's words; `Threshold` says the same in ours.

    Attributes:
        threshold: At least this, or at most where less is better.
        min_absolute_change: Better than the baseline by at least this.
        min_relative_change: The same as a share of the baseline's value.
        greater_is_better: Which way is better.
    """

    threshold: float | None = None
    min_absolute_change: float | None = None
    min_relative_change: float | None = None
    greater_is_better: bool = True


@dataclass(frozen=True, kw_only=True, slots=True)
class Check:
    """What came of a threshold.

    Attributes:
        metric: The metric.
        value: What it is; ``None``: it was not measured.
        wanted: What it was to be, in words.
        short_by: How far it is from that; 0 where it is met.
        baseline: What it is of the baseline, where that counts.
    """

    metric: str
    value: float | None
    wanted: str
    short_by: float
    baseline: float | None = None

    @property
    def passed(self) -> bool:
        """Whether the threshold is met."""
        return self.value is not None and self.short_by == 0

    def __str__(self) -> str:
        """Return it as a line."""
        if self.value is None:
            return f"{self.metric} was not measured: wanted {self.wanted}"
        if self.passed:
            return f"{self.metric} is {self.value:.6g}: {self.wanted}"
        short = f" ({self.short_by:.3g} short)" if math.isfinite(self.short_by) else ""
        return f"{self.metric} is {self.value:.6g}: wanted {self.wanted}{short}"


def read_thresholds(given: Mapping[str, object] | Iterable[str] | None) -> dict[str, list[Threshold]]:
    """Return thresholds by the names of their metrics.

    Args:
        given: As a mapping: what `Threshold.read` takes, by metric; as a list: lines such as ``f1_score>=0.9`` or
            ``rmse<=baseline-0.1``.

    Raises:
        InvalidValue: One cannot be used.
    """
    found: dict[str, list[Threshold]] = {}
    if given is None:
        return found
    if isinstance(given, str):
        given = [given]
    if isinstance(given, Mapping):
        for name, value in given.items():
            metric = ALIASES.get(name, name)
            found.setdefault(metric, []).append(Threshold.read(metric, value))
        return found
    for text in given:
        metric, threshold = read_threshold(text)
        found.setdefault(metric, []).append(threshold)
    return found


def read_threshold(text: str) -> tuple[str, Threshold]:
    """Return the metric and the threshold that a line such as ``accuracy>=0.9`` or ``rmse<=baseline-5%`` says.

    Raises:
        InvalidValue: It says none.
    """
    parts = _TEXT.fullmatch(text) if isinstance(text, str) else None
    try:
        if parts is None:
            raise ValueError
        metric = ALIASES.get(parts["metric"], parts["metric"])
        greater = parts["sign"] == ">="
        if parts["number"]:
            value = float(parts["number"])
            threshold = Threshold(min=value) if greater else Threshold(max=value)
        else:
            change = float((parts["change"] or "0").replace(" ", "")) * (1 if greater else -1) or 0.0
            by = (
                {"better_than_baseline_by_share": change / 100}
                if parts["percent"]
                else {"better_than_baseline_by": change}
            )
            threshold = Threshold(**by, greater_is_better=greater)
    except ValueError:
        raise InvalidValue(
            f"{text!r} is no threshold: wanted METRIC>=NUMBER, METRIC<=NUMBER, or baseline, baseline+NUMBER or "
            "baseline-5% for the number"
        ) from None
    threshold.check(metric)
    return metric, threshold


def checks(
    thresholds: Mapping[str, Iterable[Threshold]],
    metrics: Mapping[str, float],
    baseline: Mapping[str, float] | None = None,
) -> list[Check]:
    """Return what comes of thresholds, a check for each thing that they want.

    Args:
        thresholds: What is wanted, by metric.
        metrics: What was measured.
        baseline: The same of the baseline.

    Raises:
        InvalidValue: A threshold needs a baseline, and there is none.
    """
    found: list[Check] = []
    for metric, wanted in thresholds.items():
        for threshold in wanted:
            if threshold.needs_baseline and baseline is None:
                raise InvalidValue(f"the threshold of {metric} compares with a baseline: give one as baseline")
            found += _checks_of(metric, threshold, metrics.get(metric), (baseline or {}).get(metric))
    return found


def _checks_of(metric: str, threshold: Threshold, value: float | None, base: float | None) -> list[Check]:
    found = []
    if threshold.min is not None:
        found.append(_check(metric, value, threshold.min, True, f"at least {threshold.min:.6g}"))
    if threshold.max is not None:
        found.append(_check(metric, value, threshold.max, False, f"at most {threshold.max:.6g}"))
    for by, share in ((threshold.better_than_baseline_by, False), (threshold.better_than_baseline_by_share, True)):
        if by is None:
            continue
        if base is None:
            found.append(Check(metric=metric, value=value, wanted="the baseline to have it, too", short_by=math.inf))
            continue
        greater = _direction(metric, threshold.greater_is_better)
        change = by * abs(base) if share else by
        bound = base + change if greater else base - change
        words = f"{'at least' if greater else 'at most'} {bound:.6g}, {_against(by, share, base)}"
        found.append(_check(metric, value, bound, greater, words, base))
    return found


def _check(
    metric: str, value: float | None, bound: float, greater: bool, wanted: str, baseline: float | None = None
) -> Check:
    if value is None:
        short = math.inf
    else:
        short = max(0.0, bound - value if greater else value - bound)
        # sums such as 0.85 + 0.01 miss by a rounding error what they meet in decimal
        short = 0.0 if math.isclose(value, bound, rel_tol=1e-12, abs_tol=1e-12) else short
    return Check(metric=metric, value=value, wanted=wanted, short_by=short, baseline=baseline)


def _against(by: float, share: bool, base: float) -> str:
    if by == 0:
        return f"no worse than the baseline's {base:.6g}"
    much = f"{abs(by) * 100:.6g} %" if share else f"{abs(by):.6g}"
    return f"{much} better than the baseline's {base:.6g}" if by > 0 else f"{much} worse than its {base:.6g} at most"


def greater_is_better(metric: str) -> bool | None:
    """Tell whether more of a metric is better; ``None`` where that is not known. A slice's is as the whole's."""
    return GREATER_IS_BETTER.get(metric.rpartition("/")[2])


def _direction(metric: str, given: bool | None) -> bool:
    found = greater_is_better(metric) if given is None else given
    if found is None:
        raise InvalidValue(
            f"it is not known whether more or less of {metric} is better: give its threshold greater_is_better, or use "
            "min or max"
        )
    return found


def _is_number(value: Any) -> bool:  # noqa: ANN401 - what a user gives
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
