"""The files that make up a project: which they are, one digest over them, and a copy to keep.

The digest is defined over files alone, so that the same files have the same digest in a clone, in an unpacked archive
and in a folder that Git knows nothing of.
"""

from __future__ import annotations

import hashlib
import json
import os
import stat
import tempfile
import zipfile
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from fnmatch import fnmatch
from pathlib import Path

from toolkit.errors import ProjectError
from toolkit.flows import ignore
from toolkit.flows.ignore import Ignored

LARGEST_FILE = 10_000_000
"""Bytes above which a file is left out of a snapshot."""
LARGEST_SNAPSHOT = 50_000_000
"""Bytes, of all files together, above which files are left out of a snapshot."""
MANIFEST = ".toolkit-snapshot.json"

_DIGEST_FORMAT = b"toolkit-code-1\n"
_SKIPPED = frozenset(
    ".git .hg .svn .bzr __pycache__ .mypy_cache .ruff_cache .pytest_cache .hypothesis .ipynb_checkpoints .tox .nox "
    ".cache .venv node_modules mlruns mlartifacts .toolkit .DS_Store".split()
)
_SECRET = (".env", ".env.local", ".netrc", ".pypirc", ".git-credentials", "*.pem", "*.key", "id_rsa", "id_ed25519")
_ZIP_EPOCH = (1980, 1, 1, 0, 0, 0)
_MANY_BYTES = 4_000_000
"""Bytes from which hashing in several threads is worth starting them."""


@dataclass(frozen=True, kw_only=True, slots=True)
class SourceFile:
    """A file of a project.

    Attributes:
        path: Relative to the project's directory, with ``/``.
        size: Bytes; of a link, those of its text.
        executable: Whether its owner may execute it.
        link: What it points to, where it is a symbolic link; links are never followed.
    """

    path: str
    size: int
    executable: bool = False
    link: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class LeftOut:
    """A file that is not in a snapshot.

    Attributes:
        path: Relative to the project's directory.
        size: Bytes.
        reason: Why.
    """

    path: str
    size: int
    reason: str


@dataclass(frozen=True, kw_only=True, slots=True)
class SnapshotSummary:
    """What a snapshot holds.

    Attributes:
        path: The archive.
        digest: SHA-256 over the files in it, as `digest` makes it.
        files: Number of files in it.
        size: Bytes of these files.
        left_out: What is not in it.
    """

    path: Path
    digest: str
    files: int
    size: int
    left_out: tuple[LeftOut, ...]


def is_skipped(path: str, directory: Path) -> bool:
    """Tell whether a path is none of the project's: version control, caches, run stores and virtual environments.

    Args:
        path: Relative to ``directory``, with ``/``.
        directory: The project's directory.
    """
    parts = path.rstrip("/").split("/")
    if not _SKIPPED.isdisjoint(parts) or parts[-1].endswith(".pyc"):
        return True
    folders = parts if path.endswith("/") else parts[:-1]
    return any((directory.joinpath(*folders[:n]) / "pyvenv.cfg").exists() for n in range(1, len(folders) + 1))


def list_files(directory: Path, known: Sequence[str] | None = None, *, every: bool = False) -> list[SourceFile]:
    """Return the files of a project, sorted by path.

    Args:
        directory: The project's directory.
        known: What Git counts to the project, where it is in a repository; else the directory is walked.
        every: When it is walked: also what ignore files name.
    """
    found: Iterable[SourceFile]
    if known is None:
        found = _walk(directory, "", Ignored(directory, () if every else (ignore.GIT, ignore.OWN)))
    else:
        found = _look_up(directory, known)
    return sorted(found, key=lambda file: file.path)


def every_path(directory: Path) -> tuple[str, ...]:
    """Return the paths of all files and links below a directory, sorted: of one that holds nothing but a project."""
    found = []
    for folder, folders, files in os.walk(directory):
        links = [name for name in folders if Path(folder, name).is_symlink()]
        found += [Path(folder, name).relative_to(directory).as_posix() for name in (*files, *links)]
    return tuple(sorted(path for path in found if path != MANIFEST))


def _walk(directory: Path, below: str, ignored: Ignored) -> Iterator[SourceFile]:
    """Yield the files below a folder, without following links, without what is ignored and what is skipped."""
    try:
        with os.scandir(directory / below) as scan:
            entries = list(scan)
    except PermissionError as error:
        raise ProjectError(f"{error.filename} cannot be read: every file of a project is recorded") from None
    if below and any(entry.name == "pyvenv.cfg" for entry in entries):
        return
    for entry in entries:
        if entry.name in _SKIPPED or entry.name.endswith(".pyc"):
            continue
        path = f"{below}{entry.name}"
        if entry.is_dir(follow_symlinks=False):
            if not ignored.holds(path + "/"):
                yield from _walk(directory, path + "/", ignored)
        elif ignored.holds(path):
            continue
        elif (file := _describe(path, entry.stat(follow_symlinks=False), entry.path)) is not None:
            yield file


def _look_up(directory: Path, known: Iterable[str]) -> Iterator[SourceFile]:
    """Yield the files that Git names; one that it names as a folder is a repository of its own, and walked."""
    environments: dict[str, bool] = {"": False}
    ignored = Ignored(directory, (ignore.OWN,))
    for path in known:
        if _inside_skipped(path, directory, environments) or ignored.holds(path):
            continue
        try:
            status = (directory / path).lstat()
        except (FileNotFoundError, NotADirectoryError):
            continue  # deleted since it was committed
        if stat.S_ISDIR(status.st_mode):
            yield from _walk(directory, path.rstrip("/") + "/", Ignored(directory, (ignore.GIT, ignore.OWN)))
        elif (file := _describe(path, status, directory / path)) is not None:
            yield file


def _inside_skipped(path: str, directory: Path, environments: dict[str, bool]) -> bool:
    """Do as `is_skipped`, asking about each folder once."""
    folder = path.rstrip("/").rpartition("/")[0]
    if not _SKIPPED.isdisjoint(path.split("/")) or path.endswith(".pyc"):
        return True
    if folder not in environments:
        environments[folder] = is_skipped(folder + "/", directory)
    return environments[folder]


def _describe(path: str, status: os.stat_result, place: str | Path) -> SourceFile | None:
    """Return the record of a file; ``None`` for sockets, pipes and devices."""
    if stat.S_ISLNK(status.st_mode):
        target = os.readlink(place)  # noqa: PTH115 - a Path would tidy the text up
        return SourceFile(path=path, size=len(os.fsencode(target)), link=target)
    if not stat.S_ISREG(status.st_mode):
        return None
    return SourceFile(path=path, size=status.st_size, executable=bool(status.st_mode & stat.S_IXUSR))


def digest(directory: Path, files: Sequence[SourceFile]) -> str:
    """Return the SHA-256 over the paths, kinds and contents of files, in hexadecimal.

    It is the digest of a list, sorted by path, of lines of kind (``f``, ``x`` for executable, ``l`` for a link), the
    content's digest and the path, ended by a zero byte. A link's content is its text.

    Args:
        directory: The project's directory.
        files: Its files, as `list_files` returns them.

    Raises:
        ProjectError: A file cannot be read.
    """

    def content(file: SourceFile) -> str:
        return _content_digest(directory, file)

    if sum(file.size for file in files) < _MANY_BYTES:
        contents = [content(file) for file in files]
    else:
        with ThreadPoolExecutor(thread_name_prefix="code-digest") as pool:
            contents = list(pool.map(content, files))
    return _whole_digest(zip(files, contents, strict=True))


def _whole_digest(files: Iterable[tuple[SourceFile, str]]) -> str:
    """Return the digest over files, each with the digest of its content."""
    whole = hashlib.sha256(_DIGEST_FORMAT)
    for path, kind, part in sorted((os.fsencode(file.path), _kind(file), part) for file, part in files):
        whole.update(f"{kind} {part} ".encode() + path + b"\0")
    return whole.hexdigest()


def _kind(file: SourceFile) -> str:
    return "l" if file.link is not None else "x" if file.executable else "f"


def _content_digest(directory: Path, file: SourceFile) -> str:
    if file.link is not None:
        return hashlib.sha256(os.fsencode(file.link)).hexdigest()
    try:
        with (directory / file.path).open("rb") as opened:
            return hashlib.file_digest(opened, "sha256").hexdigest()
    except OSError as error:
        raise ProjectError(
            f"{directory / file.path} cannot be read ({error.strerror}): every file is recorded"
        ) from None


def pack(directory: Path, files: Sequence[SourceFile], target: Path, *, limit: int | None = None) -> SnapshotSummary:
    """Write the files of a project into a zip archive that depends on nothing but the files.

    Large files, files that may hold secrets, and links that lead out of the project are left out; a manifest inside
    the archive names them. Small files go in before large ones, so that the code is there when data fills the rest.

    Args:
        directory: The project's directory.
        files: Its files.
        target: The archive to write; it becomes visible whole or not at all.
        limit: Bytes of all files together, and of one; default: 50 MB in all, 10 MB for one.

    Raises:
        ProjectError: A file cannot be read.
    """
    kept, left_out = _choose(directory, files, limit or LARGEST_SNAPSHOT, limit or LARGEST_FILE)
    target.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}-")
    unfinished = Path(name)
    parts: list[tuple[SourceFile, str]] = []
    try:
        with (
            os.fdopen(handle, "wb") as stream,
            zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED, compresslevel=6) as archive,
        ):
            for file in kept:
                content = _read(directory, file)
                parts.append((file, hashlib.sha256(content).hexdigest()))
                archive.writestr(_member(file), content)
            manifest = {"format": 1, "left_out": [asdict(item) for item in left_out]}
            entry = _member(SourceFile(path=MANIFEST, size=0))
            archive.writestr(entry, json.dumps(manifest, indent=1, sort_keys=True) + "\n")
        unfinished.replace(target)
    finally:
        unfinished.unlink(missing_ok=True)
    return SnapshotSummary(
        path=target,
        digest=_whole_digest(parts),
        files=len(kept),
        size=sum(file.size for file in kept),
        left_out=tuple(left_out),
    )


def _choose(
    directory: Path, files: Sequence[SourceFile], most: int, largest: int
) -> tuple[list[SourceFile], list[LeftOut]]:
    """Return the files to pack, sorted by path, and those to leave out."""
    kept: list[SourceFile] = []
    left_out: list[LeftOut] = []
    total = 0
    for file in sorted(files, key=lambda file: (file.size, file.path)):
        reason = _reason_against(directory, file, largest)
        if reason is None and total + file.size > most:
            reason = f"all files together are larger than {most // 1_000_000} MB"
        if reason is None:
            total += file.size
            kept.append(file)
        else:
            left_out.append(LeftOut(path=file.path, size=file.size, reason=reason))
    return sorted(kept, key=lambda file: file.path), sorted(left_out, key=lambda item: item.path)


def _reason_against(directory: Path, file: SourceFile, largest: int) -> str | None:
    """Return why a file must not be packed; ``None`` where it may."""
    name = file.path.rpartition("/")[2]
    if any(fnmatch(name, pattern) for pattern in _SECRET):
        return "may hold secrets"
    if file.path == MANIFEST:
        return "has the name of the manifest"
    if not _is_utf8(file.path):
        return "its name is not UTF-8"
    if file.size > largest:
        return f"larger than {largest // 1_000_000} MB"
    if file.link is not None:
        end = Path(os.path.normpath(directory / Path(file.path).parent / file.link))
        if Path(file.link).is_absolute() or not end.is_relative_to(directory):
            return f"a link that leads out of the project: {file.link}"
    return None


def _is_utf8(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _member(file: SourceFile) -> zipfile.ZipInfo:
    """Return an archive entry that says nothing of when and where it was made."""
    entry = zipfile.ZipInfo(file.path, _ZIP_EPOCH)
    entry.create_system = 3  # Unix: the upper half of external_attr is a file mode
    entry.compress_type = zipfile.ZIP_DEFLATED
    mode = stat.S_IFLNK | 0o777 if file.link is not None else stat.S_IFREG | (0o755 if file.executable else 0o644)
    entry.external_attr = mode << 16
    return entry


def _read(directory: Path, file: SourceFile) -> bytes:
    if file.link is not None:
        return os.fsencode(file.link)
    try:
        return (directory / file.path).read_bytes()
    except OSError as error:
        raise ProjectError(f"{directory / file.path} cannot be read ({error.strerror})") from None
