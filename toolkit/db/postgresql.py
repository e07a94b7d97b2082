"""The engine of a PostgreSQL database: what its connections are set to, and how a transaction begins."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any, cast

from sqlalchemy import URL, Connection, Engine, create_engine, event
from sqlalchemy.engine.interfaces import DBAPIConnection

from toolkit.db.url import shown
from toolkit.errors import InvalidSetting

KEPT = 2
"""Connections that stay open when nobody uses them: a server has a hundred as a rule, for all processes of a team."""

_MOST = 16
_POOL_AGE = 1800.0  # seconds; what forgets idle connections on the way forgets them later, as a rule
_LONGEST_CONNECT = 10.0
_SILENCE = 15  # times the wait: as long as that a server may take to answer, before it counts as gone

_BEGIN = {True: "BEGIN ISOLATION LEVEL READ COMMITTED", False: "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"}


def postgresql_engine(url: URL, *, wait: float, full: bool, kept: int = KEPT) -> Engine:
    """Return the engine of a database; nothing is connected yet.

    Args:
        url: Names it. Parameters in its query are libpq's, and stand before the ones here.
        wait: Seconds to wait for a lock, and for the network to deliver.
        full: Whether a commit also survives power loss, whatever the server's own setting.
        kept: How many connections stay open when nobody uses them.

    Raises:
        InvalidSetting: psycopg is not installed.
    """
    try:
        from toolkit.db.patience import PatientConnection  # noqa: PLC0415 - psycopg, an extra
    except ImportError as error:
        raise InvalidSetting(
            f"{shown(url)!r} needs psycopg, which is not here ({error}): pip install 'toolkit[postgres]'"
        ) from None
    milliseconds = max(1, int(wait * 1000))
    # A connection whose other end is gone without a word is told within the wait, whoever is to speak next.
    defaults: dict[str, Any] = {
        "application_name": "toolkit",
        "connect_timeout": max(2, int(min(wait, _LONGEST_CONNECT))),
        "keepalives": 1,
        "keepalives_idle": max(1, int(wait / 2)),
        "keepalives_interval": max(1, int(wait / 8)),
        "keepalives_count": 4,
        "tcp_user_timeout": milliseconds,
    }
    arguments = {name: value for name, value in defaults.items() if name not in url.query}
    engine = create_engine(
        url,
        connect_args={**arguments, "autocommit": True},  # we say BEGIN ourselves, with all that it needs, in one go
        pool_size=kept,
        max_overflow=max(_MOST - kept, 0),
        pool_timeout=wait,
        pool_recycle=_POOL_AGE,
        pool_use_lifo=True,
        hide_parameters=True,
    )
    settings = [
        f"lock_timeout = {milliseconds}",
        "client_encoding = 'UTF8'",
        "extra_float_digits = 1",  # numbers come back exactly
        "jit = off",  # it takes a tenth of a second to compile what then runs for a millisecond
        "plan_cache_mode = force_custom_plan",  # the plan of a search depends on what is searched for
        *(["synchronous_commit = on"] if full else []),
    ]

    @event.listens_for(engine, "do_connect")
    def connect(_dialect: object, _record: object, args: list[Any], named: dict[str, Any]) -> PatientConnection:
        return PatientConnection.connect(*args, **named)

    @event.listens_for(engine, "connect")
    def prepare(connection: DBAPIConnection, _record: object) -> None:
        cast(PatientConnection, connection).longest = _SILENCE * wait
        cursor = connection.cursor()
        cursor.execute("; ".join(f"SET {setting}" for setting in settings))
        cursor.close()

    return engine


@contextlib.contextmanager
def unhurried(connection: Connection) -> Iterator[None]:
    """Let the server take any time for what is done in a block."""
    driver = cast(Any, connection.connection.dbapi_connection)
    before, driver.longest = driver.longest, None
    try:
        yield
    finally:
        driver.longest = before


def begin(connection: Connection, *, writes: bool) -> None:
    """Begin a transaction: for reading one picture, for writing row by row what is newest."""
    connection.exec_driver_sql(_BEGIN[writes])
