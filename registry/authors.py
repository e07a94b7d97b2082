"""Who makes a change, as a request to a server says it: two headers, percent-encoded, beside who logs in.

Nothing of it is proven here: a server that lets in who says so believes it, as it does of the user of a run.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from urllib.parse import quote, unquote

from toolkit.errors import InvalidValue
from toolkit.registry.history import Author
from toolkit.tracking.step_token import tags_in
from toolkit.tracking.system_tags import USER

USER_HEADER = "toolkit-user"
REASON_HEADER = "toolkit-reason"

_LONGEST = 6_000  # bytes; servers take 8 kB of all headers together, some of them less
_SAFE = " !#$&'()*+,/:;=?@[]"


def author_headers(author: Author) -> Mapping[str, str]:
    """Return the headers that say who makes a change, and why.

    Raises:
        InvalidValue: That is too long for a header.
    """
    said = {USER_HEADER: author.user, REASON_HEADER: author.reason}
    headers = {name: quote(text, safe=_SAFE, errors="replace") for name, text in said.items() if text}
    if sum(map(len, headers.values())) > _LONGEST:
        raise InvalidValue("the reason, or the user's name, is too long to be sent: wanted fewer letters")
    return headers


def author_of(headers: Mapping[str, str]) -> Author:
    """Return who makes a change: who logs in, else whom the header names, else the user of the step that asks.

    Args:
        headers: Those of a request, names in lower case.

    Raises:
        InvalidValue: A name or a reason is too long.
    """
    credentials = headers.get("authorization", "")
    user = _logged_in(credentials) or unquote(headers.get(USER_HEADER, "")) or tags_in(credentials).get(USER)
    return Author(user=user or None, reason=unquote(headers.get(REASON_HEADER, "")) or None).checked()


def _logged_in(credentials: str) -> str:
    """Return the name in the credentials of HTTP's Basic scheme; empty if they are others, or damaged."""
    scheme, _, rest = credentials.strip().partition(" ")
    if scheme.lower() != "basic":
        return ""
    try:
        return base64.b64decode(rest, validate=True).decode().partition(":")[0]
    except (binascii.Error, ValueError):
        return ""
