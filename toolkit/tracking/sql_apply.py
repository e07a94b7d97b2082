"""Entries of clients' journals in SQL: those of many runs at once, by a few statements whatever their number.

A run's entries only ever add up: it begins, then values come, then it ends. So all beginnings of a call are written
first, then all values, then all ends, and the result is the same as if they had been written one by one.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Connection, bindparam, select, update

from toolkit.db.dialect import clock_ms, insert, one_of, one_of_texts
from toolkit.db.tables import experiments, journals, runs
from toolkit.errors import NotFound
from toolkit.ids import now_ms
from toolkit.tracking import limits, sql_artifacts, sql_inputs
from toolkit.tracking.entries import Begun, Ended, Entry, Listed, Logged, Used
from toolkit.tracking.records import NewRun
from toolkit.tracking.sql_experiments import number_of
from toolkit.tracking.sql_runs import Found, not_found, write_fields
from toolkit.tracking.sql_values import ValueWriter
from toolkit.tracking.system_tags import first_tags, told_by
from toolkit.tracking.transition import (
    RunChange,
    begun,
    changed_params,
    experiment_not_active,
    not_active,
)


def position(connection: Connection, journal: str, dialect: str) -> int:
    """Return the number of the first entry of a journal that was not written yet."""
    asking = select(journals.c.position).where(journals.c.id == journal).with_for_update()
    written = connection.execute(asking).scalar_one_or_none()
    if written is None:  # a row to wait for, should another process send the same journal now
        beginning = insert(journals, dialect).values(id=journal, position=0, updated=now_ms())
        connection.execute(beginning.on_conflict_do_nothing())
        written = connection.execute(asking).scalar_one()
    return int(written)


def advance(connection: Connection, journal: str, end: int, dialect: str) -> None:
    """Note that a journal was written up to (not including) entry number ``end``."""
    noting = insert(journals, dialect).values(id=journal, position=end, updated=now_ms())
    noting = noting.on_conflict_do_update(
        index_elements=["id"], set_={name: noting.excluded[name] for name in ("position", "updated")}
    )
    connection.execute(noting)


@dataclass(slots=True)
class _Gathered:
    """What the entries of a call come to, by the inner keys of runs."""

    points: dict[int, list[limits.Point]] = field(default_factory=dict)
    params: dict[int, dict[str, str]] = field(default_factory=dict)
    tags: dict[int, dict[str, str | None]] = field(default_factory=dict)
    fields: dict[int, dict[str, Any]] = field(default_factory=dict)
    artifacts: dict[int, list[Listed]] = field(default_factory=dict)
    ends: dict[int, Ended] = field(default_factory=dict)
    names: dict[int, str] = field(default_factory=dict)


def write(connection: Connection, entries: Sequence[Entry | None], values: ValueWriter, dialect: str) -> dict[str, int]:
    """Write entries; return the ids of metrics' keys, to be given to `ValueWriter.remember` after the commit.

    Raises:
        UserError: One of them can never be written; nothing was.
    """
    wanted = [entry for entry in entries if entry is not None]
    added = _begin(connection, [entry.new for entry in wanted if isinstance(entry, Begun)], dialect)
    found = _find(connection, {entry.run_id for entry in wanted}, dialect)
    gathered = _gather(wanted, found, added)
    values.many_params(connection, gathered.params, gathered.names)
    values.many_tags(connection, gathered.tags)
    keys = values.many_metrics(connection, gathered.points)
    for key, fields in gathered.fields.items():
        write_fields(connection, key, fields)
    for key, listed in gathered.artifacts.items():
        files = [file for entry in listed for file in entry.artifacts]
        sql_artifacts.write(connection, key, files, dialect, late=True)
    for entry in wanted:
        if isinstance(entry, Used):
            limits.check_inputs(entry.inputs)
            sql_inputs.write(connection, found[entry.run_id].key, entry.inputs, dialect)
    _end(connection, gathered.ends)
    return dict(keys)


def _begin(connection: Connection, news: Sequence[NewRun], dialect: str) -> set[str]:
    """Make runs; return the ids of those that were not there."""
    if not news:
        return set()
    for new in news:
        limits.check_new_run(new)
    first = {new.run_id: new for new in reversed(news)}
    there = _find(connection, first, dialect)
    fresh = [new for run_id, new in first.items() if run_id not in there]
    locations = _locations(connection, {new.experiment_id for new in fresh}, dialect)
    now = connection.execute(select(clock_ms(dialect))).scalar_one()
    rows = []
    for new in fresh:
        info, owner = begun(new, locations[new.experiment_id]), new.owner
        rows.append(
            {
                "run_id": info.run_id,
                "experiment": number_of(new.experiment_id),
                "name": info.run_name,
                "user_id": info.user_id,
                "status": info.status.value,
                "start_time": info.start_time,
                "artifact_uri": info.artifact_uri,
                "parent_run_id": info.parent_run_id,
                "owner_host": owner.host if owner else None,
                "owner_pid": owner.pid if owner else None,
                "owner_started": owner.started if owner else None,
                "lease_until": now + new.lease_ms if new.lease_ms else None,
            }
        )
    if rows:
        connection.execute(insert(runs, dialect).on_conflict_do_nothing(index_elements=["run_id"]), rows)
    return {new.run_id for new in fresh}


def _locations(connection: Connection, experiment_ids: set[str], dialect: str) -> dict[str, str]:
    numbers = [number for text in experiment_ids if (number := number_of(text)) is not None]
    rows = connection.execute(
        select(experiments.c.id, experiments.c.artifact_location, experiments.c.deleted).where(
            one_of(experiments.c.id, numbers, dialect)
        )
    ).all()
    found = {str(row.id): row for row in rows}
    for experiment_id in experiment_ids:
        if experiment_id not in found:
            raise NotFound(f"No Experiment with id={experiment_id} exists")
        if found[experiment_id].deleted is not None:
            raise experiment_not_active(experiment_id)
    return {experiment_id: row.artifact_location for experiment_id, row in found.items()}


def _find(connection: Connection, run_ids: Iterable[str], dialect: str) -> dict[str, Found]:
    listed = sorted(run_ids)
    wanted = select(runs.c.run_id, runs.c.id, runs.c.deleted).where(one_of_texts(runs.c.run_id, listed, dialect))
    wanted = wanted.order_by(runs.c.id).with_for_update(read=True, key_share=True)  # not removed while they are written
    return {row.run_id: Found(row.id, row.deleted is not None) for row in connection.execute(wanted).all()}


def _gather(entries: Sequence[Entry], found: Mapping[str, Found], added: set[str]) -> _Gathered:
    gathered = _Gathered()
    for entry in entries:
        run = found.get(entry.run_id)
        if run is None:
            raise not_found(entry.run_id)
        key = run.key
        gathered.names[key] = entry.run_id
        if isinstance(entry, Begun):
            if entry.run_id in added:
                gathered.params.setdefault(key, {}).update(entry.new.params)
                gathered.tags.setdefault(key, {}).update(first_tags(entry.new))
            continue
        if run.deleted:
            raise not_active(entry.run_id)
        if isinstance(entry, Logged):
            _gather_values(entry, key, gathered)
        elif isinstance(entry, Listed):
            limits.check_artifacts(entry.artifacts)
            gathered.artifacts.setdefault(key, []).append(entry)
        elif isinstance(entry, Ended):
            RunChange(status=entry.status, end_time=entry.end_time, reason=entry.reason).check()
            gathered.ends[key] = entry
    return gathered


def _gather_values(entry: Logged, key: int, gathered: _Gathered) -> None:
    if entry.points:
        gathered.points.setdefault(key, []).extend(entry.points)
    if entry.params:
        limits.check_params(entry.params)
        before = gathered.params.setdefault(key, {})
        if clash := changed_params(entry.run_id, before, entry.params):
            raise clash
        before.update(entry.params)
    if entry.tags:
        limits.check_tags(entry.tags)
        gathered.tags.setdefault(key, {}).update(entry.tags)
        if fields := told_by(entry.tags):
            gathered.fields.setdefault(key, {}).update(fields)


def _end(connection: Connection, ends: Mapping[int, Ended]) -> None:
    if not ends:
        return
    ending = (
        update(runs)
        .where(runs.c.id == bindparam("run"), runs.c.status != bindparam("same"))
        .values(
            status=bindparam("new_status"),
            reason=bindparam("new_reason"),
            end_time=bindparam("new_end"),
            lease_until=None,
        )
    )
    rows = [
        {
            "run": key,
            "same": end.status.value,
            "new_status": end.status.value,
            "new_reason": end.reason,
            "new_end": end.end_time,
        }
        for key, end in ends.items()
    ]
    connection.execute(ending, rows)
