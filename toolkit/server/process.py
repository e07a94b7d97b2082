"""The server's processes: one that serves, or several that share its socket and one that looks after them."""

from __future__ import annotations

import errno
import gc
import logging
import os
import re
import signal
import socket
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from ipaddress import ip_address
from pathlib import Path
from types import FrameType

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from toolkit.artifacts.location import below_root
from toolkit.db.schema import ensure_schema
from toolkit.errors import InvalidSetting, ServiceError
from toolkit.recording.stores import Stores
from toolkit.server.app import make_app
from toolkit.server.artifacts.files import Limits
from toolkit.server.courier import CourierThread
from toolkit.server.metrics import MEDIA_TYPE, Counts, WorkerCounts
from toolkit.server.observed import Observed
from toolkit.server.protocol import BoundedHttp
from toolkit.server.supervisor import Supervisor
from toolkit.server.sweeper import Sweeper
from toolkit.settings import Settings
from toolkit.tracking.records import SearchQuery
from toolkit.wiring.events import open_courier
from toolkit.wiring.opened import open_stores, settings_database
from toolkit.wiring.services import named_tracking
from toolkit.wiring.upkeep import sweep

logger = logging.getLogger("toolkit.server")

BACKLOG = 2048
_KEEP_ALIVE = 75  # seconds: longer than a training step, so that a client need not connect for each
_LOOKED_AT = 1_000  # experiments, for the warning
_SWEEPS_PER_LEASE = 2
_AT_REST = 0.5  # seconds after the start
_COLLECT = (50_000, 20, 50)
"""When Python looks for circles of dead objects: a page of runs has thousands of objects and none. By default half of
the time of a long answer goes into that."""
_PREFIX = re.compile(r"(/[A-Za-z0-9._~-]+)+")


@dataclass(frozen=True, kw_only=True, slots=True)
class ServerOptions:
    """How a server is to run.

    Attributes:
        host: Address to listen on: a name, or an IPv4 or IPv6 address.
        port: Port to listen on; 0: any that is free.
        workers: How many processes serve.
        prefix: What stands in front of each path, such as ``/mlflow``.
        serve_artifacts: Whether clients read and write artifacts through the server; else they are told where they are.
        allowed_hosts: Names by which the server may be called besides its own address.
        ssl_keyfile: Key of the certificate, for TLS.
        ssl_certfile: The certificate.
        access_log: Whether to write a line of JSON on stderr for each request.
        no_auth: Whether other machines may use it though nobody is asked who they are.
    """

    host: str = "127.0.0.1"
    port: int = 5000
    workers: int = 1
    prefix: str = ""
    serve_artifacts: bool = True
    allowed_hosts: tuple[str, ...] = ()
    ssl_keyfile: Path | None = None
    ssl_certfile: Path | None = None
    access_log: bool = False
    no_auth: bool = False

    def check(self) -> None:
        """Check that this is a server that may be started.

        Raises:
            InvalidSetting: It may not; the message says why.
        """
        if not self.no_auth and not is_loopback(self.host):
            raise InvalidSetting(
                f"--host {self.host} lets other machines in, and nobody is asked who they are: put a proxy that does "
                "in front of 127.0.0.1, or give --insecure-no-auth where every user of the network may read, change "
                "and delete all"
            )
        if self.workers < 1:
            raise InvalidSetting(f"--workers is {self.workers}: wanted 1 or more")
        if self.workers > 1 and not hasattr(os, "fork"):
            raise InvalidSetting("--workers: this system cannot share a socket among processes; use 1")
        if self.prefix and not _PREFIX.fullmatch(self.prefix):
            raise InvalidSetting(
                f"--static-prefix is {self.prefix!r}: wanted one that begins with / and ends without, of letters, "
                "digits and . _ ~ -"
            )
        if (self.ssl_keyfile is None) != (self.ssl_certfile is None):
            raise InvalidSetting("--ssl-keyfile and --ssl-certfile: wanted both, or none")
        for option, file in (("--ssl-keyfile", self.ssl_keyfile), ("--ssl-certfile", self.ssl_certfile)):
            if file is not None and not file.is_file():
                raise InvalidSetting(f"{option}: there is no file {file}")


def is_loopback(host: str) -> bool:
    """Tell whether an address is one that only this machine has."""
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def serve(settings: Settings, options: ServerOptions, say: Callable[[str], None]) -> int:
    """Serve until a signal says to stop: requests that have begun are answered, stores are closed.

    Args:
        settings: Where runs and artifacts are kept.
        options: How to serve them.
        say: Takes lines for the user.

    Returns:
        The exit code: 0 after SIGTERM, 130 after SIGINT, 1 if its workers kept dying.

    Raises:
        InvalidSetting: The options or the settings cannot be used.
        ServiceError: The port is taken, or the address is none of this machine.
        StoreError: The store cannot be written, or was made by a newer version.
    """
    options.check()
    place = _prepare(settings)
    if options.workers > 1:
        _try_out(settings, options)
    listener = _listen(options)
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(name)s: %(message)s")
    counts = Counts(options.workers)
    if options.no_auth and not is_loopback(options.host):
        say("warning: whoever reaches this server can read, change and delete all that it has (--insecure-no-auth)")

    def ready(stores: Stores) -> None:
        if options.serve_artifacts and (note := _elsewhere(stores)) is not None:
            say(note)
        say(f"serving {_address(options, listener)} from {place} (pid {os.getpid()})")

    with listener:
        work = partial(_work, settings, options, counts, listener, ready)
        if options.workers == 1:
            return work(0, None)
        gc.collect()
        gc.freeze()  # what is there is left alone, and with it the memory that workers share
        return Supervisor(options.workers, work, grace=settings.grace + 2.0, close=listener.close).run()


def _prepare(settings: Settings) -> str:
    """Make or upgrade the schema, once for all workers, and see that it can be written; return its place for people.

    What was opened is closed again: nothing that a fork would copy stays.
    """
    if (other := named_tracking(settings)) is not None:
        raise InvalidSetting(
            f"the store is {other}, another server: wanted --backend-store-uri with a database, such "
            "as sqlite:////path/to/toolkit.db or postgresql://host/database"
        )
    database = settings_database(settings, by="--backend-store-uri, or the setting in its place")
    try:
        ensure_schema(database)
        with database.write():  # nothing: a file that cannot be written says so now
            pass
    finally:
        database.close()
    return database.place


def _try_out(settings: Settings, options: ServerOptions) -> None:
    """Open what each worker will open, so that what is wrong is said once, and not by each of them again and again."""
    open_stores(settings).close()
    if options.ssl_certfile is not None:
        _check_certificate(options.ssl_certfile, options.ssl_keyfile)


def _check_certificate(certificate: Path, key: Path | None) -> None:
    import ssl  # noqa: PLC0415 - only for those who use it

    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(certificate, key)
    except OSError as error:  # ssl's own errors are among them
        raise _bad_certificate(error) from None


def _bad_certificate(error: OSError) -> InvalidSetting:
    return InvalidSetting(f"--ssl-keyfile and --ssl-certfile cannot be used: {error}")


def _listen(options: ServerOptions) -> socket.socket:
    """Return a socket that listens, to be shared by all workers."""
    try:
        found = socket.getaddrinfo(options.host, options.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        family, kind, number, _, address = found[0]
        listener = socket.socket(family, kind, number)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen(BACKLOG)
    except OSError as error:
        reason = "another program listens there" if error.errno == errno.EADDRINUSE else error.strerror or str(error)
        other = "--port" if error.errno in (errno.EADDRINUSE, errno.EACCES) else "--host"
        raise ServiceError(
            f"cannot listen on {options.host} port {options.port}: {reason}; choose another with {other}"
        ) from None
    return listener


def _address(options: ServerOptions, listener: socket.socket) -> str:
    scheme = "http" if options.ssl_certfile is None else "https"
    host = f"[{options.host}]" if ":" in options.host else options.host
    return f"{scheme}://{host}:{listener.getsockname()[1]}{options.prefix}"


def _work(
    settings: Settings,
    options: ServerOptions,
    counts: Counts,
    listener: socket.socket,
    ready: Callable[[Stores], None],
    number: int,
    parent: int | None,
) -> int:
    """Be a worker; return its exit code.

    Args:
        settings: Where runs and artifacts are kept.
        options: How to serve them.
        counts: What all workers count into.
        listener: Where connections come from.
        ready: Says that the server serves these stores.
        number: Of the worker, from 0.
        parent: What can be read from when the process that looks after the workers has ended.
    """
    stores = open_stores(settings)
    try:
        begins = number == 0 and not counts.has_begun(0)
        app = _application(settings, options, stores)
        server = _Server(_configuration(app, settings, options, counts.worker(number)), app.state.stopping)
        server.hear(ctrl_c=parent is None)
        if parent is not None:
            threading.Thread(target=server.stop_with, args=(parent,), daemon=True).start()
        sweeper = Sweeper(partial(sweep, stores, settings), every=settings.lease / _SWEEPS_PER_LEASE)
        courier = _courier(stores, settings)
        if number == 0:  # one process is enough
            sweeper.start()
            courier.start()
        gc.freeze()
        gc.set_threshold(*_COLLECT)
        if begins:
            ready(stores)
        making = threading.Timer(_AT_REST, _make_api, (app,))
        making.daemon = True
        making.start()
        server.serve_until_told(listener)
        making.cancel()
        sweeper.stop()
        courier.stop(settings.grace)
    finally:
        stores.close()
    return server.exit_code


def _make_api(app: Starlette) -> None:
    """Make what the start left out, so that nobody has to wait for it; what is there then stays, and is left alone."""
    app.state.api.make()
    gc.freeze()


def _elsewhere(stores: Stores) -> str | None:
    """Say which experiments keep artifacts where this server does not: it was another one's when they were made."""
    found = stores.runs.search_experiments(SearchQuery(limit=_LOOKED_AT)).items
    names = [each.name for each in found if below_root(each.artifact_location, stores.artifact_root) is None]
    if not names:
        return None
    told = ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
    return (
        f"warning: the artifacts of {told} stay where they were when this was set up, for clients that reach it "
        f"themselves; new experiments keep theirs in {stores.artifact_root}"
    )


def _courier(stores: Stores, settings: Settings) -> CourierThread:
    assert stores.database is not None  # a server has one: `_prepare`
    return CourierThread(open_courier(stores.database, settings, logger.info))


def _application(settings: Settings, options: ServerOptions, stores: Stores) -> Starlette:
    return make_app(
        stores,
        serve_artifacts=options.serve_artifacts,
        prefix=options.prefix,
        limits=Limits(size=settings.upload_limit, reserve=settings.upload_reserve),
        allowed_hosts=options.allowed_hosts,
        change_from_pages=settings.change_from_pages,
    )


def _configuration(
    app: Starlette, settings: Settings, options: ServerOptions, counting: WorkerCounts
) -> uvicorn.Config:
    app.router.routes.append(Route(f"{options.prefix}/metrics", _metrics(counting)))
    config = uvicorn.Config(
        Observed(app, counting, sys.stderr if options.access_log else None),
        http=BoundedHttp,
        ws="none",
        lifespan="off",
        log_config=None,
        log_level="warning",
        access_log=False,
        proxy_headers=False,
        server_header=False,
        backlog=BACKLOG,
        timeout_keep_alive=_KEEP_ALIVE,
        timeout_graceful_shutdown=max(1, round(settings.grace)),
        ssl_keyfile=None if options.ssl_keyfile is None else str(options.ssl_keyfile),
        ssl_certfile=None if options.ssl_certfile is None else str(options.ssl_certfile),
    )
    try:
        config.load()
    except OSError as error:  # ssl's own errors are among them
        raise _bad_certificate(error) from None
    return config


def _metrics(counting: WorkerCounts) -> Callable[[Request], Response]:
    def metrics(request: Request) -> Response:  # noqa: ARG001 - the form of an endpoint
        return Response(counting.text(), media_type=MEDIA_TYPE)

    return metrics


class _Server(uvicorn.Server):
    """uvicorn's server, which keeps the signal that ended it to itself.

    Args:
        config: Its configuration.
        stopping: Set when it stops: answers without end then end.
    """

    def __init__(self, config: uvicorn.Config, stopping: threading.Event) -> None:
        super().__init__(config)
        self.exit_code = 0
        self._stopping = stopping
        self._heeds_ctrl_c = True

    def serve_until_told(self, listener: socket.socket) -> None:
        """Serve until SIGTERM or SIGINT, or until `stop_with` says so."""
        self.run(sockets=[listener])

    def hear(self, *, ctrl_c: bool) -> None:
        """Heed signals from now on.

        Args:
            ctrl_c: Whether SIGINT is meant for this process; else another one hears it too, and tells this one.
        """
        self._heeds_ctrl_c = ctrl_c
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self.handle_exit)

    def stop_with(self, parent: int) -> None:
        """Stop when nothing can be read from a pipe any more; to be run by a thread."""
        os.read(parent, 1)
        self.should_exit = True

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Accept nothing more, and end when what was begun is answered, or after the grace."""
        self._stopping.set()
        await super().shutdown(sockets)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:  # noqa: ARG002 - uvicorn's own
        """Stop in order; the second Ctrl-C at once."""
        if sig == signal.SIGINT and not self._heeds_ctrl_c:
            return
        if self.should_exit and sig == signal.SIGINT:
            self.force_exit = True
        self.should_exit = True
        self.exit_code = 130 if sig == signal.SIGINT else 0
