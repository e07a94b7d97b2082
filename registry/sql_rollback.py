"""Rollbacks in SQL: a stage or an alias becomes what it was before. Inside a transaction."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, Row, or_, select

from toolkit.db.tables import model_versions, registry_changes
from toolkit.errors import Conflict
from toolkit.registry import sql_moves, sql_versions
from toolkit.registry.history import Action, Change
from toolkit.registry.promotion import Target
from toolkit.registry.records import Stage
from toolkit.registry.sql_history import Recorder


def roll_back(
    connection: Connection, model: Row[Any], target: Target, to: int | None, record: Recorder, dialect: str
) -> Sequence[Change]:
    """Undo the last change of a stage or an alias, or give it to a version that had it once.

    Args:
        connection: In a transaction that has locked the model.
        model: The registered model.
        target: The stage or the alias.
        to: The number of the version that takes it; ``None``: as it was before the last change.
        record: Where that is written down.
        dialect: Kind of database.

    Raises:
        Conflict: Nothing was before, or the version never had it, or is deleted.
        NotFound: There is no such version.
    """
    if to is not None:
        row = sql_versions.find(connection, model.name, to)
        if not _held_once(connection, row, target):
            raise Conflict(f"{model.name}/{to} never had {target}: it cannot be rolled back to that")
        archive = target.stage is not None and target.stage.active
        sql_moves.take(connection, row, target, record, dialect, archive=archive)
        return record.made
    last = _last(connection, model.id, target)
    if not last:
        raise Conflict(f"{target} of {model.name} was never anything else: there is nothing to roll back to")
    for change in reversed(last):
        if target.stage is None:
            _undo_alias(connection, model, target, change, record, dialect)
        else:
            row = _living(connection, model, change.version, target)
            sql_moves.put(connection, row, Stage(change.old), record)
    return record.made


def _undo_alias(
    connection: Connection, model: Row[Any], target: Target, change: Row[Any], record: Recorder, dialect: str
) -> None:
    if change.old is None:
        sql_moves.drop_alias(connection, model.id, str(target.alias), record)
        return
    row = _living(connection, model, int(change.old), target)
    sql_moves.take(connection, row, target, record, dialect)


def _last(connection: Connection, model: int, target: Target) -> Sequence[Row[Any]]:
    """Return the changes that were made together when a target changed last."""
    changes = registry_changes
    if target.stage is None:
        which = (changes.c.action == Action.ALIAS.value) & (changes.c.key == target.alias)
    else:
        stage = target.stage.value
        which = (changes.c.action == Action.STAGE.value) & or_(changes.c.old == stage, changes.c.new == stage)
    wanted = select(changes).where(changes.c.model == model, which)
    newest = connection.execute(wanted.order_by(changes.c.id.desc()).limit(1)).first()
    if newest is None:
        return ()
    return connection.execute(wanted.where(changes.c.created == newest.created).order_by(changes.c.id)).all()


def _living(connection: Connection, model: Row[Any], number: int, target: Target) -> Row[Any]:
    """Return the row of a version that is to be as it was.

    Raises:
        Conflict: It is deleted.
    """
    wanted = select(model_versions).where(model_versions.c.model == model.id, model_versions.c.number == number)
    row = connection.execute(wanted.where(model_versions.c.deleted.is_(None))).first()
    if row is None:
        raise Conflict(
            f"{model.name}/{number}, which the last change of {target} was about, was deleted: name another version "
            f"that had it (toolkit registry rollback {model.name} {target.options} --to VERSION)"
        )
    return row


def _held_once(connection: Connection, row: Row[Any], target: Target) -> bool:
    changes = registry_changes
    if target.stage is None:
        which = (changes.c.action == Action.ALIAS.value) & (changes.c.key == target.alias)
        which &= changes.c.new == str(row.number)
    else:
        which = (changes.c.action == Action.STAGE.value) & (changes.c.new == target.stage.value)
        which &= changes.c.version == row.number
    return (
        connection.execute(select(changes.c.id).where(changes.c.model == row.model, which).limit(1)).first() is not None
    )
