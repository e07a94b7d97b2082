"""Artifacts behind a toolkit server: it stores and lists them, and its clients need no key to any bucket.

What a server takes it answers with the digest of what it has; a download that is cut off goes on where it stopped.
"""

from __future__ import annotations

import hashlib
import io
import json
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, BinaryIO, TypeVar
from urllib.parse import quote

from toolkit.artifacts.key import key_parts
from toolkit.artifacts.retry import Patience
from toolkit.artifacts.store import StoredFile
from toolkit.artifacts.writing import missing, save
from toolkit.errors import (
    ArtifactCorrupt,
    ArtifactError,
    ArtifactUnavailable,
    InvalidValue,
    NotFound,
    StorageFull,
    TooLarge,
)
from toolkit.transport.client import Answer, Ask, BadAnswer, Download, HttpClient, Unreachable

T = TypeVar("T")

ROOT = "mlflow-artifacts:/"
"""Root of what is behind a server; the name is MLflow's."""

_BASE = "/api/2.0/mlflow-artifacts/artifacts"
_CHUNK = 1 << 20
_ANY = {"Accept": "*/*", "Accept-Encoding": "identity"}
_PASSING = (429, 502, 503, 504)


class ProxyArtifactStore:
    """A `toolkit.artifacts.store.ArtifactStore` that is a server's. It is safe with threads and forks.

    Args:
        client: What speaks to the server.
        folder: Key of the folder that is this store's root, such as a run's; empty: all that is there.
        before_put: Called before each upload: the server takes files of runs that it knows only.
    """

    def __init__(self, client: HttpClient, folder: str = "", *, before_put: Callable[[], None] = lambda: None) -> None:
        self.root = f"{ROOT}{folder}"
        self._folder = f"{folder}/" if folder else ""
        self._client = client
        self._before_put = before_put

    def after(self, before_put: Callable[[], None]) -> ProxyArtifactStore:
        """Return the same store, but with something else to be called before each upload."""
        return ProxyArtifactStore(self._client, self._folder.rstrip("/"), before_put=before_put)

    def put_file(self, key: str, source: Path) -> StoredFile:
        """See `ArtifactStore.put_file`."""
        path = self._path(key)
        self._before_put()

        def put() -> StoredFile:
            try:
                with source.open("rb") as stream:
                    return self._put(key, path, _Sending(stream, source.stat().st_size))
            except FileNotFoundError:
                raise NotFound(f"there is no file {source} to store as artifact {key!r}") from None
            except OSError as error:
                raise ArtifactError(f"{source} cannot be read: {error.strerror}") from error

        return self._persist(put)

    def put_stream(self, key: str, source: BinaryIO) -> StoredFile:
        """See `ArtifactStore.put_stream`. What cannot be read twice is sent once."""
        path = self._path(key)
        self._before_put()
        if not source.seekable():
            return self._put(key, path, _Sending(source, None))
        start = source.tell()

        def put() -> StoredFile:
            source.seek(start)
            return self._put(key, path, _Sending(source, None))

        return self._persist(put)

    def open(self, key: str) -> BinaryIO:
        """See `ArtifactStore.open`. The stream can seek."""
        return io.BufferedReader(_Reading(self, key, self._path(key)), _CHUNK)

    def get_file(self, key: str, target: Path, *, sha256: str | None = None) -> None:
        """See `ArtifactStore.get_file`. A transfer that is cut off goes on where it stopped."""
        with self.open(key) as source:
            save(source, key, target, sha256=sha256)

    def list(self, prefix: str = "") -> Iterator[StoredFile]:
        """See `ArtifactStore.list`. The digests are empty, and the server gives a folder a request."""
        if prefix:
            key_parts(prefix)
            if (found := self._find(prefix)) is not None:
                yield found
        yield from self._below(prefix)

    def _find(self, key: str) -> StoredFile | None:
        folder, _, name = key.rpartition("/")
        if "artifacts" not in f"{self._folder}{folder}".split("/"):
            return None  # above the folder of one owner's artifacts there are no files, and the server lists nothing
        files = (each for each in self._entries(folder) if each["path"] == name and not each.get("is_dir"))
        return next((_stored(key, each) for each in files), None)

    def _below(self, folder: str) -> Iterator[StoredFile]:
        entries = self._entries(folder)
        for each in sorted(entries, key=lambda each: f"{each['path']}/" if each.get("is_dir") else each["path"]):
            key = f"{folder}/{each['path']}" if folder else each["path"]
            if each.get("is_dir"):
                yield from self._below(key)
            else:
                yield _stored(key, each)

    def _entries(self, folder: str) -> Sequence[dict[str, Any]]:
        path = quote(f"{self._folder}{folder}".rstrip("/"), safe="")
        return _listed(self._ask(Ask(method="GET", path=f"{_BASE}?path={path}"), folder))

    def delete(self, key: str) -> None:
        """See `ArtifactStore.delete`."""
        path = self._path(key)
        try:
            self._ask(Ask(method="HEAD", path=path, headers=_ANY), key)  # DELETE of a folder empties it
            self._ask(Ask(method="DELETE", path=path), key)
        except NotFound:
            return

    def local_path(self, key: str) -> Path | None:
        """Return ``None``: nothing of it lies on this machine."""
        key_parts(key)
        return None

    def close(self) -> None:
        """Release connections."""
        self._client.close()

    def begin(self, key: str, path: str, start: int, etag: str) -> tuple[Download, str, int]:
        """Ask for the content of a file from a byte on; return it, its etag, and the size of the whole.

        Raises:
            NotFound: There is none.
            ArtifactError: It is another one by now, or cannot be read.
        """
        headers = {**_ANY, "Range": f"bytes={start}-", "If-Range": etag} if start else dict(_ANY)
        try:
            answer, download = self._client.open(Ask(method="GET", path=path, headers=headers))
        except Unreachable as error:
            raise ArtifactUnavailable(error.message) from error
        except BadAnswer as error:
            raise ArtifactError(error.message) from error
        if download is None:
            raise self._fault(answer, key)
        found = answer.headers.get("etag", "")
        if start and (answer.status != 206 or found != etag):
            download.close()
            raise ArtifactError(f"artifact {key!r} was replaced while it was read: read it again")
        length = answer.headers.get("content-length", "")
        if not length.isdecimal():
            download.close()
            raise ArtifactError(f"{self._client.place} does not say how long artifact {key!r} is: is there a proxy?")
        return download, found, start + int(length)

    def _path(self, key: str) -> str:
        key_parts(key)
        return f"{_BASE}/{quote(self._folder + key)}"

    # -- requests ------------------------------------------------------------------------------------

    def _put(self, key: str, path: str, body: _Sending) -> StoredFile:
        headers = {"Content-Type": "application/octet-stream"}
        if body.size is not None:
            headers["Content-Length"] = str(body.size)
        answer = self._ask(Ask(method="PUT", path=path, body=body, headers=headers, wait=0.0), key)
        digest = body.digest.hexdigest()
        if answer.headers.get("etag", "").strip('"') != digest:
            raise ArtifactUnavailable(f"artifact {key!r} did not arrive as it was sent: send it again")
        return StoredFile(key=key, size=body.sent, sha256=digest)

    def _ask(self, ask: Ask, key: str) -> Answer:
        try:
            answer = self._client.ask(ask)
        except Unreachable as error:
            raise ArtifactUnavailable(error.message) from error
        except BadAnswer as error:
            raise ArtifactError(error.message) from error
        if answer.status != 200:
            raise self._fault(answer, key)
        return answer

    def _persist(self, put: Callable[[], T]) -> T:
        patience = Patience(self._client.access.wait)
        while True:
            try:
                return put()
            except ArtifactUnavailable:
                pause = patience.pause()
                if pause is None:
                    raise
                time.sleep(pause)

    def _fault(self, answer: Answer, key: str) -> Exception:
        status, place = answer.status, self._client.place
        told = _message(answer)
        message = f"artifact {key!r}: {told}" if told else f"artifact {key!r}: {place} answers with HTTP {status}"
        if status == 404 and (told or not answer.body):
            return missing(key) if not told or told.startswith("No such artifact") else NotFound(told)
        if status == 400 and told:
            return InvalidValue(message)
        if status == 409:
            return ArtifactCorrupt(message)
        if status == 413:
            return TooLarge(message)
        if status == 507:
            return StorageFull(message)
        return ArtifactUnavailable(message) if status in _PASSING else ArtifactError(message)


class _Sending:
    """A stream as the body of a request: in large chunks, hashed on the way, and no longer than it was said to be."""

    def __init__(self, source: BinaryIO, size: int | None) -> None:
        self._source = source
        self.size = size
        self.sent = 0
        self.digest = hashlib.sha256()

    def __iter__(self) -> Iterator[bytes]:
        while chunk := self._read():
            self.digest.update(chunk)
            self.sent += len(chunk)
            yield chunk
        if self.size is not None and self.sent < self.size:
            raise ArtifactError(f"a file became shorter while it was sent: {self.sent} bytes of {self.size}")

    def _read(self) -> bytes:
        try:
            return self._source.read(_CHUNK if self.size is None else min(_CHUNK, self.size - self.sent))
        except OSError as error:  # not the connection's, which would be tried again
            raise ArtifactError(f"what was to be stored cannot be read: {error.strerror or error}") from error


class _Reading(io.RawIOBase):
    """A file at the server, read as it comes; asked for again from where a connection was cut."""

    def __init__(self, store: ProxyArtifactStore, key: str, path: str) -> None:
        self._store = store
        self._key = key
        self._path = path
        self._at = 0
        self._download: Download | None
        self._download, self._etag, self._size = store.begin(key, path, 0, "")

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._size}[whence]
        if base + offset < 0:
            raise ValueError("negative seek position")
        if base + offset != self._at:
            self._drop()
        self._at = base + offset
        return self._at

    def tell(self) -> int:
        return self._at

    def readinto(self, buffer: Any) -> int:  # noqa: ANN401 - whatever takes bytes
        if self._at >= self._size or not len(buffer):
            return 0
        patience = Patience(self._store._client.access.wait)
        while True:
            try:
                if self._download is None:
                    self._download, _, _ = self._store.begin(self._key, self._path, self._at, self._etag)
                count = self._download.readinto(buffer)
            except (Unreachable, ArtifactUnavailable) as error:
                self._drop()
                pause = patience.pause()
                if pause is None:
                    raise ArtifactUnavailable(f"artifact {self._key!r}: {error.message}") from error
                time.sleep(pause)
            else:
                self._at += count
                return count

    def close(self) -> None:
        self._drop()
        super().close()

    def _drop(self) -> None:
        download, self._download = getattr(self, "_download", None), None
        if download is not None:
            download.close()


def _stored(key: str, listed: dict[str, Any]) -> StoredFile:
    return StoredFile(key=key, size=int(listed.get("file_size", 0)), sha256="")


def _listed(answer: Answer) -> list[dict[str, Any]]:
    try:
        found = json.loads(answer.body).get("files", [])
    except (ValueError, AttributeError):
        raise ArtifactError("the server's list of artifacts cannot be read: is there a proxy in between?") from None
    return [each for each in found if isinstance(each, dict) and isinstance(each.get("path"), str)]


def _message(answer: Answer) -> str:
    """Return what a server says of an error; empty if it is not ours that speaks."""
    try:
        told = json.loads(answer.body).get("message", "")
    except (ValueError, AttributeError):
        return ""
    return told if isinstance(told, str) else ""
