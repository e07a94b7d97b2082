"""Fetching a version of a Git repository: as little of it as the server gives.

First the server is asked what the version means, in one small request; a commit that is here already costs no more. A
commit is fetched without its history; from a server that gives commits only with what leads to them, all is fetched.
"""

from __future__ import annotations

import difflib
import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote, urlsplit

from toolkit.errors import ProjectError, ProjectNotFound, SourceUnavailable
from toolkit.flows.address import GitAddress
from toolkit.flows.git import REMOTE, Git, GitFailed, GitMissing
from toolkit.flows.source_cache import Noted, Slot, when
from toolkit.spec.suggestion import hint

_FULL = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")
_SHORT = re.compile(r"[0-9a-f]{4,63}")
_ASKING = 60.0
"""Seconds after which a server that does not say what it has counts as away."""

_MOST_NAMES = 20
"""How many branches and tags a message lists."""

_AWAY = (
    "could not resolve host",
    "couldn't resolve host",
    "temporary failure in name resolution",
    "name or service not known",
    "connection refused",
    "connection timed out",
    "connection reset",
    "operation timed out",
    "timed out",
    "failed to connect",
    "couldn't connect",
    "unable to connect",
    "network is unreachable",
    "no route to host",
    "empty reply from server",
    "returned error: 5",
    "recv failure",
    "the remote end hung up",
    "could not read from remote repository",
)
_LOGIN = (
    "could not read username",
    "could not read password",
    "authentication failed",
    "terminal prompts disabled",
    "returned error: 401",
    "returned error: 403",
    "permission denied",
    "access denied",
)
_NONE = (
    "returned error: 404",
    "repository not found",
    "not found",
    "does not appear to be a git repository",
    "not a git repository",
    "repository not exported",
    "not valid: is this a git repository",
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Checkout:
    """A version of a repository on this machine's disk.

    Attributes:
        directory: Its files; nobody changes them.
        commit: The commit.
        branch: The branch whose newest commit it was, if the version named a branch or nothing.
    """

    directory: Path
    commit: str
    branch: str | None


@dataclass(frozen=True, kw_only=True, slots=True)
class _Meaning:
    """What a version means: a commit, or (without) something that only the whole history can tell."""

    commit: str | None
    ref: str | None = None
    branch: str | None = None
    fixed: bool = False


def check_out(address: GitAddress, version: str | None, root: Path, report: Callable[[str], None]) -> Checkout:
    """Return a version of a repository, fetching it where it is not here.

    Args:
        address: The repository.
        version: A branch, a tag or a commit, checked by `check_version`; ``None``: what the repository shows first.
        root: The folder of all fetched code.
        report: Told when something is fetched.

    Raises:
        ProjectError: There is no ``git``, or the repository cannot be fetched.
        ProjectNotFound: There is no such repository or version, or it is not given out without a login.
        SourceUnavailable: The server does not answer; the message offers what is here.
    """
    slot = Slot(root, "git", address.url, address.name)
    found = _at_hand(slot, version)
    if found is not None:
        return found
    git = _git(address)
    try:
        meaning = _ask(git, address, version)
        with slot.claim(report):
            return _fetched(git, address, version, meaning, slot, report)
    except GitFailed as error:
        raise _explained(error, address, version, slot) from None
    except GitMissing:
        raise ProjectError(
            f"{address.url} is a Git repository, and there is no git program here: install git, or give a directory"
        ) from None


def _git(address: GitAddress) -> Git:
    if address.local:  # the user's own: its submodules may be on the disk, too
        return Git(protocols=(*REMOTE, "file"))
    if address.login is None:
        return Git(protocols=REMOTE)
    parts = urlsplit(address.url)
    plain, meant = (parts._replace(path="/", query="", netloc=host).geturl() for host in _hosts(address, parts.netloc))
    password = address.login.partition(":")[2]
    return Git(
        protocols=REMOTE,
        rewrites={plain: meant},
        secrets=[text for text in (address.login, password, unquote(password)) if text],
    )


def _hosts(address: GitAddress, host: str) -> tuple[str, str]:
    return host, f"{address.login}@{host}"


def _at_hand(slot: Slot, version: str | None) -> Checkout | None:
    """Return a version that can never mean anything else than what is here."""
    if version is None:
        return None
    tree = version.lower() if _FULL.fullmatch(version.lower()) else None
    note = slot.notes().get(version)
    if tree is None and note is not None and note.fixed:
        tree = note.tree
    directory = None if tree is None else slot.find(tree)
    return None if tree is None or directory is None else Checkout(directory=directory, commit=tree, branch=None)


# -- what a version means ----------------------------------------------------------------------------


def _ask(git: Git, address: GitAddress, version: str | None) -> _Meaning:
    """Ask the server what a version means."""
    if version is None:
        lines = git.run("ls-remote", "--symref", "--", address.url, "HEAD", timeout=_ASKING).splitlines()
        pointed = [line[5:].partition("\t")[0] for line in lines if line.startswith("ref: ")]
        commits = [line.partition("\t")[0] for line in lines if not line.startswith("ref: ")]
        if not commits:
            raise ProjectNotFound(
                f"{address.url} has no commit on its default branch: name a branch, tag or commit with -v"
            )
        branch = pointed[0].removeprefix("refs/heads/") if pointed else None
        return _Meaning(commit=commits[0], ref="HEAD", branch=branch)
    if _FULL.fullmatch(version.lower()):
        return _Meaning(commit=version.lower(), fixed=True)
    names = [version] if version.startswith("refs/") else [f"refs/heads/{version}", f"refs/tags/{version}"]
    refs = _refs(git, address, *(each for name in names for each in (name, f"{name}^{{}}")))
    for name in names:
        if name in refs:
            branch = name.removeprefix("refs/heads/") if name.startswith("refs/heads/") else None
            return _Meaning(commit=refs.get(f"{name}^{{}}", refs[name]), ref=name, branch=branch)
    if _SHORT.fullmatch(version.lower()):
        return _Meaning(commit=None, fixed=True)
    raise _no_version(git, address, version)


def _refs(git: Git, address: GitAddress, *patterns: str) -> Mapping[str, str]:
    """Return what the server lists: commits (or tags) by the full name."""
    lines = git.run("ls-remote", "--", address.url, *patterns, timeout=_ASKING).splitlines()
    return {name: commit for commit, _, name in (line.partition("\t") for line in lines)}


def _no_version(git: Git, address: GitAddress, version: str) -> ProjectNotFound:
    refs = _refs(git, address, "refs/heads/*", "refs/tags/*")
    names = {re.sub(r"^refs/(heads|tags)/", "", name) for name in refs if not name.endswith("^{}")}
    close = difflib.get_close_matches(version, names, n=1, cutoff=0.6) if len(names) > _MOST_NAMES else names
    say = hint(version, sorted(close), nothing=f"it has {len(names)} others" if names else "there are none")
    return ProjectNotFound(f"there is no branch, tag or commit {version!r} in {address.url}: {say}")


# -- fetching ----------------------------------------------------------------------------------------


def _fetched(
    git: Git,
    address: GitAddress,
    version: str | None,
    meaning: _Meaning,
    slot: Slot,
    report: Callable[[str], None],
) -> Checkout:
    commit = meaning.commit
    directory = None if commit is None else slot.find(commit)
    if commit is None or directory is None:
        report(f"fetching {address.url}{f' {version}' if version else ''}")
        with slot.building() as target:
            commit = _fetch(git, address, version, meaning, target)
            directory = slot.find(commit) or slot.keep(target, commit)
        if _lacks_large_files(git, directory):
            report(
                f"{address.url} has files in Git LFS, which is not set up here: they are pointers (see git lfs install)"
            )
    slot.note(Noted(version=version or "", tree=commit, branch=meaning.branch, time=time.time(), fixed=meaning.fixed))
    return Checkout(directory=directory, commit=commit, branch=meaning.branch)


def _fetch(git: Git, address: GitAddress, version: str | None, meaning: _Meaning, target: Path) -> str:
    """Fetch a version into a new working tree; return its commit."""
    form = ("--object-format=sha256",) if meaning.commit and len(meaning.commit) == 64 else ()
    git.run("init", "--quiet", "--template=", *form, "--", str(target))
    git.run("config", "remote.origin.url", address.url, directory=target)
    commit = meaning.commit
    if commit is None or not any(_fetch_shallowly(git, what, commit, target) for what in (commit, meaning.ref) if what):
        heads, tags = "+refs/heads/*:refs/remotes/origin/*", "+refs/tags/*:refs/tags/*"
        other = [meaning.ref] if meaning.ref else []
        git.run("fetch", "--quiet", "--no-recurse-submodules", "--", "origin", heads, tags, *other, directory=target)
        commit = _known(git, commit or str(version), target)
        if commit is None:
            raise _no_version(git, address, str(version))
    git.run("checkout", "--quiet", "--detach", commit, directory=target)
    if (target / ".gitmodules").is_file():
        _fetch_submodules(git, target)
    return commit


def _fetch_shallowly(git: Git, what: str, commit: str, target: Path) -> bool:
    """Fetch a commit without its history, by its own name or a ref's; tell whether the server gives it so.

    One that speaks the protocol's first version gives only what it lists: a tag, but not the commit that the tag names.
    """
    options = ("fetch", "--quiet", "--depth=1", "--no-tags", "--no-recurse-submodules")
    try:
        git.run(*options, "--", "origin", what, directory=target)
    except GitFailed as error:
        if _is(error, _LOGIN):
            raise
        return False  # "unadvertised object", "dumb http": the whole is asked for, and if that fails, it says why
    return _known(git, commit, target) == commit


def _known(git: Git, text: str, target: Path) -> str | None:
    """Return the commit that hexadecimal digits are the beginning of."""
    try:
        return git.run(
            "rev-parse", "--verify", "--quiet", "--end-of-options", f"{text}^{{commit}}", directory=target
        ).strip()
    except GitFailed as error:
        if "ambiguous" in str(error):
            raise ProjectNotFound(
                f"there are several commits that begin with {text}: give more of its digits"
            ) from None
        return None


def _fetch_submodules(git: Git, target: Path) -> None:
    options = ("submodule", "--quiet", "update", "--init", "--recursive")
    try:
        try:
            git.run(*options, "--depth=1", directory=target)
        except GitFailed:  # the server does not give the commit without its history
            git.run(*options, directory=target)
    except GitFailed as error:
        raise ProjectError(
            f"a submodule cannot be fetched: {_line(error)}; see its URL in .gitmodules, and whether you may read it"
        ) from None


def _lacks_large_files(git: Git, tree: Path) -> bool:
    """Tell whether files of a tree were left as pointers to where they are."""
    try:
        attributes = (tree / ".gitattributes").read_bytes()
    except OSError:
        return False
    if b"filter=lfs" not in attributes:
        return False
    try:
        return not git.run("config", "--get", "filter.lfs.smudge", directory=tree).strip()
    except GitFailed:  # no such key
        return True


# -- what went wrong ---------------------------------------------------------------------------------


def _explained(error: GitFailed, address: GitAddress, version: str | None, slot: Slot) -> Exception:
    """Return the error that says in one line what a user can do."""
    if "host key verification failed" in str(error).lower():
        return ProjectNotFound(
            f"{address.url} cannot be fetched, because the host's key is not known here: connect to it once with ssh"
        )
    if _is(error, _NONE):
        more = "" if address.local else "; if it is private, log in to git first, or use ssh"
        return ProjectNotFound(f"there is no Git repository at {address.url} ({_line(error)}){more}")
    if _is(error, _LOGIN) and not address.local:
        how = (
            "load your key (ssh-add)"
            if "@" in address.url or address.url.startswith("ssh:")
            else "log in with a credential helper of git, or use ssh"
        )
        wrong = "the login in the URL is not taken" if address.login else "it wants a login, and none is stored"
        return ProjectNotFound(f"{address.url} cannot be fetched: {wrong}, or there is no such repository; {how}")
    if _is(error, _AWAY):
        return SourceUnavailable(f"{address.url} does not answer ({_line(error)}): {_offer(slot, version)}")
    return ProjectError(f"{address.url} cannot be fetched: {_line(error)}")


def _offer(slot: Slot, version: str | None) -> str:
    """Say what is here, and how to run it."""
    kept = slot.kept()
    if not kept:
        return "nothing of it is kept here; try again when it answers"
    asked = slot.notes().get(version or "")
    best = next((note for note in kept if asked and note.tree == asked.tree), kept[0])
    names = [f"{note.version or note.branch or 'HEAD'} of {when(note.time)} is {note.tree[:12]}" for note in kept[:5]]
    return f"kept here: {', '.join(names)}; run it with -v {best.tree}"


def _is(error: GitFailed, patterns: tuple[str, ...]) -> bool:
    text = str(error).lower()
    return any(pattern in text for pattern in patterns)


def _line(error: GitFailed) -> str:
    """Return the line of git's that says the most."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    told = [line for line in lines if line.lower().startswith(("fatal:", "error:", "ssh:", "remote:"))] or lines
    return re.sub(r"(?i)^(?:(?:fatal|error|remote): *)+", "", told[0])[:300].rstrip(".")
