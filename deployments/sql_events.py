"""What is done to deployments, written into the history of the registered models that they serve, with its events."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, Row, select

from toolkit.db.tables import registered_models, releases
from toolkit.deployments.sql_records import wanted_releases
from toolkit.registry.history import Action, Author
from toolkit.registry.sql_history import Recorder

ROLLBACK = "rollback"
"""What the reason of a release begins with that goes back to a version that served before."""


def created(connection: Connection, deployment: Row[Any], release: Row[Any], author: Author) -> None:
    """Write down that a deployment was made, with its first release."""
    _write(connection, Action.DEPLOYMENT_CREATED, deployment, release, _by(release, author), new=str(release.version))


def released(connection: Connection, former: Row[Any], deployment: Row[Any], release: Row[Any], author: Author) -> None:
    """Write down that another release serves; ``former`` is the deployment as it was before."""
    before = _serving(connection, former)
    back = release.why.startswith(ROLLBACK) or (before is not None and release.number < before.number)
    action = Action.DEPLOYMENT_ROLLED_BACK if back else Action.DEPLOYMENT_RELEASED
    old = None if before is None else _named(before, release)
    _write(connection, action, deployment, release, _by(release, author), old=old, new=str(release.version))


def deleted(connection: Connection, deployment: Row[Any], author: Author) -> None:
    """Write down that a deployment was deleted: of the model that it served, or was to serve last."""
    release = _serving(connection, deployment) or _newest(connection, deployment)
    if release is not None:
        old = str(release.version)
        _write(connection, Action.DEPLOYMENT_DELETED, deployment, release, author, old=old)


def _serving(connection: Connection, deployment: Row[Any]) -> Row[Any] | None:
    if deployment.release is None:
        return None
    wanted = wanted_releases().where(releases.c.deployment == deployment.id, releases.c.number == deployment.release)
    return connection.execute(wanted).first()


def _newest(connection: Connection, deployment: Row[Any]) -> Row[Any] | None:
    wanted = wanted_releases().where(releases.c.deployment == deployment.id).order_by(releases.c.number.desc())
    return connection.execute(wanted.limit(1)).first()


def _named(before: Row[Any], release: Row[Any]) -> str:
    """Return the version that served before; with its model's name, where that is another one."""
    if before.registered == release.registered and before.registered is not None:
        return str(before.version)
    return f"{before.called or before.model}/{before.version}"


def _by(release: Row[Any], author: Author) -> Author:
    return Author(user=release.user_id or author.user, reason=release.why or author.reason)


def _write(
    connection: Connection,
    action: Action,
    deployment: Row[Any],
    release: Row[Any],
    author: Author,
    *,
    old: str | None = None,
    new: str | None = None,
) -> None:
    """Write a change down, if the registered model is still there."""
    ours = select(registered_models).where(
        registered_models.c.id == release.registered, registered_models.c.deleted.is_(None)
    )
    model = None if release.registered is None else connection.execute(ours.with_for_update()).first()
    if model is None:
        return
    said = {
        "deployment_id": deployment.deployment_id,
        "target": deployment.target,
        "release": release.number,
        "run_id": release.run_id,
        "bento": release.bento or None,
        "bento_digest": release.bento_digest or None,
        "image": release.image,
        "image_digest": release.image_digest,
        "address": deployment.address,
    }
    Recorder(connection, model.id, model.name, author).add(
        action,
        version=release.version,
        key=deployment.name,
        old=old,
        new=new,
        more={name: value for name, value in said.items() if value is not None},
    )
