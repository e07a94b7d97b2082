"""Export: experiments and runs, as they are at one moment, into a folder that appears whole or not at all.

The values are read from one picture of the store, so that writers neither wait nor tear them apart. The bytes of
artifacts are copied after that; a file that was replaced meanwhile is exported as it is then.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from toolkit.artifacts.digest import file_digest
from toolkit.errors import AlreadyExists, ArtifactCorrupt, Conflict, NotFound, ToolkitError
from toolkit.ids import now_ms
from toolkit.recording.stores import Stores
from toolkit.tracking.records import ArtifactEntry, Experiment, Metric, Run, RunQuery
from toolkit.tracking.store import RunStore
from toolkit.transfer import archive

_PAGE = 500
_WANTED_LIST = "wanted.jsonl"


@dataclass(frozen=True, kw_only=True, slots=True)
class Selection:
    """What to export.

    Attributes:
        experiment_ids: These experiments, with all their runs.
        run_ids: These runs. Empty both: everything.
        artifacts: Whether the bytes of artifacts are exported too.
        force: Whether an export that is there already is replaced.
    """

    experiment_ids: Sequence[str] = ()
    run_ids: Sequence[str] = ()
    artifacts: bool = True
    force: bool = False


@dataclass(kw_only=True, slots=True)
class Exported:
    """What was exported, and which artifacts could not be."""

    experiments: int = 0
    runs: int = 0
    points: int = 0
    artifacts: int = 0
    size: int = 0
    failures: list[str] = field(default_factory=list)


class Exporter:
    """Exports from a pair of stores.

    Args:
        stores: Where to read.
        target: The folder to make.
        selection: What to export.
        report: Called with what is there so far, now and then.
    """

    def __init__(
        self, stores: Stores, target: Path, selection: Selection, report: Callable[[Exported], None] = lambda _: None
    ) -> None:
        self._stores = stores
        self._target = target.absolute()
        self._selection = selection
        self._report = report
        self._done = Exported()
        self._partial = self._target.with_name(f"{self._target.name}.partial")

    def export(self) -> Exported:
        """Export.

        Returns:
            What was exported. Artifacts that cannot be read are left out and stand among the failures.

        Raises:
            AlreadyExists: There is something at the target already.
            Conflict: Another process exports there.
        """
        self._check_target()
        self._partial.mkdir(parents=True, exist_ok=True)
        with _locked(self._partial):
            files = self._write_values()
            files[archive.ARTIFACTS] = self._write_artifacts()
            manifest = {
                "format": archive.FORMAT,
                "version": archive.VERSION,
                "created": now_ms(),
                "with_artifacts": self._selection.artifacts,
                "files": files,
            }
            with (self._partial / archive.MANIFEST).open("w", encoding="utf-8") as file:
                json.dump(manifest, file, indent=1)
                file.flush()
                os.fsync(file.fileno())
            self._publish()
        return self._done

    def _check_target(self) -> None:
        if not self._target.exists() or (self._target.is_dir() and not any(self._target.iterdir())):
            return
        if not self._selection.force:
            raise AlreadyExists(
                f"{self._target} is there already: give another folder, or --force to replace an export"
            )
        archive.read_manifest(self._target)  # nothing but an export of ours is ever replaced

    # -- values ------------------------------------------------------------------------------------

    def _write_values(self) -> dict[str, dict[str, object]]:
        folder = self._partial
        (folder / archive.MANIFEST).unlink(missing_ok=True)
        with (
            self._stores.runs.picture() as picture,
            archive.LineWriter(folder / archive.EXPERIMENTS) as experiments,
            archive.LineWriter(folder / archive.RUNS) as runs,
            archive.LineWriter(folder / archive.METRICS) as metrics,
            archive.LineWriter(folder / _WANTED_LIST) as wanted,
        ):
            for experiment in self._experiments(picture):
                experiments.write(archive.experiment_line(experiment))
                self._done.experiments += 1
                for run in self._runs(picture, experiment):
                    number = runs.lines
                    runs.write(archive.run_line(run))
                    for key, points in _points(picture, run):
                        metrics.write(archive.points_line(number, key, points))
                        self._done.points += len(points)
                    for entry in _entries(picture, run.info.run_id):
                        wanted.write(archive.artifact_line(number, entry) | {"run_id": run.info.run_id})
                    self._done.runs += 1
                    self._report(self._done)
        return {writer.path.name: writer.about() for writer in (experiments, runs, metrics)}

    def _experiments(self, picture: RunStore) -> Iterator[Experiment]:
        chosen = list(self._selection.experiment_ids)
        chosen += [picture.get_run(run_id).info.experiment_id for run_id in self._selection.run_ids]
        if chosen:
            for experiment_id in dict.fromkeys(chosen):
                yield picture.get_experiment(experiment_id)
            return
        token = None
        while True:
            page = picture.list_experiments(lifecycle=None, page_token=token)
            yield from page.items
            token = page.next_page_token
            if token is None:
                return

    def _runs(self, picture: RunStore, experiment: Experiment) -> Iterator[Run]:
        chosen = set(self._selection.run_ids)
        whole = not chosen or experiment.experiment_id in self._selection.experiment_ids
        if not whole:
            found = (picture.get_run(run_id) for run_id in dict.fromkeys(self._selection.run_ids))
            yield from (run for run in found if run.info.experiment_id == experiment.experiment_id)
            return
        query = RunQuery(experiment_ids=[experiment.experiment_id], lifecycle=None, limit=_PAGE)
        while True:
            page = picture.list_runs(query)
            sizes = picture.run_sizes([run.info.run_id for run in page.items])
            for run in page.items:  # a list has no inputs
                yield picture.get_run(run.info.run_id) if sizes[run.info.run_id].inputs else run
            if page.next_page_token is None:
                return
            query = replace(query, page_token=page.next_page_token)

    # -- artifacts ---------------------------------------------------------------------------------

    def _write_artifacts(self) -> dict[str, object]:
        there: set[str] = set()
        with archive.LineWriter(self._partial / archive.ARTIFACTS) as artifacts:
            for line in archive.read_lines(self._partial / _WANTED_LIST):
                run, run_id = line.pop("run"), line.pop("run_id")
                entry = ArtifactEntry(**line)
                if self._selection.artifacts:
                    try:
                        entry = self._copy(run_id, entry, there)
                    except (ToolkitError, OSError) as error:
                        self._done.failures.append(f"run {run_id}: {entry.path}: {error}")
                        continue
                    artifacts.write(archive.artifact_line(run, entry))
                    self._done.artifacts += 1
                    self._done.size += entry.size
                self._report(self._done)
        self._drop_strangers(there)
        return artifacts.about()

    def _copy(self, run_id: str, entry: ArtifactEntry, there: set[str]) -> ArtifactEntry:
        """Copy the bytes of a file; return its entry, which is another one if it was replaced meanwhile."""
        try:
            self._fetch(run_id, entry, there)
        except (NotFound, ArtifactCorrupt):
            now = [one for one in _entries(self._stores.runs, run_id, entry.path) if one.path == entry.path]
            if not now or now[0].sha256 == entry.sha256:
                raise
            entry = now[0]
            self._fetch(run_id, entry, there)
        return entry

    def _fetch(self, run_id: str, entry: ArtifactEntry, there: set[str]) -> None:
        target = self._partial / archive.blob_path(entry.sha256)
        if entry.sha256 in there:
            return
        if not (target.exists() and file_digest(target) == entry.sha256):  # what an export before this one left
            target.parent.mkdir(parents=True, exist_ok=True)
            place = self._stores.artifacts_of(self._stores.runs.get_run(run_id).info)
            place.store.get_file(place.key(entry.path), target, sha256=entry.sha256)
            with target.open("rb") as file:
                os.fsync(file.fileno())
        there.add(entry.sha256)

    def _drop_strangers(self, there: set[str]) -> None:
        """Remove what an export before this one left, and this one has no use for."""
        (self._partial / _WANTED_LIST).unlink()
        folder = self._partial / archive.BYTES
        for file in folder.rglob("*") if folder.is_dir() else ():
            if file.is_file() and file.name not in there:
                file.unlink()

    def _publish(self) -> None:
        for folder in (*self._partial.rglob("*/"), self._partial):
            if folder.is_dir():
                _sync(folder)
        old = None
        if self._target.exists() and any(self._target.iterdir()):
            old = self._target.with_name(f"{self._target.name}.replaced-{now_ms()}")
            self._target.rename(old)
        self._partial.rename(self._target)
        _sync(self._target.parent)
        if old is not None:
            shutil.rmtree(old)


def _points(picture: RunStore, run: Run) -> Iterator[tuple[str, list[Metric]]]:
    for key in sorted(run.data.latest):
        token = None
        while True:
            page = picture.metric_history(run.info.run_id, key, page_token=token)
            points = list(page.items)
            for start in range(0, len(points), archive.POINTS_PER_LINE):
                yield key, points[start : start + archive.POINTS_PER_LINE]
            token = page.next_page_token
            if token is None:
                break


def _entries(runs: RunStore, run_id: str, prefix: str = "") -> Iterator[ArtifactEntry]:
    token = None
    while True:
        page = runs.list_artifacts(run_id, prefix=prefix, page_token=token)
        yield from page.items
        token = page.next_page_token
        if token is None:
            return


@contextlib.contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Hold a folder for one export; the lock goes with the process, however that ends.

    Raises:
        Conflict: Another process has it.
    """
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise Conflict(f"another process exports to {folder}: wait for it, or give another folder") from None
        yield
    finally:
        os.close(descriptor)


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def check(folder: Path) -> dict[str, Any]:
    """Prove all digests of an export.

    Returns:
        Its manifest, with ``blobs``, the number of artifacts whose bytes were read.

    Raises:
        ArtifactCorrupt: A file is missing or was changed; the message names the first ones.
        InvalidValue: The folder is no export that can be read.
    """
    manifest = archive.read_manifest(folder)
    archive.check_lists(folder, manifest)
    bad: list[str] = []
    blobs = 0
    if manifest["with_artifacts"]:
        for sha256, whole in archive.damaged_blobs(folder):
            blobs += 1
            if not whole:
                bad.append(str(archive.blob_path(sha256)))
    if bad:
        raise ArtifactCorrupt(f"{len(bad)} files of {folder} are missing or were changed, such as {', '.join(bad[:3])}")
    return {**manifest, "blobs": blobs}
