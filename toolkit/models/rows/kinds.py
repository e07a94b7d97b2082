"""Kinds of files that rows are kept in."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path

from toolkit.errors import InvalidValue

STANDARD = "-"
"""Stands for standard input and standard output."""


class Kind(StrEnum):
    """A kind of file."""

    CSV = "csv"
    """A header and comma-separated values, in UTF-8."""
    JSON = "json"
    """A list of records; read, too: columns, index and data apart, and the bodies that MLflow's servers take."""
    SPLIT = "split"
    """JSON with columns and data apart."""
    LINES = "jsonl"
    """A JSON record a line."""
    PARQUET = "parquet"
    """Parquet."""


_ENDINGS = {
    ".csv": Kind.CSV,
    ".json": Kind.JSON,
    ".jsonl": Kind.LINES,
    ".ndjson": Kind.LINES,
    ".parquet": Kind.PARQUET,
    ".pq": Kind.PARQUET,
}


def kind_of(path: str, given: str | None, option: str) -> Kind:
    """Return the kind of a file: as given, else as its ending says.

    Args:
        path: Its path, or ``-``.
        given: The kind's name, where the user gives it.
        option: The option that gives it, for the message.

    Raises:
        InvalidValue: There is no such kind, or the ending says none.
    """
    known = ", ".join(Kind)
    if given is not None:
        try:
            return Kind(given.lower())
        except ValueError:
            raise InvalidValue(f"{option} is {given!r}: wanted one of {known}") from None
    found = _ENDINGS.get(Path(path).suffix.lower())
    if found is None:
        what = (
            "standard input and output have no ending" if path == STANDARD else f"{path} does not end in a known format"
        )
        raise InvalidValue(f"{what}: give {option}, one of {known}")
    return found
