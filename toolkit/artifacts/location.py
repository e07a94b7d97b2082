"""From the URI of a place to the store of what is there.

Only the configured root, and locations that runs of the store record, are ever opened, and those only by a client for
its user. Chains of file systems (``simplecache::…``, ``zip://…::…``) and file systems that wrap others are refused: a
URI names one place.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from toolkit.artifacts.key import check_key
from toolkit.artifacts.local import LocalArtifactStore, local_artifact_root
from toolkit.artifacts.remote import RemoteArtifactStore
from toolkit.artifacts.s3_options import S3Options
from toolkit.artifacts.store import ArtifactStore
from toolkit.errors import ArtifactError, InvalidSetting

_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://(.*)", re.DOTALL)
_S3 = ("s3", "s3a", "s3n")
_ACCOUNTS = ("abfs", "abfss", "wasb", "wasbs", "az", "sftp", "ssh", "smb", "hdfs", "webhdfs", "ftp")
"""Where ``name@`` in front of the host names an account or a container, and is no secret."""

_EXTRAS = {"gs": "gcs", "gcs": "gcs", "abfs": "azure", "abfss": "azure", "az": "azure", "adl": "azure"}
_WRAPPERS = (
    *("reference", "simplecache", "filecache", "blockcache", "cached", "dir", "generic", "zip", "tar", "libarchive"),
    *(
        "github",
        "gist",
        "git",
        "http",
        "https",
        "data",
        "jupyter",
        "jlab",
        "dask",
        "root",
        "async_wrapper",
        "asyncwrapper",
    ),
)


@dataclass(frozen=True, kw_only=True, slots=True)
class StoreOptions:
    """How stores are reached.

    Attributes:
        s3: How S3 is.
    """

    s3: S3Options = field(default_factory=S3Options)


def open_artifact_store(uri: str, options: StoreOptions | None = None, *, create: bool = True) -> ArtifactStore:
    """Return the store of a place: a folder of this machine, a bucket, or what else fsspec knows.

    Nothing is asked of a store elsewhere yet, and no library for it is loaded but to see whether it is there.

    Args:
        uri: ``s3://bucket/prefix``, ``gs://…``, ``file:///…``, a path.
        options: How it is reached.
        create: Make a folder of this machine now, rather than when something is stored in it.

    Raises:
        InvalidSetting: The URI cannot be used; the message never shows a password that it contains.
        ArtifactError: A local folder cannot be made.
    """
    found = _SCHEME.fullmatch(uri)
    scheme = found[1].lower() if found else ""
    if "::" in uri.partition("/")[0] or (found and "::" in found[2].partition("/")[0]):
        raise InvalidSetting(
            f"artifact root {shown(uri)!r} is a chain of file systems: wanted one, such as s3://bucket"
        )
    if not found or scheme == "file":
        return LocalArtifactStore(local_artifact_root(uri), create=create)
    _check(uri, scheme, found[2])
    if scheme in _S3:
        return _s3(uri, found[2], options or StoreOptions())
    return _other(uri, scheme)


def shown(uri: str) -> str:
    """Return a URI without the user and password that it may have."""
    return re.sub(r"(?<=://)[^/]*@", "***@", uri)


def _check(uri: str, scheme: str, rest: str) -> None:
    """Refuse what would not be taken literally, or does not belong into a URI."""
    user, at, _ = rest.partition("/")[0].rpartition("@")
    if at and (":" in user or scheme not in _ACCOUNTS):
        raise InvalidSetting(
            f"artifact root {shown(uri)!r} has credentials in it: they belong into the environment, such as "
            "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or into a profile"
        )
    for sign in "?#":
        if sign in rest:
            raise InvalidSetting(
                f"artifact root {shown(uri)!r} has a {sign!r} in it: wanted only a place, s3://bucket/path"
            )
    parts = [part for part in rest.split("/")[1:] if part]
    if {".", ".."} & set(parts) or "//" in rest.strip("/") or "\\" in rest:
        raise InvalidSetting(
            f"artifact root {shown(uri)!r} has an empty, '.' or '..' part, or a backslash: leave it out"
        )


def _s3(uri: str, rest: str, options: StoreOptions) -> ArtifactStore:
    from toolkit.artifacts.s3 import S3Objects  # noqa: PLC0415 - asyncio, for those who use S3

    bucket, _, prefix = rest.rstrip("/").partition("/")
    if not bucket:
        raise InvalidSetting(f"artifact root {uri!r} names no bucket: wanted one such as s3://bucket/prefix")
    return RemoteArtifactStore(uri, prefix, S3Objects(bucket, options.s3))


def _other(uri: str, scheme: str) -> ArtifactStore:
    from fsspec import get_filesystem_class  # noqa: PLC0415 - only for those who use another store
    from fsspec.registry import known_implementations  # noqa: PLC0415 - the same

    from toolkit.artifacts.filesystem import FilesystemObjects  # noqa: PLC0415 - the same

    if scheme in _WRAPPERS:
        raise InvalidSetting(f"artifact root {shown(uri)!r}: {scheme}:// is no place that files are kept at")
    try:
        kind = get_filesystem_class(scheme)
    except ValueError:
        raise InvalidSetting(
            f"artifact root {shown(uri)!r} has the unknown scheme {scheme!r}: wanted s3, gs, abfs, sftp, "
            "file, or another that fsspec knows"
        ) from None
    except ImportError:
        extra = _EXTRAS.get(scheme)
        said = known_implementations.get(scheme, {}).get("err", "")
        what = f"pip install 'toolkit[{extra}]'" if extra else said or f"install fsspec's implementation of {scheme}"
        raise InvalidSetting(f"artifact root {shown(uri)!r} needs a package that is not installed: {what}") from None
    path = kind._strip_protocol(uri).rstrip("/")
    return RemoteArtifactStore(uri, path, FilesystemObjects(_maker(kind, uri), path))


def _maker(kind: Any, uri: str) -> Callable[[], Any]:  # noqa: ANN401 - fsspec has no types
    def make() -> Any:  # noqa: ANN401 - the same
        return kind(**kind._get_kwargs_from_urls(uri), skip_instance_cache=True, use_listings_cache=False)

    return make


def below_root(uri: str, root: str) -> str | None:
    """Return the key that a URI means in the store of ``root``; ``None`` if it is elsewhere.

    Examples:
        >>> below_root("s3://bucket/a/0/run/artifacts", "s3://bucket/a")
        '0/run/artifacts'
    """
    start = f"{root.rstrip('/')}/"
    key = ""
    if uri.startswith(start):
        key = uri[len(start) :].strip("/")
    elif root.startswith("file:") and uri.startswith(("/", "file:")):
        try:
            folder, place = local_artifact_root(root), local_artifact_root(uri)
        except InvalidSetting:  # such as file://host/path: somebody else's notion of a place
            return None
        key = place.relative_to(folder).as_posix() if place.is_relative_to(folder) and place != folder else ""
    return key if key and not {"", ".", ".."} & set(key.split("/")) else None  # ".." would lead out of it


@dataclass(frozen=True, kw_only=True, slots=True)
class Place:
    """Where the artifacts of a run are.

    Attributes:
        store: The store.
        folder: The key below which they are in it; empty for all of it.
    """

    store: ArtifactStore
    folder: str

    def key(self, path: str) -> str:
        """Return the key of an artifact.

        Raises:
            InvalidValue: The path is none (`toolkit.artifacts.key.check_key`).
        """
        return check_key(f"{self.folder}/{path}" if self.folder else path)


class Elsewhere:
    """The stores of places outside the configured root, each opened when it is first needed.

    Runs are elsewhere that were imported, that were made before the root was changed, or whose experiment was given
    a place of its own.

    Args:
        options: How stores are reached.
        trusted: URIs below which places may be opened. ``None``: everywhere, which is right for a client that acts
            for its own user. A server gives a list: it must not open what a client named.
    """

    def __init__(self, options: StoreOptions | None = None, *, trusted: Sequence[str] | None = None) -> None:
        self._options = options or StoreOptions()
        self._trusted = trusted
        self._lock = threading.Lock()
        self._stores: dict[str, ArtifactStore] = {}

    def place(self, artifact_uri: str, run_id: str) -> Place:
        """Return the place that a run's location means.

        Raises:
            ArtifactError: It may not be opened from here, or only by another program.
            InvalidSetting: It is no place that artifacts can be kept at.
        """
        uri = artifact_uri.rstrip("/")
        if self._trusted is not None and not any(below_root(uri, root) for root in self._trusted):
            raise ArtifactError(
                f"the artifacts of run {run_id} are at {shown(uri)}, outside of the configured root: "
                "only that is opened here"
            )
        if uri.startswith("mlflow-artifacts:"):
            raise ArtifactError(
                f"the artifacts of run {run_id} are at {uri}, behind an MLflow server: "
                "import the run with a copy of them"
            )
        tail = f"/{run_id}/artifacts"
        root, folder = (uri.removesuffix(tail), tail[1:]) if uri.endswith(tail) else (uri, "")
        with self._lock:
            if root not in self._stores:
                self._stores[root] = open_artifact_store(root, self._options, create=False)
            return Place(store=self._stores[root], folder=folder)

    def close(self) -> None:
        """Release the connections of all that were opened."""
        with self._lock:
            stores, self._stores = self._stores, {}
        for store in stores.values():
            close_store(store)


def close_store(store: ArtifactStore) -> None:
    """Release the connections of a store that has any."""
    if isinstance(store, RemoteArtifactStore):
        store.close()
