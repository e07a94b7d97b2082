"""Versions of registered models in SQL. Each function works in the transaction that it is handed.

Whoever writes versions or aliases of a model locks its row first: so numbers are dense, and nothing names a version
that is being deleted.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, delete, literal, select, union_all, update

from toolkit.db.dialect import insert, one_of
from toolkit.db.tables import model_aliases, model_version_tags, model_versions, registered_models
from toolkit.errors import InvalidValue, NotFound
from toolkit.ids import now_ms
from toolkit.registry.history import Action, Author
from toolkit.registry.names import holder_of
from toolkit.registry.records import ModelVersion, NewVersion, Stage, VersionStatus
from toolkit.registry.sql_history import Recorder
from toolkit.registry.sql_requests import close_all
from toolkit.tracking.sql_logged_models_rows import note_version

DELETED = "Deleted_Internal"
"""What the row of a deleted version has as its stage; MLflow's word."""

COLUMNS = (*model_versions.c, registered_models.c.name)
FROM = model_versions.join(registered_models, registered_models.c.id == model_versions.c.model)

_INT64 = range(2**63)


def find_model(connection: Connection, name: str, *, lock: bool = False) -> Row[Any]:
    """Return the row of a registered model.

    Args:
        connection: In a transaction.
        name: Its name.
        lock: Whether nobody else may change it, its versions or its aliases until the end of the transaction.

    Raises:
        NotFound: There is none.
    """
    wanted = select(registered_models).where(registered_models.c.name == name, registered_models.c.deleted.is_(None))
    row = connection.execute(wanted.with_for_update() if lock else wanted).first()
    if row is None:
        raise NotFound(f"Registered Model with name={name} not found")
    return row


def find(connection: Connection, name: str, version: int, *, lock: bool = False) -> Row[Any]:
    """Return the row of a version.

    Args:
        connection: In a transaction.
        name: The registered model.
        version: Its number.
        lock: Whether nobody else may change the model's versions until the end of the transaction.

    Raises:
        NotFound: There is no such model or no such version.
    """
    if lock:
        find_model(connection, name, lock=True)
    wanted = select(*COLUMNS).select_from(FROM)
    wanted = wanted.where(
        registered_models.c.name == name,
        registered_models.c.deleted.is_(None),
        model_versions.c.number == version,
        model_versions.c.deleted.is_(None),
    )
    row = connection.execute(wanted).first() if version in _INT64 else None
    if row is None:
        raise NotFound(f"Model Version (name={name}, version={version}) not found")
    return row


def get(connection: Connection, name: str, version: int, dialect: str) -> ModelVersion:
    """Return a version with its aliases.

    Raises:
        NotFound: There is none.
    """
    return records(connection, [find(connection, name, version)], dialect)[0]


def add(connection: Connection, new: NewVersion, author: Author, dialect: str) -> ModelVersion:
    """Make a version with the next number.

    Raises:
        NotFound: There is no such registered model.
    """
    now = now_ms()
    counting = (
        update(registered_models)
        .where(registered_models.c.name == new.name, registered_models.c.deleted.is_(None))
        .values(last_version=registered_models.c.last_version + 1, updated=now)
        .returning(registered_models.c.id, registered_models.c.last_version)
    )
    model = connection.execute(counting).first()
    if model is None:
        raise NotFound(f"Registered Model with name={new.name} not found")
    adding = model_versions.insert().values(
        model=model.id,
        number=model.last_version,
        source=new.source,
        location=new.location,
        holder=holder_of(new.location),
        run_id=new.run_id,
        run_link=new.run_link,
        model_id=new.model_id,
        user_id=new.user_id or author.user,
        description=new.description,
        stage=Stage.NONE.value,
        status=VersionStatus.READY.value,
        created=now,
        updated=now,
    )
    key = connection.execute(adding.returning(model_versions.c.id)).scalar_one()
    _tag(connection, key, new.tags, dialect)
    if new.model_id is not None:
        note_version(connection, new.model_id, new.name, model.last_version, dialect)
    more = {
        "source": new.source,
        "run_id": new.run_id,
        "model_id": new.model_id,
        "tags": dict(new.tags),
        "description": new.description,
    }
    by = author if author.user or new.user_id is None else replace(author, user=new.user_id)
    record = Recorder(connection, model.id, new.name, by)
    record.add(Action.VERSION_CREATED, version=model.last_version, new=new.source, more=more)
    return get(connection, new.name, model.last_version, dialect)


def change(
    connection: Connection,
    name: str,
    version: int,
    description: str | None,
    tags: Mapping[str, str | None],
    author: Author,
    dialect: str,
) -> None:
    """Describe or tag a version.

    Raises:
        NotFound: There is none.
    """
    row = find(connection, name, version, lock=True)
    record = Recorder(connection, row.model, name, author)
    if description is not None:
        described = update(model_versions).where(model_versions.c.id == row.id)
        connection.execute(described.values(description=description, updated=now_ms()))
        if description != row.description:
            record.add(Action.VERSION_DESCRIBED, version=version, old=row.description, new=description)
    before = select(model_version_tags.c.key, model_version_tags.c.value)
    before = before.where(model_version_tags.c.version == row.id, model_version_tags.c.key.in_(list(tags)))
    record.tagged(Action.VERSION_TAGGED, before, tags, version=version)
    _tag(connection, row.id, tags, dialect)


def _tag(connection: Connection, key: int, tags: Mapping[str, str | None], dialect: str) -> None:
    rows = [{"version": key, "key": name, "value": value} for name, value in tags.items() if value is not None]
    if rows:
        setting = insert(model_version_tags, dialect)
        setting = setting.on_conflict_do_update(
            index_elements=["version", "key"], set_={"value": setting.excluded.value}
        )
        connection.execute(setting, rows)
    gone = [name for name, value in tags.items() if value is None]
    if gone:
        of_version = model_version_tags.c.version == key
        connection.execute(delete(model_version_tags).where(of_version, model_version_tags.c.key.in_(gone)))


def remove(connection: Connection, name: str, version: int, author: Author) -> None:
    """Delete a version with its aliases. Who waits for it to take something waits no longer.

    Raises:
        NotFound: There is none.
    """
    row = find(connection, name, version, lock=True)
    now = now_ms()
    record = Recorder(connection, row.model, name, author)
    give_up(connection, record, model_versions.c.id == row.id)
    record.add(Action.VERSION_DELETED, version=version, old=row.source)
    connection.execute(delete(model_aliases).where(model_aliases.c.version == row.id))
    redact(connection, model_versions.c.id == row.id, now)
    touch(connection, row.model, now)


def give_up(connection: Connection, record: Recorder, which: ColumnElement[bool]) -> None:
    """Write down that versions that are being deleted hold nothing any more, and close the requests for them."""
    named = select(model_aliases.c.alias, model_versions.c.number)
    named = named.join(model_versions, model_versions.c.id == model_aliases.c.version).where(which)
    for alias, number in connection.execute(named.order_by(model_aliases.c.alias)).all():
        record.add(Action.ALIAS, version=number, key=alias, old=str(number))
    staged = select(model_versions.c.number, model_versions.c.stage)
    staged = staged.where(which, model_versions.c.deleted.is_(None), model_versions.c.stage != Stage.NONE.value)
    for number, stage in connection.execute(staged.order_by(model_versions.c.number)).all():
        record.add(Action.STAGE, version=number, old=stage)
    close_all(connection, record, which)


def redact(connection: Connection, which: ColumnElement[bool], now: int) -> None:
    """Delete versions: their rows stay, so that their numbers do, without what they said."""
    keys = select(model_versions.c.id).where(which)
    connection.execute(delete(model_version_tags).where(model_version_tags.c.version.in_(keys)))
    gone = update(model_versions).where(which, model_versions.c.deleted.is_(None))
    connection.execute(
        gone.values(
            deleted=now,
            updated=now,
            stage=DELETED,
            source="",
            location="",
            **dict.fromkeys(
                ("holder", "run_id", "run_link", "model_id", "user_id", "description", "status_message"), None
            ),
        )
    )


def touch(connection: Connection, model: int, now: int) -> None:
    """Note that a registered model, or something of it, was changed."""
    connection.execute(update(registered_models).where(registered_models.c.id == model).values(updated=now))


def find_alias(connection: Connection, name: str, alias: str, dialect: str) -> ModelVersion:
    """Return the version that an alias stands for.

    Raises:
        InvalidValue: There is no such alias.
        NotFound: There is no such registered model.
    """
    model = find_model(connection, name)
    named = select(*COLUMNS).select_from(FROM.join(model_aliases, model_aliases.c.version == model_versions.c.id))
    named = named.where(model_aliases.c.model == model.id, model_aliases.c.alias == alias)
    row = connection.execute(named).first()
    if row is None:
        raise InvalidValue(f"Registered model alias {alias} not found.")
    return records(connection, [row], dialect)[0]


def latest(connection: Connection, models: Sequence[int], stages: Sequence[Stage], dialect: str) -> list[ModelVersion]:
    """Return the highest version of each model in each of these stages: one look into the index each."""
    wanted = union_all(*(select(literal(stage.value).label("stage")) for stage in stages)).subquery("stages")
    highest = (
        select(model_versions.c.id)
        .where(
            model_versions.c.model == registered_models.c.id,
            model_versions.c.stage == wanted.c.stage,
            model_versions.c.deleted.is_(None),
        )
        .order_by(model_versions.c.number.desc())
        .limit(1)
        .correlate(registered_models, wanted)
        .scalar_subquery()
    )
    chosen = (
        select(highest.label("id"))
        .select_from(registered_models)
        .join(wanted, literal(True))
        .where(one_of(registered_models.c.id, models, dialect))
        .subquery("chosen")
    )
    rows = select(*COLUMNS).select_from(FROM.join(chosen, chosen.c.id == model_versions.c.id))
    found = connection.execute(rows.order_by(registered_models.c.name, model_versions.c.number)).all()
    return records(connection, found, dialect)


def needed_by(connection: Connection, holder: str) -> str | None:
    """Say which version needs the files of a run or a logged model; ``None``: none does."""
    for column in (model_versions.c.run_id, model_versions.c.model_id, model_versions.c.holder):
        wanted = select(registered_models.c.name, model_versions.c.number).select_from(FROM)
        row = connection.execute(wanted.where(column == holder, model_versions.c.deleted.is_(None)).limit(1)).first()
        if row is not None:
            return f"version {row.number} of model {row.name}"
    return None


def records(
    connection: Connection, rows: Sequence[Row[Any]], dialect: str, *, with_aliases: bool = True
) -> list[ModelVersion]:
    """Return versions with their tags.

    Args:
        connection: In the transaction that read the rows.
        rows: Rows of ``COLUMNS``, in the order wanted.
        dialect: Kind of database.
        with_aliases: Whether to load the names that stand for them too.
    """
    keys = [row.id for row in rows]
    tags: dict[int, dict[str, str]] = {}
    aliases: dict[int, list[str]] = {}
    if keys:
        for key, name, value in connection.execute(
            select(model_version_tags).where(one_of(model_version_tags.c.version, keys, dialect))
        ):
            tags.setdefault(key, {})[name] = value
    if keys and with_aliases:
        named = select(model_aliases.c.version, model_aliases.c.alias)
        named = named.where(one_of(model_aliases.c.version, keys, dialect)).order_by(model_aliases.c.alias)
        for key, alias in connection.execute(named):
            aliases.setdefault(key, []).append(alias)
    return [
        ModelVersion(
            name=row.name,
            version=row.number,
            source=row.source,
            location=row.location,
            stage=Stage(row.stage),
            status=VersionStatus(row.status),
            status_message=row.status_message,
            run_id=row.run_id,
            run_link=row.run_link,
            model_id=row.model_id,
            user_id=row.user_id,
            description=row.description,
            creation_time=row.created,
            last_update_time=row.updated,
            tags=tags.get(row.id, {}),
            aliases=tuple(aliases.get(row.id, ())),
        )
        for row in rows
    ]
