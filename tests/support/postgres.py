"""A private PostgreSQL server for tests: a cluster of its own, on a free port, gone when the tests end."""

from __future__ import annotations

import contextlib
import os
import pwd
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

PASSWORD = "sesame"
_USERS = ("postgres", "nobody")
_FAST = ("fsync=off", "synchronous_commit=on", "full_page_writes=off", "shared_buffers=64MB", "max_connections=100")


def programs() -> Path | None:
    """Return the folder with PostgreSQL's programs; ``None`` where there is none."""
    found = [Path(path).parent for name in ("initdb",) if (path := shutil.which(name))]
    installed = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: int(path.parent.name), reverse=True)
    for folder in [*installed, *found]:
        if all((folder / name).exists() for name in ("initdb", "pg_ctl", "postgres")):
            return folder
    return None


def unprivileged() -> str | None:
    """Return the user that a server must be started as, since it refuses to run as root; ``None``: as who we are."""
    if os.geteuid() != 0:
        return None
    for name in _USERS:
        with contextlib.suppress(KeyError):
            pwd.getpwnam(name)
            return name
    return None


def why_not() -> str | None:
    """Return why no server can be started here; ``None`` where one can."""
    if programs() is None:
        return "PostgreSQL's programs (initdb, pg_ctl, postgres) are not on this machine"
    if os.geteuid() == 0 and unprivileged() is None:
        return f"PostgreSQL does not run as root, and none of the users {', '.join(_USERS)} is there"
    try:
        import psycopg  # noqa: F401
    except ImportError:
        return "psycopg is not installed: pip install 'toolkit[postgres]'"
    return None


@dataclass(kw_only=True)
class Server:
    """A server that runs.

    Attributes:
        folder: Holds its data and its log.
        port: Where it listens, on 127.0.0.1.
        settings: Its settings, as ``name=value``.
        user: The system's user that it runs as; ``None``: ours.
    """

    folder: Path
    port: int
    settings: Sequence[str] = _FAST
    user: str | None = None
    made: int = field(default=0)
    _collates: bool | None = field(default=None, repr=False)

    def url(self, database: str) -> str:
        """Return the URL of a database."""
        return f"postgresql://ada:{PASSWORD}@127.0.0.1:{self.port}/{database}"

    def call(self, program: str, *arguments: str) -> None:
        """Run one of PostgreSQL's programs as the server's user."""
        folder = programs()
        assert folder is not None
        with (self.folder / "calls.log").open("ab") as log:  # a file: the server keeps what it inherits open
            subprocess.run(
                [folder / program, *arguments],
                check=True,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=self.folder,
                user=self.user,
                group=None if self.user is None else pwd.getpwnam(self.user).pw_gid,
                extra_groups=None if self.user is None else [],
                env={"PATH": os.environ["PATH"], "LC_ALL": "C", "TZ": "UTC"},
                timeout=300,
            )

    def make(self) -> None:
        """Make the cluster and start it."""
        secret = self.folder / "password"
        secret.write_text(PASSWORD)
        if self.user is not None:
            shutil.chown(self.folder, self.user)
            shutil.chown(secret, self.user)
        data = str(self.folder / "data")
        self.call(
            *("initdb", "-D", data, "-U", "ada", "-A", "scram-sha-256", "--pwfile", str(secret)),
            *("-E", "UTF8", "--locale=C", "--no-sync"),
        )
        self.start()

    def start(self, *settings: str) -> None:
        """Start it, with more settings than its own."""
        options = [f"-p {self.port} -c listen_addresses=127.0.0.1 -c unix_socket_directories=''"]
        options += [f"-c {setting}" for setting in (*self.settings, *settings)]
        self.call(
            "pg_ctl", "start", "-w", "-D", f"{self.folder}/data", "-l", f"{self.folder}/log", "-o", " ".join(options)
        )

    def stop(self, mode: str = "fast") -> None:
        """Stop it: ``smart`` waits for clients, ``fast`` ends them, ``immediate`` is as good as a crash."""
        self.call("pg_ctl", "stop", "-w", "-D", f"{self.folder}/data", "-m", mode)

    def ask(self, statement: str, database: str = "postgres", *values: object) -> list[tuple[Any, ...]]:
        """Run a statement by a connection of its own, outside a transaction."""
        import psycopg

        with psycopg.connect(self.url(database), autocommit=True) as connection:
            cursor = connection.execute(statement, values or None)
            return cursor.fetchall() if cursor.description else []

    def new_database(self, template: str | None = None) -> str:
        """Make a database; return its name.

        Its locale is one that sorts and compares text by the rules of a language, where the server has any such:
        nothing of ours may depend on it.
        """
        self.made += 1
        name = f"t{os.getpid()}_{self.made}"
        if template is None and self._collates is None:
            version = int(self.ask("SHOW server_version_num")[0][0])
            known = self.ask("SELECT count(*) FROM pg_collation WHERE collprovider = 'i'")[0][0]
            self._collates = version >= 150_000 and known > 0
        by_language = " TEMPLATE template0 LOCALE_PROVIDER icu ICU_LOCALE 'en-US'" if self._collates else ""
        self.ask(f"CREATE DATABASE {name}" + (f" TEMPLATE {template}" if template else by_language))
        return name

    def empty(self, name: str) -> None:
        """Bring a database with our schema back to its beginning: ten times as fast as to make another one."""
        tables = (
            "metrics",
            "experiments",
            "metric_keys",
            "journals",
            "registry_deliveries",
            "registry_webhooks",
            "registry_events",
            "registry_changes",
            "deployments",
            "bentos",
            "registered_models",
        )  # what belongs to experiments goes with them
        numbered = (
            "experiments",
            "runs",
            "metric_keys",
            "datasets",
            "logged_models",
            "registered_models",
            "model_versions",
            "registry_changes",
            "registry_requests",
            "registry_events",
            "registry_webhooks",
            "registry_deliveries",
            "deployments",
            "bentos",
        )
        statements = ["SET lock_timeout = '10s'", *(f"DELETE FROM {table}" for table in tables)]
        statements += [f"ALTER SEQUENCE {table}_id_seq RESTART" for table in numbered]
        self.ask("; ".join(statements), name)

    def drop(self, name: str) -> None:
        """Remove a database, whoever still uses it."""
        self.ask(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")


@contextlib.contextmanager
def running(*settings: str) -> Iterator[Server]:
    """Start a server of its own for a block.

    Args:
        settings: As ``name=value``, beside those that make it quick.
    """
    # Not below pytest's folders: those are closed to other users.
    folder = Path(tempfile.mkdtemp(prefix="toolkit-pg-"))
    try:
        for attempt in range(3):
            server = Server(folder=folder, port=_free_port(), settings=(*_FAST, *settings), user=unprivileged())
            try:
                server.make() if attempt == 0 else server.start()
                break
            except subprocess.CalledProcessError as error:
                log = folder / "log"
                told = (log if log.exists() else folder / "calls.log").read_text()[-2000:]
                if attempt == 2 or "Address already in use" not in told:
                    raise RuntimeError(f"PostgreSQL does not start: {told}") from error
        try:
            yield server
        finally:
            with contextlib.suppress(subprocess.CalledProcessError):
                server.stop("immediate")
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def until(server: Server, statement: str, seconds: float = 20) -> None:
    """Wait until a statement gives a true value."""
    limit = time.monotonic() + seconds
    while not server.ask(statement)[0][0]:
        assert time.monotonic() < limit, statement
        time.sleep(0.02)
