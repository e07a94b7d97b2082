"""Collecting garbage: deleted runs and experiments with their files, files that nobody lists, and leftovers.

Bytes go first, rows after them. Whoever dies in between leaves rows of deleted runs whose files are gone, and the next
collection finds those again; the other order would leave files that nothing leads to. A failure is noted, and the
collection goes on with the next thing; what has a failure keeps its rows.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Protocol, runtime_checkable

from toolkit.artifacts.location import below_root
from toolkit.artifacts.store import StoredFile
from toolkit.errors import Conflict, NotFound, ToolkitError
from toolkit.ids import now_ms
from toolkit.recording.run import belongs_to_another
from toolkit.recording.stores import Stores
from toolkit.tracking.logged_models import LoggedModel, LoggedModelQuery, LoggedModelStore
from toolkit.tracking.records import Experiment, Lifecycle, Run, RunInfo, RunQuery
from toolkit.upkeep.garbage import Collection, Found, Needed, nothing_registered
from toolkit.upkeep.orphans import Orphans

_BATCH = 100
_POINTS = 200_000


@runtime_checkable
class Staging(Protocol):
    """An artifact store that keeps uploads apart until they are whole, and can clear what was broken off."""

    def clear_staging(self, *, older_than: float, remove: bool = True) -> int:
        """Remove, or count, what nobody has written to for ``older_than`` seconds."""
        ...


class Collector:
    """Collects garbage of a pair of stores.

    Args:
        stores: Where to look.
        wanted: What to collect.
        needed: Says what needs a run's files, or a logged model's; such are kept.
        models: The logged models of the stores; ``None``: they are left alone.
        report: Called with one line about what is going on.
    """

    def __init__(
        self,
        stores: Stores,
        wanted: Collection,
        *,
        needed: Needed = nothing_registered,
        models: LoggedModelStore | None = None,
        report: Callable[[str], None] = lambda _: None,
    ) -> None:
        self._stores = stores
        self._models = models
        self._runs = stores.runs
        self._artifacts = stores.artifacts
        self._wanted = wanted
        self._needed = needed
        self._report = report
        self._now = now_ms()
        self._found = Found()
        self._collected: set[str] = set()

    def collect(self) -> Found:
        """Collect; return what was found, and what could not be removed."""
        if self._wanted.chosen:
            self._collect_chosen()
            return self._found
        self._report("deleted runs")
        self._collect_runs(RunQuery(lifecycle=Lifecycle.DELETED, deleted_before=self._oldest))
        self._report("deleted models")
        self._collect_models(
            LoggedModelQuery(lifecycle=Lifecycle.DELETED, filter=f"last_updated_timestamp < {self._oldest}")
        )
        self._report("deleted experiments")
        for experiment in self._deleted_experiments():
            if experiment.last_update_time < self._oldest:
                self._collect_experiment(experiment)
        self._sweep()
        return self._found

    @property
    def _oldest(self) -> int:
        return max(0, self._now + 1 - self._wanted.older_than_ms)

    # -- what was deleted --------------------------------------------------------------------------

    def _collect_chosen(self) -> None:
        chosen = []
        for run_id in dict.fromkeys(self._wanted.run_ids):
            with self._noting(f"run {run_id}"):
                chosen.append(self._deleted_run(run_id))
        self._collect_each(chosen)
        for experiment_id in dict.fromkeys(self._wanted.experiment_ids):
            with self._noting(f"experiment {experiment_id}"):
                experiment = self._runs.get_experiment(experiment_id)
                if experiment.lifecycle_stage is Lifecycle.ACTIVE:
                    raise Conflict("is not deleted: delete it first (toolkit experiments delete)")
                if experiment.last_update_time >= self._oldest:
                    raise Conflict("was deleted later than --older-than allows")
                self._collect_runs(RunQuery(experiment_ids=[experiment_id], lifecycle=Lifecycle.DELETED))
                self._collect_experiment(experiment)

    def _deleted_run(self, run_id: str) -> Run:
        run = self._runs.get_run(run_id)
        if run.info.lifecycle_stage is Lifecycle.ACTIVE:
            raise Conflict("is not deleted: delete it first (toolkit runs delete)")
        query = RunQuery(run_id_prefix=run_id, lifecycle=Lifecycle.DELETED, deleted_before=self._oldest, limit=_BATCH)
        if run_id not in {found.info.run_id for found in self._runs.list_runs(query).items}:
            raise Conflict("was deleted later than --older-than allows")
        return run

    def _collect_runs(self, query: RunQuery) -> None:
        query = replace(query, limit=_BATCH)
        while True:
            page = self._runs.list_runs(query)
            self._collect_each(list(page.items))
            if page.next_page_token is None:
                return
            query = replace(query, page_token=page.next_page_token)

    def _collect_each(self, runs: list[Run]) -> None:
        """Remove the files of deleted runs, and then the rows of those whose files are all gone."""
        bare = [run.info.run_id for run in runs if self._strip(run.info)]
        for batch in self._batches(bare) if self._wanted.remove else ():
            with self._noting(f"{len(batch)} runs"):
                self._runs.purge(run_ids=batch)
        for run_id in bare:
            self._found.runs.add()
            if not self._wanted.remove:
                self._collected.add(run_id)

    def _batches(self, run_ids: list[str]) -> Iterator[list[str]]:
        """Give runs in lots that a store removes in a second or so: who writes has to wait for that."""
        sizes = self._runs.run_sizes(run_ids)
        batch: list[str] = []
        points = 0
        for run_id in run_ids:
            more = sizes[run_id].points if run_id in sizes else 0
            if batch and points + more > _POINTS:
                yield batch
                batch, points = [], 0
            batch.append(run_id)
            points += more
        if batch:
            yield batch

    def _strip(self, info: RunInfo) -> bool:
        """Remove the files of a deleted run; tell whether all are gone."""
        why = self._needed(info.run_id)
        if why is not None:
            self._found.kept.append(f"run {info.run_id}: needed by {why}")
            return False
        failures = len(self._found.failures)
        with self._noting(f"run {info.run_id}"):
            if self._wanted.remove and self._runs.get_run(info.run_id).info.lifecycle_stage is Lifecycle.ACTIVE:
                return False  # restored meanwhile
            if self._wanted.remove:
                self._runs.forget_step_keys([info.run_id])  # nobody takes over what is half gone
            self._strip_folder(info.artifact_uri, info.run_id)
        return len(self._found.failures) == failures

    def _strip_folder(self, artifact_uri: str, owner: str) -> None:
        """Remove the files of a run or a model, if they are in a folder of its own below the root."""
        folder = below_root(artifact_uri, self._stores.artifact_root)
        if folder is not None and belongs_to_another(f"/{folder}", owner):
            return  # a run that took its results over: they go with the run that made them
        if folder is None or f"/{folder}".rpartition(f"/{owner}/artifacts")[2]:
            self._found.outside.add()
            return
        for file in list(self._artifacts.list(folder)):
            if self._remove_file(file):
                self._found.artifacts.add(file.size)

    def _collect_models(self, query: LoggedModelQuery) -> None:
        """Remove logged models with their files, but for those that something needs."""
        if self._models is None:
            return
        query = replace(query, limit=_BATCH)
        while True:
            page = self._models.search_models(query)
            for model in page.items:
                self._collect_model(self._models, model)
            if page.next_page_token is None:
                return
            query = replace(query, page_token=page.next_page_token)

    def _collect_model(self, models: LoggedModelStore, model: LoggedModel) -> None:
        name = f"model {model.model_id} ({model.name})"
        why = self._needed(model.model_id)
        if why is not None:
            self._found.kept.append(f"{name}: needed by {why}")
            return
        failures = len(self._found.failures)
        with self._noting(name):
            self._strip_folder(model.artifact_uri, model.model_id)
            if len(self._found.failures) > failures:
                return
            if self._wanted.remove and not models.purge([model.model_id]):
                return  # registered or removed meanwhile
            self._found.models.add()
            self._collected.add(model.model_id)

    def _deleted_experiments(self) -> Iterator[Experiment]:
        token = None
        while True:
            page = self._runs.list_experiments(lifecycle=Lifecycle.DELETED, page_token=token)
            yield from page.items
            token = page.next_page_token
            if token is None:
                return

    def _collect_experiment(self, experiment: Experiment) -> None:
        name = f"experiment {experiment.experiment_id} ({experiment.name})"
        if experiment.experiment_id == "0":
            self._found.kept.append(f"{name}: it is always there")
            return
        with self._noting(name):
            if not self._has_runs_left(experiment):
                self._collect_models(LoggedModelQuery(experiment_ids=[experiment.experiment_id], lifecycle=None))
            if self._wanted.remove:
                if not self._runs.purge(experiment_ids=[experiment.experiment_id]):
                    self._found.kept.append(f"{name}: some of its runs or models are kept")
                    return
            elif self._stays(experiment):
                self._found.kept.append(f"{name}: some of its runs or models would be kept")
                return
            self._found.experiments.add()

    def _has_runs_left(self, experiment: Experiment) -> bool:
        """Tell whether runs of a deleted experiment are still there after their collection: something needs them."""
        query = RunQuery(experiment_ids=[experiment.experiment_id], lifecycle=None, limit=1)
        return self._wanted.remove and bool(self._runs.list_runs(query).items)

    def _stays(self, experiment: Experiment) -> bool:
        """Tell whether a run or a model of an experiment would be kept, without removing anything."""
        query = RunQuery(experiment_ids=[experiment.experiment_id], lifecycle=None, limit=1_000)
        while True:
            page = self._runs.list_runs(query)
            if any(self._needed(run.info.run_id) for run in page.items):
                return True
            if page.next_page_token is None:
                break
            query = replace(query, page_token=page.next_page_token)
        return self._models is not None and self._a_model_stays(self._models, experiment)

    def _a_model_stays(self, models: LoggedModelStore, experiment: Experiment) -> bool:
        query = LoggedModelQuery(experiment_ids=[experiment.experiment_id], lifecycle=None, limit=1_000)
        while True:
            page = models.search_models(query)
            if any(self._needed(model.model_id) for model in page.items):
                return True
            if page.next_page_token is None:
                return False
            query = replace(query, page_token=page.next_page_token)

    # -- what nobody lists -------------------------------------------------------------------------

    def _sweep(self) -> None:
        self._report("files that no run lists")
        oldest = self._now - self._wanted.lease_ms
        orphans = Orphans(self._runs, oldest=oldest, needed=self._needed_still, models=self._models)
        with self._noting(f"the files below {self._stores.artifact_root}"):
            for kind, file in orphans.among(self._artifacts.list()):
                tally = {"orphan": self._found.orphans, "unknown": self._found.unknown}.get(kind, self._found.foreign)
                removable = kind == "orphan" or (kind == "unknown" and self._wanted.unknown_runs)
                if not removable or self._remove_file(file):
                    tally.add(file.size)
        self._report("leftovers")
        if isinstance(self._artifacts, Staging):
            with self._noting("uploads that were broken off"):
                cleared = self._artifacts.clear_staging(
                    older_than=self._wanted.lease_ms / 1000, remove=self._wanted.remove
                )
                self._found.staging.count += cleared
        self._sweep_work(self._stores.home / "work")
        self._sweep_copies(self._stores.home / "copies")

    def _sweep_work(self, work: Path) -> None:
        """Remove the working folders of steps that have ended long ago."""
        for folder in sorted(work.iterdir()) if work.is_dir() else ():
            with self._noting(str(folder)):
                try:
                    ended = self._runs.get_run(folder.name).info.status.terminal
                except NotFound:
                    ended = self._wanted.unknown_runs
                if ended:
                    self._sweep_folder(folder)

    def _sweep_copies(self, copies: Path) -> None:
        """Remove what runs left long ago beside code that was fetched for them."""
        for folder in sorted(copies.glob("left-*")):
            with self._noting(str(folder)):
                self._sweep_folder(folder)

    def _sweep_folder(self, folder: Path) -> None:
        if folder.lstat().st_mtime * 1000 < self._now - self._wanted.lease_ms:
            size = sum(file.lstat().st_size for file in folder.rglob("*") if not file.is_symlink())
            if self._wanted.remove:
                shutil.rmtree(folder)
            self._found.leftovers.add(size)

    def _needed_still(self, run_id: str) -> str | None:
        """Say what needs a run's files, or that they were counted with the run, in a collection that only shows."""
        return "the collection" if run_id in self._collected else self._needed(run_id)

    # -- one thing ---------------------------------------------------------------------------------

    def _remove_file(self, file: StoredFile) -> bool:
        """Remove a file, if that is wanted; tell whether it is gone, or would be."""
        if not self._wanted.remove:
            return True
        failures = len(self._found.failures)
        with self._noting(f"artifact {file.key}"):
            self._artifacts.delete(file.key)
        return len(self._found.failures) == failures

    def _noting(self, what: str) -> _Noting:
        return _Noting(what, self._found.failures)


class _Noting:
    """Notes what fails within a block, and lets the collection go on."""

    def __init__(self, what: str, failures: list[str]) -> None:
        self._what = what
        self._failures = failures

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> bool:
        if not isinstance(error, (ToolkitError, OSError)):
            return False
        self._failures.append(f"{self._what}: {error}")
        return True
