"""Deployments, releases and Bentos in SQL: rows to records, and what several methods of the store need."""

from __future__ import annotations

import json
from typing import Any

from sqlalchemy import Connection, Row, Select, and_, func, or_, select

from toolkit.db.dialect import insert
from toolkit.db.tables import bentos, deployments, registered_models, releases
from toolkit.deployments.names import MESSAGE_LENGTH
from toolkit.deployments.records import Bento, Deployment, DeploymentState, Release, ReleaseState
from toolkit.errors import NotFound
from toolkit.ids import now_ms

ENDED = (ReleaseState.REFUSED, ReleaseState.REPLACED, ReleaseState.STOPPED)
"""States in which a release has come to its end."""

_NUMBERS = range(1, 2**63)


def deployment_in(row: Row[Any]) -> Deployment:
    """Return the deployment of a row."""
    return Deployment(
        id=row.deployment_id,
        name=row.name,
        target=row.target,
        state=DeploymentState(row.state),
        message=row.message,
        address=row.address,
        release=row.release,
        follow_alias=row.follow_alias,
        config=json.loads(row.config),
        options=json.loads(row.options),
        host=row.host,
        created_at=row.created,
        created_by=row.user_id,
        updated_at=row.updated,
    )


def release_in(row: Row[Any]) -> Release:
    """Return the release of a row of `wanted_releases`."""
    return Release(
        deployment_id=row.deployment_id,
        number=row.number,
        model=row.called or row.model,
        version=row.version,
        run_id=row.run_id,
        bento=row.bento,
        bento_digest=row.bento_digest,
        image=row.image,
        image_digest=row.image_digest,
        instance=json.loads(row.instance),
        state=ReleaseState(row.state),
        message=row.message,
        created_at=row.created,
        created_by=row.user_id,
        ended_at=row.ended,
        why=row.why,
    )


def bento_in(row: Row[Any]) -> Bento:
    """Return the Bento of a row of `wanted_bentos`."""
    return Bento(
        tag=row.tag,
        digest=row.digest,
        model=row.called or row.model,
        version=row.version,
        run_id=row.run_id,
        created_at=row.created,
        created_by=row.user_id,
    )


def find(connection: Connection, deployment_id: str, *, lock: bool = False) -> Row[Any]:
    """Return the row of a deployment, deleted or not.

    Args:
        connection: In a transaction.
        deployment_id: Its id.
        lock: Whether nobody else may change it until the end of the transaction.

    Raises:
        NotFound: There is none.
    """
    wanted = select(deployments).where(deployments.c.deployment_id == deployment_id)
    row = connection.execute(wanted.with_for_update() if lock else wanted).first()
    if row is None:
        raise NotFound(f"there is no deployment with the id {deployment_id[:100]!r}: toolkit deployments list")
    return row


def wanted_releases() -> Select[Any]:
    """Return the query of all releases, with their deployment's id and what their model is called now."""
    return (
        select(releases, deployments.c.deployment_id, registered_models.c.name.label("called"))
        .join(deployments, deployments.c.id == releases.c.deployment)
        .outerjoin(registered_models, registered_models.c.id == releases.c.registered)
    )


def wanted_bentos() -> Select[Any]:
    """Return the query of all Bentos, with what their model is called now."""
    called = registered_models.c.name.label("called")
    return select(bentos, called).outerjoin(registered_models, registered_models.c.id == bentos.c.registered)


def find_release(connection: Connection, deployment: Row[Any], number: int) -> Row[Any]:
    """Return the row of a release.

    Raises:
        NotFound: There is none.
    """
    wanted = wanted_releases().where(releases.c.deployment == deployment.id, releases.c.number == number)
    row = connection.execute(wanted).first() if number in _NUMBERS else None
    if row is None:
        raise NotFound(f"deployment {deployment.name} has no release {number}: it has {deployment.last_release}")
    return row


def registered_key(connection: Connection, model: str) -> int | None:
    """Return the inner key of the registered model of a name; ``None`` where there is none."""
    wanted = select(registered_models.c.id)
    wanted = wanted.where(registered_models.c.name == model, registered_models.c.deleted.is_(None))
    key: int | None = connection.execute(wanted).scalar()
    return key


def add_bento(connection: Connection, new: Bento, dialect: str) -> None:
    """Write a Bento down, if it is not known yet."""
    adding = insert(bentos, dialect).values(
        tag=new.tag,
        digest=new.digest,
        registered=registered_key(connection, new.model),
        model=new.model,
        version=new.version,
        run_id=new.run_id,
        created=new.created_at or now_ms(),
        user_id=new.created_by,
    )
    connection.execute(adding.on_conflict_do_nothing(index_elements=["tag", "digest"]))


def of_model(model: str, *, ever: bool) -> Select[Any]:
    """Return the query of the inner keys of deployments that serve, or ever served, a version of a model."""
    called = func.coalesce(registered_models.c.name, releases.c.model)
    wanted = (
        select(releases.c.deployment)
        .join(deployments, deployments.c.id == releases.c.deployment)
        .outerjoin(registered_models, registered_models.c.id == releases.c.registered)
        .where(called == model)
    )
    serves = releases.c.number == deployments.c.release
    if not ever:
        return wanted.where(serves)
    served = releases.c.state.in_([ReleaseState.REPLACED.value, ReleaseState.STOPPED.value])
    return wanted.where(or_(serves, and_(served, releases.c.ended.is_not(None))))


def cut(message: str) -> str:
    """Return a message, in one line and not too long."""
    line = " ".join(message.split())
    return line if len(line) <= MESSAGE_LENGTH else f"{line[: MESSAGE_LENGTH - 1]}…"
