"""A process that answers for a Bento on this machine. The supervisor runs this file as a script.

It imports nothing of toolkit, for a Bento brings its own: what is imported by that name is the Bento's. It listens on
a private address from the start, and on the public one whenever the supervisor lends it that socket. When it leaves
the public address, it goes on answering the connections that it has: each next answer says ``Connection: close``, so
that a client comes again by a new connection, which somebody else takes.

What is said over the control socket, a byte each: we say ``R`` when the model is loaded and answers are given, ``o``
and ``c`` when the public address is open or closed; we are told ``O`` (with a socket) to open it, ``C`` to close it,
``E`` to end in order, ``Q`` to end as soon as what was begun is answered. The end of that socket means the same: who
started us is gone.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import gc
import logging
import signal
import socket
import sys
from collections.abc import Awaitable, Callable, Iterator, MutableMapping
from typing import Any

import uvicorn

KEEP_ALIVE = 5
"""Seconds that a connection may be idle."""
PATIENCE = KEEP_ALIVE + 1.0
"""Seconds that idle connections get to go by themselves when the public address is left."""

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[MutableMapping[str, Any], Receive, Send], Awaitable[None]]

logger = logging.getLogger("toolkit.worker")


class Listener(uvicorn.Server):
    """The app on one socket. Signals are not its own to take: there may be several."""

    def __init__(self, app: App, *, lifespan: bool) -> None:
        self.leaving = False
        super().__init__(
            uvicorn.Config(
                self._closing(app),
                lifespan="on" if lifespan else "off",
                timeout_keep_alive=KEEP_ALIVE,
                server_header=False,
                access_log=False,
                log_config=None,
            )
        )

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave signals alone."""
        yield

    async def leave(self) -> None:
        """Take no new connection, and end when those that there are have gone."""
        self.leaving = True
        for server in self.servers:
            server.close()
        until = asyncio.get_running_loop().time() + PATIENCE
        while self.server_state.connections and asyncio.get_running_loop().time() < until:
            await asyncio.sleep(0.05)
        self.should_exit = True  # those that are idle still are closed; those that wait for an answer get it

    def _closing(self, app: App) -> App:
        """Return the app, whose answers end their connections once we leave."""

        async def answer(scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
            async def tell(message: Message) -> None:
                if self.leaving and message["type"] == "http.response.start":
                    message["headers"] = [*message.get("headers", ()), (b"connection", b"close")]
                await send(message)

            await app(scope, receive, tell if scope["type"] == "http" else send)

        return answer


class Worker:
    """One process of a release: its private listener, and the public one while it has that.

    Args:
        app: The service.
        private: The socket of the private address.
        control: Where the supervisor talks to us.
    """

    def __init__(self, app: App, private: socket.socket, control: socket.socket) -> None:
        self._app = app
        self._private = private
        self._control = control
        self._public: Listener | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._end = asyncio.Event()

    async def run(self) -> None:
        """Answer until told to end."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._told, b"Q")
        own = Listener(self._app, lifespan=True)
        serving = asyncio.create_task(own.serve([self._private]))
        while not own.started:
            if serving.done():
                return await serving  # it has said why
            await asyncio.sleep(0.01)
        gc.freeze()
        gc.enable()
        self._control.setblocking(False)
        loop.add_reader(self._control, self._heard)
        self._say(b"R")
        ending = asyncio.create_task(self._end.wait())
        await asyncio.wait((ending, serving), return_when=asyncio.FIRST_COMPLETED)
        loop.remove_reader(self._control)
        self._close()
        while self._tasks:
            await asyncio.wait(self._tasks)
        own.should_exit = True
        return await serving

    def _heard(self) -> None:
        try:
            data, descriptors, _, _ = socket.recv_fds(self._control, 1, 1)
        except BlockingIOError:
            return
        except OSError:
            data, descriptors = b"", []
        self._told(data or b"Q", *descriptors)

    def _told(self, what: bytes, *descriptors: int) -> None:
        if what == b"O" and descriptors:
            self._spawn(self._open(socket.socket(fileno=descriptors[0])))
        elif what == b"C":
            self._close()
            self._say(b"c")
        elif what in (b"E", b"Q"):
            if what == b"Q" and self._public is not None:
                self._public.should_exit = True
            self._end.set()

    async def _open(self, door: socket.socket) -> None:
        self._close()
        self._public = listener = Listener(self._app, lifespan=False)
        serving = asyncio.create_task(listener.serve([door]))
        while not listener.started and not serving.done():
            await asyncio.sleep(0.01)
        if listener.started:
            self._say(b"o")
        await serving

    def _close(self) -> None:
        """Leave the public address, if we have it."""
        listener, self._public = self._public, None
        if listener is not None and listener.started:
            self._spawn(listener.leave())

    def _spawn(self, work: Any) -> None:  # noqa: ANN401 - a coroutine
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _say(self, what: bytes) -> None:
        with contextlib.suppress(OSError):
            self._control.send(what)


def load(bento: str, number: int) -> App:
    """Return the app of a Bento's service, as BentoML's own worker makes it.

    Args:
        bento: The Bento's tag.
        number: Which worker of the release this is, from 1.
    """
    import bentoml  # noqa: PLC0415 - once the collector is off

    context = bentoml.server_context
    context.worker_index = number
    context.service_type = "entry_service"
    service: Any = bentoml.load(bentoml.Tag.from_str(bento), standalone_load=True)
    context.service_name = service.name
    context.service_routes = [api.route for api in service.apis.values()]
    context.bento_name = service.bento.tag.name
    context.bento_version = service.bento.tag.version
    app: App = service.to_asgi()
    return app


def main() -> None:
    """Serve the Bento that the arguments name."""
    parser = argparse.ArgumentParser(description="Answer for a Bento, under a supervisor.")
    parser.add_argument("bento", help="The Bento's tag.")
    parser.add_argument("--private", type=int, required=True, help="Descriptor of the private address's socket.")
    parser.add_argument("--control", type=int, required=True, help="Descriptor of the socket to the supervisor.")
    parser.add_argument("--number", type=int, required=True, help="Which worker this is, from 1.")
    given = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    logging.getLogger("uvicorn").setLevel(logging.WARNING)
    private, control = socket.socket(fileno=given.private), socket.socket(fileno=given.control)
    gc.disable()  # the collector would look again and again through imports that stay: a sixth of the start
    app = load(given.bento, given.number)
    worker = Worker(app, private, control)
    loop = uvicorn.Config(app, log_config=None).get_loop_factory()
    with asyncio.Runner(loop_factory=loop) as runner:
        runner.run(worker.run())
    logger.info("worker %d has ended in order", given.number)
    sys.stdout.flush()
    gc.freeze()  # what was imported is not looked through once more: the process goes


if __name__ == "__main__":
    main()
