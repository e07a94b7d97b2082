"""An export as a source: its files of lines are read side by side, each once, in constant memory."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO

from toolkit.tracking.records import Experiment, Metric, Run, RunSize
from toolkit.transfer import archive
from toolkit.transfer.source import SourceFile, SourceRun


class ExportSource:
    """Reads an export. The digests of its lists are checked at once, those of artifacts when they are copied.

    Args:
        folder: The export.

    Raises:
        ArtifactCorrupt: A list was changed.
        NotFound: The folder is no export.
    """

    own_files = True

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._manifest = archive.read_manifest(folder)
        archive.check_lists(folder, self._manifest)
        made = time.strftime("%Y-%m-%d", time.gmtime(self._manifest["created"] / 1000))
        self.title = f"export of {made}, {folder}"

    def experiments(self) -> Sequence[Experiment]:
        """See `Source.experiments`."""
        return [archive.experiment_of(line) for line in archive.read_lines(self._folder / archive.EXPERIMENTS)]

    def count_runs(self, experiment_ids: Sequence[str]) -> int:
        """See `Source.count_runs`."""
        wanted = set(experiment_ids)
        return sum(line["experiment_id"] in wanted for line in archive.read_lines(self._folder / archive.RUNS))

    def runs(self, experiment_ids: Sequence[str]) -> Iterator[SourceRun]:
        """See `Source.runs`."""
        wanted = set(experiment_ids)
        metrics = _Beside(self._folder / archive.METRICS)
        artifacts = _Beside(self._folder / archive.ARTIFACTS)
        counted_metrics, counted_artifacts = _Beside(metrics.path), _Beside(artifacts.path)
        for number, line in enumerate(archive.read_lines(self._folder / archive.RUNS)):
            run = archive.run_of(line)
            if run.info.experiment_id in wanted:
                size = _size(run, number, counted_metrics, counted_artifacts)
                yield SourceRun(
                    run=run,
                    points=partial(_points, metrics, number),
                    files=partial(self._files, artifacts, number),
                    size=partial(_same, size),
                )

    def left_out(self) -> Mapping[str, int]:
        """See `Source.left_out`."""
        return {}

    def notes(self) -> Sequence[str]:
        """See `Source.notes`."""
        return [] if self._manifest["with_artifacts"] else ["the export was made without artifacts"]

    def close(self) -> None:
        """See `Source.close`."""

    def _files(self, artifacts: _Beside, number: int) -> Iterator[SourceFile]:
        for line in artifacts.of(number):
            blob = self._folder / archive.blob_path(line["sha256"])
            yield SourceFile(
                path=line["path"],
                size=line["size"],
                created=line["created"],
                sha256=line["sha256"],
                open=partial(_opened, blob),
            )


class _Beside:
    """A file of lines that belong to runs, read beside the runs: what is before a run is passed over."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lines = archive.read_lines(path)
        self._next: deque[Any] = deque()

    def of(self, number: int) -> Iterator[Any]:
        """Give the lines of a run."""
        while True:
            line = self._next.popleft() if self._next else next(self._lines, None)
            if line is None:
                return
            if line["run"] > number:
                self._next.append(line)
                return
            if line["run"] == number:
                yield line


def _points(metrics: _Beside, number: int) -> Iterator[Metric]:
    for line in metrics.of(number):
        yield from archive.points_of(line)


def _opened(file: Path) -> BinaryIO:
    return file.open("rb")


def _same(size: RunSize) -> RunSize:
    return size


def _size(run: Run, number: int, metrics: _Beside, artifacts: _Beside) -> RunSize:
    return RunSize(
        params=len(run.data.params),
        tags=len(run.data.tags),
        points=sum(len(line["points"]) for line in metrics.of(number)),
        artifacts=sum(1 for _ in artifacts.of(number)),
        inputs=len(run.inputs),
    )
