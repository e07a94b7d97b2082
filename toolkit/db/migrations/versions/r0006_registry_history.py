"""What was done to the registry, what moves need, who asks for them, and what others are to be told."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

TEXT = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
ID = sa.BigInteger().with_variant(sa.Integer, "sqlite")
PENDING, OPEN = sa.text("state = 'PENDING'"), sa.text("handled IS NULL")
FOUND = "found when the record of changes began"


def upgrade() -> None:
    """Make the tables, and let the history begin with what is there."""
    op.create_index("registered_models_any_name", "registered_models", ["name"])
    _changes()
    _policies()
    _requests()
    _events()
    _deliveries()
    _model_files()
    _begin_history()


def _model(*, cascade: bool = True) -> sa.Column[int]:
    key = sa.ForeignKey("registered_models.id", ondelete="CASCADE" if cascade else None)
    return sa.Column("model", ID, key, nullable=False)


def _changes() -> None:
    op.create_table(
        "registry_changes",
        sa.Column("id", ID, nullable=False),
        _model(cascade=False),
        sa.Column("version", sa.BigInteger),
        sa.Column("action", TEXT, nullable=False),
        sa.Column("key", TEXT),
        sa.Column("old", TEXT),
        sa.Column("new", TEXT),
        sa.Column("user_id", TEXT),
        sa.Column("reason", TEXT),
        sa.Column("request", sa.BigInteger),
        sa.Column("created", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("id", name="registry_changes_pk"),
        sqlite_autoincrement=True,
    )
    op.create_index("registry_changes_of_model", "registry_changes", ["model", "id"])
    op.create_index("registry_changes_of_key", "registry_changes", ["model", "action", "key", "id"])
    op.create_index("registry_changes_of_version", "registry_changes", ["model", "version", "id"])


def _policies() -> None:
    op.create_table(
        "registry_policies",
        _model(),
        sa.Column("target", TEXT, nullable=False),
        sa.Column("gates", TEXT, nullable=False),
        sa.Column("approvals", sa.BigInteger, nullable=False),
        sa.Column("approvers", TEXT, nullable=False),
        sa.Column("updated", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("model", "target", name="registry_policies_pk"),
        sqlite_with_rowid=False,
    )


def _requests() -> None:
    op.create_table(
        "registry_requests",
        sa.Column("id", ID, nullable=False),
        _model(),
        sa.Column("version", ID, sa.ForeignKey("model_versions.id", ondelete="CASCADE"), nullable=False),
        sa.Column("target", TEXT, nullable=False),
        sa.Column("archive", sa.SmallInteger, nullable=False),
        sa.Column("user_id", TEXT, nullable=False),
        sa.Column("reason", TEXT),
        sa.Column("state", TEXT, nullable=False),
        sa.Column("closed_by", TEXT),
        sa.Column("closed_why", TEXT),
        sa.Column("created", sa.BigInteger, nullable=False),
        sa.Column("closed", sa.BigInteger),
        sa.PrimaryKeyConstraint("id", name="registry_requests_pk"),
        sqlite_autoincrement=True,
    )
    op.create_index("registry_requests_of_model", "registry_requests", ["model", "state", "id"])
    op.create_index(
        "registry_requests_pending",
        "registry_requests",
        ["version", "target"],
        unique=True,
        sqlite_where=PENDING,
        postgresql_where=PENDING,
    )
    op.create_table(
        "registry_approvals",
        sa.Column("request", ID, sa.ForeignKey("registry_requests.id", ondelete="CASCADE"), nullable=False),
        sa.Column("user_id", TEXT, nullable=False),
        sa.Column("reason", TEXT),
        sa.Column("created", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("request", "user_id", name="registry_approvals_pk"),
        sqlite_with_rowid=False,
    )


def _events() -> None:
    op.create_table(
        "registry_events",
        sa.Column("id", ID, nullable=False),
        sa.Column("change", ID, sa.ForeignKey("registry_changes.id"), nullable=False),
        sa.Column("event", TEXT, nullable=False),
        sa.Column("model", TEXT, nullable=False),
        sa.Column("version", sa.BigInteger),
        sa.Column("body", TEXT, nullable=False),
        sa.Column("created", sa.BigInteger, nullable=False),
        sa.Column("handled", sa.BigInteger),
        sa.PrimaryKeyConstraint("id", name="registry_events_pk"),
        sqlite_autoincrement=True,
    )
    op.create_index("registry_events_open", "registry_events", ["id"], sqlite_where=OPEN, postgresql_where=OPEN)
    op.create_index("registry_events_of_change", "registry_events", ["change"])


def _deliveries() -> None:
    op.create_table(
        "registry_webhooks",
        sa.Column("id", ID, nullable=False),
        sa.Column("name", TEXT, nullable=False),
        sa.Column("kind", TEXT, nullable=False),
        sa.Column("target", TEXT, nullable=False),
        sa.Column("events", TEXT, nullable=False),
        sa.Column("models", TEXT, nullable=False),
        sa.Column("parameters", TEXT, nullable=False),
        sa.Column("secret", TEXT),
        sa.Column("created", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("id", name="registry_webhooks_pk"),
        sa.UniqueConstraint("name", name="registry_webhooks_by_name"),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "registry_deliveries",
        sa.Column("id", ID, nullable=False),
        sa.Column("event", ID, sa.ForeignKey("registry_events.id"), nullable=False),
        sa.Column("webhook", ID, sa.ForeignKey("registry_webhooks.id", ondelete="CASCADE"), nullable=False),
        sa.Column("state", TEXT, nullable=False),
        sa.Column("tries", sa.BigInteger, nullable=False),
        sa.Column("due", sa.BigInteger, nullable=False),
        sa.Column("message", TEXT),
        sa.Column("updated", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("id", name="registry_deliveries_pk"),
        sa.UniqueConstraint("event", "webhook", name="registry_deliveries_by_event"),
        sqlite_autoincrement=True,
    )
    op.create_index(
        "registry_deliveries_due", "registry_deliveries", ["due"], sqlite_where=PENDING, postgresql_where=PENDING
    )
    op.create_index("registry_deliveries_of_webhook", "registry_deliveries", ["webhook", "id"])


def _model_files() -> None:
    op.create_table(
        "logged_model_files",
        sa.Column("model", ID, sa.ForeignKey("logged_models.id", ondelete="CASCADE"), nullable=False),
        sa.Column("path", TEXT, nullable=False),
        sa.Column("size", sa.BigInteger, nullable=False),
        sa.Column("sha256", TEXT, nullable=False),
        sa.Column("created", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("model", "path", name="logged_model_files_pk"),
        sqlite_with_rowid=False,
    )


def _begin_history() -> None:
    """Write down the models, versions, stages and aliases that are there, as of when they are known to have been."""
    model = _table("registered_models", "id", "name", "created", "updated", "deleted")
    version = _table(
        "model_versions", "id", "model", "number", "source", "user_id", "stage", "created", "updated", "deleted"
    )
    alias = _table("model_aliases", "model", "alias", "version")
    versions = version.join(model, sa.and_(model.c.id == version.c.model, version.c.deleted.is_(None)))
    number = version.c.number
    _write(model, model, "model.created", new=model.c.name, created=model.c.created)
    _write(
        versions,
        model,
        "version.created",
        version=number,
        new=version.c.source,
        user_id=version.c.user_id,
        created=version.c.created,
    )
    staged = {"old": sa.literal("None"), "new": version.c.stage, "created": version.c.updated}
    _write(versions, model, "stage", version.c.stage != "None", version=number, **staged)
    named = {"key": alias.c.alias, "new": sa.cast(number, sa.Text()), "created": model.c.updated}
    _write(versions.join(alias, alias.c.version == version.c.id), model, "alias", version=number, **named)


def _write(
    source: sa.FromClause,
    model: sa.TableClause,
    action: str,
    *where: sa.ColumnElement[bool],
    **said: sa.ColumnElement[Any],
) -> None:
    """Write a change for each row of a source, of models that are there."""
    said = {"model": model.c.id, "action": sa.literal(action), "reason": sa.literal(FOUND), **said}
    rows = sa.select(*said.values()).select_from(source).where(model.c.deleted.is_(None), *where)
    changes = _table("registry_changes", *said)
    op.execute(changes.insert().from_select(list(said), rows.order_by(model.c.id)))


def _table(name: str, *columns: str) -> sa.TableClause:
    return sa.table(name, *map(sa.column, columns))
