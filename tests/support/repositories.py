"""Git repositories to fetch, and servers on loopback that give them out: the real programs of git."""

from __future__ import annotations

import base64
import os
import shutil
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

GIT = ("git", "-c", "user.name=Ada", "-c", "user.email=ada@example.org", "-c", "init.defaultBranch=main")

PROJECT = """name: {name}
entry_points:
  main:
    parameters: {{word: {{type: str, default: none}}}}
    command: "cat version.txt; echo said {{word}}"
"""


def git(directory: Path, *arguments: str) -> str:
    """Run git in a directory and return what it prints."""
    done = subprocess.run([*GIT, "-C", str(directory), *arguments], check=True, capture_output=True, text=True)
    return done.stdout.strip()


def commit(directory: Path, version: str) -> str:
    """Commit all, with a file that holds ``version``; return the commit."""
    (directory / "version.txt").write_text(f"version {version}\n")
    git(directory, "add", "-A")
    git(directory, "commit", "-qm", version)
    return git(directory, "rev-parse", "HEAD")


@dataclass(frozen=True, kw_only=True)
class Repository:
    """A repository with two commits on ``main``, a tag, and a branch.

    Attributes:
        work: Its working tree.
        first: The first commit: no branch or tag names it.
        second: The second, which the annotated tag ``v1`` names.
        newest: The newest of ``main``.
        side: The newest of the branch ``feature/side``.
    """

    work: Path
    first: str
    second: str
    newest: str
    side: str


def make_repository(work: Path) -> Repository:
    """Make a repository with a project, and another one in ``parts/train.d``."""
    (work / "parts" / "train.d").mkdir(parents=True)
    git(work, "init", "-q")
    (work / "MLproject").write_text(PROJECT.format(name="whole"))
    (work / "parts" / "train.d" / "MLproject").write_text(PROJECT.format(name="part"))
    (work / "parts" / "train.d" / "version.txt").write_text("part\n")
    first = commit(work, "1")
    second = commit(work, "2")
    git(work, "tag", "-a", "v1", "-m", "v1")
    git(work, "checkout", "-qb", "feature/side", first)
    side = commit(work, "side")
    git(work, "checkout", "-q", "main")
    return Repository(work=work, first=first, second=second, newest=commit(work, "3"), side=side)


@dataclass(kw_only=True)
class Served:
    """Repositories behind an address.

    Attributes:
        root: The folder of bare repositories.
        url: Their address, without a name.
        asked: The paths that were asked for, of a web server.
        login: ``name:password`` that it wants.
        old: Whether it speaks the protocol's first version only: that gives no commit that it does not list.
        bodies: Other files that it gives: path to content.
        etags: What it calls them.
        authorizations: The headers ``Authorization`` that came in.
        redirects: Paths to the addresses that they lead to.
    """

    root: Path
    url: str
    asked: list[str] = field(default_factory=list)
    login: str | None = None
    old: bool = False
    bodies: dict[str, bytes] = field(default_factory=dict)
    etags: dict[str, str] = field(default_factory=dict)
    authorizations: list[str | None] = field(default_factory=list)
    redirects: dict[str, str] = field(default_factory=dict)

    def publish(self, work: Path, name: str) -> str:
        """Give out a copy of a repository; return its address."""
        bare = self.root / name
        if bare.exists():
            shutil.rmtree(bare)
        subprocess.run([*GIT, "clone", "-q", "--bare", "--", str(work), str(bare)], check=True, capture_output=True)
        (bare / "git-daemon-export-ok").touch()
        return f"{self.url}/{name}"


@contextmanager
def web_server(root: Path, *, port: int = 0) -> Iterator[Served]:
    """Serve repositories with ``git http-backend``, and other files, over HTTP."""
    root.mkdir(parents=True, exist_ok=True)
    served = Served(root=root, url="")

    class Handler(_Backend):
        what = served

    server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
    served.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield served
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class _Backend(BaseHTTPRequestHandler):
    what: Served

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the library's name
        """Say nothing."""

    def do_GET(self) -> None:
        self._answer(b"")

    def do_POST(self) -> None:
        self._answer(self.rfile.read(int(self.headers.get("Content-Length") or 0)))

    def _answer(self, body: bytes) -> None:
        served = self.what
        path, _, query = self.path.partition("?")
        served.asked.append(self.path)
        served.authorizations.append(self.headers.get("Authorization"))
        if served.login is not None:
            wanted = "Basic " + base64.b64encode(served.login.encode()).decode()
            if self.headers.get("Authorization") != wanted:
                return self._send(401, [("WWW-Authenticate", 'Basic realm="code"')], b"")
        if path in served.redirects:
            return self._send(302, [("Location", served.redirects[path])], b"")
        if path in served.bodies:
            etag = served.etags.get(path)
            if etag is not None and self.headers.get("If-None-Match") == etag:
                return self._send(304, [], b"")
            return self._send(200, [("ETag", etag)] if etag else [], served.bodies[path])
        return self._backend(path, query, body)

    def _backend(self, path: str, query: str, body: bytes) -> None:
        variables = {
            "PATH": os.environ["PATH"],
            "GIT_PROJECT_ROOT": str(self.what.root),
            "GIT_HTTP_EXPORT_ALL": "1",
            "GIT_CONFIG_GLOBAL": "/dev/null",
            "REQUEST_METHOD": self.command,
            "PATH_INFO": path,
            "QUERY_STRING": query,
            "CONTENT_TYPE": self.headers.get("Content-Type", ""),
            "CONTENT_LENGTH": str(len(body)),
            "HTTP_CONTENT_ENCODING": self.headers.get("Content-Encoding", ""),
        }
        if not self.what.old:
            variables["GIT_PROTOCOL"] = self.headers.get("Git-Protocol", "")
        done = subprocess.run(["git", "http-backend"], input=body, capture_output=True, env=variables, check=False)
        head, _, content = done.stdout.partition(b"\r\n\r\n")
        fields = [tuple(line.split(": ", 1)) for line in head.decode().split("\r\n") if ": " in line]
        status = next((int(value.split()[0]) for name, value in fields if name == "Status"), 200)
        self._send(status, [(name, value) for name, value in fields if name != "Status"], content)

    def _send(self, status: int, fields: list[tuple[str, str]], content: bytes) -> None:
        self.send_response(status)
        for name, value in fields:
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)


@contextmanager
def git_daemon(root: Path) -> Iterator[Served]:
    """Serve repositories with ``git daemon``."""
    root.mkdir(parents=True, exist_ok=True)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
    process = subprocess.Popen(
        ["git", "daemon", "--listen=127.0.0.1", f"--port={port}", f"--base-path={root}", "--reuseaddr", str(root)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        process_group=0,
    )
    try:
        limit = time.monotonic() + 20
        while True:
            try:
                socket.create_connection(("127.0.0.1", port), 1).close()
                break
            except OSError:
                assert time.monotonic() < limit, "git daemon does not answer"
                assert process.poll() is None, "git daemon has ended"
                time.sleep(0.02)
        yield Served(root=root, url=f"git://127.0.0.1:{port}")
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
