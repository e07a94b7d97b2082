"""The run store over SQL: checks what it is given, opens one transaction a call, and hands over to the nouns."""

from __future__ import annotations

import contextlib
import copy
from collections.abc import Iterator, Mapping, Sequence

from toolkit.db.engine import Database, Picture, open_database
from toolkit.db.retry import cautious, persistent
from toolkit.db.schema import ensure_schema
from toolkit.errors import AlreadyExists, StoreError, UserError
from toolkit.tracking import (
    limits,
    sampling,
    search,
    sql_apply,
    sql_artifacts,
    sql_experiments,
    sql_history,
    sql_inputs,
    sql_leases,
    sql_runs,
    sql_search,
    sql_search_experiments,
    sql_series,
    sql_step_keys,
    sql_upkeep,
)
from toolkit.tracking.entries import Entry, Rejection
from toolkit.tracking.filter_fields import EXPERIMENTS, RUNS
from toolkit.tracking.records import (
    ArtifactEntry,
    DatasetInput,
    Experiment,
    Lifecycle,
    Metric,
    NewRun,
    Owner,
    Page,
    Run,
    RunData,
    RunInfo,
    RunQuery,
    RunSize,
    RunStatus,
    SearchQuery,
)
from toolkit.tracking.series import Series, SeriesQuery
from toolkit.tracking.sql_values import ValueWriter
from toolkit.tracking.step_keys import StepKey, StepKeyQuery, check_step_key, check_step_key_query
from toolkit.tracking.system_tags import RUN_NAME, first_tags, told_by
from toolkit.tracking.transition import RunChange, not_active


class SqlRunStore:
    """A `toolkit.tracking.store.RunStore` in a SQL database. Its schema is made or upgraded if need be.

    Args:
        database: A database, or the URL of one. Of what it is given, `close` closes only what it opened itself.
        artifact_root: URI below which new experiments keep their artifacts.

    Raises:
        InvalidSetting: The URL cannot be used.
        SchemaError: The database is somebody else's, or newer than this code.
        StoreError: The database cannot be used.
    """

    def __init__(self, database: Database | str, artifact_root: str) -> None:
        self._owned = isinstance(database, str)
        self._db = open_database(database) if isinstance(database, str) else database
        self._root = artifact_root.rstrip("/")
        try:
            ensure_schema(self._db)
            self._ensure_default()
        except BaseException:
            self.close()
            raise
        self._dialect = self._db.dialect
        self._values = ValueWriter(self._db)

    @persistent
    def _ensure_default(self) -> None:
        with self._db.read() as connection:
            there = sql_experiments.has_default(connection)
        if not there:
            with self._db.write() as connection:
                sql_experiments.add_default(connection, self._root, self._db.dialect)

    @cautious
    def create_experiment(
        self,
        name: str,
        *,
        artifact_location: str | None = None,
        tags: Mapping[str, str] | None = None,
        experiment_id: str | None = None,
        creation_time: int | None = None,
    ) -> Experiment:
        """See `RunStore.create_experiment`."""
        limits.check_new_experiment(name, artifact_location, tags or {})
        number = None if experiment_id is None else limits.check_experiment_id(experiment_id)
        if creation_time is not None:
            limits.check_time(creation_time, "creation_time")
        with self._db.write() as connection:
            if number is not None:
                sql_experiments.take_id(connection, number, self._dialect)
            created = sql_experiments.Made(number, creation_time)
            return sql_experiments.create(connection, name, artifact_location or None, self._root, tags or {}, created)

    @persistent
    def ensure_experiment(self, name: str) -> Experiment:
        """See `RunStore.ensure_experiment`."""
        limits.check_experiment_name(name)
        with self._db.read() as connection:
            found = sql_experiments.find(connection, name, self._dialect)
        if found and found.lifecycle_stage is Lifecycle.ACTIVE:
            return found
        try:
            with self._db.write() as connection:
                found = sql_experiments.find(connection, name, self._dialect)
                if found and found.lifecycle_stage is Lifecycle.ACTIVE:
                    return found
                return sql_experiments.create(connection, name, None, self._root, {})
        except AlreadyExists:  # another client was quicker
            return self.ensure_experiment(name)

    @persistent
    def get_experiment(self, experiment_id: str) -> Experiment:
        """See `RunStore.get_experiment`."""
        with self._db.read() as connection:
            return sql_experiments.get(connection, experiment_id, self._dialect)

    @persistent
    def find_experiment(self, name: str) -> Experiment | None:
        """See `RunStore.find_experiment`."""
        limits.check_experiment_name(name)
        with self._db.read() as connection:
            return sql_experiments.find(connection, name, self._dialect)

    @persistent
    def list_experiments(
        self,
        *,
        lifecycle: Lifecycle | None = Lifecycle.ACTIVE,
        limit: int = 1000,
        page_token: str | None = None,
    ) -> Page[Experiment]:
        """See `RunStore.list_experiments`."""
        limits.check_page_size(limit, limits.EXPERIMENTS_PER_PAGE)
        with self._db.read() as connection:
            return sql_experiments.page(connection, lifecycle, limit, page_token, self._dialect)

    @persistent
    def update_experiment(
        self,
        experiment_id: str,
        *,
        name: str | None = None,
        tags: Mapping[str, str | None] | None = None,
        lifecycle: Lifecycle | None = None,
    ) -> Experiment:
        """See `RunStore.update_experiment`."""
        if name is not None:
            limits.check_experiment_name(name)
        limits.check_tags(tags or {}, value_length=limits.EXPERIMENT_TAG_VALUE_LENGTH)
        with self._db.write() as connection:
            return sql_experiments.change(connection, experiment_id, name, tags or {}, lifecycle, self._dialect)

    @persistent
    def create_run(self, new: NewRun) -> Run:
        """See `RunStore.create_run`."""
        limits.check_new_run(new)
        tags = first_tags(new)
        with self._db.write() as connection:
            added = sql_runs.add(connection, new, self._dialect)
            if added is None:
                return sql_runs.get(connection, new.run_id, self._dialect)
            key, info = added
            self._values.params(connection, key, new.run_id, new.params)
            self._values.tags(connection, key, tags)
        return Run(info=info, data=RunData(params=dict(new.params), tags=tags))

    @persistent
    def get_run(self, run_id: str) -> Run:
        """See `RunStore.get_run`."""
        with self._db.read() as connection:
            return sql_runs.get(connection, run_id, self._dialect)

    @persistent
    def list_runs(self, query: RunQuery) -> Page[Run]:
        """See `RunStore.list_runs`."""
        limits.check_query(query)
        with self._db.read() as connection:
            return sql_runs.page(connection, query, self._dialect)

    @persistent
    def search_runs(self, query: SearchQuery) -> Page[Run]:
        """See `RunSearch.search_runs`."""
        checked = search.read(query, RUNS)
        with self._db.read() as connection:
            return sql_search.page(connection, checked, self._dialect)

    @persistent
    def count_runs(self, query: SearchQuery) -> int:
        """See `RunSearch.count_runs`."""
        checked = search.read(query, RUNS)
        with self._db.read() as connection:
            return sql_search.count(connection, checked, self._dialect)

    @persistent
    def search_experiments(self, query: SearchQuery) -> Page[Experiment]:
        """See `RunSearch.search_experiments`."""
        checked = search.read(query, EXPERIMENTS)
        with self._db.read() as connection:
            return sql_search_experiments.page(connection, checked, self._dialect)

    @cautious
    def purge(self, *, run_ids: Sequence[str] = (), experiment_ids: Sequence[str] = ()) -> Sequence[str]:
        """See `RunUpkeep.purge`."""
        with self._db.write() as connection:
            gone = sql_upkeep.purge_runs(connection, run_ids, self._dialect)
            return [*gone, *sql_upkeep.purge_experiments(connection, experiment_ids, self._dialect)]

    @persistent
    def run_sizes(self, run_ids: Sequence[str]) -> Mapping[str, RunSize]:
        """See `RunUpkeep.run_sizes`."""
        with self._db.read() as connection:
            return sql_upkeep.run_sizes(connection, run_ids, self._dialect)

    @contextlib.contextmanager
    def picture(self) -> Iterator[SqlRunStore]:
        """See `RunUpkeep.picture`."""
        with self._db.read() as connection:
            frozen = copy.copy(self)
            frozen._owned, frozen._db = False, Picture(self._db, connection)
            yield frozen

    @persistent
    def update_run(
        self,
        run_id: str,
        *,
        status: RunStatus | None = None,
        end_time: int | None = None,
        reason: str | None = None,
        run_name: str | None = None,
        lifecycle: Lifecycle | None = None,
    ) -> RunInfo:
        """See `RunStore.update_run`."""
        change = RunChange(status=status, end_time=end_time, reason=reason, run_name=run_name, lifecycle=lifecycle)
        change.check()
        with self._db.write() as connection:
            after = sql_runs.change(connection, run_id, change)
            if run_name is not None:
                key = sql_runs.find(connection, run_id).key
                self._values.tags(connection, key, {RUN_NAME: run_name})
        return after

    @persistent
    def log_batch(
        self,
        run_id: str,
        *,
        metrics: Sequence[Metric] = (),
        params: Mapping[str, str] | None = None,
        tags: Mapping[str, str | None] | None = None,
    ) -> None:
        """See `RunStore.log_batch`."""
        points = limits.check_points(metrics)
        limits.check_params(params or {})
        limits.check_tags(tags or {})
        with self._db.write() as connection:
            run = sql_runs.find(connection, run_id, lock=True)
            if run.deleted:
                raise not_active(run_id)
            self._values.params(connection, run.key, run_id, params or {})
            self._values.tags(connection, run.key, tags or {})
            keys = self._values.metrics(connection, run.key, points)
            sql_runs.write_fields(connection, run.key, told_by(tags or {}))
        self._values.remember(keys)

    @persistent
    def log_inputs(self, run_id: str, inputs: Sequence[DatasetInput]) -> None:
        """See `RunStore.log_inputs`."""
        limits.check_inputs(inputs)
        with self._db.write() as connection:
            run = sql_runs.find(connection, run_id)
            if run.deleted:
                raise not_active(run_id)
            sql_inputs.write(connection, run.key, inputs, self._dialect)

    def apply(self, entries: Sequence[Entry | None], *, journal: str, first: int) -> Sequence[Rejection]:
        """See `RunStore.apply`."""
        if not entries:
            return []
        try:
            self._apply(entries, journal, first)
        except UserError as error:
            if len(entries) > 1:
                half = len(entries) // 2
                before = self.apply(entries[:half], journal=journal, first=first)
                try:
                    return [*before, *self.apply(entries[half:], journal=journal, first=first + half)]
                except StoreError as failure:  # the first half is written, and will not be tried again
                    failure.rejections = (*before, *failure.rejections)
                    failure.applied += half
                    raise
            if isinstance(error, StoreError) or entries[0] is None:
                raise
            self._apply([None], journal, first)
            return [Rejection(entry=entries[0], error=error)]
        return []

    @persistent
    def _apply(self, entries: Sequence[Entry | None], journal: str, first: int) -> None:
        with self._db.write() as connection:
            done = sql_apply.position(connection, journal, self._dialect) - first
            left = entries[max(done, 0) :]
            if not left:
                return
            keys = sql_apply.write(connection, left, self._values, self._dialect)
            sql_apply.advance(connection, journal, first + len(entries), self._dialect)
        self._values.remember(keys)

    @persistent
    def metric_history(
        self, run_id: str, key: str, *, limit: int = 25_000, page_token: str | None = None
    ) -> Page[Metric]:
        """See `RunStore.metric_history`."""
        limits.check_page_size(limit, limits.POINTS_PER_PAGE)
        with self._db.read() as connection:
            return sql_history.page(connection, run_id, key, limit, page_token)

    @persistent
    def sample_history(
        self, run_id: str, key: str, *, points: int, start_step: int | None = None, end_step: int | None = None
    ) -> Sequence[Metric]:
        """See `RunStore.sample_history`."""
        sampling.check(points, start_step, end_step)
        with self._db.read() as connection:
            return sql_history.sample(connection, run_id, key, points, (start_step, end_step), self._dialect)

    @persistent
    def sample_series(self, query: SeriesQuery) -> Sequence[Series]:
        """See `RunCharts.sample_series`."""
        query.check()
        with self._db.read() as connection:
            return sql_series.sample(connection, query, self._dialect)

    @persistent
    def renew_leases(self, owner: Owner, run_ids: Sequence[str], *, lease_ms: int) -> Sequence[str]:
        """See `RunStore.renew_leases`."""
        with self._db.write() as connection:
            return sql_leases.renew(connection, owner, run_ids, lease_ms, self._dialect)

    @persistent
    def lost_candidates(self, host: str) -> Sequence[tuple[str, Owner | None, bool]]:
        """See `RunStore.lost_candidates`."""
        with self._db.read() as connection:
            return sql_leases.candidates(connection, host, self._dialect)

    @cautious
    def mark_lost(self, run_id: str, reason: str, *, owner: Owner | None, expired: bool) -> bool:
        """See `RunStore.mark_lost`."""
        limits.check_text(reason, "reason", limits.REASON_LENGTH)
        with self._db.write() as connection:
            key = sql_runs.find(connection, run_id).key
            return sql_leases.mark_lost(connection, key, reason, sql_leases.Seen(owner, expired), self._dialect)

    @persistent
    def record_artifacts(self, run_id: str, entries: Sequence[ArtifactEntry]) -> None:
        """See `RunStore.record_artifacts`."""
        limits.check_artifacts(entries)
        with self._db.write() as connection:
            run = sql_runs.find(connection, run_id)
            if run.deleted:
                raise not_active(run_id)
            sql_artifacts.write(connection, run.key, entries, self._dialect)

    @persistent
    def forget_artifacts(self, run_id: str, paths: Sequence[str]) -> Sequence[str]:
        """See `RunStore.forget_artifacts`."""
        for path in paths:
            limits.check_artifact_path(path)
        with self._db.write() as connection:
            run = sql_runs.find(connection, run_id)
            if run.deleted:
                raise not_active(run_id)
            return sql_artifacts.forget(connection, run.key, paths)

    @persistent
    def list_artifacts(
        self, run_id: str, *, prefix: str = "", limit: int = 10_000, page_token: str | None = None
    ) -> Page[ArtifactEntry]:
        """See `RunStore.list_artifacts`."""
        limits.check_page_size(limit, limits.ARTIFACTS_PER_PAGE)
        if prefix:
            limits.check_artifact_path(prefix)
        with self._db.read() as connection:
            return sql_artifacts.page(connection, run_id, prefix, limit, page_token)

    @persistent
    def keep_step_key(self, key: StepKey) -> None:
        """See `StepKeys.keep_step_key`."""
        check_step_key(key)
        with self._db.write() as connection:
            sql_step_keys.keep(connection, key, self._dialect)

    @persistent
    def find_step_keys(self, query: StepKeyQuery) -> Sequence[StepKey]:
        """See `StepKeys.find_step_keys`."""
        check_step_key_query(query)
        with self._db.read() as connection:
            return sql_step_keys.look_up(connection, query, self._dialect)

    @cautious
    def forget_step_keys(self, run_ids: Sequence[str]) -> Sequence[str]:
        """See `StepKeys.forget_step_keys`."""
        with self._db.write() as connection:
            return sql_step_keys.forget(connection, run_ids, self._dialect)

    def close(self) -> None:
        """See `RunStore.close`."""
        if self._owned:
            self._db.close()
