"""What the results of steps depend on, so that others can take them over."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

TEXT = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
ID = sa.BigInteger().with_variant(sa.Integer, "sqlite")


def upgrade() -> None:
    """Make the table."""
    op.create_table(
        "step_keys",
        sa.Column("run", ID, sa.ForeignKey("runs.id", ondelete="CASCADE"), nullable=False),
        sa.Column("key", TEXT, nullable=False),
        sa.Column("family", TEXT, nullable=False),
        sa.Column("reusable", sa.SmallInteger, nullable=False),
        sa.Column("created", sa.BigInteger, nullable=False),
        sa.Column("components", TEXT, nullable=False),
        sa.PrimaryKeyConstraint("run", name="step_keys_pk"),
    )
    op.create_index("step_keys_by_key", "step_keys", ["key", "created"])
    op.create_index("step_keys_of_family", "step_keys", ["family", "created"])
