"""Logged models in SQL, row by row. Each function works in the transaction that it is handed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

from sqlalchemy import Connection, Row, Table, delete, exists, null, select, union_all, update

from toolkit.db.dialect import among, insert, listed, one_of, one_of_texts, texts_parameter
from toolkit.db.fixed import Fixed
from toolkit.db.tables import (
    experiments,
    logged_model_metrics,
    logged_model_params,
    logged_model_tags,
    logged_models,
    model_inputs,
    model_outputs,
    model_versions,
    registered_models,
    runs,
)
from toolkit.errors import Conflict, NotFound
from toolkit.ids import now_ms
from toolkit.tracking.limits import Point
from toolkit.tracking.logged_models import (
    DatasetRef,
    LoggedModel,
    ModelMetric,
    ModelOutput,
    ModelStatus,
    NewLoggedModel,
    RunModels,
)
from toolkit.tracking.logged_models_limits import MODEL_VERSIONS, each_once, is_model_id, with_version
from toolkit.tracking.number import from_stored
from toolkit.tracking.records import Lifecycle, Metric
from toolkit.tracking.sql_experiments import number_of
from toolkit.tracking.sql_runs import find as find_run
from toolkit.tracking.transition import experiment_not_active, not_active


def find(connection: Connection, model_id: str, *, deleted: bool = False, lock: bool = False) -> Row[Any]:
    """Return the row of a model.

    Args:
        connection: In a transaction.
        model_id: Its id.
        deleted: Whether a deleted one is wanted too.
        lock: Whether nobody else may change it until the end of the transaction.

    Raises:
        NotFound: There is none.
    """
    row = None
    if is_model_id(model_id):
        wanted = select(logged_models).where(logged_models.c.model_id == model_id)
        row = connection.execute(wanted.with_for_update(key_share=True) if lock else wanted).first()
    if row is None or (row.deleted is not None and not deleted):
        raise NotFound(f"Logged model with ID '{model_id}' not found.")
    return row


def add(connection: Connection, new: NewLoggedModel, dialect: str) -> LoggedModel:
    """Make a model with its first parameters and tags, or return the one of its id.

    Raises:
        Conflict: The experiment is deleted.
        NotFound: There is no such experiment.
    """
    number = number_of(new.experiment_id)
    place = select(experiments.c.artifact_location, experiments.c.deleted).where(experiments.c.id == number)
    place = place.with_for_update(read=True)  # nobody deletes it meanwhile
    experiment = connection.execute(place).first() if number is not None else None
    if experiment is None:
        raise NotFound(f"No Experiment with id={new.experiment_id} exists")
    if experiment.deleted is not None:
        raise experiment_not_active(new.experiment_id)
    now = now_ms()
    adding = (
        insert(logged_models, dialect)
        .values(
            model_id=new.model_id,
            experiment=number,
            name=new.name,
            type=new.model_type,
            status=ModelStatus.PENDING.value,
            source_run_id=new.source_run_id,
            artifact_uri=f"{experiment.artifact_location.rstrip('/')}/models/{new.model_id}/artifacts",
            created=now,
            updated=now,
        )
        .on_conflict_do_nothing(index_elements=["model_id"])
        .returning(logged_models.c.id)
    )
    key = connection.execute(adding).scalar()
    if key is not None:
        _set(connection, logged_model_params, key, new.params, dialect)
        _set(connection, logged_model_tags, key, new.tags, dialect)
    return records(connection, [find(connection, new.model_id, deleted=True)], dialect)[0]


def change(connection: Connection, key: int, **values: object) -> None:
    """Change fields of a model."""
    connection.execute(update(logged_models).where(logged_models.c.id == key).values(updated=now_ms(), **values))


def tag(connection: Connection, row: Row[Any], tags: Mapping[str, str | None], dialect: str) -> None:
    """Set and remove tags.

    Raises:
        NotFound: One that is to be removed is not there.
    """
    values = {key: value for key, value in tags.items() if value is not None}
    if MODEL_VERSIONS in values:
        values[MODEL_VERSIONS] = each_once(values[MODEL_VERSIONS], _registered(connection, row))
    _set(connection, logged_model_tags, row.id, values, dialect)
    for key in (key for key, value in tags.items() if value is None):
        gone = delete(logged_model_tags).where(logged_model_tags.c.model == row.id, logged_model_tags.c.key == key)
        if not connection.execute(gone).rowcount:
            raise NotFound(f"No tag with key '{key}' found for model with ID '{row.model_id}'.")


def _registered(connection: Connection, row: Row[Any]) -> list[tuple[str, int]]:
    """Return the versions that a model was registered as."""
    wanted = (
        select(registered_models.c.name, model_versions.c.number)
        .join(registered_models, registered_models.c.id == model_versions.c.model)
        .where(model_versions.c.model_id == row.model_id, model_versions.c.deleted.is_(None))
        .order_by(model_versions.c.id)
    )
    return [(found.name, found.number) for found in connection.execute(wanted)]


def note_version(connection: Connection, model_id: str, name: str, number: int, dialect: str) -> None:
    """Let a model's tag list a version that it was registered as; a model that is not here is passed over."""
    found = select(logged_models.c.id).where(logged_models.c.model_id == model_id).with_for_update(key_share=True)
    key = connection.execute(found).scalar()
    if key is None:
        return
    there = select(logged_model_tags.c.value).where(
        logged_model_tags.c.model == key, logged_model_tags.c.key == MODEL_VERSIONS
    )
    value = with_version(connection.execute(there).scalar(), name, number)
    _set(connection, logged_model_tags, key, {MODEL_VERSIONS: value}, dialect)


def write_params(connection: Connection, row: Row[Any], params: Mapping[str, str], dialect: str) -> None:
    """Add parameters.

    Raises:
        Conflict: One is there with another value.
    """
    if not params:
        return
    rows = [{"model": row.id, "key": key, "value": value} for key, value in params.items()]
    connection.execute(insert(logged_model_params, dialect).on_conflict_do_nothing(), rows)
    there = select(logged_model_params.c.key, logged_model_params.c.value).where(
        logged_model_params.c.model == row.id, one_of_texts(logged_model_params.c.key, list(params), dialect)
    )
    for key, value in connection.execute(there):
        if value != params[key]:
            raise Conflict(
                f"Changing param values is not allowed. Param with key='{key}' was already logged with value='{value}' "
                f"for model ID='{row.model_id}'. Attempted logging new value '{params[key]}'."
            )


def write_metrics(
    connection: Connection, points: Sequence[ModelMetric], checked: Sequence[Point], dialect: str
) -> None:
    """Add points; ``checked`` are the same as the stores keep them."""
    keys = {model_id: find(connection, model_id).id for model_id in {point.model_id for point in points}}
    rows = []
    for point, (key, step, timestamp, value, special) in zip(points, checked, strict=True):
        dataset = point.dataset or DatasetRef(name="")
        rows.append(
            {
                "model": keys[point.model_id],
                "key": key,
                "run_id": point.run_id,
                "step": step,
                "timestamp": timestamp,
                "dataset_name": dataset.name,
                "dataset_digest": dataset.digest or "",
                "value": value,
                "special": special,
            }
        )
    connection.execute(insert(logged_model_metrics, dialect).on_conflict_do_nothing(), rows)


def delete_model(connection: Connection, model_id: str) -> None:
    """Delete a model.

    Raises:
        NotFound: There is none.
    """
    row = find(connection, model_id)
    now = now_ms()
    connection.execute(update(logged_models).where(logged_models.c.id == row.id).values(deleted=now, updated=now))


def write_inputs(connection: Connection, run_id: str, model_ids: Sequence[str], dialect: str) -> None:
    """Note the models that a run uses."""
    run = _active_run(connection, run_id)
    rows = [{"run": run, "model": find(connection, model_id).id} for model_id in dict.fromkeys(model_ids)]
    if rows:
        connection.execute(insert(model_inputs, dialect).on_conflict_do_nothing(), rows)


def write_outputs(connection: Connection, run_id: str, outputs: Sequence[ModelOutput], dialect: str) -> None:
    """Note the models that a run made."""
    run = _active_run(connection, run_id)
    keys = {model_id: find(connection, model_id).id for model_id in {output.model_id for output in outputs}}
    rows = [{"run": run, "model": keys[output.model_id], "step": output.step} for output in outputs]
    if rows:
        connection.execute(insert(model_outputs, dialect).on_conflict_do_nothing(), rows)


def _active_run(connection: Connection, run_id: str) -> int:
    run = find_run(connection, run_id)
    if run.deleted:
        raise not_active(run_id)
    return run.key


def models_of(connection: Connection, run_ids: Sequence[str], dialect: str) -> dict[str, RunModels]:
    """Return what runs used and made, in the order in which the models were made. It is asked with every run."""
    inputs: dict[str, list[str]] = {}
    outputs: dict[str, list[ModelOutput]] = {}
    for run_id, _, model_id, step in sorted(
        _models_of(dialect).run(connection, runs=listed(run_ids, dialect)), key=_in_order
    ):
        if step is None:
            inputs.setdefault(run_id, []).append(model_id)
        else:
            outputs.setdefault(run_id, []).append(ModelOutput(model_id=model_id, step=step))
    return {
        run_id: RunModels(inputs=tuple(inputs.get(run_id, ())), outputs=tuple(outputs.get(run_id, ())))
        for run_id in {*inputs, *outputs}
    }


@cache
def _models_of(dialect: str) -> Fixed:
    parts = [
        select(runs.c.run_id, logged_models.c.id, logged_models.c.model_id, step.label("step"))
        .join(table, table.c.run == runs.c.id)
        .join(logged_models, logged_models.c.id == table.c.model)
        .where(among(runs.c.run_id, texts_parameter("runs", dialect), dialect))
        for table, step in ((model_inputs, null()), (model_outputs, model_outputs.c.step))
    ]
    return Fixed(union_all(*parts), dialect)


def _in_order(row: Row[Any]) -> tuple[int, int]:
    return row.id, row.step or 0


def purge(connection: Connection, model_ids: Sequence[str], dialect: str) -> list[str]:
    """Remove models that were deleted, or whose experiment was, and that no version needs; return their ids."""
    wanted = [model_id for model_id in model_ids if is_model_id(model_id)]
    needed = exists().where(
        model_versions.c.deleted.is_(None),
        (model_versions.c.model_id == logged_models.c.model_id) | (model_versions.c.holder == logged_models.c.model_id),
    )
    with_experiment = exists().where(experiments.c.id == logged_models.c.experiment, experiments.c.deleted.is_not(None))
    gone = delete(logged_models).where(
        one_of_texts(logged_models.c.model_id, wanted, dialect),
        logged_models.c.deleted.is_not(None) | with_experiment,
        ~needed,
    )
    return list(connection.execute(gone.returning(logged_models.c.model_id)).scalars())


def _set(connection: Connection, table: Table, key: int, values: Mapping[str, str], dialect: str) -> None:
    if not values:
        return
    setting = insert(table, dialect)
    setting = setting.on_conflict_do_update(index_elements=["model", "key"], set_={"value": setting.excluded.value})
    connection.execute(setting, [{"model": key, "key": name, "value": value} for name, value in values.items()])


def records(connection: Connection, rows: Sequence[Row[Any]], dialect: str) -> list[LoggedModel]:
    """Return models with their parameters, tags and metrics.

    Args:
        connection: In the transaction that read the rows.
        rows: Rows of models, in the order wanted.
        dialect: Kind of database.
    """
    keys = [row.id for row in rows]
    params = _values(connection, logged_model_params, keys, dialect)
    tags = _values(connection, logged_model_tags, keys, dialect)
    metrics = _metrics(connection, {row.id: row.model_id for row in rows}, dialect)
    return [
        LoggedModel(
            model_id=row.model_id,
            experiment_id=str(row.experiment),
            name=row.name,
            artifact_uri=row.artifact_uri,
            status=ModelStatus(row.status),
            status_message=row.status_message,
            model_type=row.type,
            source_run_id=row.source_run_id,
            creation_time=row.created,
            last_update_time=row.updated,
            lifecycle_stage=Lifecycle.ACTIVE if row.deleted is None else Lifecycle.DELETED,
            params=params.get(row.id, {}),
            tags=tags.get(row.id, {}),
            metrics=tuple(metrics.get(row.id, ())),
        )
        for row in rows
    ]


def _values(connection: Connection, table: Table, keys: Sequence[int], dialect: str) -> dict[int, dict[str, str]]:
    found: dict[int, dict[str, str]] = {}
    if keys:
        for key, name, value in connection.execute(select(table).where(one_of(table.c.model, keys, dialect))):
            found.setdefault(key, {})[name] = value
    return found


def _metrics(connection: Connection, model_ids: Mapping[int, str], dialect: str) -> dict[int, list[ModelMetric]]:
    table = logged_model_metrics
    found: dict[int, list[ModelMetric]] = {}
    if not model_ids:
        return found
    ordered = select(table).where(one_of(table.c.model, list(model_ids), dialect))
    ordered = ordered.order_by(table.c.model, table.c.key, table.c.step, table.c.timestamp)
    for row in connection.execute(ordered):
        point = Metric(key=row.key, value=from_stored(row.value, row.special), timestamp=row.timestamp, step=row.step)
        dataset = DatasetRef(name=row.dataset_name, digest=row.dataset_digest or None) if row.dataset_name else None
        found.setdefault(row.model, []).append(
            ModelMetric(metric=point, model_id=model_ids[row.model], run_id=row.run_id, dataset=dataset)
        )
    return found
