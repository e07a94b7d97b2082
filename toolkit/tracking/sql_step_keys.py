"""Keys of steps in SQL."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import Connection, select, update

from toolkit.db.dialect import insert, one_of_texts
from toolkit.db.tables import runs, step_keys
from toolkit.ids import is_run_id
from toolkit.tracking.records import RunStatus
from toolkit.tracking.sql_runs import find
from toolkit.tracking.step_keys import StepKey, StepKeyQuery


def keep(connection: Connection, key: StepKey, dialect: str) -> None:
    """Note the key of a run.

    Raises:
        NotFound: There is no such run.
    """
    values = {
        "key": key.key,
        "family": key.family,
        "reusable": int(key.reusable),
        "created": key.created,
        "components": key.components,
    }
    row = insert(step_keys, dialect).values(run=find(connection, key.run_id, lock=True).key, **values)
    connection.execute(row.on_conflict_do_update(index_elements=["run"], set_=values))


def look_up(connection: Connection, query: StepKeyQuery, dialect: str) -> list[StepKey]:
    """Return the keys that a query asks for, newest first."""
    columns = [column for column in step_keys.c if column.name != "run"]
    wanted = select(runs.c.run_id, *columns).join_from(step_keys, runs, runs.c.id == step_keys.c.run)
    if query.key is not None:
        wanted = wanted.where(step_keys.c.key == query.key)
    if query.family is not None:
        wanted = wanted.where(step_keys.c.family == query.family)
    if query.run_ids:
        wanted = wanted.where(one_of_texts(runs.c.run_id, [each for each in query.run_ids if is_run_id(each)], dialect))
    if query.reusable:
        finished = runs.c.status == RunStatus.FINISHED.value
        wanted = wanted.where(step_keys.c.reusable == 1, finished, runs.c.deleted.is_(None))
    if query.before is not None:
        wanted = wanted.where(step_keys.c.created < query.before)
    newest = (step_keys.c.created.desc(), step_keys.c.run.desc())
    return [
        StepKey(
            run_id=row.run_id,
            key=row.key,
            family=row.family,
            reusable=bool(row.reusable),
            created=row.created,
            components=row.components,
        )
        for row in connection.execute(wanted.order_by(*newest).limit(query.limit))
    ]


def forget(connection: Connection, run_ids: Sequence[str], dialect: str) -> list[str]:
    """Let nobody take over what these runs have left; return those that others could take over."""
    wanted = [run_id for run_id in run_ids if is_run_id(run_id)]
    those = select(runs.c.id, runs.c.run_id).where(one_of_texts(runs.c.run_id, wanted, dialect))
    names = {row.id: row.run_id for row in connection.execute(those)}
    if not names:
        return []
    dropping = (
        update(step_keys)
        .where(step_keys.c.run.in_(sorted(names)), step_keys.c.reusable == 1)
        .values(reusable=0)
        .returning(step_keys.c.run)
    )
    return sorted(names[key] for key in connection.execute(dropping).scalars())
