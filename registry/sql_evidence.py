"""What a database knows of a version: what was measured of it, and which tests it passed. Inside a transaction."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, Row, and_, or_, select

from toolkit.db.tables import (
    datasets,
    input_tags,
    inputs,
    latest_metrics,
    logged_model_metrics,
    logged_models,
    metric_keys,
    model_inputs,
    model_version_tags,
    runs,
    tags,
)
from toolkit.registry.gates import Better, Bound, Gate, Trial
from toolkit.registry.judging import Evidence, Measurement
from toolkit.tracking.number import from_stored
from toolkit.tracking.system_tags import CONTEXT

TEST_TAG = "test."
"""How the key of a tag begins that says what became of a test: ``test.drift`` is ``passed``."""

_MEASURING = {"eval", "evaluation", "evaluate", "test", "testing", "validation", "valid", "val", "holdout"}
_MOST_POINTS = 1_000


def evidence(connection: Connection, row: Row[Any], gates: Sequence[Gate]) -> Evidence:
    """Return what is known of a version that gates ask for.

    Args:
        connection: In a transaction.
        row: The version.
        gates: What is asked.
    """
    metrics = sorted({gate.metric for gate in gates if isinstance(gate, Bound | Better)})
    tests = sorted({gate.name for gate in gates if isinstance(gate, Trial)})
    tagged = select(model_version_tags.c.key, model_version_tags.c.value)
    told = dict(connection.execute(tagged.where(model_version_tags.c.version == row.id)).all())
    return Evidence(
        version=row.number,
        measured=_measured(connection, row, metrics) if metrics else {},
        tags=told,
        tests=_tests(connection, row, tests, told) if tests else {},
    )


def _measured(connection: Connection, row: Row[Any], keys: Sequence[str]) -> Mapping[str, Sequence[Measurement]]:
    """Return what was measured: of the logged model, on whichever data; then by the run that made it."""
    found: dict[str, dict[tuple[str | None, str | None], Measurement]] = {key: {} for key in keys}
    if row.model_id is not None:
        points = (
            select(logged_model_metrics)
            .join(logged_models, logged_models.c.id == logged_model_metrics.c.model)
            .where(logged_models.c.model_id == row.model_id, logged_model_metrics.c.key.in_(keys))
            .order_by(logged_model_metrics.c.timestamp.desc(), logged_model_metrics.c.step.desc())
            .limit(_MOST_POINTS)
        )
        for point in connection.execute(points):
            data = point.dataset_name or None, point.dataset_digest or None
            value = from_stored(point.value, point.special)
            found[point.key].setdefault(data, Measurement(value=value, dataset=data[0], digest=data[1]))
    if row.run_id is not None:
        data = _data_of_run(connection, row.run_id)
        values = (
            select(metric_keys.c.name, latest_metrics.c.value, latest_metrics.c.special)
            .join(runs, runs.c.id == latest_metrics.c.run)
            .join(metric_keys, metric_keys.c.id == latest_metrics.c.key)
            .where(runs.c.run_id == row.run_id, metric_keys.c.name.in_(keys))
        )
        for key, stored, special in connection.execute(values):
            value = from_stored(stored, special)
            found[key].setdefault(data, Measurement(value=value, dataset=data[0], digest=data[1]))
    return {key: tuple(points.values()) for key, points in found.items()}


def _data_of_run(connection: Connection, run_id: str) -> tuple[str | None, str | None]:
    """Return the name and digest of the data that a run measured on: its test data, else the only data that it used."""
    context = and_(
        input_tags.c.run == inputs.c.run, input_tags.c.dataset == inputs.c.dataset, input_tags.c.key == CONTEXT
    )
    wanted = (
        select(datasets.c.name, datasets.c.digest, input_tags.c.value)
        .select_from(inputs)
        .join(runs, runs.c.id == inputs.c.run)
        .join(datasets, datasets.c.id == inputs.c.dataset)
        .outerjoin(input_tags, context)
        .where(runs.c.run_id == run_id)
    )
    used = connection.execute(wanted).all()
    measured = [each for each in used if (each.value or "").lower() in _MEASURING]
    if not measured and len({each.digest for each in used}) == 1:
        measured = list(used)
    if not measured:
        return None, None
    names, digests = (sorted({row[column] for row in measured}) for column in (0, 1))
    return "+".join(names), "+".join(digests)


def _tests(connection: Connection, row: Row[Any], names: Sequence[str], told: Mapping[str, str]) -> Mapping[str, str]:
    """Return what is known of tests: by a tag of the version or of its run, else by the run of a step of this name.

    Such a run belongs to the same run of a workflow, or used the logged model; of several the last one counts.
    """
    made = runs.alias("made")
    same = select(made.c.parent_run_id).where(made.c.run_id == row.run_id)
    used = (
        select(model_inputs.c.run)
        .join(logged_models, logged_models.c.id == model_inputs.c.model)
        .where(logged_models.c.model_id == row.model_id)
    )
    related = or_(runs.c.parent_run_id.in_(same), runs.c.parent_run_id == row.run_id, runs.c.id.in_(used))
    steps = select(runs.c.name, runs.c.status).where(runs.c.name.in_(names), runs.c.deleted.is_(None), related)
    found = dict(connection.execute(steps.order_by(runs.c.start_time, runs.c.id)).all())
    of_run = (
        select(tags.c.key, tags.c.value)
        .join(runs, runs.c.id == tags.c.run)
        .where(runs.c.run_id == row.run_id, tags.c.key.in_([TEST_TAG + name for name in names]))
    )
    said = {**dict(connection.execute(of_run).all()), **told}
    for name in names:
        if TEST_TAG + name in said:
            found[name] = said[TEST_TAG + name]
    return found
