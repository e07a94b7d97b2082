"""Filter text → frozen tree: MLflow's filters, and OR, NOT, parentheses, IN, BETWEEN, REGEXP and IS NULL everywhere.

The grammar is ``filter.lark`` beside this file. Text may be quoted by ``'`` or ``"``, a field's key by ``"`` or `````;
a quote within is doubled. What cannot be read is shown with a caret below the place.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn, TypeVar, cast

from toolkit.errors import InvalidValue
from toolkit.tracking.filter_fault import fault, unexpected
from toolkit.tracking.filter_fields import Entity, Field, Kind, Type
from toolkit.tracking.filter_text import check_pattern
from toolkit.tracking.filter_tree import EVERYTHING, All, Comparison, Not, OneOf, Operator, Tree, Value, comparisons

if TYPE_CHECKING:
    from lark import Lark, Token
    from lark import Tree as Parsed

LENGTH = 100_000
COMPARISONS = 200
DEPTH = 50
LISTED = 10_000

_TEXT_LENGTH = 20_000
_INT64 = range(-(2**63), 2**63)
T = TypeVar("T")


@lru_cache(maxsize=512)
def parse(text: str, entity: Entity) -> Tree:
    """Return what a filter says.

    Args:
        text: The filter; nothing but white space: everything.
        entity: What is searched.

    Raises:
        InvalidValue: It cannot be read, or names a field or an operator that is not there.
    """
    _check_length(text, "filter")
    if not text.strip():
        return EVERYTHING
    return _Reader(text, entity, "filter").filter()


@lru_cache(maxsize=512)
def parse_ordering(text: str, entity: Entity) -> tuple[Field, bool]:
    """Return a key of an order, and whether it descends.

    Raises:
        InvalidValue: It cannot be read, or names a field that is not there.
    """
    _check_length(text, "order_by")
    return _Reader(text, entity, "order_by").ordering()


@lru_cache(maxsize=512)
def parse_column(text: str, entity: Entity) -> tuple[Kind, str | None]:
    """Return what is to be loaded: a kind and a key, or ``None`` for all keys of the kind (``metrics.*``).

    Raises:
        InvalidValue: It cannot be read, or names a field that is not there.
    """
    _check_length(text, "fields")
    return _Reader(text, entity, "fields").column()


def _check_length(text: str, name: str) -> None:
    if not isinstance(text, str) or len(text) > LENGTH:
        raise InvalidValue(f"Invalid {name}: wanted text of at most {LENGTH} characters")


@lru_cache(maxsize=1)
def _grammar() -> Lark:
    from lark import Lark  # noqa: PLC0415 - only where something is parsed

    return Lark(
        Path(__file__).with_name("filter.lark").read_text(encoding="utf-8"),
        parser="lalr",
        lexer="contextual",
        start=["filter", "ordering", "column"],
        propagate_positions=True,
        maybe_placeholders=True,
    )


class _Reader:
    """Reads one text.

    Args:
        text: What a caller gave.
        entity: What is searched.
        name: What the text is called in messages.
    """

    def __init__(self, text: str, entity: Entity, name: str) -> None:
        self._text = text
        self._entity = entity
        self._name = name

    def filter(self) -> Tree:
        tree = self._tree(_branches(self._parsed("filter"))[0], 0)
        if sum(1 for _ in comparisons(tree)) > COMPARISONS:
            self._refuse(0, f"it has more than {COMPARISONS} comparisons")
        return tree

    def ordering(self) -> tuple[Field, bool]:
        parsed = self._parsed("ordering")
        named = _branches(parsed)[0]
        found = self._field(named)
        if found.kind is Kind.DATASET:
            self._refuse(_start(named), "datasets give no order")
        return found, any(token.type == "DESC" for token in _tokens(parsed))

    def column(self) -> tuple[Kind, str | None]:
        parsed = self._parsed("column")
        for named in _branches(parsed):
            found = self._field(named)
            return found.kind, found.key
        (every,) = _tokens(parsed)
        return self._at(every, lambda: self._entity.kind(every[:-2])), None

    def _parsed(self, start: str) -> Parsed[Token]:
        from lark.exceptions import UnexpectedInput  # noqa: PLC0415

        try:
            return _grammar().parse(self._text, start=start)
        except UnexpectedInput as error:
            raise unexpected(self._name, self._text, error) from None

    def _tree(self, node: Parsed[Token], depth: int) -> Tree:
        if depth > DEPTH:
            self._refuse(_start(node), f"it is nested more than {DEPTH} deep")
        if node.data == "negation":
            return Not(part=self._tree(_branches(node)[0], depth + 1))
        if node.data in ("any_of", "all_of"):
            parts = _branches(node)
            if len(parts) == 1:
                return self._tree(parts[0], depth + (node.data == "any_of"))
            trees = tuple(self._tree(part, depth + 1) for part in parts)
            return OneOf(parts=trees) if node.data == "any_of" else All(parts=trees)
        return self._comparison(node)

    def _comparison(self, node: Parsed[Token]) -> Tree:
        named, *literals = _branches(node)
        found, tokens = self._field(named), _tokens(node)
        negated = any(token.type == "NOT" for token in tokens)
        word = next(token for token in tokens if token.type != "NOT")
        sign = " ".join(str(token).upper() for token in tokens if token.type not in ("NOT", "AND"))
        if sign == "!=":
            sign, negated = "=", True
        operator = Operator(sign)
        if found.type is Type.NUMBER and operator in (Operator.LIKE, Operator.ILIKE, Operator.REGEXP):
            self._refuse(word.start_pos, f"{operator} is for text, and {found} is {found.type.phrase}")
        if found.type is Type.TEXT and sign in ("<", "<=", ">", ">="):
            wanted = "=, !=, LIKE, ILIKE, REGEXP, IN, BETWEEN, IS NULL"
            self._refuse(word.start_pos, f"{operator} is for numbers, and {found} is text: wanted one of {wanted}")
        values = tuple(self._value(literal, found, operator) for literal in literals)
        if len(values) > LISTED:
            self._refuse(word.start_pos, f"the list has more than {LISTED} values")
        comparison = Comparison(field=found, operator=operator, values=values, negated=negated)
        if operator is Operator.EQUAL and negated and found.kind is Kind.TAG and found.key in self._entity.flags:
            return OneOf(parts=(comparison, Comparison(field=found, operator=Operator.NULL)))
        return comparison

    def _field(self, node: Parsed[Token]) -> Field:
        first, *quoted = _tokens(node)
        if first.type == "PATH":
            prefix, _, key = str(first).partition(".")
        elif first.type == "PREFIX":
            prefix, key = str(first)[:-1], _unquoted(quoted[0])
        else:
            prefix, key = None, str(first) if first.type == "WORD" else _unquoted(first)
        return self._at(first, lambda: self._entity.find(prefix, key))

    def _value(self, node: Parsed[Token], found: Field, operator: Operator) -> Value:
        (token,) = _tokens(node)
        if (token.type == "NUMBER") is not (found.type is Type.NUMBER):
            wanted = "a number without quotes" if found.type is Type.NUMBER else "text in quotes"
            self._refuse(
                token.start_pos, f"found {token[:100]}, wanted {wanted}, because {found} is {found.type.phrase}"
            )
        if token.type == "NUMBER":
            return _number(token, whole=found.whole)
        text = _unquoted(token)
        self._at(token, lambda: check_pattern(text, operator.value, _TEXT_LENGTH))
        return text

    def _at(self, token: Token, call: Callable[[], T]) -> T:
        """Call what knows nothing of places, and say the place if it refuses."""
        try:
            return call()
        except InvalidValue as error:
            raise fault(self._name, self._text, token.start_pos or 0, error.message) from None

    def _refuse(self, position: int | None, message: str) -> NoReturn:
        raise fault(self._name, self._text, position or 0, message)


def _start(node: Parsed[Token]) -> int:
    return getattr(node.meta, "start_pos", 0)


def _branches(node: Parsed[Token]) -> list[Parsed[Token]]:
    return [cast("Parsed[Token]", child) for child in node.children if hasattr(child, "data")]


def _tokens(node: Parsed[Token]) -> list[Token]:
    return [child for child in node.children if child is not None and not hasattr(child, "data")]


def _unquoted(token: str) -> str:
    return token[1:-1].replace(token[0] * 2, token[0])


def _number(token: str, *, whole: bool) -> int | float:
    if whole and len(token) <= 20 and token.lstrip("+-").isdigit() and int(token) in _INT64:
        return int(token)
    return float(token)
