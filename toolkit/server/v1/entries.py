"""Entries of clients' journals, as they come: bytes or JSON. Nothing of them is believed before it is checked."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from toolkit.errors import InvalidValue, JournalError, StoreError, ToolkitError
from toolkit.server.v1 import records
from toolkit.server.v1.context import MOST_TOLD, Context
from toolkit.tracking import limits
from toolkit.tracking.entries import Begun, Ended, Entry, Listed, Logged, Used
from toolkit.tracking.http_codec import JOURNAL_TYPE, Json, code_of, entries_in
from toolkit.tracking.number import from_stored, to_stored
from toolkit.tracking.records import ArtifactEntry, Dataset, DatasetInput, NewRun, Owner, RunStatus

logger = logging.getLogger("toolkit.server")

_INT64 = range(-(2**63), 2**63)
_NAME = 200


class _Entry(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class BegunEntry(_Entry):
    """A run began."""

    begun: records.RunAsked


class LoggedEntry(_Entry):
    """Values were logged by the run that ``logged`` names."""

    logged: str
    columns: records.PointColumns = records.PointColumns()
    params: Mapping[str, str] = {}
    tags: Mapping[str, str | None] = {}


class ListedEntry(_Entry):
    """Files of the run that ``listed`` names were stored."""

    listed: str
    artifacts: Sequence[records.Artifact]


class UsedEntry(_Entry):
    """Datasets were used by the run that ``used`` names."""

    used: str
    inputs: Sequence[records.InputBody]


class EndedEntry(_Entry):
    """The run that ``ended`` names ended."""

    ended: str
    status: RunStatus
    end_time: int
    reason: str | None = None


class Entries(_Entry):
    """Entries in their order; ``null`` stands for one that is passed over."""

    entries: Annotated[
        Sequence[BegunEntry | LoggedEntry | ListedEntry | UsedEntry | EndedEntry | None], Field(max_length=100_000)
    ]


_ENTRIES = TypeAdapter(Entries)

JOURNAL_BODY: dict[str, Any] = {
    "required": True,
    "content": {
        "application/json": {"schema": {"$ref": "#/components/schemas/Entries"}},
        JOURNAL_TYPE: {"schema": {"type": "string", "format": "binary"}},
    },
}
"""What the OpenAPI document says of a request with entries."""

Read = Entry | ToolkitError | None


def read_entries(content_type: str, body: bytes) -> Sequence[Read]:
    """Return the entries of a request; for one that cannot be read, why.

    Raises:
        InvalidValue: The request as a whole cannot be read.
    """
    kind = content_type.partition(";")[0].strip().lower()
    if kind == JOURNAL_TYPE:
        return entries_in(body)
    if kind != "application/json":
        raise InvalidValue(
            f"entries of a journal were sent as {kind[:60]!r}: wanted {JOURNAL_TYPE} or application/json"
        )
    try:
        return [_entry(each) for each in _ENTRIES.validate_json(body).entries]
    except ValidationError as error:
        if (count := error.error_count()) > MOST_TOLD:
            raise InvalidValue(f"body: {count} things are not as described") from None
        first = error.errors()[0]
        raise InvalidValue(f"{'.'.join(map(str, first['loc']))}: {first['msg']}") from None


def apply(here: Context, given: Sequence[Read], journal: str, first: int) -> Json:
    """Write entries; return how far the journal is written, and what of it never will be.

    Where the store fails in the middle, that is not all of them: then the client sends the rest again.

    Raises:
        InvalidValue: The journal's name or the position cannot be used.
        StoreError: The store cannot be written now; nothing is acknowledged.
    """
    limits.check_text(journal, "name", _NAME)
    if not 0 <= first < 2**62:
        raise InvalidValue(limits.invalid("first", first, "Wanted the number of an entry, from 0."))
    refused: list[tuple[int, ToolkitError]] = []
    entries: list[Entry | None] = []
    for index, each in enumerate(given):
        try:
            entries.append(checked(each, here))
        except (InvalidValue, JournalError) as error:
            entries.append(None)
            refused.append((index, error))
    places = {id(entry): index for index, entry in enumerate(entries)}
    try:
        rejections, written = here.stores.runs.apply(entries, journal=journal, first=first), len(entries)
    except StoreError as failure:
        if not failure.applied:
            raise
        logger.warning("entries from %d on of the journal %s: %s", first + failure.applied, journal, failure)
        rejections, written = failure.rejections, failure.applied
    refused += [(places[id(rejection.entry)], rejection.error) for rejection in rejections]
    told = sorted((each for each in refused if each[0] < written), key=lambda each: each[0])
    return {"position": first + written, "rejections": [_refusal(index, error) for index, error in told]}


def _refusal(index: int, error: ToolkitError) -> Json:
    code = "INVALID_VALUE" if isinstance(error, JournalError) else code_of(error)
    return {"index": index, "code": code, "message": error.message}


def checked(entry: Read, here: Context) -> Entry | None:
    """Return an entry if it can be written as far as its form goes; places as they are stored.

    Raises:
        InvalidValue: Something of it is out of bounds.
        JournalError: It could not be read.
    """
    if isinstance(entry, ToolkitError):
        raise entry
    try:
        return _checked(entry, here)
    except (TypeError, AttributeError, ValueError) as error:
        if isinstance(error, InvalidValue):
            raise
        raise InvalidValue(f"the entry has a value of the wrong type: {error}") from None


def _checked(entry: Entry | None, here: Context) -> Entry | None:
    """Check the types of what an entry holds, and points; the rest is the store's to check."""
    if isinstance(entry, Begun):
        return _begun(entry, here)
    if isinstance(entry, Logged):
        _mappings(entry.params, entry.tags)
        return replace(entry, points=_points(entry.points)) if entry.points else entry
    if isinstance(entry, Listed):
        for file in entry.artifacts:
            _integers(file.size, file.created)
    elif isinstance(entry, Used):
        _mappings(*(item.tags for item in entry.inputs))
    elif isinstance(entry, Ended) and not entry.status.terminal:
        raise InvalidValue(limits.invalid("status", entry.status.value, "Wanted the state of an ended run."))
    return entry


def _begun(entry: Begun, here: Context) -> Begun:
    new = entry.new
    _mappings(new.tags, new.params)
    limits.check_text(new.experiment_id, "experiment_id", limits.KEY_LENGTH)
    _integers(new.lease_ms)
    if new.owner is not None:
        limits.check_text(new.owner.host, "owner.host", limits.TAG_VALUE_LENGTH)
        _integers(new.owner.pid, new.owner.started)
    if new.artifact_uri is None:
        return entry
    return replace(entry, new=replace(new, artifact_uri=here.place(new.artifact_uri)))


def _points(points: Sequence[limits.Point]) -> list[limits.Point]:
    """Return points as stores keep them: each number in the one form that it has."""
    for key in {point[0] for point in points}:
        limits.check_key(key, "name", "Metric name")
    written: list[limits.Point] = []
    for key, step, timestamp, value, special in points:
        if timestamp < 0 or type(timestamp) is not int or type(step) is not int or step not in _INT64:
            raise InvalidValue(limits.invalid("timestamp", timestamp, "Wanted integers, and a time from 0."))
        written.append((key, step, timestamp, *to_stored(from_stored(float(value), special))))
    limits.check_time(max(point[2] for point in points), "timestamp")
    return written


def _mappings(*values: object) -> None:
    for value in values:
        if not isinstance(value, Mapping):
            raise InvalidValue(limits.invalid("entry", value, "Wanted an object."))


def _integers(*values: int) -> None:
    for value in values:
        if type(value) is not int or value not in _INT64:
            raise InvalidValue(limits.invalid("entry", value, "Wanted a 64-bit integer."))


def _entry(given: BaseModel | None) -> Read:
    """Return the entry that JSON says."""
    try:
        return _read(given)
    except InvalidValue as error:
        return error


def _read(given: BaseModel | None) -> Entry | None:
    if isinstance(given, BegunEntry):
        owner = given.begun.owner
        return Begun(new=NewRun(**{**dict(given.begun), "owner": Owner(**dict(owner)) if owner else None}))
    if isinstance(given, LoggedEntry):
        points = _from_columns(given.columns)
        return Logged(run_id=given.logged, points=points, params=given.params, tags=given.tags)
    if isinstance(given, ListedEntry):
        return Listed(run_id=given.listed, artifacts=[ArtifactEntry(**dict(each)) for each in given.artifacts])
    if isinstance(given, UsedEntry):
        inputs = [
            DatasetInput(dataset=Dataset(**each.dataset.model_dump(by_alias=True)), tags=each.tags)
            for each in given.inputs
        ]
        return Used(run_id=given.used, inputs=inputs)
    if isinstance(given, EndedEntry):
        return Ended(run_id=given.ended, status=given.status, end_time=given.end_time, reason=given.reason)
    return None


def _from_columns(given: records.PointColumns) -> list[limits.Point]:
    columns = (given.keys, given.steps, given.timestamps, given.values)
    if len({len(column) for column in columns}) != 1:
        raise InvalidValue("the columns of the points have different lengths")
    return [
        (key, step, timestamp, *to_stored(float(value))) for key, step, timestamp, value in zip(*columns, strict=True)
    ]
