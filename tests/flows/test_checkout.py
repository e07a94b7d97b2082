"""Projects from Git, fetched from real repositories: on this disk, behind git daemon and behind a web server."""

from __future__ import annotations

import contextlib
import getpass
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from repositories import GIT, PROJECT, Repository, Served, commit, git, git_daemon, make_repository, web_server
from s3 import free_port

from toolkit.errors import InvalidValue, ProjectError, ProjectNotFound, SourceUnavailable, ToolkitError
from toolkit.flows.source import Fetching, Source, fetch
from toolkit.flows.working_copy import working_copy


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Repository:
    return make_repository(tmp_path_factory.mktemp("made") / "demo")


@pytest.fixture(scope="module")
def web(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with web_server(tmp_path_factory.mktemp("web")) as served:
        yield served


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with git_daemon(tmp_path_factory.mktemp("daemon")) as served:
        yield served


@pytest.fixture(autouse=True)
def _plain(monkeypatch: pytest.MonkeyPatch, web: Served) -> None:
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", "/dev/null")
    monkeypatch.setenv("GIT_CONFIG_NOSYSTEM", "1")
    for name in ("http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    web.login, web.old = None, False
    web.asked.clear()
    web.authorizations.clear()


class Fetched:
    """What fetches into a folder of its own, and what it said."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.said: list[str] = []

    def __call__(self, uri: str, version: str | None = None, *, caller: Path | None = None) -> Source:
        fetching = Fetching(root=self.root, report=self.said.append)
        return fetch(uri, caller=caller or self.root.parent, version=version, fetching=fetching)

    @property
    def trees(self) -> list[str]:
        return sorted(path.name for path in self.root.glob("*/*") if path.is_dir())


@pytest.fixture
def get(tmp_path: Path) -> Fetched:
    return Fetched(tmp_path / "sources")


def version_of(source: Source) -> str:
    return (source.directory / "version.txt").read_text().strip()


# -- what a version means ----------------------------------------------------------------------------


@pytest.mark.parametrize("place", ["web", "daemon", "file", "folder", "bare"])
def test_every_version_from_every_place(
    place: str, made: Repository, get: Fetched, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    if place in ("web", "daemon"):
        url = request.getfixturevalue(place).publish(made.work, "demo.git")
    elif place == "bare":
        subprocess.run([*GIT, "clone", "-q", "--bare", str(made.work), str(tmp_path / "demo.git")], check=True)
        url = str(tmp_path / "demo.git")
    else:
        url = str(made.work) if place == "folder" else made.work.as_uri()
    expected = {
        "main": ("version 3", made.newest, "main"),
        "feature/side": ("version side", made.side, "feature/side"),
        "refs/heads/main": ("version 3", made.newest, "main"),
        "v1": ("version 2", made.second, None),
        made.second: ("version 2", made.second, None),
        made.first: ("version 1", made.first, None),
        made.first[:7]: ("version 1", made.first, None),
    }
    for version, (text, found, branch) in expected.items():
        source = get(url, version)
        assert (version_of(source), source.commit, source.branch) == (text, found, branch), version
        assert (source.dirty, source.version, source.fetched) == (False, version, True)
        assert git(source.directory, "rev-parse", "HEAD") == found
    if place not in ("file", "folder"):  # those are run where they are
        source = get(url)
        assert (version_of(source), source.branch, source.version) == ("version 3", "main", None)
    assert get.trees == sorted({made.newest, made.side, made.second, made.first})


def test_it_is_shallow_where_that_works_and_whole_where_not(made: Repository, web: Served, get: Fetched) -> None:
    url = web.publish(made.work, "demo.git")
    assert git(get(url, "main").directory, "rev-list", "--count", "HEAD") == "1"
    assert git(get(url, made.first).directory, "rev-list", "--count", "HEAD") == "1"
    web.old = True
    old = web.publish(made.work, "old.git")
    assert git(get(old, "v1").directory, "rev-list", "--count", "HEAD") == "1", "a tag is listed, and so given"
    whole = get(old, made.first)
    assert version_of(whole) == "version 1"
    assert git(whole.directory, "rev-list", "--count", "--all") == "4"


def test_a_branch_goes_before_a_tag_and_both_before_a_commit(get: Fetched, tmp_path: Path) -> None:
    work = make_repository(tmp_path / "demo").work
    old = git(work, "rev-parse", "v1^{commit}")
    git(work, "tag", "same", "v1")
    git(work, "branch", "same", "main")
    git(work, "branch", old[:7], "main")
    assert version_of(get(str(work), "same")) == "version 3"
    assert version_of(get(str(work), "refs/tags/same")) == "version 2"
    assert version_of(get(str(work), old[:7])) == "version 3"


def test_a_moved_branch_is_seen_and_what_was_kept_stays(get: Fetched, web: Served, tmp_path: Path) -> None:
    made = make_repository(tmp_path / "demo")
    url = web.publish(made.work, "moving.git")
    before = get(url, "main")
    commit(made.work, "4")
    web.publish(made.work, "moving.git")
    assert version_of(get(url, "main")) == "version 4"
    assert version_of(before) == "version 3"


def test_no_such_branch_says_what_there_is(made: Repository, web: Served, get: Fetched) -> None:
    url = web.publish(made.work, "demo.git")
    with pytest.raises(ProjectNotFound, match=r"no branch, tag or commit 'mian' in .*demo\.git: did you mean 'main'\?"):
        get(url, "mian")
    with pytest.raises(ProjectNotFound, match=r"'zzzzzz' in .*: there are 'feature/side', 'main', 'v1'"):
        get(url, "zzzzzz")
    for unknown in ("abcdef0", "0" * 40):
        with pytest.raises(ProjectNotFound, match=f"no branch, tag or commit '{unknown}'"):
            get(url, unknown)
    assert get.trees == []


def test_a_repository_without_commits(get: Fetched, tmp_path: Path) -> None:
    git(tmp_path, "init", "-q", "--bare", "empty.git")
    with pytest.raises(ProjectNotFound, match="has no commit"):
        get(str(tmp_path / "empty.git"))


# -- what is recorded --------------------------------------------------------------------------------


def test_a_sub_directory_with_a_dot_in_its_name(made: Repository, web: Served, get: Fetched) -> None:
    url = web.publish(made.work, "demo.git")
    source = get(f"'{url}#parts/train.d'", "v1")
    assert version_of(source) == "part"
    assert source.root == source.directory.parents[1]
    assert source.directory.parents[1].name == "demo"
    assert (source.name, source.uri, source.repo_url) == (f"{url}#parts/train.d", f"{url}#parts/train.d", url)
    assert get(url, "v1").digest != source.digest
    with pytest.raises(ProjectNotFound, match=r"there is no directory part in http://.*/demo\.git v1$"):
        get(f"{url}#part", "v1")


def test_a_directory_at_another_version_is_not_touched(get: Fetched, tmp_path: Path) -> None:
    made = make_repository(tmp_path / "demo")
    git(made.work, "remote", "add", "origin", "https://ada:secret@example.org/demo.git")
    (made.work / "version.txt").write_text("mine\n")
    source = get("demo#parts", "v1", caller=tmp_path)
    assert source.directory.name == "parts"
    assert source.repo_url == "https://example.org/demo.git"
    assert source.commit == made.second
    assert (made.work / "version.txt").read_text() == "mine\n"
    assert git(made.work, "branch", "--show-current") == "main"
    with pytest.raises(ProjectNotFound, match="is in no Git repository"):
        get(str(tmp_path), "v1")


def test_the_same_digest_as_where_it_was_written(made: Repository, get: Fetched) -> None:
    assert get(str(made.work), "main").digest == get(str(made.work)).digest


# -- submodules --------------------------------------------------------------------------------------


@pytest.fixture
def nested(tmp_path: Path, web: Served) -> Path:
    """Return a repository whose submodule has one, too, by relative addresses."""
    for name, part in (("inner", None), ("middle", "inner"), ("outer", "middle")):
        work = tmp_path / name
        work.mkdir()
        git(work, "init", "-q")
        if part:
            git(work, "-c", "protocol.file.allow=always", "submodule", "add", "-q", str(tmp_path / part), part)
            git(work, "config", "--file=.gitmodules", f"submodule.{part}.url", f"../{part}")
        (work / "MLproject").write_text(PROJECT.format(name=name))
        commit(work, name)
        commit(work, name + " again")
        web.publish(work, name)
    return tmp_path / "outer"


def test_submodules_come_along(nested: Path, get: Fetched, web: Served) -> None:
    for uri, version in ((str(nested), "main"), (f"{web.url}/outer", None)):
        source = get(uri, version)
        assert (source.directory / "middle" / "inner" / "version.txt").read_text() == "version inner again\n"
        assert not source.dirty


def test_a_submodule_on_the_disk_is_not_read_for_a_repository_from_elsewhere(
    nested: Path, get: Fetched, web: Served, tmp_path: Path
) -> None:
    git(nested, "config", "--file=.gitmodules", "submodule.middle.url", str(tmp_path / "middle"))
    commit(nested, "evil")
    url = web.publish(nested, "outer")
    with pytest.raises(ProjectError, match=r"a submodule cannot be fetched: .*file.* not allowed"):
        get(url)
    assert get.trees == []
    assert (get(str(nested), "main").directory / "middle" / "version.txt").exists()


# -- the network -------------------------------------------------------------------------------------


def test_a_commit_that_is_known_costs_no_request(made: Repository, web: Served, get: Fetched) -> None:
    url = web.publish(made.work, "demo.git")
    for version in (made.first, made.first[:8]):
        get(url, version)
    web.asked.clear()
    for version in (made.first, made.first.upper(), made.first[:8]):
        assert version_of(get(url, version)) == "version 1"
    assert web.asked == []
    get(url, "main")
    web.asked.clear()
    get.said.clear()
    get(url, "main")
    assert {path for path in web.asked if "upload-pack" in path and "info/refs" not in path} == {
        "/demo.git/git-upload-pack"
    }
    assert len(web.asked) == 2, "what the branch means was asked, and nothing fetched"
    assert get.said == []


def test_the_network_away_without_anything_kept(get: Fetched) -> None:
    with pytest.raises(SourceUnavailable, match=r"127\.0\.0\.1:9/demo\.git does not answer .*nothing of it is kept"):
        get("http://127.0.0.1:9/demo.git")
    with pytest.raises(SourceUnavailable, match="does not answer"):
        get("git://127.0.0.1:9/demo.git", "main")
    with pytest.raises(SourceUnavailable, match="does not answer"):
        get("https://nowhere.invalid/demo.git")


def test_the_network_away_offers_what_is_kept(made: Repository, get: Fetched, tmp_path: Path) -> None:
    with web_server(tmp_path / "web") as served:
        url = served.publish(made.work, "demo.git")
        get(url, "main")
        get(url, "v1")
        get(url, made.first[:7])
    with pytest.raises(SourceUnavailable) as caught:
        get(url, "main")
    message = str(caught.value)
    assert "\n" not in message
    assert f"main of {time.strftime('%Y')}" in message
    assert "v1 of " in message
    assert message.endswith(f"run it with -v {made.newest}")
    assert version_of(get(url, made.newest)) == "version 3"
    assert version_of(get(url, made.first[:7])) == "version 1"


def test_a_server_that_is_silent_is_away(
    made: Repository, get: Fetched, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("toolkit.flows.checkout._ASKING", 0.3)
    silent = _Silent()
    with pytest.raises(SourceUnavailable, match=r"does not answer \(timed out: git did not come to an end in 0 s\)"):
        get(f"http://127.0.0.1:{silent.port}/demo.git")
    silent.close()


def test_a_private_repository_without_login(made: Repository, web: Served, get: Fetched) -> None:
    url = web.publish(made.work, "private.git")
    web.login = "ada:s3cret%"
    with pytest.raises(ProjectNotFound, match="it wants a login, and none is stored, or there is no such repository"):
        get(url)
    with pytest.raises(ProjectNotFound, match="the login in the URL is not taken") as caught:
        get(url.replace("http://", "http://ada:wr0ng@"))
    assert "wr0ng" not in str(caught.value)


def test_a_login_in_the_address_is_used_and_kept_nowhere(
    made: Repository, web: Served, get: Fetched, nested: Path
) -> None:
    web.login = "ada:s3cret%"
    url = f"{web.url}/outer"
    source = get(url.replace("http://", "http://ada:s3cret%25@"))
    assert (source.directory / "middle" / "version.txt").exists(), "its submodules are read with it, too"
    assert (source.name, source.repo_url, source.uri) == (url, url, url)
    assert "s3cret" not in repr(source) + " ".join(get.said)
    for file in get.root.rglob("*"):
        assert "s3cret" not in file.name
        assert not file.is_file() or b"s3cret" not in file.read_bytes(), file


def test_no_such_repository(web: Served, daemon: Served, get: Fetched, tmp_path: Path) -> None:
    for url in (f"{web.url}/nothing.git", f"{daemon.url}/nothing.git"):
        with pytest.raises(ProjectNotFound, match="there is no Git repository at"):
            get(url)
    assert list(get.root.glob("*/*")) == []


def test_without_git_installed(monkeypatch: pytest.MonkeyPatch, get: Fetched, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ProjectError, match="there is no git program here: install git"):
        get("https://example.org/demo.git")


SSH = """#!/bin/sh
echo "$@" >> {log}
if [ -f {log}.broken ]; then cat {log}.broken >&2; exit 255; fi
if (: < /dev/tty) 2>/dev/null; then echo "there is a terminal to ask on" >&2; exit 255; fi
while [ "$1" != ada@host.example ] && [ "$1" != host.example ]; do shift; done
shift
exec sh -c "$*"
"""
"""What stands in for ssh: it notes how it is called, and runs what the other machine would."""


@pytest.fixture
def ssh(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    program, log = tmp_path / "ssh", tmp_path / "ssh.log"
    program.write_text(SSH.format(log=log))
    program.chmod(0o755)
    monkeypatch.setenv("GIT_SSH_COMMAND", str(program))
    monkeypatch.setenv("GIT_SSH_VARIANT", "ssh")
    return log


def test_ssh_in_both_spellings(made: Repository, get: Fetched, ssh: Path) -> None:
    for uri in (
        f"ada@host.example:{made.work}",
        f"ssh://ada@host.example{made.work}",
        f"ssh://host.example{made.work}",
    ):
        source = get(f"{uri}#parts/train.d", "v1")
        assert (version_of(source), source.commit, source.repo_url) == ("part", made.second, uri)
        assert (source.root.name, source.name) == ("demo", f"{uri}#parts/train.d")
    source = get(f"ssh://ada:s3cret@host.example{made.work}")
    assert "s3cret" not in repr(source) + ssh.read_text()


@dataclass(frozen=True)
class Sshd:
    """An ssh server of this test's own.

    Attributes:
        host: ``user@127.0.0.1:port`` for a URL.
        command: The ``ssh`` that knows it and has a key for it.
        stranger: The ``ssh`` that knows it and has none.
    """

    host: str
    command: str
    stranger: str


@pytest.fixture
def sshd(tmp_path: Path) -> Iterator[Sshd]:
    """A real ssh server on loopback, with keys of its own."""
    program = shutil.which("sshd", path=f"{os.environ['PATH']}:/usr/sbin:/usr/local/sbin")
    if program is None or shutil.which("ssh") is None or shutil.which("ssh-keygen") is None:
        pytest.skip("there is no ssh server here: install openssh-server")
    folder = tmp_path / "ssh"
    folder.mkdir(mode=0o700)
    for name in ("host", "user"):
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(folder / name)], check=True)
    port, user = free_port(), getpass.getuser()
    (folder / "authorized_keys").write_text((folder / "user.pub").read_text())
    (folder / "known_hosts").write_text(f"[127.0.0.1]:{port} {(folder / 'host.pub').read_text()}")
    settings = ["-o", f"AuthorizedKeysFile={folder}/authorized_keys", "-o", "StrictModes=no", "-o", "UsePAM=no"]
    settings += ["-o", "PermitRootLogin=prohibit-password", "-o", "PasswordAuthentication=no", "-o", "PidFile=none"]
    Path("/run/sshd").mkdir(exist_ok=True) if os.geteuid() == 0 else None
    command = [program, "-D", "-e", "-f", "/dev/null", "-h", str(folder / "host"), "-p", str(port)]
    command += ["-o", "ListenAddress=127.0.0.1", *settings]
    with subprocess.Popen(command, stderr=subprocess.PIPE) as server:
        try:
            until_open(port, server)
            known = f"ssh -F none -o UserKnownHostsFile={folder}/known_hosts -o StrictHostKeyChecking=yes"
            mine = f"{known} -o IdentitiesOnly=yes -i {folder}/user"
            yield Sshd(f"{user}@127.0.0.1:{port}", mine, f"{known} -o IdentitiesOnly=yes -i {folder}/none")
        finally:
            server.terminate()


def until_open(port: int, server: subprocess.Popen[bytes]) -> None:
    for _ in range(600):
        assert server.poll() is None, server.communicate()[1].decode()
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
            return
        time.sleep(0.1)
    raise AssertionError("sshd did not start")


def test_a_real_ssh_server(made: Repository, get: Fetched, sshd: Sshd, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)
    uri = f"ssh://{sshd.host}{made.work}"
    monkeypatch.setenv("GIT_SSH_COMMAND", sshd.stranger)
    with pytest.raises(ProjectNotFound, match="wants a login"):
        get(uri, "main")
    monkeypatch.setenv("GIT_SSH_COMMAND", sshd.command)
    assert version_of(get(uri)) == "version 3"
    source = get(f"{uri}#parts/train.d", "v1")
    assert (version_of(source), source.commit, source.repo_url) == ("part", made.second, uri)


@pytest.mark.parametrize(
    ("complaint", "said"),
    [
        ("ada@host.example: Permission denied (publickey).", r"wants a login, .*load your key \(ssh-add\)"),
        ("Host key verification failed.", "the host's key is not known here: connect to it once with ssh"),
        ("ssh: Could not resolve hostname host.example: Name or service not known", "does not answer .* nothing of it"),
    ],
    ids=["no-key", "new-host", "away"],
)
def test_what_ssh_complains_about(complaint: str, said: str, get: Fetched, ssh: Path) -> None:
    ssh.with_name("ssh.log.broken").write_text(complaint + "\n")
    with pytest.raises((ProjectNotFound, SourceUnavailable), match=said) as caught:
        get("ada@host.example:team/demo.git")
    assert "\n" not in str(caught.value)


def test_files_that_stay_pointers_are_told(get: Fetched, tmp_path: Path) -> None:
    made = make_repository(tmp_path / "demo")
    (made.work / ".gitattributes").write_text("*.bin filter=lfs diff=lfs merge=lfs -text\n")
    commit(made.work, "large")
    get(made.work.as_uri(), "main")
    assert get.said[-1].startswith(f"{made.work.as_uri()} has files in Git LFS, which is not set up here")


# -- what an attacker would like ---------------------------------------------------------------------


@pytest.mark.parametrize(
    "uri",
    [
        "ext::sh -c 'touch {mark}'",
        "fd::17/x",
        "foo::https://example.org/x",
        "--upload-pack=touch {mark}",
        "ssh://-oProxyCommand=touch {mark}/x",
        "ssh://-oProxyCommand=touch/x",
        "ssh://ada@-oProxyCommand=touch/x",
        "ssh://-oProxyCommand=touch@host/x",
        "-oProxyCommand=touch@host:x",
        "git@-oProxyCommand=touch:x",
        "git@host:-x",
        "git@host:",
        "ftp://host/x.git",
        "https://",
        "https:///x.git",
        "https://host:99999999/x",
        "https://host/a\nb",
        "https://ho st/x.git",
        "https://[/x",
    ],
)
def test_no_address_becomes_an_option_or_a_command(uri: str, get: Fetched, tmp_path: Path) -> None:
    mark = tmp_path / "mark"
    with pytest.raises(ProjectNotFound) as caught:
        get(uri.format(mark=mark))
    assert "\n" not in str(caught.value)
    assert not mark.exists()
    assert not get.root.exists(), "nothing was even tried"


@pytest.mark.parametrize(
    "version",
    ["--upload-pack=touch x", "-h", "", " ", "a b", "a..b", "a:b", "+refs/heads/main:x", "main^{commit}", "HEAD~1",
     "@{-1}", "*", "a\nb", "x" * 300, "/main", "main.lock", "^main"],
)  # fmt: skip
def test_no_version_becomes_an_option_or_an_expression(version: str, made: Repository, get: Fetched) -> None:
    with pytest.raises(InvalidValue, match="no name of a branch, tag or commit"):
        get(str(made.work), version)
    assert not get.root.exists()


@pytest.mark.parametrize("subdir", ["..", "../x", "parts/../..", "parts/./train.d", "a\\b", ".git", "parts//train.d"])
def test_no_sub_directory_leads_out(subdir: str, made: Repository, get: Fetched) -> None:
    with pytest.raises(ProjectNotFound, match="must name a directory below the project"):
        get(f"{made.work}#{subdir}", "main")


@pytest.mark.parametrize(
    "changes",
    [
        {"url": "ext::sh -c touch% {mark}"},
        {"url": "-u./touch {mark}"},
        {"url": "ssh://-oProxyCommand=touch {mark}/x"},
        {"update": "!touch {mark}"},
        {"path": "../outside"},
        {"path": ".git/hooks"},
    ],
    ids=["transport", "option", "ssh-option", "command", "path-up", "path-hooks"],
)
def test_no_submodule_runs_or_writes_anything_elsewhere(
    changes: dict[str, str], nested: Path, get: Fetched, tmp_path: Path
) -> None:
    mark = tmp_path / "mark"
    for key, value in changes.items():
        git(nested, "config", "--file=.gitmodules", f"submodule.middle.{key}", value.format(mark=mark))
    commit(nested, "evil")
    git(tmp_path, "clone", "-q", "--bare", str(nested), "evil.git")
    with contextlib.suppress(ProjectError):
        get("evil.git", caller=tmp_path)
    assert not mark.exists()
    assert not list(get.root.rglob("outside"))


def test_a_submodule_whose_name_leads_out(nested: Path, get: Fetched, tmp_path: Path) -> None:
    modules = (nested / ".gitmodules").read_text().replace('"middle"', '"../../../outside"')
    (nested / ".gitmodules").write_text(modules)
    commit(nested, "evil")
    git(tmp_path, "clone", "-q", "--bare", str(nested), "evil.git")
    with contextlib.suppress(ProjectError):
        get("evil.git", caller=tmp_path)
    assert not list(tmp_path.rglob("outside"))


def test_no_room_is_one_line(made: Repository, get: Fetched, tmp_path: Path) -> None:
    get.root.write_text("a file where the folder should be")
    with pytest.raises(ProjectError, match=r"cannot be kept in .*sources: ") as caught:
        get(made.work.as_uri(), "main")
    assert "\n" not in str(caught.value)


def test_a_link_in_a_repository_leads_nowhere(get: Fetched, tmp_path: Path) -> None:
    made = make_repository(tmp_path / "demo")
    (made.work / "out").symlink_to(tmp_path)
    commit(made.work, "link")
    git(tmp_path, "clone", "-q", "--bare", str(made.work), "demo.git")
    with pytest.raises(ProjectNotFound, match="a link that leads out of the project"):
        get("demo.git#out", caller=tmp_path)


def test_nothing_of_the_repository_and_of_a_template_is_executed(
    made: Repository, get: Fetched, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mark = tmp_path / "mark"
    for folder in (tmp_path / "template" / "hooks", made.work / ".git" / "hooks"):
        folder.mkdir(parents=True, exist_ok=True)
        for name in ("post-checkout", "reference-transaction", "post-index-change"):
            hook = folder / name
            hook.write_text(f"#!/bin/sh\ntouch {mark}\n")
            hook.chmod(0o755)
    monkeypatch.setenv("GIT_TEMPLATE_DIR", str(tmp_path / "template"))
    assert version_of(get(made.work.as_uri(), "v1")) == "version 2"
    assert not mark.exists()


# -- when it is broken off ---------------------------------------------------------------------------


def test_a_fetch_that_is_broken_off_leaves_nothing(made: Repository, get: Fetched, tmp_path: Path) -> None:
    """The server takes the request and never answers; the process is interrupted, then killed; then all goes well."""
    silent = _Silent()
    script = (
        "import sys; from pathlib import Path; from toolkit.flows.source import Fetching, fetch\n"
        "fetch(sys.argv[1], caller=Path('/'), version=sys.argv[2], fetching=Fetching(root=Path(sys.argv[3])))"
    )
    command = [sys.executable, "-c", script, f"http://127.0.0.1:{silent.port}/demo.git", made.first, str(get.root)]
    for number in (signal.SIGINT, signal.SIGKILL):
        process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
        silent.asked.wait(30)
        silent.asked.clear()
        process.send_signal(number)
        process.wait(30)
        left = list(get.root.glob("*/*"))
        assert not left or number == signal.SIGKILL
    silent.close()
    with web_server(tmp_path / "web", port=silent.port) as served:
        url = served.publish(made.work, "demo.git")
        assert version_of(get(url, made.first)) == "version 1"
    (slot,) = [path for path in get.root.iterdir() if path.is_dir()]
    assert sorted(path.name for path in slot.iterdir()) == sorted([made.first, "versions.json"])


class _Silent:
    """A server that takes requests and never answers."""

    def __init__(self) -> None:
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.port = self._socket.getsockname()[1]
        self.asked = threading.Event()
        self._taken: list[socket.socket] = []
        threading.Thread(target=self._take, daemon=True).start()

    def _take(self) -> None:
        while True:
            try:
                taken, _ = self._socket.accept()
            except OSError:
                return
            self._taken.append(taken)
            if taken.recv(1):
                self.asked.set()

    def close(self) -> None:
        self._socket.shutdown(socket.SHUT_RDWR)
        for each in (self._socket, *self._taken):
            each.close()


def test_two_processes_fetch_the_same_at_once(made: Repository, web: Served, tmp_path: Path) -> None:
    url = web.publish(made.work, "demo.git")
    gets = [Fetched(tmp_path / "sources") for _ in range(4)]
    failures: list[ToolkitError] = []

    def work(get: Fetched) -> None:
        try:
            get(url, "main")
        except ToolkitError as error:
            failures.append(error)

    threads = [threading.Thread(target=work, args=(get,)) for get in gets]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures
    assert gets[0].trees == [made.newest]
    assert sum(len(get.said) for get in gets) == 1


def test_damaged_notes_are_no_matter(made: Repository, get: Fetched) -> None:
    source = get(made.work.as_uri(), "main")
    notes = source.root.parents[1] / "versions.json"
    assert json.loads(notes.read_text())["address"] == made.work.as_uri()
    for text in ("", "[]", '{"versions": [{"tree": 1}]}'):
        notes.write_text(text)
        assert get(made.work.as_uri(), "main").commit == made.newest


# -- a copy for a run --------------------------------------------------------------------------------


def folders(work: Path) -> list[str]:
    return [path.name for path in work.iterdir() if path.is_dir()]


def test_runs_that_meet_have_copies_of_their_own(made: Repository, get: Fetched, tmp_path: Path) -> None:
    source, work = get(made.work.as_uri(), "main"), tmp_path / "work"
    with working_copy(source, work, print) as one, working_copy(source, work, print) as other:
        assert one.root != other.root
        (other.root / "x").write_text("x")
        assert not (one.root / "x").exists()
        (other.root / "x").unlink()
    assert folders(work) == []
    (one.root / "of a run that died").mkdir(parents=True)
    with working_copy(source, work, print) as again:
        assert again.root == one.root, "an environment may point into it"
        assert not (again.root / "of a run that died").exists()
    assert folders(work) == []


def test_a_run_works_in_a_copy(made: Repository, get: Fetched, tmp_path: Path) -> None:
    source = get(f"{made.work.as_uri()}#parts/train.d", "main")
    said: list[str] = []
    with working_copy(source, tmp_path / "work", said.append) as copy:
        assert copy.directory != source.directory
        assert copy.directory.name == "train.d"
        assert git(copy.directory, "status", "--porcelain") == ""
        (copy.directory / "__pycache__").mkdir()
        (copy.directory / "__pycache__" / "a.pyc").write_bytes(b"")
    assert said == []
    assert folders(tmp_path / "work") == []
    with working_copy(source, tmp_path / "work", said.append) as copy:
        (copy.directory / "model.bin").write_text("left")
        (copy.root / "version.txt").write_text("changed")
    (line,) = said
    assert "parts/train.d/model.bin, version.txt" in line
    kept = Path(line.rpartition(" kept in ")[2])
    assert (kept / "parts" / "train.d" / "model.bin").read_text() == "left"
    assert folders(tmp_path / "work") == [kept.parent.name]
    assert version_of(get(made.work.as_uri(), "main")) == "version 3"
    assert not (source.directory / "model.bin").exists()


def test_a_directory_of_the_users_is_no_copy(made: Repository, get: Fetched, tmp_path: Path) -> None:
    source = get(str(made.work))
    with working_copy(source, tmp_path / "work", print) as same:
        assert same is source
    assert not (tmp_path / "work").exists()
