"""A filter as a condition of SQL: each comparison is true or false, never NULL (`toolkit.tracking.filter_tree`)."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Double,
    FromClause,
    ScalarSelect,
    Table,
    Text,
    and_,
    false,
    func,
    literal,
    literal_column,
    not_,
    or_,
    select,
    true,
)

from toolkit.db.dialect import as_text, ilike, like, one_of, one_of_texts, regexp, unindexed
from toolkit.db.tables import (
    INDEXED_LENGTH,
    experiment_tags,
    experiments,
    latest_metrics,
    metric_keys,
    params,
    runs,
    tags,
)
from toolkit.tracking import sql_inputs
from toolkit.tracking.filter_fields import Kind, Type
from toolkit.tracking.filter_text import needle
from toolkit.tracking.filter_tree import All, Comparison, Not, OneOf, Operator, Tree, Value
from toolkit.tracking.number import NAN
from toolkit.tracking.records import Lifecycle, SearchQuery
from toolkit.tracking.sql_experiments import number_of

RUN_COLUMNS: dict[str, ColumnElement[Value]] = {
    "run_id": runs.c.run_id,
    "run_name": runs.c.name,
    "status": runs.c.status,
    "artifact_uri": runs.c.artifact_uri,
    "user_id": runs.c.user_id,
    "start_time": runs.c.start_time,
    "end_time": runs.c.end_time,
    "experiment_id": runs.c.experiment,
    "parent_run_id": runs.c.parent_run_id,
    "reason": runs.c.reason,
}
EXPERIMENT_COLUMNS: dict[str, ColumnElement[Value]] = {
    "experiment_id": experiments.c.id,
    "name": experiments.c.name,
    "creation_time": experiments.c.created,
    "last_update_time": experiments.c.updated,
}
NAMED: dict[Kind, Table] = {Kind.PARAM: params, Kind.TAG: tags}

_MANY = 100  # texts of a list; a statement takes no more than some thousand values, but any list as one

Leaf = Callable[[Comparison], ColumnElement[bool]]


def condition(tree: Tree, leaf: Leaf) -> ColumnElement[bool]:
    """Return a filter as a condition.

    Args:
        tree: The filter.
        leaf: Makes the condition of a comparison.
    """
    if isinstance(tree, All):
        return and_(true(), *(condition(part, leaf) for part in tree.parts))
    if isinstance(tree, OneOf):
        return or_(false(), *(condition(part, leaf) for part in tree.parts))
    if isinstance(tree, Not):
        return not_(condition(tree.part, leaf))
    return leaf(tree)


def scope(query: SearchQuery, table: FromClause, dialect: str, *, indexed: bool) -> ColumnElement[bool]:
    """Return the condition that a run is where is searched: in its experiments, and active or deleted.

    Args:
        query: What is searched for.
        table: The table ``runs``, or an alias of it.
        dialect: Kind of database.
        indexed: Whether SQLite may choose an index by it.
    """
    parts: list[ColumnElement[bool]] = []
    columns: tuple[ColumnElement[int], ColumnElement[int]] = (table.c.experiment, table.c.deleted)
    experiment, deleted = columns if indexed else (unindexed(column, dialect) for column in columns)
    if query.experiment_ids:
        numbers = [number for text in query.experiment_ids if (number := number_of(text)) is not None]
        parts.append(experiment == numbers[0] if len(numbers) == 1 else one_of(experiment, numbers, dialect))
    if query.lifecycle is not None:
        gone = deleted.is_not(None)
        parts.append(gone if query.lifecycle is Lifecycle.DELETED else deleted.is_(None))
    return and_(true(), *parts)


def of_run(run: ColumnElement[int], dialect: str) -> Leaf:
    """Return what makes the condition of a comparison for the run of this inner key; attributes are of ``runs``."""

    def leaf(comparison: Comparison) -> ColumnElement[bool]:
        kind = comparison.field.kind
        if kind is Kind.ATTRIBUTE:
            return attribute(comparison, RUN_COLUMNS[comparison.field.key], dialect)
        there = comparison.operator is not Operator.NULL or comparison.negated
        if kind is Kind.DATASET:
            table, column, ours = sql_inputs.values_of(run, comparison.field)
            row = [ours] if comparison.operator is Operator.NULL else [ours, _compared(comparison, column, dialect)]
            used = select(1).select_from(table).where(*row).exists()
            return used if there else not_(used)
        source = (latest_metrics if kind is Kind.METRIC else NAMED[kind]).alias()
        found = select(1).where(source.c.run == run, *holds(comparison, source, dialect)).exists()
        return found if there else not_(found)

    return leaf


def of_experiment(dialect: str) -> Leaf:
    """Return what makes the condition of a comparison for experiments."""

    def leaf(comparison: Comparison) -> ColumnElement[bool]:
        if comparison.field.kind is Kind.ATTRIBUTE:
            return attribute(comparison, EXPERIMENT_COLUMNS[comparison.field.key], dialect)
        source = experiment_tags.alias()
        same = source.c.experiment == experiments.c.id
        found = select(1).where(same, *holds(comparison, source, dialect)).exists()
        return not_(found) if comparison.operator is Operator.NULL and not comparison.negated else found

    return leaf


def holds(comparison: Comparison, source: FromClause, dialect: str) -> Sequence[ColumnElement[bool]]:
    """Return the conditions of a row of values: it has the key of a comparison, and the comparison holds of it."""
    field = comparison.field
    if field.kind is Kind.METRIC:
        key = source.c.key == key_id(field.key)
        return [key] if comparison.operator is Operator.NULL else [key, metric_holds(comparison, source)]
    key = source.c.key == field.key
    if comparison.operator is Operator.NULL:
        return [key]
    return [key, _compared(comparison, source.c.value, dialect)]


def key_id(name: str) -> ScalarSelect[int]:
    """Return the inner id of a metric's name, as a subquery that is evaluated once a statement."""
    return select(metric_keys.c.id).where(metric_keys.c.name == name).scalar_subquery()


def is_short(value: ColumnElement[str]) -> ColumnElement[bool]:
    """Return the condition that a value is in the index, in the words of the index."""
    return func.length(value) <= literal_column(str(INDEXED_LENGTH))


def attribute(comparison: Comparison, column: ColumnElement[Value], dialect: str) -> ColumnElement[bool]:
    """Return the condition of a comparison with a column."""
    field = comparison.field
    if comparison.operator is Operator.NULL:
        return column.is_not(None) if comparison.negated else column.is_(None)
    if field.type is Type.TEXT:
        text = as_text(column, dialect) if field.whole else column
        test = _text(comparison, text, dialect)  # type: ignore[arg-type]  # a column of text
    else:
        test = _number(comparison, column)  # type: ignore[arg-type]  # a column of numbers
    test = _signed(comparison, test)
    return and_(column.is_not(None), test) if field.optional else test


def _compared(comparison: Comparison, column: ColumnElement[str], dialect: str) -> ColumnElement[bool]:
    return _signed(comparison, _text(comparison, column, dialect))


def _signed(comparison: Comparison, test: ColumnElement[bool]) -> ColumnElement[bool]:
    return not_(test) if comparison.negated else test


def metric_holds(comparison: Comparison, source: FromClause) -> ColumnElement[bool]:
    """Return the condition of a comparison with a metric's value: NaN is just not equal to anything."""
    test, number = _signed(comparison, _number(comparison, source.c.value)), source.c.special < NAN
    if comparison.negated and comparison.operator in (Operator.EQUAL, Operator.IN):
        return or_(test, not_(number))
    return and_(test, number)


def _number(comparison: Comparison, column: ColumnElement[float]) -> ColumnElement[bool]:
    operator = comparison.operator
    values = [_bound(value) for value in comparison.values]
    if operator is Operator.LESS:
        return column < values[0]
    if operator is Operator.LESS_EQUAL:
        return column <= values[0]
    if operator is Operator.GREATER:
        return column > values[0]
    if operator is Operator.GREATER_EQUAL:
        return column >= values[0]
    if operator is Operator.BETWEEN:
        return column.between(values[0], values[1])
    return column == values[0] if len(values) == 1 else column.in_(values)


def _bound(value: Value) -> ColumnElement[float]:
    """Bind a number as what it is, whatever the column: 1.5 is no time, but times are less than it or greater."""
    bound: ColumnElement[float] = literal(value, BigInteger() if isinstance(value, int) else Double())
    return bound


def _text(comparison: Comparison, column: ColumnElement[str], dialect: str) -> ColumnElement[bool]:
    operator, values = comparison.operator, [str(value) for value in comparison.values]
    if operator is Operator.LIKE:
        return like(column, values[0], dialect)
    if operator is Operator.ILIKE:
        return ilike(column, values[0], dialect)
    if operator is Operator.REGEXP:
        return regexp(column, values[0], needle(values[0]), dialect)
    if operator is Operator.BETWEEN:
        first, last = (literal(value, Text()) for value in values)  # plain: a collation may not stand there
        return column.between(first, last)
    if not values:
        return false()  # an expression that nothing fits
    if len(values) > _MANY:
        return one_of_texts(column, values, dialect)
    return column == values[0] if len(values) == 1 else column.in_(values)
