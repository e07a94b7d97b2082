"""What Git knows about a project's directory.

Asked of the ``git`` command, hardened so that looking at a repository runs none of its hooks or monitors, asks no
question and takes no lock. Credentials never leave this module.
"""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from toolkit import settings
from toolkit.flows.git import HARDENED, NOT_HERE

_HARDENED = ("git", *(part for key, value in HARDENED.items() for part in ("-c", f"{key}={value}")))
_ASKING: dict[str, str | None] = {
    **NOT_HERE,
    "GIT_TERMINAL_PROMPT": "0",
    "GIT_OPTIONAL_LOCKS": "0",
    "GIT_LITERAL_PATHSPECS": "1",
    "LC_ALL": "C",
}
_TIMEOUT = 30.0
"""Seconds after which a repository counts as one that cannot be read."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Repository:
    """The state of the working tree that a directory is in.

    Attributes:
        top: The working tree's top directory.
        prefix: The directory asked about, relative to ``top``, with ``/``; empty for ``top`` itself.
        commit: The checked-out commit; ``None`` where there is none yet.
        branch: The checked-out branch; ``None`` where the head is detached.
        url: The remote's address without credentials: the branch's own, else ``origin``'s, else the only one's.
        changed: Paths below the directory, relative to it, that are not as committed; those that Git does not track
            and does not ignore are among them, an untracked folder as one path that ends in ``/``.
        files: Paths below the directory, relative to it, that Git tracks or does not ignore.
    """

    top: Path
    prefix: str
    commit: str | None
    branch: str | None
    url: str | None
    changed: tuple[str, ...]
    files: tuple[str, ...]


class Unreadable(Exception):
    """Git refuses this repository; the message is Git's own reason. Raised and caught in this package only."""


def find(directory: Path) -> Repository | None:
    """Return the state of the repository that a directory is in.

    Four processes side by side: one after the other they would cost four times as much.

    Args:
        directory: The directory to ask about.

    Returns:
        The repository; ``None`` outside of one, and where Git is not installed.

    Raises:
        Unreadable: There is a repository, but Git refuses to read it (another owner's) or does not come to an end.
    """
    if not any((folder / ".git").exists() for folder in (directory, *directory.parents)):
        return None  # spares the processes; a bare repository or a GIT_DIR is nobody's project
    questions = (
        ("rev-parse", "--show-toplevel", "--show-prefix"),
        ("status", "--porcelain=v2", "--branch", "-z", "--no-renames", "--", "."),
        ("config", "-z", "--get-regexp", r"^(remote\..*\.url|branch\..*\.remote)$"),
        ("ls-files", "-z", "--cached", "--others", "--exclude-standard"),
    )
    try:
        place, status, config, files = _ask(directory, questions)
    except FileNotFoundError:
        return None
    top, prefix = [*place.splitlines(), "", ""][:2]
    if not top:
        return None  # inside of .git itself
    commit, branch, changed = _read_status(status, prefix)
    return Repository(
        top=Path(top),
        prefix=prefix.rstrip("/"),
        commit=commit,
        branch=branch,
        url=_remote(config, branch),
        changed=changed,
        files=tuple(sorted({name for name in files.split("\0") if name})),
    )


def is_published(directory: Path) -> bool:
    """Tell whether the checked-out commit was on the remote when Git last spoke to it: whether others can fetch it.

    Args:
        directory: A directory in the repository.

    Raises:
        Unreadable: Git cannot say.
    """
    (answer,) = _ask(directory, [("for-each-ref", "--count=1", "--contains=HEAD", "refs/remotes/")])
    return bool(answer.strip())


def diff(directory: Path, target: Path, *, limit: int) -> int:
    """Write what is not as committed below a directory, of the files that Git tracks, as a patch.

    Args:
        directory: The directory.
        target: The file to write.
        limit: Most bytes to write; a patch that is longer ends in a line that says so.

    Returns:
        How many bytes the whole patch has, as far as it was read; 0 where there is no difference.

    Raises:
        Unreadable: Git cannot say.
    """
    command = (
        "diff",
        "--no-color",
        "--no-ext-diff",
        "--no-textconv",
        "--relative",
        "--submodule=short",
        "HEAD",
        "--",
        ".",
    )
    with subprocess.Popen(
        [*_HARDENED, "-C", str(directory), *command],
        env=settings.environment(**_ASKING),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    ) as process:
        assert process.stdout is not None
        text = process.stdout.read(limit + 1)
        if len(text) > limit:
            process.kill()
            whole = text[: text.rfind(b"\n", 0, limit) + 1] + f"# toolkit: cut at {limit} bytes\n".encode()
        else:
            whole = text
    if process.returncode and len(text) <= limit:
        raise Unreadable(f"git diff ended with {process.returncode}")
    target.write_bytes(whole)
    return len(text)


def _ask(directory: Path, questions: Sequence[Sequence[str]]) -> list[str]:
    """Run git commands side by side and return what they print."""
    environment = settings.environment(**_ASKING)
    running: list[subprocess.Popen[bytes]] = []
    try:
        for question in questions:
            running.append(  # noqa: PERF401 - what was started before a failure must be ended
                subprocess.Popen(
                    [*_HARDENED, "-C", str(directory), *question],
                    env=environment,
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.PIPE,
                )
            )
        return [_answer(process) for process in running]
    finally:
        for process in running:
            with process:  # waits, and closes its pipes
                process.kill()


def _answer(process: subprocess.Popen[bytes]) -> str:
    try:
        output, complaint = process.communicate(timeout=_TIMEOUT)
    except subprocess.TimeoutExpired:
        raise Unreadable(f"git did not answer in {_TIMEOUT:.0f} s") from None
    if process.returncode not in (0, 1):  # 1: nothing found, of git config
        lines = complaint.decode(errors="replace").strip().splitlines() or [f"git ended with {process.returncode}"]
        raise Unreadable(lines[0].removeprefix("fatal: "))
    return output.decode("utf-8", "surrogateescape")


def _read_status(status: str, prefix: str) -> tuple[str | None, str | None, tuple[str, ...]]:
    """Return commit, branch and changed paths from ``git status --porcelain=v2 --branch -z``."""
    commit = branch = None
    changed = []
    for record in status.split("\0"):
        if record.startswith("# branch.oid "):
            commit = record.removeprefix("# branch.oid ")
        elif record.startswith("# branch.head "):
            branch = record.removeprefix("# branch.head ")
        elif record and not record.startswith("#"):
            fields = {"1": 8, "u": 10, "?": 1}.get(record[0], 1)
            changed.append(record.split(" ", fields)[-1].removeprefix(prefix))
    return (
        None if commit == "(initial)" else commit,
        None if branch == "(detached)" else branch,
        tuple(sorted(changed)),
    )


def _remote(config: str, branch: str | None) -> str | None:
    """Return the address of the branch's remote, else of ``origin``, else of the only one."""
    values = dict(entry.split("\n", 1) for entry in config.split("\0") if "\n" in entry)
    urls = {key.removeprefix("remote.").removesuffix(".url"): url for key, url in values.items() if key[:6] == "remote"}
    for name in (values.get(f"branch.{branch}.remote"), "origin", *(urls if len(urls) == 1 else ())):
        if name in urls:
            return without_credentials(urls[name])
    return None


def without_credentials(url: str) -> str:
    """Return an address without user names, passwords and tokens; the user of an ``ssh`` address stays.

    Args:
        url: An address, also one such as ``git@host:path``.
    """
    try:
        parts = urlsplit(url)
    except ValueError:
        return url.rpartition("@")[2]
    user, _, host = parts.netloc.rpartition("@")
    if not parts.scheme or not user:
        return url
    keep = user.partition(":")[0] + "@" if "ssh" in parts.scheme else ""
    return parts._replace(netloc=keep + host).geturl()
