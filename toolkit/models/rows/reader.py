"""Rows of a file, some at a time: the memory that it takes does not grow with the file."""

from __future__ import annotations

import csv
import io
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from toolkit.errors import InvalidValue, NotFound, SchemaMismatch
from toolkit.models import casting
from toolkit.models.rows.cells import BadCell, renamed, typed
from toolkit.models.rows.json_text import Row, lines, rows
from toolkit.models.rows.kinds import STANDARD, Kind

if TYPE_CHECKING:
    import pandas as pd

    from toolkit.models.schema import Schema

_WIDEST = 1 << 27  # bytes of a cell of CSV


@dataclass(frozen=True, kw_only=True, slots=True)
class Chunk:
    """Some rows of a file.

    Attributes:
        data: The rows as a table, numbered from 0; rows of a tensor as an array, of several as arrays by name.
        rows: How many they are.
        first: Which row of the file the first of them is, from 1; a header is none.
        share: Which part of the file has been read, 0 to 1; ``None`` where that is not known.
        text: The cells of each column as the file has them, where that is text.
    """

    data: Any
    rows: int
    first: int
    share: float | None = None
    text: Mapping[str, Sequence[str]] | None = None


def place(name: str, row: int) -> str:
    """Return how a row of a file is called in messages."""
    return f"{name}, row {row}: "


@contextmanager
def reading(
    path: str, kind: Kind, size: int, schema: Schema | None = None, *, stdin: IO[bytes] | None = None
) -> Iterator[Iterator[Chunk]]:
    """Open a file of rows for a block, which gets its chunks.

    Args:
        path: The file, or ``-`` for standard input.
        kind: What kind of file it is.
        size: So many rows a chunk.
        schema: What the columns are, where that is known: cells are brought into its types.
        stdin: What to read instead of standard input.

    Raises:
        NotFound: There is no such file.
        InvalidValue: It cannot be read, or a row does not have the columns or the types; the message names the row.
    """
    name = "standard input" if path == STANDARD else path
    with _opened(path, kind, stdin) as file:
        length = file.seek(0, io.SEEK_END) if file.seekable() else 0
        if length:
            file.seek(0)

        def share() -> float | None:
            return min(1.0, file.tell() / length) if length else None

        if kind is Kind.PARQUET:
            yield _parquet(file, name, size, schema)
        elif kind is Kind.CSV:
            yield _csv(file, name, size, schema, share)
        else:
            yield _json(file, name, kind, size, schema, share)


@contextmanager
def _opened(path: str, kind: Kind, stdin: IO[bytes] | None) -> Iterator[IO[bytes]]:
    if path != STANDARD:
        try:
            with Path(path).open("rb") as file:
                yield file
        except FileNotFoundError:
            raise NotFound(f"there is no file {path}") from None
        except (IsADirectoryError, PermissionError) as error:
            raise InvalidValue(f"{path} cannot be read: {error.strerror}") from None
        return
    source = stdin or sys.stdin.buffer
    if kind is not Kind.PARQUET:
        yield source
        return
    with tempfile.TemporaryFile(prefix="toolkit-") as copy:  # Parquet has its table of contents at the end
        shutil.copyfileobj(source, copy)
        copy.seek(0)
        yield copy


def _csv(
    file: IO[bytes], name: str, size: int, schema: Schema | None, share: Callable[[], float | None]
) -> Iterator[Chunk]:
    csv.field_size_limit(_WIDEST)
    reader = csv.reader(
        io.TextIOWrapper(io.BufferedReader(_Unclosed(file)), encoding="utf-8-sig", newline=""), strict=True
    )
    with _told(name, lambda: f" near line {reader.line_num + 1}"):
        header = next(reader, None)
    if not header:
        raise InvalidValue(f"{name} is empty: wanted a header with the names of the columns")
    if twice := [column for column in header if header.count(column) > 1]:
        raise InvalidValue(f"{name} has the column {twice[0]!r} more than once")
    first = 1
    while True:
        found: list[list[str]] = []
        with _told(name, lambda: f" near line {reader.line_num + 1}"):
            for row in islice(filter(None, reader), size):  # an empty line is no row
                _check_width(row, header, name, first + len(found), reader.line_num)
                found.append(row)
        if not found:
            return
        cells = dict(zip(header, zip(*found, strict=True), strict=True))
        data = _table(cells, len(found), name, first, schema, text=True)
        yield Chunk(data=data, rows=len(found), first=first, share=share(), text=cells)
        first += len(found)


def _check_width(cells: list[str], header: list[str], name: str, row: int, line: int) -> None:
    if len(cells) != len(header):
        raise InvalidValue(
            f"{name}, row {row} (line {line}): it has {len(cells)} values; wanted {len(header)}, as the header has"
        )


def _json(
    file: IO[bytes], name: str, kind: Kind, size: int, schema: Schema | None, share: Callable[[], float | None]
) -> Iterator[Chunk]:
    text = io.TextIOWrapper(io.BufferedReader(_Unclosed(file)), encoding="utf-8-sig")
    parsed = (lines if kind is Kind.LINES else rows)(text, name)
    first, records = 1, None
    while True:
        with _told(name, lambda: ""):
            found = list(islice(parsed, size))
        if not found:
            return
        records = isinstance(found[0].value, dict) if records is None else records
        data = _tensors(found, schema, name, first)
        if data is None:
            values, columns = (_of_records if records else _of_lists)(found, name, first)
            turned = list(zip(*values, strict=True))
            named = dict(zip(range(len(turned)) if columns is None else columns, turned, strict=True))
            data = _table(named, len(found), name, first, schema, text=False)
        yield Chunk(data=data, rows=len(found), first=first, share=share())
        first += len(found)


def _tensors(found: list[Row], schema: Schema | None, name: str, first: int) -> Any:  # noqa: ANN401 - arrays
    """Return rows of tensors as arrays; ``None`` for rows of columns, and for rows whose columns have names."""
    if schema is None or not schema.is_tensor_spec() or found[0].columns is not None:
        return None
    records = isinstance(found[0].value, dict)
    if records != schema.has_input_names():
        return None
    try:
        if not records:
            return casting.tensor([row.value for row in found], str(schema.tensors()[0].type))
        return {
            each.name: casting.tensor([row.value[each.name] for row in found], str(each.type))
            for each in schema.tensors()
        }
    except (KeyError, TypeError):
        raise InvalidValue(f"{name}: a row from {first} on lacks one of the tensors {schema.input_names()}") from None
    except SchemaMismatch as error:
        last = first + len(found) - 1
        raise InvalidValue(f"{name}, rows {first} to {last}: {error.came} came, wanted {error.wanted}") from None


def _of_records(found: list[Row], name: str, first: int) -> tuple[list[Any], list[Any]]:
    """Return records as lists of values, and the names of their columns."""
    columns: dict[str, None] = {}
    for at, row in enumerate(found):
        if not isinstance(row.value, dict):
            raise InvalidValue(f"{place(name, first + at)}it is {_type(row.value)}; wanted a record, as before")
        columns.update(dict.fromkeys(row.value))
    names = list(columns)
    return [[row.value.get(column) for column in names] for row in found], names


def _of_lists(found: list[Row], name: str, first: int) -> tuple[list[Any], list[Any] | None]:
    """Return lists of values, and the names of their columns where the file has them; a value alone is a list, too."""
    given = found[0].columns
    values = [row.value if isinstance(row.value, list) else [row.value] for row in found]
    width = len(given) if given is not None else len(values[0])
    for at, (row, each) in enumerate(zip(found, values, strict=True)):
        if isinstance(row.value, dict) or len(each) != width:
            what = "a record" if isinstance(row.value, dict) else f"{len(each)} values"
            raise InvalidValue(f"{place(name, first + at)}it has {what}; wanted {width} values")
    return values, list(given) if given is not None else None


def _type(value: object) -> str:
    names = {"list": "a list", "str": "text", "int": "a number", "float": "a number", "NoneType": "null"}
    return names.get(type(value).__name__, type(value).__name__)


def _table(
    cells: Mapping[Any, Sequence[Any]], rows: int, name: str, first: int, schema: Schema | None, *, text: bool
) -> pd.DataFrame:
    try:
        return typed(cells, schema, rows=rows, text=text)
    except BadCell as error:
        raise InvalidValue(error.told(place(name, first + error.row))) from None


def _parquet(file: IO[bytes], name: str, size: int, schema: Schema | None) -> Iterator[Chunk]:
    try:
        import pyarrow as pa  # noqa: PLC0415 - heavy, and only for this kind of file
        from pyarrow import parquet  # noqa: PLC0415 - the same
    except ImportError:
        raise InvalidValue("Parquet is read with pyarrow, which is not installed: pip install pyarrow") from None
    first = 1
    try:
        source = parquet.ParquetFile(file, pre_buffer=False, buffer_size=1 << 20)
        total = source.metadata.num_rows
        for batch in source.iter_batches(batch_size=size, use_threads=False):
            if not batch.num_rows:
                continue
            frame = batch.to_pandas().reset_index(drop=True)
            frame = frame.rename(columns=renamed(list(frame.columns), schema))
            yield Chunk(data=frame, rows=len(frame), first=first, share=(first - 1 + len(frame)) / total)
            first += batch.num_rows
    except pa.ArrowException as error:
        raise InvalidValue(f"{name} is no Parquet that can be read: {' '.join(str(error).split())}") from None


@contextmanager
def _told(name: str, where: Callable[[], str]) -> Iterator[None]:
    """Turn what reading text raises into a line."""
    try:
        yield
    except UnicodeDecodeError as error:
        raise InvalidValue(f"{name} is no UTF-8: {error.reason}") from None
    except csv.Error as error:
        raise InvalidValue(f"{name} is no CSV{where()}: {error}") from None


class _Unclosed(io.RawIOBase):
    """A binary file that a text wrapper does not close when it is thrown away."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file

    def readable(self) -> bool:
        """Tell that it can be read."""
        return True

    def readinto(self, target: Any) -> int:  # noqa: ANN401 - a buffer
        """Read into a buffer."""
        block = self._file.read(len(target))
        target[: len(block)] = block
        return len(block)
