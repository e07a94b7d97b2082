"""How a value is written so that the shell takes it for data, wherever in a command it stands."""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum


class Quoting(Enum):
    """What surrounds a place in a command."""

    CODE = "code"
    SINGLE = "single quotes"
    DOUBLE = "double quotes"
    ANSI = "$'…' quotes"
    COMMENT = "a comment"
    HEREDOC = "a here-document"
    LITERAL = "a here-document with a quoted delimiter"


@dataclass(frozen=True, kw_only=True, slots=True)
class Context:
    """Where in a command a value stands.

    Attributes:
        quoting: The innermost quotes.
        backquoted: Whether all of it stands in backquotes, which take away one level of backslashes.
        escaped: Whether a backslash stands before it.
        dollar: Whether a ``$`` that would begin an expansion stands before it.
        joined: Whether a backslash at the end of a line takes the line break away, even inside single quotes.
        unsafe: Why no value that needs quotes can be put here; empty where it can.
    """

    quoting: Quoting
    backquoted: bool = False
    escaped: bool = False
    dollar: bool = False
    joined: bool = False
    unsafe: str = ""


def is_plain(text: str) -> bool:
    """Tell whether the shell takes a text for a word as it is, so that quoting leaves it alone."""
    return shlex.quote(text) == text


def quoted(text: str, context: Context) -> str:
    """Return a text as it has to be written in its context, so that a program receives it unchanged.

    A backslash or dollar sign before it is not taken care of here.
    """
    rule = _QUOTED[context.quoting]
    if context.backquoted and context.quoting is Quoting.CODE:
        return behind_backquotes("'" + _single(text) + "'")
    written = rule(text)
    return behind_backquotes(written) if context.backquoted else written


def behind_backquotes(text: str) -> str:
    """Return shell code as it has to stand in backquotes."""
    return re.sub(r"([\\$`])", r"\\\1", text)


def _single(text: str) -> str:
    return text.replace("'", "'\\''")


def _double(text: str) -> str:
    return re.sub(r'([\\$`"])', r"\\\1", text)


def _ansi(text: str) -> str:
    return re.sub(r"([\\'])", r"\\\1", text)


def _comment(text: str) -> str:
    return shlex.quote(re.sub(r"[\r\n]", " ", text))


def _heredoc(text: str) -> str:
    return re.sub(r"([\\$`])", r"\\\1", text)


_QUOTED: Mapping[Quoting, Callable[[str], str]] = {
    Quoting.CODE: shlex.quote,
    Quoting.SINGLE: _single,
    Quoting.DOUBLE: _double,
    Quoting.ANSI: _ansi,
    Quoting.COMMENT: _comment,
    Quoting.HEREDOC: _heredoc,
    Quoting.LITERAL: str,
}
