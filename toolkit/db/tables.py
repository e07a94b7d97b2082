"""The whole schema.

Small integer keys inside (``id``, ``run``, ``experiment``, ``key``), public ids (``run_id``) at the edge. Times are
milliseconds since 1970 UTC. A row that can be restored carries ``deleted``, the time of its deletion.

A metric's value is two columns, because SQLite keeps neither NaN (it becomes NULL) nor the sign of -0.0: ``special`` is
0 for a plain number, 1 for NaN (``value`` is then +infinity) and -1 for -0.0. The pair (value, special) sorts as the
numbers do, with NaN last, and is exact in every database.
"""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Column,
    Double,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    Integer,
    MetaData,
    PrimaryKeyConstraint,
    SmallInteger,
    String,
    Table,
    Text,
    UniqueConstraint,
    text,
)

SCHEMA_TABLE = "toolkit_schema"
"""Alembic's version table, under a name of our own: ``alembic_version`` is anybody's."""

# Compared by code point everywhere, so that pages, prefixes and sort orders are the same in every database.
_TEXT = Text().with_variant(Text(collation="C"), "postgresql")
_ID = BigInteger().with_variant(Integer, "sqlite")  # SQLite's row id is an INTEGER by this very name

# Values are found and ordered by an index if they are not longer than this: PostgreSQL indexes no long ones, and a copy
# of them helps nobody. A query must say the same by the same words, with the number in the text of the statement.
INDEXED_LENGTH = 200
_SHORT, _LONG = text(f"length(value) <= {INDEXED_LENGTH}"), text(f"length(value) > {INDEXED_LENGTH}")

metadata = MetaData()

schema_version = Table(
    SCHEMA_TABLE,
    metadata,
    Column("version_num", String(32), nullable=False),
    PrimaryKeyConstraint("version_num", name=f"{SCHEMA_TABLE}_pkc"),
)

experiments = Table(
    "experiments",
    metadata,
    Column("id", _ID, nullable=False),
    Column("name", _TEXT, nullable=False),
    Column("artifact_location", _TEXT, nullable=False),
    Column("created", BigInteger, nullable=False),
    Column("updated", BigInteger, nullable=False),
    Column("deleted", BigInteger),
    PrimaryKeyConstraint("id", name="experiments_pk"),
    sqlite_autoincrement=True,  # an id is never given out twice: it is in URLs and artifact paths
)
Index(
    "experiments_active_name",
    experiments.c.name,
    unique=True,
    sqlite_where=text("deleted IS NULL"),
    postgresql_where=text("deleted IS NULL"),
)
Index("experiments_name", experiments.c.name)
Index("experiments_created", experiments.c.created, experiments.c.id)

experiment_tags = Table(
    "experiment_tags",
    metadata,
    Column("experiment", _ID, ForeignKey("experiments.id", ondelete="CASCADE"), nullable=False),
    Column("key", _TEXT, nullable=False),
    Column("value", _TEXT, nullable=False),
    PrimaryKeyConstraint("experiment", "key", name="experiment_tags_pk"),
    sqlite_with_rowid=False,
)

runs = Table(
    "runs",
    metadata,
    Column("id", _ID, nullable=False),
    Column("run_id", _TEXT, nullable=False),
    Column("experiment", _ID, ForeignKey("experiments.id", ondelete="CASCADE"), nullable=False),
    Column("name", _TEXT, nullable=False),
    Column("user_id", _TEXT, nullable=False),
    Column("status", _TEXT, nullable=False),
    Column("reason", _TEXT),
    Column("start_time", BigInteger, nullable=False),
    Column("end_time", BigInteger),
    Column("artifact_uri", _TEXT, nullable=False),
    Column("parent_run_id", _TEXT),  # what the tag mlflow.parentRunId says; such a run need not be here
    Column("deleted", BigInteger),
    Column("owner_host", _TEXT),
    Column("owner_pid", BigInteger),
    Column("owner_started", BigInteger),
    Column("lease_until", BigInteger),  # by the clock of the database
    PrimaryKeyConstraint("id", name="runs_pk"),
    UniqueConstraint("run_id", name="runs_run_id"),
)
Index("runs_of_experiment", runs.c.experiment, runs.c.start_time.desc(), runs.c.run_id)
Index("runs_by_start", runs.c.start_time.desc(), runs.c.run_id)
Index("runs_by_name", runs.c.name, runs.c.start_time.desc(), runs.c.run_id)
Index(
    "runs_of_parent",
    runs.c.parent_run_id,
    runs.c.start_time.desc(),
    runs.c.run_id,
    sqlite_where=text("parent_run_id IS NOT NULL"),
    postgresql_where=text("parent_run_id IS NOT NULL"),
)
Index(
    "runs_running",
    runs.c.lease_until,
    sqlite_where=text("status = 'RUNNING'"),
    postgresql_where=text("status = 'RUNNING'"),
)
Index("runs_by_end", runs.c.end_time)
Index("runs_counted", runs.c.experiment, runs.c.id, runs.c.deleted)  # covers counting, without the rows

params = Table(
    "params",
    metadata,
    Column("run", _ID, ForeignKey("runs.id", ondelete="CASCADE"), nullable=False),
    Column("key", _TEXT, nullable=False),
    Column("value", _TEXT, nullable=False),
    PrimaryKeyConstraint("run", "key", name="params_pk"),
    sqlite_with_rowid=False,
)
Index("params_by_value", params.c.key, params.c.value, params.c.run, sqlite_where=_SHORT, postgresql_where=_SHORT)
Index("params_long", params.c.key, sqlite_where=_LONG, postgresql_where=_LONG)

tags = Table(
    "tags",
    metadata,
    Column("run", _ID, ForeignKey("runs.id", ondelete="CASCADE"), nullable=False),
    Column("key", _TEXT, nullable=False),
    Column("value", _TEXT, nullable=False),
    PrimaryKeyConstraint("run", "key", name="tags_pk"),
    sqlite_with_rowid=False,
)
Index("tags_by_value", tags.c.key, tags.c.value, tags.c.run, sqlite_where=_SHORT, postgresql_where=_SHORT)
Index("tags_long", tags.c.key, sqlite_where=_LONG, postgresql_where=_LONG)

# Names of metrics, once each; never removed, so that processes may remember their ids.
metric_keys = Table(
    "metric_keys",
    metadata,
    Column("id", _ID, nullable=False),
    Column("name", _TEXT, nullable=False),
    PrimaryKeyConstraint("id", name="metric_keys_pk"),
    UniqueConstraint("name", name="metric_keys_name"),
)

# Every point, clustered so that a history is one stretch of pages. The whole row is the key: an exact duplicate is
# refused by it, and nothing need be read before a write. ``key`` has no foreign key of its own: it costs a tenth of the
# speed, and the ids come from metric_keys within the same transaction. PostgreSQL checks a foreign key point by point,
# which takes three quarters of the time: there whoever writes points locks their run against its removal instead
# (`toolkit.tracking.sql_runs.find`), and whoever removes a run removes its points.
metrics = Table(
    "metrics",
    metadata,
    Column("run", _ID, nullable=False),
    Column("key", _ID, nullable=False),
    Column("step", BigInteger, nullable=False),
    Column("timestamp", BigInteger, nullable=False),
    Column("value", Double, nullable=False),
    Column("special", SmallInteger, nullable=False),
    PrimaryKeyConstraint("run", "key", "step", "timestamp", "value", "special", name="metrics_pk"),
    ForeignKeyConstraint(["run"], ["runs.id"], ondelete="CASCADE").ddl_if(dialect="sqlite"),
    sqlite_with_rowid=False,
)

# The greatest (step, timestamp, value, special) of each metric of each run.
latest_metrics = Table(
    "latest_metrics",
    metadata,
    Column("run", _ID, ForeignKey("runs.id", ondelete="CASCADE"), nullable=False),
    Column("key", _ID, nullable=False),
    Column("step", BigInteger, nullable=False),
    Column("timestamp", BigInteger, nullable=False),
    Column("value", Double, nullable=False),
    Column("special", SmallInteger, nullable=False),
    PrimaryKeyConstraint("run", "key", name="latest_metrics_pk"),
    sqlite_with_rowid=False,
)
Index(
    "latest_metrics_by_value",
    latest_metrics.c.key,
    latest_metrics.c.value,
    latest_metrics.c.special,
    latest_metrics.c.run,
)

artifacts = Table(
    "artifacts",
    metadata,
    Column("run", _ID, ForeignKey("runs.id", ondelete="CASCADE"), nullable=False),
    Column("path", _TEXT, nullable=False),
    Column("size", BigInteger, nullable=False),
    Column("sha256", _TEXT, nullable=False),
    Column("created", BigInteger, nullable=False),
    PrimaryKeyConstraint("run", "path", name="artifacts_pk"),
    sqlite_with_rowid=False,
)

# Data that runs use: once in an experiment by (name, digest), however many runs use it.
datasets = Table(
    "datasets",
    metadata,
    Column("id", _ID, nullable=False),
    Column("experiment", _ID, ForeignKey("experiments.id", ondelete="CASCADE"), nullable=False),
    Column("name", _TEXT, nullable=False),
    Column("digest", _TEXT, nullable=False),
    Column("source_type", _TEXT, nullable=False),
    Column("source", _TEXT, nullable=False),
    Column("schema", _TEXT),
    Column("profile", _TEXT),
    PrimaryKeyConstraint("id", name="datasets_pk"),
    UniqueConstraint("experiment", "name", "digest", name="datasets_name_digest"),
)
Index("datasets_name", datasets.c.name)
Index("datasets_digest", datasets.c.digest)

inputs = Table(
    "inputs",
    metadata,
    Column("run", _ID, ForeignKey("runs.id", ondelete="CASCADE"), nullable=False),
    Column("dataset", _ID, ForeignKey("datasets.id", ondelete="CASCADE"), nullable=False),
    PrimaryKeyConstraint("run", "dataset", name="inputs_pk"),
    sqlite_with_rowid=False,
)
Index("inputs_of_dataset", inputs.c.dataset, inputs.c.run)

input_tags = Table(
    "input_tags",
    metadata,
    Column("run", _ID, ForeignKey("runs.id", ondelete="CASCADE"), nullable=False),
    Column("dataset", _ID, ForeignKey("datasets.id", ondelete="CASCADE"), nullable=False),
    Column("key", _TEXT, nullable=False),
    Column("value", _TEXT, nullable=False),
    PrimaryKeyConstraint("run", "dataset", "key", name="input_tags_pk"),
    sqlite_with_rowid=False,
)
Index("input_tags_by_value", input_tags.c.key, input_tags.c.value, input_tags.c.run)

# How far each client's journal has been written here: what was applied once is not applied again.
journals = Table(
    "journals",
    metadata,
    Column("id", _TEXT, nullable=False),
    Column("position", BigInteger, nullable=False),
    Column("updated", BigInteger, nullable=False),
    PrimaryKeyConstraint("id", name="journals_pk"),
    sqlite_with_rowid=False,
)

# What the results of a step's run depend on: whoever comes to the same key may take them over.
step_keys = Table(
    "step_keys",
    metadata,
    Column("run", _ID, ForeignKey("runs.id", ondelete="CASCADE"), nullable=False),
    Column("key", _TEXT, nullable=False),
    Column("family", _TEXT, nullable=False),
    Column("reusable", SmallInteger, nullable=False),
    Column("created", BigInteger, nullable=False),
    Column("components", _TEXT, nullable=False),
    PrimaryKeyConstraint("run", name="step_keys_pk"),
)
Index("step_keys_by_key", step_keys.c.key, step_keys.c.created)
Index("step_keys_of_family", step_keys.c.family, step_keys.c.created)

# Models that runs logged: a folder of files each, of an experiment. They stay when the run that made them is removed.
logged_models = Table(
    "logged_models",
    metadata,
    Column("id", _ID, nullable=False),
    Column("model_id", _TEXT, nullable=False),
    Column("experiment", _ID, ForeignKey("experiments.id", ondelete="CASCADE"), nullable=False),
    Column("name", _TEXT, nullable=False),
    Column("type", _TEXT),
    Column("status", _TEXT, nullable=False),
    Column("status_message", _TEXT),
    Column("source_run_id", _TEXT),
    Column("artifact_uri", _TEXT, nullable=False),
    Column("created", BigInteger, nullable=False),
    Column("updated", BigInteger, nullable=False),
    Column("deleted", BigInteger),
    PrimaryKeyConstraint("id", name="logged_models_pk"),
    UniqueConstraint("model_id", name="logged_models_model_id"),
)
Index(
    "logged_models_of_experiment",
    logged_models.c.experiment,
    logged_models.c.created.desc(),
    logged_models.c.model_id,
)
Index("logged_models_by_name", logged_models.c.name, logged_models.c.experiment)
Index("logged_models_of_run", logged_models.c.source_run_id)

logged_model_tags = Table(
    "logged_model_tags",
    metadata,
    Column("model", _ID, ForeignKey("logged_models.id", ondelete="CASCADE"), nullable=False),
    Column("key", _TEXT, nullable=False),
    Column("value", _TEXT, nullable=False),
    PrimaryKeyConstraint("model", "key", name="logged_model_tags_pk"),
    sqlite_with_rowid=False,
)

logged_model_params = Table(
    "logged_model_params",
    metadata,
    Column("model", _ID, ForeignKey("logged_models.id", ondelete="CASCADE"), nullable=False),
    Column("key", _TEXT, nullable=False),
    Column("value", _TEXT, nullable=False),
    PrimaryKeyConstraint("model", "key", name="logged_model_params_pk"),
    sqlite_with_rowid=False,
)

# What was measured of a model, by whichever run, on whichever data; the texts are empty where no data was named.
logged_model_metrics = Table(
    "logged_model_metrics",
    metadata,
    Column("model", _ID, ForeignKey("logged_models.id", ondelete="CASCADE"), nullable=False),
    Column("key", _TEXT, nullable=False),
    Column("run_id", _TEXT, nullable=False),
    Column("step", BigInteger, nullable=False),
    Column("timestamp", BigInteger, nullable=False),
    Column("dataset_name", _TEXT, nullable=False),
    Column("dataset_digest", _TEXT, nullable=False),
    Column("value", Double, nullable=False),
    Column("special", SmallInteger, nullable=False),
    PrimaryKeyConstraint(
        *("model", "key", "run_id", "step", "timestamp", "dataset_name", "dataset_digest", "value", "special"),
        name="logged_model_metrics_pk",
    ),
    sqlite_with_rowid=False,
)

# The files of a logged model, with their digests: what was not stored by way of us has no row.
logged_model_files = Table(
    "logged_model_files",
    metadata,
    Column("model", _ID, ForeignKey("logged_models.id", ondelete="CASCADE"), nullable=False),
    Column("path", _TEXT, nullable=False),
    Column("size", BigInteger, nullable=False),
    Column("sha256", _TEXT, nullable=False),
    Column("created", BigInteger, nullable=False),
    PrimaryKeyConstraint("model", "path", name="logged_model_files_pk"),
    sqlite_with_rowid=False,
)

model_inputs = Table(
    "model_inputs",
    metadata,
    Column("run", _ID, ForeignKey("runs.id", ondelete="CASCADE"), nullable=False),
    Column("model", _ID, ForeignKey("logged_models.id", ondelete="CASCADE"), nullable=False),
    PrimaryKeyConstraint("run", "model", name="model_inputs_pk"),
    sqlite_with_rowid=False,
)
Index("model_inputs_of_model", model_inputs.c.model, model_inputs.c.run)

model_outputs = Table(
    "model_outputs",
    metadata,
    Column("run", _ID, ForeignKey("runs.id", ondelete="CASCADE"), nullable=False),
    Column("model", _ID, ForeignKey("logged_models.id", ondelete="CASCADE"), nullable=False),
    Column("step", BigInteger, nullable=False),
    PrimaryKeyConstraint("run", "model", "step", name="model_outputs_pk"),
    sqlite_with_rowid=False,
)
Index("model_outputs_of_model", model_outputs.c.model, model_outputs.c.run)

# The registry. Rows of what was deleted stay: a version's number is never given out again. ``last_version`` is the
# highest number ever used, and the row is the lock under which the next one is taken.
registered_models = Table(
    "registered_models",
    metadata,
    Column("id", _ID, nullable=False),
    Column("name", _TEXT, nullable=False),
    Column("description", _TEXT),
    Column("created", BigInteger, nullable=False),
    Column("updated", BigInteger, nullable=False),
    Column("deleted", BigInteger),
    Column("last_version", BigInteger, nullable=False),
    PrimaryKeyConstraint("id", name="registered_models_pk"),
    sqlite_autoincrement=True,
)
Index(
    "registered_models_name",
    registered_models.c.name,
    unique=True,
    sqlite_where=text("deleted IS NULL"),
    postgresql_where=text("deleted IS NULL"),
)

Index("registered_models_any_name", registered_models.c.name)  # deleted ones, too: their history is asked for by it

registered_model_tags = Table(
    "registered_model_tags",
    metadata,
    Column("model", _ID, ForeignKey("registered_models.id", ondelete="CASCADE"), nullable=False),
    Column("key", _TEXT, nullable=False),
    Column("value", _TEXT, nullable=False),
    PrimaryKeyConstraint("model", "key", name="registered_model_tags_pk"),
    sqlite_with_rowid=False,
)

# ``location`` is where the files are, resolved when the version was made; ``holder`` is the run or the logged model
# whose folder that is, if it is one's.
model_versions = Table(
    "model_versions",
    metadata,
    Column("id", _ID, nullable=False),
    Column("model", _ID, ForeignKey("registered_models.id", ondelete="CASCADE"), nullable=False),
    Column("number", BigInteger, nullable=False),
    Column("source", _TEXT, nullable=False),
    Column("location", _TEXT, nullable=False),
    Column("holder", _TEXT),
    Column("run_id", _TEXT),
    Column("run_link", _TEXT),
    Column("model_id", _TEXT),
    Column("user_id", _TEXT),
    Column("description", _TEXT),
    Column("stage", _TEXT, nullable=False),
    Column("status", _TEXT, nullable=False),
    Column("status_message", _TEXT),
    Column("created", BigInteger, nullable=False),
    Column("updated", BigInteger, nullable=False),
    Column("deleted", BigInteger),
    PrimaryKeyConstraint("id", name="model_versions_pk"),
    UniqueConstraint("model", "number", name="model_versions_number"),
)
Index(
    "model_versions_latest",
    model_versions.c.model,
    model_versions.c.stage,
    model_versions.c.number,
    sqlite_where=text("deleted IS NULL"),
    postgresql_where=text("deleted IS NULL"),
)
Index("model_versions_of_model", model_versions.c.model, model_versions.c.updated)
Index("model_versions_by_update", model_versions.c.updated)
Index("model_versions_of_run", model_versions.c.run_id)
Index("model_versions_of_logged", model_versions.c.model_id)
Index("model_versions_held", model_versions.c.holder)

model_version_tags = Table(
    "model_version_tags",
    metadata,
    Column("version", _ID, ForeignKey("model_versions.id", ondelete="CASCADE"), nullable=False),
    Column("key", _TEXT, nullable=False),
    Column("value", _TEXT, nullable=False),
    PrimaryKeyConstraint("version", "key", name="model_version_tags_pk"),
    sqlite_with_rowid=False,
)

model_aliases = Table(
    "model_aliases",
    metadata,
    Column("model", _ID, ForeignKey("registered_models.id", ondelete="CASCADE"), nullable=False),
    Column("alias", _TEXT, nullable=False),
    Column("version", _ID, ForeignKey("model_versions.id", ondelete="CASCADE"), nullable=False),
    PrimaryKeyConstraint("model", "alias", name="model_aliases_pk"),
    sqlite_with_rowid=False,
)
Index("model_aliases_of_version", model_aliases.c.version)

# What was done to the registry, by whom and why: rows are added, in the transaction of what they tell, and never
# changed or removed. ``action`` is a `toolkit.registry.history.Action`; ``key`` is the alias, the key of the tag, or
# the target of gates and requests; ``old`` and ``new`` are what was and what is, NULL for nothing. Ids and times rise
# within a model.
registry_changes = Table(
    "registry_changes",
    metadata,
    Column("id", _ID, nullable=False),
    Column("model", _ID, ForeignKey("registered_models.id"), nullable=False),
    Column("version", BigInteger),  # its number
    Column("action", _TEXT, nullable=False),
    Column("key", _TEXT),
    Column("old", _TEXT),
    Column("new", _TEXT),
    Column("user_id", _TEXT),
    Column("reason", _TEXT),
    Column("request", BigInteger),  # the id of the request by which it was done, or which it is about
    Column("created", BigInteger, nullable=False),
    PrimaryKeyConstraint("id", name="registry_changes_pk"),
    sqlite_autoincrement=True,
)
Index("registry_changes_of_model", registry_changes.c.model, registry_changes.c.id)
Index(
    "registry_changes_of_key",
    registry_changes.c.model,
    registry_changes.c.action,
    registry_changes.c.key,
    registry_changes.c.id,
)
Index("registry_changes_of_version", registry_changes.c.model, registry_changes.c.version, registry_changes.c.id)

# What a version must show before it takes a stage (``Production``) or an alias (``@champion``): gates, one a line as
# `toolkit.registry.gates` reads them; how many must approve, and who (JSON, a list of names).
registry_policies = Table(
    "registry_policies",
    metadata,
    Column("model", _ID, ForeignKey("registered_models.id", ondelete="CASCADE"), nullable=False),
    Column("target", _TEXT, nullable=False),
    Column("gates", _TEXT, nullable=False),
    Column("approvals", BigInteger, nullable=False),
    Column("approvers", _TEXT, nullable=False),
    Column("updated", BigInteger, nullable=False),
    PrimaryKeyConstraint("model", "target", name="registry_policies_pk"),
    sqlite_with_rowid=False,
)

# Requests that a version takes a stage or an alias, and who approved them.
registry_requests = Table(
    "registry_requests",
    metadata,
    Column("id", _ID, nullable=False),
    Column("model", _ID, ForeignKey("registered_models.id", ondelete="CASCADE"), nullable=False),
    Column("version", _ID, ForeignKey("model_versions.id", ondelete="CASCADE"), nullable=False),
    Column("target", _TEXT, nullable=False),
    Column("archive", SmallInteger, nullable=False),  # whether the others in the stage go to the archive
    Column("user_id", _TEXT, nullable=False),
    Column("reason", _TEXT),
    Column("state", _TEXT, nullable=False),
    Column("closed_by", _TEXT),
    Column("closed_why", _TEXT),
    Column("created", BigInteger, nullable=False),
    Column("closed", BigInteger),
    PrimaryKeyConstraint("id", name="registry_requests_pk"),
    sqlite_autoincrement=True,
)
Index("registry_requests_of_model", registry_requests.c.model, registry_requests.c.state, registry_requests.c.id)
Index(
    "registry_requests_pending",
    registry_requests.c.version,
    registry_requests.c.target,
    unique=True,
    sqlite_where=text("state = 'PENDING'"),
    postgresql_where=text("state = 'PENDING'"),
)

registry_approvals = Table(
    "registry_approvals",
    metadata,
    Column("request", _ID, ForeignKey("registry_requests.id", ondelete="CASCADE"), nullable=False),
    Column("user_id", _TEXT, nullable=False),
    Column("reason", _TEXT),
    Column("created", BigInteger, nullable=False),
    PrimaryKeyConstraint("request", "user_id", name="registry_approvals_pk"),
    sqlite_with_rowid=False,
)

# Changes that others are to be told of, written with the change: an outbox. ``event`` is such as
# ``model_version.created``, ``body`` its data as JSON. Ids rise in the order of commits (`toolkit.registry.sql_history`
# sees to it), so who has read up to one misses nothing. ``handled`` is the time when deliveries were made of it.
registry_events = Table(
    "registry_events",
    metadata,
    Column("id", _ID, nullable=False),
    Column("change", _ID, ForeignKey("registry_changes.id"), nullable=False),
    Column("event", _TEXT, nullable=False),
    Column("model", _TEXT, nullable=False),  # the name that it has then
    Column("version", BigInteger),
    Column("body", _TEXT, nullable=False),
    Column("created", BigInteger, nullable=False),
    Column("handled", BigInteger),
    PrimaryKeyConstraint("id", name="registry_events_pk"),
    sqlite_autoincrement=True,
)
Index(
    "registry_events_open",
    registry_events.c.id,
    sqlite_where=text("handled IS NULL"),
    postgresql_where=text("handled IS NULL"),
)
Index("registry_events_of_change", registry_events.c.change)

# Who is told of events: a URL, or a Prefect deployment. ``events`` and ``models`` are patterns (JSON, a list; empty:
# all), ``parameters`` what a deployment is given (JSON). ``secret`` signs what is sent.
registry_webhooks = Table(
    "registry_webhooks",
    metadata,
    Column("id", _ID, nullable=False),
    Column("name", _TEXT, nullable=False),
    Column("kind", _TEXT, nullable=False),  # a `toolkit.registry.events.Kind`
    Column("target", _TEXT, nullable=False),
    Column("events", _TEXT, nullable=False),
    Column("models", _TEXT, nullable=False),
    Column("parameters", _TEXT, nullable=False),
    Column("secret", _TEXT),
    Column("created", BigInteger, nullable=False),
    PrimaryKeyConstraint("id", name="registry_webhooks_pk"),
    UniqueConstraint("name", name="registry_webhooks_by_name"),
    sqlite_autoincrement=True,
)

# One event, to be told to one of them. ``due`` is when to try: whoever tries moves it on first, to when another may if
# he dies meanwhile; ``tries`` says whose try it is, so that one who was taken for dead records nothing.
registry_deliveries = Table(
    "registry_deliveries",
    metadata,
    Column("id", _ID, nullable=False),
    Column("event", _ID, ForeignKey("registry_events.id"), nullable=False),
    Column("webhook", _ID, ForeignKey("registry_webhooks.id", ondelete="CASCADE"), nullable=False),
    Column("state", _TEXT, nullable=False),  # a `toolkit.registry.events.DeliveryState`
    Column("tries", BigInteger, nullable=False),
    Column("due", BigInteger, nullable=False),
    Column("message", _TEXT),  # what the last try came to
    Column("updated", BigInteger, nullable=False),
    PrimaryKeyConstraint("id", name="registry_deliveries_pk"),
    UniqueConstraint("event", "webhook", name="registry_deliveries_by_event"),
    sqlite_autoincrement=True,
)
Index(
    "registry_deliveries_due",
    registry_deliveries.c.due,
    sqlite_where=text("state = 'PENDING'"),
    postgresql_where=text("state = 'PENDING'"),
)
Index("registry_deliveries_of_webhook", registry_deliveries.c.webhook, registry_deliveries.c.id)

# What was built of which version, whether it serves or not: the same tag and digest once. ``registered`` is the model
# as long as there is one of that name when it is built; ``model`` is what it was called then.
bentos = Table(
    "bentos",
    metadata,
    Column("id", _ID, nullable=False),
    Column("tag", _TEXT, nullable=False),
    Column("digest", _TEXT, nullable=False),
    Column("registered", _ID, ForeignKey("registered_models.id")),
    Column("model", _TEXT, nullable=False),
    Column("version", BigInteger, nullable=False),
    Column("run_id", _TEXT),
    Column("created", BigInteger, nullable=False),
    Column("user_id", _TEXT, nullable=False),
    PrimaryKeyConstraint("id", name="bentos_pk"),
    UniqueConstraint("tag", "digest", name="bentos_by_tag"),
    sqlite_autoincrement=True,
)
Index("bentos_of_version", bentos.c.registered, bentos.c.version)
Index("bentos_of_run", bentos.c.run_id)

# What serves where. A deleted one stays, for the lineage; its name is free again. ``release`` is the number of the
# release that serves, ``last_release`` the highest ever used: the row is the lock under which the next one is taken.
# ``config`` and ``options`` are JSON.
deployments = Table(
    "deployments",
    metadata,
    Column("id", _ID, nullable=False),
    Column("deployment_id", _TEXT, nullable=False),
    Column("name", _TEXT, nullable=False),
    Column("target", _TEXT, nullable=False),
    Column("state", _TEXT, nullable=False),  # a `toolkit.deployments.records.DeploymentState`
    Column("message", _TEXT, nullable=False),
    Column("address", _TEXT),
    Column("release", BigInteger),
    Column("last_release", BigInteger, nullable=False),
    Column("follow_alias", _TEXT),
    Column("config", _TEXT, nullable=False),
    Column("options", _TEXT, nullable=False),
    Column("host", _TEXT, nullable=False),
    Column("created", BigInteger, nullable=False),
    Column("user_id", _TEXT, nullable=False),
    Column("updated", BigInteger, nullable=False),
    Column("deleted", BigInteger),
    PrimaryKeyConstraint("id", name="deployments_pk"),
    UniqueConstraint("deployment_id", name="deployments_by_id"),
    sqlite_autoincrement=True,
)
Index(
    "deployments_active_name",
    deployments.c.name,
    unique=True,
    sqlite_where=text("deleted IS NULL"),
    postgresql_where=text("deleted IS NULL"),
)

# The versions in the life of a deployment; ``instance``, JSON, is what its target finds it by.
releases = Table(
    "releases",
    metadata,
    Column("deployment", _ID, ForeignKey("deployments.id", ondelete="CASCADE"), nullable=False),
    Column("number", BigInteger, nullable=False),
    Column("registered", _ID, ForeignKey("registered_models.id")),
    Column("model", _TEXT, nullable=False),
    Column("version", BigInteger, nullable=False),
    Column("run_id", _TEXT),
    Column("bento", _TEXT, nullable=False),
    Column("bento_digest", _TEXT, nullable=False),
    Column("image", _TEXT),
    Column("image_digest", _TEXT),
    Column("instance", _TEXT, nullable=False),
    Column("state", _TEXT, nullable=False),  # a `toolkit.deployments.records.ReleaseState`
    Column("message", _TEXT, nullable=False),
    Column("created", BigInteger, nullable=False),
    Column("user_id", _TEXT, nullable=False),
    Column("ended", BigInteger),
    Column("why", _TEXT, nullable=False),
    PrimaryKeyConstraint("deployment", "number", name="releases_pk"),
)
Index("releases_of_bento", releases.c.bento)
