"""Here-documents of a command: ``<<EOF`` and the lines up to ``EOF``."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

Cell: TypeAlias = "str | int"
"""One character of a command, or the number of a placeholder."""

_WORD_BREAKS = frozenset(" \t\n;&|<>()")
_DELIMITER = re.compile(
    r"(?P<plain>[\w.%+-]+)|'(?P<quoted>[\w.%+-]+)'|\"(?P<double>[\w.%+-]+)\"|\\(?P<escaped>[\w.%+-]+)"
)


@dataclass(frozen=True, kw_only=True, slots=True)
class HereOperator:
    """A ``<<`` with its delimiter, whose body comes after the end of its line.

    Attributes:
        delimiter: The line that ends the body.
        literal: Whether the delimiter is quoted, so that nothing in the body is expanded.
        tabs: Whether tabs at the begin of a line do not count (``<<-``).
        depth: How many parentheses it stands in.
    """

    delimiter: str
    literal: bool
    tabs: bool
    depth: int


@dataclass(frozen=True, kw_only=True, slots=True)
class HereDocument:
    """The body of a here-document.

    Attributes:
        first: Its first cell.
        last: The first cell of its delimiter's line.
        delimiter: The line that ends it.
        tabs: Whether tabs at the begin of a line do not count (``<<-``).
        nested: Whether it stands inside parentheses: there bash also takes ``EOF …)`` for its end.
    """

    first: int
    last: int
    delimiter: str
    tabs: bool
    nested: bool

    def endings(self, body: str) -> int:
        """Return how many lines of a body would end it."""
        lines = [line.lstrip("\t") if self.tabs else line for line in body.split("\n")]
        return sum(line.startswith(self.delimiter) if self.nested else line == self.delimiter for line in lines)

    def tabs_lost(self, body: str) -> int:
        """Return how many tabs bash takes from the begins of a body's lines."""
        return sum(len(line) - len(line.lstrip("\t")) for line in body.split("\n")) if self.tabs else 0


def read_operator(cells: Sequence[Cell], index: int, *, depth: int) -> tuple[HereOperator | None, int]:
    """Read what follows ``<<``.

    Args:
        cells: The command.
        index: The cell after ``<<``.
        depth: How many parentheses it stands in.

    Returns:
        The operator and the cell after it; ``None`` where its delimiter is not a simple word.
    """
    tabs = cells[index : index + 1] == ["-"]
    index += tabs
    while index < len(cells) and cells[index] in {" ", "\t"}:
        index += 1
    stop = index
    while stop < len(cells) and cells[stop] not in _WORD_BREAKS:
        stop += 1
    word = cells[index:stop]
    found = _DELIMITER.fullmatch("".join(cell if isinstance(cell, str) else "\0" for cell in word))
    if found is None:
        return None, index
    delimiter = found["plain"] or found["quoted"] or found["double"] or found["escaped"]
    return HereOperator(delimiter=delimiter, literal=not found["plain"], tabs=tabs, depth=depth), stop


def find_terminator(cells: Sequence[Cell], start: int, operator: HereOperator) -> tuple[int, int, str]:
    """Find the line that ends a body.

    Args:
        cells: The command.
        start: The first cell of the body.
        operator: What began it.

    Returns:
        Where that line begins, where the next one does, and why this cannot be relied on; empty where it can.
    """
    joined, problem = False, ""
    while start < len(cells):
        stop = start
        while stop < len(cells) and cells[stop] != "\n":
            stop += 1
        text = "".join(cell if isinstance(cell, str) else "\0" for cell in cells[start:stop])
        if not joined and (text.lstrip("\t") if operator.tabs else text) == operator.delimiter:
            return start, min(stop + 1, len(cells)), problem
        if operator.depth and text.lstrip("\t").startswith(operator.delimiter):
            problem = f"a line that begins with {operator.delimiter!r} comes before"
        joined = not operator.literal and (len(text) - len(text.rstrip("\\"))) % 2 == 1
        start = stop + 1
    return len(cells), len(cells), f"the here-document's delimiter {operator.delimiter!r} does not come"
