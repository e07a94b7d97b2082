"""The run store in memory: the contract in its plainest form, for tests and for programs that keep nothing."""

from __future__ import annotations

import contextlib
import copy
import threading
from bisect import bisect_right, insort
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import NoReturn

from toolkit.errors import AlreadyExists, Conflict, NotFound, StoreError, UserError
from toolkit.ids import now_ms
from toolkit.tracking import limits, memory_search, paging, sampling, search
from toolkit.tracking.entries import Entry, Listed, Rejection, write_one
from toolkit.tracking.filter_fields import EXPERIMENTS, RUNS
from toolkit.tracking.limits import point_metric
from toolkit.tracking.records import (
    ArtifactEntry,
    Dataset,
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
from toolkit.tracking.series import Series, SeriesQuery, made, roughly, too_long
from toolkit.tracking.step_keys import StepKey, StepKeyQuery, check_step_key, check_step_key_query
from toolkit.tracking.system_tags import RUN_NAME, first_tags, told_by
from toolkit.tracking.transition import (
    RunChange,
    begun,
    changed,
    changed_params,
    experiment_not_active,
    not_active,
)


@dataclass(kw_only=True, slots=True)
class _Entry:
    """A run as it is kept. Points are sorted, and the last one of a key is its latest."""

    info: RunInfo
    params: dict[str, str]
    tags: dict[str, str]
    points: dict[str, list[limits.Point]] = field(default_factory=dict)
    artifacts: dict[str, ArtifactEntry] = field(default_factory=dict)
    inputs: dict[Dataset, dict[str, str]] = field(default_factory=dict)
    owner: Owner | None = None
    lease_until: int | None = None
    gone_with_experiment: bool = False
    deleted: int | None = None
    step_key: StepKey | None = None

    def size(self) -> RunSize:
        points = sum(len(points) for points in self.points.values())
        inputs = len(self.record().inputs)
        return RunSize(
            params=len(self.params), tags=len(self.tags), points=points, artifacts=len(self.artifacts), inputs=inputs
        )

    def record(self) -> Run:
        latest = {key: point_metric(points[-1]) for key, points in self.points.items()}
        metrics = {key: point.value for key, point in latest.items()}
        data = RunData(metrics=metrics, params=dict(self.params), tags=dict(self.tags), latest=latest)
        inputs = tuple(DatasetInput(dataset=dataset, tags=dict(tags)) for dataset, tags in self.inputs.items())
        return Run(info=self.info, data=data, inputs=inputs)


class MemoryRunStore:
    """A `toolkit.tracking.store.RunStore` in this process's memory.

    Args:
        artifact_root: URI below which experiments keep their artifacts.
        clock: Gives the store's time in milliseconds since 1970 UTC.
    """

    def __init__(self, artifact_root: str = "memory:", clock: Callable[[], int] = now_ms) -> None:
        self._root = artifact_root.rstrip("/")
        self._clock = clock
        self._lock = threading.RLock()
        self._next_id = 0
        self._experiments: dict[str, Experiment] = {}
        self._runs: dict[str, _Entry] = {}
        self._positions: dict[str, int] = {}  # of clients' journals
        self._datasets: dict[str, dict[tuple[str, str], Dataset]] = {}
        self._add_experiment("Default", None, {})

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
        if experiment_id is not None:
            limits.check_experiment_id(experiment_id)
        if creation_time is not None:
            limits.check_time(creation_time, "creation_time")
        with self._lock:
            if experiment_id in self._experiments:
                raise AlreadyExists(f"Experiment(id={experiment_id}) already exists.")
            self._check_free(name)
            return self._add_experiment(name, artifact_location, tags or {}, experiment_id, creation_time)

    def ensure_experiment(self, name: str) -> Experiment:
        """See `RunStore.ensure_experiment`."""
        limits.check_experiment_name(name)
        with self._lock:
            return self._active_experiment(name) or self._add_experiment(name, None, {})

    def get_experiment(self, experiment_id: str) -> Experiment:
        """See `RunStore.get_experiment`."""
        with self._lock:
            if experiment_id not in self._experiments:
                raise NotFound(f"No Experiment with id={experiment_id} exists")
            return self._experiments[experiment_id]

    def find_experiment(self, name: str) -> Experiment | None:
        """See `RunStore.find_experiment`."""
        limits.check_experiment_name(name)
        with self._lock:
            named = [experiment for experiment in self._experiments.values() if experiment.name == name]
            deleted = max(named, key=lambda experiment: experiment.last_update_time, default=None)
            return self._active_experiment(name) or deleted

    def list_experiments(
        self,
        *,
        lifecycle: Lifecycle | None = Lifecycle.ACTIVE,
        limit: int = 1000,
        page_token: str | None = None,
    ) -> Page[Experiment]:
        """See `RunStore.list_experiments`."""
        limits.check_page_size(limit, limits.EXPERIMENTS_PER_PAGE)
        with self._lock:
            found = [item for item in self._experiments.values() if lifecycle in (None, item.lifecycle_stage)]
        order = {item.experiment_id: (-item.creation_time, -int(item.experiment_id)) for item in found}
        found.sort(key=lambda item: order[item.experiment_id])
        if page_token is not None:
            created, number = paging.decode(page_token, "experiments", (int, int))
            found = [item for item in found if order[item.experiment_id] > (-int(created), -int(number))]
        more = len(found) > limit
        last = found[limit - 1] if more else None
        token = paging.encode("experiments", (last.creation_time, int(last.experiment_id))) if last else None
        return Page(items=found[:limit], next_page_token=token)

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
        with self._lock:
            before = self.get_experiment(experiment_id)
            stage = lifecycle or before.lifecycle_stage
            if stage is Lifecycle.DELETED is before.lifecycle_stage and name not in (None, before.name):
                raise Conflict("Cannot rename a non-active experiment.")
            after = replace(
                before,
                name=before.name if name is None else name,
                tags=_merged(before.tags, tags or {}),
                lifecycle_stage=stage,
                last_update_time=max(self._clock(), before.last_update_time),
            )
            if stage is Lifecycle.ACTIVE:
                self._check_free(after.name, besides=experiment_id)
            if stage is not before.lifecycle_stage:
                self._take_runs_along(experiment_id, stage)
            self._experiments[experiment_id] = after
            return after

    def create_run(self, new: NewRun) -> Run:
        """See `RunStore.create_run`."""
        limits.check_new_run(new)
        with self._lock:
            experiment = self.get_experiment(new.experiment_id)
            if new.run_id in self._runs:
                return self._runs[new.run_id].record()
            if experiment.lifecycle_stage is Lifecycle.DELETED:
                raise experiment_not_active(new.experiment_id)
            info = begun(new, experiment.artifact_location)
            lease = self._clock() + new.lease_ms if new.lease_ms else None
            entry = _Entry(info=info, params=dict(new.params), tags=first_tags(new), owner=new.owner, lease_until=lease)
            self._runs[new.run_id] = entry
            return entry.record()

    def get_run(self, run_id: str) -> Run:
        """See `RunStore.get_run`."""
        with self._lock:
            return self._entry(run_id).record()

    def list_runs(self, query: RunQuery) -> Page[Run]:
        """See `RunStore.list_runs`."""
        limits.check_query(query)
        with self._lock:
            found = sorted(
                (entry for entry in self._runs.values() if _matches(entry.info, query, entry.deleted)),
                key=lambda entry: (-entry.info.start_time, entry.info.run_id),
            )
            if query.page_token is not None:
                start, last_id = paging.decode(query.page_token, "runs", (int, str))
                position = (-int(start), str(last_id))
                found = [entry for entry in found if (-entry.info.start_time, entry.info.run_id) > position]
            page, rest = found[: query.limit], found[query.limit :]
            token = paging.encode("runs", (page[-1].info.start_time, page[-1].info.run_id)) if rest else None
            return Page(items=[replace(entry.record(), inputs=()) for entry in page], next_page_token=token)

    def search_runs(self, query: SearchQuery) -> Page[Run]:
        """See `RunSearch.search_runs`."""
        checked = search.read(query, RUNS)
        with self._lock:
            return memory_search.page(checked, [entry.record() for entry in self._runs.values()])

    def count_runs(self, query: SearchQuery) -> int:
        """See `RunSearch.count_runs`."""
        checked = search.read(query, RUNS)
        with self._lock:
            return sum(memory_search.is_found(checked, entry.record()) for entry in self._runs.values())

    def search_experiments(self, query: SearchQuery) -> Page[Experiment]:
        """See `RunSearch.search_experiments`."""
        checked = search.read(query, EXPERIMENTS)
        with self._lock:
            return memory_search.page(checked, self._experiments.values())

    def purge(self, *, run_ids: Sequence[str] = (), experiment_ids: Sequence[str] = ()) -> Sequence[str]:
        """See `RunUpkeep.purge`."""
        with self._lock:
            deleted = Lifecycle.DELETED
            gone = [one for one in dict.fromkeys(run_ids) if one in self._runs]
            gone = [run_id for run_id in gone if self._runs[run_id].info.lifecycle_stage is deleted]
            for run_id in gone:
                del self._runs[run_id]
            used = {entry.info.experiment_id for entry in self._runs.values()}
            empty = [one for one in dict.fromkeys(experiment_ids) if one in self._experiments and one not in used]
            empty = [one for one in empty if one != "0" and self._experiments[one].lifecycle_stage is deleted]
            for experiment_id in empty:
                del self._experiments[experiment_id]
            return [*gone, *empty]

    def run_sizes(self, run_ids: Sequence[str]) -> Mapping[str, RunSize]:
        """See `RunUpkeep.run_sizes`."""
        with self._lock:
            return {run_id: self._runs[run_id].size() for run_id in run_ids if run_id in self._runs}

    @contextlib.contextmanager
    def picture(self) -> Iterator[MemoryRunStore]:
        """See `RunUpkeep.picture`."""
        with self._lock:
            frozen = _Picture(self._root, self._clock)
            frozen._experiments = dict(self._experiments)
            frozen._runs = copy.deepcopy(self._runs)
        yield frozen

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
        with self._lock:
            entry = self._entry(run_id)
            before, entry.info = entry.info, changed(entry.info, change, self._clock())
            if run_name is not None:
                entry.tags[RUN_NAME] = run_name
            if lifecycle is not None:
                entry.gone_with_experiment = False
            if entry.info.lifecycle_stage is not before.lifecycle_stage:
                entry.deleted = self._clock() if entry.info.lifecycle_stage is Lifecycle.DELETED else None
            if entry.info.status.terminal:
                entry.lease_until = None
            elif before.status.terminal:
                entry.lease_until = entry.owner = None
            return entry.info

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
        with self._lock:
            entry = self._active_entry(run_id)
            if clash := changed_params(run_id, entry.params, params or {}):
                raise clash
            entry.params.update(params or {})
            entry.tags = _merged(entry.tags, tags or {})
            entry.info = replace(entry.info, **told_by(tags or {}))
            for point in points:
                there = entry.points.setdefault(point[0], [])
                place = bisect_right(there, point)
                if place == 0 or there[place - 1] != point:
                    insort(there, point)

    def log_inputs(self, run_id: str, inputs: Sequence[DatasetInput]) -> None:
        """See `RunStore.log_inputs`."""
        limits.check_inputs(inputs)
        with self._lock:
            entry = self._active_entry(run_id)
            known = self._datasets.setdefault(entry.info.experiment_id, {})
            for each in inputs:
                dataset = known.setdefault((each.dataset.name, each.dataset.digest), each.dataset)
                entry.inputs.setdefault(dataset, {}).update(each.tags)
            order = list(known.values())
            entry.inputs = dict(sorted(entry.inputs.items(), key=lambda pair: order.index(pair[0])))

    def apply(self, entries: Sequence[Entry | None], *, journal: str, first: int) -> Sequence[Rejection]:
        """See `RunStore.apply`."""
        rejections = []
        with self._lock:
            done = max(self._positions.get(journal, 0) - first, 0)
            for entry in entries[done:]:
                try:
                    if isinstance(entry, Listed):
                        self._list_late(entry)
                    elif entry is not None:
                        write_one(self, entry)
                except UserError as error:
                    assert entry is not None
                    rejections.append(Rejection(entry=entry, error=error))
            self._positions[journal] = max(self._positions.get(journal, 0), first + len(entries))
        return rejections

    def _list_late(self, entry: Listed) -> None:
        """List files that were stored some time ago; a path keeps what was stored there since."""
        limits.check_artifacts(entry.artifacts)
        listed = self._active_entry(entry.run_id).artifacts
        files = {file.path: file for file in entry.artifacts}
        for path, file in files.items():
            if path not in listed or file.created >= listed[path].created:
                listed[path] = file

    def metric_history(
        self, run_id: str, key: str, *, limit: int = 25_000, page_token: str | None = None
    ) -> Page[Metric]:
        """See `RunStore.metric_history`."""
        limits.check_page_size(limit, limits.POINTS_PER_PAGE)
        with self._lock:
            entry = self._entry(run_id)
            points = list(entry.points.get(key, ()))
        if page_token is not None:
            position = tuple(paging.decode(page_token, "history", (int, int, float, int)))
            points = [point for point in points if point[1:] > position]
        token = paging.encode("history", points[limit - 1][1:]) if len(points) > limit else None
        return Page(items=[point_metric(point) for point in points[:limit]], next_page_token=token)

    def sample_history(
        self, run_id: str, key: str, *, points: int, start_step: int | None = None, end_step: int | None = None
    ) -> Sequence[Metric]:
        """See `RunStore.sample_history`."""
        sampling.check(points, start_step, end_step)
        with self._lock:
            there = [point_metric(point) for point in self._entry(run_id).points.get(key, ())]
        return sampling.chosen(
            [
                point
                for point in there
                if (start_step is None or point.step >= start_step) and (end_step is None or point.step <= end_step)
            ],
            points,
        )

    def sample_series(self, query: SeriesQuery) -> Sequence[Series]:
        """See `RunCharts.sample_series`."""
        query.check()
        with self._lock:
            there = [
                (run_id, key, [row[1:] for row in self._runs[run_id].points.get(key, ()) if query.reads(row[1])])
                for run_id in dict.fromkeys(query.run_ids)
                if run_id in self._runs
                for key in dict.fromkeys(query.keys)
            ]
        there = [each for each in there if each[2]]
        long = too_long(len(rows) for *_, rows in there) if query.smooth else [False] * len(there)
        found = []
        for (run_id, key, rows), is_long in zip(there, long, strict=True):
            if not is_long:
                found.append(made(run_id, key, rows, query))
            elif part := [row for row in rows if query.start_step is None or query.start_step <= row[0]]:
                found.append(roughly(made(run_id, key, part, replace(query, smooth=0.0)), query.smooth))
        return [each for each in found if each.total]

    def renew_leases(self, owner: Owner, run_ids: Sequence[str], *, lease_ms: int) -> Sequence[str]:
        """See `RunStore.renew_leases`."""
        with self._lock:
            alive = [run_id for run_id in run_ids if run_id in self._runs and self._running(run_id)]
            for run_id in alive:
                self._runs[run_id].owner = owner
                self._runs[run_id].lease_until = self._clock() + lease_ms if lease_ms else None
            return alive

    def lost_candidates(self, host: str) -> Sequence[tuple[str, Owner | None, bool]]:
        """See `RunStore.lost_candidates`."""
        with self._lock:
            now = self._clock()
            found = []
            for run_id, entry in sorted(self._runs.items()):
                over = entry.lease_until is not None and entry.lease_until < now
                ours = entry.owner is not None and entry.owner.host == host
                if self._running(run_id) and (over or ours):
                    found.append((run_id, entry.owner, over))
            return found

    def mark_lost(self, run_id: str, reason: str, *, owner: Owner | None, expired: bool) -> bool:
        """See `RunStore.mark_lost`."""
        limits.check_text(reason, "reason", limits.REASON_LENGTH)
        with self._lock:
            entry = self._entry(run_id)
            over = entry.lease_until is not None and entry.lease_until < self._clock()
            if not self._running(run_id) or entry.owner != owner or (expired and not over):
                return False
            entry.info = replace(entry.info, status=RunStatus.FAILED, reason=reason, end_time=self._clock())
            entry.lease_until = None
            return True

    def record_artifacts(self, run_id: str, entries: Sequence[ArtifactEntry]) -> None:
        """See `RunStore.record_artifacts`."""
        limits.check_artifacts(entries)
        with self._lock:
            self._active_entry(run_id).artifacts.update({entry.path: entry for entry in entries})

    def forget_artifacts(self, run_id: str, paths: Sequence[str]) -> Sequence[str]:
        """See `RunStore.forget_artifacts`."""
        for path in paths:
            limits.check_artifact_path(path)
        with self._lock:
            listed = self._active_entry(run_id).artifacts
            return sorted(path for path in set(paths) if listed.pop(path, None) is not None)

    def list_artifacts(
        self, run_id: str, *, prefix: str = "", limit: int = 10_000, page_token: str | None = None
    ) -> Page[ArtifactEntry]:
        """See `RunStore.list_artifacts`."""
        limits.check_page_size(limit, limits.ARTIFACTS_PER_PAGE)
        if prefix:
            limits.check_artifact_path(prefix)
        with self._lock:
            found = dict(self._entry(run_id).artifacts)
        paths = sorted(path for path in found if not prefix or path == prefix or path.startswith(f"{prefix}/"))
        if page_token is not None:
            last = str(paging.decode(page_token, "artifacts", (str,))[0])
            paths = [path for path in paths if path > last]
        token = paging.encode("artifacts", (paths[limit - 1],)) if len(paths) > limit else None
        return Page(items=[found[path] for path in paths[:limit]], next_page_token=token)

    def keep_step_key(self, key: StepKey) -> None:
        """See `StepKeys.keep_step_key`."""
        check_step_key(key)
        with self._lock:
            self._entry(key.run_id).step_key = key

    def find_step_keys(self, query: StepKeyQuery) -> Sequence[StepKey]:
        """See `StepKeys.find_step_keys`."""
        check_step_key_query(query)
        with self._lock:
            found = [
                (each.step_key.created, order, each.step_key)
                for order, each in enumerate(self._runs.values())
                if each.step_key is not None and _is_asked_for(each.step_key, each.info, query)
            ]
        return [key for *_, key in sorted(found, key=lambda item: item[:2], reverse=True)[: query.limit]]

    def forget_step_keys(self, run_ids: Sequence[str]) -> Sequence[str]:
        """See `StepKeys.forget_step_keys`."""
        dropped = []
        with self._lock:
            for run_id in sorted(set(run_ids) & self._runs.keys()):
                key = self._runs[run_id].step_key
                if key is not None and key.reusable:
                    self._runs[run_id].step_key = replace(key, reusable=False)
                    dropped.append(run_id)
        return dropped

    def close(self) -> None:
        """See `RunStore.close`."""

    def _add_experiment(
        self,
        name: str,
        location: str | None,
        tags: Mapping[str, str],
        given_id: str | None = None,
        created: int | None = None,
    ) -> Experiment:
        number = self._next_id if given_id is None else int(given_id)
        self._next_id = max(self._next_id, number + 1)
        experiment_id = str(number)
        now = self._clock() if created is None else created
        experiment = Experiment(
            experiment_id=experiment_id,
            name=name,
            artifact_location=location or f"{self._root}/{experiment_id}",
            creation_time=now,
            last_update_time=now,
            tags=dict(tags),
        )
        self._experiments[experiment_id] = experiment
        return experiment

    def _active_experiment(self, name: str) -> Experiment | None:
        for experiment in self._experiments.values():
            if experiment.name == name and experiment.lifecycle_stage is Lifecycle.ACTIVE:
                return experiment
        return None

    def _check_free(self, name: str, besides: str | None = None) -> None:
        holder = self._active_experiment(name)
        if holder is not None and holder.experiment_id != besides:
            raise AlreadyExists(f"Experiment(name={name}) already exists.")

    def _take_runs_along(self, experiment_id: str, stage: Lifecycle) -> None:
        """Delete the active runs of an experiment, or restore those that were deleted with it."""
        deleting = stage is Lifecycle.DELETED
        for entry in self._runs.values():
            here = entry.info.experiment_id == experiment_id and entry.info.lifecycle_stage is not stage
            if here and (deleting or entry.gone_with_experiment):
                entry.info = replace(entry.info, lifecycle_stage=stage)
                entry.gone_with_experiment = deleting
                entry.deleted = self._clock() if deleting else None

    def _entry(self, run_id: str) -> _Entry:
        if run_id not in self._runs:
            raise NotFound(f"Run with id={run_id} not found")
        return self._runs[run_id]

    def _active_entry(self, run_id: str) -> _Entry:
        entry = self._entry(run_id)
        if entry.info.lifecycle_stage is Lifecycle.DELETED:
            raise not_active(run_id)
        return entry

    def _running(self, run_id: str) -> bool:
        return self._runs[run_id].info.status is RunStatus.RUNNING


class _Picture(MemoryRunStore):
    """A store as it was, which refuses what would change it."""

    def _refuse(self, *_: object, **__: object) -> NoReturn:
        raise StoreError("this is a picture of the store, which cannot be written to")

    create_experiment = ensure_experiment = update_experiment = _refuse
    create_run = update_run = log_batch = mark_lost = renew_leases = purge = _refuse
    record_artifacts = forget_artifacts = keep_step_key = forget_step_keys = _refuse


def _is_asked_for(key: StepKey, info: RunInfo, query: StepKeyQuery) -> bool:
    finished = info.status is RunStatus.FINISHED and info.lifecycle_stage is Lifecycle.ACTIVE
    return (
        query.key in (None, key.key)
        and query.family in (None, key.family)
        and (not query.run_ids or key.run_id in query.run_ids)
        and (not query.reusable or (key.reusable and finished))
        and (query.before is None or key.created < query.before)
    )


def _matches(info: RunInfo, query: RunQuery, deleted: int | None) -> bool:
    return (
        (not query.experiment_ids or info.experiment_id in query.experiment_ids)
        and query.parent_run_id in (None, info.parent_run_id)
        and not (query.top_level and info.parent_run_id is not None)
        and (not query.status or info.status in query.status)
        and info.run_id.startswith(query.run_id_prefix or "")
        and query.run_name in (None, info.run_name)
        and query.lifecycle in (None, info.lifecycle_stage)
        and (query.deleted_before is None or (deleted is not None and deleted < query.deleted_before))
    )


def _merged(before: Mapping[str, str], tags: Mapping[str, str | None]) -> dict[str, str]:
    """Return tags after a change, in which ``None`` removes one."""
    merged = {**before, **tags}
    return {key: value for key, value in merged.items() if value is not None}
