"""Taking over what an earlier run of a step has left: a run of its own that links to it, by one write to the store."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from toolkit.flows.fingerprint import artifact_digest, artifacts
from toolkit.flows.registration import REGISTERED, left
from toolkit.ids import new_run_id, now_ms
from toolkit.recording.context import user_name
from toolkit.recording.run import PARAM_LIMIT, TAG_LIMIT
from toolkit.recording.stores import Stores
from toolkit.spec.expression import OutputRef, StepResult
from toolkit.tracking.entries import Begun, Ended, Entry, Listed, Logged, Used
from toolkit.tracking.limits import check_points
from toolkit.tracking.records import ArtifactEntry, NewRun, Run, RunStatus

CACHED_FROM = "toolkit.cached_from"
"""Tag of a run whose results were taken over: the run that made them."""

_OWN_TAGS = ("toolkit.", "prefect.", "mlflow.source.", "mlflow.project.", "mlflow.user", "mlflow.runName")
"""Beginnings of tags that say what a run itself is; all others tell of its results, and are taken over."""
_PARENT = "mlflow.parentRunId"
_READ_AT_ONCE = 64_000_000
"""Bytes of outputs on this machine up to which they are read to the end before they are taken over."""


class Gone(Exception):
    """What an earlier run has left is no longer as it left it; the message says what. Caught in this package only."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Original:
    """An earlier run of a step, whose results are there.

    Attributes:
        run: The run.
        files: All files that it lists.
        outputs: Its declared outputs.
    """

    run: Run
    files: list[ArtifactEntry]
    outputs: Mapping[str, OutputRef]


def look_over(
    stores: Stores, run: Run, outputs: Mapping[str, str], digests: Mapping[str, str] | None = None
) -> Original:
    """Return an earlier run whose outputs are all there, as it left them.

    Each file must be listed, have its size, and, if that takes no time worth mentioning, its digest. Whoever reads a
    larger one, or one that is kept elsewhere, checks the digest then.

    Args:
        stores: Where it is.
        run: The run.
        outputs: Paths of its outputs, by name.
        digests: Their digests as they were; ``None``: as they are listed.

    Raises:
        Gone: One is missing or is another one by now.
        ToolkitError: The stores cannot be read.
    """
    files = artifacts(stores.runs, run.info.run_id)
    found = {}
    for name, path in outputs.items():
        listed = [file for file in files if file.path == path or file.path.startswith(f"{path}/")]
        if not listed:
            raise Gone(f"its output {name!r} is no longer listed")
        digest = artifact_digest(listed)
        if digests is not None and digests.get(name) != digest:
            raise Gone(f"its output {name!r} was changed since")
        _check_bytes(stores, run, name, listed)
        found[name] = OutputRef(run_id=run.info.run_id, path=path, sha256=digest)
    return Original(run=run, files=files, outputs=found)


def _check_bytes(stores: Stores, run: Run, name: str, listed: list[ArtifactEntry]) -> None:
    place = stores.artifacts_of(run.info)
    small = sum(file.size for file in listed) <= _READ_AT_ONCE
    # One question for a file alone; a folder's files are listed together.
    prefix = listed[0].path if len(listed) == 1 else _common(listed)
    there = {file.key: file.size for file in place.store.list(place.key(prefix) if prefix else place.folder)}
    for file in listed:
        key = place.key(file.path)
        if key not in there:
            raise Gone(f"its output {name!r} is gone: {file.path}")
        if there[key] != file.size:
            raise Gone(f"its output {name!r} was changed since: {file.path}")
        local = place.store.local_path(key) if small else None
        if local is not None and file_digest(local) != file.sha256:
            raise Gone(f"its output {name!r} is damaged: {file.path}")


def file_digest(path: Path) -> str:
    """Return the SHA-256 of a file's content.

    Raises:
        Gone: It cannot be read.
    """
    try:
        with path.open("rb") as opened:
            return hashlib.file_digest(opened, "sha256").hexdigest()
    except OSError as error:
        raise Gone(f"{path} cannot be read: {error.strerror}") from None


def _common(listed: list[ArtifactEntry]) -> str:
    """Return the folder that all files are in; empty for the top."""
    first, last = listed[0].path.split("/"), listed[-1].path.split("/")
    same = 0
    while same < min(len(first), len(last)) - 1 and first[same] == last[same]:
        same += 1
    return "/".join(first[:same])


@dataclass(frozen=True, kw_only=True, slots=True)
class Taker:
    """Records runs whose results are taken over.

    Attributes:
        stores: Where to.
        parent: The workflow's run.
        journal: Name under which the writes are numbered, so that none is done twice.
    """

    stores: Stores
    parent: Run
    journal: str = field(default_factory=lambda: f"taken-{new_run_id()}")
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _written: list[int] = field(default_factory=lambda: [0])

    def take(
        self, original: Original, *, step: str, name: str, params: Mapping[str, object], tags: Mapping[str, str]
    ) -> StepResult:
        """Make a run that has what the original has, and has ended; return it as the result of its step.

        Args:
            original: The run that made the results.
            step: Name of the step.
            name: Name of the new run.
            params: Its parameters.
            tags: Its tags, besides those that tell of the results.

        Raises:
            ToolkitError: The store refuses it, or cannot be written to.
        """
        new = self._new_run(original, name, params, tags)
        metrics = {key: point for key, point in original.run.data.latest.items() if not key.startswith("system/")}
        entries: list[Entry] = [Begun(new=new)]
        if metrics:
            entries.append(Logged(run_id=new.run_id, points=check_points(list(metrics.values()))))
        if original.run.inputs:
            entries.append(Used(run_id=new.run_id, inputs=original.run.inputs))
        if original.files:
            entries.append(Listed(run_id=new.run_id, artifacts=original.files))
        entries.append(Ended(run_id=new.run_id, status=RunStatus.FINISHED, end_time=now_ms()))
        self._write(entries)
        return StepResult(
            name=step,
            run_id=new.run_id,
            status=RunStatus.FINISHED,
            parameters={**params, **left(original.run.data.tags)},
            metrics={key: point.value for key, point in metrics.items()},
            outputs=original.outputs,
        )

    def _new_run(self, original: Original, name: str, params: Mapping[str, object], tags: Mapping[str, str]) -> NewRun:
        before = original.run
        own = {**tags, CACHED_FROM: before.info.run_id}
        told = {
            key: value
            for key, value in before.data.tags.items()
            if key == REGISTERED or (not key.startswith(_OWN_TAGS) and key != _PARENT)
        }
        texts = {key: "" if value is None else str(value) for key, value in params.items()}
        return NewRun(
            experiment_id=self.parent.info.experiment_id,
            run_id=new_run_id(),
            run_name=name,
            user_id=user_name(),
            start_time=now_ms(),
            parent_run_id=self.parent.info.run_id,
            tags={key: value[:TAG_LIMIT] for key, value in {**told, **own}.items()},
            params={**before.data.params, **{key: value[:PARAM_LIMIT] for key, value in texts.items()}},
            artifact_uri=before.info.artifact_uri,
        )

    def _write(self, entries: list[Entry]) -> None:
        with self._lock:  # the numbers of entries must come to the store in their order
            first = self._written[0]
            refused = self.stores.runs.apply(entries, journal=self.journal, first=first)
            self._written[0] = first + len(entries)
        if refused:
            raise refused[0].error
