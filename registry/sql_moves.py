"""Moves in SQL: a version takes a stage or an alias. Each function works in the transaction that it is handed.

What a move needs is asked elsewhere (`toolkit.registry.sql_gates`): here it is done, and written down.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, Row, delete, select, update

from toolkit.db.dialect import insert
from toolkit.db.tables import model_aliases, model_versions
from toolkit.ids import now_ms
from toolkit.registry.history import Action
from toolkit.registry.promotion import Target
from toolkit.registry.records import Stage
from toolkit.registry.sql_history import Recorder
from toolkit.registry.sql_versions import touch


def holder(connection: Connection, model: int, target: Target, *, but: int | None = None) -> Row[Any] | None:
    """Return the row of the version that holds a target: of several in a stage, the highest.

    Args:
        connection: In a transaction.
        model: Inner key of the registered model.
        target: A stage or an alias.
        but: Inner key of a version that does not count.
    """
    wanted = select(model_versions).where(model_versions.c.model == model, model_versions.c.deleted.is_(None))
    if target.stage is None:
        wanted = wanted.join(model_aliases, model_aliases.c.version == model_versions.c.id)
        wanted = wanted.where(model_aliases.c.model == model, model_aliases.c.alias == target.alias)
    else:
        wanted = wanted.where(model_versions.c.stage == target.stage.value)
    if but is not None:
        wanted = wanted.where(model_versions.c.id != but)
    return connection.execute(wanted.order_by(model_versions.c.number.desc()).limit(1)).first()


def holds(connection: Connection, row: Row[Any], target: Target) -> bool:
    """Tell whether a version holds a target."""
    if target.stage is not None:
        return bool(row.stage == target.stage.value)
    found = holder(connection, row.model, target)
    return found is not None and found.id == row.id


def take(
    connection: Connection, row: Row[Any], target: Target, record: Recorder, dialect: str, *, archive: bool = False
) -> None:
    """Let a version have a target.

    Args:
        connection: In a transaction that has locked the model.
        row: The version.
        target: What it takes.
        record: Where that is written down.
        dialect: Kind of database.
        archive: Whether the others in the stage go to the archive.
    """
    if target.stage is None:
        _name(connection, row, str(target.alias), record, dialect)
        return
    if archive:
        others = select(model_versions).where(
            model_versions.c.model == row.model,
            model_versions.c.stage == target.stage.value,
            model_versions.c.deleted.is_(None),
            model_versions.c.id != row.id,
        )
        for other in connection.execute(others.order_by(model_versions.c.number)).all():
            put(connection, other, Stage.ARCHIVED, record)
    put(connection, row, target.stage, record)


def put(connection: Connection, row: Row[Any], stage: Stage, record: Recorder) -> None:
    """Put a version into a stage."""
    if row.stage == stage.value:
        return
    now = now_ms()
    moving = update(model_versions).where(model_versions.c.id == row.id)
    connection.execute(moving.values(stage=stage.value, updated=now))
    touch(connection, row.model, now)
    record.add(Action.STAGE, version=row.number, old=row.stage, new=stage.value)


def _name(connection: Connection, row: Row[Any], alias: str, record: Recorder, dialect: str) -> None:
    before = holder(connection, row.model, Target(alias=alias))
    if before is not None and before.id == row.id:
        return
    setting = insert(model_aliases, dialect).values(model=row.model, alias=alias, version=row.id)
    setting = setting.on_conflict_do_update(index_elements=["model", "alias"], set_={"version": row.id})
    connection.execute(setting)
    old = None if before is None else str(before.number)
    record.add(Action.ALIAS, version=row.number, key=alias, old=old, new=str(row.number))


def drop_alias(connection: Connection, model: int, alias: str, record: Recorder) -> None:
    """Let an alias stand for nothing, if it is there."""
    named = (model_aliases.c.model == model) & (model_aliases.c.alias == alias)
    number = select(model_versions.c.number).join(model_aliases, model_aliases.c.version == model_versions.c.id)
    before = connection.execute(number.where(named)).scalar()
    if before is None:
        return
    connection.execute(delete(model_aliases).where(named))
    record.add(Action.ALIAS, version=before, key=alias, old=str(before))
