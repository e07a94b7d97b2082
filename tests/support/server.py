"""A server of a test's own: the real application on real sockets, with a home that nobody else has."""

from __future__ import annotations

import contextlib
import http.client
import json
import socket
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import uvicorn

from toolkit.recording.stores import Stores
from toolkit.server.app import make_app
from toolkit.server.artifacts.files import Limits
from toolkit.server.protocol import BoundedHttp
from toolkit.settings import load
from toolkit.wiring.opened import open_stores

API = "/api/2.0/mlflow/"
PROXY = "/api/2.0/mlflow-artifacts/artifacts"


@dataclass(frozen=True)
class Answer:
    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:  # noqa: ANN401 - as above
        return json.loads(self.body)


@dataclass(frozen=True)
class Server:
    """A server that runs.

    Attributes:
        port: Its port, on 127.0.0.1.
        stores: What it serves.
        home: Its home.
        prefix: What stands in front of each path.
    """

    port: int
    stores: Stores
    home: Path
    prefix: str = ""

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}{self.prefix}"

    @property
    def artifacts(self) -> Path:
        """The folder that artifacts are in."""
        return self.home / "artifacts"

    def call(
        self, method: str, path: str, body: object = None, headers: Mapping[str, str] | None = None, /, **query: str
    ) -> Answer:
        """Send a request as it is given; an object is sent as JSON, bytes as they are."""
        from urllib.parse import urlencode

        sent = dict(headers or {})
        data = body if isinstance(body, bytes) or body is None else json.dumps(body).encode()
        if body is not None and not isinstance(body, bytes):
            sent.setdefault("Content-Type", "application/json")
        target = self.prefix + path + (f"?{urlencode(query)}" if query else "")
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=300)
        try:
            connection.request(method, target, data, sent)
            got = connection.getresponse()
            return Answer(got.status, {name.lower(): value for name, value in got.getheaders()}, got.read())
        finally:
            connection.close()

    def api(self, method: str, name: str, body: object = None, /, **query: str) -> Any:  # noqa: ANN401 - JSON
        """Call an endpoint of MLflow's API; return its answer, which must be a good one."""
        answer = self.call(method, API + name, body, **query)
        assert answer.status == 200, answer.body
        return answer.json

    def new_run(self, experiment_id: str = "0") -> str:
        """Make a run; return its id."""
        made = self.api("POST", "runs/create", {"experiment_id": experiment_id})
        return str(made["run"]["info"]["run_id"])

    def raw(self, sent: bytes | Sequence[bytes], *, pause: float = 0.0, end: bool = False, wait: float = 20.0) -> bytes:
        """Send bytes on a connection of their own; return all that comes until the server closes it or is silent.

        Args:
            sent: The bytes; several pieces are sent one after the other.
            pause: Seconds between pieces.
            end: Whether to say at the end that nothing more comes.
            wait: Seconds to wait for more of the answer.
        """
        with socket.create_connection(("127.0.0.1", self.port), timeout=wait) as connection:
            for piece in [sent] if isinstance(sent, bytes) else sent:
                try:
                    connection.sendall(piece)
                except OSError:
                    break
                time.sleep(pause)
            if end:
                with contextlib.suppress(OSError):  # the server was faster
                    connection.shutdown(socket.SHUT_WR)
            got = b""
            with contextlib.suppress(TimeoutError, ConnectionError):
                while chunk := connection.recv(65536):
                    got += chunk
            return got


def eventually(check: Callable[[], bool], seconds: float = 20.0) -> bool:
    """Wait until something is so: what a server does after a client has gone."""
    end = time.monotonic() + seconds
    while not check():
        if time.monotonic() > end:
            return False
        time.sleep(0.02)
    return True


def free_socket() -> socket.socket:
    """Return a socket that listens on a free port."""
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind(("127.0.0.1", 0))
    listener.listen(128)
    return listener


@contextlib.contextmanager
def serving(
    home: Path,
    *,
    tracking_uri: str | None = None,
    artifact_root: str | None = None,
    serve_artifacts: bool = True,
    prefix: str = "",
    limits: Limits | None = None,
    allowed_hosts: Sequence[str] = (),
    change_from_pages: bool = True,
) -> Iterator[Server]:
    """Run a server in a thread for a block."""
    changes = {"home": home, "tracking_uri": tracking_uri, "artifact_root": artifact_root}
    stores = open_stores(load().model_copy(update=changes))
    app = make_app(
        stores,
        serve_artifacts=serve_artifacts,
        prefix=prefix,
        limits=limits,
        allowed_hosts=allowed_hosts,
        change_from_pages=change_from_pages,
    )
    listener = free_socket()
    config = uvicorn.Config(
        app,
        http=BoundedHttp,
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=2,
    )
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
    thread.start()
    try:
        while not server.started and thread.is_alive():
            time.sleep(0.005)
        yield Server(port=listener.getsockname()[1], stores=stores, home=home, prefix=prefix)
    finally:
        server.should_exit = True
        thread.join()
        listener.close()
        stores.close()
