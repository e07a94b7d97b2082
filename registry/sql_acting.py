"""What the stores of models in a SQL database have in common: somebody acts by them, for a reason."""

from __future__ import annotations

import copy
from typing import Self

from toolkit.db.engine import Database
from toolkit.db.schema import ensure_schema
from toolkit.registry.checks import ModelChecks
from toolkit.registry.history import NOBODY, Author


class ActingSqlStore:
    """A store in a SQL database that writes down who changes what.

    Args:
        database: Where; `close` leaves it open. Its schema is made or upgraded if need be.
        author: Who changes things, and why.
        checks: Reads the files of models for gates that need them.

    Raises:
        SchemaError: The database is somebody else's, or newer than this code.
        StoreError: The database cannot be used.
    """

    def __init__(self, database: Database, *, author: Author = NOBODY, checks: ModelChecks | None = None) -> None:
        self._db = database
        self._dialect = database.dialect
        self._author = author
        self._checks = checks
        ensure_schema(database)

    def acting(self, author: Author) -> Self:
        """Return the same store, which says that somebody else changes things.

        Raises:
            InvalidValue: A name or a reason is too long.
        """
        other = copy.copy(self)
        other._author = author.checked()
        return other
