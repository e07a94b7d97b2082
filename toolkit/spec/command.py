"""Put values into an entry point's command.

The rendered command is what MLflow renders, but for values inside quotes: those are written so that the program
receives them unchanged and the shell sees no syntax in them. The text of the template is trusted; values are data.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping, Sequence

from toolkit.errors import InvalidParameter, Mark, MissingParameters, ProjectError
from toolkit.spec.location import locate
from toolkit.spec.placeholder import Placeholder, split_command
from toolkit.spec.project import EntryPoint
from toolkit.spec.quoting import Context, Quoting, behind_backquotes, is_plain, quoted
from toolkit.spec.shell import Cell, Reading, scan
from toolkit.spec.suggestion import hint

__all__ = ["command_argv", "locate", "placeholders", "read_command", "render"]

_VARIABLE = re.compile(r"\$[A-Za-z_][A-Za-z0-9_]*\Z")
_EXPANDING = frozenset({Quoting.CODE, Quoting.DOUBLE, Quoting.HEREDOC})


def render(entry: EntryPoint, values: Mapping[str, object], extra: Mapping[str, object] | None = None) -> str:
    """Return the shell command of an entry point.

    Args:
        entry: The entry point.
        values: A value for each of its parameters, as `bind` and `locate` give them.
        extra: Values that it does not declare: appended in order as ``--name value``.

    Raises:
        ProjectError: The template has a placeholder that is not declared, or braces that do not fit; or values cannot
            be appended or put where the placeholder stands.
        MissingParameters: A placeholder's parameter has no value.
        InvalidParameter: A value cannot be a part of a command.
    """
    parts = placeholders(entry)
    cells = _cells(parts)
    reading = scan(cells)
    fields = [part for part in parts if isinstance(part, Placeholder)]
    written = [cell if isinstance(cell, str) else "" for cell in cells]
    for index, cell in enumerate(cells):
        if isinstance(cell, int):
            _write(written, index, _Slot(entry, fields[cell], reading.contexts[cell]), values)
    _check_heredocs(entry, reading, cells, written)
    return "".join(written) + _appended(entry, reading, extra or {})


def command_argv(entry: EntryPoint, command: str) -> list[str]:
    """Return how a rendered command is executed: by bash, in strict mode under ``set -euo pipefail``."""
    return ["bash", *(["-eu", "-o", "pipefail"] if entry.strict else []), "-c", command]


def placeholders(entry: EntryPoint) -> list[str | Placeholder]:
    """Return an entry point's command as text and placeholders, without white space at its end.

    Raises:
        ProjectError: A placeholder is not declared, or braces do not fit.
    """
    parts = split_command(_stripped(entry.command), names=entry.parameters, place=lambda n: _place(entry, "{", n))
    for part in parts:
        if isinstance(part, Placeholder) and part.name not in entry.parameters:
            raise _undeclared(entry, part)
    return parts


def read_command(entry: EntryPoint) -> tuple[list[Placeholder], Reading]:
    """Return the placeholders of an entry point's command and what surrounds them.

    Raises:
        ProjectError: A placeholder is not declared, or braces do not fit.
    """
    parts = placeholders(entry)
    return [part for part in parts if isinstance(part, Placeholder)], scan(_cells(parts))


class _Slot:
    """A placeholder of an entry point and where it stands."""

    def __init__(self, entry: EntryPoint, field: Placeholder, context: Context) -> None:
        self.entry = entry
        self.field = field
        self.context = context

    @property
    def mark(self) -> Mark | None:
        return _place(self.entry, "{", self.field.brace)

    def text(self, values: Mapping[str, object]) -> str:
        """Return the value as text, before quoting."""
        name = self.field.name
        if name not in values:
            raise MissingParameters(f"No value given for missing parameters: {name!r}", mark=self.mark)
        return _value_text(name, values[name], self.mark)

    def shaped(self, text: str) -> str:
        """Apply the placeholder's conversion and format."""
        try:
            return self.field.shaped(text)
        except ValueError as error:
            raise ProjectError(f"'{{{self.field.source}}}' is no format for a text: {error}", mark=self.mark) from error

    def unsafe(self, why: str) -> ProjectError:
        """Return the error for a value that cannot be put here."""
        return ProjectError(
            f"the value of {self.field.name!r} needs quotes, and {{{self.field.source}}} stands where none can be"
            f" relied on: {why}; assign it to a variable first (x={{{self.field.name}}}) and use that",
            mark=self.mark,
        )


def _value_text(name: str, value: object, mark: Mark | None) -> str:
    text = str(value)
    if "\0" in text:
        raise InvalidParameter(f"the value of {name!r} holds a NUL character, which no command can receive", mark=mark)
    return text


def _write(written: list[str], index: int, slot: _Slot, values: Mapping[str, object]) -> None:
    """Write a value into its cell, and put right the backslash or dollar sign before it."""
    text, context = slot.text(values), slot.context
    if is_plain(text):
        escape = "\\" if context.escaped and context.quoting is Quoting.ANSI else ""
        written[index] = escape + slot.shaped(text)
        return
    if context.unsafe:
        raise slot.unsafe(context.unsafe)
    result = quoted(slot.shaped(text), context)
    if context.joined and context.quoting in {Quoting.CODE, Quoting.SINGLE} and "\\\n" in result:
        raise slot.unsafe("a here-document takes a backslash and the line break after it away")
    if context.escaped and context.quoting is Quoting.CODE:
        written[index - 1] = ""
    elif context.escaped:
        result = "\\" + result
    elif context.dollar and context.quoting in _EXPANDING:
        written[index - 1] = behind_backquotes("\\$") if context.backquoted else "\\$"
    elif context.quoting in {Quoting.DOUBLE, Quoting.HEREDOC} and _VARIABLE.search("".join(written[:index])):
        if context.quoting is Quoting.HEREDOC:
            raise slot.unsafe("it goes on the name of a variable; write ${{NAME}}")
        result = '""' + result
    written[index] = result


def _check_heredocs(entry: EntryPoint, reading: Reading, cells: Sequence[Cell], written: Sequence[str]) -> None:
    """Refuse values with which a here-document would end too early."""
    for document in reading.heredocs:
        body = slice(document.first, document.last)
        template = "".join(cell if isinstance(cell, str) else "\0" for cell in cells[body])
        text = "".join(written[body])
        if document.endings(text) > document.endings(template):
            raise InvalidParameter(
                f"a value would end the here-document of entry point {entry.name!r}: one of its lines begins with the"
                f" delimiter {document.delimiter!r}",
                mark=entry.command_mark,
            )
        if document.tabs_lost(text) > document.tabs_lost(template):
            raise InvalidParameter(
                f"a value would lose the tabs that its lines begin with: the command of entry point {entry.name!r} has"
                " it in a '<<-' here-document; write '<<'",
                mark=entry.command_mark,
            )


def _appended(entry: EntryPoint, reading: Reading, extra: Mapping[str, object]) -> str:
    """Return undeclared values as arguments."""
    if extra and reading.ending:
        raise ProjectError(
            f"{next(iter(extra))!r} is no parameter of entry point {entry.name!r} and cannot be appended to its"
            f" command: {reading.ending}; declare it under parameters",
            mark=entry.command_mark,
        )
    texts = {name: _value_text(name, value, entry.command_mark) for name, value in extra.items()}
    return "".join(f" --{shlex.quote(name)} {shlex.quote(text)}" for name, text in texts.items())


def _stripped(command: str) -> str:
    """Return a command without the white space at its end, nor a line continuation into nothing."""
    while True:
        text = command.rstrip()
        rest = command[len(text) :]
        if not rest or (len(text) - len(text.rstrip("\\"))) % 2 == 0:
            return text
        if rest[0] != "\n":
            return text + rest[0]  # an escaped blank is an argument
        command = text[:-1]


def _cells(parts: Sequence[str | Placeholder]) -> list[Cell]:
    cells: list[Cell] = []
    number = 0
    for part in parts:
        if isinstance(part, str):
            cells += part
        else:
            cells.append(number)
            number += 1
    return cells


def _place(entry: EntryPoint, character: str, number: int) -> Mark | None:
    """Return where the n-th such character of the command stands."""
    return entry.command_spelling.place(character, number) if entry.command_spelling else entry.command_mark


def _undeclared(entry: EntryPoint, field: Placeholder) -> ProjectError:
    what = f"{{{field.source}}}"
    if not field.name:
        message = (
            f"the placeholder {what} in the command of {entry.name!r} has no name: write '{{{what}}}' for plain braces"
        )
    else:
        guess = hint(field.name, entry.parameters)
        message = (
            f"the command of {entry.name!r} has the placeholder {what}, but no parameter of that name:"
            f" declare it under parameters or write '{{{what}}}'" + (f" ({guess})" if guess.endswith("?") else "")
        )
    return ProjectError(message, mark=_place(entry, "{", field.brace))
