"""Which columns a browser has chosen last for an experiment: shown where an address names none.

A cookie of the experiment's own path keeps them, so no other page is sent with it.
"""

from __future__ import annotations

import binascii
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Mapping
from dataclasses import replace

from toolkit.errors import InvalidValue
from toolkit.server.pages.asked import Asked
from toolkit.server.pages.columns import read_all
from toolkit.server.pages.view import USUAL, RunsView

_COOKIE = "toolkit_columns"
_LONGEST = 3_000  # browsers keep 4,096 bytes of a cookie
_YEAR = 31_536_000


def columns_of(asked: Asked, view: RunsView) -> RunsView:
    """Return a view with the columns that were chosen last, if its address says nothing of columns."""
    kept = asked.request.cookies.get(_COOKIE, "")
    if view.columns or not kept or USUAL in asked.all("cols"):
        return view
    try:
        text = urlsafe_b64decode(kept.encode() + b"=" * (-len(kept) % 4)).decode()
        return replace(view, columns=tuple(read_all(text.split("\n"))))
    except (binascii.Error, UnicodeError, InvalidValue):  # somebody else wrote it, or an older version
        return view


def headers(asked: Asked, view: RunsView) -> Mapping[str, str]:
    """Return what makes a browser remember the columns of an address, or forget them."""
    if USUAL in asked.all("cols"):
        return {"set-cookie": _cookie(asked, view, "", 0)}
    text = urlsafe_b64encode("\n".join(column.id for column in view.columns).encode()).decode().rstrip("=")
    if not text or len(text) > _LONGEST or text == asked.request.cookies.get(_COOKIE):
        return {}
    return {"set-cookie": _cookie(asked, view, text, _YEAR)}


def _cookie(asked: Asked, view: RunsView, text: str, seconds: int) -> str:
    place = asked.url("experiments", view.experiment_id)
    return f"{_COOKIE}={text}; Path={place}; Max-Age={seconds}; HttpOnly; SameSite=Lax"
