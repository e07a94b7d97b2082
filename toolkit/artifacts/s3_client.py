"""Requests to S3: each tried again while that may help, and each failure told in one line.

The connection, its credentials and its event loop are s3fs's. Requests go to the client below it, with the bucket and
the key as they are: s3fs's own calls read a ``?versionId=`` in a key, try everything again in the same way whatever
went wrong, and turn S3's answers into a handful of ``OSError``.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import itertools
import os
import threading
import weakref
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TypeVar

from toolkit.artifacts.retry import Patience
from toolkit.artifacts.s3_options import S3Options
from toolkit.errors import ArtifactError, ArtifactUnavailable, InvalidSetting, NotFound, ToolkitError

if TYPE_CHECKING:
    from s3fs import S3FileSystem

_T = TypeVar("_T")

CHANGED = "PreconditionFailed"
NO_UPLOAD = "NoSuchUpload"

_CODES_FOR_LATER = {
    *("SlowDown", "InternalError", "ServiceUnavailable", "RequestTimeout", "RequestTimeoutException", "Throttling"),
    *(
        "ThrottlingException",
        "TooManyRequests",
        "TooManyRequestsException",
        "RequestLimitExceeded",
        "BandwidthLimitExceeded",
    ),
    *("BadDigest", "IncompleteBody", "XAmzContentSHA256Mismatch", "OperationAborted", "ConditionalRequestConflict"),
}
_ABSENT = {"NoSuchKey", "404", "NotFound"}
_REFUSED = {"AccessDenied", "AllAccessDisabled", "AccountProblem", "403", "Forbidden"}
_CREDENTIALS = {"InvalidAccessKeyId", "SignatureDoesNotMatch", "InvalidSecurity", "InvalidToken", "401", "Unauthorized"}
_EXPIRED = {"ExpiredToken", "ExpiredTokenException", "TokenRefreshRequired", "RequestExpired"}
_REGION = {"PermanentRedirect", "AuthorizationHeaderMalformed", "IllegalLocationConstraintException", "301", "307"}
_LONGEST_CONNECT = 10.0  # seconds
_SLOWEST = 64_000
"""Bytes a second at which an upload is still waited for: botocore does not tell whether a body moves on."""

_MESSAGE = 200


class RequestFailed(ArtifactError):
    """S3 refused a request.

    Attributes:
        code: S3's word for it.
    """

    def __init__(self, message: str | None = None, code: str = "") -> None:
        super().__init__(message)
        self.code = code


class S3Client:
    """Makes requests, from any thread and in any child of a fork.

    Args:
        options: How S3 is reached.
    """

    def __init__(self, options: S3Options) -> None:
        self.options = options
        self._lock = threading.Lock()
        self._opened: tuple[int, S3FileSystem] | None = None
        _clients.add(self)

    def request(
        self, operation: str, arguments: Mapping[str, object], *, timeout: float | None = None
    ) -> dict[str, Any]:
        """Make a request and return the answer.

        Args:
            operation: Name of a method of botocore's client.
            arguments: What the request says; ``Bucket`` and ``Key`` are named in errors.
            timeout: Seconds to go on trying; default: the options'.

        Raises:
            NotFound: There is no such key.
            ArtifactUnavailable: S3 could not be reached, or was not able to answer, for so long.
            RequestFailed: S3 refused, for good.
        """
        return self.wait(self.submit(operation, arguments, timeout=timeout))

    def submit(
        self, operation: str, arguments: Mapping[str, object], *, timeout: float | None = None
    ) -> concurrent.futures.Future[dict[str, Any]]:
        """Begin a request; `wait` for its answer."""
        system = self._system()
        body = arguments.get("Body", b"")
        allowance = len(body) / _SLOWEST if isinstance(body, bytes) else 0.0
        attempts = _Attempts(
            system=system,
            operation=operation,
            arguments=self._extended(operation, arguments),
            patience=Patience(self.options.timeout if timeout is None else timeout),
            longest=self.options.timeout / 3 + allowance,
        )
        return asyncio.run_coroutine_threadsafe(attempts.make(), system.loop)

    def read(self, body: Any, most: int, seconds: float, place: str) -> bytes:  # noqa: ANN401 - botocore's, of no public type
        """Return the next bytes of an answer's body; none at its end.

        Raises:
            ArtifactUnavailable: The connection was cut, or gave nothing for so many seconds.
        """

        async def chunk() -> bytes:
            try:
                async with asyncio.timeout(seconds):
                    read: bytes = await body.read(most)
                    return read
            except _failures() as error:
                raise explained(error, place) from None

        return self.wait(asyncio.run_coroutine_threadsafe(chunk(), self._system().loop))

    def drop(self, body: Any) -> None:  # noqa: ANN401 - as above
        """Close the connection that a body comes from, if it is ours to close."""
        loop = self._system().loop
        if loop.is_running():
            loop.call_soon_threadsafe(body.close)

    @staticmethod
    def wait(future: concurrent.futures.Future[_T]) -> _T:
        """Return what a future gives; whoever stops waiting (Ctrl-C) also ends the work."""
        try:
            return future.result()
        except BaseException:
            future.cancel()
            raise

    def close(self) -> None:
        """Close the connections."""
        with self._lock:
            opened, self._opened = self._opened, None
        if opened is not None and opened[0] == os.getpid() and opened[1]._s3 is not None:
            asyncio.run_coroutine_threadsafe(_close(opened[1]), opened[1].loop).result(timeout=5)

    def _extended(self, operation: str, arguments: Mapping[str, object]) -> dict[str, object]:
        """Return the arguments of a request with those that hold for all."""
        said = dict(self.options.upload_arguments)
        if operation not in (
            "put_object",
            "create_multipart_upload",
        ):  # a key of the customer's own goes with reads too
            said = {name: value for name, value in said.items() if name.startswith("SSECustomer")}
        if self.options.expected_bucket_owner:
            said["ExpectedBucketOwner"] = self.options.expected_bucket_owner
        return said | dict(arguments)

    def _system(self) -> S3FileSystem:
        with self._lock:
            if self._opened is None or self._opened[0] != os.getpid():
                self._opened = (os.getpid(), _open(self.options))
            return self._opened[1]

    def _forget(self) -> None:
        """Begin anew in the child of a fork, which has neither the thread nor may use the connections."""
        self._lock = threading.Lock()
        # The parent's is kept, out of use: closing it here would talk into the parent's connections.
        _of_parents.append(self._opened)
        self._opened = None


class _Attempts:
    """One request, made until it succeeds, is refused, or has taken too long.

    Args:
        system: Whose connections it takes.
        operation: Name of a method of botocore's client.
        arguments: What it says.
        patience: When the next attempt may begin, and when it is enough.
        longest: Seconds that one attempt may take.
    """

    def __init__(
        self,
        *,
        system: S3FileSystem,
        operation: str,
        arguments: Mapping[str, object],
        patience: Patience,
        longest: float,
    ) -> None:
        self._system = system
        self._operation = operation
        self._arguments = arguments
        self._patience = patience
        self._longest = longest

    async def make(self) -> dict[str, Any]:
        for number in itertools.count(1):
            try:
                client = await self._system.set_session()
                if number == 1:  # the time is for S3, not for loading its client, which can take seconds
                    self._patience.restart()
                said = _known_arguments(client, self._operation, self._arguments)
                async with asyncio.timeout(self._longest):
                    answer: dict[str, Any] = await getattr(client, self._operation)(**said)
                    return answer
            except ToolkitError:
                raise
            except _failures() as error:
                fault = explained(error, where(self._arguments))
            if not isinstance(fault, ArtifactUnavailable):
                raise fault from None
            pause = self._patience.pause()
            if pause is None:
                took = f"tried {number} times within {self._patience.seconds:.3g} s"
                raise ArtifactUnavailable(f"{fault.message}; {took}") from None
            await asyncio.sleep(pause)
        raise AssertionError  # count() has no end


_clients: weakref.WeakSet[S3Client] = weakref.WeakSet()
_of_parents: list[object] = []


def _forget_all() -> None:
    for client in list(_clients):
        client._forget()


os.register_at_fork(after_in_child=_forget_all)


def _open(options: S3Options) -> S3FileSystem:
    from s3fs import S3FileSystem  # noqa: PLC0415 - heavy, and only for those who use S3

    addressing = {"s3": {"addressing_style": options.addressing_style}} if options.addressing_style else {}
    return S3FileSystem(
        endpoint_url=options.endpoint_url,
        client_kwargs={} if options.verify else {"verify": False},
        config_kwargs={
            "connect_timeout": min(_LONGEST_CONNECT, options.timeout),
            "read_timeout": max(options.timeout / 3, 0.1),
            "retries": {"total_max_attempts": 1},  # tried again here, where it is known what for
            "request_checksum_calculation": "when_required",  # Content-MD5 is said, which every kind of S3 checks
            "response_checksum_validation": "when_required",
            **addressing,
        },
        skip_instance_cache=True,  # shared ones would be shared with the user's own, and across settings
        use_listings_cache=False,
    )


async def _close(system: S3FileSystem) -> None:
    client, system._s3 = system._s3, None
    await client.__aexit__(None, None, None)


def _failures() -> tuple[type[Exception], ...]:
    """Return what a request may raise; ``ValueError`` where the endpoint is no address."""
    import aiohttp  # noqa: PLC0415 - with s3fs
    from botocore.exceptions import BotoCoreError, ClientError  # noqa: PLC0415 - the same

    return BotoCoreError, ClientError, aiohttp.ClientError, OSError, asyncio.TimeoutError, ValueError


def where(arguments: Mapping[str, object]) -> str:
    """Return the URI of what a request is about."""
    key = arguments.get("Key", arguments.get("Prefix", ""))
    return f"s3://{arguments.get('Bucket')}/{key}".rstrip("/")


def explained(error: BaseException, place: str) -> ToolkitError:
    """Return our error for what a request raised. No secret is ever in it: only S3's code and our words."""
    from botocore import exceptions as b  # noqa: PLC0415 - with s3fs

    if isinstance(error, b.ClientError):
        return _answered(error.response, place)
    if isinstance(error, b.NoCredentialsError | b.PartialCredentialsError | b.CredentialRetrievalError):
        return ArtifactError(
            f"{place}: there are no credentials for S3: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE"
        )
    if isinstance(error, b.SSLError):
        return ArtifactError(f"{place}: the certificate of the S3 endpoint was not accepted")
    waited = isinstance(error, asyncio.TimeoutError | b.ReadTimeoutError | b.ConnectTimeoutError)
    if waited:
        return ArtifactUnavailable(f"{place}: S3 did not answer in time")
    if isinstance(error, b.EndpointConnectionError | b.ProxyConnectionError):
        return ArtifactUnavailable(f"{place}: S3 cannot be reached")
    if isinstance(error, b.BotoCoreError) and not isinstance(error, b.ConnectionError | b.HTTPClientError):
        if not isinstance(error, b.IncompleteReadError):
            return ArtifactError(f"{place}: the request to S3 cannot be made: {_one_line(str(error))}")
    elif isinstance(error, ValueError) and not isinstance(error, OSError):
        return InvalidSetting(f"{place}: S3 cannot be used as it is set up: {_one_line(str(error))}")
    return ArtifactUnavailable(f"{place}: the connection to S3 was cut")


def _answered(response: Mapping[str, Any], place: str) -> ToolkitError:
    """Return our error for an answer of S3 that is one."""
    said = response.get("Error", {})
    status = int(response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))
    code = str(said.get("Code", status))
    bucket = place.removeprefix("s3://").partition("/")[0]
    if code in _ABSENT:
        return NotFound(f"there is no object {place}")
    if code in _CODES_FOR_LATER or status >= 500 or status == 429:
        return ArtifactUnavailable(f"{place}: S3 is not able to answer now ({code})")
    if code == "NoSuchBucket":
        text = f"{place}: there is no bucket {bucket!r} at this endpoint: make it, or correct TOOLKIT_ARTIFACT_ROOT"
    elif code in _EXPIRED:
        text = f"{place}: the credentials for S3 have expired ({code}): renew them"
    elif code in _CREDENTIALS:
        text = f"{place}: S3 does not accept the credentials ({code}): see AWS_ACCESS_KEY_ID, AWS_PROFILE"
    elif code in _REFUSED:
        text = f"{place}: access is denied ({code}): see the permissions of the credentials and of bucket {bucket!r}"
    elif code in _REGION:
        region = said.get("Region") or response.get("ResponseMetadata", {}).get("HTTPHeaders", {}).get(
            "x-amz-bucket-region"
        )
        text = f"{place}: the bucket is in another region ({code}): set AWS_REGION to {region or 'its region'}"
    elif code == "RequestTimeTooSkewed":
        text = f"{place}: the clock of this machine is too far off for S3 ({code}): set it"
    elif code == "KeyTooLongError":
        text = f"{place[:_MESSAGE]}: the key is longer than S3 allows: 1,024 bytes with the root's prefix"
    else:
        text = f"{place}: S3 refuses: {code}: {_one_line(str(said.get('Message', '')))}".rstrip(": ")
    return RequestFailed(text, code)


def _known_arguments(client: Any, operation: str, arguments: Mapping[str, object]) -> dict[str, object]:  # noqa: ANN401 - botocore makes the class at run time
    """Return those of the arguments that this request has a place for."""
    name = client.meta.method_to_api_mapping[operation]
    members = client.meta.service_model.operation_model(name).input_shape.members
    if operation == "put_object" and (unknown := arguments.keys() - members):
        raise InvalidSetting(
            f"MLFLOW_S3_UPLOAD_EXTRA_ARGS has {', '.join(sorted(unknown))}, which no upload to S3 knows: see the "
            "arguments of PutObject, such as ServerSideEncryption"
        )
    return {name: value for name, value in arguments.items() if name in members}


def _one_line(text: str) -> str:
    return " ".join(text.split())[:_MESSAGE]
