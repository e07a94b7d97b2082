"""A run being written: the verbs that log, over both stores."""

from __future__ import annotations

import io
import json
import logging
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import BinaryIO

from toolkit.artifacts.location import Place
from toolkit.artifacts.store import StoredFile
from toolkit.errors import ArtifactError, Conflict, InvalidValue, NotFound, StoreError
from toolkit.ids import new_run_id, now_ms, random_run_name
from toolkit.recording.context import user_name
from toolkit.recording.lease import Leases
from toolkit.recording.plain import plain
from toolkit.recording.spool import Spool
from toolkit.recording.stores import Stores
from toolkit.recording.transfer import BATCH, Report, files_below, in_parallel, targets
from toolkit.tracking.entries import Begun, Ended, Entry, Listed, Logged, Used, write_one
from toolkit.tracking.limits import REASON_LENGTH, check_inputs, check_new_run, check_params, check_points, check_tags
from toolkit.tracking.records import (
    ArtifactEntry,
    DatasetInput,
    Lifecycle,
    Metric,
    NewRun,
    Run,
    RunData,
    RunStatus,
)
from toolkit.tracking.system_tags import first_tags
from toolkit.tracking.transition import begun, changed_params, experiment_not_active

logger = logging.getLogger(__name__)

TAG_LIMIT = 8_000
"""Longest value of a run's tag, in characters (MLflow's limit)."""

PARAM_LIMIT = 6_000
"""Longest value of a parameter, in characters (MLflow's limit)."""


_FOLDER = re.compile(r"/([0-9a-f]{32})/artifacts/?$")


def belongs_to_another(artifact_uri: str, run_id: str) -> bool:
    """Tell whether artifacts lie in the folder of another run: one that took over what that has left."""
    found = _FOLDER.search(artifact_uri)
    return found is not None and found[1] != run_id


class RecordedRun:
    """A run that this process writes to.

    Args:
        stores: Where it is recorded.
        run: The run as the store knows it.
        leases: What keeps it alive; ``None`` for a run that another process answers for.
        strict: Write straight to the store, whose failures are raised, even where there is a journal.
    """

    def __init__(self, stores: Stores, run: Run, leases: Leases | None = None, *, strict: bool = False) -> None:
        self.stores = stores
        self.info = run.info
        self._params = dict(run.data.params)
        self._journal = None if strict else stores.journal
        self._leases = leases
        if leases:
            leases.hold(run.info.run_id)

    @classmethod
    def start(
        cls,
        stores: Stores,
        leases: Leases,
        *,
        experiment_id: str,
        name: str | None = None,
        parent_run_id: str | None = None,
        tags: Mapping[str, str] | None = None,
        params: Mapping[str, object] | None = None,
        strict: bool = False,
    ) -> RecordedRun:
        """Make a run in state RUNNING that this process answers for.

        Raises:
            Conflict: The experiment is deleted.
            NotFound: There is none of this id.
        """
        experiment = stores.runs.get_experiment(experiment_id)
        run_id = new_run_id()
        new = NewRun(
            experiment_id=experiment_id,
            run_id=run_id,
            run_name=name or random_run_name(),
            user_id=user_name(),
            start_time=now_ms(),
            parent_run_id=parent_run_id,
            tags={key: _cut(value, TAG_LIMIT) for key, value in (tags or {}).items()},
            params={key: _cut(str(value), PARAM_LIMIT) for key, value in (params or {}).items()},
            owner=leases.owner,
            lease_ms=leases.lease_ms,
            artifact_uri=stores.location_for(experiment, run_id),
        )
        if strict or stores.journal is None:
            return cls(stores, stores.runs.create_run(new), leases, strict=strict)
        check_new_run(new)
        if experiment.lifecycle_stage is Lifecycle.DELETED:
            raise experiment_not_active(experiment_id)
        data = RunData(params=new.params, tags=first_tags(new))
        recorded = cls(stores, Run(info=begun(new, experiment.artifact_location), data=data), leases)
        stores.journal.add(Begun(new=new))
        stores.journal.announce()
        return recorded

    @property
    def run_id(self) -> str:
        """Its id."""
        return self.info.run_id

    @property
    def owned(self) -> bool:
        """Whether this process answers for the run, and so decides how it ends."""
        return self._leases is not None and self._leases.is_here

    def read(self) -> Run:
        """Return the run as the store has it now."""
        return self.stores.runs.get_run(self.run_id)

    def log_params(self, params: Mapping[str, object]) -> None:
        """Log parameters; values are kept as text.

        Raises:
            Conflict: One has another value already.
        """
        values = {key: str(value) for key, value in params.items()}
        check_params(values)
        if clash := changed_params(self.run_id, self._params, values):
            raise clash
        self._write(Logged(run_id=self.run_id, params=values))
        self._params.update(values)

    def log_metrics(self, metrics: Mapping[str, float], *, step: int = 0, timestamp: int | None = None) -> None:
        """Log one point of each metric.

        Raises:
            InvalidValue: A value is no number.
        """
        moment = now_ms() if timestamp is None else timestamp
        self.log_points(
            [Metric(key=key, value=_number(key, value), timestamp=moment, step=step) for key, value in metrics.items()]
        )

    def log_points(self, metrics: Sequence[Metric]) -> None:
        """Log points of metrics, each with its own step and time.

        Raises:
            InvalidValue: A key, a value, a step or a time is out of bounds; none of them was logged.
        """
        points = check_points(metrics)
        if points:
            self._write(Logged(run_id=self.run_id, points=points))

    def set_tags(self, tags: Mapping[str, object | None]) -> None:
        """Set tags; ``None`` removes one."""
        values = {key: None if value is None else str(value) for key, value in tags.items()}
        check_tags(values)
        self._write(Logged(run_id=self.run_id, tags=values))

    def lacks_tag(self, key: str) -> bool:
        """Tell whether the store says that the run has no such tag; where it cannot be asked, logging goes on."""
        if self._journal is not None and self._journal.away:
            return False
        try:
            return key not in self.read().data.tags
        except StoreError:
            if self._journal is None:
                raise
            return False

    def log_inputs(self, inputs: Sequence[DatasetInput]) -> None:
        """Note datasets that the run uses.

        Raises:
            InvalidValue: A text is empty or too long.
        """
        check_inputs(inputs)
        self._write(Used(run_id=self.run_id, inputs=inputs))

    def log_file(self, source: Path, path: str) -> ArtifactEntry:
        """Store a local file as the artifact ``path``.

        Where there is a journal, a store that fails raises nothing: the file waits in the spool. If even that fails,
        there is a warning, and the entry that is returned has no digest.
        """
        place = self._own_place()
        key = place.key(path)
        spool = self._spool
        if spool is None:
            return self._listed(self._stored(place.store.put_file(key, source), path))
        if _is_here(place):
            try:
                return self._listed(self._stored(place.store.put_file(key, source), path))
            except ArtifactError as error:
                logger.warning("%s: the file %s is sent later", error, path)
        return self._forgiven(path, lambda: spool.put_file(source, run_id=self.run_id, key=key, path=path))

    def log_folder(self, source: Path, path: str = "", *, report: Report | None = None) -> list[ArtifactEntry]:
        """Store all files below a local folder, under ``path``, a few at a time.

        Args:
            source: The folder; links in it are followed.
            path: Where among the artifacts; empty: at their top.
            report: Called after each file.

        Raises:
            ArtifactError: Some could not be stored (the first of them is named; the others are), or a link leads to
                nothing or in a circle: then nothing was.
            InvalidValue: A name cannot be an artifact's; nothing was stored.
        """
        prefix = f"{path.strip('/')}/" if path.strip("/") else ""
        named = [(file, f"{prefix}{path}") for file, path in files_below(source)]
        if self._spool is not None:
            return [self.log_file(file, path) for file, path in named]
        place = self._own_place()

        def store(item: tuple[Path, str]) -> ArtifactEntry:
            return self._stored(place.store.put_file(place.key(item[1]), item[0]), item[1])

        entries: list[ArtifactEntry] = []
        listed = 0
        workers = self.stores.artifact_workers
        try:
            for entry in in_parallel(store, named, workers=workers, size=lambda entry: entry.size, report=report):
                entries.append(entry)
                if len(entries) - listed >= BATCH:
                    self._write(Listed(run_id=self.run_id, artifacts=entries[listed:]))
                    listed = len(entries)
        finally:  # what is stored is listed, whatever became of the rest
            if entries[listed:]:
                self._write(Listed(run_id=self.run_id, artifacts=entries[listed:]))
        return sorted(entries, key=lambda entry: entry.path)

    def log_path(self, source: Path, path: str) -> list[ArtifactEntry]:
        """Store a local file or folder as the artifact ``path``.

        Raises:
            NotFound: There is nothing at ``source``.
        """
        if source.is_dir():
            return self.log_folder(source, path)
        if not source.exists():
            raise NotFound(f"there is no file or folder {source} to log")
        return [self.log_file(source, path)]

    def log_bytes(self, content: bytes, path: str) -> ArtifactEntry:
        """Store bytes as the artifact ``path``."""
        return self.log_stream(io.BytesIO(content), path)

    def log_stream(self, source: BinaryIO, path: str) -> ArtifactEntry:
        """Store what a stream gives until its end as the artifact ``path``."""
        place = self._own_place()
        key = place.key(path)
        spool = self._spool
        if spool is not None and not _is_here(place):
            return self._forgiven(path, lambda: spool.put_stream(source, run_id=self.run_id, key=key, path=path))
        return self._forgiven(path, lambda: self._listed(self._stored(place.store.put_stream(key, source), path)))

    def log_text(self, text: str, path: str) -> ArtifactEntry:
        """Store text, in UTF-8, as the artifact ``path``."""
        return self.log_bytes(text.encode("utf-8", "surrogateescape"), path)

    def log_json(self, value: object, path: str) -> ArtifactEntry:
        """Store a value as JSON."""
        return self.log_text(json.dumps(value, indent=2, default=str) + "\n", path)

    def local_path(self, path: str) -> Path | None:
        """Return where an artifact lies on this machine, for reading only; else ``None``."""
        place = self._place()
        return place.store.local_path(place.key(path))

    def fetch(self, entry: ArtifactEntry, target: Path) -> None:
        """Write an artifact to a local file, checking its digest."""
        place = self._place()
        place.store.get_file(place.key(entry.path), target, sha256=entry.sha256 or None)

    def fetch_all(
        self, entries: Sequence[ArtifactEntry], folder: Path, *, report: Report | None = None
    ) -> dict[str, Path]:
        """Write artifacts below a local folder, under their paths, a few at a time, checking their digests.

        Args:
            entries: Which, as the store lists them.
            folder: Where to; nothing is written outside of it.
            report: Called after each file.

        Returns:
            Where each one is.

        Raises:
            ArtifactError: Some could not be fetched; the first of them is named, the others are there.
            Conflict: Two paths would be one file, or a link below the folder leads elsewhere; nothing was written.
        """
        found = targets([entry.path for entry in entries], folder)

        def fetch(entry: ArtifactEntry) -> int:
            self.fetch(entry, found[entry.path])
            return entry.size

        workers = self.stores.artifact_workers
        for _ in in_parallel(fetch, entries, workers=workers, size=lambda size: size, report=report):
            pass
        return found

    def remove(self, paths: Sequence[str]) -> list[str]:
        """Delete artifacts; return those that were listed. First they are taken off the list, then their bytes go.

        Bytes that another run has left, whose results this one took over, stay.
        """
        gone = list(self.stores.runs.forget_artifacts(self.run_id, paths))
        if belongs_to_another(self.info.artifact_uri, self.run_id):
            return gone
        place = self._place()
        for path in gone:
            place.store.delete(place.key(path))
        return gone

    def end(self, status: RunStatus = RunStatus.FINISHED, reason: str | None = None) -> None:
        """Give the run its final state, if this process answers for it; else leave that to who does.

        Args:
            status: The state.
            reason: Why, such as an exception's text; what no store takes of it is escaped, and it is cut.
        """
        if self._leases is None or not self._leases.is_here:
            return
        self._leases.release(self.run_id)
        self._leases = None
        told = None if reason is None else plain(reason, REASON_LENGTH)
        self._write(Ended(run_id=self.run_id, status=status, end_time=now_ms(), reason=told))

    def _write(self, entry: Entry) -> None:
        if self._journal is not None:
            self._journal.add(entry)
        else:
            write_one(self.stores.runs, entry)

    def _place(self) -> Place:
        return self.stores.artifacts_of(self.info)

    def _own_place(self) -> Place:
        """Return where new artifacts go.

        Raises:
            Conflict: The run took over what another has left: its artifacts are that one's.
        """
        if belongs_to_another(self.info.artifact_uri, self.run_id):
            raise Conflict(
                f"run {self.run_id} took over its results from another run, at {self.info.artifact_uri}: log files to"
                " a run of their own"
            )
        return self._place()

    @property
    def _spool(self) -> Spool | None:
        return self.stores.spool if self._journal is not None else None

    def _forgiven(self, path: str, store: Callable[[], ArtifactEntry]) -> ArtifactEntry:
        """Return what a call that stores a file returns; where there is a journal, its failure is but a warning."""
        try:
            return store()
        except ArtifactError as error:
            if self._journal is None:
                raise
            logger.warning("the file %s of run %s is not stored: %s", path, self.run_id, error)
            return ArtifactEntry(path=path, size=0, sha256="", created=now_ms())

    def _stored(self, stored: StoredFile, path: str) -> ArtifactEntry:
        return ArtifactEntry(path=path, size=stored.size, sha256=stored.sha256, created=now_ms())

    def _listed(self, entry: ArtifactEntry) -> ArtifactEntry:
        self._write(Listed(run_id=self.run_id, artifacts=[entry]))
        return entry


def _is_here(place: Place) -> bool:
    """Tell whether files are kept on this machine, where writing them takes no longer than copying them."""
    return place.store.root.startswith("file:")


def _number(key: str, value: object) -> float:
    if isinstance(value, bool):
        raise InvalidValue(f"metric {key!r} is {value!r}: wanted a number; log a flag as 0 or 1, or as a tag")
    try:
        return float(value)  # type: ignore[arg-type]  # whatever has __float__, such as numpy's and torch's scalars
    except (TypeError, ValueError):
        raise InvalidValue(f"metric {key!r} is {value!r} ({type(value).__name__}): wanted a number") from None


def _cut(text: str, limit: int) -> str:
    """Shorten what we log ourselves, where the limit is no matter of the user's."""
    return text if len(text) <= limit else text[: limit - 1] + "…"
