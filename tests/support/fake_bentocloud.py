"""The part of BentoCloud's API that BentoML's own command asks when it deploys a Bento that is there already."""

from __future__ import annotations

import contextlib
import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit

TOKEN = "a-token-of-the-cloud"
_WHEN = {"uid": "u", "created_at": "2026-01-01T00:00:00Z", "updated_at": None, "deleted_at": None}
_ME = {"name": "me", "email": "me@example.com", "first_name": "", "last_name": ""}


def _resource(kind: str, name: str) -> dict[str, Any]:
    return {**_WHEN, "name": name, "resource_type": kind, "labels": []}


@dataclass
class FakeBentoCloud:
    """BentoCloud.

    Attributes:
        address: Of its API.
        deployments: What was asked for, by name.
        broken: Bentos whose replicas do not run.
        asked: The path, the token and the body of each request to a deployment itself.
    """

    address: str = ""
    deployments: dict[str, dict[str, Any]] = field(default_factory=dict)
    broken: set[str] = field(default_factory=set)
    asked: list[tuple[str, str, bytes]] = field(default_factory=list)

    def variables(self) -> dict[str, str]:
        """Return the variables of a login."""
        return {"BENTO_CLOUD_API_KEY": TOKEN, "BENTO_CLOUD_API_ENDPOINT": self.address}

    def handle(self, method: str, path: str, body: bytes, token: str) -> tuple[int, object]:
        parts = path.strip("/").split("/")
        if parts[0] == "at":
            self.asked.append(("/" + "/".join(parts[2:]), token, body))
            return 200, {"served by": parts[1]}
        if token != TOKEN:
            return 401, {"error": "unauthorized"}
        if parts[2] == "bento_repositories":
            return 200, _bento(parts[3], parts[5])
        if parts[1:] == ["v2", "deployments"]:
            if method == "POST":
                told = json.loads(body)
                self.deployments[told["name"]] = told
                return 200, self._shown(told["name"])
            items = [self._shown(name) for name in self.deployments]
            return 200, {"start": 0, "count": len(items), "total": len(items), "items": items}
        name = parts[3]
        if name not in self.deployments:
            return 404, {"error": "record not found"}
        if method == "PUT":
            self.deployments[name] = {"name": name, **json.loads(body)}
        shown = self._shown(name)
        if parts[4:] == ["terminate"]:
            self.deployments[name]["terminated"] = True
            shown = self._shown(name)
        if method == "DELETE":
            del self.deployments[name]
        return 200, shown

    def _shown(self, name: str) -> dict[str, Any]:
        told = self.deployments[name]
        repository, _, version = told["bento"].partition(":")
        bento = {**_bento(repository, version), "repository": _repository(repository)}
        config = {key: told.get(key) for key in ("access_authorization", "envs", "services")}
        target = {**_resource("deployment_target", "main"), "creator": _ME, "config": config, "bento": bento}
        revision = {**_resource("deployment_revision", "1"), "creator": _ME, "status": "active", "targets": [target]}
        status = "terminated" if told.get("terminated") else "failed" if told["bento"] in self.broken else "running"
        cluster = {**_resource("cluster", "default"), "description": "", "organization_name": "us", "creator": _ME}
        return {
            **_resource("deployment", name),
            "status": status,
            "kube_namespace": "us",
            "creator": _ME,
            "cluster": {**cluster, "is_first": True},
            "latest_revision": revision,
            "urls": [f"{self.address}/at/{name}"],
        }


def _repository(name: str) -> dict[str, Any]:
    return {**_resource("bento_repository", name), "description": "", "latest_bento": None}


def _bento(name: str, version: str) -> dict[str, Any]:
    manifest = {
        "service": "service:Wine",
        "bentoml_version": "1.4.39",
        "size_bytes": 1,
        "entry_service": "Wine",
        "name": name,
    }
    empty = ("description", "image_build_status", "upload_finished_reason")
    urls = ("presigned_upload_url", "presigned_download_url")
    return {
        **_resource("bento", version),
        **dict.fromkeys((*empty, *urls), ""),
        "version": version,
        "upload_status": "success",
        "manifest": manifest,
        "build_at": "2026-01-01T00:00:00Z",
    }


@contextlib.contextmanager
def running(cloud: FakeBentoCloud) -> Iterator[FakeBentoCloud]:
    """Let BentoCloud answer for a block."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *arguments: object) -> None:
            pass

        def _serve(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            token = self.headers.get("X-YATAI-API-TOKEN") or (self.headers.get("Authorization") or "").split(" ")[-1]
            try:
                status, told = cloud.handle(self.command, urlsplit(self.path).path, body, token)
            except Exception as error:  # noqa: BLE001 - what is wrong with a request is what its sender must see
                status, told = 422, {"error": f"{type(error).__name__}: {error}"}
            answer = json.dumps(told).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def __getattr__(self, name: str) -> object:
            return self._serve if name.startswith("do_") else object.__getattribute__(self, name)

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        cloud.address = f"http://127.0.0.1:{server.server_port}"
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield cloud
        finally:
            server.shutdown()
            thread.join()
