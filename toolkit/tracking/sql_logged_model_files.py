"""The list of a logged model's files in SQL."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import Connection, delete, select

from toolkit.db.dialect import insert
from toolkit.db.tables import logged_model_files as files
from toolkit.tracking.records import ArtifactEntry

_PATHS_PER_STATEMENT = 500


def write(connection: Connection, model: int, entries: Sequence[ArtifactEntry], dialect: str) -> None:
    """List files of a model, by its inner key; a path that is listed already takes the new size, digest and time."""
    rows = {
        entry.path: {
            "model": model,
            "path": entry.path,
            "size": entry.size,
            "sha256": entry.sha256,
            "created": entry.created,
        }
        for entry in entries
    }
    if rows:
        listing = insert(files, dialect)
        listing = listing.on_conflict_do_update(
            index_elements=["model", "path"],
            set_={name: listing.excluded[name] for name in ("size", "sha256", "created")},
        )
        connection.execute(listing, list(rows.values()))


def forget(connection: Connection, model: int, paths: Sequence[str]) -> None:
    """Take files off a model's list."""
    for start in range(0, len(paths), _PATHS_PER_STATEMENT):
        chunk = paths[start : start + _PATHS_PER_STATEMENT]
        connection.execute(delete(files).where(files.c.model == model, files.c.path.in_(chunk)))


def of(connection: Connection, model: int) -> list[ArtifactEntry]:
    """Return the files of a model, by path."""
    rows = connection.execute(select(files).where(files.c.model == model).order_by(files.c.path)).all()
    return [ArtifactEntry(path=row.path, size=row.size, sha256=row.sha256, created=row.created) for row in rows]
