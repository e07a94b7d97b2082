"""What a search of scikit-learn found: its table, its best parameters, and its best candidates as child runs."""

from __future__ import annotations

import csv
import math
from collections.abc import Iterator, Mapping
from numbers import Number
from pathlib import Path
from typing import Any

from toolkit.active.autolog.training import AUTOLOGGING, Training
from toolkit.active.values import param_texts
from toolkit.recording import current
from toolkit.recording.context import script_tags
from toolkit.recording.run import RecordedRun
from toolkit.tracking import records


def is_search(estimator: object) -> bool:
    """Tell whether a model is a search for parameters, such as ``GridSearchCV``."""
    return any(
        each.__name__ == "BaseSearchCV" and each.__module__.startswith("sklearn.") for each in type(estimator).__mro__
    )


def best_params(search: Any) -> dict[str, object]:  # noqa: ANN401 - an estimator
    """Return the best candidate's parameters under the names that the run gives them."""
    return {f"best_{name}": value for name, value in getattr(search, "best_params_", {}).items()}


def write_results(search: Any, folder: Path) -> None:  # noqa: ANN401 - an estimator
    """Write what was found of each candidate, as a table."""
    results = search.cv_results_
    with (folder / "cv_results.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(results)
        writer.writerows(zip(*(_column(values) for values in results.values()), strict=True))


def log_candidates(
    training: Training,
    search: Any,  # noqa: ANN401 - an estimator
    *,
    most: int | None,
    tags: Mapping[str, str],
    inputs: list[records.DatasetInput],
) -> None:
    """Make a child run of each of the best candidates.

    Args:
        training: The search's.
        search: The search, which has ended.
        most: So many at most; ``None``: all.
        tags: What each of them is.
        inputs: The data that they were trained on.
    """
    results = search.cv_results_
    base = search.estimator.get_params(deep=not is_search(search.estimator))
    for row in _best(results, most):
        with training.attempt("a child run of the search is missing"):
            run = RecordedRun.start(
                training.run.stores,
                current.leases(),
                experiment_id=training.run.info.experiment_id,
                parent_run_id=training.run.run_id,
                tags={**script_tags(), AUTOLOGGING: training.flavor, **tags},
                params=param_texts({**base, **results["params"][row]}),
            )
            try:
                run.log_metrics(dict(_measured(results, row)))
                if inputs:
                    run.log_inputs(inputs)
            finally:
                run.end()


def _measured(results: Mapping[str, Any], row: int) -> Iterator[tuple[str, float]]:
    """Return means, deviations and ranks of a candidate, not what each split gave."""
    for name, values in results.items():
        if not name.startswith(("param", "split")) and isinstance(values[row], Number):
            yield name, float(values[row])


def _best(results: Mapping[str, Any], most: int | None) -> list[int]:
    """Return the rows of the best candidates, best first; of equal ones the first."""
    rows = list(range(len(results["params"])))
    if most is None:
        return rows
    ranks = [name for name in results if name.startswith("rank_test_")]
    rank = "rank_test_score" if "rank_test_score" in ranks else next(iter(ranks), None)
    if rank is None:
        return rows[:most]
    return sorted(rows, key=lambda row: _known(float(results[rank][row])))[:most]


def _known(rank: float) -> float:
    return math.inf if math.isnan(rank) else rank


def _column(values: Any) -> list[object]:  # noqa: ANN401 - a list, or an array that may be masked
    found = values.tolist() if hasattr(values, "tolist") else list(values)
    return ["" if value is None else value for value in found]
