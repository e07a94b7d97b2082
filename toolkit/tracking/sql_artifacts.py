"""The list of a run's files in SQL."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import Connection, and_, delete, func, or_, select

from toolkit.db.dialect import insert, one_of_texts
from toolkit.db.tables import artifacts, runs
from toolkit.tracking import paging
from toolkit.tracking.records import ArtifactEntry, Page
from toolkit.tracking.sql_runs import find

_PATHS_PER_STATEMENT = 500


def write(
    connection: Connection, run: int, entries: Sequence[ArtifactEntry], dialect: str, *, late: bool = False
) -> None:
    """List files of a run; a path that is listed already takes the new size, digest and time.

    Args:
        connection: Where to.
        run: Inner key of the run.
        entries: The files.
        dialect: Of the database.
        late: Whether they were stored some time ago: then a path keeps what was stored there since.
    """
    rows = {
        entry.path: {
            "run": run,
            "path": entry.path,
            "size": entry.size,
            "sha256": entry.sha256,
            "created": entry.created,
        }
        for entry in entries
    }
    if rows:
        listing = insert(artifacts, dialect)
        listing = listing.on_conflict_do_update(
            index_elements=["run", "path"],
            set_={name: listing.excluded[name] for name in ("size", "sha256", "created")},
            where=listing.excluded.created >= artifacts.c.created if late else None,
        )
        connection.execute(listing, list(rows.values()))


def forget(connection: Connection, run: int, paths: Sequence[str]) -> list[str]:
    """Take files off a run's list; return those that were on it."""
    found: list[str] = []
    for start in range(0, len(paths), _PATHS_PER_STATEMENT):
        chunk = paths[start : start + _PATHS_PER_STATEMENT]
        those = and_(artifacts.c.run == run, artifacts.c.path.in_(chunk))
        found += connection.execute(select(artifacts.c.path).where(those)).scalars()
        connection.execute(delete(artifacts).where(those))
    return sorted(found)


def page(connection: Connection, run_id: str, prefix: str, limit: int, page_token: str | None) -> Page[ArtifactEntry]:
    """Return the files at or below a path, ordered by path.

    Raises:
        InvalidValue: The page token is none of this list.
        NotFound: There is no such run.
    """
    path = artifacts.c.path
    files = select(artifacts).where(artifacts.c.run == find(connection, run_id).key).order_by(path).limit(limit + 1)
    if prefix:
        files = files.where(or_(path == prefix, and_(path > f"{prefix}/", path < f"{prefix}0")))  # 0 comes after /
    if page_token is not None:
        files = files.where(path > paging.decode(page_token, "artifacts", (str,))[0])
    rows = connection.execute(files).all()
    token = paging.encode("artifacts", (rows[limit - 1].path,)) if len(rows) > limit else None
    items = [
        ArtifactEntry(path=row.path, size=row.size, sha256=row.sha256, created=row.created) for row in rows[:limit]
    ]
    return Page(items=items, next_page_token=token)


def ending(
    connection: Connection, run_ids: Sequence[str], ends: Sequence[str], limit: int, dialect: str
) -> dict[str, list[ArtifactEntry]]:
    """Return the files of these runs whose names end so, in lower case, ordered by path; the first of them."""
    name = func.lower(artifacts.c.path)
    ended = or_(*(name.endswith(end, autoescape=True) for end in ends))
    rows = connection.execute(
        select(runs.c.run_id, artifacts)
        .join(runs, runs.c.id == artifacts.c.run)
        .where(one_of_texts(runs.c.run_id, run_ids, dialect), ended)
        .order_by(artifacts.c.path, artifacts.c.run)
        .limit(limit)
    )
    found: dict[str, list[ArtifactEntry]] = {}
    for row in rows:
        entry = ArtifactEntry(path=row.path, size=row.size, sha256=row.sha256, created=row.created)
        found.setdefault(row.run_id, []).append(entry)
    return found
