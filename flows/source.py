"""Where a project's code comes from: from what the user typed to a directory, and what is known about its version."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import unquote, urlsplit

from toolkit.errors import NotYetSupported, ProjectNotFound
from toolkit.flows import codebase, repository
from toolkit.flows.codebase import SnapshotSummary, SourceFile

_SCHEME = re.compile(r"(?i)[a-z][a-z0-9+.-]+://")
_SCP_FORM = re.compile(r"[\w.-]+@[\w.-]+:(?!//)")


@dataclass(frozen=True, kw_only=True, slots=True)
class Source:
    """A project's code at one moment.

    Attributes:
        uri: What the user gave, without quotes around it.
        directory: The project's directory, absolute.
        root: What the URI names without its ``#subdir``; the same directory where there is none.
        subdir: The part of the URI after ``#``.
        name: Value of the tag ``mlflow.source.name``: ``file://<top of the working tree>#<directory in it>`` in a
            repository, else the absolute path.
        commit: The checked-out commit; ``None`` outside of Git and before the first commit.
        branch: The checked-out branch; ``None`` also where the head is detached.
        repo_url: Address of the repository's remote, without credentials.
        dirty: Whether files below the project's directory are not as committed; ``False`` outside of Git.
        digest: SHA-256 over the project's files, see `code_digest`.
        warnings: What the user should know, a line each.
        known_files: What Git counts to the project, relative to ``directory``; ``None`` outside of Git.
    """

    uri: str
    directory: Path
    root: Path
    subdir: str | None
    name: str
    commit: str | None
    branch: str | None
    repo_url: str | None
    dirty: bool
    digest: str
    warnings: tuple[str, ...] = ()
    known_files: tuple[str, ...] | None = field(default=None, repr=False)


def fetch(uri: str, *, caller: Path) -> Source:
    """Find the code that a URI names, and what is known about its version.

    Args:
        uri: A directory: absolute, relative, with ``~``, or a ``file://`` URI; ``#subdir`` after it names a directory
            in it.
        caller: The directory that relative paths are relative to.

    Raises:
        ProjectNotFound: There is no such directory.
        NotYetSupported: The URI names a Git repository on another machine, or an archive.
        ProjectError: A file of the project cannot be read.
    """
    given = _unquote(uri)
    if not given:
        raise ProjectNotFound("the project's URI is empty: give a directory, such as '.'")
    root, subdir = _locate(given, caller)
    directory = _enter(root, subdir)
    warnings: tuple[str, ...] = ()
    try:
        git = repository.find(directory)
    except repository.Unreadable as error:
        git = None
        warnings = (f"the Git repository of {directory} cannot be read, so no commit is recorded: {error}",)
    known = None if git is None else git.files
    return Source(
        uri=given,
        directory=directory,
        root=root,
        subdir=subdir,
        name=_source_name(root, subdir, git),
        commit=None if git is None else git.commit,
        branch=None if git is None else git.branch,
        repo_url=None if git is None else git.url,
        dirty=git is not None and not all(codebase.is_skipped(path, directory) for path in git.changed),
        digest=codebase.digest(directory, codebase.list_files(directory, known)),
        warnings=warnings,
        known_files=known,
    )


def project_files(source: Source) -> list[SourceFile]:
    """Return the files that belong to a project, sorted by path.

    In a repository those that Git tracks or does not ignore, as they were at `fetch`; else all. Never version control,
    caches, virtual environments and run stores.
    """
    return codebase.list_files(source.directory, source.known_files)


def code_digest(source: Source) -> str:
    """Return the SHA-256 over a project's files as they are now: the same for the same files, in Git or not.

    Raises:
        ProjectError: A file cannot be read.
    """
    return codebase.digest(source.directory, project_files(source))


def snapshot(source: Source, target: Path) -> SnapshotSummary:
    """Write a project's files into a zip archive; the same files give the same bytes.

    Args:
        source: The project.
        target: The archive to write; it becomes visible whole or not at all.

    Raises:
        ProjectError: A file cannot be read.
    """
    return codebase.pack(source.directory, project_files(source), target)


def _unquote(uri: str) -> str:
    text = uri.strip()
    while len(text) > 1 and text[0] == text[-1] and text[0] in "'\"":
        text = text[1:-1].strip()
    return text


def _locate(given: str, caller: Path) -> tuple[Path, str | None]:
    """Return the directory that a URI names, and its ``#subdir``."""
    if "\0" in given:
        raise ProjectNotFound(f"{given!r} is not a path: it holds a zero byte")
    for path, subdir in _readings(given, caller):
        if _exists(path):
            return _directory(path, given), subdir
    if given.lower().startswith("file:"):
        parts = urlsplit(given)
        if parts.netloc not in ("", "localhost"):
            raise ProjectNotFound(f"{given} is on another machine ({parts.netloc}): give a directory of this one")
    elif _SCHEME.match(given) or _SCP_FORM.match(given):
        raise NotYetSupported(
            f"{repository.without_credentials(given)} is not a local directory; projects from Git and from archives"
            " cannot be run yet: clone it and run the directory"
        )
    *_, (shortest, _) = _readings(given, caller)
    raise ProjectNotFound(f"there is no directory {shortest}: give the directory of a project, such as '.'")


def _readings(given: str, caller: Path) -> Iterator[tuple[Path, str | None]]:
    """Yield the ways to read a URI, the longest directory first: its name may hold a ``#`` itself."""
    is_uri = given.lower().startswith("file:")
    if not is_uri and _SCHEME.match(given):
        return
    cuts = [len(given), *(place for place, letter in reversed(list(enumerate(given))) if letter == "#")]
    for cut in cuts:
        if cut == 0:
            continue
        text = given[:cut]
        if is_uri:
            rest = text[len("file:") :]
            host = "//localhost" if rest.startswith("//localhost/") else "//"
            if rest.startswith("//") and not rest.startswith((host + "/", "///")):
                continue  # another machine's
            text = unquote(rest.removeprefix(host)) if rest.startswith("//") else unquote(rest)
        yield _absolute(text, caller), given[cut + 1 :] or None


def _absolute(text: str, caller: Path) -> Path:
    try:
        path = Path(text).expanduser()
    except RuntimeError:  # ~ of a user that does not exist
        path = Path(text)
    return Path(caller, path).absolute()


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except (OSError, ValueError):  # a name that is too long, or that no file can have
        return False


def _directory(path: Path, given: str) -> Path:
    """Return the path as it is on disk, if it is a directory's."""
    if path.is_dir():
        return path.resolve()
    if path.name.lower() == "mlproject":
        raise ProjectNotFound(f"{given} is a file: give the directory that it is in, {path.parent}")
    if path.suffix.lower() == ".zip":
        raise NotYetSupported(f"{given} is an archive; archives cannot be run yet: unpack it and run the directory")
    raise ProjectNotFound(f"{given} is a file: give the directory of a project")


def _enter(root: Path, subdir: str | None) -> Path:
    """Return the sub-directory of a project's root."""
    if subdir is None:
        return root
    parts = subdir.strip("/").split("/")
    if any(part in (".", "..") for part in parts) or "\\" in subdir:
        raise ProjectNotFound(f"'#{subdir}' must name a directory below the project: no '.' and '..' in it")
    directory = root.joinpath(*parts)
    if not _exists(directory):
        raise ProjectNotFound(f"there is no directory {'/'.join(parts)} in {root}")
    return _directory(directory, str(directory))


def _source_name(root: Path, subdir: str | None, git: repository.Repository | None) -> str:
    """Return the source's name as MLflow forms it."""
    if git is None:
        return f"{root}#{subdir}" if subdir else str(root)
    return f"file://{git.top}#{git.prefix}" if git.prefix else f"file://{git.top}"
