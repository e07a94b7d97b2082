"""What comes of an evaluation."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from toolkit.models.evaluation.threshold import Check

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure


@dataclass(frozen=True, kw_only=True)
class EvaluationResult:
    """What comes of an evaluation.

    Attributes:
        model_type: ``classifier`` or ``regressor``.
        metrics: By name, those of slices as ``slices/region/north/accuracy_score``.
        tables: Tables of pandas by name: ``eval_results_table``, ``slices``, ``per_class_metrics``, points of curves.
        baseline_metrics: What the same measures say of the baseline; ``None`` without one.
        checks: What came of each threshold.
        artifacts: Where pictures and tables were logged, by name, as URIs.
        dataset_name: What the data are called.
        dataset_digest: Their digest, as their run has it.
        run_id: The run that has it all; ``None``: nothing was logged.
        model_id: The logged model that was measured, where it is one.
        figures: Draws each picture by name.
    """

    model_type: str
    metrics: Mapping[str, float]
    tables: Mapping[str, pd.DataFrame] = field(default_factory=dict, repr=False)
    baseline_metrics: Mapping[str, float] | None = None
    checks: Sequence[Check] = ()
    artifacts: Mapping[str, str] = field(default_factory=dict)
    dataset_name: str | None = None
    dataset_digest: str | None = None
    run_id: str | None = None
    model_id: str | None = None
    figures: Mapping[str, Callable[[], Figure]] = field(default_factory=dict, repr=False)

    @property
    def failed(self) -> list[Check]:
        """The thresholds that are not met."""
        return [check for check in self.checks if not check.passed]

    @property
    def passed(self) -> bool:
        """Whether all thresholds are met."""
        return not self.failed

    def figure(self, name: str) -> Figure:
        """Return a picture, drawn anew; ``figures`` has the names.

        Raises:
            KeyError: There is none of this name.
        """
        return self.figures[name]()

    def to_dict(self) -> dict[str, Any]:
        """Return it without tables and pictures, as plain values."""
        return {
            "model_type": self.model_type,
            "model_id": self.model_id,
            "run_id": self.run_id,
            "dataset": {"name": self.dataset_name, "digest": self.dataset_digest},
            "metrics": dict(self.metrics),
            "baseline_metrics": None if self.baseline_metrics is None else dict(self.baseline_metrics),
            "passed": self.passed,
            "checks": [
                {
                    "metric": each.metric,
                    "value": each.value,
                    "wanted": each.wanted,
                    "passed": each.passed,
                    "short_by": each.short_by if math.isfinite(each.short_by) else None,
                    "baseline": each.baseline,
                }
                for each in self.checks
            ],
            "artifacts": dict(self.artifacts),
        }

    def save(self, path: str | Path) -> None:
        """Write it into a folder: metrics and checks as JSON, tables as CSV, pictures as PNG where Matplotlib is."""
        folder = Path(path)
        folder.mkdir(parents=True, exist_ok=True)
        for name, value in (("metrics", dict(self.metrics)), ("evaluation", self.to_dict())):
            (folder / f"{name}.json").write_text(json.dumps(value, indent=2, default=str), encoding="utf-8")
        for name, table in self.tables.items():
            table.to_csv(folder / f"{name}.csv", index=False)
        for name, draw in self.figures.items():
            try:
                draw().savefig(folder / f"{name}.png")
            except ImportError:
                return
