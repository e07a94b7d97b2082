"""Many histories in SQL, as charts draw them: a handful of statements, however many runs, metrics and points there are.

Of a long history the database reads every point, and hands out only those that are chosen: the statement has a row for
each stretch, and each of its parts finds one point of it (`toolkit.tracking.series`).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

from sqlalchemy import (
    ColumnElement,
    Connection,
    FromClause,
    Select,
    and_,
    func,
    literal,
    select,
    true,
    tuple_,
    union_all,
)

from toolkit.db.dialect import SQLITE, columns, one_of, one_of_texts
from toolkit.db.tables import metric_keys, metrics, runs
from toolkit.ids import is_run_id
from toolkit.tracking import series
from toolkit.tracking.limits import is_key
from toolkit.tracking.series import Extent, Row, Series, SeriesQuery

AT_ONCE = 500_000
"""Points that are read into memory together."""

_POINT = (metrics.c.step, metrics.c.timestamp, metrics.c.value, metrics.c.special)
_INFINITY = literal(math.inf)

_Part = tuple[ColumnElement[bool], Sequence[Any]]
"""A point of a stretch that is kept: the first one of those that are meant, in an order."""

_LEAST = (metrics.c.value, metrics.c.special, metrics.c.step, metrics.c.timestamp)
_GREATEST = (metrics.c.value.desc(), metrics.c.special.desc(), metrics.c.step, metrics.c.timestamp)
_IS_FINITE = and_(metrics.c.value > -_INFINITY, metrics.c.value < _INFINITY)
_ENDS: tuple[_Part, ...] = ((true(), _POINT), (true(), [column.desc() for column in _POINT]))
_EXTREMES: tuple[_Part, ...] = ((true(), _LEAST), (true(), _GREATEST))
_FINITE: tuple[_Part, ...] = ((_IS_FINITE, _LEAST), (_IS_FINITE, _GREATEST))
_STRANGE: tuple[_Part, ...] = (
    (and_(metrics.c.value == _INFINITY, metrics.c.special == 1), _POINT),
    (and_(metrics.c.value == _INFINITY, metrics.c.special == 0), _POINT),
    (metrics.c.value == -_INFINITY, _POINT),
)


class Pair(NamedTuple):
    """A metric of a run: the inner keys of both."""

    run: int
    key: int


class _Stretch(NamedTuple):
    """A part of a history: its metric, and its first and last step (or time)."""

    run: int
    key: int
    first: int
    last: int


def sample(connection: Connection, query: SeriesQuery, dialect: str) -> list[Series]:
    """Return the histories of metrics of runs, in the order of the query; what is not there is left out."""
    named, metered = _runs(connection, query, dialect), _keys(connection, query, dialect)
    if not named or not metered:
        return []
    names = {Pair(run, key): (run_id, name) for run_id, run in named.items() for name, key in metered.items()}
    extents = _extents(connection, list(named.values()), list(metered.values()), query, dialect)
    long = _too_long([pair for pair in names if pair in extents], extents) if query.smooth else ()
    exact = {pair: extent for pair, extent in extents.items() if pair not in long}
    found = _made(connection, exact, names, query, dialect)
    if long:
        plain = replace(query, smooth=0.0)
        run_keys, key_ids = list({pair.run for pair in long}), list({pair.key for pair in long})
        within = _extents(connection, run_keys, key_ids, plain, dialect)
        there = {pair: within[pair] for pair in long if pair in within}
        for pair, one in _made(connection, there, names, plain, dialect).items():
            found[pair] = series.roughly(one, query.smooth)
    return [found[pair] for pair in names if pair in found and found[pair].total]


def _too_long(pairs: Sequence[Pair], extents: Mapping[Pair, Extent]) -> Sequence[Pair]:
    """Return the histories that are too long for a smoothed line of all their points."""
    told = series.too_long(extents[pair].count for pair in pairs)
    return [pair for pair, is_long in zip(pairs, told, strict=True) if is_long]


def _made(
    connection: Connection,
    extents: Mapping[Pair, Extent],
    names: Mapping[Pair, tuple[str, str]],
    query: SeriesQuery,
    dialect: str,
) -> dict[Pair, Series]:
    """Return the histories of some extents: read whole where they are short, or smoothed, else chosen."""
    short = {pair: extent for pair, extent in extents.items() if query.smooth or extent.count <= query.points}
    long = {pair: extent for pair, extent in extents.items() if pair not in short}
    found: dict[Pair, Series] = {}
    for pair, rows in _whole(connection, short, dialect):
        found[pair] = series.made(*names[pair], rows, query)
    for pair, rows in _chosen(connection, long, query, dialect):
        found[pair] = series.made(*names[pair], rows, query, total=long[pair].count)
    return found


def _runs(connection: Connection, query: SeriesQuery, dialect: str) -> dict[str, int]:
    """Return the inner keys of the runs, in the order of the query."""
    ids = list(dict.fromkeys(run_id for run_id in query.run_ids if is_run_id(run_id)))
    wanted = select(runs.c.run_id, runs.c.id).where(one_of_texts(runs.c.run_id, ids, dialect))
    there: dict[str, int] = dict(map(tuple, connection.execute(wanted)))
    return {run_id: there[run_id] for run_id in ids if run_id in there}


def _keys(connection: Connection, query: SeriesQuery, dialect: str) -> dict[str, int]:
    """Return the inner keys of the metrics, in the order of the query."""
    names = list(dict.fromkeys(key for key in query.keys if is_key(key)))
    wanted = select(metric_keys.c.name, metric_keys.c.id).where(one_of_texts(metric_keys.c.name, names, dialect))
    there: dict[str, int] = dict(map(tuple, connection.execute(wanted)))
    return {name: there[name] for name in names if name in there}


def _extents(
    connection: Connection, run_keys: Sequence[int], key_ids: Sequence[int], query: SeriesQuery, dialect: str
) -> dict[Pair, Extent]:
    """Return how far each history goes within the asked steps; those without a point there are left out."""
    here = metrics.c
    within = [one_of(here.run, run_keys, dialect), one_of(here.key, key_ids, dialect)]
    within += [here.step >= query.read_from] if query.read_from is not None else []
    within += [here.step <= query.end_step] if query.end_step is not None else []
    columns = (here.run, here.key, func.count(), func.min(here.step), func.max(here.step))
    told = connection.execute(select(*columns).where(*within).group_by(here.run, here.key)).all()
    found = {Pair(run, key): Extent(count=count, steps=(low, high)) for run, key, count, low, high in told}
    if all(extent.count <= query.points or not extent.by_time for extent in found.values()):
        return found
    times = select(here.run, here.key, func.min(here.timestamp), func.max(here.timestamp))
    for run, key, early, late in connection.execute(times.where(*within).group_by(here.run, here.key)):
        found[Pair(run, key)] = replace(found[Pair(run, key)], timestamps=(early, late))
    return found


def _whole(connection: Connection, extents: dict[Pair, Extent], dialect: str) -> Iterable[tuple[Pair, list[Row]]]:
    """Return all points of histories, a part of them after the other where they are too many."""
    part: list[_Stretch] = []
    points = 0
    for pair, extent in extents.items():
        if part and points + extent.count > AT_ONCE:
            yield from _sorted(_read(connection, part, dialect))
            part, points = [], 0
        part.append(_Stretch(pair.run, pair.key, *extent.steps))
        points += extent.count
    if part:
        yield from _sorted(_read(connection, part, dialect))


def _read(connection: Connection, stretches: Sequence[_Stretch], dialect: str) -> Iterable[Any]:
    asked = _asked(stretches, dialect)
    there = and_(
        metrics.c.run == asked.c.run,
        metrics.c.key == asked.c.key,
        metrics.c.step.between(asked.c.first, asked.c.last),
    )
    return connection.execute(select(metrics.c.run, metrics.c.key, *_POINT).select_from(asked.join(metrics, there)))


def _chosen(
    connection: Connection, extents: dict[Pair, Extent], query: SeriesQuery, dialect: str
) -> Iterable[tuple[Pair, list[Row]]]:
    """Return the points that stand for long histories; those of one step are cut by another column, and so apart."""
    alike: dict[bool, list[_Stretch]] = {}
    for pair, extent in extents.items():
        stretches = alike.setdefault(extent.by_time, [])
        stretches += [_Stretch(*pair, *ends) for ends in extent.stretches(query.stretches)]
    for by_time, stretches in alike.items():
        axis = metrics.c.timestamp if by_time else metrics.c.step
        rows = {tuple(row) for row in connection.execute(_choosing(stretches, axis, dialect, _ENDS + _EXTREMES))}
        # What is no finite number is an extreme: where there is one, what lies between is looked for once more.
        strange = {row[:2] for row in rows if not math.isfinite(row[4])}
        if again := [stretch for stretch in stretches if stretch[:2] in strange]:
            rows |= {tuple(row) for row in connection.execute(_choosing(again, axis, dialect, _FINITE + _STRANGE))}
        yield from _sorted(rows)


def _choosing(
    stretches: Sequence[_Stretch], axis: ColumnElement[int], dialect: str, parts: Sequence[_Part]
) -> Select[*tuple[Any, ...]] | Any:  # noqa: ANN401 - a union of them
    """Return the statement that finds, of each stretch, the point of each part."""
    asked = _asked(stretches, dialect)
    return union_all(*(_one_of_each(asked, axis, which, order, dialect) for which, order in parts))


def _one_of_each(
    asked: FromClause, axis: ColumnElement[int], which: ColumnElement[bool], order: Sequence[Any], dialect: str
) -> Select[*tuple[Any, ...]]:
    """Return the statement that finds the first point of each stretch, in an order."""
    wanted = (
        select(*_POINT)
        .where(metrics.c.run == asked.c.run, metrics.c.key == asked.c.key)
        .where(axis.between(asked.c.first, asked.c.last), which)
        .order_by(*order)
        .limit(1)
        .correlate(asked)
    )
    if dialect != SQLITE:
        one = wanted.lateral()
        return select(asked.c.run, asked.c.key, *one.c).select_from(asked.join(one, true()))
    # SQLite has no LATERAL: it looks the point up by its whole key, which the part finds.
    found = metrics.alias()
    point = tuple_(*(found.c[column.name] for column in _POINT))
    there = and_(found.c.run == asked.c.run, found.c.key == asked.c.key, point == wanted.scalar_subquery())
    return select(found.c.run, found.c.key, *(found.c[column.name] for column in _POINT)).select_from(
        asked.join(found, there)
    )


def _asked(stretches: Sequence[_Stretch], dialect: str) -> FromClause:
    return columns(dict(zip(_Stretch._fields, zip(*stretches, strict=True), strict=True)), dialect)


def _sorted(rows: Iterable[Any]) -> Iterable[tuple[Pair, list[Row]]]:
    """Return rows by their metric, in their order."""
    found: dict[Pair, list[Row]] = {}
    for run, key, *point in rows:
        found.setdefault(Pair(run, key), []).append(tuple(point))
    for pair, points in found.items():
        points.sort()
        yield pair, points
