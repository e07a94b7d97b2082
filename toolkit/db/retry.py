"""Methods of a store that are done again when the database breaks their transaction off."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Concatenate, ParamSpec, Protocol, TypeVar

from toolkit.db.engine import Database


class _InDatabase(Protocol):
    _db: Database


P = ParamSpec("P")
S = TypeVar("S", bound=_InDatabase)
T = TypeVar("T")


def persistent(method: Callable[Concatenate[S, P], T]) -> Callable[Concatenate[S, P], T]:
    """Do a method again, within the wait, when its transaction is broken off.

    For methods of one transaction that may be done twice without harm: it is not always known whether the first was.
    """

    @functools.wraps(method)
    def call(self: S, /, *args: P.args, **kwargs: P.kwargs) -> T:
        return self._db.persist(lambda: method(self, *args, **kwargs))

    return call


def cautious(method: Callable[Concatenate[S, P], T]) -> Callable[Concatenate[S, P], T]:
    """Do a method again, as `persistent` does, but only where it is known that it was not done.

    For methods whose second answer would be another one than the first.
    """

    @functools.wraps(method)
    def call(self: S, /, *args: P.args, **kwargs: P.kwargs) -> T:
        return self._db.persist(lambda: method(self, *args, **kwargs), in_doubt=False)

    return call
