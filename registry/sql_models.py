"""Registered models in SQL. Each function works in the transaction that it is handed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, Row, delete, select, update
from sqlalchemy.exc import IntegrityError

from toolkit.db.dialect import insert, one_of
from toolkit.db.tables import (
    model_aliases,
    model_versions,
    registered_model_tags,
    registered_models,
    registry_policies,
)
from toolkit.errors import AlreadyExists
from toolkit.ids import now_ms
from toolkit.registry import sql_versions
from toolkit.registry.history import Action, Author
from toolkit.registry.records import ModelVersion, RegisteredModel, Stage
from toolkit.registry.sql_history import Recorder
from toolkit.registry.sql_versions import find_model


def add(
    connection: Connection, name: str, description: str | None, tags: Mapping[str, str], author: Author, dialect: str
) -> RegisteredModel:
    """Make a registered model.

    Raises:
        AlreadyExists: There is one of this name.
    """
    now = now_ms()
    adding = registered_models.insert().values(
        name=name, description=description, created=now, updated=now, last_version=0
    )
    try:
        key = connection.execute(adding.returning(registered_models.c.id)).scalar_one()
    except IntegrityError as error:
        raise _taken(name) from error
    _tag(connection, key, tags, dialect)
    more = {"tags": dict(tags), "description": description}
    Recorder(connection, key, name, author).add(Action.MODEL_CREATED, new=name, more=more)
    return RegisteredModel(name=name, description=description, creation_time=now, last_update_time=now, tags=dict(tags))


def _taken(name: str) -> AlreadyExists:
    return AlreadyExists(f"Registered Model (name={name}) already exists.")


def get(connection: Connection, name: str, dialect: str) -> RegisteredModel:
    """Return a registered model.

    Raises:
        NotFound: There is none.
    """
    return records(connection, [find_model(connection, name)], dialect)[0]


def change(
    connection: Connection,
    name: str,
    new_name: str | None,
    description: str | None,
    tags: Mapping[str, str | None],
    author: Author,
    dialect: str,
) -> RegisteredModel:
    """Rename, describe or tag a registered model.

    Raises:
        AlreadyExists: There is one of the new name.
        NotFound: There is none of the old one.
    """
    row = find_model(connection, name, lock=True)
    values: dict[str, object] = {}
    if new_name is not None:
        values["name"] = new_name
    if description is not None:
        values["description"] = description
    if values:
        changing = update(registered_models).where(registered_models.c.id == row.id).values(updated=now_ms(), **values)
        try:
            connection.execute(changing)
        except IntegrityError as error:
            raise _taken(new_name or name) from error
    record = Recorder(connection, row.id, new_name or name, author)
    if new_name not in (None, name):
        record.add(Action.MODEL_RENAMED, old=name, new=new_name)
    if description not in (None, row.description):
        record.add(Action.MODEL_DESCRIBED, old=row.description, new=description)
    before = select(registered_model_tags.c.key, registered_model_tags.c.value)
    before = before.where(registered_model_tags.c.model == row.id, registered_model_tags.c.key.in_(list(tags)))
    record.tagged(Action.MODEL_TAGGED, before, tags)
    _tag(connection, row.id, tags, dialect)
    return get(connection, new_name or name, dialect)


def _tag(connection: Connection, key: int, tags: Mapping[str, str | None], dialect: str) -> None:
    rows = [{"model": key, "key": name, "value": value} for name, value in tags.items() if value is not None]
    if rows:
        setting = insert(registered_model_tags, dialect)
        setting = setting.on_conflict_do_update(index_elements=["model", "key"], set_={"value": setting.excluded.value})
        connection.execute(setting, rows)
    gone = [name for name, value in tags.items() if value is None]
    if gone:
        of_model = registered_model_tags.c.model == key
        connection.execute(delete(registered_model_tags).where(of_model, registered_model_tags.c.key.in_(gone)))


def remove(connection: Connection, name: str, author: Author) -> None:
    """Delete a registered model with its versions, and what moves of them need.

    Raises:
        NotFound: There is none.
    """
    row = find_model(connection, name, lock=True)
    now = now_ms()
    record = Recorder(connection, row.id, name, author)
    sql_versions.give_up(connection, record, model_versions.c.model == row.id)
    record.add(Action.MODEL_DELETED, old=name)
    sql_versions.redact(connection, model_versions.c.model == row.id, now)
    connection.execute(delete(registry_policies).where(registry_policies.c.model == row.id))
    connection.execute(delete(model_aliases).where(model_aliases.c.model == row.id))
    connection.execute(delete(registered_model_tags).where(registered_model_tags.c.model == row.id))
    gone = update(registered_models).where(registered_models.c.id == row.id)
    connection.execute(gone.values(deleted=now, updated=now, description=None))


def records(connection: Connection, rows: Sequence[Row[Any]], dialect: str) -> list[RegisteredModel]:
    """Return registered models with their tags, aliases and latest versions.

    Args:
        connection: In the transaction that read the rows.
        rows: Rows of registered models, in the order wanted.
        dialect: Kind of database.
    """
    keys = [row.id for row in rows]
    if not keys:
        return []
    tags: dict[int, dict[str, str]] = {}
    wanted = select(registered_model_tags).where(one_of(registered_model_tags.c.model, keys, dialect))
    for key, name, value in connection.execute(wanted):
        tags.setdefault(key, {})[name] = value
    aliases: dict[int, dict[str, int]] = {}
    named = (
        select(model_aliases.c.model, model_aliases.c.alias, model_versions.c.number)
        .join(model_versions, model_versions.c.id == model_aliases.c.version)
        .where(one_of(model_aliases.c.model, keys, dialect))
        .order_by(model_aliases.c.alias)
    )
    for key, alias, number in connection.execute(named):
        aliases.setdefault(key, {})[alias] = number
    latest: dict[str, list[ModelVersion]] = {}
    for version in sql_versions.latest(connection, keys, tuple(Stage), dialect):
        latest.setdefault(version.name, []).append(version)
    return [
        RegisteredModel(
            name=row.name,
            description=row.description,
            creation_time=row.created,
            last_update_time=row.updated,
            tags=tags.get(row.id, {}),
            aliases=aliases.get(row.id, {}),
            latest_versions=tuple(latest.get(row.name, ())),
        )
        for row in rows
    ]
