"""Experiments in SQL. Each function works in the transaction that it is handed."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from sqlalchemy import Connection, Row, Select, delete, func, select, text, tuple_, update
from sqlalchemy.exc import IntegrityError

from toolkit.db.dialect import SQLITE, insert, one_of
from toolkit.db.tables import experiment_tags, experiments, runs
from toolkit.errors import AlreadyExists, Conflict, NotFound
from toolkit.ids import now_ms
from toolkit.tracking import paging
from toolkit.tracking.records import Experiment, Lifecycle, Page

DEFAULT_ID = 0
DEFAULT_NAME = "Default"

_ID = re.compile(r"0|[1-9][0-9]{0,17}")  # one spelling each, and 64 bits hold them all


def number_of(experiment_id: str) -> int | None:
    """Return the inner number of an experiment's public id; ``None`` where no experiment can have such an id."""
    return int(experiment_id) if _ID.fullmatch(experiment_id) else None


def add_default(connection: Connection, artifact_root: str, dialect: str) -> None:
    """Make the experiment that is always there, if it is not yet."""
    now = now_ms()
    connection.execute(
        insert(experiments, dialect)
        .values(
            id=DEFAULT_ID,
            name=DEFAULT_NAME,
            artifact_location=f"{artifact_root}/{DEFAULT_ID}",
            created=now,
            updated=now,
        )
        .on_conflict_do_nothing(index_elements=["id"])
    )


def has_default(connection: Connection) -> bool:
    """Tell whether the experiment that is always there is there."""
    return connection.execute(select(experiments.c.id).where(experiments.c.id == DEFAULT_ID)).first() is not None


class Made(NamedTuple):
    """What an experiment had where it comes from, if it is imported; else ``None``, and it is given one."""

    number: int | None = None
    created: int | None = None


def take_id(connection: Connection, number: int, dialect: str) -> None:
    """See to it that an id which is given by the caller is free, and is not given out later.

    Raises:
        AlreadyExists: It is another experiment's.
    """
    if connection.execute(select(experiments.c.id).where(experiments.c.id == number)).first():
        raise AlreadyExists(f"Experiment(id={number}) already exists.")
    if dialect != SQLITE and number > 0:  # SQLite looks at the greatest id itself
        connection.execute(text("LOCK TABLE experiments IN EXCLUSIVE MODE"))  # nobody takes an id in between
        later = (
            "setval(pg_get_serial_sequence('experiments', 'id'), greatest(:number, (SELECT max(id) FROM experiments)))"
        )
        connection.execute(text(f"SELECT {later}"), {"number": number})


def create(
    connection: Connection,
    name: str,
    location: str | None,
    artifact_root: str,
    tags: Mapping[str, str],
    made: Made = Made(),  # noqa: B008 - a tuple, which nobody changes
) -> Experiment:
    """Make an experiment.

    Raises:
        AlreadyExists: There is an active one of this name.
    """
    now = now_ms() if made.created is None else made.created
    new = experiments.insert().values(name=name, artifact_location=location or "", created=now, updated=now)
    if made.number is not None:
        new = new.values(id=made.number)
    try:
        number: int = connection.execute(new.returning(experiments.c.id)).scalar_one()
    except IntegrityError as error:
        raise AlreadyExists(f"Experiment(name={name}) already exists.") from error
    if location is None:
        location = f"{artifact_root}/{number}"
        connection.execute(update(experiments).where(experiments.c.id == number).values(artifact_location=location))
    if tags:
        rows = [{"experiment": number, "key": key, "value": value} for key, value in tags.items()]
        connection.execute(experiment_tags.insert(), rows)
    return Experiment(
        experiment_id=str(number),
        name=name,
        artifact_location=location,
        creation_time=now,
        last_update_time=now,
        tags=dict(tags),
    )


def get(connection: Connection, experiment_id: str, dialect: str) -> Experiment:
    """Return an experiment, deleted or not.

    Raises:
        NotFound: There is none of this id.
    """
    return records(connection, [_row(connection, experiment_id)], dialect)[0]


def find(connection: Connection, name: str, dialect: str) -> Experiment | None:
    """Return the active experiment of this name, else the one deleted last, else ``None``."""
    found = (
        select(experiments)
        .where(experiments.c.name == name)
        .order_by(experiments.c.deleted.isnot(None), experiments.c.deleted.desc(), experiments.c.id.desc())
        .limit(1)
    )
    rows = connection.execute(found).all()
    return records(connection, rows, dialect)[0] if rows else None


def page(
    connection: Connection, lifecycle: Lifecycle | None, limit: int, page_token: str | None, dialect: str
) -> Page[Experiment]:
    """Return experiments, newest first.

    Raises:
        InvalidValue: The page token is none of this list.
    """
    rows = connection.execute(_listing(lifecycle, page_token).limit(limit + 1)).all()
    more = len(rows) > limit
    rows = rows[:limit]
    token = paging.encode("experiments", (rows[-1].created, rows[-1].id)) if more else None
    return Page(items=records(connection, rows, dialect), next_page_token=token)


def _listing(lifecycle: Lifecycle | None, page_token: str | None) -> Select[Any]:
    listing = select(experiments).order_by(experiments.c.created.desc(), experiments.c.id.desc())
    if lifecycle is not None:
        listing = listing.where((experiments.c.deleted.is_(None)) == (lifecycle is Lifecycle.ACTIVE))
    if page_token is not None:
        position = paging.decode(page_token, "experiments", (int, int))
        listing = listing.where(tuple_(experiments.c.created, experiments.c.id) < tuple_(*position))
    return listing


def change(
    connection: Connection,
    experiment_id: str,
    name: str | None,
    tags: Mapping[str, str | None],
    lifecycle: Lifecycle | None,
    dialect: str,
) -> Experiment:
    """Rename, tag, delete or restore an experiment; its runs go and come back with it.

    Raises:
        AlreadyExists: The name is another active experiment's.
        Conflict: It is deleted, stays so, and is to be renamed.
        NotFound: There is none of this id.
    """
    row = _row(connection, experiment_id, lock=True)
    now = now_ms()
    values: dict[str, Any] = {"updated": max(now, row.updated)}
    stays_deleted = row.deleted is not None and lifecycle is not Lifecycle.ACTIVE
    if name is not None and name != row.name:
        if stays_deleted:
            raise Conflict("Cannot rename a non-active experiment.")
        values["name"] = name
    if lifecycle is Lifecycle.DELETED and row.deleted is None:
        values["deleted"] = _delete_runs(connection, row.id, now)
    elif lifecycle is Lifecycle.ACTIVE and row.deleted is not None:
        values["deleted"] = None
        connection.execute(
            update(runs).where(runs.c.experiment == row.id, runs.c.deleted == row.deleted).values(deleted=None)
        )
    try:
        connection.execute(update(experiments).where(experiments.c.id == row.id).values(**values))
    except IntegrityError as error:
        raise AlreadyExists(f"Experiment(name={name or row.name}) already exists.") from error
    _tag(connection, row.id, tags, dialect)
    return get(connection, experiment_id, dialect)


def _delete_runs(connection: Connection, number: int, now: int) -> int:
    """Delete the active runs of an experiment; return a time of deletion that no run deleted before has.

    By that time the runs that went with the experiment are told, when it is restored, from those deleted before.
    """
    last = connection.execute(select(func.max(runs.c.deleted)).where(runs.c.experiment == number)).scalar()
    moment = max(now, (last or 0) + 1)
    connection.execute(update(runs).where(runs.c.experiment == number, runs.c.deleted.is_(None)).values(deleted=moment))
    return moment


def _tag(connection: Connection, number: int, tags: Mapping[str, str | None], dialect: str) -> None:
    rows = [{"experiment": number, "key": key, "value": value} for key, value in tags.items() if value is not None]
    if rows:
        setting = insert(experiment_tags, dialect)
        setting = setting.on_conflict_do_update(
            index_elements=["experiment", "key"], set_={"value": setting.excluded.value}
        )
        connection.execute(setting, rows)
    gone = [key for key, value in tags.items() if value is None]
    if gone:
        connection.execute(
            delete(experiment_tags).where(experiment_tags.c.experiment == number, experiment_tags.c.key.in_(gone))
        )


def _row(connection: Connection, experiment_id: str, *, lock: bool = False) -> Row[Any]:
    number = number_of(experiment_id)
    row = None
    if number is not None:
        wanted = select(experiments).where(experiments.c.id == number)
        row = connection.execute(wanted.with_for_update(key_share=True) if lock else wanted).first()
    if row is None:
        raise NotFound(f"No Experiment with id={experiment_id} exists")
    return row


def records(connection: Connection, rows: Sequence[Row[Any]], dialect: str) -> list[Experiment]:
    """Return experiments with their tags.

    Args:
        connection: In the transaction that read the rows.
        rows: Rows of experiments, in the order wanted.
        dialect: Kind of database.
    """
    if not rows:
        return []
    tags: dict[int, dict[str, str]] = {row.id: {} for row in rows}
    wanted = select(experiment_tags).where(one_of(experiment_tags.c.experiment, list(tags), dialect))
    for number, key, value in connection.execute(wanted):
        tags[number][key] = value
    return [
        Experiment(
            experiment_id=str(row.id),
            name=row.name,
            artifact_location=row.artifact_location,
            lifecycle_stage=Lifecycle.ACTIVE if row.deleted is None else Lifecycle.DELETED,
            creation_time=row.created,
            last_update_time=row.updated,
            tags=tags[row.id],
        )
        for row in rows
    ]
