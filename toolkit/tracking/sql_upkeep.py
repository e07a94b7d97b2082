"""Runs and experiments in SQL as a whole: removed for good, and counted."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import Connection, delete, exists, func, select

from toolkit.db.dialect import one_of, one_of_texts
from toolkit.db.tables import artifacts, datasets, experiments, inputs, logged_models, metrics, params, runs, tags
from toolkit.ids import is_run_id
from toolkit.tracking.records import RunSize
from toolkit.tracking.sql_experiments import DEFAULT_ID, number_of

_COUNTED = {"params": params, "tags": tags, "points": metrics, "artifacts": artifacts, "inputs": inputs}


def purge_runs(connection: Connection, run_ids: Sequence[str], dialect: str) -> list[str]:
    """Remove deleted runs with all that they logged, and data that no run uses any more; return their ids."""
    wanted = [run_id for run_id in run_ids if is_run_id(run_id)]
    found = connection.execute(
        select(runs.c.id, runs.c.run_id, runs.c.experiment).where(
            one_of_texts(runs.c.run_id, wanted, dialect), runs.c.deleted.isnot(None)
        )
    ).all()
    if not found:
        return []
    keys = [row.id for row in found]
    connection.execute(delete(runs).where(one_of(runs.c.id, keys, dialect)))
    connection.execute(delete(metrics).where(one_of(metrics.c.run, keys, dialect)))  # PostgreSQL has no key there
    used = exists().where(inputs.c.dataset == datasets.c.id)
    places = sorted({row.experiment for row in found})
    connection.execute(delete(datasets).where(one_of(datasets.c.experiment, places, dialect), ~used))
    return [row.run_id for row in found]


def purge_experiments(connection: Connection, experiment_ids: Sequence[str], dialect: str) -> list[str]:
    """Remove deleted experiments that have no runs and no logged models; return their ids."""
    numbers = [number for text in experiment_ids if (number := number_of(text)) is not None and number != DEFAULT_ID]
    if not numbers:
        return []
    gone = delete(experiments).where(
        one_of(experiments.c.id, numbers, dialect),
        experiments.c.deleted.isnot(None),
        ~exists().where(runs.c.experiment == experiments.c.id),
        ~exists().where(logged_models.c.experiment == experiments.c.id),
    )
    return [str(row.id) for row in connection.execute(gone.returning(experiments.c.id))]


def run_sizes(connection: Connection, run_ids: Sequence[str], dialect: str) -> dict[str, RunSize]:
    """Return how much each run has logged, by one statement a kind of value."""
    wanted = [run_id for run_id in run_ids if is_run_id(run_id)]
    rows = connection.execute(
        select(runs.c.id, runs.c.run_id).where(one_of_texts(runs.c.run_id, wanted, dialect))
    ).all()
    keys = [row.id for row in rows]
    counts: dict[str, dict[int, int]] = {}
    for name, table in _COUNTED.items():
        counted = (
            select(table.c.run, func.count().label("number"))
            .where(one_of(table.c.run, keys, dialect))
            .group_by(table.c.run)
        )
        counts[name] = {row.run: row.number for row in connection.execute(counted)}
    return {row.run_id: RunSize(**{name: found.get(row.id, 0) for name, found in counts.items()}) for row in rows}
