"""What is in the store of this process, as a test looks at it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

import toolkit
from toolkit.recording import current
from toolkit.recording.run import RecordedRun
from toolkit.registry.catalog import catalog_of
from toolkit.tracking.records import RunQuery


@dataclass(frozen=True, kw_only=True)
class Logged:
    """A run.

    Attributes:
        run_id: Its id.
        status: Its state.
        params: Its parameters.
        metrics: The last value of each metric.
        tags: Its tags.
        files: Paths of its artifacts.
        inputs: Of each dataset its name and context.
        models: The names of its models.
        folder: Where its artifacts are.
    """

    run_id: str
    status: str
    params: Mapping[str, str]
    metrics: Mapping[str, float]
    tags: Mapping[str, str]
    files: list[str]
    inputs: list[tuple[str, str]]
    models: list[str]
    folder: Path

    @property
    def parent(self) -> str | None:
        """The run that it is a part of."""
        return self.tags.get("mlflow.parentRunId")

    def curve(self, metric: str) -> list[tuple[int, float]]:
        """Return steps and values of a metric."""
        points = current.stores().runs.metric_history(self.run_id, metric)
        return [(each.step, each.value) for each in points.items]


def logged() -> list[Logged]:
    """Return all runs, the oldest first."""
    toolkit.flush()
    runs = current.stores().runs
    found = sorted(runs.list_runs(RunQuery()).items, key=lambda run: (run.info.start_time, run.info.run_id))
    return [_logged(each.info.run_id) for each in found]


def _models(run_id: str) -> list[str]:
    store = catalog_of(current.stores()).logged
    found = store.models_of([run_id]).get(run_id)
    return sorted(store.get_model(each.model_id).name for each in found.outputs) if found else []


def _logged(run_id: str) -> Logged:
    runs = current.stores().runs
    run = runs.get_run(run_id)
    return Logged(
        run_id=run_id,
        status=run.info.status.value,
        params=run.data.params,
        metrics=run.data.metrics,
        tags=run.data.tags,
        files=[each.path for each in runs.list_artifacts(run_id).items],
        inputs=sorted((each.dataset.name, each.tags.get("mlflow.data.context", "")) for each in run.inputs),
        models=_models(run_id),
        folder=Path(run.info.artifact_uri.removeprefix("file://")),
    )


@contextmanager
def writes(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[object]]:
    """Collect what is written to stores or to the journal."""
    found: list[object] = []
    write: Callable[[RecordedRun, Any], None] = RecordedRun._write

    def noted(run: RecordedRun, entry: object) -> None:
        found.append(entry)
        write(run, entry)

    with monkeypatch.context() as patch:
        patch.setattr(RecordedRun, "_write", noted)
        yield found
