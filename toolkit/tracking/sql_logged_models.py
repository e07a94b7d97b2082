"""Logged models in SQL: a `toolkit.tracking.logged_models.LoggedModelStore`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from toolkit.db.engine import Database
from toolkit.db.retry import persistent
from toolkit.db.schema import ensure_schema
from toolkit.errors import InvalidValue
from toolkit.tracking import (
    limits,
    search,
    sql_logged_model_files,
    sql_logged_models_rows,
    sql_logged_models_search,
)
from toolkit.tracking.filter_fields import LOGGED_MODELS
from toolkit.tracking.logged_models import (
    LoggedModel,
    LoggedModelQuery,
    ModelMetric,
    ModelOutput,
    ModelStatus,
    NewLoggedModel,
    RunModels,
)
from toolkit.tracking.logged_models_limits import check_new_model, check_tags
from toolkit.tracking.records import ArtifactEntry, Page

MOST_MODELS = 1_000


class SqlLoggedModelStore:
    """A `LoggedModelStore` in a SQL database.

    Args:
        database: Where; `close` leaves it open. Its schema is made or upgraded if need be.

    Raises:
        SchemaError: The database is somebody else's, or newer than this code.
        StoreError: The database cannot be used.
    """

    def __init__(self, database: Database) -> None:
        self._db = database
        ensure_schema(database)

    @persistent
    def create_model(self, new: NewLoggedModel) -> LoggedModel:
        """See `LoggedModelStore.create_model`."""
        check_new_model(new)
        with self._db.write() as connection:
            return sql_logged_models_rows.add(connection, new, self._db.dialect)

    @persistent
    def get_model(self, model_id: str, *, allow_deleted: bool = False) -> LoggedModel:
        """See `LoggedModelStore.get_model`."""
        with self._db.read() as connection:
            row = sql_logged_models_rows.find(connection, model_id, deleted=allow_deleted)
            return sql_logged_models_rows.records(connection, [row], self._db.dialect)[0]

    @persistent
    def search_models(self, query: LoggedModelQuery) -> Page[LoggedModel]:
        """See `LoggedModelStore.search_models`."""
        checked = search.read(sql_logged_models_search.plain(query), LOGGED_MODELS)
        with self._db.read() as connection:
            return sql_logged_models_search.page(connection, checked, query, self._db.dialect)

    @persistent
    def finish_model(self, model_id: str, status: ModelStatus, message: str | None = None) -> LoggedModel:
        """See `LoggedModelStore.finish_model`."""
        if message is not None:
            limits.check_text(message, "status_message", limits.REASON_LENGTH)
        with self._db.write() as connection:
            row = sql_logged_models_rows.find(connection, model_id)
            sql_logged_models_rows.change(connection, row.id, status=status.value, status_message=message)
            row = sql_logged_models_rows.find(connection, model_id)
            return sql_logged_models_rows.records(connection, [row], self._db.dialect)[0]

    @persistent
    def tag_model(self, model_id: str, tags: Mapping[str, str | None]) -> None:
        """See `LoggedModelStore.tag_model`."""
        check_tags(tags)
        with self._db.write() as connection:
            row = sql_logged_models_rows.find(connection, model_id, lock=True)
            sql_logged_models_rows.tag(connection, row, tags, self._db.dialect)

    @persistent
    def log_params(self, model_id: str, params: Mapping[str, str]) -> None:
        """See `LoggedModelStore.log_params`."""
        limits.check_params(params)
        with self._db.write() as connection:
            row = sql_logged_models_rows.find(connection, model_id, lock=True)
            sql_logged_models_rows.write_params(connection, row, params, self._db.dialect)

    @persistent
    def log_metrics(self, points: Sequence[ModelMetric]) -> None:
        """See `LoggedModelStore.log_metrics`."""
        checked = limits.check_points([point.metric for point in points])
        if points:
            with self._db.write() as connection:
                sql_logged_models_rows.write_metrics(connection, points, checked, self._db.dialect)

    @persistent
    def record_files(self, model_id: str, files: Sequence[ArtifactEntry]) -> None:
        """See `LoggedModelStore.record_files`."""
        limits.check_artifacts(files)
        with self._db.write() as connection:
            row = sql_logged_models_rows.find(connection, model_id)
            sql_logged_model_files.write(connection, row.id, files, self._db.dialect)

    @persistent
    def forget_files(self, model_id: str, paths: Sequence[str]) -> None:
        """See `LoggedModelStore.forget_files`."""
        with self._db.write() as connection:
            row = sql_logged_models_rows.find(connection, model_id)
            sql_logged_model_files.forget(connection, row.id, paths)

    @persistent
    def files_of(self, model_id: str) -> Sequence[ArtifactEntry]:
        """See `LoggedModelStore.files_of`."""
        with self._db.read() as connection:
            return sql_logged_model_files.of(connection, sql_logged_models_rows.find(connection, model_id).id)

    @persistent
    def delete_model(self, model_id: str) -> None:
        """See `LoggedModelStore.delete_model`."""
        with self._db.write() as connection:
            sql_logged_models_rows.delete_model(connection, model_id)

    @persistent
    def log_inputs(self, run_id: str, model_ids: Sequence[str]) -> None:
        """See `LoggedModelStore.log_inputs`."""
        _check_number(model_ids)
        with self._db.write() as connection:
            sql_logged_models_rows.write_inputs(connection, run_id, model_ids, self._db.dialect)

    @persistent
    def log_outputs(self, run_id: str, outputs: Sequence[ModelOutput]) -> None:
        """See `LoggedModelStore.log_outputs`."""
        _check_number(outputs)
        with self._db.write() as connection:
            sql_logged_models_rows.write_outputs(connection, run_id, outputs, self._db.dialect)

    @persistent
    def models_of(self, run_ids: Sequence[str]) -> Mapping[str, RunModels]:
        """See `LoggedModelStore.models_of`."""
        with self._db.read() as connection:
            return sql_logged_models_rows.models_of(connection, run_ids, self._db.dialect)

    @persistent
    def purge(self, model_ids: Sequence[str]) -> Sequence[str]:
        """See `LoggedModelStore.purge`."""
        with self._db.write() as connection:
            return sql_logged_models_rows.purge(connection, model_ids, self._db.dialect)

    def close(self) -> None:
        """Leave the database to who opened it."""


def _check_number(given: Sequence[object]) -> None:
    if len(given) > MOST_MODELS:
        raise InvalidValue(f"{len(given)} models were given: wanted at most {MOST_MODELS} a call")
