"""What a filter says, as frozen values: made from text by `toolkit.tracking.filter`, evaluated in SQL or in memory.

Every comparison is either true or false, also of a run that lacks the field: then only ``IS NULL`` is true. So ``!=``
and ``NOT LIKE`` want the field to be there, as in MLflow, while ``NOT (…)`` is true wherever ``(…)`` is not.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

from toolkit.tracking.filter_fields import Field

Value = str | int | float


class Operator(StrEnum):
    """How a field is compared. ``!=``, ``NOT IN``, ``IS NOT NULL`` and so on are these, negated."""

    EQUAL = "="
    LESS = "<"
    LESS_EQUAL = "<="
    GREATER = ">"
    GREATER_EQUAL = ">="
    LIKE = "LIKE"
    ILIKE = "ILIKE"
    REGEXP = "REGEXP"
    IN = "IN"
    BETWEEN = "BETWEEN"
    NULL = "IS NULL"


@dataclass(frozen=True, kw_only=True, slots=True)
class Comparison:
    """A field compared with values.

    Attributes:
        field: What is compared.
        operator: How.
        values: With what: none for ``IS NULL``, two for ``BETWEEN``, one or more for ``IN``, else one.
        negated: The opposite, of a field that is there.
    """

    field: Field
    operator: Operator
    values: tuple[Value, ...] = ()
    negated: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class All:
    """Each of its parts is true; without parts, everything is."""

    parts: tuple[Tree, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class OneOf:
    """One of its parts is true."""

    parts: tuple[Tree, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Not:
    """Its part is not true."""

    part: Tree


Tree = Comparison | All | OneOf | Not

EVERYTHING = All()


def conjuncts(tree: Tree) -> tuple[Tree, ...]:
    """Return the parts that must all be true."""
    return tuple(each for part in tree.parts for each in conjuncts(part)) if isinstance(tree, All) else (tree,)


def comparisons(tree: Tree) -> Iterator[Comparison]:
    """Yield every comparison in a tree."""
    if isinstance(tree, Comparison):
        yield tree
    elif isinstance(tree, Not):
        yield from comparisons(tree.part)
    else:
        for part in tree.parts:
            yield from comparisons(part)
