"""Where a dataset comes from: a file, a URL, an object store, or the script itself; in MLflow's form."""

from __future__ import annotations

import json
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol
from urllib.parse import unquote, urlsplit

from toolkit.errors import InvalidValue, NotFound
from toolkit.recording.context import SOURCE_NAME, SOURCE_TYPE, USER, script_tags, user_name

if TYPE_CHECKING:
    from toolkit.data.dataset import Dataset

_WEB = ("http", "https")


@dataclass(frozen=True, kw_only=True, slots=True)
class DatasetSource:
    """A place that data comes from.

    Attributes:
        kind: ``local``, ``http``, ``code``, or the scheme of the URL, such as ``s3``.
        place: What names the place there: ``uri``, ``url`` or ``tags``.
    """

    kind: str
    place: Mapping[str, object]

    @property
    def uri(self) -> str:
        """The place as one text; empty if it is code."""
        return str(self.place.get("uri") or self.place.get("url") or "")

    def to_dict(self) -> dict[str, object]:
        """Return what names the place."""
        return dict(self.place)

    def to_json(self) -> str:
        """Return what names the place, as JSON."""
        return json.dumps(self.to_dict())

    def load(self, dst_path: str | Path | None = None) -> str:
        """Return the local path of the data, fetched from the web if it is there.

        Args:
            dst_path: Folder for what is fetched; default: a temporary one.

        Raises:
            InvalidValue: It comes from code, or from a kind of place that cannot be read.
            NotFound: There is nothing.
        """
        if self.kind == "local":
            if not local_path(self.uri).exists():
                raise NotFound(f"there is no file or folder {self.uri}")
            return str(local_path(self.uri))
        if self.kind != "http":
            raise InvalidValue(f"a dataset from {self.kind} cannot be loaded: wanted a file or a http(s) URL")
        if dst_path is None:
            return urllib.request.urlretrieve(self.uri)[0]  # noqa: S310 - http and https only
        folder = Path(dst_path)
        folder.mkdir(parents=True, exist_ok=True)
        target = folder / (Path(unquote(urlsplit(self.uri).path)).name or "data")
        return urllib.request.urlretrieve(self.uri, target)[0]  # noqa: S310 - the same


class _MlflowSource(Protocol):
    """A source of MLflow's own."""

    def to_dict(self) -> dict[str, object]: ...
    def _get_source_type(self) -> str: ...


def source_of(given: str | Path | DatasetSource | object | None) -> DatasetSource:
    """Return the source that a path, a URL or an object names; for ``None`` the script that runs.

    Raises:
        InvalidValue: It is something else.
    """
    if given is None:
        tags = script_tags()
        told = {USER: user_name(), **{key: tags[key] for key in (SOURCE_NAME, SOURCE_TYPE)}}
        return DatasetSource(kind="code", place={"tags": told})
    if isinstance(given, DatasetSource):
        return given
    if isinstance(given, str | Path):
        return _named(str(given))
    if hasattr(given, "to_dict") and hasattr(given, "_get_source_type"):
        other: _MlflowSource = given
        return DatasetSource(kind=other._get_source_type(), place=other.to_dict())
    raise InvalidValue(f"the source of a dataset is {type(given).__name__}: wanted a path, a URL or a DatasetSource")


def get_source(dataset: Dataset | object) -> DatasetSource:
    """Return the source of a dataset: of `toolkit.data`, or as a run's input holds it.

    Raises:
        InvalidValue: It is no dataset.
    """
    inner = getattr(dataset, "dataset", dataset)  # a run's input has one
    source = getattr(inner, "source", None)
    if isinstance(source, str):
        return DatasetSource(kind=str(getattr(inner, "source_type", "local")), place=json.loads(source))
    if source is None:
        raise InvalidValue(f"{type(dataset).__name__} is no dataset: wanted one of toolkit.data, or a run's input")
    return source_of(source)


def local_path(uri: str) -> Path:
    """Return the path of a local file, given as a path or as a ``file:`` URL."""
    return Path(unquote(urlsplit(uri).path)) if uri.startswith("file:") else Path(uri)


def _named(text: str) -> DatasetSource:
    scheme = urlsplit(text).scheme.lower() if "://" in text or text.startswith("file:") else ""
    if scheme in _WEB:
        return DatasetSource(kind="http", place={"url": text})
    return DatasetSource(kind="local" if scheme in ("", "file") else scheme, place={"uri": text})
