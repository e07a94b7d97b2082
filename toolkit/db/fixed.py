"""Statements that are compiled once, for what every request asks: to compile one takes longer than to run it."""

from __future__ import annotations

from typing import Any, cast

from sqlalchemy import Connection, CursorResult, Executable
from sqlalchemy.dialects import postgresql, sqlite

from toolkit.db.dialect import SQLITE


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

    def run(self, connection: Connection, **values: object) -> CursorResult[*tuple[Any, ...]]:
        """Run it with these values; what is not given is as the statement says."""
        given = self._given
        row = tuple([values[name] if name in values else given[name] for name in self._names])
        return connection.exec_driver_sql(self._text, row)
