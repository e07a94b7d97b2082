"""Models that runs logged, and the registry."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

TEXT = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
ID = sa.BigInteger().with_variant(sa.Integer, "sqlite")
THERE = sa.text("deleted IS NULL")


def upgrade() -> None:
    """Make the tables."""
    _logged_models()
    _values("logged_model_tags", "model", "logged_models")
    _values("logged_model_params", "model", "logged_models")
    _logged_model_metrics()
    _of_runs()
    _registered_models()
    _values("registered_model_tags", "model", "registered_models")
    _model_versions()
    _values("model_version_tags", "version", "model_versions")
    _aliases()


def _values(table: str, owner: str, owners: str) -> None:
    op.create_table(
        table,
        sa.Column(owner, ID, sa.ForeignKey(f"{owners}.id", ondelete="CASCADE"), nullable=False),
        sa.Column("key", TEXT, nullable=False),
        sa.Column("value", TEXT, nullable=False),
        sa.PrimaryKeyConstraint(owner, "key", name=f"{table}_pk"),
        sqlite_with_rowid=False,
    )


def _logged_models() -> None:
    op.create_table(
        "logged_models",
        sa.Column("id", ID, nullable=False),
        sa.Column("model_id", TEXT, nullable=False),
        sa.Column("experiment", ID, sa.ForeignKey("experiments.id", ondelete="CASCADE"), nullable=False),
        sa.Column("name", TEXT, nullable=False),
        sa.Column("type", TEXT),
        sa.Column("status", TEXT, nullable=False),
        sa.Column("status_message", TEXT),
        sa.Column("source_run_id", TEXT),
        sa.Column("artifact_uri", TEXT, nullable=False),
        sa.Column("created", sa.BigInteger, nullable=False),
        sa.Column("updated", sa.BigInteger, nullable=False),
        sa.Column("deleted", sa.BigInteger),
        sa.PrimaryKeyConstraint("id", name="logged_models_pk"),
        sa.UniqueConstraint("model_id", name="logged_models_model_id"),
    )
    op.create_index("logged_models_of_experiment", "logged_models", ["experiment", sa.text("created DESC"), "model_id"])
    op.create_index("logged_models_by_name", "logged_models", ["name", "experiment"])
    op.create_index("logged_models_of_run", "logged_models", ["source_run_id"])


def _logged_model_metrics() -> None:
    op.create_table(
        "logged_model_metrics",
        sa.Column("model", ID, sa.ForeignKey("logged_models.id", ondelete="CASCADE"), nullable=False),
        sa.Column("key", TEXT, nullable=False),
        sa.Column("run_id", TEXT, nullable=False),
        sa.Column("step", sa.BigInteger, nullable=False),
        sa.Column("timestamp", sa.BigInteger, nullable=False),
        sa.Column("dataset_name", TEXT, nullable=False),
        sa.Column("dataset_digest", TEXT, nullable=False),
        sa.Column("value", sa.Double, nullable=False),
        sa.Column("special", sa.SmallInteger, nullable=False),
        sa.PrimaryKeyConstraint(
            *("model", "key", "run_id", "step", "timestamp", "dataset_name", "dataset_digest", "value", "special"),
            name="logged_model_metrics_pk",
        ),
        sqlite_with_rowid=False,
    )


def _of_runs() -> None:
    for table in ("model_inputs", "model_outputs"):
        step = [sa.Column("step", sa.BigInteger, nullable=False)] if table == "model_outputs" else []
        op.create_table(
            table,
            sa.Column("run", ID, sa.ForeignKey("runs.id", ondelete="CASCADE"), nullable=False),
            sa.Column("model", ID, sa.ForeignKey("logged_models.id", ondelete="CASCADE"), nullable=False),
            *step,
            sa.PrimaryKeyConstraint("run", "model", *(column.name for column in step), name=f"{table}_pk"),
            sqlite_with_rowid=False,
        )
        op.create_index(f"{table}_of_model", table, ["model", "run"])


def _registered_models() -> None:
    op.create_table(
        "registered_models",
        sa.Column("id", ID, nullable=False),
        sa.Column("name", TEXT, nullable=False),
        sa.Column("description", TEXT),
        sa.Column("created", sa.BigInteger, nullable=False),
        sa.Column("updated", sa.BigInteger, nullable=False),
        sa.Column("deleted", sa.BigInteger),
        sa.Column("last_version", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("id", name="registered_models_pk"),
        sqlite_autoincrement=True,
    )
    op.create_index(
        "registered_models_name",
        "registered_models",
        ["name"],
        unique=True,
        sqlite_where=THERE,
        postgresql_where=THERE,
    )


def _model_versions() -> None:
    op.create_table(
        "model_versions",
        sa.Column("id", ID, nullable=False),
        sa.Column("model", ID, sa.ForeignKey("registered_models.id", ondelete="CASCADE"), nullable=False),
        sa.Column("number", sa.BigInteger, nullable=False),
        sa.Column("source", TEXT, nullable=False),
        sa.Column("location", TEXT, nullable=False),
        sa.Column("holder", TEXT),
        sa.Column("run_id", TEXT),
        sa.Column("run_link", TEXT),
        sa.Column("model_id", TEXT),
        sa.Column("user_id", TEXT),
        sa.Column("description", TEXT),
        sa.Column("stage", TEXT, nullable=False),
        sa.Column("status", TEXT, nullable=False),
        sa.Column("status_message", TEXT),
        sa.Column("created", sa.BigInteger, nullable=False),
        sa.Column("updated", sa.BigInteger, nullable=False),
        sa.Column("deleted", sa.BigInteger),
        sa.PrimaryKeyConstraint("id", name="model_versions_pk"),
        sa.UniqueConstraint("model", "number", name="model_versions_number"),
    )
    op.create_index(
        "model_versions_latest",
        "model_versions",
        ["model", "stage", "number"],
        sqlite_where=THERE,
        postgresql_where=THERE,
    )
    op.create_index("model_versions_of_model", "model_versions", ["model", "updated"])
    op.create_index("model_versions_by_update", "model_versions", ["updated"])
    op.create_index("model_versions_of_run", "model_versions", ["run_id"])
    op.create_index("model_versions_of_logged", "model_versions", ["model_id"])
    op.create_index("model_versions_held", "model_versions", ["holder"])


def _aliases() -> None:
    op.create_table(
        "model_aliases",
        sa.Column("model", ID, sa.ForeignKey("registered_models.id", ondelete="CASCADE"), nullable=False),
        sa.Column("alias", TEXT, nullable=False),
        sa.Column("version", ID, sa.ForeignKey("model_versions.id", ondelete="CASCADE"), nullable=False),
        sa.PrimaryKeyConstraint("model", "alias", name="model_aliases_pk"),
        sqlite_with_rowid=False,
    )
    op.create_index("model_aliases_of_version", "model_aliases", ["version"])
