"""All that a store holds, in a form that can be compared."""

from __future__ import annotations

from dataclasses import asdict, replace
from typing import Any

from toolkit.recording.stores import Stores
from toolkit.tracking.records import RunQuery


def exact(value: float) -> str:
    """Return a number so that NaN and -0.0 can be compared."""
    return "NaN" if value != value else value.hex()


def everything(stores: Stores) -> dict[str, Any]:
    """Return all experiments by id, with all their runs, values, points, and artifacts with their content."""
    found: dict[str, Any] = {}
    for experiment in stores.runs.list_experiments(lifecycle=None).items:
        query = RunQuery(experiment_ids=[experiment.experiment_id], lifecycle=None, limit=50_000)
        runs = [run.info.run_id for run in stores.runs.list_runs(query).items]
        found[experiment.experiment_id] = {
            **asdict(experiment),
            "runs": {run_id: run_content(stores, run_id) for run_id in runs},
        }
    return found


def run_content(stores: Stores, run_id: str) -> dict[str, Any]:
    """Return all that a run has."""
    run = stores.runs.get_run(run_id)
    history = {key: stores.runs.metric_history(run_id, key, limit=1_000_000).items for key in run.data.latest}
    files = {}
    for entry in stores.runs.list_artifacts(run_id).items:
        inside = run.info.artifact_uri.startswith(stores.artifact_root)
        key = f"{run.info.experiment_id}/{run_id}/artifacts/{entry.path}"
        content = None
        if inside:
            with stores.artifacts.open(key) as stream:
                content = stream.read()
        files[entry.path] = (entry.size, entry.sha256, entry.created, content)
    return {
        "info": asdict(replace(run.info, artifact_uri="")),
        "params": dict(run.data.params),
        "tags": dict(run.data.tags),
        "latest": {key: exact(value) for key, value in run.data.metrics.items()},
        "points": {key: [(p.step, p.timestamp, exact(p.value)) for p in points] for key, points in history.items()},
        "inputs": sorted(
            (asdict(used.dataset) | {"tags": dict(used.tags)} for used in run.inputs), key=lambda one: one["digest"]
        ),
        "files": files,
    }
