"""The run store of a toolkit server.

What a caller gives is checked here as every store checks it, so that mistakes cost no request; the server checks again.
A call is repeated when the server does not answer, for as long as the wait, if doing it twice is harmless: runs have
ids that the client makes, values that are there already are ignored, entries of journals have positions.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict

from toolkit.errors import NotFound, StoreError
from toolkit.ids import is_run_id
from toolkit.tracking import http_codec as codec
from toolkit.tracking import http_series, limits, sampling
from toolkit.tracking.entries import Entry, Rejection
from toolkit.tracking.http_calls import Calls, part, run_path, understood
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
from toolkit.tracking.step_keys import StepKey, StepKeyQuery, check_step_key, check_step_key_query
from toolkit.tracking.transition import RunChange
from toolkit.transport.client import HttpClient

_APPLY_BYTES = 16 << 20


class HttpRunStore:
    """A `toolkit.tracking.store.RunStore` that is a server's. It is safe with threads and forks.

    Args:
        client: What speaks to the server.
    """

    def __init__(self, client: HttpClient | Calls) -> None:
        self._calls = client if isinstance(client, Calls) else Calls(client)

    # -- experiments ---------------------------------------------------------------------------------

    @understood
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
        body = {
            "name": name,
            "artifact_location": artifact_location,
            "tags": tags or {},
            "experiment_id": experiment_id,
            "creation_time": creation_time,
        }
        return codec.experiment_in(self._calls.write("/experiments", body, repeat=False))

    @understood
    def ensure_experiment(self, name: str) -> Experiment:
        """See `RunStore.ensure_experiment`."""
        limits.check_experiment_name(name)
        return codec.experiment_in(self._calls.write("/experiments/ensure", {"name": name}))

    @understood
    def get_experiment(self, experiment_id: str) -> Experiment:
        """See `RunStore.get_experiment`."""
        return codec.experiment_in(self._calls.get(f"/experiments/{_experiment(experiment_id)}"))

    @understood
    def find_experiment(self, name: str) -> Experiment | None:
        """See `RunStore.find_experiment`."""
        limits.check_experiment_name(name)
        found = self._calls.look("/experiments/find", {"name": name})["experiment"]
        return None if found is None else codec.experiment_in(found)

    @understood
    def list_experiments(
        self,
        *,
        lifecycle: Lifecycle | None = Lifecycle.ACTIVE,
        limit: int = 1000,
        page_token: str | None = None,
    ) -> Page[Experiment]:
        """See `RunStore.list_experiments`."""
        limits.check_page_size(limit, limits.EXPERIMENTS_PER_PAGE)
        told = self._calls.get(
            "/experiments", lifecycle=lifecycle.value if lifecycle else "any", limit=limit, page_token=page_token
        )
        return codec.page_in(told, "experiments", codec.experiment_in)

    @understood
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
        body = {"name": name, "tags": tags or {}, "lifecycle": lifecycle}
        path = f"/experiments/{_experiment(experiment_id)}"
        return codec.experiment_in(self._calls.write(path, body, method="PATCH"))

    @understood
    def search_experiments(self, query: SearchQuery) -> Page[Experiment]:
        """See `RunSearch.search_experiments`."""
        return codec.page_in(self._calls.look("/experiments/search", asdict(query)), "experiments", codec.experiment_in)

    # -- runs ----------------------------------------------------------------------------------------

    @understood
    def create_run(self, new: NewRun) -> Run:
        """See `RunStore.create_run`."""
        limits.check_new_run(new)
        return codec.run_in(self._calls.write("/runs", codec.new_run_out(new)))

    @understood
    def get_run(self, run_id: str) -> Run:
        """See `RunStore.get_run`."""
        return codec.run_in(self._calls.get(run_path(run_id)))

    @understood
    def list_runs(self, query: RunQuery) -> Page[Run]:
        """See `RunStore.list_runs`."""
        limits.check_query(query)
        return codec.page_in(self._calls.look("/runs/list", asdict(query)), "runs", codec.run_in)

    @understood
    def search_runs(self, query: SearchQuery) -> Page[Run]:
        """See `RunSearch.search_runs`."""
        return codec.page_in(self._calls.look("/runs/search", asdict(query)), "runs", codec.run_in)

    @understood
    def count_runs(self, query: SearchQuery) -> int:
        """See `RunSearch.count_runs`."""
        return int(self._calls.look("/runs/count", asdict(query))["count"])

    @understood
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
        return codec.run_in(self._calls.write(run_path(run_id), asdict(change), method="PATCH")).info

    # -- what runs log -------------------------------------------------------------------------------

    def log_batch(
        self,
        run_id: str,
        *,
        metrics: Sequence[Metric] = (),
        params: Mapping[str, str] | None = None,
        tags: Mapping[str, str | None] | None = None,
    ) -> None:
        """See `RunStore.log_batch`."""
        points = [limits.point_metric(point) for point in limits.check_points(metrics)]
        limits.check_params(params or {})
        limits.check_tags(tags or {})
        columns = {**codec.columns_out(points), "keys": [point.key for point in points]}
        columns["values"] = [codec.number_out(point.value) for point in points]
        self._calls.write(f"{run_path(run_id)}/batch", {"columns": columns, "params": params or {}, "tags": tags or {}})

    @understood
    def apply(self, entries: Sequence[Entry | None], *, journal: str, first: int) -> Sequence[Rejection]:
        """See `RunStore.apply`. It does not wait for a server that is away: the journal does."""
        rejections: list[Rejection] = []
        at = 0
        place = f"/journal/{part(journal)}/entries"
        try:
            while at < len(entries):
                body, end = _some(entries, at)
                told = self._calls.send(f"{place}?first={first + at}", body, codec.JOURNAL_TYPE)
                rejections += [_rejection(entries[at:end], refused) for refused in told["rejections"]]
                at = max(at, min(told["position"] - first, end))
                if at < end:
                    raise StoreError(f"the server took entries up to {told['position']} where {first + end} were sent")
        except StoreError as failure:  # what was taken is not sent again
            failure.rejections, failure.applied = tuple(rejections), at
            raise
        return rejections

    def log_inputs(self, run_id: str, inputs: Sequence[DatasetInput]) -> None:
        """See `RunStore.log_inputs`."""
        limits.check_inputs(inputs)
        self._calls.write(f"{run_path(run_id)}/inputs", {"inputs": codec.inputs_out(inputs)})

    @understood
    def metric_history(
        self, run_id: str, key: str, *, limit: int = 25_000, page_token: str | None = None
    ) -> Page[Metric]:
        """See `RunStore.metric_history`."""
        limits.check_page_size(limit, limits.POINTS_PER_PAGE)
        told = self._calls.get(f"{run_path(run_id)}/history", key=key, limit=limit, page_token=page_token)
        return Page(items=codec.columns_in(key, told), next_page_token=told["next_page_token"])

    @understood
    def sample_history(
        self, run_id: str, key: str, *, points: int, start_step: int | None = None, end_step: int | None = None
    ) -> Sequence[Metric]:
        """See `RunStore.sample_history`."""
        sampling.check(points, start_step, end_step)
        told = self._calls.get(
            f"{run_path(run_id)}/sample", key=key, points=points, start_step=start_step, end_step=end_step
        )
        return codec.columns_in(key, told)

    @understood
    def sample_series(self, query: SeriesQuery) -> Sequence[Series]:
        """See `RunCharts.sample_series`."""
        query.check()
        return http_series.sample(self._calls, query)

    # -- files ---------------------------------------------------------------------------------------

    def record_artifacts(self, run_id: str, entries: Sequence[ArtifactEntry]) -> None:
        """See `RunStore.record_artifacts`."""
        limits.check_artifacts(entries)
        self._calls.write(f"{run_path(run_id)}/artifacts", {"artifacts": [asdict(entry) for entry in entries]})

    @understood
    def forget_artifacts(self, run_id: str, paths: Sequence[str]) -> Sequence[str]:
        """See `RunStore.forget_artifacts`."""
        for path in paths:
            limits.check_artifact_path(path)
        return list(self._calls.write(f"{run_path(run_id)}/artifacts/forget", {"paths": list(paths)})["paths"])

    @understood
    def list_artifacts(
        self, run_id: str, *, prefix: str = "", limit: int = 10_000, page_token: str | None = None
    ) -> Page[ArtifactEntry]:
        """See `RunStore.list_artifacts`."""
        limits.check_page_size(limit, limits.ARTIFACTS_PER_PAGE)
        if prefix:
            limits.check_artifact_path(prefix)
        told = self._calls.get(f"{run_path(run_id)}/artifacts", prefix=prefix, limit=limit, page_token=page_token)
        return codec.page_in(told, "artifacts", codec.artifact_in)

    # -- leases --------------------------------------------------------------------------------------

    @understood
    def renew_leases(self, owner: Owner, run_ids: Sequence[str], *, lease_ms: int) -> Sequence[str]:
        """See `RunStore.renew_leases`."""
        body = {"owner": asdict(owner), "run_ids": list(run_ids), "lease_ms": lease_ms}
        return list(self._calls.write("/leases/renew", body)["run_ids"])

    @understood
    def lost_candidates(self, host: str) -> Sequence[tuple[str, Owner | None, bool]]:
        """See `RunStore.lost_candidates`."""
        told = self._calls.look("/leases/candidates", {"host": host})["candidates"]
        return [
            (each["run_id"], Owner(**each["owner"]) if each["owner"] is not None else None, each["expired"])
            for each in told
        ]

    @understood
    def mark_lost(self, run_id: str, reason: str, *, owner: Owner | None, expired: bool) -> bool:
        """See `RunStore.mark_lost`."""
        limits.check_text(reason, "reason", limits.REASON_LENGTH)
        body = {"reason": reason, "owner": asdict(owner) if owner else None, "expired": expired}
        return bool(self._calls.write(f"{run_path(run_id)}/lost", body, repeat=False)["lost"])

    # -- keys of steps -------------------------------------------------------------------------------

    def keep_step_key(self, key: StepKey) -> None:
        """See `StepKeys.keep_step_key`."""
        check_step_key(key)
        self._calls.write("/step-keys", asdict(key))

    @understood
    def find_step_keys(self, query: StepKeyQuery) -> Sequence[StepKey]:
        """See `StepKeys.find_step_keys`."""
        check_step_key_query(query)
        told = self._calls.look("/step-keys/find", asdict(query))["step_keys"]
        return [StepKey(**each) for each in told]

    @understood
    def forget_step_keys(self, run_ids: Sequence[str]) -> Sequence[str]:
        """See `StepKeys.forget_step_keys`."""
        body = {"run_ids": [each for each in run_ids if is_run_id(each)]}
        return list(self._calls.write("/step-keys/forget", body, repeat=False)["run_ids"])

    # -- upkeep --------------------------------------------------------------------------------------

    @understood
    def purge(self, *, run_ids: Sequence[str] = (), experiment_ids: Sequence[str] = ()) -> Sequence[str]:
        """See `RunUpkeep.purge`."""
        body = {
            "run_ids": [each for each in run_ids if is_run_id(each)],
            "experiment_ids": [each for each in experiment_ids if limits.is_experiment_id(each)],
        }
        return list(self._calls.write("/purge", body, repeat=False)["removed"])

    @understood
    def run_sizes(self, run_ids: Sequence[str]) -> Mapping[str, RunSize]:
        """See `RunUpkeep.run_sizes`."""
        told = self._calls.look("/runs/sizes", {"run_ids": [each for each in run_ids if is_run_id(each)]})
        return {run_id: RunSize(**size) for run_id, size in told["sizes"].items()}

    @contextlib.contextmanager
    def picture(self) -> Iterator[HttpRunStore]:
        """See `RunUpkeep.picture`. The server ends a picture that nothing was read of for a minute."""
        client = self._calls.client.alone()  # one process of the server holds it: the one at this connection
        try:
            name = str(Calls(client).write("/pictures", {}, repeat=False)["picture"])
            try:
                yield HttpRunStore(self._calls.of_picture(name, client))
            finally:
                with contextlib.suppress(StoreError, NotFound):
                    Calls(client).write(f"/pictures/{part(name)}", {}, method="DELETE")
        finally:
            client.close()

    def close(self) -> None:
        """See `RunStore.close`."""
        self._calls.client.close()


def _experiment(experiment_id: str) -> str:
    if not limits.is_experiment_id(experiment_id):
        raise NotFound(f"No Experiment with id={experiment_id} exists")
    return part(experiment_id)


def _some(entries: Sequence[Entry | None], at: int) -> tuple[bytes, int]:
    """Return as many entries as a request takes, as bytes, and where the next ones begin."""
    parts: list[bytes] = []
    size = 0
    for entry in entries[at:]:
        (encoded,) = codec.entries_out([entry])
        if parts and size + len(encoded) > _APPLY_BYTES:
            break
        parts.append(encoded)
        size += len(encoded)
    return b"".join(parts), at + len(parts)


def _rejection(entries: Sequence[Entry | None], refused: codec.Json) -> Rejection:
    entry = entries[refused["index"]]
    error = codec.error_of(refused["code"], refused["message"])
    if entry is None or error is None:
        raise KeyError("rejections")
    return Rejection(entry=entry, error=error)
