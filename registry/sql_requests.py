"""Requests and approvals in SQL, row by row. Each function works in the transaction that it is handed."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, and_, select, update

from toolkit.db.dialect import insert, one_of
from toolkit.db.tables import (
    model_versions,
    registered_models,
    registry_approvals,
    registry_changes,
    registry_policies,
    registry_requests,
)
from toolkit.errors import NotFound
from toolkit.ids import now_ms
from toolkit.registry.history import Action, Author
from toolkit.registry.promotion import Approval, Comment, NewRequest, Request, RequestQuery, RequestState, Target
from toolkit.registry.sql_history import Recorder
from toolkit.tracking import paging
from toolkit.tracking.records import Page

_TOKEN = "registry requests"  # noqa: S105 - what a page token is of
_INT64 = range(1, 2**63)


def add(connection: Connection, version: Row[Any], new: NewRequest, author: Author) -> int:
    """Make a request; return its number."""
    adding = registry_requests.insert().values(
        model=version.model,
        version=version.id,
        target=str(new.target),
        archive=int(new.archive_existing),
        user_id=author.user,
        reason=author.reason,
        state=RequestState.PENDING.value,
        created=now_ms(),
    )
    made: int = connection.execute(adding.returning(registry_requests.c.id)).scalar_one()
    return made


def pending(connection: Connection, version: int, target: Target) -> int | None:
    """Return the number of the pending request that a version takes a target; ``None``: there is none."""
    wanted = select(registry_requests.c.id).where(
        registry_requests.c.version == version,
        registry_requests.c.target == str(target),
        registry_requests.c.state == RequestState.PENDING.value,
    )
    return connection.execute(wanted).scalar()


def lock(connection: Connection, number: int) -> Row[Any]:
    """Return the row of a request, with its model locked: as everybody does who changes something of it.

    Raises:
        NotFound: There is none.
    """
    of = select(registry_requests.c.model).where(registry_requests.c.id == number)
    model = connection.execute(of).scalar() if number in _INT64 else None
    if model is None:
        raise _unknown(number)
    connection.execute(select(registered_models.c.id).where(registered_models.c.id == model).with_for_update())
    return connection.execute(select(registry_requests).where(registry_requests.c.id == number)).one()


def _unknown(number: int) -> NotFound:
    return NotFound(f"there is no request {number}: toolkit registry requests lists them")


def approve(connection: Connection, number: int, author: Author, dialect: str) -> bool:
    """Note that somebody approves a request; return whether that is new."""
    values = {"request": number, "user_id": author.user, "reason": author.reason, "created": now_ms()}
    adding = insert(registry_approvals, dialect).values(**values)
    adding = adding.on_conflict_do_nothing(index_elements=["request", "user_id"])
    return connection.execute(adding.returning(registry_approvals.c.request)).first() is not None


def close(connection: Connection, number: int, state: RequestState, author: Author) -> None:
    """Close a request."""
    values = {"state": state.value, "closed_by": author.user, "closed_why": author.reason, "closed": now_ms()}
    connection.execute(update(registry_requests).where(registry_requests.c.id == number).values(**values))


def close_all(connection: Connection, record: Recorder, which: ColumnElement[bool]) -> None:
    """Close the requests that are pending for versions that are being deleted."""
    wanted = (
        select(registry_requests, model_versions.c.number)
        .join(model_versions, model_versions.c.id == registry_requests.c.version)
        .where(which, registry_requests.c.state == RequestState.PENDING.value)
    )
    gone = Author(user=record.author.user, reason="the version was deleted")
    for row in connection.execute(wanted.order_by(registry_requests.c.id)).all():
        close(connection, row.id, RequestState.WITHDRAWN, gone)
        record.by(gone, row.id).add(Action.WITHDRAWN, version=row.number, key=row.target)


def get(connection: Connection, number: int, dialect: str) -> Request:
    """Return a request.

    Raises:
        NotFound: There is none.
    """
    if number not in _INT64:
        raise _unknown(number)
    row = connection.execute(_rows().where(registry_requests.c.id == number)).first()
    if row is None:
        raise _unknown(number)
    return _records(connection, [row], dialect)[0]


def page(connection: Connection, query: RequestQuery, model: int | None, dialect: str) -> Page[Request]:
    """Return a page of requests, the newest first.

    Args:
        connection: In a transaction.
        query: Which.
        model: Inner key of the model that it names.
        dialect: Kind of database.

    Raises:
        InvalidValue: The page token is none of this list.
    """
    wanted = _rows()
    if model is not None:
        wanted = wanted.where(registry_requests.c.model == model)
    if query.state is not None:
        wanted = wanted.where(registry_requests.c.state == query.state.value)
    if query.page_token is not None:
        (before,) = paging.decode(query.page_token, _TOKEN, (int,))
        wanted = wanted.where(registry_requests.c.id < before)
    rows = connection.execute(wanted.order_by(registry_requests.c.id.desc()).limit(query.limit + 1)).all()
    token = paging.encode(_TOKEN, [rows[query.limit - 1].id]) if len(rows) > query.limit else None
    return Page(items=_records(connection, rows[: query.limit], dialect), next_page_token=token)


def _rows() -> Any:  # noqa: ANN401 - a statement of many columns
    """Return the statement that reads requests, each with its version, its model, and what that asks for now."""
    policy = registry_policies
    return (
        select(registry_requests, model_versions.c.number, registered_models.c.name)
        .add_columns(policy.c.approvals.label("wanted"), policy.c.approvers)
        .join(model_versions, model_versions.c.id == registry_requests.c.version)
        .join(registered_models, registered_models.c.id == registry_requests.c.model)
        .outerjoin(
            policy, and_(policy.c.model == registry_requests.c.model, policy.c.target == registry_requests.c.target)
        )
    )


def _records(connection: Connection, rows: Sequence[Row[Any]], dialect: str) -> list[Request]:
    said: dict[int, list[Approval]] = {}
    if rows:
        wanted = select(registry_approvals).where(
            one_of(registry_approvals.c.request, [row.id for row in rows], dialect)
        )
        for row in connection.execute(wanted.order_by(registry_approvals.c.created, registry_approvals.c.user_id)):
            approval = Approval(user=row.user_id, reason=row.reason, time=row.created)
            said.setdefault(row.request, []).append(approval)
    comments = _comments(connection, rows, dialect)
    return [_record(row, said.get(row.id, ()), comments.get(row.id, ())) for row in rows]


def _comments(connection: Connection, rows: Sequence[Row[Any]], dialect: str) -> dict[int, list[Comment]]:
    """Return what was said to requests: changes of their models."""
    said: dict[int, list[Comment]] = {}
    if not rows:
        return said
    wanted = select(registry_changes).where(
        one_of(registry_changes.c.model, sorted({row.model for row in rows}), dialect),
        registry_changes.c.action == Action.COMMENTED.value,
        one_of(registry_changes.c.request, [row.id for row in rows], dialect),
    )
    for row in connection.execute(wanted.order_by(registry_changes.c.id)):
        said.setdefault(row.request, []).append(Comment(user=row.user_id, text=row.reason or "", time=row.created))
    return said


def _record(row: Row[Any], approvals: Sequence[Approval], comments: Sequence[Comment]) -> Request:
    approvers = tuple(json.loads(row.approvers)) if row.approvers else ()
    return Request(
        id=row.id,
        name=row.name,
        version=row.number,
        target=Target.read(row.target),
        archive_existing=bool(row.archive),
        user=row.user_id,
        reason=row.reason,
        state=RequestState(row.state),
        needed=(row.wanted or len(approvers)) or 1,
        approvers=approvers,
        approvals=tuple(approvals),
        closed_by=row.closed_by,
        closed_why=row.closed_why,
        creation_time=row.created,
        closed_time=row.closed,
        comments=tuple(comments),
    )
