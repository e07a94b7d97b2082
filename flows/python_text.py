"""Values as the text of a Python file: what fits on a line stands on one, what does not has a line for each part."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

_WIDTH = 110


def text(value: str, *, indent: int = 0) -> str:
    """Return a text in quotes, a long one in pieces of a line each.

    Args:
        value: The text.
        indent: Blanks before the line that it stands on.
    """
    whole = _quoted(value)
    if len(whole) <= _WIDTH - 20 - indent and "\n" not in value[:-1]:
        return whole
    inner = " " * (indent + 4)
    return "(\n" + "".join(f"{inner}{_quoted(piece)}\n" for piece in _pieces(value)) + " " * indent + ")"


def literal(value: object, *, indent: int = 0) -> str:
    """Return a plain value: a text, number, list or mapping.

    Args:
        value: The value.
        indent: Blanks before the line that it stands on.
    """
    if isinstance(value, str):
        return text(value, indent=indent)
    if isinstance(value, float) and not math.isfinite(value):
        return f'float("{value}")'
    if isinstance(value, Mapping):
        return _bracket(
            "{", "}", [f"{literal(key)}: {literal(item, indent=indent + 4)}" for key, item in value.items()], indent
        )
    if isinstance(value, list | tuple):
        return _bracket("[", "]", [literal(item, indent=indent + 4) for item in value], indent)
    return repr(value)


def call(name: str, positional: Sequence[str], named: Mapping[str, str], *, width: int = _WIDTH) -> str:
    """Return a call; its arguments are code already.

    Args:
        name: What is called.
        positional: Arguments by place.
        named: Arguments by name.
        width: Characters of a line.
    """
    arguments = [*positional, *(f"{key}={value}" for key, value in named.items())]
    line = f"{name}({', '.join(arguments)})"
    if len(line) <= width - 20 and "\n" not in line:
        return line
    return f"{name}(\n" + "".join(f"    {argument},\n" for argument in arguments) + ")"


def docstring(summary: str, more: str = "", *, indent: int = 0) -> str:
    """Return a docstring: one line that ends with a full stop, and more after it."""
    line = " ".join(_harmless(summary).split()) or "Run."
    line = line if len(line) <= 100 else line[:99] + "…"
    line = line if line[-1] in ".?!" else f"{line}."
    if not more:
        return f'"""{line}"""'
    blanks = " " * indent
    rest = "\n".join(blanks + part for part in _harmless(more).split("\n"))
    return f'"""{line}\n\n{rest}\n{blanks}"""'


def _harmless(said: str) -> str:
    return said.replace("\\", "/").replace('"', "'")


def _bracket(begin: str, end: str, items: list[str], indent: int) -> str:
    line = f"{begin}{', '.join(items)}{end}"
    if len(line) <= _WIDTH - 20 - indent and "\n" not in line:
        return line
    inner = " " * (indent + 4)
    return f"{begin}\n" + "".join(f"{inner}{item},\n" for item in items) + " " * indent + end


def _quoted(value: str) -> str:
    """Return a text in double quotes, in single ones where that saves backslashes."""
    mark = "'" if value.count('"') > value.count("'") else '"'
    return mark + "".join(_written(character, mark) for character in value) + mark


def _written(character: str, mark: str) -> str:
    """Return a character as it stands in quotes."""
    if character in ("\\", mark):
        return f"\\{character}"
    return character if character.isprintable() else repr(character)[1:-1]


def _pieces(value: str) -> list[str]:
    """Split a text after its line ends and, where a line is long, after blanks."""
    pieces: list[str] = []
    for line in value.splitlines(keepends=True):
        piece = ""
        for word in line.replace(" ", " \0").split("\0"):
            if piece and len(piece) + len(word) > 88:
                pieces.append(piece)
                piece = ""
            piece += word
        pieces.append(piece)
    return pieces or [""]
