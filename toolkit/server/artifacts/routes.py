"""MLflow's artifact proxy, and downloads by run, as routes."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable

from anyio.to_thread import run_sync
from starlette.responses import Response
from starlette.routing import BaseRoute, Route
from starlette.types import Receive, Scope, Send

from toolkit.errors import Forbidden, InvalidValue
from toolkit.recording.stores import Stores
from toolkit.registry.names import read_version
from toolkit.server.artifacts import address
from toolkit.server.artifacts.body import Cut
from toolkit.server.artifacts.download import Damaged, Downloads
from toolkit.server.artifacts.files import Files, Limits
from toolkit.server.artifacts.upload import TooSlow, Uploads
from toolkit.server.wire import errors, routes
from toolkit.server.wire.messages import Message, encode
from toolkit.wiring import open_catalog

logger = logging.getLogger("toolkit.server")

BASES = ("/api/2.0/mlflow-artifacts/", "/ajax-api/2.0/mlflow-artifacts/")
STREAMED = tuple(f"{base}artifacts/" for base in BASES)
"""Paths whose bodies are not read into memory: their size has a limit of its own."""

_NO_MULTIPART = "Multipart upload is not supported for the current artifact repository"
_NO_PRESIGNED = "Multipart download is not supported for the current artifact repository"
_SWITCHED_OFF = (
    "Endpoint disabled due to the server running with `--no-serve-artifacts`: read and write artifacts there"
)

Handler = Callable[[Scope, Receive, Send], Awaitable[None]]


def artifact_routes(
    stores: Stores, *, limits: Limits | None = None, serve: bool = True, prefix: str = ""
) -> list[BaseRoute]:
    """Return the routes.

    Args:
        stores: Whose artifacts they give out and take.
        limits: What uploads may take.
        serve: Whether artifacts go through this server at all.
        prefix: What stands in front of each path.
    """
    proxy = Proxy(Files(stores, open_catalog(stores), limits), serve=serve)
    found: list[BaseRoute] = []
    for base in BASES:
        start = f"{prefix}{base}"
        found += [
            Route(f"{start}artifacts", Answering(proxy.list), methods=["GET"]),
            Route(
                f"{start}artifacts/{{path:path}}",
                Answering(_Files(proxy, f"{start}artifacts/")),
                methods=["GET", "PUT", "DELETE"],
            ),
            Route(f"{start}mpu/{{path:path}}", Answering(_no_multipart), methods=["POST"]),
            Route(f"{start}presigned/{{path:path}}", Answering(_no_presigned), methods=["GET"]),
        ]
    for path, handler in (
        ("/get-artifact", proxy.of_run),
        ("/model-versions/get-artifact", proxy.of_version),
        ("/ajax-api/2.0/mlflow/logged-models/{model_id}/artifacts/files", proxy.of_model),
    ):
        found.append(Route(f"{prefix}{path}", Answering(handler), methods=["GET"]))
    return found


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
            raise
        except TooSlow:
            body = errors.body("DEADLINE_EXCEEDED", "the upload came too slowly, and was given up")
            await Response(encode(body), 408, {"connection": "close"}, media_type=_JSON)(scope, receive, send)
        except Exception as error:  # noqa: BLE001 - a client gets an answer, whatever happens
            await routes.failure(error)(scope, receive, send)


class Proxy:
    """MLflow's artifact proxy.

    Args:
        files: What it gives out.
        serve: Whether it does.
    """

    def __init__(self, files: Files, *, serve: bool = True) -> None:
        self._files = files
        self._serve = serve
        self._uploads = Uploads(files)
        self._downloads = Downloads()

    async def list(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer with the names in a folder: MLflow's clients tell by its being empty that a path is a file."""
        self._check_served()
        key = address.of_query(scope["query_string"], "path").get("path", "")
        place = address.read(key.rstrip("/"))
        found = await run_sync(self._files.folder, place)
        items = [
            {"path": entry.name, "is_dir": True}
            if entry.size is None
            else {"path": entry.name, "is_dir": False, "file_size": entry.size}
            for entry in found
        ]
        await _answer({"files": items} if items else {}, scope, receive, send)

    async def put(self, place: address.Address, scope: Scope, receive: Receive, send: Send) -> None:
        """Store a file."""
        stored = await self._uploads.take(place, scope, receive)
        response = Response(encode({}), media_type=_JSON, headers={"etag": f'"{stored.sha256}"'})
        await response(scope, receive, send)

    async def get(self, place: address.Address, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002 - the form of a handler
        """Send a file."""
        await self._downloads.give(await run_sync(self._files.open, place), scope, send)

    async def delete(self, place: address.Address, scope: Scope, receive: Receive, send: Send) -> None:
        """Remove a file, or all in a folder."""
        await run_sync(self._files.delete, place)
        await _answer({}, scope, receive, send)

    async def of_run(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send a file that is named by its run and its path."""
        fields = address.of_query(scope["query_string"], "run_id", "run_uuid", "path")
        run_id = fields.get("run_id") or fields.get("run_uuid")
        if not run_id or not fields.get("path"):
            raise InvalidValue("wanted /get-artifact?run_id=…&path=…")
        place = await run_sync(self._files.of_run, run_id, fields["path"])
        await self.get(place, scope, receive, send)

    async def of_model(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send a file that is named by its logged model and its path."""
        fields = address.of_query(scope["query_string"], "artifact_file_path")
        if not fields.get("artifact_file_path"):
            raise InvalidValue("wanted …/artifacts/files?artifact_file_path=…")
        model_id = scope["path_params"]["model_id"]
        place = await run_sync(self._files.of_model, model_id, fields["artifact_file_path"])
        await self.get(place, scope, receive, send)

    async def of_version(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send a file that is named by its registered model, the version's number, and its path."""
        fields = address.of_query(scope["query_string"], "name", "version", "path")
        if not all(fields.get(name) for name in ("name", "version", "path")):
            raise InvalidValue("wanted /model-versions/get-artifact?name=…&version=…&path=…")
        version = read_version(fields["version"])
        place = await run_sync(self._files.of_version, fields["name"], version, fields["path"])
        await self.get(place, scope, receive, send)

    def served(self, raw: bytes) -> address.Address:
        """Return what the end of a path means.

        Raises:
            Forbidden: It is no artifact's place, or nothing is served here.
            InvalidValue: It is no clean path.
        """
        self._check_served()
        return address.read(address.of_path(raw))

    def _check_served(self) -> None:
        if not self._serve:
            raise Forbidden(_SWITCHED_OFF)


class _Files:
    """The files of the proxy by their path."""

    def __init__(self, proxy: Proxy, start: str) -> None:
        self._proxy = proxy
        self._start = start.encode()
        self._verbs = {"GET": proxy.get, "HEAD": proxy.get, "PUT": proxy.put, "DELETE": proxy.delete}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        raw: bytes = scope["raw_path"]
        if not raw.startswith(self._start):
            raise InvalidValue(f"wanted a path below {self._start.decode()}, not percent-encoded")
        raw = raw[len(self._start) :]
        if scope["query_string"]:  # MLflow's client does not encode a "?" in a name
            raw += b"?" + scope["query_string"]
        await self._verbs[scope["method"]](self._proxy.served(raw), scope, receive, send)


_JSON = "application/json"


async def _answer(message: Message, scope: Scope, receive: Receive, send: Send) -> None:
    await Response(encode(message), media_type=_JSON)(scope, receive, send)


async def _no_multipart(scope: Scope, receive: Receive, send: Send) -> None:
    """Say that there are no uploads in parts: clients read these words and send the file in one."""
    body = encode(errors.body("NOT_IMPLEMENTED", _NO_MULTIPART))
    await Response(body, 501, media_type=_JSON)(scope, receive, send)


async def _no_presigned(scope: Scope, receive: Receive, send: Send) -> None:
    body = encode(errors.body("NOT_IMPLEMENTED", _NO_PRESIGNED))
    await Response(body, 501, media_type=_JSON)(scope, receive, send)
