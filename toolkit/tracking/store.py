"""The contract of a run store. Every kind (SQL, memory, HTTP) passes the suite in ``toolkit.testing.run_store``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Protocol

from toolkit.tracking.entries import Entry, Rejection
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
    RunInfo,
    RunQuery,
    RunSize,
    RunStatus,
    SearchQuery,
)
from toolkit.tracking.series import Series, SeriesQuery
from toolkit.tracking.step_keys import StepKeys


class RunSearch(Protocol):
    """Search, by MLflow's filters and orders and more (`toolkit.tracking.filter`)."""

    def search_runs(self, query: SearchQuery) -> Page[Run]:
        """Return runs that a query finds, in its order.

        Metrics are compared and ordered by their latest value. In both directions NaN comes after the numbers and
        runs without the key come last. Parameters and tags are ordered by their first 200 characters.

        Raises:
            InvalidValue: The filter, the order, the fields, the page token or the page size cannot be used; the
                message shows where.
        """
        ...

    def count_runs(self, query: SearchQuery) -> int:
        """Return how many runs a query finds on all pages. Its order, page and fields do not matter."""
        ...

    def search_experiments(self, query: SearchQuery) -> Page[Experiment]:
        """Return experiments that a query finds; the default order: newest first, then by id.

        Raises:
            InvalidValue: As for `search_runs`.
        """
        ...


class RunCharts(Protocol):
    """Histories of metrics as charts draw them."""

    def sample_series(self, query: SeriesQuery) -> Sequence[Series]:
        """Return the histories of metrics of runs, in the order of the query: by run, then by key.

        A history of more points than are wanted is cut into stretches of steps (of times, where all points are of one
        step), and of each stretch the first, the last, the least and the greatest are returned, and the first NaN, +Inf
        and -Inf: `toolkit.tracking.series.chosen` says which, exactly. What is not there, or has no point within
        the steps, is left out. Into a smoothed line goes every point before; of a history with more points than
        `toolkit.tracking.series.too_long` allows only those that are returned, and it is said to be rough.

        Raises:
            InvalidValue: The query is out of bounds.
        """
        ...


class RunUpkeep(Protocol):
    """What is done with a store as a whole: removing for good, counting, copying."""

    def purge(self, *, run_ids: Sequence[str] = (), experiment_ids: Sequence[str] = ()) -> Sequence[str]:
        """Remove runs and experiments for good, with all that they logged. Bytes of artifacts are not its business.

        Only what is deleted is removed, and of experiments only those that no run is left of when the given runs are
        gone; never ``0``. Others, and ids that nothing has, are passed over: doing it again is harmless.

        Returns:
            The ids of what was removed.
        """
        ...

    def run_sizes(self, run_ids: Sequence[str]) -> Mapping[str, RunSize]:
        """Return how much each of these runs has logged; an unknown id is left out."""
        ...

    def picture(self) -> AbstractContextManager[RunStore]:
        """Give the store as it is at this moment, for reading: what others write meanwhile is not seen in it.

        It may be used by one thread, within the block. Writing by it raises `StoreError`.
        """
        ...


class RunStore(RunSearch, RunCharts, RunUpkeep, StepKeys, Protocol):
    """Experiments and runs, and what runs log.

    Every method is atomic: what it writes is there whole or not at all, also after ``kill -9``. Every method may be
    called from any thread. Unknown ids raise `NotFound`; values of a wrong form raise `InvalidValue`; a change that
    contradicts what is recorded raises `Conflict`; a store that cannot be reached raises `StoreError`, and
    `StoreBusy` after waiting for a lock. The form of names, keys and values, and the texts of errors, are MLflow's.
    """

    def create_experiment(
        self,
        name: str,
        *,
        artifact_location: str | None = None,
        tags: Mapping[str, str] | None = None,
        experiment_id: str | None = None,
        creation_time: int | None = None,
    ) -> Experiment:
        """Make an experiment. Without a location it is ``<artifact root>/<experiment id>``.

        An import gives the id and the time that the experiment has; ids given out later are greater.

        Raises:
            AlreadyExists: There is an active one of this name, or any of this id.
            InvalidValue: The name is empty or longer than 500 characters, or a tag or the id is out of bounds.
        """
        ...

    def ensure_experiment(self, name: str) -> Experiment:
        """Return the active experiment of this name; make it if there is none. Safe against concurrent callers."""
        ...

    def get_experiment(self, experiment_id: str) -> Experiment:
        """Return an experiment, deleted or not. Id ``0`` is always there, with the name ``Default``."""
        ...

    def find_experiment(self, name: str) -> Experiment | None:
        """Return the active experiment of this name, else the deleted one, else ``None``."""
        ...

    def list_experiments(
        self,
        *,
        lifecycle: Lifecycle | None = Lifecycle.ACTIVE,
        limit: int = 1000,
        page_token: str | None = None,
    ) -> Page[Experiment]:
        """Return experiments, newest first."""
        ...

    def update_experiment(
        self,
        experiment_id: str,
        *,
        name: str | None = None,
        tags: Mapping[str, str | None] | None = None,
        lifecycle: Lifecycle | None = None,
    ) -> Experiment:
        """Rename, tag (``None`` removes a tag), delete or restore. Deleting takes the experiment's runs along.

        Raises:
            AlreadyExists: The name is another active experiment's.
        """
        ...

    def create_run(self, new: NewRun) -> Run:
        """Make a run with its first tags and parameters. The same run id again returns the run that is there.

        The tags ``mlflow.runName``, ``mlflow.user`` and (with a parent) ``mlflow.parentRunId`` are written too.
        """
        ...

    def get_run(self, run_id: str) -> Run:
        """Return a run, deleted or not, with its inputs."""
        ...

    def list_runs(self, query: RunQuery) -> Page[Run]:
        """Return runs with all that they logged, newest start first, ties by run id."""
        ...

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
        """Change a run's state, name or lifecycle; return what it is then.

        A terminal status without ``end_time`` ends the run now and drops its lease. The same terminal status twice is
        quiet and keeps the first end time; RUNNING or SCHEDULED on an ended run resumes it (clears the end and the
        reason). Renaming writes the tag ``mlflow.runName`` too.

        Raises:
            Conflict: The run is deleted and something else than its lifecycle is changed.
        """
        ...

    def log_batch(
        self,
        run_id: str,
        *,
        metrics: Sequence[Metric] = (),
        params: Mapping[str, str] | None = None,
        tags: Mapping[str, str | None] | None = None,
    ) -> None:
        """Log metrics, parameters and tags (``None`` removes a tag) in one transaction, whatever the run's state.

        An exact duplicate of a metric point is ignored. A parameter with the value that it has is ignored. The tag
        ``mlflow.runName`` renames the run.

        Raises:
            Conflict: A parameter has another value already, or the run is deleted.
            InvalidValue: A key, a value or a number is out of bounds.
        """
        ...

    def apply(self, entries: Sequence[Entry | None], *, journal: str, first: int) -> Sequence[Rejection]:
        """Write the entries of a client's journal, each once: what was written before is passed over.

        Args:
            entries: In their order; ``None`` stands for one that is to be passed over.
            journal: The journal's name.
            first: Number in it of the first of these entries.

        Returns:
            The entries that can never be written, with the error that `create_run`, `log_batch`, `record_artifacts`,
            `log_inputs` or `update_run` would have raised. All others are written; but a file that was listed
            meanwhile with a later ``created`` stays listed: its bytes are the ones that are there.

        Raises:
            StoreError: The store cannot be written now. Part of the entries may have been, from the first on: those of
                them that were refused are the error's ``rejections``, for they are passed over from then on.
        """
        ...

    def log_inputs(self, run_id: str, inputs: Sequence[DatasetInput]) -> None:
        """Note the datasets that a run uses. In an experiment a dataset is known by its name and digest, and kept once.

        An input that the run has already is not added again; its tags are, and the last value of a tag counts.

        Raises:
            Conflict: The run is deleted.
            InvalidValue: A name, a digest, a tag or another text is empty or too long, or there are more than 1,000.
        """
        ...

    def metric_history(
        self, run_id: str, key: str, *, limit: int = 25_000, page_token: str | None = None
    ) -> Page[Metric]:
        """Return all points of a metric, ordered by step, timestamp, value. An unknown key gives an empty page."""
        ...

    def sample_history(
        self, run_id: str, key: str, *, points: int, start_step: int | None = None, end_step: int | None = None
    ) -> Sequence[Metric]:
        """Return points of a metric that stand for its history, for a chart; ordered by step, timestamp, value.

        At most ``points`` (1 to 10,000) from the steps ``start_step`` to ``end_step``, both included, spread evenly;
        the first and the last are among them, and one alone is the last. A history of up to 10,000 points is spread
        by its points; a longer one may be spread by its steps instead. An unknown key gives none.
        """
        ...

    def renew_leases(self, owner: Owner, run_ids: Sequence[str], *, lease_ms: int) -> Sequence[str]:
        """Say that these runs are alive, by the store's own clock. Return those of them that still run."""
        ...

    def lost_candidates(self, host: str) -> Sequence[tuple[str, Owner | None, bool]]:
        """Return what may be lost: each run in state RUNNING that has an owner, as (run id, owner, lease is over).

        Of runs whose lease still holds only those that a process of ``host`` owns are returned.
        """
        ...

    def mark_lost(self, run_id: str, reason: str, *, owner: Owner | None, expired: bool) -> bool:
        """Make a run FAILED with ``reason`` if it is RUNNING and still as `lost_candidates` told; tell whether it was.

        Args:
            run_id: The run.
            reason: Why it counts as lost.
            owner: Who answered for it. If somebody else does by now, it is not lost.
            expired: Whether it is lost because its lease is over. If the lease was renewed by now, it is not lost.
        """
        ...

    def record_artifacts(self, run_id: str, entries: Sequence[ArtifactEntry]) -> None:
        """List files of a run. A path that is listed already takes the new size and digest."""
        ...

    def forget_artifacts(self, run_id: str, paths: Sequence[str]) -> Sequence[str]:
        """Take files off a run's list. Return those that were on it.

        Raises:
            Conflict: The run is deleted.
        """
        ...

    def list_artifacts(
        self, run_id: str, *, prefix: str = "", limit: int = 10_000, page_token: str | None = None
    ) -> Page[ArtifactEntry]:
        """Return the files at or below ``prefix`` (a path, not a text prefix), ordered by path."""
        ...

    def close(self) -> None:
        """Release connections and files."""
        ...
