"""Indices that search walks: latest metrics, parameters and tags by value, runs by end and for counting."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the indices."""
    op.create_index("runs_by_end", "runs", ["end_time"])
    op.create_index("runs_counted", "runs", ["experiment", "id", "deleted"])
    short, long = sa.text("length(value) <= 200"), sa.text("length(value) > 200")
    for table in ("params", "tags"):
        op.create_index(f"{table}_by_value", table, ["key", "value", "run"], sqlite_where=short, postgresql_where=short)
        op.create_index(f"{table}_long", table, ["key"], sqlite_where=long, postgresql_where=long)
    op.create_index("latest_metrics_by_value", "latest_metrics", ["key", "value", "special", "run"])
