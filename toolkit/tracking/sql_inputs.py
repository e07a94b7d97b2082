"""Datasets that runs use, in SQL. Each function works in the transaction that it is handed."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any

from sqlalchemy import BigInteger, ColumnElement, Connection, FromClause, Row, Select, and_, bindparam, select

from toolkit.db.dialect import among, insert, listed, texts_parameter
from toolkit.db.fixed import Fixed
from toolkit.db.tables import datasets, input_tags, inputs, runs
from toolkit.tracking.filter_fields import Field
from toolkit.tracking.records import Dataset, DatasetInput, UsedDataset
from toolkit.tracking.system_tags import CONTEXT


def write(connection: Connection, run: int, given: Sequence[DatasetInput], dialect: str) -> None:
    """Note the inputs of a run. A dataset that the experiment has is not written again, nor is a repeated input."""
    if not given:
        return
    experiment = connection.execute(select(runs.c.experiment).where(runs.c.id == run)).scalar_one()
    rows: dict[tuple[str, str], dict[str, object]] = {}
    for each in given:
        rows.setdefault((each.dataset.name, each.dataset.digest), _row(experiment, each.dataset))
    connection.execute(insert(datasets, dialect).on_conflict_do_nothing(), list(rows.values()))
    there = select(datasets.c.name, datasets.c.digest, datasets.c.id).where(
        datasets.c.experiment == experiment,
        datasets.c.name.in_({name for name, _ in rows}),
        datasets.c.digest.in_({digest for _, digest in rows}),
    )
    ids = {(row.name, row.digest): row.id for row in connection.execute(there)}
    used = [{"run": run, "dataset": ids[pair]} for pair in rows]
    connection.execute(insert(inputs, dialect).on_conflict_do_nothing(), used)
    tags = {
        (ids[each.dataset.name, each.dataset.digest], key): value for each in given for key, value in each.tags.items()
    }
    if tags:
        tagging = insert(input_tags, dialect)
        tagging = tagging.on_conflict_do_update(
            index_elements=["run", "dataset", "key"], set_={"value": tagging.excluded.value}
        )
        values = [{"run": run, "dataset": id_, "key": key, "value": value} for (id_, key), value in tags.items()]
        connection.execute(tagging, values)


def read(connection: Connection, run: int) -> Sequence[DatasetInput]:
    """Return the inputs of a run, in the order in which their datasets became known."""
    return _inputs(_reading(connection.dialect.name).run(connection, run=run).all(), {})


def of_runs(connection: Connection, run_ids: Sequence[str], dialect: str) -> dict[str, Sequence[DatasetInput]]:
    """Return the inputs of each of these runs that has any."""
    rows: dict[str, list[Row[Any]]] = {}
    for row in _of_runs(dialect).run(connection, runs=listed(run_ids, dialect)):
        rows.setdefault(row.run_id, []).append(row)
    known: dict[int, Dataset] = {}  # a dataset of a thousand runs is held once
    return {run_id: _inputs(each, known) for run_id, each in rows.items()}


def _inputs(rows: Sequence[Row[Any]], known: dict[int, Dataset]) -> Sequence[DatasetInput]:
    tags: dict[int, dict[str, str]] = {}
    for row in rows:
        if row.id not in known:
            known[row.id] = Dataset(
                name=row.name,
                digest=row.digest,
                source_type=row.source_type,
                source=row.source,
                schema=row.schema,
                profile=row.profile,
            )
        of_dataset = tags.setdefault(row.id, {})
        if row.key is not None:
            of_dataset[row.key] = row.value
    return tuple(DatasetInput(dataset=known[key], tags=each) for key, each in tags.items())


def used(connection: Connection, experiment_ids: Sequence[int], limit: int) -> Sequence[UsedDataset]:
    """Return the datasets that runs of some experiments use, each once for each context, by experiment and name."""
    said = and_(input_tags.c.run == inputs.c.run, input_tags.c.dataset == inputs.c.dataset, input_tags.c.key == CONTEXT)
    columns = (datasets.c.experiment, datasets.c.name, datasets.c.digest, input_tags.c.value)
    rows = connection.execute(
        select(*columns)
        .join(inputs, inputs.c.dataset == datasets.c.id)
        .outerjoin(input_tags, said)
        .where(datasets.c.experiment.in_(experiment_ids))
        .distinct()
        .order_by(*columns)
        .limit(limit)
    )
    return [
        UsedDataset(experiment_id=str(row.experiment), name=row.name, digest=row.digest, context=row.value)
        for row in rows
    ]


@cache
def _reading(dialect: str) -> Fixed:
    wanted = _wanted(select(datasets, input_tags.c.key, input_tags.c.value))
    return Fixed(wanted.where(inputs.c.run == bindparam("run", type_=BigInteger)), dialect)


@cache
def _of_runs(dialect: str) -> Fixed:
    wanted = _wanted(select(datasets, input_tags.c.key, input_tags.c.value, runs.c.run_id))
    wanted = wanted.join(runs, runs.c.id == inputs.c.run)
    return Fixed(wanted.where(among(runs.c.run_id, texts_parameter("runs", dialect), dialect)), dialect)


def _wanted(columns: Select[Any]) -> Select[Any]:
    of_run = and_(input_tags.c.run == inputs.c.run, input_tags.c.dataset == inputs.c.dataset)
    wanted = columns.join(inputs, inputs.c.dataset == datasets.c.id).outerjoin(input_tags, of_run)
    return wanted.order_by(datasets.c.id, input_tags.c.key)


def values_of(run: ColumnElement[int], field: Field) -> tuple[FromClause, ColumnElement[str], ColumnElement[bool]]:
    """Return where a field of a run's datasets is: the table, its column, and the condition that it is this run's."""
    if field.key == "context":
        tag = input_tags.alias()
        return tag, tag.c.value, and_(tag.c.run == run, tag.c.key == CONTEXT)
    used, dataset = inputs.alias(), datasets.alias()
    return used.join(dataset, dataset.c.id == used.c.dataset), dataset.c[field.key], used.c.run == run


def _row(experiment: int, dataset: Dataset) -> dict[str, object]:
    return {
        "experiment": experiment,
        "name": dataset.name,
        "digest": dataset.digest,
        "source_type": dataset.source_type,
        "source": dataset.source,
        "schema": dataset.schema,
        "profile": dataset.profile,
    }
