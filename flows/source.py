"""Where a project's code comes from: from what the user typed to a directory, and what is known about its version."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

from toolkit.errors import InvalidValue, ProjectError, ProjectNotFound, SourceUnavailable
from toolkit.flows import archive, codebase, repository
from toolkit.flows.address import (
    ArchiveAddress,
    GitAddress,
    LocalAddress,
    check_version,
    enter,
    is_archive_version,
    read_address,
    shown,
    unquoted,
)
from toolkit.flows.checkout import check_out
from toolkit.flows.codebase import SnapshotSummary, SourceFile
from toolkit.flows.download import download
from toolkit.flows.source_cache import Noted, Slot, when

LARGEST_SOURCE = 2_000_000_000
"""Bytes that an archive, and what it unpacks to, may have by default."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Source:
    """A project's code at one moment.

    Attributes:
        uri: What the user gave, without quotes around it and without what may be secret in an address.
        directory: The project's directory, absolute.
        root: What the URI names without its ``#subdir``; the same directory where there is none.
        subdir: The part of the URI after ``#``.
        name: Value of the tag ``mlflow.source.name``: ``file://<top of the working tree>#<directory in it>`` in a
            repository, the address of what was fetched, else the absolute path.
        commit: The checked-out commit; ``None`` outside of Git and before the first commit.
        branch: The checked-out branch; ``None`` also where the head is detached.
        repo_url: Address of the repository's remote, without credentials.
        dirty: Whether files below the project's directory are not as committed; ``False`` outside of Git.
        digest: SHA-256 over the project's files, see `code_digest`.
        warnings: What the user should know, a line each.
        known_files: What Git counts to the project, relative to ``directory``; ``None`` outside of Git.
        version: The branch, tag, commit or digest that was asked for.
        archive: SHA-256 of the zip file that it was unpacked from.
        fetched: Whether ``root`` is kept for all runs: nobody may write into it, see `working_copy`.
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
    version: str | None = None
    archive: str | None = None
    fetched: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class Fetching:
    """How code is fetched that is not a directory of this machine.

    Attributes:
        root: Folder that fetched code is kept in.
        limit: Bytes that an archive, and what it unpacks to, may have.
        report: Told when something is fetched.
    """

    root: Path
    limit: int = LARGEST_SOURCE
    report: Callable[[str], None] = field(default=lambda _: None, repr=False)


def fetch(uri: str, *, caller: Path, version: str | None = None, fetching: Fetching | None = None) -> Source:
    """Find the code that a URI names, and what is known about its version; fetch it where it is elsewhere.

    Args:
        uri: A directory: absolute, relative, with ``~``, or a ``file://`` URI; a Git repository: ``https://``,
            ``ssh://``, ``git@host:path``, ``file://``; a zip file, local or on the web. ``#subdir`` after it names a
            directory in it.
        caller: The directory that relative paths are relative to.
        version: A branch, a tag or a commit of a repository; of an archive the digest that it must have, as
            ``sha256:…``.
        fetching: How to fetch; ``None``: a directory as it is, and nothing else.

    Raises:
        InvalidValue: The version cannot be one.
        ProjectNotFound: There is no such directory, repository, version or archive.
        ProjectError: It cannot be fetched or unpacked, or a file of the project cannot be read.
        SourceUnavailable: Where it is does not answer; the message offers what is kept here.
        TooLarge: An archive is larger than the limit.
    """
    address = read_address(uri, caller)
    wanted = None if version is None else check_version(version)
    if isinstance(address, LocalAddress):
        if wanted is None:
            return _directory(address, unquoted(uri))
        address, repo_url = _repository_of(address, wanted)
    else:
        repo_url = None
    if fetching is None:
        raise ProjectError(f"{shown(address.url)} has to be fetched, and nothing is fetched here: give a directory")
    try:
        return _fetched(address, wanted, fetching, repo_url)
    except OSError as error:
        why = f"{error.strerror or error}{f' ({error.filename})' if error.filename else ''}"
        raise ProjectError(f"{address.url} cannot be kept in {fetching.root}: {why}") from None


def _fetched(
    address: GitAddress | ArchiveAddress, wanted: str | None, fetching: Fetching, repo_url: str | None
) -> Source:
    if isinstance(address, GitAddress):
        return _from_git(address, wanted, fetching, repo_url)
    if wanted is not None and not is_archive_version(wanted):
        raise InvalidValue(
            f"{address.place} is an archive, which has no version {wanted!r}: wanted none, or sha256:<digest>"
        )
    return _from_archive(address, wanted, fetching)


def project_files(source: Source) -> list[SourceFile]:
    """Return the files that belong to a project, sorted by path.

    In a repository those that Git tracks or does not ignore, as they were at `fetch`; else those that ``.gitignore``
    does not name. Never those that ``.toolkitignore`` names, version control, caches, virtual environments and run
    stores.
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


# -- a directory -------------------------------------------------------------------------------------


def _directory(address: LocalAddress, given: str) -> Source:
    """Return the source for a directory of the user's, as it is."""
    root, subdir = address.directory, address.subdir
    directory = enter(root, subdir, own=True)
    git, warnings = _state(directory)
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


def _state(directory: Path) -> tuple[repository.Repository | None, tuple[str, ...]]:
    """Return what Git knows of a directory, and a warning if it refuses to say."""
    try:
        return repository.find(directory), ()
    except repository.Unreadable as error:
        why = f"the Git repository of {directory} cannot be read, so no commit is recorded: {error}"
        return None, (why,)


def _source_name(root: Path, subdir: str | None, git: repository.Repository | None) -> str:
    """Return the source's name as MLflow forms it."""
    if git is None:
        return f"{root}#{subdir}" if subdir else str(root)
    return f"file://{git.top}#{git.prefix}" if git.prefix else f"file://{git.top}"


def _repository_of(address: LocalAddress, version: str) -> tuple[GitAddress, str | None]:
    """Return the repository that a directory is in, with the directory as its sub-directory, and its remote."""
    directory = enter(address.directory, address.subdir, own=True)
    git, warnings = _state(directory)
    if git is None:
        why = warnings[0] if warnings else f"{directory} is in no Git repository"
        raise ProjectNotFound(f"the version {version!r} was asked for, and {why}")
    return GitAddress(url=git.top.as_uri(), subdir=git.prefix or None, local=True), git.url


# -- Git ---------------------------------------------------------------------------------------------


def _from_git(address: GitAddress, version: str | None, fetching: Fetching, repo_url: str | None) -> Source:
    if version is not None and is_archive_version(version):
        raise InvalidValue(f"{address.url} is a Git repository: the version must be a branch, a tag or a commit")
    checkout = check_out(address, version, fetching.root, fetching.report)
    root = checkout.directory.resolve()
    directory = enter(root, address.subdir, own=False, shown=f"{address.url}{f' {version}' if version else ''}")
    git, warnings = _state(directory)
    known = None if git is None else git.files
    name = f"{address.url}#{address.subdir}" if address.subdir else address.url
    return Source(
        uri=name,
        directory=directory,
        root=root,
        subdir=address.subdir,
        name=name,
        commit=checkout.commit,
        branch=checkout.branch,
        repo_url=repo_url or address.url,
        dirty=False,
        digest=codebase.digest(directory, codebase.list_files(directory, known)),
        warnings=warnings,
        known_files=known,
        version=version,
        fetched=True,
    )


# -- archives ----------------------------------------------------------------------------------------


def _from_archive(address: ArchiveAddress, version: str | None, fetching: Fetching) -> Source:
    slot = Slot(fetching.root, "zip", address.url, address.name)
    wanted = None if version is None else version.removeprefix("sha256:")
    here = None if wanted is None else slot.find(wanted)
    sha256, kept = (wanted, here) if wanted and here else _unpacked(address, wanted, slot, fetching)
    root = archive.top(kept).resolve()
    directory = enter(root, address.subdir, own=False, shown=address.place)
    known = codebase.every_path(directory)
    name = f"{address.place}#{address.subdir}" if address.subdir else address.place
    return Source(
        uri=name,
        directory=directory,
        root=root,
        subdir=address.subdir,
        name=name,
        commit=None,
        branch=None,
        repo_url=None,
        dirty=False,
        digest=codebase.digest(directory, codebase.list_files(directory, known)),
        known_files=known,
        version=version,
        archive=sha256,
        fetched=True,
    )


def _unpacked(address: ArchiveAddress, wanted: str | None, slot: Slot, fetching: Fetching) -> tuple[str, Path]:
    """Return the digest of an archive and the folder that it is unpacked in."""
    with slot.claim(fetching.report), slot.building() as scratch:
        if address.file is None:
            file = scratch.with_suffix(".download")
            note = _downloaded(address, slot, fetching, file)
        else:
            file = address.file
            note = Noted(version="", tree=_file_digest(file))
        if wanted not in (None, note.tree):
            raise ProjectError(
                f"{address.place} has the digest sha256:{note.tree}, and sha256:{wanted} is wanted: it is another file"
            )
        found = slot.find(note.tree)
        if found is None:
            with slot.building() as target:
                archive.unpack(file, target, limit=fetching.limit, shown=address.place)
                found = slot.keep(target, note.tree)
        slot.note(replace(note, time=time.time()))
        return note.tree, found


def _downloaded(address: ArchiveAddress, slot: Slot, fetching: Fetching, file: Path) -> Noted:
    """Fetch an archive, unless the server says that it is the one that is kept."""
    last = slot.notes().get("")
    known = last if last is not None and slot.find(last.tree) is not None else None
    fetching.report(f"fetching {address.url}")
    try:
        got = download(address, file, limit=fetching.limit, etag=None if known is None else known.etag)
    except SourceUnavailable as error:
        raise SourceUnavailable(f"{error}: {_offer(slot)}") from None
    if got is None:
        assert known is not None
        return known
    return Noted(version="", tree=got.sha256, etag=got.etag)


def _offer(slot: Slot) -> str:
    """Say which archive is here, and how to run it."""
    kept = slot.kept()
    if not kept:
        return "nothing of it is kept here; try again when it answers"
    return f"that of {when(kept[0].time)} is kept here; run it with -v sha256:{kept[0].tree}"


def _file_digest(file: Path) -> str:
    try:
        with file.open("rb") as opened:
            return hashlib.file_digest(opened, "sha256").hexdigest()
    except OSError as error:
        raise ProjectError(f"{file} cannot be read ({error.strerror})") from None
