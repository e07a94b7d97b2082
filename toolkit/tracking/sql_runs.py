"""Runs in SQL: made, read, listed, changed. Each function works in the transaction that it is handed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from functools import cache
from typing import Any, NamedTuple

from sqlalchemy import BigInteger, ColumnElement, Connection, Row, Select, Table, bindparam, or_, select, update

from toolkit.db.dialect import among, clock_ms, insert, listed, numbers_parameter, one_of
from toolkit.db.fixed import Fixed
from toolkit.db.tables import experiments, latest_metrics, metric_keys, params, runs, tags
from toolkit.errors import NotFound
from toolkit.ids import is_run_id, now_ms
from toolkit.tracking import paging, sql_inputs
from toolkit.tracking.number import from_stored
from toolkit.tracking.records import Lifecycle, Metric, NewRun, Page, Run, RunData, RunInfo, RunQuery, RunStatus
from toolkit.tracking.search import EVERY_COLUMN, Columns
from toolkit.tracking.sql_experiments import number_of
from toolkit.tracking.transition import RunChange, begun, changed, experiment_not_active

INFO = (
    runs.c.id,
    runs.c.run_id,
    runs.c.experiment,
    runs.c.name,
    runs.c.user_id,
    runs.c.status,
    runs.c.reason,
    runs.c.start_time,
    runs.c.end_time,
    runs.c.artifact_uri,
    runs.c.parent_run_id,
    runs.c.deleted,
)
_STATUSES = {status.value: status for status in RunStatus}
_FEW = 100  # so many values are given one by one, which the planner likes; a statement cannot have any number of them


class Found(NamedTuple):
    """A run by its public id: its inner key, and whether it is deleted."""

    key: int
    deleted: bool


def find(connection: Connection, run_id: str, *, lock: bool = False) -> Found:
    """Return the inner key of a run.

    Args:
        connection: In a transaction.
        run_id: Its public id.
        lock: Whether the run may not be removed for good until the end of the transaction: for writing points.

    Raises:
        NotFound: There is none of this id.
    """
    if not is_run_id(run_id):  # it is not even asked for: it may be text that no database takes
        raise not_found(run_id)
    row = _finding(connection.dialect.name, lock).run(connection, run_id=run_id).first()
    if row is None:
        raise not_found(run_id)
    return Found(row[0], row[1] is not None)


@cache
def _finding(dialect: str, lock: bool) -> Fixed:
    wanted = select(runs.c.id, runs.c.deleted).where(runs.c.run_id == bindparam("run_id"))
    return Fixed(wanted.with_for_update(read=True, key_share=True) if lock else wanted, dialect)


@cache
def _reading(dialect: str, lock: bool) -> Fixed:
    wanted = select(*INFO).where(runs.c.run_id == bindparam("run_id"))
    return Fixed(wanted.with_for_update(key_share=True) if lock else wanted, dialect)


def _row(connection: Connection, run_id: str, *, lock: bool = False) -> Row[Any]:
    known = is_run_id(run_id)  # nothing else is even asked for: it may be text that no database takes
    row = _reading(connection.dialect.name, lock).run(connection, run_id=run_id).first() if known else None
    if row is None:
        raise not_found(run_id)
    return row


def not_found(run_id: str) -> NotFound:
    """Return the error for a run that is not there."""
    return NotFound(f"Run with id={run_id} not found")


def add(connection: Connection, new: NewRun, dialect: str) -> tuple[int, RunInfo] | None:
    """Make a run without its values; return its inner key and record, or ``None`` if there is one of its id already.

    Raises:
        Conflict: The experiment is deleted.
        NotFound: There is no such experiment.
    """
    number = number_of(new.experiment_id)
    experiment = _place(dialect).run(connection, number=number).first() if number is not None else None
    if experiment is None:
        raise NotFound(f"No Experiment with id={new.experiment_id} exists")
    if experiment.deleted is not None:
        if connection.execute(select(runs.c.id).where(runs.c.run_id == new.run_id)).first():
            return None
        raise experiment_not_active(new.experiment_id)
    info = begun(new, experiment.artifact_location)
    owner = new.owner
    key = (
        _adding(dialect, bool(new.lease_ms))
        .run(
            connection,
            run_id=info.run_id,
            experiment=number,
            name=info.run_name,
            user_id=info.user_id,
            status=info.status.value,
            reason=info.reason,
            start_time=info.start_time,
            artifact_uri=info.artifact_uri,
            parent_run_id=info.parent_run_id,
            owner_host=owner.host if owner else None,
            owner_pid=owner.pid if owner else None,
            owner_started=owner.started if owner else None,
            lease=new.lease_ms,
        )
        .scalar()
    )
    return None if key is None else (key, info)


@cache
def _place(dialect: str) -> Fixed:
    wanted = select(experiments.c.artifact_location, experiments.c.deleted)
    wanted = wanted.where(experiments.c.id == bindparam("number", type_=BigInteger))
    return Fixed(wanted.with_for_update(read=True), dialect)  # nobody deletes it meanwhile, and leaves this run behind


@cache
def _adding(dialect: str, leased: bool) -> Fixed:
    named = ["run_id", "experiment", "name", "user_id", "status", "reason", "start_time", "artifact_uri"]
    named += ["parent_run_id", "owner_host", "owner_pid", "owner_started"]
    values: dict[str, ColumnElement[Any]] = {name: bindparam(name, type_=runs.c[name].type) for name in named}
    if leased:
        values["lease_until"] = clock_ms(dialect) + bindparam("lease", type_=BigInteger)
    adding = insert(runs, dialect).values(**values).on_conflict_do_nothing(index_elements=["run_id"])
    return Fixed(adding.returning(runs.c.id), dialect)


def get(connection: Connection, run_id: str, dialect: str) -> Run:
    """Return a run with what it logged and used.

    Raises:
        NotFound: There is none of this id.
    """
    row = _row(connection, run_id)
    return replace(with_data(connection, [row], dialect)[0], inputs=sql_inputs.read(connection, row.id))


def change(connection: Connection, run_id: str, wanted: RunChange) -> RunInfo:
    """Change a run's state, name or lifecycle.

    Raises:
        Conflict: It is deleted, stays so, and something else is changed.
        NotFound: There is none of this id.
    """
    row = _row(connection, run_id, lock=True)
    before = _info(row)
    now = now_ms()
    after = changed(before, wanted, now)
    values: dict[str, Any] = {
        "status": after.status.value,
        "reason": after.reason,
        "end_time": after.end_time,
        "name": after.run_name,
    }
    if after.lifecycle_stage is not before.lifecycle_stage:
        values["deleted"] = now if after.lifecycle_stage is Lifecycle.DELETED else None
    if after.status.terminal:
        values["lease_until"] = None
    elif before.status.terminal:  # who resumes it answers for it from its first beat on
        values.update(lease_until=None, owner_host=None, owner_pid=None, owner_started=None)
    _updating(connection.dialect.name, tuple(values)).run(connection, inner_key=row.id, **values)
    return after


@cache
def _updating(dialect: str, names: tuple[str, ...]) -> Fixed:
    values = {name: bindparam(name, type_=runs.c[name].type) for name in names}
    return Fixed(update(runs).where(runs.c.id == bindparam("inner_key", type_=BigInteger)).values(**values), dialect)


def write_fields(connection: Connection, key: int, fields: Mapping[str, Any]) -> None:
    """Set ``run_name`` or ``parent_run_id``, where a tag said the same."""
    if fields:
        values = {"name" if field == "run_name" else field: value for field, value in fields.items()}
        connection.execute(update(runs).where(runs.c.id == key).values(**values))


def page(connection: Connection, query: RunQuery, dialect: str) -> Page[Run]:
    """Return runs with what they logged, newest start first, ties by run id.

    Raises:
        InvalidValue: The page token is none of this list.
    """
    rows = connection.execute(listing(query, dialect).limit(query.limit + 1)).all()
    more = len(rows) > query.limit
    rows = rows[: query.limit]
    token = paging.encode("runs", (rows[-1].start_time, rows[-1].run_id)) if more else None
    return Page(items=with_data(connection, rows, dialect), next_page_token=token)


def listing(query: RunQuery, dialect: str) -> Select[Any]:
    """Return the statement that lists runs, without its limit."""
    statement = select(*INFO).where(*_conditions(query, dialect)).order_by(runs.c.start_time.desc(), runs.c.run_id)
    if query.page_token is not None:
        start, run_id = paging.decode(query.page_token, "runs", (int, str))
        # The first condition is there for the index: SQLite does not walk it by the second.
        statement = statement.where(runs.c.start_time <= start, or_(runs.c.start_time < start, runs.c.run_id > run_id))
    return statement


def _conditions(query: RunQuery, dialect: str) -> Iterable[ColumnElement[bool]]:
    if query.experiment_ids:
        numbers = [number for text in query.experiment_ids if (number := number_of(text)) is not None]
        if len(numbers) == 1:
            yield runs.c.experiment == numbers[0]
        elif len(numbers) <= _FEW:
            yield runs.c.experiment.in_(numbers)
        else:
            yield one_of(runs.c.experiment, numbers, dialect)
    if query.parent_run_id is not None:
        yield runs.c.parent_run_id == query.parent_run_id
    if query.top_level:
        yield runs.c.parent_run_id.is_(None)
    if query.status:
        yield runs.c.status.in_(sorted({status.value for status in query.status}))
    if query.run_id_prefix:
        yield runs.c.run_id >= query.run_id_prefix
        if (end := after_prefix(query.run_id_prefix)) is not None:
            yield runs.c.run_id < end
    if query.run_name is not None:
        yield runs.c.name == query.run_name
    if query.lifecycle is Lifecycle.ACTIVE:
        yield runs.c.deleted.is_(None)
    elif query.lifecycle is Lifecycle.DELETED:
        yield runs.c.deleted.isnot(None)
    if query.deleted_before is not None:
        yield runs.c.deleted < query.deleted_before


def after_prefix(prefix: str) -> str | None:
    """Return the least text that is greater than every text with this prefix; ``None`` where there is none."""
    rest = prefix.rstrip("\U0010ffff")
    if not rest:
        return None
    last = ord(rest[-1])
    return rest[:-1] + ("\ue000" if last == 0xD7FF else chr(last + 1))  # the surrogates in between are no characters


def with_data(
    connection: Connection, rows: Sequence[Row[Any]], dialect: str, columns: Columns = EVERY_COLUMN
) -> list[Run]:
    """Return runs with what they logged, by one statement each for all parameters, tags and latest metrics.

    Args:
        connection: In the transaction that read the rows.
        rows: Rows of runs, in the order wanted.
        dialect: Kind of database.
        columns: Which of their values to load.
    """
    if not rows:
        return []
    keys = [row.id for row in rows]
    params_of, tags_of = (
        _named(connection, table, keys, dialect, wanted)
        for table, wanted in ((params, columns.params), (tags, columns.tags))
    )
    latest_of = _latest(connection, keys, dialect, columns.metrics)
    return [
        Run(
            info=_info(row),
            data=RunData(
                metrics={name: point.value for name, point in latest_of[row.id].items()},
                params=params_of[row.id],
                tags=tags_of[row.id],
                latest=latest_of[row.id],
            ),
        )
        for row in rows
    ]


def _named(
    connection: Connection, table: Table, keys: Sequence[int], dialect: str, wanted: frozenset[str] | None
) -> dict[int, dict[str, str]]:
    """Return parameters or tags of each run: all, or those wanted."""
    values: dict[int, dict[str, str]] = {key: {} for key in keys}
    if wanted is None:
        found = _every_named(table, dialect).run(connection, runs=listed(keys, dialect))
    elif wanted:
        statement = select(table).where(one_of(table.c.run, keys, dialect), table.c.key.in_(sorted(wanted)))
        found = connection.execute(statement)
    else:
        return values
    for run, key, value in found.all():  # all(): rows that are fetched one by one take twice as long
        values[run][key] = value
    return values


@cache
def _every_named(table: Table, dialect: str) -> Fixed:
    return Fixed(select(table).where(among(table.c.run, numbers_parameter("runs", dialect), dialect)), dialect)


def _latest(
    connection: Connection, keys: Sequence[int], dialect: str, wanted: frozenset[str] | None
) -> dict[int, dict[str, Metric]]:
    """Return the latest points of each run: of all metrics, or of those wanted."""
    latest: dict[int, dict[str, Metric]] = {key: {} for key in keys}
    if wanted is None:
        found = _every_latest(dialect).run(connection, runs=listed(keys, dialect))
    elif wanted:
        named = select(metric_keys.c.id).where(metric_keys.c.name.in_(sorted(wanted)))
        points = latest_metrics.c
        found = connection.execute(_LATEST.where(one_of(points.run, keys, dialect), points.key.in_(named)))
    else:
        return latest
    for run, name, step, timestamp, value, special in found.all():
        number = from_stored(value, special) if special else value
        latest[run][name] = Metric(key=name, value=number, timestamp=timestamp, step=step)
    return latest


_LATEST = select(
    latest_metrics.c.run,
    metric_keys.c.name,
    latest_metrics.c.step,
    latest_metrics.c.timestamp,
    latest_metrics.c.value,
    latest_metrics.c.special,
).join(metric_keys, metric_keys.c.id == latest_metrics.c.key)


@cache
def _every_latest(dialect: str) -> Fixed:
    return Fixed(_LATEST.where(among(latest_metrics.c.run, numbers_parameter("runs", dialect), dialect)), dialect)


def _info(row: Row[Any]) -> RunInfo:
    return RunInfo(
        run_id=row.run_id,
        experiment_id=str(row.experiment),
        run_name=row.name,
        user_id=row.user_id,
        status=_STATUSES[row.status],
        start_time=row.start_time,
        end_time=row.end_time,
        artifact_uri=row.artifact_uri,
        lifecycle_stage=Lifecycle.ACTIVE if row.deleted is None else Lifecycle.DELETED,
        parent_run_id=row.parent_run_id,
        reason=row.reason,
    )
