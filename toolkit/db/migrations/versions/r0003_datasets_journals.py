"""Datasets that runs use, and how far each client's journal has come."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

TEXT = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
ID = sa.BigInteger().with_variant(sa.Integer, "sqlite")


def upgrade() -> None:
    """Make the tables."""
    _datasets()
    _inputs()
    op.create_table(
        "journals",
        sa.Column("id", TEXT, nullable=False),
        sa.Column("position", sa.BigInteger, nullable=False),
        sa.Column("updated", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("id", name="journals_pk"),
        sqlite_with_rowid=False,
    )


def _datasets() -> None:
    op.create_table(
        "datasets",
        sa.Column("id", ID, nullable=False),
        sa.Column("experiment", ID, sa.ForeignKey("experiments.id", ondelete="CASCADE"), nullable=False),
        sa.Column("name", TEXT, nullable=False),
        sa.Column("digest", TEXT, nullable=False),
        sa.Column("source_type", TEXT, nullable=False),
        sa.Column("source", TEXT, nullable=False),
        sa.Column("schema", TEXT),
        sa.Column("profile", TEXT),
        sa.PrimaryKeyConstraint("id", name="datasets_pk"),
        sa.UniqueConstraint("experiment", "name", "digest", name="datasets_name_digest"),
    )
    op.create_index("datasets_name", "datasets", ["name"])
    op.create_index("datasets_digest", "datasets", ["digest"])


def _inputs() -> None:
    op.create_table(
        "inputs",
        sa.Column("run", ID, sa.ForeignKey("runs.id", ondelete="CASCADE"), nullable=False),
        sa.Column("dataset", ID, sa.ForeignKey("datasets.id", ondelete="CASCADE"), nullable=False),
        sa.PrimaryKeyConstraint("run", "dataset", name="inputs_pk"),
        sqlite_with_rowid=False,
    )
    op.create_index("inputs_of_dataset", "inputs", ["dataset", "run"])
    op.create_table(
        "input_tags",
        sa.Column("run", ID, sa.ForeignKey("runs.id", ondelete="CASCADE"), nullable=False),
        sa.Column("dataset", ID, sa.ForeignKey("datasets.id", ondelete="CASCADE"), nullable=False),
        sa.Column("key", TEXT, nullable=False),
        sa.Column("value", TEXT, nullable=False),
        sa.PrimaryKeyConstraint("run", "dataset", "key", name="input_tags_pk"),
        sqlite_with_rowid=False,
    )
    op.create_index("input_tags_by_value", "input_tags", ["key", "value", "run"])
