"""MLflow's artifact proxy, and downloads by run, as routes."""

from __future__ import annotations

from functools import partial

from anyio.to_thread import run_sync
from starlette.routing import BaseRoute, Route
from starlette.types import Receive, Scope, Send

from toolkit.errors import Forbidden, InvalidValue
from toolkit.recording.stores import Stores
from toolkit.registry.names import read_version
from toolkit.server.artifacts import address
from toolkit.server.artifacts.answering import Answering, answer, not_implemented
from toolkit.server.artifacts.download import Downloads
from toolkit.server.artifacts.files import Files, Limits
from toolkit.server.artifacts.multipart import PARTS, Multipart
from toolkit.server.artifacts.parts import Parts
from toolkit.server.artifacts.upload import Target, Uploads
from toolkit.wiring.registry import open_catalog

BASES = ("/api/2.0/mlflow-artifacts/", "/ajax-api/2.0/mlflow-artifacts/")
STREAMED = tuple(f"{base}{files}" for base in BASES for files in ("artifacts/", PARTS))
"""Paths whose bodies are not read into memory: their size has a limit of its own."""

_NO_PRESIGNED = "Multipart download is not supported for the current artifact repository"
_SWITCHED_OFF = (
    "Endpoint disabled due to the server running with `--no-serve-artifacts`: read and write artifacts there"
)


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
    files = Files(stores, open_catalog(stores), limits)
    proxy = Proxy(files, serve=serve)
    parts = Parts(files, stores.home / "uploads")
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
            *Multipart(parts, proxy.uploads, serve=proxy.served, base=start).routes(),
            Route(f"{start}presigned/{{path:path}}", Answering(_no_presigned), methods=["GET"]),
        ]
    for method, path, handler in (
        ("GET", "/get-artifact", proxy.of_run),
        ("GET", "/model-versions/get-artifact", proxy.of_version),
        ("GET", "/ajax-api/2.0/mlflow/logged-models/{model_id}/artifacts/files", proxy.of_model),
        ("POST", "/ajax-api/2.0/mlflow/upload-artifact", proxy.upload),
    ):
        found.append(Route(f"{prefix}{path}", Answering(handler), methods=[method]))
    return found


class Proxy:
    """MLflow's artifact proxy.

    Args:
        files: What it gives out.
        serve: Whether it does.
    """

    def __init__(self, files: Files, *, serve: bool = True) -> None:
        self._files = files
        self._serve = serve
        self.uploads = Uploads(files)
        self._downloads = Downloads()

    async def list(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer with the names in a folder: MLflow's clients tell by its being empty that a path is a file."""
        key = address.of_query(scope["query_string"], "path").get("path", "")
        place = self.served(key.rstrip("/"))
        found = await run_sync(self._files.folder, place)
        items = [
            {"path": entry.name, "is_dir": True}
            if entry.size is None
            else {"path": entry.name, "is_dir": False, "file_size": entry.size}
            for entry in found
        ]
        await answer({"files": items} if items else {}, scope, receive, send)

    async def put(self, place: address.Address, scope: Scope, receive: Receive, send: Send) -> None:
        """Store a file."""
        stored = await self.uploads.take(self._target(place), scope, receive)
        await answer({}, scope, receive, send, etag=stored.sha256)

    def _target(self, place: address.Address) -> Target:
        return Target(
            check=partial(self._files.check_writable, place),
            room=self._files.check_room,
            store=partial(self._files.store, place),
        )

    async def get(self, place: address.Address, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002 - the form of a handler
        """Send a file."""
        await self._downloads.give(await run_sync(self._files.open, place), scope, send)

    async def delete(self, place: address.Address, scope: Scope, receive: Receive, send: Send) -> None:
        """Remove a file, or all in a folder."""
        await run_sync(self._files.delete, place)
        await answer({}, scope, receive, send)

    async def of_run(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send a file that is named by its run and its path."""
        fields = address.of_query(scope["query_string"], "run_id", "run_uuid", "path")
        run_id = fields.get("run_id") or fields.get("run_uuid")
        if not run_id or not fields.get("path"):
            raise InvalidValue("wanted /get-artifact?run_id=…&path=…")
        place = await run_sync(self._files.of_run, run_id, fields["path"])
        await self.get(place, scope, receive, send)

    async def upload(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Store a small file that is named by its run and its path, as pages do."""
        fields = address.of_query(scope["query_string"], "run_id", "run_uuid", "path")
        run_id = fields.get("run_id") or fields.get("run_uuid")
        if not run_id:
            raise InvalidValue("Request must specify run_uuid.")
        if not fields.get("path"):
            raise InvalidValue("Request must specify path.")
        place = await run_sync(self._files.of_run, run_id, fields["path"])
        await self.put(self.served(place.key), scope, receive, send)

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

    def served(self, key: str) -> address.Address:
        """Return what a key means.

        Raises:
            Forbidden: It is no artifact's place, or nothing is served here.
            InvalidValue: It is no clean path.
        """
        if not self._serve:
            raise Forbidden(_SWITCHED_OFF)
        return address.read(key)


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
        await self._verbs[scope["method"]](self._proxy.served(address.of_path(raw)), scope, receive, send)


async def _no_presigned(scope: Scope, receive: Receive, send: Send) -> None:
    """Say that no addresses are signed: clients that were told to ask then read the file from here."""
    await not_implemented(_NO_PRESIGNED, scope, receive, send)
