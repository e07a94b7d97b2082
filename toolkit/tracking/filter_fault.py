"""What is wrong with a filter, shown: the text, a caret below the place, what was found and what was wanted."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from toolkit.errors import InvalidValue

if TYPE_CHECKING:
    from lark.exceptions import UnexpectedInput

_BEFORE, _AFTER = 70, 40
_FIELD = "a field such as metrics.rmse or params.alpha"
_VALUE = "a value: a number, or text in quotes"
_WORDS = {
    "PATH": _FIELD,
    "WORD": _FIELD,
    "BACKTICK": _FIELD,
    "PREFIX": _FIELD,
    "SINGLE": _VALUE,
    "NUMBER": _VALUE,
    "COMPARE": "an operator (= != < <= > >= LIKE ILIKE REGEXP IN BETWEEN IS)",
    "LPAR": "'('",
    "RPAR": "')'",
    "COMMA": "','",
    "$END": "the end",
}
_FOUND = re.compile(r"[\w.\-/:]+|\s*\S")
_SPACE = re.compile(r"[\s\x00-\x1f\x7f]")


def fault(name: str, text: str, position: int, message: str) -> InvalidValue:
    """Return the error for a text.

    Args:
        name: What the text is called: ``filter``, ``order_by`` or ``fields``.
        text: What was given.
        position: Where it is wrong, from 0.
        message: What is wrong.
    """
    start, end = max(0, position - _BEFORE), position + _AFTER
    head, tail = "…" if start else "", "…" if end < len(text) else ""
    line = _SPACE.sub(" ", text[start:end])
    caret = " " * (position - start + len(head)) + "^"
    return InvalidValue(f"Invalid {name}: {message}\n  {head}{line}{tail}\n  {caret}")


def unexpected(name: str, text: str, error: UnexpectedInput) -> InvalidValue:
    """Return the error for a text that the grammar does not take."""
    token = getattr(error, "token", None)
    position = error.pos_in_stream if error.pos_in_stream is not None else len(text)
    if token is not None and token.type == "$END":
        position = len(text)
    rest = text[position:]
    named = (getattr(error, each, None) for each in ("accepts", "expected", "allowed"))
    wanted: set[str] = set(next(filter(None, named), ()))
    if rest[:1] in ("'", '"', "`") and rest.count(rest[0]) % 2:
        return fault(name, text, position, f"the quote {rest[0]} is not closed")
    matched = _FOUND.match(rest)
    found = repr(matched.group().strip()[:100]) if matched else "the end"
    if "(" not in text[:position]:
        wanted -= {"RPAR", "COMMA"}  # a state of the parser does not tell whether there is something to close
    return fault(name, text, position, f"found {found}, wanted {_wanted(wanted)}")


def _wanted(terminals: set[str]) -> str:
    if "COMPARE" in terminals:
        return _WORDS["COMPARE"]
    if "SINGLE" in terminals:
        return _VALUE
    words = sorted({_WORDS.get(terminal, terminal) for terminal in terminals - {"DOUBLE", "WS"}})
    return " or ".join(words) if len(words) < 3 else f"{', '.join(words[:-1])} or {words[-1]}"
