"""The ``{name}`` placeholders of a command, with the grammar of ``str.format``."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass

from toolkit.errors import Mark, ProjectError

_CONVERSIONS: Mapping[str, Callable[[str], str]] = {"r": repr, "s": str, "a": ascii}


@dataclass(frozen=True, kw_only=True, slots=True)
class Placeholder:
    """A place in a command where a value goes.

    Attributes:
        name: The parameter.
        conversion: ``r``, ``s``, ``a`` or nothing (``{name!r}``).
        spec: The format (``{name:>10}``).
        source: What stands between the braces.
        brace: Its opening brace counted among all opening braces of the command, from 0.
    """

    name: str
    conversion: str = ""
    spec: str = ""
    source: str = ""
    brace: int = 0

    def shaped(self, text: str) -> str:
        """Return ``text`` after conversion and format.

        Raises:
            ValueError: The format is not one for texts.
        """
        converted = _CONVERSIONS[self.conversion](text) if self.conversion else text
        return format(converted, self.spec)


def split_command(
    command: str, *, names: Collection[str], place: Callable[[int], Mark | None]
) -> list[str | Placeholder]:
    """Split a command into text and placeholders; ``{{`` and ``}}`` become plain braces.

    Args:
        command: The template.
        names: Names of the declared parameters: a dot or bracket may be part of these.
        place: Gives the place of the n-th opening brace.

    Raises:
        ProjectError: A brace is alone, or a placeholder is empty, nested or reaches into a value.
    """
    parts: list[str | Placeholder] = []
    plain, index, brace = "", 0, 0
    while index < len(command):
        character = command[index]
        if command[index : index + 2] in {"{{", "}}"}:
            plain += character
            brace += 2 * (character == "{")
            index += 2
        elif character == "}":
            raise ProjectError(
                "a '}' stands alone in the command: write '}}' for a plain brace", mark=place(max(brace - 1, 0))
            )
        elif character == "{":
            end = command.find("}", index)
            if end < 0:
                raise ProjectError(
                    "a '{' in the command is never closed: write '{{' for a plain brace", mark=place(brace)
                )
            if plain:
                parts.append(plain)
                plain = ""
            parts.append(_placeholder(command[index + 1 : end], brace, names, place(brace)))
            brace += 1
            index = end + 1
        else:
            plain += character
            index += 1
    return [*parts, plain] if plain else parts


def _placeholder(source: str, brace: int, names: Collection[str], mark: Mark | None) -> Placeholder:
    """Return the placeholder that ``source`` describes."""
    if source in names:
        return Placeholder(name=source, source=source, brace=brace)
    if "{" in source:
        raise ProjectError(
            f"'{{{source}…' holds a brace inside a placeholder: write '{{{{' for a plain brace", mark=mark
        )
    end = min((i for i in (source.find("!"), source.find(":")) if i >= 0), default=len(source))
    name, rest = source[:end], source[end:]
    conversion, spec = "", rest[1:]
    if rest.startswith("!"):
        conversion, _, spec = rest[1:].partition(":")
        if conversion not in _CONVERSIONS:
            raise ProjectError(f"'{{{source}}}' has an unknown conversion: there are !r, !s and !a", mark=mark)
    if name not in names and ("." in name or "[" in name):
        raise ProjectError(
            f"'{{{source}}}' reaches into a value, which a command cannot: name a parameter,"
            f" or write '{{{{{source}}}}}' for plain braces",
            mark=mark,
        )
    return Placeholder(name=name, conversion=conversion, spec=spec, source=source, brace=brace)
