"""Rows into a file, some at a time: the file is there whole, or not at all."""

from __future__ import annotations

import base64
import csv
import errno
import io
import json
import os
import shutil
import sys
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Protocol

from toolkit.errors import InvalidValue, StorageFull
from toolkit.models.rows.kinds import STANDARD, Kind

if TYPE_CHECKING:
    import pandas as pd


class Writer(Protocol):
    """Takes rows."""

    def write(self, frame: pd.DataFrame) -> None:
        """Add rows; all tables have the same columns.

        Raises:
            InvalidValue: They cannot be kept in this kind of file.
        """
        ...

    def close(self) -> None:
        """Write what comes at the end."""
        ...


@contextmanager
def writing(path: str, kind: Kind, *, stdout: IO[bytes] | None = None) -> Iterator[Writer]:
    """Open a file of rows for a block; only when the block has ended well it takes the place of what was there.

    Args:
        path: The file, or ``-`` for standard output.
        kind: What kind of file it is.
        stdout: What to write to instead of standard output.

    Raises:
        InvalidValue: The file cannot be written there.
        StorageFull: There is no space left.
    """
    with _whole(path, stdout) as file:
        writer = _WRITERS[kind](file)
        yield writer
        writer.close()


@contextmanager
def _whole(path: str, stdout: IO[bytes] | None) -> Iterator[IO[bytes]]:
    """Give a file that takes its place when the block has ended well."""
    goal = Path(path).resolve()  # a link stays one
    if path == STANDARD or (goal.exists() and not goal.is_file() and not goal.is_dir()):
        with tempfile.TemporaryFile(prefix="toolkit-") as spool:
            yield spool
            spool.seek(0)
            if path == STANDARD:
                _copy(spool, stdout or sys.stdout.buffer)
            else:
                with goal.open("wb") as device:  # such as /dev/null, whose place no file must take
                    _copy(spool, device)
        return
    if goal.is_dir():
        raise InvalidValue(f"{path} is a folder: wanted the name of a file")
    part = goal.with_name(f".{goal.name}.{uuid.uuid4().hex[:8]}.part")
    try:
        with _opened(part, path) as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        if goal.exists():
            shutil.copymode(goal, part)
        part.replace(goal)
    except OSError as error:
        if error.errno == errno.ENOSPC:
            raise StorageFull(f"there is no space left for {path}") from None
        raise
    finally:
        part.unlink(missing_ok=True)


def _copy(source: IO[bytes], target: IO[bytes]) -> None:
    shutil.copyfileobj(source, target)
    target.flush()


def _opened(part: Path, path: str) -> IO[bytes]:
    try:
        return part.open("xb")
    except OSError as error:
        raise InvalidValue(f"{path} cannot be written: {error.strerror or error}") from None


class _Csv:
    def __init__(self, file: IO[bytes]) -> None:
        self._text = io.TextIOWrapper(file, encoding="utf-8", newline="", write_through=False)
        self._writer = csv.writer(self._text, lineterminator="\n")
        self._begun = False

    def write(self, frame: pd.DataFrame) -> None:
        if not self._begun:
            self._writer.writerow([str(name) for name in frame.columns])
            self._begun = True
        columns = [[_cell(value) for value in _values(frame[name])] for name in frame.columns]
        self._writer.writerows(zip(*columns, strict=True))

    def close(self) -> None:
        self._text.flush()
        self._text.detach()


class _Json:
    """A list of records."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self._between = b"["

    def write(self, frame: pd.DataFrame) -> None:
        for record in _records(frame):
            self._file.write(self._between + _json(record))
            self._between = b",\n "

    def close(self) -> None:
        self._file.write(b"[]\n" if self._between == b"[" else b"]\n")


class _Lines:
    def __init__(self, file: IO[bytes]) -> None:
        self._file = file

    def write(self, frame: pd.DataFrame) -> None:
        self._file.writelines(_json(record) + b"\n" for record in _records(frame))

    def close(self) -> None:
        pass


class _Split:
    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self._between = b""

    def write(self, frame: pd.DataFrame) -> None:
        if not self._between:
            self._file.write(b'{"columns":' + _json([str(name) for name in frame.columns]) + b',"data":[')
        for row in _rows(frame):
            self._file.write(self._between + _json(row))
            self._between = b",\n "

    def close(self) -> None:
        self._file.write(b"]}\n" if self._between else b'{"columns":[],"data":[]}\n')


class _Parquet:
    def __init__(self, file: IO[bytes]) -> None:
        try:
            import pyarrow as pa  # noqa: PLC0415 - heavy, and only for this kind of file
            from pyarrow import parquet  # noqa: PLC0415 - the same
        except ImportError:
            raise InvalidValue("Parquet is written with pyarrow, which is not installed: pip install pyarrow") from None
        self._pa: Any = pa
        self._parquet: Any = parquet
        self._file = file
        self._writer: Any = None
        self._rows = 0

    def write(self, frame: pd.DataFrame) -> None:
        pa = self._pa
        named = frame.rename(columns=str)
        try:
            if self._writer is None:
                schema = _nullable(pa, pa.Schema.from_pandas(named, preserve_index=False)).remove_metadata()
                self._writer = self._parquet.ParquetWriter(self._file, schema)
            table = pa.Table.from_pandas(named, schema=self._writer.schema, preserve_index=False)
            self._writer.write_table(table.replace_schema_metadata(None))
        except pa.ArrowException as error:
            raise InvalidValue(
                f"the predictions from row {self._rows + 1} on do not go into Parquet with those before them: "
                f"{' '.join(str(error).split())}"
            ) from None
        self._rows += len(frame)

    def close(self) -> None:
        if self._writer is None:
            self._writer = self._parquet.ParquetWriter(self._file, self._pa.schema([]))
        self._writer.close()


def _nullable(pa: Any, schema: Any) -> Any:  # noqa: ANN401 - of pyarrow
    """Return a schema where a column that holds nothing yet may hold text later on."""
    return pa.schema([field.with_type(pa.string()) if pa.types.is_null(field.type) else field for field in schema])


_WRITERS: dict[Kind, type[_Csv | _Json | _Lines | _Split | _Parquet]] = {
    Kind.CSV: _Csv,
    Kind.JSON: _Json,
    Kind.LINES: _Lines,
    Kind.SPLIT: _Split,
    Kind.PARQUET: _Parquet,
}


def _values(column: pd.Series[Any]) -> list[Any]:
    """Return the values of a column as Python's, missing ones as ``None``."""
    values: list[Any] = column.tolist()
    if column.dtype.kind in "iub":
        return values
    missing = column.isna().tolist()
    return [None if gone else value for value, gone in zip(values, missing, strict=True)]


def _rows(frame: pd.DataFrame) -> Iterator[tuple[Any, ...]]:
    return zip(*(_values(frame[name]) for name in frame.columns), strict=True)


def _records(frame: pd.DataFrame) -> Iterator[dict[str, Any]]:
    names = [str(name) for name in frame.columns]
    return (dict(zip(names, row, strict=True)) for row in _rows(frame))


def _json(value: object) -> bytes:
    import orjson  # noqa: PLC0415 - only for this kind of file

    return orjson.dumps(value, default=_plain, option=orjson.OPT_SERIALIZE_NUMPY | orjson.OPT_NON_STR_KEYS)


def _plain(value: Any) -> Any:  # noqa: ANN401 - whatever a model gives
    if isinstance(value, bytes):
        return base64.b64encode(value).decode("ascii")
    for convert in ("isoformat", "tolist", "model_dump"):
        if callable(found := getattr(value, convert, None)):
            return found()
    if isinstance(value, set | frozenset):
        return sorted(value)
    return str(value)


def _cell(value: Any) -> Any:  # noqa: ANN401 - whatever a model gives
    """Return what stands in a cell of CSV: numbers and text as they are, nested values as JSON."""
    if value is None:
        return ""
    if isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, bytes):
        return _plain(value)
    if isinstance(value, list | dict | tuple) or hasattr(value, "tolist"):
        return _json(value).decode("utf-8")
    return json.loads(_json(value)) if hasattr(value, "isoformat") else _plain(value)
