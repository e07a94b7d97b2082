"""Which columns a browser has chosen last for an experiment: shown where an address names none.

A cookie of the experiment's own path keeps them, so no other page is sent with it. The page puts what it took from
there into its address, so that whoever copies that address shows the same.
"""

from __future__ import annotations

import binascii
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Mapping
from dataclasses import replace
from urllib.parse import urlencode

from toolkit.errors import InvalidValue
from toolkit.server.pages.asked import Asked
from toolkit.server.pages.columns import read_all
from toolkit.server.pages.view import RunsView

_COOKIE = "toolkit_columns"
_LONGEST = 3_000  # browsers keep 4,096 bytes of a cookie
_YEAR = 31_536_000


def columns_of(asked: Asked, view: RunsView) -> RunsView:
    """Return a view with the columns that were chosen last, if its address says nothing of columns."""
    kept = asked.request.cookies.get(_COOKIE, "")
    if view.columns or view.usual or not kept:
        return view
    try:
        text = urlsafe_b64decode(kept.encode() + b"=" * (-len(kept) % 4)).decode()
        return replace(view, columns=tuple(read_all(text.split("\n"))))
    except (binascii.Error, UnicodeError, InvalidValue):  # somebody else wrote it, or an older version
        return view


def taken(written: RunsView, shown: RunsView) -> str:
    """Return what an address has to say more, so that it names the columns that are shown; empty: it names them.

    Args:
        written: The view that the address names.
        shown: The same with the columns that were chosen last.
    """
    return "" if written.columns else urlencode([("cols", column.id) for column in shown.columns])


def headers(asked: Asked, view: RunsView) -> Mapping[str, str]:
    """Return what makes a browser remember the columns of an address, or forget them."""
    if view.usual:
        return {"set-cookie": _cookie(asked, view, "", 0)}
    text = urlsafe_b64encode("\n".join(column.id for column in view.columns).encode()).decode().rstrip("=")
    if not text or len(text) > _LONGEST or text == asked.request.cookies.get(_COOKIE):
        return {}
    return {"set-cookie": _cookie(asked, view, text, _YEAR)}


def _cookie(asked: Asked, view: RunsView, text: str, seconds: int) -> str:
    place = asked.url("experiments", view.experiment_id)
    return f"{_COOKIE}={text}; Path={place}; Max-Age={seconds}; HttpOnly; SameSite=Lax"
