"""The files that a step's command may read, as they are when the step begins: their digests, and one over all."""

from __future__ import annotations

import hashlib
import json
import os
import stat
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from toolkit.errors import ProjectError, ToolkitError
from toolkit.flows import codebase, repository
from toolkit.flows.source import Source

_Signature = tuple[int, int, int]
"""Size, time of change in nanoseconds, inode: a file whose signature is the same is not read again."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Manifest:
    """Files and their digests.

    Attributes:
        files: Kind and SHA-256 of each file, by its path in the project: ``f`` a file, ``x`` one that may be executed,
            ``l`` a link, of whose text the digest is.
    """

    files: Mapping[str, str]

    @property
    def digest(self) -> str:
        """The digest over all of it."""
        text = "".join(f"{kind} {path!r}\n" for path, kind in sorted(self.files.items()))
        return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()

    def as_text(self) -> str:
        """Return it as JSON."""
        return json.dumps({"format": 1, "files": dict(sorted(self.files.items()))}, indent=0) + "\n"

    @classmethod
    def of_text(cls, text: str) -> Manifest:
        """Return what `as_text` gave; raises `ValueError` for another text."""
        try:
            return cls(files={str(path): str(kind) for path, kind in json.loads(text)["files"].items()})
        except (KeyError, TypeError, AttributeError) as error:
            raise ValueError("not a list of files") from error


class Digests:
    """Digests of files of this machine; what did not change is not read again. May be used by several threads."""

    def __init__(self) -> None:
        self._known: dict[str, tuple[_Signature, str]] = {}
        self._lock = threading.Lock()

    def of_file(self, path: Path) -> str:
        """Return the SHA-256 of a file's content.

        Raises:
            OSError: It cannot be read.
        """
        status = path.stat()
        signature = (status.st_size, status.st_mtime_ns, status.st_ino)
        with self._lock:
            known = self._known.get(str(path))
        if known is not None and known[0] == signature:
            return known[1]
        with path.open("rb") as opened:
            found = hashlib.file_digest(opened, "sha256").hexdigest()
        with self._lock:
            self._known[str(path)] = (signature, found)
        return found

    def of_path(self, path: Path) -> str:
        """Return the digest of a file, or one over all files of a folder; links are followed.

        Raises:
            ToolkitError: It cannot be read, or a link leads in a circle.
        """
        from toolkit.recording.transfer import files_below  # noqa: PLC0415 - only where a folder is a parameter

        try:
            if not path.is_dir():
                return self.of_file(path)
            whole = hashlib.sha256()
            for file, name in files_below(path):
                whole.update(f"{self.of_file(file)} {name!r}\n".encode("utf-8", "surrogatepass"))
        except OSError as error:
            raise ProjectError(f"{error.filename or path} cannot be read: {error.strerror}") from None
        return whole.hexdigest()


class CodeState:
    """The files of a project, or those of them that an entry point says it reads.

    The project's own file is not among them, unless it is named: what it says of a step is in the step's key anyway,
    and what it says of another one is none of its business.

    Args:
        source: The project.
        file: Its MLproject file, where it has one.
        digests: What is known of files.
    """

    def __init__(self, source: Source, file: Path | None, digests: Digests) -> None:
        self._source = source
        self._file = "MLproject" if file is None else file.name  # a flow in Python may stand beside one
        self._digests = digests
        self._known = source.known_files
        self._outdated = False
        self._lock = threading.Lock()

    def may_have_changed(self) -> None:
        """Say that a command ran in the project's own folder, and may have made files there."""
        self._outdated = True

    def manifest(self, patterns: Sequence[str] | None = None) -> Manifest:
        """Return the files and their digests, as they are now.

        Args:
            patterns: Files, folders and globs, relative to the project; ``None``: what Git counts to it, else all.

        Raises:
            ProjectError: A file cannot be read.
        """
        directory = self._source.directory
        if patterns is None:
            files = [file for file in codebase.list_files(directory, self._listed()) if file.path != self._file]
        else:
            files = _matching(directory, patterns)
        try:
            return Manifest(files={file.path: self._entry(directory, file) for file in files})
        except OSError as error:
            raise ProjectError(f"{error.filename} cannot be read: {error.strerror}") from None

    def _entry(self, directory: Path, file: codebase.SourceFile) -> str:
        if file.link is not None:
            return f"l {hashlib.sha256(os.fsencode(file.link)).hexdigest()}"
        return f"{'x' if file.executable else 'f'} {self._digests.of_file(directory / file.path)}"

    def _listed(self) -> tuple[str, ...] | None:
        """Return what Git counts to the project; asked again where files may have been made since."""
        with self._lock:
            if self._known is not None and self._outdated:
                self._outdated = False
                try:
                    found = repository.find(self._source.directory)
                except (ToolkitError, repository.Unreadable):
                    found = None
                self._known = self._known if found is None else found.files
            return self._known


def _matching(directory: Path, patterns: Sequence[str]) -> list[codebase.SourceFile]:
    """Return the files that patterns name, whatever Git says of them; a folder stands for all that is in it.

    Raises:
        ProjectError: One names nothing.
    """
    found: dict[str, codebase.SourceFile] = {}
    for pattern in patterns:
        places = list(_glob(directory, pattern))
        if not places:
            raise ProjectError(f"`inputs` names {pattern!r}, and there is no such file in {directory}")
        for place in places:
            found |= {file.path: file for file in _files(directory, place)}
    return sorted(found.values(), key=lambda file: file.path)


def _glob(directory: Path, pattern: str) -> Iterable[Path]:
    plain = directory / pattern
    if os.path.lexists(plain):
        return [plain]
    return directory.glob(pattern)


def _files(directory: Path, place: Path) -> Iterator[codebase.SourceFile]:
    name = place.relative_to(directory).as_posix()
    if codebase.is_skipped(name, directory):
        return
    if place.is_dir():  # a link to a folder, too: what is named is meant
        for file in codebase.list_files(place, every=True):
            yield codebase.SourceFile(
                path=file.path if name == "." else f"{name}/{file.path}",
                size=file.size,
                executable=file.executable,
                link=file.link,
            )
        return
    status = place.stat()
    yield codebase.SourceFile(path=name, size=status.st_size, executable=bool(status.st_mode & stat.S_IXUSR))
