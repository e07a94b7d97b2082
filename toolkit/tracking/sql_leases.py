"""Leases in SQL: who answers for a run, and until when its silence means nothing; by the clock of the database."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from sqlalchemy import Connection, and_, case, literal_column, or_, select, update

from toolkit.db.dialect import clock_ms, one_of_texts
from toolkit.db.tables import runs
from toolkit.tracking.records import Owner, RunStatus

# Literal, not bound: only so does SQLite see that the index over running runs serves.
_RUNNING = runs.c.status == literal_column(f"'{RunStatus.RUNNING.value}'")


def renew(connection: Connection, owner: Owner, run_ids: Sequence[str], lease_ms: int, dialect: str) -> list[str]:
    """Give running runs a new lease and this owner; return their ids, in the order given."""
    if not run_ids:
        return []
    renewing = (
        update(runs)
        .where(one_of_texts(runs.c.run_id, run_ids, dialect), runs.c.status == RunStatus.RUNNING.value)
        .values(
            lease_until=clock_ms(dialect) + lease_ms if lease_ms else None,
            owner_host=owner.host,
            owner_pid=owner.pid,
            owner_started=owner.started,
        )
        .returning(runs.c.run_id)
    )
    alive = set(connection.execute(renewing).scalars())
    return [run_id for run_id in run_ids if run_id in alive]


def candidates(connection: Connection, host: str, dialect: str) -> list[tuple[str, Owner | None, bool]]:
    """Return running runs whose lease is over, and those whose owner is a process of ``host``."""
    over = case((runs.c.lease_until < clock_ms(dialect), 1), else_=0)
    suspects = select(runs.c.run_id, runs.c.owner_host, runs.c.owner_pid, runs.c.owner_started, over).where(
        _RUNNING, or_(runs.c.owner_host == host, over == 1)
    )
    found = connection.execute(suspects).all()  # sorted here: SQLite would walk all runs to have them in order
    return [
        (run_id, None if owner is None else Owner(host=owner, pid=pid, started=started), bool(expired))
        for run_id, owner, pid, started, expired in sorted(found)
    ]


class Seen(NamedTuple):
    """What was seen of a run that may be lost: who answered for it, and whether its lease was over."""

    owner: Owner | None
    expired: bool


def mark_lost(connection: Connection, key: int, reason: str, seen: Seen, dialect: str) -> bool:
    """Make a run FAILED if it is RUNNING and still as it was seen; tell whether it was."""
    owner = seen.owner
    same = (
        runs.c.owner_host.is_(None)
        if owner is None
        else and_(runs.c.owner_host == owner.host, runs.c.owner_pid == owner.pid, runs.c.owner_started == owner.started)
    )
    still = and_(same, runs.c.lease_until < clock_ms(dialect)) if seen.expired else same
    marking = (
        update(runs)
        .where(runs.c.id == key, runs.c.status == RunStatus.RUNNING.value, still)
        .values(status=RunStatus.FAILED.value, reason=reason, end_time=clock_ms(dialect), lease_until=None)
    )
    return connection.execute(marking).rowcount == 1
