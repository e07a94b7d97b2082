"""Whether the files of a model are there, and are those that were logged: asked before it is registered."""

from __future__ import annotations

from collections.abc import Mapping

from toolkit.artifacts.digest import file_digest
from toolkit.artifacts.location import Place
from toolkit.errors import ArtifactCorrupt, ArtifactError, InvalidSetting, NotFound
from toolkit.recording.stores import Stores
from toolkit.registry.catalog import Catalog
from toolkit.registry.fetched import recorded_files
from toolkit.registry.locating import MODEL_FILE, Located, place_of
from toolkit.tracking.records import ArtifactEntry

MOST_HASHED = 1 << 30
"""Bytes of a model's files that are read to see whether they are the same; of more, only the sizes are compared."""


def check_files(located: Located, stores: Stores, catalog: Catalog) -> None:
    """Check that the files of a model are there, and as they were recorded, as far as that can be seen from here.

    Raises:
        NotFound: The folder holds no model.
        ArtifactCorrupt: A file is gone, or is not what was logged.
    """
    found = _found(located, stores)
    if found is None:
        return
    place, there = found
    if MODEL_FILE not in there:
        raise NotFound(f"{located.uri} is no model: there is no file {MODEL_FILE} in {located.location}")
    _compare(located, place, there, recorded_files(located, stores.runs, catalog))


def check_recorded(located: Located, stores: Stores, catalog: Catalog) -> None:
    """Check that the files of a model are as they were recorded, where they were; whatever else is there.

    Raises:
        ArtifactCorrupt: A file is gone, or is not what was logged.
    """
    recorded = recorded_files(located, stores.runs, catalog)
    found = _found(located, stores) if recorded else None
    if found is not None:
        _compare(located, *found, recorded)


def _found(located: Located, stores: Stores) -> tuple[Place, Mapping[str, int]] | None:
    """Return where files are, and their sizes by their paths; ``None`` where that cannot be looked at from here."""
    try:
        place = place_of(located, stores)
        start = len(place.folder) + 1 if place.folder else 0
        return place, {file.key[start:]: file.size for file in place.store.list(place.folder)}
    except (ArtifactError, InvalidSetting):  # another machine's, or another program's
        return None


def _compare(located: Located, place: Place, there: Mapping[str, int], recorded: Mapping[str, ArtifactEntry]) -> None:
    hashed = sum(entry.size for entry in recorded.values()) <= MOST_HASHED
    for path, entry in recorded.items():
        if path not in there:
            raise ArtifactCorrupt(f"{located.uri} is not whole: its file {path} is gone, so it is not registered")
        file = place.store.local_path(place.key(path)) if hashed else None
        if there[path] != entry.size or (file is not None and file_digest(file) != entry.sha256):
            raise ArtifactCorrupt(
                f"{located.uri} was changed since it was logged: its file {path} does not match the recorded SHA-256, "
                "so it is not registered; log the model again, or put the file back"
            )
