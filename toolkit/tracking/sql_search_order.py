"""The order of a search in SQL: what is sorted by, and where a page begins.

A key of the order is two terms, a rank and a value (`toolkit.tracking.search.OrderKey`). Terms are never NULL, so that
positions compare the same in every database.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Double,
    FromClause,
    Text,
    and_,
    case,
    false,
    func,
    literal,
    literal_column,
    or_,
)

from toolkit.db.dialect import unindexed
from toolkit.db.tables import latest_metrics, runs
from toolkit.tracking.filter_fields import Kind
from toolkit.tracking.filter_tree import Value
from toolkit.tracking.number import NAN as NAN_MARK
from toolkit.tracking.search import HEAD, MISSING, NAN, PRESENT, OrderKey, Position
from toolkit.tracking.sql_search_filter import NAMED, RUN_COLUMNS, key_id

_TYPES = {int: BigInteger, float: Double, str: Text}


@dataclass(frozen=True, kw_only=True)
class Term:
    """One thing that is sorted by.

    Attributes:
        value: It.
        type: Of its values.
        descending: Whether the greatest is first.
        constant: Its value, where that is the same in every row: nothing is sorted by it then.
    """

    value: ColumnElement[Value]
    type: type
    descending: bool = False
    constant: Value | None = None

    @property
    def order(self) -> ColumnElement[Value]:
        """The term as ORDER BY has it."""
        return self.value.desc() if self.descending else self.value.asc()

    def bound(self, value: Value) -> ColumnElement[Value]:
        """Return a value of the term, bound."""
        bound: ColumnElement[Value] = literal(value, _TYPES[self.type]())
        return bound


def constant(value: Value) -> Term:
    """Return a term that is the same in every row."""
    return Term(value=literal_column("0"), type=type(value), constant=value)


def sorted_by(terms: Sequence[Term]) -> list[ColumnElement[Value]]:
    """Return what ORDER BY has."""
    return [term.order for term in terms if term.constant is None]


def after(terms: Sequence[Term], position: Position) -> ColumnElement[bool]:
    """Return the condition that a row comes after a position."""
    pairs = [(term, value) for term, value in zip(terms, position, strict=True) if term.constant is None]
    condition: ColumnElement[bool] = false()
    for term, value in reversed(pairs):
        bound = term.bound(value)
        beyond = term.value < bound if term.descending else term.value > bound
        condition = or_(beyond, and_(term.value == bound, condition))
    if not pairs:
        return condition
    # What follows from the rest, said alone for the index: SQLite does not walk it by an OR.
    first, value = pairs[0]
    bound = first.bound(value)
    return and_(first.value <= bound if first.descending else first.value >= bound, condition)


def position_of(terms: Sequence[Term], values: Sequence[Value]) -> Position:
    """Return the position of a row whose terms that are not constant have these values."""
    rest = iter(values)
    return tuple(next(rest) if term.constant is None else term.constant for term in terms)


def attribute_terms(key: OrderKey, column: ColumnElement[Value]) -> list[Term]:
    """Return the terms of an attribute."""
    value = Term(value=column, type=key.type, descending=key.descending)
    if not key.field.optional:
        return [constant(PRESENT), value]
    rank = case((column.is_(None), literal_column(str(MISSING))), else_=literal_column(str(PRESENT)))
    nothing = literal(key.type(), _TYPES[key.type]())
    return [Term(value=rank, type=int), replace(value, value=func.coalesce(column, nothing))]


def joined(
    keys: Sequence[OrderKey], source: FromClause, dialect: str, *, walked: bool
) -> tuple[FromClause, list[Term]]:
    """Return runs with what their order needs beside them, and the terms of the order.

    Args:
        keys: The order.
        source: The table ``runs``, or a join that has it.
        dialect: Kind of database.
        walked: Whether SQLite may walk an index in this order.
    """
    terms: list[Term] = []
    for key in keys:
        kind = key.field.kind
        if kind is Kind.ATTRIBUTE:
            column = RUN_COLUMNS[key.field.key]
            sortable = unindexed(column, dialect) if key.type is int and not walked else column
            terms += attribute_terms(key, sortable)
            continue
        values = (latest_metrics if kind is Kind.METRIC else NAMED[kind]).alias()
        wanted = key_id(key.field.key) if kind is Kind.METRIC else key.field.key
        source = source.outerjoin(values, and_(values.c.run == runs.c.id, values.c.key == wanted))
        terms += _metric_terms(key, values) if kind is Kind.METRIC else named_terms(key, values, values.c.run)
    return source, terms


def _metric_terms(key: OrderKey, values: FromClause) -> list[Term]:
    rank = case(
        (values.c.run.is_(None), literal_column(str(MISSING))),
        (values.c.special == literal_column(str(NAN_MARK)), literal_column(str(NAN))),
        else_=literal_column(str(PRESENT)),
    )
    number = case((values.c.special < literal_column(str(NAN_MARK)), values.c.value), else_=literal(0.0, Double()))
    return [Term(value=rank, type=int), Term(value=number, type=float, descending=key.descending)]


def named_terms(key: OrderKey, values: FromClause, owner: ColumnElement[int]) -> list[Term]:
    """Return the terms of a parameter or a tag, of rows that an outer join gave; ``owner`` is NULL where it is not."""
    rank = case((owner.is_(None), literal_column(str(MISSING))), else_=literal_column(str(PRESENT)))
    head = func.coalesce(func.substr(values.c.value, 1, HEAD), literal("", Text()))
    return [Term(value=rank, type=int), Term(value=head, type=str, descending=key.descending)]
