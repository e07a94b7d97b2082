"""Statements that are compiled once, for what every request asks: to compile one takes longer than to run it."""

from __future__ import annotations

import sqlite3
from collections import namedtuple
from collections.abc import Callable, Iterable, Iterator
from typing import Any, cast

from sqlalchemy import Connection, CursorResult, Executable
from sqlalchemy.dialects import postgresql, sqlite

from toolkit.db.dialect import SQLITE
from toolkit.db.sqlite import direct


class Fixed:
    """A statement whose text does not change, for the driver.

    Rows come as the driver gives them: it is for columns of texts and numbers.

    Args:
        statement: What to run. Values that change are bound parameters with names.
        dialect: Kind of database.
    """

    def __init__(self, statement: Executable, dialect: str) -> None:
        if dialect == SQLITE:
            kind: Any = sqlite.dialect()
        else:
            kind = postgresql.psycopg.dialect(paramstyle="format")  # type: ignore[no-untyped-call]
        compiled = cast(Any, statement).compile(dialect=kind)
        self._text = str(compiled)
        self._names: tuple[str, ...] = tuple(compiled.positiontup or ())
        self._given: dict[str, object] = dict(compiled.params)
        self._record: Callable[[Iterable[Any]], Any] | None = None

    def run(self, connection: Connection, **values: object) -> CursorResult[*tuple[Any, ...]]:
        """Run it with these values; what is not given is as the statement says."""
        given = self._given
        row = tuple([values[name] if name in values else given[name] for name in self._names])
        if (driver := direct(connection)) is not None:
            return cast("CursorResult[*tuple[Any, ...]]", _Rows(self, driver.execute(self._text, row)))
        return connection.exec_driver_sql(self._text, row)

    def record(self, cursor: sqlite3.Cursor) -> Callable[[Iterable[Any]], Any]:
        """Return what makes a row with names of one of the driver's."""
        if self._record is None:
            names = [column[0] for column in cursor.description]
            kind: Any = namedtuple("Row", names, rename=True)  # type: ignore[misc]  # they are known only now
            self._record = kind._make
        return cast("Callable[[Iterable[Any]], Any]", self._record)


class _Rows:
    """Rows of the driver, with what is used of SQLAlchemy's results."""

    def __init__(self, statement: Fixed, cursor: sqlite3.Cursor) -> None:
        self._statement, self._cursor = statement, cursor

    def __iter__(self) -> Iterator[Any]:
        return iter(self.all())

    def all(self) -> list[Any]:
        rows = self._cursor.fetchall()
        return list(map(self._statement.record(self._cursor), rows)) if rows else []

    def first(self) -> Any:  # noqa: ANN401 - a row, or None
        row = self._one()
        return None if row is None else self._statement.record(self._cursor)(row)

    def scalar(self) -> Any:  # noqa: ANN401 - a text, a number, or None
        row = self._one()
        return None if row is None else row[0]

    def _one(self) -> Any:  # noqa: ANN401 - a row of the driver, or None
        return next(iter(self._cursor.fetchmany(2)), None)  # to the end: else the statement goes on reading
