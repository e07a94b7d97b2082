"""Answers about artifacts: what is said of a request that was done, and of one that failed."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from toolkit.server.artifacts.body import Cut
from toolkit.server.artifacts.download import Damaged
from toolkit.server.artifacts.upload import TooSlow
from toolkit.server.wire import errors, routes
from toolkit.server.wire.messages import Message, encode

logger = logging.getLogger("toolkit.server")

Handler = Callable[[Scope, Receive, Send], Awaitable[None]]

_JSON = "application/json"


class Answering:
    """An ASGI application whose errors become answers.

    Args:
        handler: Answers one request.
    """

    def __init__(self, handler: Handler) -> None:
        self._handler = handler

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        try:
            await self._handler(scope, receive, send)
        except Cut:
            return  # nobody is there who could be told
        except Damaged as error:
            logger.error("%s", error)
            return  # the answer has begun: the server closes the connection, and so says that it is not whole
        except TooSlow:
            body = errors.body("DEADLINE_EXCEEDED", "the upload came too slowly, and was given up")
            await Response(encode(body), 408, {"connection": "close"}, media_type=_JSON)(scope, receive, send)
        except Exception as error:  # noqa: BLE001 - a client gets an answer, whatever happens
            await routes.failure(error)(scope, receive, send)


async def answer(message: Message, scope: Scope, receive: Receive, send: Send, *, etag: str | None = None) -> None:
    """Answer that all is well."""
    headers = None if etag is None else {"etag": f'"{etag}"'}
    await Response(encode(message), media_type=_JSON, headers=headers)(scope, receive, send)


async def not_implemented(words: str, scope: Scope, receive: Receive, send: Send) -> None:
    """Answer that there is no such thing here, in the words that MLflow's clients wait for."""
    await Response(encode(errors.body("NOT_IMPLEMENTED", words)), 501, media_type=_JSON)(scope, receive, send)
