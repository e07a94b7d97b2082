"""How a search over runs is evaluated: from the few runs that a condition leaves, or along the index of its order.

SQLite chooses by rules of thumb; here the rows are counted first, up to a bound, which takes a millisecond.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import ColumnElement, Connection, FromClause, Select, and_, func, not_, select, true, union

from toolkit.db.dialect import unindexed
from toolkit.db.tables import INDEXED_LENGTH, latest_metrics, runs
from toolkit.tracking.filter_fields import Field, Kind
from toolkit.tracking.filter_tree import All, Comparison, OneOf, Operator, Tree, conjuncts
from toolkit.tracking.records import Lifecycle, SearchQuery
from toolkit.tracking.search import Search
from toolkit.tracking.sql_experiments import number_of
from toolkit.tracking.sql_search_filter import NAMED, holds, is_short

FEW = 12_000
"""So many runs at most are counted, and taken and sorted rather than met along an index."""

_COUNTED = 12
_STEP = 4  # what a run met along an index and dropped costs at most, in runs that are taken and sorted
_RANGES = (
    Operator.EQUAL,
    Operator.LESS,
    Operator.LESS_EQUAL,
    Operator.GREATER,
    Operator.GREATER_EQUAL,
    Operator.BETWEEN,
    Operator.IN,
)


@dataclass(frozen=True, kw_only=True)
class Start:
    """What bounds a search: the runs of one condition, or of the experiments searched in.

    Attributes:
        sources: Statements that give the inner keys of all runs that may be found.
        part: The part of the filter that is true of just these; ``None``: these are the runs searched in.
        few: Whether to start from them. Else they are many, or a page is full sooner along the index of its order.
    """

    sources: Sequence[Select[tuple[int]]] = ()
    part: Tree | None = None
    few: bool = False


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
        parts.append(experiment == numbers[0] if len(numbers) == 1 else experiment.in_(numbers))
    if query.lifecycle is not None:
        gone = deleted.is_not(None)
        parts.append(gone if query.lifecycle is Lifecycle.DELETED else deleted.is_(None))
    return and_(true(), *parts)


def start(connection: Connection, search: Search, dialect: str, *, walkable: bool = False) -> Start:
    """Return where to start: at what leaves the fewest runs, as far as that is counted.

    Args:
        connection: To the database.
        search: What is searched for.
        dialect: Kind of database.
        walkable: Whether there is an index in the order of the search.
    """
    parts: list[tuple[Tree | None, list[Select[tuple[int]]]]] = [(None, [_scoped(search.query, dialect)])]
    for part in conjuncts(search.tree):
        sources = _sources(part, dialect)
        if len(sources) > 0 and len(parts) + len(sources) <= _COUNTED:
            parts.append((part, sources))
    counts = [sum(map(_bounded, sources[1:]), _bounded(sources[0])) for _, sources in parts]
    total, *found = connection.execute(select(func.max(runs.c.id), *counts)).one()
    fewest = min(range(len(found)), key=lambda at: (found[at], -at))
    if fewest == 0 and found[0] > FEW and len(parts) > 1:
        fewest = 1  # all are many, and how many is not known
    few = found[fewest] <= FEW
    if few and walkable:
        shares = {part: min(1.0, count / (total or 1)) for (part, _), count in zip(parts, found, strict=True)}
        if found[0] > FEW:
            shares[None] = 1.0  # runs searched in that are many are as a rule most of all
        few = _met(search, shares) * _STEP > found[fewest]
    return Start(sources=parts[fewest][1], part=parts[fewest][0], few=few)


def _met(search: Search, shares: Mapping[Tree | None, float]) -> float:
    """Return how many runs are met along an index, as a rule, until a page is full.

    Args:
        search: What is searched for.
        shares: The part of all runs that each part of the filter leaves, and (``None``) the runs searched in.
    """
    met = search.query.limit + 1.0
    for part, share in shares.items():
        # A condition on what is walked along shortens the walk itself.
        if not (isinstance(part, Comparison) and part.field == search.keys[0].field):
            met /= max(share, 1e-9)
    return met


def without(tree: Tree, parts: Sequence[Tree]) -> Tree:
    """Return a filter without some of its conjuncts."""
    return All(parts=tuple(part for part in conjuncts(tree) if part not in parts))


def implied(tree: Tree, field: Field) -> list[Comparison]:
    """Return the comparisons with a field that must all be true, and are true only where the field is there."""
    return [
        part
        for part in conjuncts(tree)
        if isinstance(part, Comparison) and part.field == field and (part.operator is not Operator.NULL or part.negated)
    ]


def outside(query: SearchQuery, dialect: str) -> Select[tuple[int]]:
    """Return the inner keys of the runs that are not where is searched."""
    there = runs.alias()
    return select(there.c.id).where(not_(scope(query, there, dialect, indexed=False)))


def _scoped(query: SearchQuery, dialect: str) -> Select[tuple[int]]:
    there = runs.alias()
    return select(there.c.id.label("run")).where(scope(query, there, dialect, indexed=True))


def _bounded(source: Select[tuple[int]]) -> ColumnElement[int]:
    return select(func.count()).select_from(source.limit(FEW + 1).subquery()).scalar_subquery()


def _sources(part: Tree, dialect: str) -> list[Select[tuple[int]]]:
    """Return statements that give, by an index, the inner keys of all runs of which a part of a filter is true."""
    if isinstance(part, OneOf):
        each = [_sources(side, dialect) for side in part.parts]
        return [source for sources in each for source in sources] if all(each) else []
    if not isinstance(part, Comparison) or part.negated:
        return []
    if part.field.kind is Kind.METRIC and part.operator in _RANGES:
        metric = latest_metrics.alias()
        return [select(metric.c.run).where(*holds(part, metric, dialect))]
    return _named_sources(part, dialect) if part.field.kind in NAMED else []


def _named_sources(part: Comparison, dialect: str) -> list[Select[tuple[int]]]:
    if part.operator in (Operator.NULL, Operator.REGEXP) or (
        part.operator is Operator.ILIKE and not str(part.values[0]).isascii()
    ):
        return []  # to try a function of Python on every value takes as long as to walk
    named = NAMED[part.field.kind].alias()
    found = select(named.c.run).where(*holds(part, named, dialect))
    short, long = is_short(named.c.value), not_(is_short(named.c.value))
    exact = part.operator in (Operator.EQUAL, Operator.IN)
    if exact and all(len(str(value)) <= INDEXED_LENGTH for value in part.values):
        return [found.where(short)]
    return [found.where(short), found.where(long)]


def keys_of(sources: Sequence[Select[tuple[int]]]) -> Select[tuple[int]]:
    """Return the inner keys that one of these statements gives, each once."""
    if len(sources) == 1:
        return sources[0]
    both = union(*sources).subquery()
    return select(both.c.run)
