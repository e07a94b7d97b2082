"""Records as JSON of our API: both ways, for the server and for its client.

Numbers are exact: integers as integers, floats in their shortest form, NaN and the infinities as text.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, fields
from typing import Any, TypeVar

from toolkit.errors import (
    AlreadyExists,
    ApprovalNeeded,
    ArtifactCorrupt,
    Conflict,
    GateFailed,
    InvalidValue,
    JournalError,
    NotFound,
    SchemaError,
    StoreBusy,
    StoreError,
    ToolkitError,
    UserError,
)
from toolkit.tracking.entries import Entry
from toolkit.tracking.journal_codec import decode, encode
from toolkit.tracking.records import (
    ArtifactEntry,
    Dataset,
    DatasetInput,
    Experiment,
    Lifecycle,
    Metric,
    NewRun,
    Page,
    Run,
    RunData,
    RunInfo,
    RunStatus,
)
from toolkit.tracking.series import Series

T = TypeVar("T")
Json = dict[str, Any]
Locate = Callable[[str], str]
"""From where artifacts are to what clients are told."""

JOURNAL_TYPE = "application/vnd.toolkit.journal"
"""Content type of entries as bytes: each as its length in four bytes, least first, and `journal_codec.encode`."""

PICTURE_HEADER = "toolkit-picture"
"""Header that names the picture that is read."""

_LENGTH = struct.Struct("<I")
_INFO = tuple(field.name for field in fields(RunInfo))
_EXPERIMENT = tuple(field.name for field in fields(Experiment))
_NEW_RUN = tuple(field.name for field in fields(NewRun))
_SERIES = tuple(field.name for field in fields(Series))
_DATASET = tuple(field.name for field in fields(Dataset))

_CODES: tuple[tuple[type[ToolkitError], str], ...] = (  # a class stands before those that it is one of
    (NotFound, "NOT_FOUND"),
    (AlreadyExists, "ALREADY_EXISTS"),
    (GateFailed, "GATE_FAILED"),
    (ApprovalNeeded, "APPROVAL_NEEDED"),
    (Conflict, "CONFLICT"),
    (ArtifactCorrupt, "ARTIFACT_CORRUPT"),
    (InvalidValue, "INVALID_VALUE"),
    (SchemaError, "SCHEMA_ERROR"),
    (StoreBusy, "STORE_BUSY"),
    (StoreError, "STORE_ERROR"),
    (UserError, "INVALID_VALUE"),
)
CODES = (*dict.fromkeys(code for _, code in _CODES), "INTERNAL_ERROR")


def code_of(error: Exception) -> str:
    """Return the code of an error."""
    return next((code for kind, code in _CODES if isinstance(error, kind)), "INTERNAL_ERROR")


def error_of(code: str, message: str) -> ToolkitError | None:
    """Return the error of a code; ``None`` if it is none."""
    kind = next((kind for kind, known in _CODES if known == code), None)
    return kind(message) if kind else None


def number_out(value: float) -> float | str:
    """Return a number as JSON has it: NaN and the infinities as text."""
    if value - value == 0.0:
        return value
    return "NaN" if value != value else "Infinity" if value > 0 else "-Infinity"


def page_in(told: Json, name: str, read: Callable[[Json], T]) -> Page[T]:
    """Return a page of a list.

    Args:
        told: The page as JSON.
        name: The field that its items are in.
        read: Reads an item.
    """
    token = told["next_page_token"]
    return Page(items=[read(each) for each in told[name]], next_page_token=token)


# -- experiments and runs ----------------------------------------------------------------------------


def experiment_out(record: Experiment, locate: Locate) -> Json:
    """Return an experiment as JSON."""
    told = {name: getattr(record, name) for name in _EXPERIMENT}
    told.update(artifact_location=locate(record.artifact_location), tags=dict(record.tags))
    return told


def experiment_in(told: Json) -> Experiment:
    """Return the experiment of `experiment_out`."""
    values = {name: told[name] for name in _EXPERIMENT}
    values["lifecycle_stage"] = Lifecycle(told["lifecycle_stage"])
    return Experiment(**values)


def run_out(run: Run, locate: Locate) -> Json:
    """Return a run as JSON."""
    told: Json = {name: getattr(run.info, name) for name in _INFO}
    told["artifact_uri"] = locate(run.info.artifact_uri)
    told["metrics"] = {
        key: {"value": point.value, "timestamp": point.timestamp, "step": point.step}
        for key, point in run.data.latest.items()
    }
    told.update(params=dict(run.data.params), tags=dict(run.data.tags), inputs=inputs_out(run.inputs))
    return told


def run_in(told: Json) -> Run:
    """Return the run of `run_out`."""
    values = {name: told[name] for name in _INFO}
    values.update(status=RunStatus(told["status"]), lifecycle_stage=Lifecycle(told["lifecycle_stage"]))
    latest = {
        key: Metric(key=key, value=float(point["value"]), timestamp=point["timestamp"], step=point["step"])
        for key, point in told["metrics"].items()
    }
    data = RunData(
        metrics={key: point.value for key, point in latest.items()},
        params=told["params"],
        tags=told["tags"],
        latest=latest,
    )
    return Run(info=RunInfo(**values), data=data, inputs=tuple(map(_input_in, told["inputs"])))


def new_run_out(new: NewRun) -> Json:
    """Return a run to be made as JSON."""
    told: Json = {name: getattr(new, name) for name in _NEW_RUN}
    told.update(tags=dict(new.tags), params=dict(new.params), owner=asdict(new.owner) if new.owner else None)
    return told


def inputs_out(inputs: Iterable[DatasetInput]) -> list[Json]:
    """Return inputs of a run as JSON."""
    return [{"dataset": asdict(item.dataset), "tags": dict(item.tags)} for item in inputs]


def _input_in(told: Json) -> DatasetInput:
    return DatasetInput(dataset=Dataset(**{name: told["dataset"][name] for name in _DATASET}), tags=told["tags"])


# -- points and files --------------------------------------------------------------------------------


def columns_out(points: Sequence[Metric]) -> Json:
    """Return points of one metric as columns."""
    return {
        "steps": [point.step for point in points],
        "timestamps": [point.timestamp for point in points],
        "values": [point.value for point in points],
    }


def columns_in(key: str, told: Mapping[str, Any]) -> list[Metric]:
    """Return the points of `columns_out`."""
    return [
        Metric(key=key, value=float(value), timestamp=timestamp, step=step)
        for step, timestamp, value in zip(told["steps"], told["timestamps"], told["values"], strict=True)
    ]


def series_out(one: Series) -> Json:
    """Return a series as JSON."""
    return {name: getattr(one, name) for name in _SERIES}


def series_in(told: Json) -> Series:
    """Return the series of `series_out`."""
    told = {"rough": False, **told}  # a server of an earlier version does not say so
    values = {name: told[name] for name in _SERIES}
    for name in ("values", "smoothed"):
        values[name] = None if told[name] is None else list(map(float, told[name]))
    return Series(**values)


def artifact_in(told: Json) -> ArtifactEntry:
    """Return a file of a run."""
    return ArtifactEntry(path=told["path"], size=told["size"], sha256=told["sha256"], created=told["created"])


# -- entries of journals -----------------------------------------------------------------------------


def entries_out(entries: Iterable[Entry | None]) -> list[bytes]:
    """Return entries as bytes, each with its length in front."""
    payloads = (b"" if entry is None else encode(entry) for entry in entries)
    return [_LENGTH.pack(len(payload)) + payload for payload in payloads]


def entries_in(body: bytes) -> list[Entry | JournalError | None]:
    """Return the entries of `entries_out`; for one that cannot be read, why.

    Raises:
        InvalidValue: The lengths do not come out even: nothing of it can be trusted.
    """
    entries: list[Entry | JournalError | None] = []
    at = 0
    while at < len(body):
        start = at + _LENGTH.size
        at = start + _LENGTH.unpack_from(body, at)[0] if start <= len(body) else start
        if at > len(body):
            raise InvalidValue("the entries are cut off in the middle: send them again")
        entries.append(_entry(body[start:at]))
    return entries


def _entry(payload: bytes) -> Entry | JournalError | None:
    if not payload:
        return None
    try:
        return decode(payload)
    except JournalError as error:
        return error
    except (AttributeError, OverflowError, RecursionError) as error:
        return JournalError(f"a record of the journal cannot be read: {error}")
