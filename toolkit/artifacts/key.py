"""The grammar of artifact keys: clean relative paths, each with one spelling."""

from __future__ import annotations

import re

from toolkit.errors import InvalidValue

KEY_LENGTH = 1_024
"""Longest key in bytes of UTF-8: what object stores allow."""

STAGING = ".staging"
"""First part of the keys that stores keep for themselves: what is being written."""

_CONTROL = re.compile(r"[\x00-\x1f\x7f\x80-\x9f]")
_DRIVE = re.compile(r"[A-Za-z]:")
_SHOWN = 200


def check_key(key: str) -> str:
    """Return ``key`` if it is the key of an artifact.

    A key is relative, has ``/`` between its parts, and no part is empty, ``.`` or ``..``. Everything else is literal:
    ``*``, ``?``, ``[``, ``%2e``, ``+``, ``#``, spaces and any Unicode are parts of names and nothing more.

    Raises:
        InvalidValue: It has an empty, ``.`` or ``..`` part, a backslash, a control character, a drive letter or a lone
            surrogate, or is longer than 1,024 bytes.
    """
    if not isinstance(key, str):
        raise InvalidValue(f"artifact key {key!r} is no text: wanted a relative path such as 'models/model.pkl'")
    if fault := _fault(key):
        shown = key if len(key) <= _SHOWN else key[:_SHOWN] + "…"
        raise InvalidValue(f"artifact key {shown!r} {fault}: wanted a relative path such as 'models/model.pkl'")
    return key


def key_parts(key: str) -> list[str]:
    """Return the parts of a key that may name an object of a store.

    Raises:
        InvalidValue: It is no key (`check_key`), or begins with the part that stores keep for themselves.
    """
    parts = check_key(key).split("/")
    if parts[0] == STAGING:
        raise InvalidValue(f"artifact key {key!r} begins with {STAGING!r}, which the store keeps for itself")
    return parts


def is_key(key: str) -> bool:
    """Tell whether a key may name an object of a store; names that other programs made may not."""
    try:
        key_parts(key)
    except InvalidValue:
        return False
    return True


def _fault(key: str) -> str | None:
    """Say what is wrong with a key; ``None`` if nothing is."""
    if not key:
        return "is empty"
    if "\\" in key:
        return "has a backslash"
    if _CONTROL.search(key):
        return "has a control character"
    if key.startswith("/"):
        return "is absolute"
    for part in key.split("/"):
        if part in ("", ".", ".."):
            return f"has the part {part!r}"
        if _DRIVE.match(part):  # in any part: on Windows, joining one throws away all that stood before it
            return f"has a drive letter in {part!r}"
    try:
        size = len(key.encode())
    except UnicodeEncodeError:
        return "has a lone surrogate"
    return f"is longer than {KEY_LENGTH} bytes" if size > KEY_LENGTH else None
