"""Writing what runs log: metrics, parameters and tags, one statement a table whatever their number."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from sqlalchemy import Connection, bindparam, delete, select, tuple_

from toolkit.db.dialect import Prepared, insert
from toolkit.db.engine import Database
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
        if not points:
            return {}
        greatest: dict[str, Point] = {}
        for point in points:
            key = point[0]
            if key not in greatest or point > greatest[key]:
                greatest[key] = point
        keys = self._key_ids(connection, list(greatest))
        self._points.run(connection, [(run, keys[point[0]], *point[1:]) for point in points])
        self._latest.run(connection, [(run, keys[key], *point[1:]) for key, point in greatest.items()])
        return keys

    def remember(self, keys: Mapping[str, int]) -> None:
        """Remember ids of keys that are committed."""
        self._keys.update(keys)

    def params(self, connection: Connection, run: int, run_id: str, values: Mapping[str, str]) -> None:
        """Write parameters that are not there yet.

        Raises:
            Conflict: One has another value already.
        """
        if not values:
            return
        self._params.run(connection, [(run, key, value) for key, value in values.items()])
        there = select(params.c.key, params.c.value).where(params.c.run == run, params.c.key.in_(values))
        clash = changed_params(run_id, {row.key: row.value for row in connection.execute(there)}, values)
        if clash:
            raise clash

    def tags(self, connection: Connection, run: int, values: Mapping[str, str | None]) -> None:
        """Set tags, and remove those whose value is ``None``."""
        gone = [key for key, value in values.items() if value is None]
        self._tags.run(connection, [(run, key, value) for key, value in values.items() if value is not None])
        if gone:
            connection.execute(delete(tags).where(tags.c.run == run, tags.c.key.in_(gone)))

    def _key_ids(self, connection: Connection, names: Sequence[str]) -> dict[str, int]:
        known = self._keys
        ids = {name: known[name] for name in names if name in known}
        missing = [name for name in names if name not in ids]
        if missing:
            ids.update(self._read_keys(connection, missing))
            fresh = [{"new": name} for name in missing if name not in ids]
            if fresh:
                adding = insert(metric_keys, self._kind).values(name=bindparam("new")).on_conflict_do_nothing()
                connection.execute(adding, fresh)
                ids.update(self._read_keys(connection, [row["new"] for row in fresh]))
        return ids

    @staticmethod
    def _read_keys(connection: Connection, names: Sequence[str]) -> dict[str, int]:
        wanted = select(metric_keys.c.name, metric_keys.c.id).where(metric_keys.c.name.in_(names))
        return {row.name: row.id for row in connection.execute(wanted)}
