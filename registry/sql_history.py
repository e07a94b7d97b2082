"""The record of changes in SQL. Each function works in the transaction that it is handed: that of the change."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, Select, and_, func, or_, select

from toolkit.db.dialect import SQLITE
from toolkit.db.tables import registered_models, registry_changes, registry_events
from toolkit.errors import NotFound
from toolkit.ids import now_ms
from toolkit.registry.history import Action, Author, Change, ChangeQuery, Held, event_of
from toolkit.registry.records import Stage
from toolkit.tracking import paging
from toolkit.tracking.records import Page

_IN_ORDER = 7_064_006_553  # the lock that transactions hold, from their first event on: any number of our own
_TOKEN = "registry changes"  # noqa: S105 - what a page token is of


class Recorder:
    """Writes down what a transaction changes of a model, whose row it has locked, with the events of it.

    All of it has one time, which is later than that of every earlier change of the model, whatever the clocks say.

    Args:
        connection: In the transaction.
        model: Inner key of the registered model.
        name: What it is called.
        author: Who changes it, and why.
        request: The request by which it is done.

    Attributes:
        author: Who changes it, and why.
        made: What was written down.
    """

    def __init__(
        self, connection: Connection, model: int, name: str, author: Author, *, request: int | None = None
    ) -> None:
        self._connection = connection
        self._model = model
        self._name = name
        self.author = author
        self._request = request
        self.made: list[Change] = []
        self._clock: list[int] = []  # the one time, once it was asked for; shared by all of the transaction

    def by(self, author: Author, request: int | None = None) -> Recorder:
        """Return the same record, of the same transaction, for what somebody else does in it."""
        other = Recorder(self._connection, self._model, self._name, author, request=request)
        other._clock = self._clock
        return other

    def add(
        self,
        action: Action,
        *,
        version: int | None = None,
        key: str | None = None,
        old: str | None = None,
        new: str | None = None,
        more: Mapping[str, Any] | None = None,
    ) -> Change:
        """Write a change down.

        Args:
            action: What was done.
            version: The number of the version that it was done to.
            key: See `Change`.
            old: What was.
            new: What is.
            more: What its event tells beside.
        """
        if not self._clock:
            self._clock.append(max(now_ms(), self._newest() + 1))
        values = {
            "model": self._model,
            "version": version,
            "action": action.value,
            "key": key,
            "old": old,
            "new": new,
            "user_id": self.author.user,
            "reason": self.author.reason,
            "request": self._request,
            "created": self._clock[0],
        }
        adding = registry_changes.insert().values(**values).returning(registry_changes.c.id)
        change = Change(
            id=self._connection.execute(adding).scalar_one(),
            name=self._name,
            action=action,
            time=self._clock[0],
            version=version,
            key=key,
            old=old,
            new=new,
            user=self.author.user,
            reason=self.author.reason,
            request=self._request,
        )
        self._tell(change, more or {})
        self.made.append(change)
        return change

    def tagged(
        self, action: Action, before: Select[Any], tags: Mapping[str, str | None], *, version: int | None = None
    ) -> None:
        """Write down the tags that are about to be set or removed, where that changes them.

        Args:
            action: What is done.
            before: Gives the keys and values that there are.
            tags: What is set; ``None``: removed.
            version: The number of the version whose tags these are.
        """
        there: dict[str, str] = dict(self._connection.execute(before).all()) if tags else {}
        for key, value in tags.items():
            if there.get(key) != value:
                self.add(action, version=version, key=key, old=there.get(key), new=value)

    def _newest(self) -> int:
        """Return the time of the newest change of the model; 0 if there is none."""
        ours = select(registry_changes.c.created).where(registry_changes.c.model == self._model)
        return self._connection.execute(ours.order_by(registry_changes.c.id.desc()).limit(1)).scalar() or 0

    def _tell(self, change: Change, more: Mapping[str, Any]) -> None:
        event, body = event_of(change, more)
        if self._connection.dialect.name != SQLITE:  # where there is one writer anyway: numbers rise as commits do
            self._connection.execute(select(func.pg_advisory_xact_lock(_IN_ORDER)))
        telling = registry_events.insert().values(
            change=change.id,
            event=event,
            model=self._name,
            version=change.version,
            body=json.dumps(body, ensure_ascii=False),
            created=change.time,
        )
        self._connection.execute(telling)


def page(connection: Connection, query: ChangeQuery) -> Page[Change]:
    """Return a page of changes, the newest first.

    Raises:
        InvalidValue: The page token is none of this list.
        NotFound: No model has, or had when it was deleted, the name that is asked for.
    """
    changes = registry_changes
    wanted = select(changes, registered_models.c.name).join(
        registered_models, registered_models.c.id == changes.c.model
    )
    if query.name is not None:
        wanted = wanted.where(changes.c.model.in_(_models(connection, query.name)))
    if query.version is not None:
        stood = and_(changes.c.action == Action.ALIAS.value, changes.c.old == str(query.version))
        wanted = wanted.where(or_(changes.c.version == query.version, stood))
    if query.actions:
        wanted = wanted.where(changes.c.action.in_([action.value for action in query.actions]))
    if query.key is not None:
        wanted = wanted.where(changes.c.key == query.key)
    if query.since is not None:
        wanted = wanted.where(changes.c.created >= query.since)
    if query.until is not None:
        wanted = wanted.where(changes.c.created <= query.until)
    if query.page_token is not None:
        (before,) = paging.decode(query.page_token, _TOKEN, (int,))
        wanted = wanted.where(changes.c.id < before)
    rows = connection.execute(wanted.order_by(changes.c.id.desc()).limit(query.limit + 1)).all()
    token = paging.encode(_TOKEN, [rows[query.limit - 1].id]) if len(rows) > query.limit else None
    return Page(items=[record(row) for row in rows[: query.limit]], next_page_token=token)


def _models(connection: Connection, name: str) -> Sequence[int]:
    """Return the inner keys of the models of a name: the one there is, and those that had it when they were deleted.

    Raises:
        NotFound: There never was one.
    """
    keys = connection.execute(select(registered_models.c.id).where(registered_models.c.name == name)).scalars().all()
    if not keys:
        raise NotFound(f"Registered Model with name={name} not found")
    return keys


def record(row: Row[Any]) -> Change:
    """Return the change of a row that has the model's name beside it."""
    return Change(
        id=row.id,
        name=row.name,
        action=Action(row.action),
        time=row.created,
        version=row.version,
        key=row.key,
        old=row.old,
        new=row.new,
        user=row.user_id,
        reason=row.reason,
        request=row.request,
    )


def held(connection: Connection, name: str, time: int) -> Held:
    """Return who held what at a time.

    Raises:
        NotFound: No model has, or had when it was deleted, this name.
    """
    keys = _models(connection, name)
    aliases: dict[str, int] = {}
    for row in _newest_each(connection, keys, Action.ALIAS, registry_changes.c.key, time):
        if row.new is not None:
            aliases[row.key] = int(row.new)
    stages: dict[int, Stage] = {}
    for row in _newest_each(connection, keys, Action.STAGE, registry_changes.c.version, time):
        if row.new is not None and row.new != Stage.NONE.value:
            stages[row.version] = Stage(row.new)
    return Held(name=name, time=time, aliases=dict(sorted(aliases.items())), stages=dict(sorted(stages.items())))


def _newest_each(
    connection: Connection, models: Sequence[int], action: Action, of: ColumnElement[Any], time: int
) -> Sequence[Row[Any]]:
    """Return the newest change of a kind, up to a time, of each alias or each version."""
    changes = registry_changes
    newest = (
        select(func.max(changes.c.id))
        .where(changes.c.model.in_(models), changes.c.action == action.value, changes.c.created <= time)
        .group_by(changes.c.model, of)
    )
    return connection.execute(select(changes).where(changes.c.id.in_(newest)).order_by(changes.c.id)).all()
