"""Writing what runs log: metrics, parameters and tags, one statement a table whatever their number."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache

from sqlalchemy import Connection, bindparam, delete, select, tuple_

from toolkit.db.dialect import Prepared, among, insert, listed, numbers_parameter, texts_parameter
from toolkit.db.engine import Database
from toolkit.db.fixed import Fixed
from toolkit.db.tables import latest_metrics, metric_keys, metrics, params, tags
from toolkit.tracking.limits import Point
from toolkit.tracking.transition import changed_params

_POINT = ("run", "key", "step", "timestamp", "value", "special")
_ORDER = _POINT[2:]
_NAMED = ("run", "key", "value")


class ValueWriter:
    """Writes values of runs, in the transaction that it is handed.

    Args:
        database: Where they go.
    """

    def __init__(self, database: Database) -> None:
        dialect = database.engine.dialect
        kind = database.dialect
        self._kind = kind
        self._points = Prepared(insert(metrics, kind).on_conflict_do_nothing(), _POINT, dialect)
        latest = insert(latest_metrics, kind)
        newer = tuple_(*(latest.excluded[name] for name in _ORDER)) > tuple_(
            *(latest_metrics.c[name] for name in _ORDER)
        )
        latest = latest.on_conflict_do_update(
            index_elements=["run", "key"], set_={name: latest.excluded[name] for name in _ORDER}, where=newer
        )
        self._latest = Prepared(latest, _POINT, dialect)
        self._params = Prepared(insert(params, kind).on_conflict_do_nothing(), _NAMED, dialect)
        named = insert(tags, kind)
        named = named.on_conflict_do_update(index_elements=["run", "key"], set_={"value": named.excluded.value})
        self._tags = Prepared(named, _NAMED, dialect)
        self._keys: dict[str, int] = {}

    def metrics(self, connection: Connection, run: int, points: Sequence[Point]) -> Mapping[str, int]:
        """Write metric points; return the ids of their keys, to be given to `remember` after the commit."""
        return self.many_metrics(connection, {run: points})

    def many_metrics(self, connection: Connection, points_of: Mapping[int, Sequence[Point]]) -> Mapping[str, int]:
        """Write metric points of many runs; return the ids of their keys, to be given to `remember`."""
        latest = {run: _greatest(points) for run, points in points_of.items()}
        keys = self._key_ids(connection, list({key: None for greatest in latest.values() for key in greatest}))
        if keys:
            rows = [(run, keys[point[0]], *point[1:]) for run, points in points_of.items() for point in points]
            if len(points_of) > 1 or len(keys) > 1:
                rows.sort()  # the order of the table: each page of it is filled once
            self._points.run(connection, rows)
            newest = [
                (run, keys[key], *point[1:]) for run, greatest in latest.items() for key, point in greatest.items()
            ]
            self._latest.run(connection, newest)
        return keys

    def remember(self, keys: Mapping[str, int]) -> None:
        """Remember ids of keys that are committed."""
        self._keys.update(keys)

    def params(self, connection: Connection, run: int, run_id: str, values: Mapping[str, str]) -> None:
        """Write parameters that are not there yet.

        Raises:
            Conflict: One has another value already.
        """
        self.many_params(connection, {run: values}, {run: run_id})

    def many_params(
        self, connection: Connection, values_of: Mapping[int, Mapping[str, str]], run_ids: Mapping[int, str]
    ) -> None:
        """Write parameters of many runs that are not there yet.

        Raises:
            Conflict: One has another value already.
        """
        rows = [(run, key, value) for run, values in values_of.items() for key, value in values.items()]
        if not rows:
            return
        self._params.run(connection, rows)
        wanted: dict[str, object] = {"runs": listed([run for run, values in values_of.items() if values], self._kind)}
        if len(values_of) == 1:
            wanted["keys"] = listed([key for _, key, _ in rows], self._kind)
        before: dict[int, dict[str, str]] = {}
        for run, key, value in _params_there(self._kind, "keys" in wanted).run(connection, **wanted).all():
            before.setdefault(run, {})[key] = value
        for run, values in values_of.items():
            if clash := changed_params(run_ids[run], before.get(run, {}), values):
                raise clash

    def tags(self, connection: Connection, run: int, values: Mapping[str, str | None]) -> None:
        """Set tags, and remove those whose value is ``None``."""
        self.many_tags(connection, {run: values})

    def many_tags(self, connection: Connection, values_of: Mapping[int, Mapping[str, str | None]]) -> None:
        """Set tags of many runs, and remove those whose value is ``None``."""
        rows = [(run, key, value) for run, values in values_of.items() for key, value in values.items()]
        self._tags.run(connection, [row for row in rows if row[2] is not None])
        for run, values in values_of.items():
            if gone := [key for key, value in values.items() if value is None]:
                connection.execute(delete(tags).where(tags.c.run == run, tags.c.key.in_(gone)))

    def _key_ids(self, connection: Connection, names: Sequence[str]) -> dict[str, int]:
        known = self._keys
        ids = {name: known[name] for name in names if name in known}
        missing = [name for name in names if name not in ids]
        if missing:
            ids.update(self._read_keys(connection, missing))
            fresh = [{"new": name} for name in sorted(missing) if name not in ids]  # in one order for all clients
            if fresh:
                adding = insert(metric_keys, self._kind).values(name=bindparam("new")).on_conflict_do_nothing()
                connection.execute(adding, fresh)
                ids.update(self._read_keys(connection, [row["new"] for row in fresh]))
        return ids

    @staticmethod
    def _read_keys(connection: Connection, names: Sequence[str]) -> dict[str, int]:
        wanted = select(metric_keys.c.name, metric_keys.c.id).where(metric_keys.c.name.in_(names))
        return {row.name: row.id for row in connection.execute(wanted)}


@cache
def _params_there(dialect: str, named: bool) -> Fixed:
    there = select(params.c.run, params.c.key, params.c.value)
    there = there.where(among(params.c.run, numbers_parameter("runs", dialect), dialect))
    return Fixed(
        there.where(among(params.c.key, texts_parameter("keys", dialect), dialect)) if named else there, dialect
    )


def _greatest(points: Sequence[Point]) -> dict[str, Point]:
    """Return the greatest point of each key: the latest."""
    greatest: dict[str, Point] = {}
    for point in points:
        key = point[0]
        if key not in greatest or point > greatest[key]:
            greatest[key] = point
    return greatest
