"""Where artifacts of other stores lie on this machine: URIs become folders, by rules that the user gives."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path, PurePosixPath
from urllib.parse import unquote, urlsplit

from toolkit.artifacts.location import Elsewhere
from toolkit.errors import ArtifactError, InvalidValue, NotFound
from toolkit.transfer.source import SourceFile, local_file

PROXY = "mlflow-artifacts:"


class Locations:
    """Finds the folder of an artifact URI.

    Args:
        mapped: Pairs of the beginning of URIs and the folder that they mean.
        base: What relative paths begin at.
        elsewhere: Opens buckets and the like.
    """

    def __init__(
        self,
        mapped: Sequence[tuple[str, Path]] = (),
        base: Path | None = None,
        elsewhere: Elsewhere | None = None,
    ) -> None:
        self._elsewhere = elsewhere
        self._mapped = sorted(mapped, key=lambda pair: -len(pair[0]))
        self._base = base or Path.cwd()

    def files(self, uri: str, run_id: str) -> Iterator[SourceFile]:
        """Give the files at the artifact URI of a run, wherever that is.

        Raises:
            ArtifactError: The place cannot be read.
            InvalidSetting: It is no place that artifacts can be kept at.
            NotFound: It is a folder of this machine that is not there.
        """
        folder = self.folder(uri)
        if folder is not None:
            if not folder.is_dir():
                raise NotFound(f"there is no folder {folder}")
            yield from files_below(folder)
            return
        if self._elsewhere is None:
            raise ArtifactError(f"{uri} is not on this machine")
        place = self._elsewhere.place(uri, run_id)
        skipped = len(place.folder) + 1 if place.folder else 0
        for file in place.store.list(place.folder):
            opened = partial(place.store.open, file.key)
            yield SourceFile(path=file.key[skipped:], size=file.size, created=file.modified, open=opened)

    def folder(self, uri: str) -> Path | None:
        """Return the folder that a URI means, which need not be there; ``None`` if it is not on this machine.

        Raises:
            ArtifactError: It is behind a server, or points out of its folder.
        """
        for prefix, folder in self._mapped:
            rest = self._below(uri, prefix)
            if rest is not None:
                parts = PurePosixPath(rest.lstrip("/")).parts
                if ".." in parts:
                    raise ArtifactError(f"{uri} points out of {folder}")
                return folder.joinpath(*parts)
        scheme = urlsplit(uri).scheme if ":" in uri.partition("/")[0] else ""
        if scheme == "file":
            parsed = urlsplit(uri)
            if parsed.netloc in ("", "localhost"):
                return Path(unquote(parsed.path))
        elif not scheme:
            return self._base / uri
        elif scheme == PROXY.rstrip(":"):
            raise ArtifactError(
                f"{uri} is behind MLflow's server: give its folder by --artifacts-from DIR (what the server has as "
                "--artifacts-destination; by default ./mlartifacts where it was started)"
            )
        return None

    @staticmethod
    def _below(uri: str, prefix: str) -> str | None:
        """Return what of a URI follows a prefix; ``None`` if it begins otherwise."""
        if prefix == PROXY:
            if not uri.startswith(PROXY):
                return None
            return unquote(urlsplit(uri).path)
        prefix = prefix.rstrip("/")
        return uri[len(prefix) :] if uri == prefix or uri.startswith(f"{prefix}/") else None


def read_mapping(text: str) -> tuple[str, Path]:
    """Return the pair that ``URI=DIR`` says; ``DIR`` alone is where MLflow's server keeps artifacts.

    Raises:
        InvalidValue: There is no such folder.
    """
    uri, equals, folder = text.rpartition("=")
    path = Path(folder if equals else text).expanduser().absolute()
    if not path.is_dir():
        raise InvalidValue(f"--artifacts-from {text!r}: there is no folder {path}")
    return (uri or PROXY), path


def files_below(folder: Path) -> Iterator[SourceFile]:
    """Give the files below a folder, in the order of their paths; links are left out."""
    for file in sorted(_walk(folder)):
        yield local_file(file.relative_to(folder).as_posix(), file)


def _walk(folder: Path) -> Iterable[Path]:
    for directory, _, names in os.walk(folder):
        for name in names:
            file = Path(directory, name)
            if file.is_file() and not file.is_symlink():
                yield file
