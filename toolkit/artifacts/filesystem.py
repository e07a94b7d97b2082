"""Objects in any file system that fsspec knows: Google's and Azure's stores, SFTP, HDFS, memory.

A file is written under a name that nobody looks at, checked, and only then moved to its own: fsspec itself makes what
was written visible even if the writer fails in the middle. Only calls that take a path as it is are made; those that
expand patterns (``get``, ``put``, ``rm``, ``mv`` of most, ``glob``, ``cat``) would read a ``*`` in a name.
"""

from __future__ import annotations

import contextlib
import io
import os
import posixpath
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from datetime import datetime
from functools import partial
from typing import Any, BinaryIO, TypeVar

from toolkit.artifacts.key import STAGING
from toolkit.artifacts.remote import Listed, Objects
from toolkit.errors import ArtifactError, ArtifactUnavailable, Conflict, NotFound, ToolkitError

_T = TypeVar("_T")

_CHUNK = 1 << 20
_RENAMING = {"file", "local", "sftp", "ssh", "smb", "hdfs", "arrow_hdfs", "webhdfs"}
"""Where a move is one rename, of one path; elsewhere the store copies an object whole, and the first one is removed."""

_EMPTIED = {"file", "local", "sftp", "ssh", "smb"}
"""Where folders are real, and removing one refuses if something is in it. (Of HDFS, it would remove all of it.)"""

_ATTEMPTS = 100


class FilesystemObjects(Objects):
    """The objects of one file system.

    Args:
        make: Makes the file system, without a cache of listings, and not shared with others.
        root: Path of the artifact root in it, as the file system writes paths.
    """

    def __init__(self, make: Callable[[], Any], root: str) -> None:
        self._make = make
        self._root = root.rstrip("/")
        self._staging = f"{self._root}/{STAGING}"
        self._lock = threading.Lock()
        self._opened: tuple[int, Any] | None = None

    def write(self, path: str, source: BinaryIO, size: int | None) -> int:  # noqa: ARG002 - files need not know
        """See `Objects.write`."""
        system = self._system()
        staged = f"{self._staging}/{uuid.uuid4().hex}"
        _calling(path, lambda: system.makedirs(self._staging, exist_ok=True))
        try:
            sent = self._stage(system, path, staged, source)
            stored = int(_calling(path, lambda: system.info(staged))["size"])
            if stored == sent:
                _calling(path, lambda: self._publish(system, staged, path))
        finally:
            with contextlib.suppress(ToolkitError):
                _calling(path, lambda: system.exists(staged) and system.rm_file(staged))
        return stored

    def open(self, path: str) -> BinaryIO:
        """See `Objects.open`."""
        system = self._system()

        def opened() -> BinaryIO:
            if system.info(path)["type"] != "file":
                raise FileNotFoundError(path)
            if _protocol(system) == "memory":  # its files are shared by all who open them, with one position
                return io.BytesIO(system.cat_file(path))
            return io.BufferedReader(_Guarded(path, system.open(path, "rb", block_size=_CHUNK)), _CHUNK)

        return _calling(path, opened)

    def find(self, path: str) -> Listed | None:
        """See `Objects.find`."""
        system = self._system()
        try:
            found = _calling(path, lambda: system.info(path))
        except NotFound:
            return None
        return _listed(path, found) if found["type"] == "file" else None

    def below(self, path: str) -> Iterator[Listed]:
        """See `Objects.below`."""
        system = self._system()
        if self.find(path) is not None:
            return
        try:
            found = _calling(path, lambda: system.find(path, withdirs=False, detail=True))
        except NotFound:
            return
        start = f"{path.rstrip('/')}/"
        for name in sorted(found):
            if name.startswith(start):
                yield _listed(name, found[name])

    def delete(self, path: str) -> None:
        """See `Objects.delete`. Where folders are real, those that it leaves empty go too."""
        system = self._system()
        if self.find(path) is None:
            return
        with contextlib.suppress(NotFound):
            _calling(path, lambda: system.rm_file(path))
        folder = posixpath.dirname(path)
        while _protocol(system) in _EMPTIED and folder.startswith(f"{self._root}/"):
            try:
                system.rmdir(folder)
            except OSError:  # not empty, or gone already
                return
            folder = posixpath.dirname(folder)

    def clear(self, path: str, older_than: float, *, remove: bool) -> int:
        """See `Objects.clear`. What does not tell its age stays."""
        system = self._system()
        oldest = (time.time() - older_than) * 1000
        left = [found.path for found in self.below(path) if 0 < found.modified <= oldest]
        for name in left if remove else ():
            with contextlib.suppress(NotFound):
                _calling(name, partial(system.rm_file, name))
        return len(left)

    def close(self) -> None:
        """See `Objects.close`. File systems close their own connections when they are no longer used."""
        self._opened = None

    def _system(self) -> Any:  # noqa: ANN401 - fsspec has no types
        with self._lock:
            if self._opened is None or self._opened[0] != os.getpid():  # a fork takes neither threads nor connections
                self._opened = (os.getpid(), _calling(self._staging, self._make))
            return self._opened[1]

    def _stage(self, system: Any, path: str, staged: str, source: BinaryIO) -> int:  # noqa: ANN401 - as above
        target = _calling(path, lambda: system.open(staged, "wb"))
        sent = 0
        try:
            while chunk := source.read(_CHUNK):
                _calling(path, lambda chunk=chunk: target.write(chunk))  # type: ignore[misc]
                sent += len(chunk)
        except BaseException:
            with contextlib.suppress(ToolkitError):  # under the staged name it may appear: it goes at once
                _calling(path, target.close)
            raise
        _calling(path, target.close)
        return sent

    def _publish(self, system: Any, staged: str, path: str) -> None:  # noqa: ANN401 - as above
        if _protocol(system) not in _RENAMING:
            system.cp_file(staged, path)
            return
        for attempt in range(_ATTEMPTS):
            try:
                system.makedirs(posixpath.dirname(path), exist_ok=True)
                if system.isdir(path):  # some would move it into the folder
                    raise IsADirectoryError(path)
                system.mv(staged, path)
            except IsADirectoryError:
                raise
            except (FileNotFoundError, FileExistsError):
                # A delete beside us took the folder away, as it had become empty: before the file came into it, or
                # while the folder was made, which then says that it is there and is none.
                if attempt == _ATTEMPTS - 1:
                    raise
            else:
                return


class _Guarded(io.RawIOBase):
    """A file of fsspec's whose failures are ours."""

    def __init__(self, path: str, file: Any) -> None:  # noqa: ANN401 - as above
        self._path = path
        self._file = file

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return bool(self._file.seekable())

    def seek(self, offset: int, whence: int = io.SEEK_SET, /) -> int:
        return int(_calling(self._path, lambda: self._file.seek(offset, whence)))

    def tell(self) -> int:
        return int(self._file.tell())

    def readinto(self, buffer: Any, /) -> int:  # noqa: ANN401 - any buffer
        view = memoryview(buffer).cast("B")
        chunk = _calling(self._path, lambda: self._file.read(len(view)))
        view[: len(chunk)] = chunk
        return len(chunk)

    def close(self) -> None:
        if not self.closed:
            self._file.close()
        super().close()


def _protocol(system: Any) -> str:  # noqa: ANN401 - as above
    protocol = system.protocol
    return protocol if isinstance(protocol, str) else str(protocol[0])


def _listed(path: str, found: dict[str, Any]) -> Listed:
    written = _moment(found)
    return Listed(path=path, size=int(found["size"] or 0), modified=0 if written is None else int(written * 1000))


def _moment(found: dict[str, Any]) -> float | None:
    """Return when a file was written, in seconds since the epoch; each file system has another word for it."""
    for name in ("mtime", "updated", "last_modified", "LastModified", "modified", "created"):
        value = found.get(name)
        if isinstance(value, datetime):
            return value.timestamp()
        if isinstance(value, int | float):
            return float(value)
        if isinstance(value, str):
            with contextlib.suppress(ValueError):
                return datetime.fromisoformat(value).timestamp()
    return None


def _calling(path: str, call: Callable[[], _T]) -> _T:
    """Call a file system; turn what it raises into our errors."""
    try:
        return call()
    except ToolkitError:
        raise
    except (FileNotFoundError, NotADirectoryError):
        raise NotFound(f"there is no object {path!r}") from None
    except (FileExistsError, IsADirectoryError):
        raise Conflict(f"{path!r} was not stored: a file or folder is in its way") from None
    except PermissionError:
        raise ArtifactError(f"{path!r}: access is denied: see the credentials of the artifact root") from None
    except (TimeoutError, ConnectionError, EOFError) as error:
        raise ArtifactUnavailable(f"{path!r}: the artifact store does not answer ({type(error).__name__})") from None
    except Exception as error:
        raise ArtifactError(f"{path!r}: the artifact store failed: {_one_line(error)}") from error


def _one_line(error: Exception) -> str:
    return " ".join(f"{type(error).__name__}: {error}".split())[:200]
