"""Database URLs: which kinds there are, and how one is shown."""

from __future__ import annotations

from sqlalchemy import URL, make_url
from sqlalchemy.exc import ArgumentError

from toolkit.db.dialect import SQLITE
from toolkit.errors import InvalidSetting

POSTGRESQL = "postgresql"

WANTED = "sqlite:////path/to/toolkit.db or postgresql://user:password@host/database"

_SPELLINGS = ("postgres", "postgresql", "postgresql+psycopg", "postgresql+psycopg2")  # all mean one driver here
_SECRET = ("password", "sslpassword", "passfile")


def read_url(text: str) -> URL:
    """Return the URL of a database, with the one driver that each kind has.

    Args:
        text: ``sqlite:///…`` or ``postgresql://…``, also as ``postgres://`` or with psycopg named as the driver.

    Raises:
        InvalidSetting: It is malformed, or of a kind of database that is not supported. No password is repeated.
    """
    try:
        url = make_url(text)
    except (ArgumentError, ValueError):  # a port that is no number is the latter
        scheme = text.partition("://")[0] if "://" in text else ""
        given = f"{scheme}://…" if scheme else repr(text) if "@" not in text else "the text given"
        raise InvalidSetting(f"{given} is not a database URL: wanted one such as {WANTED}") from None
    if url.get_backend_name() == SQLITE:
        return url.set(drivername=SQLITE)
    if url.drivername in _SPELLINGS:
        return url.set(drivername="postgresql+psycopg")
    if url.get_backend_name() == POSTGRESQL:
        raise InvalidSetting(f"{shown(url)!r} names a driver that is not used here: wanted postgresql://, for psycopg")
    raise InvalidSetting(f"{shown(url)!r}: only SQLite and PostgreSQL databases are supported, such as {WANTED}")


def shown(url: URL) -> str:
    """Return a URL as messages name it: without its password, wherever that stands."""
    hidden = {name: "***" if name in _SECRET else value for name, value in url.query.items()}
    scheme = POSTGRESQL if url.drivername in _SPELLINGS else url.drivername
    return url.set(drivername=scheme, query=hidden).render_as_string(hide_password=True).replace("%2A%2A%2A", "***")
