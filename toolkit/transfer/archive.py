"""The format of an export: a folder of files, one JSON value a line, and the bytes of artifacts by their digest.

``docs/reference/export-format.md`` describes it. Numbers are written so that they come back bit by bit: Python's and
JSON's shortest form of a double is exact, and what JSON has no number for stands as text.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import TracebackType
from typing import Any

from toolkit.errors import ArtifactCorrupt, InvalidValue, NotFound
from toolkit.tracking.records import (
    ArtifactEntry,
    Dataset,
    DatasetInput,
    Experiment,
    Lifecycle,
    Metric,
    Run,
    RunData,
    RunInfo,
    RunStatus,
)

FORMAT = "toolkit-export"
VERSION = 1
MANIFEST = "manifest.json"
EXPERIMENTS, RUNS, METRICS, ARTIFACTS = "experiments.jsonl", "runs.jsonl", "metrics.jsonl", "artifacts.jsonl"
LISTS = (EXPERIMENTS, RUNS, METRICS, ARTIFACTS)
BYTES = "artifacts"
POINTS_PER_LINE = 1_000

_SHA256 = re.compile(r"[0-9a-f]{64}")
_SPECIAL = {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}


def blob_path(sha256: str) -> Path:
    """Return where the bytes with a digest lie in an export.

    Raises:
        InvalidValue: It is no digest.
    """
    if not _SHA256.fullmatch(sha256):
        raise InvalidValue(f"{sha256!r} in {ARTIFACTS} is no SHA-256: the export was not made by toolkit")
    return Path(BYTES, sha256[:2], sha256)


class LineWriter:
    """Writes one JSON value a line, and knows the size and the digest of what it wrote.

    Args:
        path: The file; it is made anew.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.lines = 0
        self._size = 0
        self._digest = hashlib.sha256()
        self._file = path.open("wb")

    def write(self, value: object) -> None:
        """Write a value."""
        line = json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode() + b"\n"
        self._file.write(line)
        self._digest.update(line)
        self._size += len(line)
        self.lines += 1

    def about(self) -> dict[str, object]:
        """Return what the manifest says about the file."""
        return {"lines": self.lines, "size": self._size, "sha256": self._digest.hexdigest()}

    def __enter__(self) -> LineWriter:
        """Begin."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Flush it to the disk."""
        self._file.flush()
        os.fsync(self._file.fileno())
        self._file.close()


def read_lines(path: Path) -> Iterator[Any]:
    """Give the values of a file of lines.

    Raises:
        InvalidValue: A line is no JSON.
    """
    with path.open("rb") as file:
        for number, line in enumerate(file, 1):
            try:
                yield json.loads(line)
            except ValueError:
                raise InvalidValue(f"{path}:{number} is no JSON: the export was changed after it was made") from None


def read_manifest(folder: Path) -> dict[str, Any]:
    """Return the manifest of an export.

    Raises:
        NotFound: There is none: the folder is no export, or one that was not finished.
        InvalidValue: It is of another format or of a newer version.
    """
    try:
        manifest = json.loads((folder / MANIFEST).read_bytes())
        kind, version = manifest["format"], manifest["version"]
    except OSError:
        raise NotFound(f"{folder} has no {MANIFEST}: it is no export, or one that was not finished") from None
    except (ValueError, KeyError, TypeError):
        raise InvalidValue(f"{folder / MANIFEST} cannot be read: it was changed after the export was made") from None
    if kind != FORMAT or version != VERSION:
        raise InvalidValue(f"{folder} is a {kind} of version {version}: wanted {FORMAT} of version {VERSION}")
    return dict(manifest)


def check_lists(folder: Path, manifest: dict[str, Any]) -> None:
    """Check the digests of the files that hold values.

    Raises:
        ArtifactCorrupt: One is missing or was changed.
    """
    for name in LISTS:
        try:
            with (folder / name).open("rb") as file:
                found = hashlib.file_digest(file, "sha256").hexdigest()
        except OSError as error:
            raise ArtifactCorrupt(f"{folder / name} cannot be read: {error.strerror}") from error
        if found != manifest["files"].get(name, {}).get("sha256"):
            raise ArtifactCorrupt(f"{folder / name} has another digest than the manifest says: it was changed")


def damaged_blobs(folder: Path) -> Iterator[tuple[str, bool]]:
    """Read all artifacts; give each digest that is listed, once, and whether its bytes are as they were."""
    seen: set[bytes] = set()
    for line in read_lines(folder / ARTIFACTS):
        sha256 = line["sha256"]
        if (key := bytes.fromhex(sha256)) not in seen:
            seen.add(key)
            try:
                with (folder / blob_path(sha256)).open("rb") as file:
                    yield sha256, hashlib.file_digest(file, "sha256").hexdigest() == sha256
            except OSError:
                yield sha256, False


# -- records as JSON -------------------------------------------------------------------------------


def experiment_line(experiment: Experiment) -> dict[str, object]:
    """Return an experiment as JSON."""
    return {
        "experiment_id": experiment.experiment_id,
        "name": experiment.name,
        "artifact_location": experiment.artifact_location,
        "lifecycle_stage": experiment.lifecycle_stage.value,
        "creation_time": experiment.creation_time,
        "last_update_time": experiment.last_update_time,
        "tags": dict(experiment.tags),
    }


def experiment_of(line: dict[str, Any]) -> Experiment:
    """Return the experiment of a line.

    Raises:
        InvalidValue: The line says something else.
    """
    try:
        return Experiment(**{**line, "lifecycle_stage": Lifecycle(line["lifecycle_stage"])})
    except (KeyError, TypeError, ValueError) as error:
        raise _strange(EXPERIMENTS, error) from None


def run_line(run: Run) -> dict[str, object]:
    """Return a run as JSON, without its metrics and artifacts, which stand in files of their own."""
    info = run.info
    return {
        "run_id": info.run_id,
        "experiment_id": info.experiment_id,
        "run_name": info.run_name,
        "user_id": info.user_id,
        "status": info.status.value,
        "reason": info.reason,
        "start_time": info.start_time,
        "end_time": info.end_time,
        "artifact_uri": info.artifact_uri,
        "lifecycle_stage": info.lifecycle_stage.value,
        "parent_run_id": info.parent_run_id,
        "params": dict(run.data.params),
        "tags": dict(run.data.tags),
        "inputs": [_input_line(used) for used in run.inputs],
    }


def run_of(line: dict[str, Any]) -> Run:
    """Return the run of a line.

    Raises:
        InvalidValue: The line says something else.
    """
    try:
        return _run_of(line)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise _strange(RUNS, error) from None


def _strange(name: str, error: Exception) -> InvalidValue:
    return InvalidValue(f"{name} has a line that is none of this version's ({error}): was it made by another program?")


def _run_of(line: dict[str, Any]) -> Run:
    fields = {name: value for name, value in line.items() if name not in ("params", "tags", "inputs")}
    fields["status"] = RunStatus(fields["status"])
    fields["lifecycle_stage"] = Lifecycle(fields["lifecycle_stage"])
    data = RunData(params=line["params"], tags=line["tags"])
    return Run(info=RunInfo(**fields), data=data, inputs=tuple(_input_of(used) for used in line["inputs"]))


def _input_line(used: DatasetInput) -> dict[str, object]:
    data = used.dataset
    return {
        "name": data.name,
        "digest": data.digest,
        "source_type": data.source_type,
        "source": data.source,
        "schema": data.schema,
        "profile": data.profile,
        "tags": dict(used.tags),
    }


def _input_of(line: dict[str, Any]) -> DatasetInput:
    fields = {name: value for name, value in line.items() if name != "tags"}
    return DatasetInput(dataset=Dataset(**fields), tags=line["tags"])


def points_line(run: int, key: str, points: Iterable[Metric]) -> dict[str, object]:
    """Return points of a metric as JSON; ``run`` is the line of their run, from 0."""
    return {"run": run, "key": key, "points": [[point.step, point.timestamp, _number(point.value)] for point in points]}


def points_of(line: dict[str, Any]) -> Iterator[Metric]:
    """Give the points of a line."""
    for step, timestamp, value in line["points"]:
        number = _SPECIAL[value] if isinstance(value, str) else float(value)
        yield Metric(key=line["key"], value=number, timestamp=timestamp, step=step)


def artifact_line(run: int, entry: ArtifactEntry) -> dict[str, object]:
    """Return the entry of a file as JSON; ``run`` is the line of its run, from 0."""
    return {"run": run, "path": entry.path, "size": entry.size, "sha256": entry.sha256, "created": entry.created}


def _number(value: float) -> float | str:
    if value != value:
        return "NaN"
    if math.isinf(value):
        return "Infinity" if value > 0 else "-Infinity"
    return value
