"""Entries of the journal as bytes.

One point of a metric, by far the most frequent entry, and many points logged in one call have a binary form of their
own; everything else is JSON. Floats keep every bit. The first byte tells the kind.
"""

from __future__ import annotations

import json
import struct
from dataclasses import asdict, fields
from typing import Any

from toolkit.errors import JournalError
from toolkit.tracking.entries import Begun, Ended, Entry, Listed, Logged, Used
from toolkit.tracking.records import ArtifactEntry, Dataset, DatasetInput, NewRun, Owner, RunStatus

_POINT = struct.Struct("<cqqdbHH")  # kind, step, timestamp, value, special, length of the run id, length of the key
_POINTS = struct.Struct("<cHI")  # kind, length of the run id, number of points; then the columns, then the keys
_NEW_RUN = tuple(field.name for field in fields(NewRun))
_ONE, _MANY, _JSON = b"m", b"M", b"j"


def encode(entry: Entry) -> bytes:
    """Return an entry as bytes. Its values must have been checked (`toolkit.tracking.limits`)."""
    if isinstance(entry, Logged) and entry.points and not entry.params and not entry.tags:
        return _encode_points(entry)
    return _JSON + json.dumps(_to_json(entry), ensure_ascii=False, separators=(",", ":")).encode()


def decode(payload: bytes) -> Entry:
    """Return the entry of `encode`.

    Raises:
        JournalError: The bytes are of another form, such as a newer version's.
    """
    try:
        kind = payload[:1]
        if kind == _ONE:
            return _decode_point(payload)
        if kind == _MANY:
            return _decode_points(payload)
        if kind == _JSON:
            return _from_json(json.loads(payload[1:]))
    except (ValueError, KeyError, TypeError, struct.error) as error:
        raise JournalError(f"a record of the journal cannot be read: {error}") from error
    raise JournalError(f"a record of the journal is of the unknown kind {kind!r}: a newer version of toolkit wrote it")


def _encode_points(entry: Logged) -> bytes:
    run = entry.run_id.encode()
    if len(entry.points) == 1:
        name, step, timestamp, value, special = entry.points[0]
        key = name.encode()
        return _POINT.pack(_ONE, step, timestamp, value, special, len(run), len(key)) + run + key
    keys, steps, timestamps, values, specials = zip(*entry.points, strict=True)
    columns = struct.pack(_columns(len(keys)), *steps, *timestamps, *values, *specials)
    # No key has a line break in it.
    return b"".join((_POINTS.pack(_MANY, len(run), len(keys)), run, columns, "\n".join(keys).encode()))


def _decode_point(payload: bytes) -> Logged:
    _, step, timestamp, value, special, run_length, key_length = _POINT.unpack_from(payload)
    start = _POINT.size
    middle = start + run_length
    point = (payload[middle : middle + key_length].decode(), step, timestamp, value, special)
    return Logged(run_id=payload[start:middle].decode(), points=(point,))


def _decode_points(payload: bytes) -> Logged:
    _, run_length, count = _POINTS.unpack_from(payload)
    at = _POINTS.size + run_length
    columns = struct.unpack_from(_columns(count), payload, at)
    keys = payload[at + struct.calcsize(_columns(count)) :].decode().split("\n")
    parts = (columns[start : start + count] for start in range(0, 4 * count, count))
    return Logged(run_id=payload[_POINTS.size : at].decode(), points=list(zip(keys, *parts, strict=True)))


def _columns(count: int) -> str:
    return f"<{count}q{count}q{count}d{count}b"


def _to_json(entry: Entry) -> dict[str, Any]:
    if isinstance(entry, Begun):
        return {"begun": _shallow(entry.new)}
    if isinstance(entry, Logged):
        return {
            "logged": entry.run_id,
            "points": list(entry.points),
            "params": dict(entry.params),
            "tags": dict(entry.tags),
        }
    if isinstance(entry, Listed):
        files = [(file.path, file.size, file.sha256, file.created) for file in entry.artifacts]
        return {"listed": entry.run_id, "files": files}
    if isinstance(entry, Used):
        return {"used": entry.run_id, "inputs": [asdict(item) for item in entry.inputs]}
    return {"ended": entry.run_id, "status": entry.status.value, "end": entry.end_time, "reason": entry.reason}


def _shallow(new: NewRun) -> dict[str, Any]:
    record = {name: getattr(new, name) for name in _NEW_RUN}
    record.update(tags=dict(new.tags), params=dict(new.params), owner=asdict(new.owner) if new.owner else None)
    return record


def _from_json(value: dict[str, Any]) -> Entry:
    if "begun" in value:
        new = value["begun"]
        owner = new.pop("owner")
        return Begun(new=NewRun(**new, owner=Owner(**owner) if owner else None))
    if "logged" in value:
        points = [(key, step, time, float(number), special) for key, step, time, number, special in value["points"]]
        return Logged(run_id=value["logged"], points=points, params=value["params"], tags=value["tags"])
    if "listed" in value:
        files = [
            ArtifactEntry(path=path, size=size, sha256=sha256, created=created)
            for path, size, sha256, created in value["files"]
        ]
        return Listed(run_id=value["listed"], artifacts=files)
    if "used" in value:
        inputs = [DatasetInput(dataset=Dataset(**item["dataset"]), tags=item["tags"]) for item in value["inputs"]]
        return Used(run_id=value["used"], inputs=inputs)
    return Ended(
        run_id=value["ended"], status=RunStatus(value["status"]), end_time=value["end"], reason=value["reason"]
    )
