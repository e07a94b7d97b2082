"""Objects in a bucket of S3, or of a service that speaks its protocol.

An object is written with one PUT, or in parts that S3 puts together when told so: either way it appears whole or not
at all. S3 checks each body against its Content-MD5. An upload that fails is aborted; one whose writer was killed is
invisible, and `S3Objects.clear` removes it.
"""

from __future__ import annotations

import base64
import concurrent.futures
import contextlib
import hashlib
import io
import time
import uuid
from collections import deque
from collections.abc import Iterator
from datetime import datetime
from typing import Any, BinaryIO

from toolkit.artifacts.key import KEY_LENGTH
from toolkit.artifacts.remote import Listed, Objects
from toolkit.artifacts.retry import Patience
from toolkit.artifacts.s3_client import CHANGED, NO_UPLOAD, RequestFailed, S3Client, where
from toolkit.artifacts.s3_options import S3Options
from toolkit.errors import ArtifactError, ArtifactUnavailable, InvalidValue, NotFound, ToolkitError

_PART = 8 << 20
"""Bytes of a part. Four at a time, and the one that is being read, are what an upload holds in memory."""

_AT_ONCE = 4
_IN_MEMORY = _AT_ONCE * _PART
_MOST_PARTS = 10_000
_SMALL_PARTS = 5_000
_LARGE_PART = 64 << 20
_MEBIBYTE = 1 << 20
_ABORT_TIME = 10.0  # seconds; the abort is a courtesy, and what it misses is found later
_UPLOAD_MARK = "toolkit-upload"
_RANGE = "InvalidRange"


class S3Objects(Objects):
    """The objects of one bucket.

    Args:
        bucket: Its name.
        options: How S3 is reached.
    """

    def __init__(self, bucket: str, options: S3Options) -> None:
        self._bucket = bucket
        self._client = S3Client(options)

    def write(self, path: str, source: BinaryIO, size: int | None) -> int:
        """See `Objects.write`."""
        if len(path.encode()) > KEY_LENGTH:
            raise InvalidValue(
                f"s3://{self._bucket}/{path[:200]}… is longer than S3 allows: {KEY_LENGTH} bytes with the root's prefix"
            )
        first = _read(source, _PART)
        if len(first) < _PART:
            self._client.request("put_object", {**self._place(path), "Body": first, "ContentMD5": _md5(first)})
            return len(first)
        return _PartedUpload(self._client, self._bucket, path).write(first, source, _part_size(size))

    def open(self, path: str) -> BinaryIO:
        """See `Objects.open`. The stream can seek; what a cut connection did not bring is asked for again."""
        return io.BufferedReader(_S3Stream(self._client, self._bucket, path), _MEBIBYTE)

    def find(self, path: str) -> Listed | None:
        """See `Objects.find`."""
        try:
            found = self._client.request("head_object", self._place(path))
        except NotFound:
            return None
        return Listed(path=path, size=found["ContentLength"], modified=_milliseconds(found["LastModified"]))

    def below(self, path: str) -> Iterator[Listed]:
        """See `Objects.below`. A thousand a request."""
        arguments: dict[str, object] = {"Bucket": self._bucket, "Prefix": f"{path}/" if path else ""}
        while True:
            page = self._client.request("list_objects_v2", arguments)
            for found in page.get("Contents", ()):
                yield Listed(path=found["Key"], size=found["Size"], modified=_milliseconds(found["LastModified"]))
            if not page.get("IsTruncated"):
                return
            arguments["ContinuationToken"] = page["NextContinuationToken"]

    def delete(self, path: str) -> None:
        """See `Objects.delete`."""
        with contextlib.suppress(NotFound):
            self._client.request("delete_object", self._place(path))

    def clear(self, path: str, older_than: float, *, remove: bool) -> int:
        """See `Objects.clear`: abort the uploads below the root that nobody finished."""
        root = path.rpartition("/")[0]
        arguments: dict[str, object] = {"Bucket": self._bucket, "Prefix": f"{root}/" if root else ""}
        oldest = time.time() - older_than
        left = 0
        while True:
            page = self._client.request("list_multipart_uploads", arguments)
            for upload in page.get("Uploads", ()):
                if upload["Initiated"].timestamp() > oldest:
                    continue
                left += 1
                if remove:
                    self._client.request(
                        "abort_multipart_upload", {**self._place(upload["Key"]), "UploadId": upload["UploadId"]}
                    )
            if not page.get("IsTruncated"):
                return left
            arguments["KeyMarker"] = page["NextKeyMarker"]
            arguments["UploadIdMarker"] = page["NextUploadIdMarker"]

    def close(self) -> None:
        """See `Objects.close`."""
        self._client.close()

    def _place(self, path: str) -> dict[str, object]:
        return {"Bucket": self._bucket, "Key": path}


class _PartedUpload:
    """One upload in parts: a few of them on their way at once, read one after the other."""

    def __init__(self, client: S3Client, bucket: str, path: str) -> None:
        self._client = client
        self._place: dict[str, object] = {"Bucket": bucket, "Key": path}
        self._mark = uuid.uuid4().hex
        self._etags: dict[int, str] = {}
        self._under_way: deque[tuple[int, concurrent.futures.Future[dict[str, Any]]]] = deque()
        self._id = ""

    def write(self, first: bytes, source: BinaryIO, part_size: int) -> int:
        """Upload ``first`` and what ``source`` gives after it."""
        begun = self._client.request("create_multipart_upload", {**self._place, "Metadata": {_UPLOAD_MARK: self._mark}})
        self._id = begun["UploadId"]
        try:
            size = self._send(first, source, part_size)
            self._complete()
        except BaseException:
            self._abort()
            raise
        return self._check(size)

    def _send(self, first: bytes, source: BinaryIO, part_size: int) -> int:
        size, part, number = 0, first, 0
        while part:
            number += 1
            if number > _MOST_PARTS:
                raise ArtifactError(f"{where(self._place)}: the stream is longer than S3 takes in {_MOST_PARTS} parts")
            size += len(part)
            future = self._client.submit(
                "upload_part",
                {**self._upload(), "PartNumber": number, "Body": part, "ContentMD5": _md5(part)},
            )
            self._under_way.append((number, future))
            wanted = part_size if number < _SMALL_PARTS else max(part_size, _LARGE_PART)
            while len(self._under_way) >= max(1, min(_AT_ONCE, _IN_MEMORY // wanted)):
                self._take()
            del part, future  # before the next is read: its bytes live until then
            part = _read(source, wanted)
        while self._under_way:
            self._take()
        return size

    def _upload(self) -> dict[str, object]:
        return {**self._place, "UploadId": self._id}

    def _take(self) -> None:
        number, future = self._under_way[0]
        self._etags[number] = self._client.wait(future)["ETag"]
        self._under_way.popleft()

    def _complete(self) -> None:
        parts = [{"PartNumber": number, "ETag": etag} for number, etag in sorted(self._etags.items())]
        try:
            self._client.request("complete_multipart_upload", {**self._upload(), "MultipartUpload": {"Parts": parts}})
        except RequestFailed as error:  # the answer to an earlier attempt may have been lost on its way
            if error.code != NO_UPLOAD or not self._is_there():
                raise

    def _is_there(self) -> bool:
        try:
            found = self._client.request("head_object", self._place)
        except NotFound:
            return False
        return bool(found.get("Metadata", {}).get(_UPLOAD_MARK) == self._mark)

    def _check(self, size: int) -> int:
        """Return the size of what is there now, unless somebody has already put something else in its place."""
        try:
            found = self._client.request("head_object", self._place)
        except NotFound:  # deleted since: it was there
            return size
        return int(found["ContentLength"]) if found.get("Metadata", {}).get(_UPLOAD_MARK) == self._mark else size

    def _abort(self) -> None:
        """Leave nothing: no part may arrive after the abort, so those under way are ended first."""
        for _, future in self._under_way:
            future.cancel()
        with contextlib.suppress(ToolkitError):
            self._client.request("abort_multipart_upload", self._upload(), timeout=_ABORT_TIME)


class _S3Stream(io.RawIOBase):
    """The content of one version of an object, however often the connection is cut."""

    def __init__(self, client: S3Client, bucket: str, path: str) -> None:
        self._client = client
        self._place: dict[str, object] = {"Bucket": bucket, "Key": path}
        self._position = 0
        self._etag = ""
        self._body: Any = None
        answer = client.request("get_object", self._place)
        self._body = answer["Body"]
        self._size = int(answer["ContentLength"])
        self._etag = answer["ETag"]

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._position

    def seek(self, offset: int, whence: int = io.SEEK_SET, /) -> int:
        position = offset + {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self._size}[whence]
        if position < 0:
            raise ValueError(f"negative seek position {position}")
        if position != self._position:
            self._drop()
            self._position = position
        return position

    def readinto(self, buffer: Any, /) -> int:  # noqa: ANN401 - any buffer; typeshed's name for it is not there at run time
        view = memoryview(buffer).cast("B")
        patience = Patience(self._client.options.timeout)
        while self._position < self._size and len(view):
            chunk = self._next(len(view), patience)
            if chunk:
                view[: len(chunk)] = chunk
                self._position += len(chunk)
                return len(chunk)
        return 0

    def close(self) -> None:
        if not self.closed:
            self._drop()
        super().close()

    def _next(self, most: int, patience: Patience) -> bytes:
        """Return the next bytes; nothing, if the connection was cut and may be tried again."""
        if self._body is None:
            self._body = self._again(patience)
        try:
            most = min(most, self._size - self._position)
            chunk = self._client.read(self._body, most, patience.left, where(self._place))
        except ArtifactUnavailable as error:
            self._drop()
            fault: ArtifactUnavailable = error
        else:
            if chunk:
                return chunk
            self._drop()
            fault = ArtifactUnavailable(f"{where(self._place)}: the connection to S3 was cut")
        pause = patience.pause()
        if pause is None:
            raise fault
        time.sleep(pause)
        return b""

    def _again(self, patience: Patience) -> Any:  # noqa: ANN401 - botocore's body, of no public type
        """Ask for what is still missing of the same version."""
        rest = f"bytes={self._position}-"
        try:
            answer = self._client.request(
                "get_object", {**self._place, "Range": rest, "IfMatch": self._etag}, timeout=patience.left
            )
        except NotFound:
            raise ArtifactError(f"{where(self._place)} was deleted while it was read") from None
        except RequestFailed as error:
            if error.code in (CHANGED, "412", _RANGE):
                raise ArtifactError(f"{where(self._place)} was replaced while it was read: read it again") from None
            raise
        if answer["ETag"] != self._etag:  # a service that does not know If-Match
            answer["Body"].close()
            raise ArtifactError(f"{where(self._place)} was replaced while it was read: read it again")
        return answer["Body"]

    def _drop(self) -> None:
        body, self._body = self._body, None
        if body is not None:
            self._client.drop(body)


def _read(source: BinaryIO, size: int) -> bytes:
    """Return so many bytes of a stream, fewer only at its end. A stream may give little at a time."""
    chunk = source.read(size)
    if len(chunk) == size or not chunk:
        return chunk
    pieces = bytearray(chunk)
    while len(pieces) < size and (chunk := source.read(size - len(pieces))):
        pieces += chunk
    return bytes(pieces)


def _milliseconds(moment: datetime) -> int:
    return int(moment.timestamp() * 1000)


def _part_size(size: int | None) -> int:
    """Return how large parts are, so that S3's 10,000 are enough for ``size`` bytes."""
    if size is None or size <= _PART * _SMALL_PARTS:
        return _PART
    return -(-size // (_MOST_PARTS - 1_000) // _MEBIBYTE) * _MEBIBYTE


def _md5(content: bytes) -> str:
    """Return a body's digest as S3 wants it: against accidents on the way, not against people."""
    return base64.b64encode(hashlib.md5(content, usedforsecurity=False).digest()).decode()
