"""Import: experiments and runs of a source into our stores, by the same calls that log them.

Every run is written in steps that may be repeated. Until the last one it has the reason `IN_PROGRESS`; an import that
was stopped, however that happened, is gone on with by starting it again, and finds by that which runs are whole.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import TypeVar

from toolkit.errors import ArtifactCorrupt, InvalidValue, NotFound, StoreError, ToolkitError
from toolkit.recording.stores import Stores
from toolkit.tracking import limits
from toolkit.tracking.records import ArtifactEntry, Experiment, Lifecycle, NewRun, Run, RunSize, RunStatus
from toolkit.transfer.digesting import digest_of
from toolkit.transfer.fitting import fitted
from toolkit.transfer.outcome import Bytes, Imported, Wanted
from toolkit.transfer.placement import Placement
from toolkit.transfer.source import Source, SourceFile, SourceRun

IN_PROGRESS = "import in progress"
INCOMPLETE = "import incomplete: some artifacts are missing"
WHILE_RUNNING = "imported while it was running"

_POINTS = 10_000
_INPUTS = 500
_ENTRIES = 200
_VERIFIED = 200
T = TypeVar("T")


class Importer:
    """Imports from a source.

    Args:
        stores: The target.
        source: What to import.
        wanted: What of it, and how.
        report: Called with what is done so far, after each run.
    """

    def __init__(
        self, stores: Stores, source: Source, wanted: Wanted, report: Callable[[Imported], None] = lambda _: None
    ) -> None:
        self._stores = stores
        self._runs = stores.runs
        self._source = source
        self._wanted = wanted
        self._report = report
        self._outcome = Imported(title=source.title)
        self._unverified: dict[str, RunSize] = {}
        self._cut: list[str] = []
        if source.own_files and wanted.artifacts is Bytes.REFERENCE:
            raise InvalidValue("artifacts of an export cannot be left where they are: choose copy or none")

    def preview(self) -> Imported:
        """Return what there is to import; nothing is written."""
        placement = Placement(self._runs)
        chosen = self._chosen()
        self._begin(chosen)
        for experiment in chosen:
            found = placement.find(experiment)
            if found is not None:
                self._outcome.target.experiments += 1
            if (found is None and not placement.free(experiment.experiment_id)) or (
                found is not None and found.experiment_id != experiment.experiment_id
            ):
                now = "a new one" if found is None else found.experiment_id
                self._outcome.moved.append((experiment.name, experiment.experiment_id, now))
        for item in self._source.runs([one.experiment_id for one in chosen]):
            self._expect(item)
            self._verify(_VERIFIED)
            self._report(self._outcome)
        self._verify(1)
        return self._outcome

    def run(self) -> Imported:
        """Import; what cannot be imported stands among the failures.

        Raises:
            StoreError: The target cannot be used. What was imported stays, and the import can be started again.
        """
        placement = Placement(self._runs)
        chosen = self._chosen()
        self._begin(chosen)
        targets = {}
        # Those that can keep their ids come first: a new id must not be one of theirs.
        for experiment in sorted(chosen, key=lambda one: not placement.free(one.experiment_id)):
            target = targets[experiment.experiment_id] = placement.make(experiment)
            self._outcome.target.experiments += 1
            if target.experiment_id != experiment.experiment_id:
                self._outcome.moved.append((experiment.name, experiment.experiment_id, target.experiment_id))
        gone = {  # what goes with its experiment, at the end
            one.experiment_id
            for one in chosen
            if one.lifecycle_stage is Lifecycle.DELETED
            and targets[one.experiment_id].lifecycle_stage is Lifecycle.ACTIVE
        }
        for item in self._source.runs(list(targets)):
            info = item.run.info
            try:
                self._import(item, targets[info.experiment_id], stays=info.experiment_id in gone)
            except StoreError:
                raise
            except (ToolkitError, OSError) as error:
                self._outcome.failures.append(f"run {info.run_id}: {error}")
            self._verify(_VERIFIED)
            self._report(self._outcome)
        self._verify(1)
        for experiment in chosen:
            placement.finish(experiment, targets[experiment.experiment_id])
        self._outcome.notes += self._source.notes()
        if self._cut:
            self._outcome.notes.append(f"{len(self._cut)} values are too long and were cut, such as {self._cut[0]}")
        return self._outcome

    def _chosen(self) -> list[Experiment]:
        """Return the experiments to import.

        Raises:
            NotFound: One that was named is not there.
        """
        every = list(self._source.experiments())
        if not self._wanted.experiments:
            return every
        chosen = []
        for text in self._wanted.experiments:
            found = [one for one in every if text in (one.name, one.experiment_id)]
            if not found:
                known = ", ".join(one.name for one in every[:10])
                raise NotFound(f"there is no experiment {text!r} in {self._source.title}; there are: {known}")
            chosen += found
        return list({one.experiment_id: one for one in chosen}.values())

    def _begin(self, chosen: Sequence[Experiment]) -> None:
        self._outcome.total = self._source.count_runs([one.experiment_id for one in chosen])
        self._outcome.source.experiments = len(chosen)
        self._outcome.left_out = self._source.left_out()

    # -- one run -----------------------------------------------------------------------------------

    def _import(self, item: SourceRun, experiment: Experiment, *, stays: bool) -> None:
        info = item.run.info
        there = self._find(info.run_id)
        self._expect(item)
        if there is not None and there.info.reason not in (IN_PROGRESS, INCOMPLETE):
            self._outcome.there += 1
            return
        fresh = there is None
        if there is None:
            there = self._runs.create_run(self._new(item.run, experiment))
        elif there.info.reason == INCOMPLETE:
            lifecycle = None if there.info.lifecycle_stage is Lifecycle.ACTIVE else Lifecycle.ACTIVE
            self._runs.update_run(info.run_id, status=RunStatus.RUNNING, reason=IN_PROGRESS, lifecycle=lifecycle)
        self._write_values(item, there)
        whole = self._write_files(item, there, fresh=fresh)
        self._end(item.run, whole=whole, stays=stays)
        self._outcome.new += 1

    def _find(self, run_id: str) -> Run | None:
        with suppress(NotFound):
            return self._runs.get_run(run_id)
        return None

    def _new(self, run: Run, experiment: Experiment) -> NewRun:
        info = run.info
        copied = self._wanted.artifacts is Bytes.COPY
        return NewRun(
            experiment_id=experiment.experiment_id,
            run_id=info.run_id,
            run_name=info.run_name,
            user_id=info.user_id,
            start_time=info.start_time,
            tags=self._fit(info.run_id, run.data.tags, limits.TAG_VALUE_LENGTH),
            params=self._fit(info.run_id, run.data.params, limits.PARAM_VALUE_LENGTH),
            artifact_uri=self._stores.location_for(experiment, info.run_id) if copied else info.artifact_uri or None,
            reason=IN_PROGRESS,
        )

    def _fit(self, run_id: str, values: Mapping[str, str], length: int) -> dict[str, str]:
        kept, changed = fitted(values, length)
        self._cut += [f"{key} of run {run_id}" for key in changed]
        return kept

    def _write_values(self, item: SourceRun, there: Run) -> None:
        """Write points and inputs, and make the tags what they were: making a run adds some of its own."""
        run_id = there.info.run_id
        tags = fitted(item.run.data.tags, limits.TAG_VALUE_LENGTH)[0]
        changes: dict[str, str | None] = {
            key: value for key, value in tags.items() if there.data.tags.get(key) != value
        }
        changes |= dict.fromkeys(there.data.tags.keys() - tags.keys())
        if changes:
            self._runs.log_batch(run_id, tags=changes)
        for chunk in chunks(item.points(), _POINTS):
            self._runs.log_batch(run_id, metrics=chunk)
            self._outcome.points += len(chunk)
            self._report(self._outcome)
        for used in chunks(item.run.inputs, _INPUTS):
            self._runs.log_inputs(run_id, used)

    def _end(self, run: Run, *, whole: bool, stays: bool) -> None:
        """Give a run its last state, in one step.

        Args:
            run: The run in the source.
            whole: Whether all of its artifacts are there.
            stays: Whether it is left active for now, as it goes with its experiment.
        """
        info = run.info
        ended = info.status.terminal
        reason = info.reason or (None if ended else WHILE_RUNNING)
        self._runs.update_run(
            info.run_id,
            status=info.status,
            end_time=(info.start_time if info.end_time is None else info.end_time) if ended else None,
            reason=reason if whole else INCOMPLETE,
            lifecycle=Lifecycle.DELETED if info.lifecycle_stage is Lifecycle.DELETED and not stays else None,
        )

    # -- files -------------------------------------------------------------------------------------

    def _write_files(self, item: SourceRun, there: Run, *, fresh: bool) -> bool:
        """Copy or list a run's files; tell whether all went well. A fresh run has none listed yet."""
        if self._wanted.artifacts is Bytes.NONE:
            return True
        info = there.info
        failures = len(self._outcome.failures)
        listed = {} if fresh else {entry.path: entry for entry in self._listed(info.run_id)}
        try:
            for batch in chunks(item.files(), _ENTRIES):
                entries = [self._file(there, file, listed.get(file.path)) for file in batch]
                self._runs.record_artifacts(info.run_id, [entry for entry in entries if entry is not None])
                self._report(self._outcome)
        except StoreError:
            raise
        except (ToolkitError, OSError) as error:
            self._outcome.failures.append(f"run {info.run_id}: {error}")
        return len(self._outcome.failures) == failures

    def _file(self, run: Run, file: SourceFile, listed: ArtifactEntry | None) -> ArtifactEntry | None:
        """Copy or read one file; return its entry, or ``None`` if it is listed already or failed."""
        if listed is not None and listed.size == file.size and file.sha256 in (None, listed.sha256):
            return None
        try:
            limits.check_artifact_path(file.path)
            with file.open() as stream:
                if self._wanted.artifacts is Bytes.COPY:
                    place = self._stores.artifacts_of(run.info)
                    stored = place.store.put_stream(place.key(file.path), stream)
                    size, sha256 = stored.size, stored.sha256
                    if file.sha256 not in (None, sha256):
                        place.store.delete(place.key(file.path))
                else:
                    size, sha256 = digest_of(stream)
            if file.sha256 not in (None, sha256):
                raise ArtifactCorrupt("its content has another digest than the source says: it was changed")
        except (ToolkitError, OSError) as error:
            self._outcome.failures.append(f"run {run.info.run_id}: {file.path}: {error}")
            return None
        self._outcome.files += 1
        self._outcome.size += size
        return ArtifactEntry(path=file.path, size=size, sha256=sha256, created=file.created)

    def _listed(self, run_id: str) -> Iterator[ArtifactEntry]:
        token = None
        while True:
            page = self._runs.list_artifacts(run_id, page_token=token)
            yield from page.items
            token = page.next_page_token
            if token is None:
                return

    # -- comparison --------------------------------------------------------------------------------

    def _expect(self, item: SourceRun) -> None:
        """Note how much of a run the target must have."""
        size = item.size()
        if self._wanted.artifacts is Bytes.NONE:
            size = replace(size, artifacts=0)
        self._outcome.source.add(size)
        self._unverified[item.run.info.run_id] = size

    def _verify(self, at: int) -> None:
        """Count what the target has of the runs so far, if they are at least so many."""
        if len(self._unverified) < at:
            return
        for size in self._runs.run_sizes(list(self._unverified)).values():
            self._outcome.target.add(size)
        self._unverified.clear()


def chunks(items: Iterable[T], size: int) -> Iterator[list[T]]:
    """Give items in lists of at most ``size``."""
    iterator = iter(items)
    while chunk := list(itertools.islice(iterator, size)):
        yield chunk
