"""Expressions and patterns that PostgreSQL would read otherwise than we do, evaluated here.

Its expressions are of another syntax than RE2's and may take for ever, and text that is compared by code point has no
cases but those of A to Z. So the texts that there are come here, each once, and what fits goes back as a list: what is
found is the same in every store.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from sqlalchemy import ColumnElement, Connection, Select, not_, select, union_all

from toolkit.db.dialect import SQLITE, as_text
from toolkit.db.tables import experiment_tags, runs
from toolkit.tracking import sql_inputs
from toolkit.tracking.filter_fields import EXPERIMENTS, Entity, Field, Kind
from toolkit.tracking.filter_text import ilike, needle, regexp
from toolkit.tracking.filter_tree import All, Comparison, Not, OneOf, Operator, Tree
from toolkit.tracking.search import Search
from toolkit.tracking.sql_search_filter import EXPERIMENT_COLUMNS, NAMED, RUN_COLUMNS, is_short

_AT_A_TIME = 2_000

Texts = Callable[[Field], tuple[ColumnElement[str], Select[str]]]
"""From a field to the column of its values, and the statement that gives them."""


def settled(connection: Connection, search: Search, dialect: str, texts: Texts | None = None) -> Search:
    """Return a search that the database can evaluate: its expressions are lists of texts.

    Args:
        connection: In the transaction of the search.
        search: What is searched for.
        dialect: Kind of database.
        texts: Where the values of fields are; default: those of runs and experiments.
    """
    if dialect == SQLITE:  # which calls our functions
        return search

    def own(field: Field) -> tuple[ColumnElement[str], Select[str]]:
        return _column(field, search.entity, dialect)

    tree = _settled(connection, search.tree, texts or own)
    return search if tree is search.tree else replace(search, tree=tree)


def _settled(connection: Connection, tree: Tree, texts_of: Texts) -> Tree:
    if isinstance(tree, All | OneOf):
        parts = tuple(_settled(connection, part, texts_of) for part in tree.parts)
        same = all(new is old for new, old in zip(parts, tree.parts, strict=True))
        return tree if same else replace(tree, parts=parts)
    if isinstance(tree, Not):
        part = _settled(connection, tree.part, texts_of)
        return tree if part is tree.part else replace(tree, part=part)
    if not _is_ours(tree):
        return tree
    pattern = str(tree.values[0])
    fits = (regexp if tree.operator is Operator.REGEXP else ilike)(pattern)
    statement = _texts(*texts_of(tree.field), needle(pattern) if tree.operator is Operator.REGEXP else "")
    texts = connection.execute(statement.execution_options(yield_per=_AT_A_TIME)).scalars()
    # None is what lacks the field: it is in no list.
    return replace(tree, operator=Operator.IN, values=tuple(text for text in texts if text is not None and fits(text)))


def _is_ours(comparison: Comparison) -> bool:
    operator = comparison.operator
    return operator is Operator.REGEXP or (operator is Operator.ILIKE and not str(comparison.values[0]).isascii())


def _texts(column: ColumnElement[str], source: Select[str], part: str) -> Select[str]:
    """Return the statement that gives the values of a field that have a part in them, each once."""
    chosen = source.distinct()
    return chosen.where(column.contains(part, autoescape=True)) if part else chosen


def _column(field: Field, entity: Entity, dialect: str) -> tuple[ColumnElement[str], Select[str]]:
    """Return the column of a field's values, and the statement that gives them."""
    if field.kind is Kind.ATTRIBUTE:
        columns = EXPERIMENT_COLUMNS if entity is EXPERIMENTS else RUN_COLUMNS
        column: ColumnElement[str] = columns[field.key]  # type: ignore[assignment]  # text, or made text here
        column = as_text(column, dialect) if field.whole else column
        return column, select(column)
    if field.kind is Kind.DATASET:
        table, column, ours = sql_inputs.values_of(runs.c.id, field)
        return column, select(column).select_from(table.join(runs, ours))
    if entity is EXPERIMENTS:
        return experiment_tags.c.value, select(experiment_tags.c.value).where(experiment_tags.c.key == field.key)
    named = NAMED[field.kind]
    there = select(named.c.value).where(named.c.key == field.key)
    short = is_short(named.c.value)
    both = union_all(there.where(short), there.where(not_(short))).subquery()  # each has an index
    return both.c.value, select(both.c.value)
