"""A project's files as one archive, named by their digest: to run the same code again, or on another machine.

`pack` writes it, `store` puts it into an artifact store, once, however many runs have this code, `obtain` gets it back,
and `open_snapshot` checks it. A server takes files of runs only: through one, `store_with_run` and `obtain_from_run` do
the same with the artifacts of a run. A snapshot is a zip file, and so a project: `source.fetch` takes it as any other.
"""

from __future__ import annotations

import json
import zipfile
from dataclasses import dataclass
from pathlib import Path

from toolkit.artifacts.store import ArtifactStore
from toolkit.errors import NotFound, ProjectError, TooLarge
from toolkit.flows import codebase
from toolkit.flows.codebase import MANIFEST, LeftOut
from toolkit.flows.source import LARGEST_SOURCE, Fetching, Source, fetch, project_files
from toolkit.recording.run import RecordedRun
from toolkit.recording.stores import Stores
from toolkit.tracking.records import RunInfo

FOLDER = "snapshots"
"""Where in an artifact store snapshots are, unless somebody says otherwise."""
RUN_FOLDER = "source"
"""Where among the artifacts of a run."""

_NAMED = 5
"""How many files a message names."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Snapshot:
    """The files of a project in one archive.

    Attributes:
        digest: SHA-256 over the files in it: that of the source, unless something was left out.
        path: The archive, ``<digest>.zip``.
        files: Number of files in it.
        size: Bytes of these files.
        left_out: What is not in it, and why.
    """

    digest: str
    path: Path
    files: int
    size: int
    left_out: tuple[LeftOut, ...]

    @property
    def complete(self) -> bool:
        """Whether all of the project's files are in it."""
        return not self.left_out


def pack(source: Source, folder: Path, *, limit: int = LARGEST_SOURCE) -> Snapshot:
    """Write a project's files into an archive; the same files give the same bytes and the same name.

    What ``.gitignore`` and ``.toolkitignore`` name is none of them. Files that look like keys, and links that lead out
    of the project, are left out and listed.

    Args:
        source: The project.
        folder: Where to write the archive.
        limit: Bytes that all files together may have.

    Raises:
        ProjectError: A file cannot be read.
        TooLarge: The files have more than ``limit`` bytes; the message names the largest.
    """
    files = project_files(source)
    total = sum(file.size for file in files)
    if total > limit:
        largest = sorted(files, key=lambda file: -file.size)[:_NAMED]
        names = ", ".join(f"{file.path} ({file.size / 1e6:,.1f} MB)" for file in largest)
        raise TooLarge(
            f"the files of {source.directory} have {total / 1e6:,.1f} MB: wanted at most {limit / 1e6:,.1f} MB; "
            f"name in .toolkitignore what the code does not need, such as {names}"
        )
    folder.mkdir(parents=True, exist_ok=True)
    written = folder / f"{source.digest}.zip"
    summary = codebase.pack(source.directory, files, written, limit=limit)
    path = written.replace(folder / f"{summary.digest}.zip")
    return Snapshot(digest=summary.digest, path=path, files=summary.files, size=summary.size, left_out=summary.left_out)


def key(digest: str, folder: str = FOLDER) -> str:
    """Return the key of a snapshot in an artifact store."""
    return f"{folder}/{digest}.zip" if folder else f"{digest}.zip"


def store(snapshot: Snapshot, artifacts: ArtifactStore, folder: str = FOLDER) -> str:
    """Put a snapshot into an artifact store, if it is not there yet; return its key.

    Args:
        snapshot: The snapshot.
        artifacts: The store.
        folder: Key of the folder in it, such as a run's.

    Raises:
        ArtifactError: The store fails.
    """
    place = key(snapshot.digest, folder)
    if not any(stored.key == place for stored in artifacts.list(place)):
        artifacts.put_file(place, snapshot.path)
    return place


def obtain(digest: str, artifacts: ArtifactStore, target: Path, folder: str = FOLDER) -> Path:
    """Get a snapshot from an artifact store, or from where an earlier call left it; return the archive.

    Args:
        digest: Digest of the snapshot.
        artifacts: The store.
        target: Folder on this machine that snapshots are kept in.
        folder: Key of the folder in the store.

    Raises:
        ArtifactError: The store fails.
        NotFound: It has no such snapshot.
    """
    path = target / f"{digest}.zip"
    if not path.exists():
        place = key(digest, folder)
        try:
            artifacts.get_file(place, path)
        except NotFound:
            raise NotFound(
                f"there is no snapshot {digest} in {artifacts.root}: pack the project and store it again"
            ) from None
    return path


def store_with_run(snapshot: Snapshot, run: RecordedRun) -> str:
    """Put a snapshot among the artifacts of a run; return the artifact's path.

    Raises:
        ArtifactError: The store fails, and the run was begun ``strict``.
    """
    path = key(snapshot.digest, RUN_FOLDER)
    run.log_file(snapshot.path, path)
    return path


def obtain_from_run(digest: str, stores: Stores, run: RunInfo, target: Path) -> Path:
    """Get a snapshot from the artifacts of a run; else as `obtain`."""
    place = stores.artifacts_of(run)
    return obtain(digest, place.store, target, place.key(RUN_FOLDER))


def open_snapshot(archive: Path, fetching: Fetching, *, digest: str | None = None, subdir: str | None = None) -> Source:
    """Return the source that a snapshot holds.

    Args:
        archive: The archive.
        fetching: Where to unpack it.
        digest: What its files must have as digest; ``None``: any.
        subdir: The project's directory in it.

    Raises:
        ProjectError: It cannot be unpacked, or holds something else.
    """
    source = fetch(f"{archive.as_uri()}{f'#{subdir}' if subdir else ''}", caller=archive.parent, fetching=fetching)
    if digest is not None and subdir is None and source.digest != digest:
        raise ProjectError(
            f"the snapshot {archive} holds files with the digest {source.digest}, and {digest} is wanted: it is damaged"
        )
    return source


def left_out(archive: Path) -> tuple[LeftOut, ...]:
    """Return what is missing in a snapshot, as it says itself.

    Raises:
        ProjectError: It is no snapshot.
    """
    try:
        with zipfile.ZipFile(archive) as opened:
            manifest = json.loads(opened.read(MANIFEST))
        return tuple(LeftOut(**item) for item in manifest["left_out"])
    except (OSError, KeyError, TypeError, ValueError, zipfile.BadZipFile) as error:
        raise ProjectError(f"{archive} is no snapshot of a project: {error}") from None
