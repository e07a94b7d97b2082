"""Matching of text by LIKE, ILIKE and REGEXP, in time linear in the text: whoever may search cannot stop the server.

``%`` stands for any text and ``_`` for one character. ILIKE takes A–Z and a–z for the same; where the pattern has other
letters, all letters. REGEXP finds its pattern anywhere in the text, in RE2's syntax: without look-around.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import lru_cache

from toolkit.errors import InvalidValue

PATTERN_LENGTH = 1_000
_MEMORY = 1 << 22  # bytes that one compiled expression may take
_ASCII_LOWER = {upper: upper + 32 for upper in range(ord("A"), ord("Z") + 1)}

# A class, an escape of a letter or digit, a group's end, a plain character; and how often it is to be there.
_PIECE = re.compile(
    r"(?:\[\^?\]?(?:\[:\^?\w+:\]|\\.|[^\]\\])*\]|\\[pP](?:\{[^}]*\}|.)|\\x\{[^}]*\}|\\x..|\\[0-7]{1,3}|\\[A-Za-z0-9]"
    r"|(?P<group>[()])|(?P<plain>\\\W|[^\\.^$*+?{}\[\]()|])|.)(?P<counted>[*?+]\??|\{[^}]*\}\??)?",
    re.DOTALL,
)

Matcher = Callable[[str], bool]


def check_pattern(text: str, operator: str, length: int) -> None:
    """Check the text that a field is compared with.

    Raises:
        InvalidValue: It is too long, is no text for a database, or is no expression of RE2.
    """
    if operator in ("LIKE", "ILIKE", "REGEXP"):
        length = PATTERN_LENGTH
    if len(text) > length:
        raise InvalidValue(f"text for {operator} may have at most {length} characters, found {len(text)}")
    if "\0" in text or (not text.isascii() and any("\ud800" <= character <= "\udfff" for character in text)):
        raise InvalidValue("text must be valid Unicode without the NUL character")
    if operator == "REGEXP":
        regexp(text)


@lru_cache(maxsize=256)
def like(pattern: str) -> Matcher:
    """Return what tells whether a text is like a pattern."""
    parts = pattern.split("%")
    if len(parts) == 1:
        return lambda text: len(text) == len(pattern) and _fits(pattern, text, 0)
    first, *middle, last = parts
    shortest = len(first) + len(last)

    def matches(text: str) -> bool:
        if len(text) < shortest or not _fits(first, text, 0) or not _fits(last, text, len(text) - len(last)):
            return False
        place, end = len(first), len(text) - len(last)
        for part in middle:
            place = _find(part, text, place, end)
            if place < 0:
                return False
            place += len(part)
        return True

    return matches


@lru_cache(maxsize=256)
def ilike(pattern: str) -> Matcher:
    """Return what tells whether a text is like a pattern, whatever the case."""
    matches = like(fold(pattern, pattern))
    return lambda text: matches(fold(text, pattern))


def fold(text: str, pattern: str) -> str:
    """Return a text in lower case, as ILIKE compares it with this pattern."""
    return text.translate(_ASCII_LOWER) if pattern.isascii() else text.lower()


@lru_cache(maxsize=256)
def regexp(pattern: str) -> Matcher:
    """Return what tells whether an expression is found in a text.

    Raises:
        InvalidValue: It is no expression of RE2, or too large a one.
    """
    import re2  # type: ignore[import-untyped]  # noqa: PLC0415 - only where a filter has an expression

    options = re2.Options()
    options.log_errors = False
    options.max_mem = _MEMORY
    try:
        compiled = re2.compile(pattern, options)
    except re2.error as error:
        reason = error.args[0] if error.args else ""
        said = reason.decode(errors="replace") if isinstance(reason, bytes) else str(reason)
        raise InvalidValue(f"the expression cannot be used: {said} (wanted RE2's syntax)") from None
    return lambda text: compiled.search(text) is not None


def needle(pattern: str) -> str:
    """Return the longest text that can be told to be in every text in which an expression is found; maybe none."""
    if "|" in pattern or "(?" in pattern or "\\Q" in pattern:
        return ""  # another branch, or another meaning of the rest
    parts, depth = [""], 0
    for match in _PIECE.finditer(pattern):
        group, plain, counted = match.group("group", "plain", "counted")
        if group:
            depth += 1 if group == "(" else -1
        sure = plain is not None and depth == 0 and (counted or "+")[0] == "+"
        if sure:
            parts[-1] += plain[-1]
        if not sure or counted:
            parts.append("")
    return max(parts, key=len)


def _fits(part: str, text: str, place: int) -> bool:
    if "_" not in part:
        return text.startswith(part, place)
    return all(wanted in ("_", found) for wanted, found in zip(part, text[place : place + len(part)], strict=False))


def _find(part: str, text: str, place: int, end: int) -> int:
    if "_" not in part:
        return text.find(part, place, end)
    for start in range(place, end - len(part) + 1):
        if _fits(part, text, start):
            return start
    return -1
