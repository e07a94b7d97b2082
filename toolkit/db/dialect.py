"""What differs between databases, in one place: upserts, the clock, lists, patterns, hints, prepared statements."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any, TypeVar, cast

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Connection,
    Dialect,
    Executable,
    Table,
    Text,
    bindparam,
    func,
    literal_column,
    select,
)
from sqlalchemy.dialects import postgresql, sqlite

SQLITE = "sqlite"

_GLOB = str.maketrans({"%": "*", "_": "?", "*": "[*]", "?": "[?]", "[": "[[]"})
T = TypeVar("T")


def insert(table: Table, dialect: str) -> sqlite.Insert:
    """Return an INSERT that knows ON CONFLICT. Both kinds have the same methods; only their class differs."""
    if dialect == SQLITE:
        return sqlite.insert(table)
    return cast(sqlite.Insert, postgresql.insert(table))


def clock_ms(dialect: str) -> ColumnElement[int]:
    """Return the time now in milliseconds since 1970 UTC by the clock of the database."""
    if dialect == SQLITE:
        text = "CAST(round((julianday('now') - 2440587.5) * 86400000) AS INTEGER)"
    else:
        text = "CAST(extract(epoch FROM clock_timestamp()) * 1000 AS BIGINT)"
    return literal_column(text, BigInteger)


def one_of(column: ColumnElement[int], numbers: Sequence[int], dialect: str) -> ColumnElement[bool]:
    """Return the condition that a column is one of these numbers: one bound value, however many they are."""
    if dialect == SQLITE:
        values = func.json_each(bindparam(None, json.dumps(list(numbers)))).table_valued("value")
        return column.in_(select(values.c.value))
    listed = bindparam(None, list(numbers), type_=postgresql.ARRAY(BigInteger))
    return column == func.any(listed)


def one_of_texts(column: ColumnElement[str], texts: Sequence[str], dialect: str) -> ColumnElement[bool]:
    """Return the condition that a column is one of these texts: one bound value, however many they are."""
    if dialect == SQLITE:
        values = func.json_each(bindparam(None, json.dumps(list(texts)))).table_valued("value")
        return column.in_(select(values.c.value))
    return column == func.any(bindparam(None, list(texts), type_=postgresql.ARRAY(Text)))


def like(column: ColumnElement[str], pattern: str, dialect: str) -> ColumnElement[bool]:
    """Return the condition that text is like a pattern of ``%`` and ``_``; case counts, and nothing escapes."""
    if dialect == SQLITE:  # whose LIKE does not tell A from a
        return column.op("GLOB", is_comparison=True)(pattern.translate(_GLOB))
    return column.like(pattern.replace("\\", "\\\\"))


def ilike(column: ColumnElement[str], pattern: str, dialect: str) -> ColumnElement[bool]:
    """Return the condition that text is like a pattern whatever the case.

    SQLite knows the cases of A to Z only: for other letters it calls ``toolkit_ilike``, which `define` must have made.
    """
    if dialect != SQLITE:
        return column.ilike(pattern.replace("\\", "\\\\"))
    return column.like(pattern) if pattern.isascii() else func.toolkit_ilike(pattern, column) == 1


def regexp(column: ColumnElement[str], pattern: str, dialect: str) -> ColumnElement[bool]:
    """Return the condition that an expression is found in text. SQLite calls ``toolkit_regexp`` (see `define`)."""
    if dialect == SQLITE:
        return func.toolkit_regexp(pattern, column) == 1
    return column.op("~", is_comparison=True)(pattern)


def define(connection: Connection, name: str, function: Callable[[str, str], bool]) -> None:
    """Let the statements of an SQLite connection call a function of two texts."""
    driver = cast(Any, connection.connection.dbapi_connection)
    driver.create_function(name, 2, function, deterministic=True)


def unindexed(column: ColumnElement[T], dialect: str) -> ColumnElement[T]:
    """Return a column by which no index shall be chosen. PostgreSQL knows how many rows there are, and chooses well."""
    return column.op("+", is_comparison=False)(literal_column("0")) if dialect == SQLITE else column


class Prepared:
    """A statement that is compiled once and runs over many rows of plain tuples.

    It goes round the processing of each row's parameters, which takes as long as SQLite takes to write them.

    Args:
        statement: What to run. Its bound parameters are named after columns.
        names: The parameters, in the order of each row's values.
        dialect: Of the engine that it will run on.
    """

    def __init__(self, statement: Executable, names: Sequence[str], dialect: Dialect) -> None:
        compiled = cast(Any, statement).compile(dialect=dialect, column_keys=list(names))
        if list(compiled.positiontup or ()) != list(names):
            raise AssertionError(f"parameters {compiled.positiontup} of the statement are not {list(names)}")
        self._text = str(compiled)

    def run(self, connection: Connection, rows: Sequence[tuple[object, ...]]) -> None:
        """Run it for each row, as one call of the driver."""
        if rows:
            connection.exec_driver_sql(self._text, list(rows))
