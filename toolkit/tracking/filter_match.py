"""Evaluation of a filter in memory: the meaning of every operator in its plainest form."""

from __future__ import annotations

from collections.abc import Callable

from toolkit.tracking.filter_fields import Field
from toolkit.tracking.filter_text import ilike, like, regexp
from toolkit.tracking.filter_tree import All, Comparison, Not, OneOf, Operator, Tree, Value

Get = Callable[[Field], Value | tuple[str, ...] | None]


def matches(tree: Tree, get: Get) -> bool:
    """Tell whether a filter is true of a thing.

    Args:
        tree: The filter.
        get: Gives the thing's value of a field; ``None`` if it lacks it, a tuple where it may have several: then a
            comparison is true if it is of one of them.
    """
    if isinstance(tree, All):
        return all(matches(part, get) for part in tree.parts)
    if isinstance(tree, OneOf):
        return any(matches(part, get) for part in tree.parts)
    if isinstance(tree, Not):
        return not matches(tree.part, get)
    value = get(tree.field)
    if isinstance(value, tuple):
        return any(_holds(tree, each) for each in value) if value else _holds(tree, None)
    return _holds(tree, value)


def _holds(tree: Comparison, value: Value | None) -> bool:
    if tree.operator is Operator.NULL:
        return (value is None) is not tree.negated
    if value is None:
        return False
    if value != value:  # NaN is not equal to anything, and neither below nor above
        return tree.negated and tree.operator in (Operator.EQUAL, Operator.IN)
    return _compare(tree, value) is not tree.negated


def _compare(comparison: Comparison, value: Value) -> bool:
    operator, values = comparison.operator, comparison.values
    if isinstance(value, str):
        return _compare_text(operator, value, [str(wanted) for wanted in values])
    numbers = [wanted for wanted in values if not isinstance(wanted, str)]
    if operator is Operator.LESS:
        return value < numbers[0]
    if operator is Operator.LESS_EQUAL:
        return value <= numbers[0]
    if operator is Operator.GREATER:
        return value > numbers[0]
    if operator is Operator.GREATER_EQUAL:
        return value >= numbers[0]
    if operator is Operator.BETWEEN:
        return numbers[0] <= value <= numbers[1]
    return value in numbers


def _compare_text(operator: Operator, value: str, values: list[str]) -> bool:
    if operator is Operator.LIKE:
        return like(values[0])(value)
    if operator is Operator.ILIKE:
        return ilike(values[0])(value)
    if operator is Operator.REGEXP:
        return regexp(values[0])(value)
    if operator is Operator.BETWEEN:
        return values[0] <= value <= values[1]
    return value in values
