"""The first schema: experiments, runs and what runs log."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

TEXT = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
ID = sa.BigInteger().with_variant(sa.Integer, "sqlite")


def upgrade() -> None:
    """Make all tables."""
    _experiments()
    _runs()
    _named_values("params")
    _named_values("tags")
    _metrics()
    _artifacts()


def _experiments() -> None:
    op.create_table(
        "experiments",
        sa.Column("id", ID, nullable=False),
        sa.Column("name", TEXT, nullable=False),
        sa.Column("artifact_location", TEXT, nullable=False),
        sa.Column("created", sa.BigInteger, nullable=False),
        sa.Column("updated", sa.BigInteger, nullable=False),
        sa.Column("deleted", sa.BigInteger),
        sa.PrimaryKeyConstraint("id", name="experiments_pk"),
        sqlite_autoincrement=True,
    )
    alive = sa.text("deleted IS NULL")
    op.create_index(
        "experiments_active_name", "experiments", ["name"], unique=True, sqlite_where=alive, postgresql_where=alive
    )
    op.create_index("experiments_name", "experiments", ["name"])
    op.create_index("experiments_created", "experiments", ["created", "id"])
    op.create_table(
        "experiment_tags",
        sa.Column("experiment", ID, sa.ForeignKey("experiments.id", ondelete="CASCADE"), nullable=False),
        sa.Column("key", TEXT, nullable=False),
        sa.Column("value", TEXT, nullable=False),
        sa.PrimaryKeyConstraint("experiment", "key", name="experiment_tags_pk"),
        sqlite_with_rowid=False,
    )


def _runs() -> None:
    op.create_table(
        "runs",
        sa.Column("id", ID, nullable=False),
        sa.Column("run_id", TEXT, nullable=False),
        sa.Column("experiment", ID, sa.ForeignKey("experiments.id", ondelete="CASCADE"), nullable=False),
        sa.Column("name", TEXT, nullable=False),
        sa.Column("user_id", TEXT, nullable=False),
        sa.Column("status", TEXT, nullable=False),
        sa.Column("reason", TEXT),
        sa.Column("start_time", sa.BigInteger, nullable=False),
        sa.Column("end_time", sa.BigInteger),
        sa.Column("artifact_uri", TEXT, nullable=False),
        sa.Column("parent_run_id", TEXT),
        sa.Column("deleted", sa.BigInteger),
        sa.Column("owner_host", TEXT),
        sa.Column("owner_pid", sa.BigInteger),
        sa.Column("owner_started", sa.BigInteger),
        sa.Column("lease_until", sa.BigInteger),
        sa.PrimaryKeyConstraint("id", name="runs_pk"),
        sa.UniqueConstraint("run_id", name="runs_run_id"),
    )
    newest = sa.text("start_time DESC")
    child, running = sa.text("parent_run_id IS NOT NULL"), sa.text("status = 'RUNNING'")
    op.create_index("runs_of_experiment", "runs", ["experiment", newest, "run_id"])
    op.create_index("runs_by_start", "runs", [newest, "run_id"])
    op.create_index("runs_by_name", "runs", ["name", newest, "run_id"])
    op.create_index(
        "runs_of_parent", "runs", ["parent_run_id", newest, "run_id"], sqlite_where=child, postgresql_where=child
    )
    op.create_index("runs_running", "runs", ["lease_until"], sqlite_where=running, postgresql_where=running)


def _named_values(table: str) -> None:
    op.create_table(
        table,
        sa.Column("run", ID, sa.ForeignKey("runs.id", ondelete="CASCADE"), nullable=False),
        sa.Column("key", TEXT, nullable=False),
        sa.Column("value", TEXT, nullable=False),
        sa.PrimaryKeyConstraint("run", "key", name=f"{table}_pk"),
        sqlite_with_rowid=False,
    )


def _metrics() -> None:
    op.create_table(
        "metric_keys",
        sa.Column("id", ID, nullable=False),
        sa.Column("name", TEXT, nullable=False),
        sa.PrimaryKeyConstraint("id", name="metric_keys_pk"),
        sa.UniqueConstraint("name", name="metric_keys_name"),
    )
    points = {"metrics": ("run", "key", "step", "timestamp", "value", "special"), "latest_metrics": ("run", "key")}
    for table, identity in points.items():
        # PostgreSQL would check the key of each point: there it is seen to otherwise.
        checked = table != "metrics" or op.get_bind().dialect.name == "sqlite"
        key = [sa.ForeignKey("runs.id", ondelete="CASCADE")] if checked else []
        op.create_table(
            table,
            sa.Column("run", ID, *key, nullable=False),
            sa.Column("key", ID, nullable=False),
            sa.Column("step", sa.BigInteger, nullable=False),
            sa.Column("timestamp", sa.BigInteger, nullable=False),
            sa.Column("value", sa.Double, nullable=False),
            sa.Column("special", sa.SmallInteger, nullable=False),
            sa.PrimaryKeyConstraint(*identity, name=f"{table}_pk"),
            sqlite_with_rowid=False,
        )


def _artifacts() -> None:
    op.create_table(
        "artifacts",
        sa.Column("run", ID, sa.ForeignKey("runs.id", ondelete="CASCADE"), nullable=False),
        sa.Column("path", TEXT, nullable=False),
        sa.Column("size", sa.BigInteger, nullable=False),
        sa.Column("sha256", TEXT, nullable=False),
        sa.Column("created", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("run", "path", name="artifacts_pk"),
        sqlite_with_rowid=False,
    )
