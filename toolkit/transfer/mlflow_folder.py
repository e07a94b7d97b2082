"""An ``mlruns`` folder of MLflow as a source: YAML for what things are, a file for each value."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import yaml

from toolkit.errors import InvalidValue, NotFound, ToolkitError
from toolkit.tracking.records import (
    Dataset,
    DatasetInput,
    Experiment,
    Lifecycle,
    Metric,
    Run,
    RunData,
    RunInfo,
    RunSize,
    RunStatus,
)
from toolkit.tracking.system_tags import PARENT, RUN_NAME
from toolkit.transfer.locations import Locations, files_below
from toolkit.transfer.source import SourceFile, SourceRun

TRASH = ".trash"
META = "meta.yaml"

_STATUSES = {
    1: RunStatus.RUNNING,
    2: RunStatus.SCHEDULED,
    3: RunStatus.FINISHED,
    4: RunStatus.FAILED,
    5: RunStatus.KILLED,
}
_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class MlflowFolder:
    """Reads an ``mlruns`` folder.

    Args:
        folder: The folder.
        locations: Where artifacts lie that are not in it.

    Raises:
        NotFound: It holds no experiment.
    """

    own_files = False

    def __init__(self, folder: Path, locations: Locations) -> None:
        self._folder = folder
        self._locations = locations
        self._places = {place.name: place for place in _experiments_in(folder)}
        if not self._places:
            raise NotFound(f"{folder} is no mlruns folder of MLflow: no folder in it has a {META}")
        self._unreadable: list[str] = []
        self.title = f"MLflow folder {folder}"

    def experiments(self) -> Sequence[Experiment]:
        """See `Source.experiments`."""
        found = []
        for place in self._places.values():
            meta = _meta(place)
            found.append(
                Experiment(
                    experiment_id=str(meta["experiment_id"]),
                    name=str(meta["name"]),
                    artifact_location=str(meta.get("artifact_location") or ""),
                    lifecycle_stage=Lifecycle(meta.get("lifecycle_stage") or "active"),
                    creation_time=int(meta.get("creation_time") or 0),
                    last_update_time=int(meta.get("last_update_time") or 0),
                    tags=_values(place / "tags"),
                )
            )
        return sorted(found, key=lambda one: (one.creation_time, one.experiment_id))

    def count_runs(self, experiment_ids: Sequence[str]) -> int:
        """See `Source.count_runs`."""
        return sum(len(list(_runs_in(self._places[one]))) for one in experiment_ids)

    def runs(self, experiment_ids: Sequence[str]) -> Iterator[SourceRun]:
        """See `Source.runs`."""
        for experiment_id in experiment_ids:
            for place in _runs_in(self._places[experiment_id]):
                try:
                    run = self._run(experiment_id, place)
                except (InvalidValue, KeyError, ValueError, TypeError) as error:
                    self._unreadable.append(f"{place} cannot be read and was left out: {error}")
                    continue
                yield SourceRun(
                    run=run,
                    points=partial(_points, place),
                    files=partial(self._files, run, place),
                    size=partial(self._size, run, place),
                )

    def left_out(self) -> Mapping[str, int]:
        """See `Source.left_out`."""
        found = {
            "registered models": len(list((self._folder / "models").glob(f"*/{META}"))),
            "logged models": sum(len(list((place / "models").glob(f"*/{META}"))) for place in self._places.values()),
            "traces": sum(len(list((place / "traces").glob("*/trace_info.yaml"))) for place in self._places.values()),
        }
        return {title: count for title, count in found.items() if count}

    def notes(self) -> Sequence[str]:
        """See `Source.notes`."""
        return self._unreadable

    def close(self) -> None:
        """See `Source.close`."""

    def _run(self, experiment_id: str, place: Path) -> Run:
        meta = _meta(place)
        tags = _values(place / "tags")
        info = RunInfo(
            run_id=str(meta.get("run_id") or meta["run_uuid"]),
            experiment_id=experiment_id,
            run_name=str(meta.get("run_name") or tags.get(RUN_NAME, "")),
            user_id=str(meta.get("user_id") or ""),
            status=_STATUSES[int(meta["status"])],
            start_time=int(meta["start_time"] or 0),
            end_time=None if meta.get("end_time") is None else int(meta["end_time"]),
            artifact_uri=str(meta.get("artifact_uri") or ""),
            lifecycle_stage=Lifecycle(meta.get("lifecycle_stage") or "active"),
            parent_run_id=tags.get(PARENT) or None,
        )
        data = RunData(params=_values(place / "params"), tags=tags)
        return Run(info=info, data=data, inputs=tuple(self._inputs(place)))

    def _inputs(self, place: Path) -> Iterator[DatasetInput]:
        for file in sorted((place / "inputs").glob(f"*/{META}")):
            used = _meta(file.parent)
            source = place.parent / "datasets" / str(used.get("source_id"))
            if used.get("source_type") != "DATASET" or not (source / META).is_file():
                continue
            meta = _meta(source)
            data = Dataset(
                name=meta["name"],
                digest=str(meta["digest"]),
                source_type=meta["source_type"],
                source=meta["source"],
                schema=meta.get("schema"),
                profile=meta.get("profile"),
            )
            yield DatasetInput(dataset=data, tags=used.get("tags") or {})

    def _files(self, run: Run, place: Path) -> Iterator[SourceFile]:
        """Give a run's files: where its URI says, or beside its values if the whole folder was moved or deleted."""
        uri = run.info.artifact_uri
        beside = uri.endswith(f"/{run.info.experiment_id}/{run.info.run_id}/artifacts")
        try:
            yield from self._locations.files(uri, run.info.run_id)
        except NotFound:
            if beside and (place / "artifacts").is_dir():
                yield from files_below(place / "artifacts")

    def _size(self, run: Run, place: Path) -> RunSize:
        points = sum(len({_parsed(line) for line in lines}) for _, lines in _metric_lines(place))
        try:
            artifacts = sum(1 for _ in self._files(run, place))
        except (ToolkitError, OSError):
            artifacts = 0
        data = run.data
        return RunSize(
            params=len(data.params), tags=len(data.tags), points=points, artifacts=artifacts, inputs=len(run.inputs)
        )


def _experiments_in(folder: Path) -> Iterator[Path]:
    for parent in (folder, folder / TRASH):
        for file in sorted(parent.glob(f"*/{META}")):
            if file.parent.name.isascii() and file.parent.name.isdigit():
                yield file.parent


def _runs_in(place: Path) -> Iterator[Path]:
    for file in sorted(place.glob(f"*/{META}")):
        if (file.parent / "tags").is_dir() or (file.parent / "metrics").is_dir():
            yield file.parent


def _meta(place: Path) -> dict[str, Any]:
    try:
        meta = yaml.load((place / META).read_text(encoding="utf-8"), Loader=_LOADER)  # noqa: S506 - a safe loader
    except (yaml.YAMLError, UnicodeDecodeError, OSError) as error:
        raise InvalidValue(f"{place / META} cannot be read: {str(error).splitlines()[0]}") from error
    if not isinstance(meta, dict):
        raise InvalidValue(f"{place / META} is empty, or no mapping")
    return meta


def _values(folder: Path) -> dict[str, str]:
    """Return the values in a folder by key; keys with slashes are paths."""
    found = {}
    for file in sorted(folder.rglob("*")):
        if file.is_file():
            with file.open(encoding="utf-8", errors="replace", newline="") as text:
                found[file.relative_to(folder).as_posix()] = text.read()
    return found


def _metric_lines(place: Path) -> Iterator[tuple[str, Iterator[str]]]:
    folder = place / "metrics"
    for file in sorted(folder.rglob("*")):
        if file.is_file():
            with file.open(encoding="utf-8", errors="replace") as lines:
                yield file.relative_to(folder).as_posix(), (line for line in lines if line.strip())


def _points(place: Path) -> Iterator[Metric]:
    for key, lines in _metric_lines(place):
        for line in lines:
            step, timestamp, value = _parsed(line)
            yield Metric(key=key, value=float.fromhex(value), timestamp=timestamp, step=step)


def _parsed(line: str) -> tuple[int, int, str]:
    """Return step, timestamp and value (in hexadecimal, by which NaN and -0.0 can be told) of a line.

    Raises:
        InvalidValue: The line cannot be read.
    """
    parts = line.split()
    try:
        return int(parts[2]) if len(parts) > 2 else 0, int(parts[0]), float(parts[1]).hex()
    except (ValueError, IndexError):
        raise InvalidValue(f"{line[:80]!r} is no point of a metric: wanted 'timestamp value step'") from None
