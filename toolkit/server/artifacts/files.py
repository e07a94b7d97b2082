"""The files of runs and of logged models, as the proxy stores, finds, lists and removes them.

A run's files are listed in SQL, with size and SHA-256, and only those are given out. A logged model's files are listed
by the artifact store itself. Everything here blocks: it is for threads.
"""

from __future__ import annotations

import hashlib
import io
import shutil
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import BinaryIO

from toolkit.artifacts.key import check_key
from toolkit.artifacts.local import local_artifact_root
from toolkit.artifacts.location import below_root
from toolkit.artifacts.store import StoredFile
from toolkit.artifacts.writing import missing
from toolkit.errors import ArtifactCorrupt, Conflict, Forbidden, NotFound, StorageFull, TooLarge
from toolkit.ids import now_ms
from toolkit.recording.stores import Stores
from toolkit.registry.catalog import Catalog
from toolkit.server.artifacts.address import Address, read
from toolkit.server.artifacts.reading import AtEnd
from toolkit.server.artifacts.turns import Turns
from toolkit.tracking.records import ArtifactEntry, Lifecycle

SIZE_LIMIT = 10 << 30
"""Bytes of one upload, by default."""

RESERVE = 256 << 20
"""Bytes of the artifact root's disk that uploads leave free, by default: the database may be on it."""

PAUSE = 60.0
"""Seconds that a client that uploads may send nothing, by default."""

_SMALL = 1 << 20
"""Bytes of a file that is looked through before it is given out: the answer can still say that it was changed."""

_REMEMBERED = 2.0
"""Seconds that a run's place is remembered, and that it is not deleted."""

_MOST_REMEMBERED = 10_000
_PROXIED = "mlflow-artifacts:/"


@dataclass(frozen=True, kw_only=True, slots=True)
class Limits:
    """What uploads may take.

    Attributes:
        size: Bytes of one upload.
        reserve: Bytes of the disk that stay free; only a root on this machine is looked at.
        pause: Seconds that a client may send nothing.
    """

    size: int = SIZE_LIMIT
    reserve: int = RESERVE
    pause: float = PAUSE


@dataclass(frozen=True, kw_only=True, slots=True)
class File:
    """A file that can be read.

    Attributes:
        name: Its name, without folders.
        key: Its key in the store.
        size: In bytes.
        sha256: Its digest, as recorded; empty where none is.
        stream: Its content; whoever gets it closes it.
    """

    name: str
    key: str
    size: int
    sha256: str
    stream: BinaryIO


@dataclass(frozen=True, kw_only=True, slots=True)
class Entry:
    """A line of a folder's list.

    Attributes:
        name: Without folders.
        size: In bytes; ``None`` for a folder.
    """

    name: str
    size: int | None


class Files:
    """The files that a server gives out.

    Args:
        stores: Where they are.
        catalog: The models that there are.
        limits: What uploads may take.
    """

    def __init__(self, stores: Stores, catalog: Catalog, limits: Limits | None = None) -> None:
        self.limits = limits or Limits()
        self._stores = stores
        self._catalog = catalog
        self._turns = Turns(stores.home / "turns")
        self._owners: dict[str, tuple[float, str | None, bool]] = {}
        root = stores.artifact_root
        self._disk = local_artifact_root(root) if root.startswith("file:") else None

    def check_size(self, size: int) -> None:
        """Check that an upload may have so many bytes.

        Raises:
            TooLarge: They are more than the limit.
        """
        if size > self.limits.size:
            raise TooLarge(f"the upload has more than the {self.limits.size} bytes that are taken here")

    def check_room(self, size: int) -> None:
        """Check that so many bytes more fit on the disk.

        Raises:
            StorageFull: Less than the reserve would stay free.
        """
        if self._disk is None:
            return
        with suppress(OSError):  # the folder is made with the first file
            if shutil.disk_usage(self._disk).free - size < self.limits.reserve:
                raise StorageFull("there is not enough space left for the upload: free some and try again")

    def check_writable(self, address: Address) -> None:
        """Check that the owner of an address takes files.

        Raises:
            Conflict: The run is deleted.
            Forbidden: The address is not where the owner's artifacts are.
            NotFound: There is no such owner.
        """
        if not address.path:
            raise Forbidden(f"{address.key!r} is the folder of all artifacts of {address.owner}: name a file in it")
        if self._is_deleted(address):
            raise _not_active(address.owner)

    def store(self, address: Address, source: BinaryIO, sha256: str | None = None) -> StoredFile:
        """Store a file and list it.

        Of two who store under one key at the same time, the one whose file appears last is the one that is listed:
        from the end of its body until it is listed, nobody else's turn comes. (Among the processes of one machine.)

        Args:
            address: Where.
            source: The content.
            sha256: The digest that it must have; ``None``: any.

        Raises:
            ArtifactError: It cannot be stored.
            Conflict: A folder is in the way, or the run was deleted.
            InvalidValue: It has another digest than announced. Nothing was stored.
            NotFound: The run was removed.
        """
        with self._turns.one(address.key) as turn:
            stored = self._stores.artifacts.put_stream(address.key, AtEnd(source, turn.take, sha256).as_file())
            self._list(address, stored)
        return stored

    def _list(self, address: Address, stored: StoredFile) -> None:
        entry = ArtifactEntry(path=address.path, size=stored.size, sha256=stored.sha256, created=now_ms())
        try:
            if address.is_model:
                self._catalog.logged.record_files(address.owner, [entry])
            else:
                self._stores.runs.record_artifacts(address.owner, [entry])
        except NotFound:  # the owner was removed for good while its file came
            self._stores.artifacts.delete(address.key)
            raise

    def open(self, address: Address) -> File:
        """Open a file.

        Raises:
            NotFound: There is none, or it is not listed.
            ArtifactCorrupt: It has another size than is recorded.
        """
        if not address.path:
            raise missing(address.key)
        self._is_deleted(address)
        sha256 = ""
        recorded = None
        with self._turns.none(address.key):  # between a file's appearance and its listing, its digest is another's
            entry = self._model_entry(address) if address.is_model else self._entry(address)
            if entry is not None:
                sha256, recorded = entry.sha256, entry.size
            stream = self._stores.artifacts.open(address.key)
        try:
            size = stream.seek(0, io.SEEK_END)
            stream.seek(0)
            if recorded not in (None, size):
                raise ArtifactCorrupt(
                    f"artifact {address.key!r} has {size} bytes where {recorded} are recorded: it was changed or "
                    "damaged after it was stored"
                )
            if sha256 and size <= _SMALL:
                _check_content(stream, sha256, address.key)
        except BaseException:
            stream.close()
            raise
        return File(name=address.path.rpartition("/")[2], key=address.key, size=size, sha256=sha256, stream=stream)

    def _entry(self, address: Address) -> ArtifactEntry:
        found = self._stores.runs.list_artifacts(address.owner, prefix=address.path, limit=1).items
        if not found or found[0].path != address.path:
            raise missing(address.key)
        return found[0]

    def _model_entry(self, address: Address) -> ArtifactEntry | None:
        """Return what is listed of a model's file; ``None``: it came without us, or with a server before this one."""
        files = self._catalog.logged.files_of(address.owner)
        return next((entry for entry in files if entry.path == address.path), None)

    def folder(self, address: Address) -> list[Entry]:
        """Return what is in a folder, by name; nothing where there is no folder, or a file."""
        start = len(address.path) + 1 if address.path else 0
        folders: dict[str, None] = {}
        entries: list[Entry] = []
        for path, size in self._below(address):
            name, below, _ = path[start:].partition("/")
            if path == address.path:
                return []
            if not below:
                entries.append(Entry(name=name, size=size))
            elif name not in folders:
                folders[name] = None
                entries.append(Entry(name=name, size=None))
        return sorted(entries, key=lambda entry: entry.name)

    def _below(self, address: Address) -> Iterator[tuple[str, int]]:
        try:
            self._is_deleted(address)
        except NotFound:
            return
        if address.is_model:
            start = len(address.folder) + 1
            for file in self._stores.artifacts.list(address.key):
                yield file.key[start:], file.size
            return
        token = None
        while True:
            page = self._stores.runs.list_artifacts(address.owner, prefix=address.path, page_token=token)
            for entry in page.items:
                yield entry.path, entry.size
            token = page.next_page_token
            if token is None:
                return

    def delete(self, address: Address) -> None:
        """Remove a file, or what is in a folder.

        Raises:
            Conflict: The run is deleted.
            Forbidden: The address is not where the owner's artifacts are.
            NotFound: There is neither.
        """
        if self._is_deleted(address):
            raise _not_active(address.owner)
        paths = [path for path, _ in self._below(address)]
        if not paths:
            raise missing(address.key)
        for path in paths:
            self._remove(address, path)

    def _remove(self, address: Address, path: str) -> None:
        """Take a file off the list, then remove it: what is in between is found by ``gc``."""
        key = f"{address.folder}/{path}"
        with self._turns.one(key) as turn:
            turn.take()
            if address.is_model:
                self._catalog.logged.forget_files(address.owner, [path])
            else:
                self._stores.runs.forget_artifacts(address.owner, [path])
            self._stores.artifacts.delete(key)

    def of_run(self, run_id: str, path: str) -> Address:
        """Return the address of a run's file.

        Raises:
            Forbidden: The run's artifacts are not below the root that is served.
            InvalidValue: The path is no clean one.
            NotFound: There is no such run.
        """
        return self._below_location(self._stores.runs.get_run(run_id).info.artifact_uri, path)

    def of_model(self, model_id: str, path: str) -> Address:
        """Return the address of a logged model's file. Raises what `of_run` does."""
        return self._below_location(self._catalog.logged.get_model(model_id).artifact_uri, path)

    def of_version(self, name: str, version: int, path: str) -> Address:
        """Return the address of a file of a registered version. Raises what `of_run` does."""
        return self._below_location(self._catalog.registered.get_version(name, version).location, path)

    def _below_location(self, location: str, path: str) -> Address:
        check_key(path)
        folder = self._folder(location)
        if folder is None:
            raise Forbidden("the files are outside of the artifact root of this server: only that is opened here")
        return read(f"{folder}/{path}")

    def _is_deleted(self, address: Address) -> bool:
        """Check that a run's or a model's artifacts are at an address; return whether it is deleted, or just was.

        Raises:
            Forbidden: They are not.
            NotFound: There is no such owner.
        """
        now = time.monotonic()
        found = self._owners.get(address.owner)
        if found is None or found[0] < now:
            location, deleted = self._look_up(address)
            if len(self._owners) > _MOST_REMEMBERED:
                self._owners.clear()
            found = (now + _REMEMBERED, self._folder(location), deleted)
            self._owners[address.owner] = found
        if found[1] != address.folder:
            raise Forbidden(f"{address.folder!r} is not where the artifacts of {address.owner} are")
        return found[2]

    def _look_up(self, address: Address) -> tuple[str, bool]:
        if address.is_model:
            return self._catalog.logged.get_model(address.owner).artifact_uri, False
        info = self._stores.runs.get_run(address.owner).info
        return info.artifact_uri, info.lifecycle_stage is Lifecycle.DELETED

    def _folder(self, location: str) -> str | None:
        """Return the key that a recorded location has; it is our own record that says it, and never the request."""
        if location.startswith(_PROXIED) and not location.startswith(f"{_PROXIED}/"):
            return location.removeprefix(_PROXIED)
        return below_root(location, self._stores.artifact_root)


def _not_active(run_id: str) -> Conflict:
    return Conflict(f"The run {run_id} must be in the 'active' state. Current state is deleted.")


def _check_content(stream: BinaryIO, sha256: str, key: str) -> None:
    """Check what a stream holds, and begin it anew.

    Raises:
        ArtifactCorrupt: It is not what was recorded.
    """
    if hashlib.file_digest(stream, "sha256").hexdigest() != sha256:  # type: ignore[arg-type]  # it reads and no more
        raise ArtifactCorrupt(
            f"artifact {key!r} does not match its recorded SHA-256: it was changed or damaged after it was stored"
        )
    stream.seek(0)
