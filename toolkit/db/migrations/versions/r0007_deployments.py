"""What was built of registered versions, and what serves where."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

TEXT = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
ID = sa.BigInteger().with_variant(sa.Integer, "sqlite")
ACTIVE = sa.text("deleted IS NULL")


def upgrade() -> None:
    """Make the tables."""
    _bentos()
    _deployments()
    _releases()


def _bentos() -> None:
    op.create_table(
        "bentos",
        sa.Column("id", ID, nullable=False),
        sa.Column("tag", TEXT, nullable=False),
        sa.Column("digest", TEXT, nullable=False),
        sa.Column("registered", ID, sa.ForeignKey("registered_models.id")),
        sa.Column("model", TEXT, nullable=False),
        sa.Column("version", sa.BigInteger, nullable=False),
        sa.Column("run_id", TEXT),
        sa.Column("created", sa.BigInteger, nullable=False),
        sa.Column("user_id", TEXT, nullable=False),
        sa.PrimaryKeyConstraint("id", name="bentos_pk"),
        sa.UniqueConstraint("tag", "digest", name="bentos_by_tag"),
        sqlite_autoincrement=True,
    )
    op.create_index("bentos_of_version", "bentos", ["registered", "version"])
    op.create_index("bentos_of_run", "bentos", ["run_id"])


def _deployments() -> None:
    op.create_table(
        "deployments",
        sa.Column("id", ID, nullable=False),
        sa.Column("deployment_id", TEXT, nullable=False),
        sa.Column("name", TEXT, nullable=False),
        sa.Column("target", TEXT, nullable=False),
        sa.Column("state", TEXT, nullable=False),
        sa.Column("message", TEXT, nullable=False),
        sa.Column("address", TEXT),
        sa.Column("release", sa.BigInteger),
        sa.Column("last_release", sa.BigInteger, nullable=False),
        sa.Column("follow_alias", TEXT),
        sa.Column("config", TEXT, nullable=False),
        sa.Column("options", TEXT, nullable=False),
        sa.Column("host", TEXT, nullable=False),
        sa.Column("created", sa.BigInteger, nullable=False),
        sa.Column("user_id", TEXT, nullable=False),
        sa.Column("updated", sa.BigInteger, nullable=False),
        sa.Column("deleted", sa.BigInteger),
        sa.PrimaryKeyConstraint("id", name="deployments_pk"),
        sa.UniqueConstraint("deployment_id", name="deployments_by_id"),
        sqlite_autoincrement=True,
    )
    op.create_index(
        "deployments_active_name", "deployments", ["name"], unique=True, sqlite_where=ACTIVE, postgresql_where=ACTIVE
    )


def _releases() -> None:
    op.create_table(
        "releases",
        sa.Column("deployment", ID, sa.ForeignKey("deployments.id", ondelete="CASCADE"), nullable=False),
        sa.Column("number", sa.BigInteger, nullable=False),
        sa.Column("registered", ID, sa.ForeignKey("registered_models.id")),
        sa.Column("model", TEXT, nullable=False),
        sa.Column("version", sa.BigInteger, nullable=False),
        sa.Column("run_id", TEXT),
        sa.Column("bento", TEXT, nullable=False),
        sa.Column("bento_digest", TEXT, nullable=False),
        sa.Column("image", TEXT),
        sa.Column("image_digest", TEXT),
        sa.Column("instance", TEXT, nullable=False),
        sa.Column("state", TEXT, nullable=False),
        sa.Column("message", TEXT, nullable=False),
        sa.Column("created", sa.BigInteger, nullable=False),
        sa.Column("user_id", TEXT, nullable=False),
        sa.Column("ended", sa.BigInteger),
        sa.Column("why", TEXT, nullable=False),
        sa.PrimaryKeyConstraint("deployment", "number", name="releases_pk"),
    )
    op.create_index("releases_of_bento", "releases", ["bento"])
