"""Deployments in a SQL database: a `toolkit.deployments.store.DeploymentStore`."""

from __future__ import annotations

import copy
import uuid
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from sqlalchemy import Connection, Row, func, select, update

from toolkit.db.dialect import insert
from toolkit.db.retry import cautious, persistent
from toolkit.db.schema import ensure_schema
from toolkit.db.tables import bentos, deployments, registered_models, releases
from toolkit.deployments import names, sql_events
from toolkit.deployments import sql_records as rows
from toolkit.deployments.records import Bento, Deployment, DeploymentState, Release, ReleaseState
from toolkit.errors import AlreadyExists, Conflict, NotFound
from toolkit.ids import now_ms
from toolkit.registry.history import NOBODY, Author

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from toolkit.db.engine import Database


class SqlDeploymentStore:
    """A `DeploymentStore` in a SQL database.

    Args:
        database: Where; `close` leaves it open. Its schema is made or upgraded if need be.
        author: Who does what is done, and why.

    Raises:
        SchemaError: The database is somebody else's, or newer than this code.
        StoreError: The database cannot be used.
    """

    def __init__(self, database: Database, *, author: Author = NOBODY) -> None:
        self._db = database
        self._dialect = database.dialect
        self._author = author
        ensure_schema(database)

    def acting(self, author: Author) -> SqlDeploymentStore:
        """See `DeploymentStore.acting`."""
        other = copy.copy(self)
        other._author = author.checked()
        return other

    def create(self, new: Deployment) -> Deployment:
        """See `DeploymentStore.create`."""
        names.check_deployment(new)
        now = now_ms()
        values = {
            "deployment_id": new.id or uuid.uuid4().hex,
            "name": new.name,
            "target": new.target,
            "state": new.state.value,
            "message": rows.cut(new.message),
            "address": new.address or None,
            "release": None,
            "last_release": 0,
            "follow_alias": new.follow_alias or None,
            "config": names.written(new.config, "config"),
            "options": names.written(new.options, "options"),
            "host": new.host,
            "created": new.created_at or now,
            "user_id": new.created_by or self._author.user or "",
            "updated": now,
        }
        return self._db.persist(lambda: self._add(values))

    def _add(self, values: Mapping[str, Any]) -> Deployment:
        with self._db.write() as connection:
            adding = insert(deployments, self._dialect).values(**values).on_conflict_do_nothing()
            if connection.execute(adding.returning(deployments.c.id)).scalar() is None:
                known = _active(connection, values["name"])
                if known is None or known.deployment_id != values["deployment_id"]:
                    raise AlreadyExists(
                        f"there is a deployment {values['name']} already: update it, delete it first, or take "
                        "another name"
                    )
            return rows.deployment_in(rows.find(connection, values["deployment_id"]))

    @persistent
    def get(self, name: str) -> Deployment:
        """See `DeploymentStore.get`."""
        names.check_name(name)
        with self._db.read() as connection:
            row = _active(connection, name)
        if row is None:
            raise NotFound(f"there is no deployment {name}: toolkit deployments list shows those there are")
        return rows.deployment_in(row)

    @persistent
    def list(self, *, model: str | None = None, deleted: bool = False) -> Sequence[Deployment]:
        """See `DeploymentStore.list`."""
        names.check_texts({"model": model})
        wanted = select(deployments).order_by(deployments.c.name, deployments.c.id)
        if not deleted:
            wanted = wanted.where(deployments.c.deleted.is_(None))
        if model is not None:
            wanted = wanted.where(deployments.c.id.in_(rows.of_model(model, ever=deleted)))
        with self._db.read() as connection:
            return [rows.deployment_in(row) for row in connection.execute(wanted)]

    def change(
        self,
        deployment_id: str,
        *,
        expected: Sequence[DeploymentState] = (),
        state: DeploymentState | None = None,
        message: str | None = None,
        address: str | None = None,
        release: int | None = None,
        follow_alias: str | None = None,
        config: Mapping[str, object] | None = None,
        options: Mapping[str, str] | None = None,
    ) -> Deployment:
        """See `DeploymentStore.change`."""
        names.check_changes(message=message, address=address, follow_alias=follow_alias, config=config, options=options)
        given = {
            "state": None if state is None else state.value,
            "message": None if message is None else rows.cut(message),
            "config": None if config is None else names.written(config, "config"),
            "options": None if options is None else names.written(options, "options"),
        }
        values: dict[str, Any] = {name: value for name, value in given.items() if value is not None}
        emptied = {"address": address, "release": release, "follow_alias": follow_alias}
        values |= {name: value or None for name, value in emptied.items() if value is not None}
        # Where a state is expected, a second try would find the one that the first has left.
        return self._db.persist(
            lambda: self._change(deployment_id, [each.value for each in expected], values), in_doubt=not expected
        )

    def _change(self, deployment_id: str, expected: Sequence[str], values: dict[str, Any]) -> Deployment:
        with self._db.write() as connection:
            before = rows.find(connection, deployment_id, lock=True)
            if before.deleted is not None and values.get("state") == DeploymentState.DELETED:
                return rows.deployment_in(before)
            _refuse_deleted(before)
            if expected and before.state not in expected:
                raise Conflict(
                    f"deployment {before.name} is {before.state}, not {' or '.join(expected)}: somebody else is at "
                    "it, or was; toolkit deployments show says more"
                )
            now = now_ms()
            number = values.get("release")
            served = rows.find_release(connection, before, number) if number is not None else None
            gone = values.get("state") == DeploymentState.DELETED
            ours = deployments.c.id == before.id
            connection.execute(
                update(deployments).where(ours).values(**values, updated=now, **({"deleted": now} if gone else {}))
            )
            after = rows.find(connection, deployment_id)
            if served is not None and number != before.release:
                sql_events.released(connection, before, after, served, self._author)
            if gone:
                _end_all(connection, before, now)
                sql_events.deleted(connection, before, self._author)
            return rows.deployment_in(after)

    @cautious
    def begin_release(self, release: Release) -> Release:
        """See `DeploymentStore.begin_release`."""
        names.check_release(release)
        with self._db.write() as connection:
            deployment = rows.find(connection, release.deployment_id, lock=True)
            _refuse_deleted(deployment)
            number = deployment.last_release + 1
            ours = deployments.c.id == deployment.id
            connection.execute(update(deployments).where(ours).values(last_release=number, updated=now_ms()))
            self._add_release(connection, deployment, number, release)
            made = rows.find_release(connection, deployment, number)
            self._know_bento(connection, made)
            if number == 1:
                sql_events.created(connection, deployment, made, self._author)
            return rows.release_in(made)

    def _add_release(self, connection: Connection, deployment: Row[Any], number: int, new: Release) -> None:
        now = now_ms()
        adding = releases.insert().values(
            deployment=deployment.id,
            number=number,
            registered=rows.registered_key(connection, new.model),
            model=new.model,
            version=new.version,
            run_id=new.run_id or None,
            bento=new.bento,
            bento_digest=new.bento_digest,
            image=new.image or None,
            image_digest=new.image_digest or None,
            instance=names.written(new.instance, "instance"),
            state=new.state.value,
            message=rows.cut(new.message),
            created=new.created_at or now,
            user_id=new.created_by or self._author.user or "",
            ended=now if new.state in rows.ENDED else None,
            why=new.why,
        )
        connection.execute(adding)

    @persistent
    def change_release(
        self,
        deployment_id: str,
        number: int,
        *,
        state: ReleaseState | None = None,
        message: str | None = None,
        instance: Mapping[str, object] | None = None,
        image: str | None = None,
        image_digest: str | None = None,
        bento: str | None = None,
        bento_digest: str | None = None,
    ) -> Release:
        """See `DeploymentStore.change_release`."""
        texts = {"image": image, "image_digest": image_digest, "bento": bento, "bento_digest": bento_digest}
        names.check_changes(message=message, instance=instance)
        names.check_texts(texts)
        values: dict[str, Any] = {name: text for name, text in texts.items() if text is not None}
        if message is not None:
            values["message"] = rows.cut(message)
        if instance is not None:
            values["instance"] = names.written(instance, "instance")
        with self._db.write() as connection:
            deployment = rows.find(connection, deployment_id, lock=True)
            row = rows.find_release(connection, deployment, number)
            if state is not None:
                ended = (row.ended or now_ms()) if state in rows.ENDED else None
                values |= {"state": state.value, "ended": ended}
            if values:
                ours = (releases.c.deployment == deployment.id, releases.c.number == number)
                connection.execute(update(releases).where(*ours).values(**values))
                row = rows.find_release(connection, deployment, number)
                self._know_bento(connection, row)
            return rows.release_in(row)

    def _know_bento(self, connection: Connection, release: Row[Any]) -> None:
        if release.bento:
            built = Bento(
                tag=release.bento,
                digest=release.bento_digest,
                model=release.called or release.model,
                version=release.version,
                run_id=release.run_id,
                created_by=release.user_id,
            )
            rows.add_bento(connection, built, self._dialect)

    @persistent
    def releases(self, deployment_id: str) -> Sequence[Release]:
        """See `DeploymentStore.releases`."""
        with self._db.read() as connection:
            deployment = rows.find(connection, deployment_id)
            wanted = rows.wanted_releases().where(releases.c.deployment == deployment.id)
            return [rows.release_in(row) for row in connection.execute(wanted.order_by(releases.c.number.desc()))]

    @persistent
    def current(self) -> Sequence[Release]:
        """See `DeploymentStore.current`."""
        number = func.coalesce(deployments.c.release, deployments.c.last_release)
        wanted = rows.wanted_releases().where(deployments.c.deleted.is_(None), releases.c.number == number)
        with self._db.read() as connection:
            return [rows.release_in(row) for row in connection.execute(wanted.order_by(deployments.c.name))]

    @persistent
    def remember_bento(self, new: Bento) -> Bento:
        """See `DeploymentStore.remember_bento`."""
        names.check_bento(new)
        with self._db.write() as connection:
            named = replace(new, created_by=new.created_by or self._author.user or "")
            rows.add_bento(connection, named, self._dialect)
            wanted = rows.wanted_bentos().where(bentos.c.tag == new.tag, bentos.c.digest == new.digest)
            return rows.bento_in(connection.execute(wanted).one())

    @persistent
    def bentos(self, *, model: str | None = None) -> Sequence[Bento]:
        """See `DeploymentStore.bentos`."""
        names.check_texts({"model": model})
        wanted = rows.wanted_bentos().order_by(bentos.c.id.desc())
        if model is not None:
            wanted = wanted.where(func.coalesce(registered_models.c.name, bentos.c.model) == model)
        with self._db.read() as connection:
            return [rows.bento_in(row) for row in connection.execute(wanted)]

    def close(self) -> None:
        """Leave the database to who opened it."""


def _active(connection: Connection, name: str) -> Row[Any] | None:
    """Return the row of the deployment of a name that is not deleted."""
    wanted = select(deployments).where(deployments.c.name == name, deployments.c.deleted.is_(None))
    return connection.execute(wanted).first()


def _refuse_deleted(deployment: Row[Any]) -> None:
    if deployment.deleted is not None:
        raise Conflict(f"deployment {deployment.name} is deleted: make another one")


def _end_all(connection: Connection, deployment: Row[Any], now: int) -> None:
    """Let the releases end that did not yet: nothing of a deleted deployment serves."""
    ours = update(releases).where(releases.c.deployment == deployment.id)
    begun = {"state": ReleaseState.REFUSED.value, "message": "the deployment was deleted", "ended": now}
    connection.execute(ours.where(releases.c.state == ReleaseState.STARTING.value).values(**begun))
    others = releases.c.state.not_in([each.value for each in rows.ENDED])
    connection.execute(ours.where(others).values(state=ReleaseState.STOPPED.value, ended=now))
