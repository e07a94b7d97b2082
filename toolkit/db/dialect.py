"""What differs between databases, in one place: upserts, the clock, lists, patterns, hints, prepared statements."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar, cast

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Connection,
    Dialect,
    Double,
    Executable,
    FromClause,
    Integer,
    LargeBinary,
    Table,
    Text,
    and_,
    bindparam,
    func,
    literal_column,
    select,
)
from sqlalchemy import cast as sql_cast
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.sql.expression import BindParameter
from sqlalchemy.types import TypeEngine

from toolkit.db.sqlite import direct

SQLITE = "sqlite"
_CONTAINS = "toolkit_contains"

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
    return among(column, bindparam(None, listed(numbers, dialect), type_=_list_type(BigInteger(), dialect)), dialect)


def numbers(values: Sequence[int], dialect: str) -> FromClause:
    """Return whole numbers as a table with one column, ``value``: one bound value, however many they are."""
    if dialect == SQLITE:
        return func.json_each(bindparam(None, json.dumps(list(values)))).table_valued("value")
    listed = bindparam(None, list(values), type_=postgresql.ARRAY(BigInteger))
    return func.unnest(listed).table_valued("value").render_derived()


def columns(values: Mapping[str, Sequence[int]], dialect: str) -> FromClause:
    """Return columns of whole numbers, all of one length, as a table: a bound value or so, however long they are."""
    names = list(values)
    if dialect == SQLITE:
        rows = json.dumps(list(zip(*values.values(), strict=True)))
        each = func.json_each(bindparam(None, rows)).table_valued("value")
        parts = [
            func.json_extract(each.c.value, f"$[{n}]", type_=BigInteger).label(name) for n, name in enumerate(names)
        ]
        return select(*parts).cte("given")
    arrays = [bindparam(None, list(values[name]), type_=postgresql.ARRAY(BigInteger)) for name in names]
    given = func.unnest(*arrays).table_valued(*names).render_derived()
    return select(*(sql_cast(given.c[name], BigInteger).label(name) for name in names)).cte("given")


def one_of_texts(column: ColumnElement[str], texts: Sequence[str], dialect: str) -> ColumnElement[bool]:
    """Return the condition that a column is one of these texts: one bound value, however many they are."""
    return among(column, bindparam(None, listed(texts, dialect), type_=_list_type(Text(), dialect)), dialect)


def among(column: ColumnElement[T], given: BindParameter[Any], dialect: str) -> ColumnElement[bool]:
    """Return the condition that a column is one of the values of a list, which is one parameter (see `listed`)."""
    if dialect == SQLITE:
        values = func.json_each(given).table_valued("value")
        return column.in_(select(values.c.value))
    return column == func.any(given)


def numbers_parameter(name: str, dialect: str) -> BindParameter[Any]:
    """Return a parameter for a list of whole numbers; its value is what `listed` makes of them."""
    return bindparam(name, type_=_list_type(BigInteger(), dialect))


def texts_parameter(name: str, dialect: str) -> BindParameter[Any]:
    """Return a parameter for a list of texts; its value is what `listed` makes of them."""
    return bindparam(name, type_=_list_type(Text(), dialect))


def listed(values: Sequence[int] | Sequence[str], dialect: str) -> object:
    """Return a list as the driver takes it for one parameter."""
    return json.dumps(list(values)) if dialect == SQLITE else list(values)


def _list_type(kind: TypeEngine[Any], dialect: str) -> TypeEngine[Any]:
    return Text() if dialect == SQLITE else postgresql.ARRAY(kind)


def like(column: ColumnElement[str], pattern: str, dialect: str) -> ColumnElement[bool]:
    """Return the condition that text is like a pattern of ``%`` and ``_``; case counts, and nothing escapes."""
    if dialect == SQLITE:  # whose LIKE does not tell A from a
        return column.op("GLOB", is_comparison=True)(pattern.translate(_GLOB))
    return column.like(pattern.replace("\\", "\\\\"))


def ilike(column: ColumnElement[str], pattern: str, dialect: str) -> ColumnElement[bool]:
    """Return the condition that text is like a pattern whatever the case.

    SQLite knows the cases of A to Z only: for other letters it calls ``toolkit_ilike``, which `define` must have made.
    PostgreSQL knows no others either in text that is compared by code point: those are settled before, as for `regexp`.
    """
    if dialect != SQLITE:
        return column.ilike(pattern.replace("\\", "\\\\"))
    return column.like(pattern) if pattern.isascii() else func.toolkit_ilike(pattern, column) == 1


def regexp(column: ColumnElement[str], pattern: str, part: str, dialect: str) -> ColumnElement[bool]:
    """Return the condition that an expression is found in text: SQLite calls ``toolkit_regexp`` (see `define`).

    PostgreSQL's own expressions are of another syntax, and may take for ever: what is to be searched there is settled
    before (`toolkit.tracking.sql_search_texts`).

    Args:
        column: The text.
        pattern: The expression.
        part: What every text has in which it is found: whether it is there is told ten times as fast.
        dialect: Kind of database.
    """
    if dialect != SQLITE:
        raise AssertionError("an expression was to be evaluated by the database")
    found: ColumnElement[bool] = func.toolkit_regexp(pattern, column) == 1
    return and_(func.instr(column, part) > 0, found) if part else found


def as_text(column: ColumnElement[Any], dialect: str) -> ColumnElement[str]:
    """Return a number as text, compared by code point."""
    text: ColumnElement[str] = sql_cast(column, Text)
    return text if dialect == SQLITE else text.collate("C")


def define(connection: Connection, name: str, function: Callable[[str, str], bool]) -> None:
    """Let the statements of an SQLite connection call a function of two texts."""
    driver = cast(Any, connection.connection.dbapi_connection)
    driver.create_function(name, 2, function, deterministic=True)


def joined_text(column: ColumnElement[int], dialect: str) -> ColumnElement[str]:
    """Return all values of a column of whole numbers as one text, with commas between; NULL where there is none."""
    if dialect == SQLITE:
        return func.group_concat(column)
    return func.string_agg(sql_cast(column, Text), ",")


def contains(connection: Connection, mask: bytes, column: ColumnElement[int], dialect: str) -> ColumnElement[bool]:
    """Return the condition that the byte of a mask at this place is 1.

    On SQLite it holds for the next statement of the connection; `forget_mask` ends it.
    """
    if dialect == SQLITE:
        driver = cast(Any, connection.connection.dbapi_connection)
        driver.create_function(_CONTAINS, 1, mask.__getitem__, deterministic=True)
        marked: ColumnElement[bool] = getattr(func, _CONTAINS)(column) == 1
        return marked
    return func.get_byte(bindparam(None, mask, type_=LargeBinary), sql_cast(column, Integer)) == 1


def forget_mask(connection: Connection, dialect: str) -> None:
    """Let the connection no longer hold the mask of `contains`."""
    if dialect == SQLITE:
        cast(Any, connection.connection.dbapi_connection).create_function(_CONTAINS, 1, None)


def unindexed(column: ColumnElement[T], dialect: str) -> ColumnElement[T]:
    """Return a column by which no index shall be chosen. PostgreSQL knows how many rows there are, and chooses well."""
    return column.op("+", is_comparison=False)(literal_column("0")) if dialect == SQLITE else column


class Prepared:
    """A statement that is compiled once and runs over many rows of plain tuples.

    It goes round the processing of each row's parameters, which takes as long as SQLite takes to write them. On
    PostgreSQL the rows of an INSERT go as one array a column, in one statement, ordered by what may conflict: so two
    clients that write the same rows wait for each other, and never each for the other.

    Args:
        statement: What to run. Its bound parameters are named after columns.
        names: The parameters, in the order of each row's values.
        dialect: Of the engine that it will run on.
    """

    def __init__(self, statement: Executable, names: Sequence[str], dialect: Dialect) -> None:
        self._keys: tuple[int, ...] = ()
        self._columns: tuple[str, ...] = ()
        if dialect.name != SQLITE and isinstance(statement, postgresql.Insert) and _are_columns(names, statement):
            self._columns = tuple(f"v{at}" for at in range(len(names)))
            self._numeric = [not isinstance(_type_of(statement, name), Text) for name in names]
            self._keys = tuple(names.index(name) for name in _updated_by(statement))
            self._text = _from_arrays(statement, names, self._columns, dialect)
            return
        if dialect.name != SQLITE:
            dialect = postgresql.psycopg.dialect(paramstyle="format")  # type: ignore[no-untyped-call]
        compiled = cast(Any, statement).compile(dialect=dialect, column_keys=list(names))
        if list(compiled.positiontup or ()) != list(names):
            raise AssertionError(f"parameters {compiled.positiontup} of the statement are not {list(names)}")
        self._text = str(compiled)

    def run(self, connection: Connection, rows: Sequence[tuple[object, ...]]) -> None:
        """Run it for each row, as one call of the driver."""
        if not rows:
            return
        if not self._columns:
            if (driver := direct(connection)) is not None:
                driver.executemany(self._text, rows)
            else:
                connection.exec_driver_sql(self._text, list(rows))
            return
        for part in self._parts(rows):
            columns = zip(self._numeric, zip(*part, strict=True), strict=True)
            arrays = [_array(values) if numeric and None not in values else list(values) for numeric, values in columns]
            connection.exec_driver_sql(self._text, dict(zip(self._columns, arrays, strict=True)))

    def _parts(self, rows: Sequence[tuple[object, ...]]) -> list[Sequence[tuple[object, ...]]]:
        """Return the rows in parts of which none updates a row twice, which one statement may not."""
        if not self._keys or len(rows) == 1:
            return [rows]
        parts: list[dict[object, tuple[object, ...]]] = []
        times: dict[object, int] = {}
        for row in rows:
            key = tuple(row[at] for at in self._keys)
            at = times.get(key, 0)
            times[key] = at + 1
            if at == len(parts):
                parts.append({})
            parts[at][key] = row
        return [list(part.values()) for part in parts]


def _are_columns(names: Sequence[str], statement: postgresql.Insert) -> bool:
    return set(names) <= set(cast(Table, statement.table).c.keys())


def _updated_by(statement: postgresql.Insert) -> Sequence[str]:
    """Return the columns by which an INSERT finds the row to update instead."""
    clause = cast(Any, statement)._post_values_clause
    return list(clause.inferred_target_elements or ()) if hasattr(clause, "update_values_to_set") else []


def _from_arrays(
    statement: postgresql.Insert, names: Sequence[str], parameters: Sequence[str], dialect: Dialect
) -> str:
    """Return the text of an INSERT whose rows come from one array a column."""
    table = cast(Table, statement.table)
    types = [_type_of(statement, name) for name in names]
    arrays = [
        bindparam(parameter, type_=postgresql.ARRAY(kind)) for parameter, kind in zip(parameters, types, strict=True)
    ]
    given = func.unnest(*arrays).table_valued(*names).render_derived(name="given")
    keys = [column.name for column in table.primary_key.columns if column.name in names]
    rows = select(*(given.c[name] for name in names)).order_by(*(given.c[name] for name in keys))
    return str(statement.from_select(list(names), rows, include_defaults=False).compile(dialect=dialect))


def _array(numbers: Sequence[object]) -> str:
    """Return numbers as PostgreSQL writes an array; psycopg takes half as long again for it, a list item by item."""
    return f"{{{','.join(map(str, numbers))}}}"


def _type_of(statement: postgresql.Insert, name: str) -> TypeEngine[Any]:
    """Return the plain type of a column's values, for an array of them."""
    kind = cast(Table, statement.table).c[name].type
    if isinstance(kind, Text):
        return Text()
    return Double() if isinstance(kind, Double) else BigInteger()
