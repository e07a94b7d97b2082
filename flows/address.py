"""What a user may type for a project: a directory, a repository, an archive. From text to a value; nothing is fetched.

Everything that could be taken for an option, for another transport or for a way out of the project is refused here, so
that no later step has to think of it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import SplitResult, unquote, urlsplit

from toolkit.errors import InvalidValue, ProjectNotFound

_SCHEME = re.compile(r"(?i)([a-z][a-z0-9+.-]*)://")
_SCP_FORM = re.compile(r"[A-Za-z0-9_][\w.+-]*@([A-Za-z0-9_][\w.-]*|\[[0-9A-Fa-f:.]+\]):(?!-)(?!//)(?=.)")
_HOST = re.compile(r"(?:[A-Za-z0-9_][\w.-]*|\[[0-9A-Fa-f:.%]+\])(?::[0-9]{1,5})?")
_HOST_AND_PATH = re.compile(r"[a-z0-9][a-z0-9-]*(?:\.[a-z0-9-]+)*\.[a-z]{2,}/[\w.-]+/[\w./#-]+$")
_TRANSPORT = re.compile(r"[A-Za-z0-9+.-]+::")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_GIT_SCHEMES = ("https", "http", "ssh", "git")
_VERSION = re.compile(r"[^\x00-\x20\x7f~^:?*\[\\]{1,250}")
_ARCHIVE_VERSION = re.compile(r"sha256:[0-9a-f]{64}")


@dataclass(frozen=True, kw_only=True, slots=True)
class LocalAddress:
    """A directory on this machine.

    Attributes:
        directory: It, absolute, without links.
        subdir: What stood after ``#``.
    """

    directory: Path
    subdir: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class GitAddress:
    """A Git repository.

    Attributes:
        url: Its address, without name and password but for the user of ``ssh``.
        subdir: What stood after ``#``.
        login: ``name:password`` as it stood in the address.
        local: Whether it is on this machine's disk.
    """

    url: str
    subdir: str | None = None
    login: str | None = field(default=None, repr=False)
    local: bool = False

    @property
    def name(self) -> str:
        """Name of the repository: the last part of its path, without ``.git``."""
        return _name(re.split(r"[/:]", unquote(self.url).rstrip("/"))[-1].removesuffix(".git"), "repository")


@dataclass(frozen=True, kw_only=True, slots=True)
class ArchiveAddress:
    """A zip file.

    Attributes:
        url: Its address without what may be secret: login and query; of a local one a ``file`` URI.
        subdir: What stood after ``#``.
        request: What to ask for, with its query.
        login: ``name:password`` as it stood in the address.
        file: Where it is, if it is on this machine.
    """

    url: str
    subdir: str | None = None
    request: str = field(default="", repr=False)
    login: str | None = field(default=None, repr=False)
    file: Path | None = None

    @property
    def place(self) -> str:
        """Where it is, as people read it."""
        return str(self.file or self.url)

    @property
    def name(self) -> str:
        """Name of the archive, without ``.zip``."""
        return _name(unquote(self.url).rpartition("/")[2][: -len(".zip")], "archive")


Address = LocalAddress | GitAddress | ArchiveAddress


def read_address(uri: str, caller: Path) -> Address:
    """Return what a text names.

    Args:
        uri: What the user gave.
        caller: The directory that relative paths are relative to.

    Raises:
        ProjectNotFound: It names nothing that there is, or nothing that a project can be fetched from.
    """
    given = unquoted(uri)
    if not given:
        raise ProjectNotFound("the project's URI is empty: give a directory, such as '.', or the URL of a repository")
    if "\0" in given:
        raise ProjectNotFound(f"{given!r} is not a path: it holds a zero byte")
    for path, subdir in _readings(given, caller):
        if _exists(path):
            return _local(path, subdir, given)
    if given.lower().startswith("file:"):
        host = urlsplit(given).netloc
        if host not in ("", "localhost"):
            raise ProjectNotFound(f"{given} is on another machine ({host}): give a directory of this one")
    elif (remote := _remote(given)) is not None:
        return remote
    *_, (shortest, _) = _readings(given, caller)
    meant = f"did you mean https://{given}?" if _HOST_AND_PATH.match(given) else ""
    raise ProjectNotFound(
        f"there is no directory {shortest}: "
        + (meant or "give the directory of a project, such as '.', or the URL of a repository")
    )


def check_version(version: str) -> str:
    """Return a branch, tag or commit as the user gave it, if it can be the name of one.

    Raises:
        InvalidValue: It can be none, or would be an option of git.
    """
    text = version.strip()
    bad = text.startswith(("-", "/")) or text.endswith(("/", ".lock", ".")) or ".." in text or "@{" in text
    if bad or text in ("", "@") or not (_VERSION.fullmatch(text) or _ARCHIVE_VERSION.fullmatch(text)):
        raise InvalidValue(
            f"the version {_plain(version)!r} is no name of a branch, tag or commit: such as main, v1.2, 3f2a91c"
        )
    return text


def is_archive_version(version: str) -> bool:
    """Tell whether a version is the digest of an archive: ``sha256:`` and 64 hexadecimal digits."""
    return _ARCHIVE_VERSION.fullmatch(version) is not None


def enter(root: Path, subdir: str | None, *, own: bool, shown: str | None = None) -> Path:
    """Return the sub-directory of a project's root.

    Args:
        root: The directory.
        subdir: What stood after ``#``.
        own: Whether the directory is the user's own: then a link in it may lead elsewhere.
        shown: What messages call the root.

    Raises:
        ProjectNotFound: There is none, or it is not below the root.
    """
    if subdir is None:
        return root
    parts = subdir.strip("/").split("/")
    if any(part in ("", ".", "..") or part.lower() == ".git" for part in parts) or "\\" in subdir or "\0" in subdir:
        raise ProjectNotFound(f"'#{_plain(subdir)}' must name a directory below the project: no '.' and '..' in it")
    directory = root.joinpath(*parts)
    if not _exists(directory):
        raise ProjectNotFound(f"there is no directory {'/'.join(parts)} in {shown or root}")
    if not own and not directory.resolve().is_relative_to(root.resolve()):
        raise ProjectNotFound(f"'#{_plain(subdir)}' is a link that leads out of the project: name a directory in it")
    if not directory.is_dir():
        raise ProjectNotFound(f"{directory} is a file: give the directory of a project")
    return directory.resolve()


def unquoted(uri: str) -> str:
    """Return a URI without the quotes around it that MLflow takes off, too."""
    text = uri.strip()
    while len(text) > 1 and text[0] == text[-1] and text[0] in "'\"":
        text = text[1:-1].strip()
    return text


# -- on this machine ---------------------------------------------------------------------------------


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


def _local(path: Path, subdir: str | None, given: str) -> Address:
    """Return the address of a path that exists."""
    if path.is_dir():
        directory = path.resolve()
        if _is_bare(directory):
            return GitAddress(url=directory.as_uri(), subdir=subdir, local=True)
        return LocalAddress(directory=directory, subdir=subdir)
    if path.name.lower() == "mlproject":
        raise ProjectNotFound(f"{given} is a file: give the directory that it is in, {path.parent}")
    if path.suffix.lower() == ".zip" and path.is_file():
        file = path.resolve()
        return ArchiveAddress(url=file.as_uri(), subdir=subdir, file=file)
    raise ProjectNotFound(f"{given} is a file: give the directory of a project, or a zip file of one")


def _is_bare(directory: Path) -> bool:
    """Tell whether a directory is a Git repository without files of its own."""
    return (
        (directory / "HEAD").is_file()
        and (directory / "objects").is_dir()
        and (directory / "refs").is_dir()
        and not any((directory / name).exists() for name in ("MLproject", ".git"))
    )


# -- elsewhere ---------------------------------------------------------------------------------------


def _remote(given: str) -> GitAddress | ArchiveAddress | None:
    """Return the address of what is on another machine; ``None`` where a text does not look like one."""
    if _TRANSPORT.match(given):
        raise ProjectNotFound(
            f"{_plain(given)!r} names a helper program of git: wanted https://, ssh://, git@host:path, or file://"
        )
    text, _, subdir = given.partition("#")
    if _SCHEME.match(text) is None:
        if _SCP_FORM.match(text) and not _CONTROL.search(text):
            return GitAddress(url=text, subdir=subdir or None)
        return None
    scheme, parts, login = _split(text)
    if scheme not in _GIT_SCHEMES:
        raise ProjectNotFound(
            f"{shown(given)} begins with {scheme}://: wanted https://, ssh://, git@host:path, file://, or a directory"
        )
    clean = parts._replace(scheme=scheme)
    if scheme in ("http", "https") and clean.path.lower().endswith(".zip"):
        plain = clean._replace(query="").geturl()
        return ArchiveAddress(url=plain, subdir=subdir or None, request=clean.geturl(), login=login)
    return GitAddress(url=clean.geturl(), subdir=subdir or None, login=login)


def _split(text: str) -> tuple[str, SplitResult, str | None]:
    """Return the scheme, the address without login, and the login."""
    try:
        parts = urlsplit(text)
        _ = parts.port  # raises where it is no number
    except ValueError:
        parts = None
    scheme = "" if parts is None else parts.scheme.lower()
    user, _, host = ("", "", "") if parts is None else parts.netloc.rpartition("@")
    if parts is None or _CONTROL.search(text) or " " in text or (scheme in _GIT_SCHEMES and not _HOST.fullmatch(host)):
        raise ProjectNotFound(
            f"{shown(text)} is no address: wanted https://host/path, ssh://host/path or git@host:path"
        )
    if "ssh" in scheme:
        name = user.partition(":")[0]
        if name.startswith("-") or name.lower().startswith("%2d"):
            raise ProjectNotFound(f"{shown(text)} has a user name that begins with a dash")
        return scheme, parts._replace(netloc=f"{name}@{host}" if name else host), None
    return scheme, parts._replace(netloc=host), user or None


def shown(uri: str) -> str:
    """Return an address as it may be shown: without login and query, without control characters, not too long."""
    text = re.sub(r"(?i)^([a-z][a-z0-9+.-]*://)[^/#?]*@", r"\1", uri)
    if _SCHEME.match(text):
        text = re.sub(r"\?[^#]*", "", text)
    return _plain(text)


def _plain(text: str) -> str:
    text = _CONTROL.sub("?", text)
    return text if len(text) <= 300 else text[:300] + "…"


def _name(text: str, default: str) -> str:
    """Return a text as the name of a folder."""
    return re.sub(r"[^\w.+-]", "-", text).strip(".-")[:100] or default
