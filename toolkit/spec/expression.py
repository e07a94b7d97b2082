"""``${{ … }}`` expressions: what a workflow may say about its parameters and the results of its steps.

`Template` is a value of the file with expressions in it. The grammar is in `formula`, the evaluation in `evaluation`,
what an expression sees in `scope`.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache

from toolkit.errors import ExpressionError, Mark
from toolkit.spec.evaluation import evaluate
from toolkit.spec.formula import Flaw, Formula, parse_formula
from toolkit.spec.scope import OutputRef, Reference, RunFacts, Scope, StepResult

__all__ = ["Hole", "OutputRef", "Reference", "RunFacts", "Scope", "StepResult", "Template", "holes", "split_holes"]

_OPEN = "${{"


@dataclass(frozen=True, kw_only=True, slots=True)
class Hole:
    """An expression inside a text.

    Attributes:
        text: What stands between ``${{`` and ``}}``.
        start: Index of its ``$``.
        closed: Whether its ``}}`` was found.
    """

    text: str
    start: int
    closed: bool = True


@dataclass(frozen=True, kw_only=True, slots=True)
class Template:
    """A value of the file that may hold expressions, also inside lists and mappings.

    A text that is one expression and nothing else keeps the type of its result; an expression inside other text is
    put in as text. ``$${{`` stands for a plain ``${{``.

    Attributes:
        source: The value, as YAML gives it.
        mark: Where it begins.
        places: Where its expressions begin, in the order in which they stand in it.
    """

    source: object
    mark: Mark | None = None
    places: tuple[Mark, ...] = field(default=(), compare=False, repr=False)

    @property
    def references(self) -> Sequence[Reference]:
        """What it refers to, found without evaluating it.

        Raises:
            ExpressionError: An expression cannot be read.
        """
        found = []
        for number, hole in enumerate(_all_holes(self.source)):
            formula = self._formula(hole, number)
            found += [Reference(path=use.path, mark=self._spot(number, use.line, use.column)) for use in formula.uses]
        return tuple(found)

    @property
    def steps(self) -> frozenset[str]:
        """Names of the steps that it refers to."""
        return frozenset(r.path[1] for r in self.references if r.path[0] == "steps" and len(r.path) > 1)

    @property
    def constant(self) -> bool:
        """Whether it holds no expression."""
        return next(_all_holes(self.source), None) is None

    def evaluate(self, scope: Scope) -> object:
        """Return the value.

        Raises:
            ExpressionError: It cannot be evaluated in this scope.
        """
        return self._filled(self.source, scope, itertools.count())

    def _filled(self, source: object, scope: Scope, numbers: Iterator[int]) -> object:
        if isinstance(source, str):
            return self._text(source, scope, numbers)
        if isinstance(source, dict):
            return {key: self._filled(value, scope, numbers) for key, value in source.items()}
        if isinstance(source, list | tuple):
            return [self._filled(item, scope, numbers) for item in source]
        return source

    def _text(self, source: str, scope: Scope, numbers: Iterator[int]) -> object:
        pieces = _pieces(source)
        written = [piece for piece in pieces if isinstance(piece, Hole) or piece.strip()]
        if len(written) == 1 and isinstance(written[0], Hole):
            return self._value(written[0], scope, next(numbers))
        return "".join(
            str(self._value(piece, scope, next(numbers))) if isinstance(piece, Hole) else piece for piece in pieces
        )

    def _value(self, hole: Hole, scope: Scope, number: int) -> object:
        formula = self._formula(hole, number)
        try:
            return evaluate(formula, scope)
        except Flaw as flaw:
            raise self._error(flaw, number) from flaw

    def _formula(self, hole: Hole, number: int) -> Formula:
        try:
            if not hole.closed:
                raise Flaw(
                    "'${{' is never closed: '}}' is missing ('$${{' stands for a plain '${{')", column=-len(_OPEN)
                )
            return parse_formula(hole.text)
        except Flaw as flaw:
            raise self._error(flaw, number) from flaw

    def _error(self, flaw: Flaw, number: int) -> ExpressionError:
        return ExpressionError(flaw.message, mark=self._spot(number, flaw.line, flaw.column))

    def _spot(self, number: int, line: int, column: int) -> Mark | None:
        """Return the place of a spot in an expression; only its line where the column cannot be known."""
        if number >= len(self.places):
            return self.mark
        place = self.places[number]
        if line:
            return replace(place, line=place.line + line, column=0)
        return replace(place, column=place.column + len(_OPEN) + column)


def holes(text: str) -> tuple[Hole, ...]:
    """Return the expressions of a text; the last one may be unclosed."""
    return tuple(piece for piece in _pieces(text) if isinstance(piece, Hole))


def split_holes(text: str) -> tuple[str | Hole, ...]:
    """Return a text as what stands there plainly, and its expressions."""
    return _pieces(text)


def _all_holes(source: object) -> Iterator[Hole]:
    if isinstance(source, str):
        yield from holes(source)
    elif isinstance(source, dict):
        for value in source.values():
            yield from _all_holes(value)
    elif isinstance(source, list | tuple):
        for item in source:
            yield from _all_holes(item)


@lru_cache(maxsize=2048)
def _pieces(text: str) -> tuple[str | Hole, ...]:
    """Split a text into what stands there and its expressions."""
    pieces: list[str | Hole] = []
    plain, index = "", 0
    while (found := text.find(_OPEN, index)) >= 0:
        if found > index and text[found - 1] == "$":
            plain += text[index : found - 1] + _OPEN
            index = found + len(_OPEN)
            continue
        plain += text[index:found]
        if plain:
            pieces.append(plain)
            plain = ""
        end = _end(text, found + len(_OPEN))
        if end is None:
            return (*pieces, Hole(text=text[found + len(_OPEN) :], start=found, closed=False))
        pieces.append(Hole(text=text[found + len(_OPEN) : end], start=found))
        index = end + 2
    plain += text[index:]
    return (*pieces, plain) if plain else tuple(pieces)


def _end(text: str, index: int) -> int | None:
    """Return the index of the ``}}`` that closes an expression: not one in a text or of inner braces."""
    quote, depth = "", 0
    while index < len(text):
        character = text[index]
        if quote:
            if character == "\\":
                index += 1
            elif character == quote:
                quote = ""
        elif character in "'\"":
            quote = character
        elif character == "{":
            depth += 1
        elif character == "}":
            if depth == 0:
                return index if text.startswith("}}", index) else None
            depth -= 1
        index += 1
    return None
