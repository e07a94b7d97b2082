"""The part of a Kubernetes cluster's API that a deployment uses, on this machine.

It holds each object that is applied against Kubernetes' own schemas, in the strict form, and merges as the API does.
A Deployment's pods are ready at once, or not, as `FakeCluster.pods` says; what is sent to a pod goes to a function.
"""

from __future__ import annotations

import contextlib
import functools
import json
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import kubernetes_validate.utils
import yaml

VERSIONS = ("1.33.0", "1.37.0")
TOKEN = "a-token-of-the-cluster"
Objects = dict[str, dict[str, Any]]

# A megabyte of JSON each time that something is held against it.
kubernetes_validate.utils.schema_contents = functools.cache(kubernetes_validate.utils.schema_contents)


def check_manifest(manifest: dict[str, Any]) -> None:
    """Hold an object against the schemas of the oldest and of the newest release that is looked after."""
    for version in VERSIONS:
        kubernetes_validate.validate(manifest, version, strict=True)


@dataclass
class FakeCluster:
    """A cluster.

    Attributes:
        answer: Answers what is sent to a pod: by the release of the pod, the path and the body.
        address: Of its API.
        kept: Its objects, by path.
        calls: The method and path of each request, in order.
        pods: What becomes of new pods: ``ready``, or why they wait.
        forbidden: What its user may not do: verbs and resources.
    """

    answer: Callable[[str, str, bytes], tuple[int, bytes]]
    address: str = ""
    kept: Objects = field(default_factory=dict)
    calls: list[tuple[str, str]] = field(default_factory=list)
    pods: str = "ready"
    forbidden: set[tuple[str, str]] = field(default_factory=set)

    def kubeconfig(self, file: Path) -> Path:
        """Write a file by which clients find the cluster."""
        entry = {"cluster": "fake", "user": "me"}
        told = {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "fake", "cluster": {"server": self.address}}],
            "users": [{"name": "me", "user": {"token": TOKEN}}],
            "contexts": [{"name": "fake", "context": entry}],
            "current-context": "fake",
        }
        file.write_text(yaml.safe_dump(told), encoding="utf-8")
        return file

    def names(self, plural: str) -> list[str]:
        """Return the names of the objects of a kind."""
        return sorted(path.rpartition("/")[2] for path in self.kept if path.split("/")[-2] == plural)

    def one(self, plural: str, name: str) -> dict[str, Any]:
        """Return an object."""
        return next(each for path, each in self.kept.items() if path.endswith(f"/{plural}/{name}"))

    # -- what the API does ---------------------------------------------------------------------------

    def handle(self, method: str, target: str, body: bytes) -> tuple[int, bytes | dict[str, Any]]:
        url = urlsplit(target)
        query = {key: values[0] for key, values in parse_qs(url.query).items()}
        self.calls.append((method, url.path))
        if url.path.endswith("/selfsubjectaccessreviews"):
            asked = json.loads(body)["spec"]["resourceAttributes"]
            resource = "/".join(filter(None, (asked["resource"], asked["subresource"])))
            return 201, {"status": {"allowed": (asked["verb"], resource) not in self.forbidden}}
        if "/proxy/" in url.path:
            pod, _, path = url.path.partition("/pods/")[2].partition("/proxy")
            return self.answer(pod.rpartition("-r")[2].partition("-")[0], path, body)
        if url.path.endswith("/log"):
            return 200, f"line 1 of {url.path.split('/')[-2]}\nline 2\n".encode()
        if method == "PATCH":
            return self._apply(url.path, query, json.loads(body))
        if method == "DELETE":
            return (200, {"kind": "Status"}) if self.kept.pop(url.path, None) else _missing(url.path)
        if url.path.endswith(("/pods", "/deployments")):
            return 200, {"items": self._listed(url.path, query.get("labelSelector", ""))}
        return (200, self.kept[url.path]) if url.path in self.kept else _missing(url.path)

    def _apply(self, path: str, query: dict[str, str], manifest: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        assert query == {"fieldManager": "toolkit", "force": "true"}
        check_manifest(manifest)
        assert path.endswith("/" + manifest["metadata"]["name"])
        generation = self.kept.get(path, {"metadata": {"generation": 0}})["metadata"]["generation"] + 1
        manifest["metadata"]["generation"] = generation
        self.kept[path] = manifest
        if manifest["kind"] == "Deployment":
            count = manifest["spec"]["replicas"] if self.pods == "ready" else 0
            manifest["status"] = {"observedGeneration": generation, "availableReplicas": count}
        return (201 if generation == 1 else 200), manifest

    def _listed(self, path: str, selector: str) -> list[dict[str, Any]]:
        wanted = dict(each.split("=") for each in selector.split(","))
        deployments = [each for each in self.kept.values() if each["kind"] == "Deployment"]
        found = deployments if path.endswith("/deployments") else [self._pod(each) for each in deployments]
        return [each for each in found if wanted.items() <= each["metadata"]["labels"].items()]

    def _pod(self, deployment: dict[str, Any]) -> dict[str, Any]:
        metadata = {"name": f"{deployment['metadata']['name']}-abc", "labels": deployment["metadata"]["labels"]}
        if self.pods == "ready":
            return {"metadata": metadata, "status": {"conditions": [{"type": "Ready", "status": "True"}]}}
        waiting = {"state": {"waiting": {"reason": self.pods, "message": "no such image"}}}
        return {"metadata": metadata, "status": {"containerStatuses": [waiting]}}


def _missing(path: str) -> tuple[int, dict[str, Any]]:
    return 404, {"kind": "Status", "status": "Failure", "reason": "NotFound", "message": f"{path} not found"}


@contextlib.contextmanager
def running(cluster: FakeCluster) -> Iterator[FakeCluster]:
    """Let a cluster answer for a block."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *arguments: object) -> None:
            pass

        def _serve(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            try:
                if self.headers.get("Authorization") != f"Bearer {TOKEN}":
                    status, told = 401, {"kind": "Status", "reason": "Unauthorized", "message": "Unauthorized"}
                else:
                    status, told = cluster.handle(self.command, self.path, body)  # type: ignore[assignment]
            except Exception as error:  # noqa: BLE001 - what is wrong with a request is what its sender must see
                status, told = 422, {"kind": "Status", "message": f"{type(error).__name__}: {error}"}
            answer = told if isinstance(told, bytes) else json.dumps(told).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def __getattr__(self, name: str) -> object:
            return self._serve if name.startswith("do_") else object.__getattribute__(self, name)

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        cluster.address = f"http://127.0.0.1:{server.server_port}"
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield cluster
        finally:
            server.shutdown()
            thread.join()
