"""The supervisor's side of `control`: commands come as HTTP, and are answered in JSON."""

from __future__ import annotations

import contextlib
import hmac
import json
from collections.abc import Awaitable, Callable, Iterator, MutableMapping
from typing import TYPE_CHECKING, Any

import uvicorn

from toolkit.deployments.supervised import Wanted
from toolkit.errors import Conflict, NotFound

if TYPE_CHECKING:
    from toolkit.deployments.supervisor import Supervisor

_LONGEST = 2**20

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Message, Receive, Send], Awaitable[None]]


class Listening(uvicorn.Server):
    """What listens for commands. Signals are the supervisor's."""

    def __init__(self, app: App, port: int) -> None:
        super().__init__(
            uvicorn.Config(
                app,
                host="127.0.0.1",
                port=port,
                lifespan="off",
                loop="asyncio",
                http="h11",
                log_config=None,
                access_log=False,
                server_header=False,
                timeout_graceful_shutdown=2,
            )
        )

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave signals alone."""
        yield


def app(supervisor: Supervisor, token: str) -> App:
    """Return the supervisor as an ASGI app."""
    expected = f"Bearer {token}".encode()

    async def answer(scope: Message, receive: Receive, send: Send) -> None:
        if scope["path"] == "/ping":
            return await _send(send, 200, b"OK")
        given = dict(scope["headers"]).get(b"authorization", b"")
        if not hmac.compare_digest(given, expected):
            return await _send(send, 401, b'{"error": "the token is not the one of this supervisor"}')
        status, content = await _answered(supervisor, scope["method"], scope["path"], await _body(receive))
        return await _send(send, status, json.dumps(content).encode())

    return answer


async def _answered(supervisor: Supervisor, method: str, path: str, body: bytes) -> tuple[int, dict[str, Any]]:
    try:
        match method, path.strip("/").split("/"):
            case "GET", ["releases"]:
                return 200, {"releases": supervisor.all()}
            case "POST", ["releases"]:
                return 200, await supervisor.start(Wanted(**json.loads(body)))
            case "GET", ["releases", identity]:
                return 200, supervisor.one(identity)
            case "DELETE", ["releases", identity]:
                await supervisor.stop(identity)
                return 200, {}
            case "POST", ["releases", identity, "switch"]:
                return 200, await supervisor.switch(identity)
    except NotFound as error:
        return 404, {"error": str(error)}
    except Conflict as error:
        return 409, {"error": str(error)}
    except (OSError, ValueError, TypeError) as error:
        return 500, {"error": str(error)}
    return 404, {"error": f"there is no {method} {path}"}


async def _body(receive: Receive) -> bytes:
    body = b""
    while len(body) <= _LONGEST:
        message = await receive()
        body += message.get("body", b"")
        if not message.get("more_body"):
            break
    return body


async def _send(send: Send, status: int, content: bytes) -> None:
    headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(content))]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": content})
