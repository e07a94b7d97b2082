"""Datasets that are files, folders or URLs, and are not loaded."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import urlsplit

from toolkit.data import digest as digests
from toolkit.data.dataset import Dataset
from toolkit.data.source import source_of
from toolkit.errors import InvalidValue, NotFound


def from_path(path: str | Path, name: str | None = None, digest: str | None = None) -> Dataset:
    """Return a local file or folder as a dataset.

    The digest is of names, sizes, and at most the first 256 MiB.

    Args:
        path: The file or folder.
        name: Its name; default: the file's.
        digest: Its digest, if it is known; default: computed.

    Raises:
        NotFound: There is nothing at ``path``.
    """
    place = Path(path)
    if not place.exists():
        raise NotFound(f"there is no file or folder {path}")
    files = [place] if place.is_file() else [each for each in place.rglob("*") if each.is_file()]
    return Dataset(
        name=name or place.absolute().name,
        digest=digest or digests.of_path(place),
        source=source_of(place.absolute()),
        profile={"num_files": len(files), "num_bytes": sum(each.stat().st_size for each in files)},
    )


def from_url(url: str, name: str | None = None, digest: str | None = None) -> Dataset:
    """Return what is at a URL as a dataset. It is not fetched.

    Args:
        url: Such as ``https://…`` or ``s3://…``.
        name: Its name; default: the last part of the URL.
        digest: Its digest, if it is known; default: that of the URL.

    Raises:
        InvalidValue: It is no URL.
    """
    parts = urlsplit(url)
    if "://" not in url or not parts.scheme:
        raise InvalidValue(f"{url!r} is no URL: wanted one such as https://host/data.csv; from_path takes local files")
    last = parts.path.rstrip("/").rpartition("/")[2] or parts.netloc
    return Dataset(name=name or last, digest=digest or digests.short([url.encode()]), source=source_of(url))
