"""The files of a model on this machine, held against the digests that were recorded when it was logged."""

from __future__ import annotations

import atexit
import re
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import yaml

from toolkit.artifacts.digest import file_digest
from toolkit.artifacts.location import Place
from toolkit.data.source import local_path
from toolkit.errors import ArtifactCorrupt, Conflict, NotFound
from toolkit.models.metadata import FILE
from toolkit.models.trust import Trust
from toolkit.recording.stores import Stores
from toolkit.recording.transfer import files_below, in_parallel, targets
from toolkit.registry.catalog import Catalog
from toolkit.registry.locating import Located, locate, place_of
from toolkit.registry.names import holder_of
from toolkit.tracking.logged_models import ModelStatus
from toolkit.tracking.logged_models_limits import is_model_id
from toolkit.tracking.records import ArtifactEntry
from toolkit.tracking.store import RunStore

_PAGE = 10_000
_VERSION = re.compile(r"[^/:@]+(?:/[0-9]+|/latest|@[\w\-]+)")
_META = "registered_model_meta"
"""A file beside a copy of a version that says which one it is, as MLflow leaves it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class FetchedModel:
    """A model whose files are on this machine.

    Attributes:
        located: Which one it is.
        folder: Where they are; for reading only.
        digests: SHA-256 digests of those that are as they were recorded.
    """

    located: Located
    folder: Path
    digests: frozenset[str] = frozenset()

    def trust(self, *, everything: bool = False, types: frozenset[str] = frozenset(), pickles: bool = True) -> Trust:
        """Return what of it may run code.

        Args:
            everything: Whether the user said so.
            types: Types of skops files that the settings trust.
            pickles: Whether what was recorded may.
        """
        return Trust(everything=everything, digests=self.digests if pickles else frozenset(), types=types)


def fetch(uri: str, stores: Stores, catalog: Catalog, *, target: Path | None = None) -> FetchedModel:
    """Get the files of a model.

    Args:
        uri: ``models:/wine/3``, ``models:/wine@champion``, ``models:/wine/Production``, ``models:/m-…``,
            ``runs:/<run id>/<path>``, an artifact's URI, or a folder.
        stores: Where runs are.
        catalog: Where models are.
        target: Folder to copy them into; default: they are read where they lie if that is on this machine, else they
            are copied into a folder that goes with this process.

    Raises:
        InvalidValue: It is no URI of a model.
        NotFound: There is no such model, or it has no MLmodel.
        Conflict: Its files did not come when it was logged.
        ArtifactCorrupt: A file is not what was recorded.
        ArtifactError: The files cannot be read from here.
    """
    located = locate(uri, stores, catalog)
    if located.logged is not None and located.logged.status is ModelStatus.FAILED:
        raise Conflict(f"{uri} was not logged: {located.logged.status_message or 'its files did not come'}")
    found = _fetched(located, uri, stores, catalog, target)
    if target is not None and located.version is not None:
        said = {"model_name": located.version.name, "model_version": str(located.version.version)}
        (found.folder / _META).write_text(yaml.safe_dump(said), encoding="utf-8")
    return found


def _fetched(located: Located, uri: str, stores: Stores, catalog: Catalog, target: Path | None) -> FetchedModel:
    folder = _plain_folder(located)
    if folder is not None:
        _check_model(folder, uri)
        return FetchedModel(located=located, folder=_copied(folder, target))
    place = place_of(located, stores)
    recorded = recorded_files(located, stores.runs, catalog)
    here = place.store.local_path(place.folder) if place.folder else None
    if here is not None:
        _check_model(here, uri)
        _hold_against(here, recorded, uri)
        return FetchedModel(located=located, folder=_copied(here, target), digests=_digests(recorded))
    copy = _temporary() if target is None else target
    _download(place, copy, recorded, stores.artifact_workers, uri)
    _check_model(copy, uri)
    return FetchedModel(located=located, folder=copy, digests=_digests(recorded))


def _digests(recorded: Mapping[str, ArtifactEntry]) -> frozenset[str]:
    return frozenset(entry.sha256 for entry in recorded.values())


def _plain_folder(located: Located) -> Path | None:
    """Return the folder of this machine that was named as such."""
    if located.logged is not None or located.version is not None or located.run_id is not None:
        return None
    scheme = urlsplit(located.location).scheme
    return local_path(located.location) if scheme in ("", "file") or len(scheme) == 1 else None


def _check_model(folder: Path, uri: str) -> None:
    if not (folder / FILE).is_file():
        there = "there is no such folder" if not folder.is_dir() else f"there is no file {FILE} in {folder}"
        meant = f" (a registered version is models:/{uri})" if _VERSION.fullmatch(uri) else ""
        raise NotFound(f"{uri} is no model: {there}{meant}")


def _copied(folder: Path, target: Path | None) -> Path:
    return folder if target is None else Path(shutil.copytree(folder, target, dirs_exist_ok=True))


def _temporary() -> Path:
    """Return an empty folder that is removed when the process ends: models read files of theirs while they live."""
    folder = Path(tempfile.mkdtemp(prefix="toolkit-model-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder


# -- what was recorded -------------------------------------------------------------------------------


def recorded_files(located: Located, runs: RunStore, catalog: Catalog) -> Mapping[str, ArtifactEntry]:
    """Return what was recorded of a model's files, by their paths in its folder; nothing if its MLmodel was not."""
    holder = located.logged.model_id if located.logged is not None else holder_of(located.location)
    files: Sequence[ArtifactEntry] = ()
    prefix = ""
    try:
        if holder is not None and is_model_id(holder):
            files = catalog.logged.files_of(holder)
            prefix = _below(located.location, catalog.logged.get_model(holder).artifact_uri)
        elif (run_id := holder or located.run_id) is not None:
            prefix = _below(located.location, runs.get_run(run_id).info.artifact_uri)
            files = _of_run(runs, run_id, prefix)
    except NotFound:  # whoever recorded them was removed for good
        return {}
    start = f"{prefix}/" if prefix else ""
    found = {entry.path.removeprefix(start): entry for entry in files if entry.path.startswith(start) and entry.sha256}
    return found if FILE in found else {}


def _below(location: str, root: str) -> str:
    """Return the path of a place below its owner's.

    Raises:
        NotFound: It is not below it.
    """
    place, start = location.rstrip("/"), root.rstrip("/")
    if place == start:
        return ""
    if not place.startswith(f"{start}/"):
        raise NotFound(f"{location} is not below {root}")
    return place.removeprefix(f"{start}/")


def _of_run(runs: RunStore, run_id: str, prefix: str) -> list[ArtifactEntry]:
    entries: list[ArtifactEntry] = []
    token: str | None = None
    while True:
        page = runs.list_artifacts(run_id, prefix=prefix, limit=_PAGE, page_token=token)
        entries += page.items
        token = page.next_page_token
        if token is None:
            return entries


def _hold_against(folder: Path, recorded: Mapping[str, ArtifactEntry], uri: str) -> None:
    """Check that files are what was recorded.

    Raises:
        ArtifactCorrupt: One is not, or is gone.
    """
    for path, entry in recorded.items():
        file = folder / path
        if not file.is_file():
            raise _gone(uri, path)
        if file.stat().st_size != entry.size or file_digest(file) != entry.sha256:
            raise _changed(uri, path)


def _gone(uri: str, path: str) -> ArtifactCorrupt:
    return ArtifactCorrupt(f"{uri} is not whole: its file {path} is gone, so it is not loaded")


def _changed(uri: str, path: str) -> ArtifactCorrupt:
    return ArtifactCorrupt(
        f"{uri} was changed since it was logged: its file {path} does not match the recorded SHA-256, so it is not "
        "loaded; log the model again, or put the file back"
    )


def _download(place: Place, folder: Path, recorded: Mapping[str, ArtifactEntry], workers: int, uri: str) -> None:
    """Copy a model's files into a folder: those that were recorded, of the recorded digest; else what is there."""
    start = len(place.folder) + 1 if place.folder else 0
    paths = list(recorded) or [file.key[start:] for file in place.store.list(place.folder)]
    found = targets(paths, folder)

    def get(path: str) -> int:
        found[path].parent.mkdir(parents=True, exist_ok=True)
        entry = recorded.get(path)
        try:
            place.store.get_file(place.key(path), found[path], sha256=entry.sha256 if entry else None)
        except ArtifactCorrupt:
            raise _changed(uri, path) from None
        except NotFound:
            raise _gone(uri, path) from None
        return found[path].stat().st_size

    for _ in in_parallel(get, paths, workers=workers, size=lambda size: size, report=None):
        pass


def upload(folder: Path, place: Place, workers: int) -> list[tuple[str, int, str]]:
    """Store all files of a model's folder at a place.

    Returns:
        Of each its path, its size in bytes and its SHA-256.
    """

    def put(item: tuple[Path, str]) -> tuple[str, int, str]:
        stored = place.store.put_file(place.key(item[1]), item[0])
        return item[1], stored.size, stored.sha256

    return list(in_parallel(put, files_below(folder), workers=workers, size=lambda stored: stored[1], report=None))
