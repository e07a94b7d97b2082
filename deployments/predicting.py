"""Asking a deployment from the command line: a file becomes the body of a request, and the answer is text."""

from __future__ import annotations

import json
from pathlib import PurePath

from toolkit.deployments.endpoint import JSON, Answer
from toolkit.errors import InvalidValue, TargetFailed

_TYPES = {"csv": "text/csv", "json": JSON, "jsonl": JSON, "parquet": "application/vnd.apache.parquet"}
_ENDINGS = {
    ".csv": "csv",
    ".json": "json",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".parquet": "parquet",
    ".pq": "parquet",
}


def format_of(path: str, given: str | None) -> str:
    """Return the format of a file: as given, else as its ending says; JSON of standard input.

    Raises:
        InvalidValue: There is no such format, or the ending says none.
    """
    known = ", ".join(_TYPES)
    if given is not None:
        if given.lower() not in _TYPES:
            raise InvalidValue(f"--input-format is {given!r}: wanted one of {known}")
        return given.lower()
    if path == "-":
        return "json"
    found = _ENDINGS.get(PurePath(path).suffix.lower())
    if found is None:
        raise InvalidValue(f"{path} does not end in a known format: give --input-format, one of {known}")
    return found


def request_of(rows: bytes, kind: str) -> tuple[bytes, str]:
    """Return the body of a request, and its content type.

    Args:
        rows: CSV and parquet as they are; JSON: a request of MLflow's protocol, a list of records, or columns and data
            apart; JSON lines: a record each.
        kind: Their format.

    Raises:
        InvalidValue: They are no JSON, or none of these.
    """
    if kind not in ("json", "jsonl"):
        return rows, _TYPES[kind]
    try:
        if kind == "jsonl":
            return _json({"dataframe_records": [json.loads(line) for line in rows.splitlines() if line.strip()]})
        read = json.loads(rows)
    except ValueError as error:
        raise InvalidValue(f"what is to be predicted is no JSON: {error}") from None
    if isinstance(read, list):
        records = all(isinstance(each, dict) for each in read)
        return _json({"dataframe_records" if records else "inputs": read})
    if isinstance(read, dict) and "data" in read and set(read) <= {"columns", "index", "data"}:
        return _json({"dataframe_split": read})
    return rows, JSON


def prediction(answer: Answer, name: str) -> bytes:
    """Return the body of an answer that is a prediction.

    Raises:
        InvalidValue: The service did not take the request.
        TargetFailed: The service failed.
    """
    if answer.status == 200:
        return answer.body
    told = f"deployment {name} answered {answer.status}: {answer.problem}"
    raise InvalidValue(told) if 400 <= answer.status < 500 else TargetFailed(told)


def _json(value: object) -> tuple[bytes, str]:
    return json.dumps(value).encode(), JSON
