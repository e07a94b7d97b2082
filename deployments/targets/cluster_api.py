"""The API of a Kubernetes cluster: who is asked comes from a kubeconfig, what is asked is plain values."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from toolkit.errors import MissingTool, TargetFailed

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from toolkit.deployments.targets.manifests import Manifest

PLURALS = {
    "Deployment": ("apps/v1", "deployments"),
    "Service": ("v1", "services"),
    "HorizontalPodAutoscaler": ("autoscaling/v2", "horizontalpodautoscalers"),
    "NetworkPolicy": ("networking.k8s.io/v1", "networkpolicies"),
    "PodDisruptionBudget": ("policy/v1", "poddisruptionbudgets"),
    "Pod": ("v1", "pods"),
}
"""Where the API keeps each kind of object: its version, and what many of them are called."""

FIELD_MANAGER = "toolkit"
JSON = "application/json"
_APPLY = "application/apply-patch+yaml"
_QUICK = 15.0  # seconds for an answer of the API itself
_NOT_FOUND, _UNAUTHORIZED = 404, 401


class ClusterApi:
    """The API of a cluster, in one namespace.

    Args:
        namespace: The namespace.
        context: The context of the kubeconfig; empty: its current one.
        kubeconfig: The file; empty: where Kubernetes' own tools look for it, or the cluster that this process runs in.

    Raises:
        MissingTool: Kubernetes' client, or a kubeconfig with this context, is not there.
    """

    def __init__(self, namespace: str, context: str = "", kubeconfig: str = "") -> None:
        try:
            from kubernetes import client, config  # noqa: PLC0415 - 0.5 s, and only some have it
        except ImportError:
            told = "applying to Kubernetes takes its Python client: install toolkit[kubernetes]"
            raise MissingTool(f"{told}, or leave apply=true away to have files") from None
        self.namespace = namespace
        settings: Any = client.Configuration()  # some of it has types, most has not
        load: Any = config.load_kube_config
        try:
            if kubeconfig or context or not _inside(config, settings):
                load(
                    config_file=kubeconfig or None,
                    context=context or None,
                    client_configuration=settings,
                    persist_config=False,
                )
        except (config.ConfigException, OSError) as error:
            where, told = f" {kubeconfig}" if kubeconfig else "", _line(error).rstrip(".")
            raise MissingTool(
                f"no cluster is known: the kubeconfig{where} says {told}; give one with --option kubeconfig=… "
                "and a context of it with --option context=…, or leave apply=true away to have files"
            ) from None
        self._settings = settings
        self._client = client.ApiClient(configuration=settings)

    @property
    def host(self) -> str:
        """The API's address."""
        return str(self._settings.host)

    # -- objects -------------------------------------------------------------------------------------

    def apply(self, manifest: Manifest) -> Manifest:
        """Make an object as a manifest says, or change what is otherwise; the cluster merges.

        Raises:
            TargetFailed: The cluster refused it, or does not answer.
        """
        kind, name = manifest["kind"], manifest["metadata"]["name"]
        query = urlencode({"fieldManager": FIELD_MANAGER, "force": "true"})
        path = f"{self.path(kind, name)}?{query}"
        status, body = self.send("PATCH", path, json.dumps(manifest).encode(), content_type=_APPLY)
        return self._object(status, body, f"{kind} {name}")

    def find(self, kind: str, name: str) -> Manifest | None:
        """Return an object; None where there is none.

        Raises:
            TargetFailed: The cluster refused to tell, or does not answer.
        """
        status, body = self.send("GET", self.path(kind, name))
        return None if status == _NOT_FOUND else self._object(status, body, f"{kind} {name}")

    def list(self, kind: str, labels: Mapping[str, str]) -> list[Manifest]:
        """Return the objects of a kind that have some labels.

        Raises:
            TargetFailed: The cluster refused to tell, or does not answer.
        """
        query = urlencode({"labelSelector": ",".join(f"{key}={value}" for key, value in labels.items())})
        status, body = self.send("GET", f"{self.path(kind)}?{query}")
        return list(self._object(status, body, f"the list of {PLURALS[kind][1]}").get("items", ()))

    def delete(self, kind: str, name: str) -> None:
        """Delete an object, and what it has made; what is gone already is no error.

        Raises:
            TargetFailed: The cluster refused it, or does not answer.
        """
        body = json.dumps({"propagationPolicy": "Background"}).encode()
        status, answer = self.send("DELETE", self.path(kind, name), body)
        if status != _NOT_FOUND:
            self._object(status, answer, f"{kind} {name}")

    def may(self, verb: str, kind: str, subresource: str = "") -> bool:
        """Tell whether the user of the kubeconfig may do something in the namespace.

        Raises:
            MissingTool: The cluster does not answer, or does not know the user.
        """
        version, resource = PLURALS[kind]
        asked = {
            "namespace": self.namespace,
            "verb": verb,
            "group": version.rpartition("/")[0],
            "resource": resource,
            "subresource": subresource,
        }
        review = {
            "apiVersion": "authorization.k8s.io/v1",
            "kind": "SelfSubjectAccessReview",
            "spec": {"resourceAttributes": asked},
        }
        path = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"
        try:
            status, body = self.send("POST", path, json.dumps(review).encode())
            told = self._object(status, body, "the question for permissions")
        except TargetFailed as error:
            raise MissingTool(f"{error.message}; look at the kubeconfig, its context and its login") from None
        return bool(told.get("status", {}).get("allowed"))

    # -- requests ------------------------------------------------------------------------------------

    def path(self, kind: str, name: str = "") -> str:
        """Return where the API keeps an object, or all of a kind."""
        version, plural = PLURALS[kind]
        root = f"/apis/{version}" if "/" in version else f"/api/{version}"
        return f"{root}/namespaces/{self.namespace}/{plural}" + (f"/{name}" if name else "")

    def send(
        self, method: str, path: str, body: bytes | None = None, *, content_type: str = JSON, timeout: float = _QUICK
    ) -> tuple[int, bytes]:
        """Send a request; return its status and body.

        Raises:
            TargetFailed: The cluster does not answer.
        """
        answer = self._opened(method, path, body, content_type=content_type, timeout=timeout)
        return int(answer.status), bytes(answer.data)

    def lines(self, path: str, *, timeout: float | None = _QUICK) -> Iterator[str]:
        """Yield the lines of an answer as they come.

        Raises:
            TargetFailed: The cluster does not answer, or says that it cannot.
        """
        answer = self._opened("GET", path, None, content_type=JSON, timeout=timeout, streamed=True)
        try:
            if answer.status >= 400:
                raise TargetFailed(f"the cluster at {self.host} says {_problem(answer.read())}")
            rest = b""
            for piece in answer.stream(4096):
                *whole, rest = (rest + piece).split(b"\n")
                yield from (line.decode("utf-8", "replace") for line in whole)
            if rest:
                yield rest.decode("utf-8", "replace")
        finally:
            answer.release_conn()

    def _opened(
        self,
        method: str,
        path: str,
        body: bytes | None,
        *,
        content_type: str,
        timeout: float | None,
        streamed: bool = False,
    ) -> Any:  # noqa: ANN401 - urllib3's answer, which Kubernetes' client brings
        import urllib3  # noqa: PLC0415 - Kubernetes' client brings it

        headers = {"Accept": "application/json, */*", "Content-Type": content_type}
        for each in self._settings.auth_settings().values():
            headers[each["key"]] = each["value"]
        pool = self._client.rest_client.pool_manager
        try:
            return pool.request(
                method,
                self.host + path,
                body=body,
                headers=headers,
                timeout=timeout,
                preload_content=not streamed,
            )
        except urllib3.exceptions.HTTPError as error:
            reason = getattr(error, "reason", None) or error
            raise TargetFailed(f"the cluster at {self.host} does not answer: {_line(reason)}") from None

    def _object(self, status: int, body: bytes, what: str) -> Manifest:
        if status >= 400:
            login = "; log in to the cluster again" if status == _UNAUTHORIZED else ""
            raise TargetFailed(f"the cluster at {self.host} refused {what}: {_problem(body)}{login}")
        told = json.loads(body)
        return told if isinstance(told, dict) else {}


def _inside(config: Any, settings: Any) -> bool:  # noqa: ANN401 - Kubernetes' client has no types
    """Tell whether this process runs in a pod, whose cluster it is; read from its files how to reach it."""
    try:
        config.load_incluster_config(client_configuration=settings)
    except config.ConfigException:
        return False
    return True


def _problem(body: bytes) -> str:
    """Return what the API says is wrong, in one line."""
    try:
        told = json.loads(body)
        return _line(told.get("message") or told.get("reason") or told)
    except (ValueError, AttributeError):
        return _line(body.decode("utf-8", "replace"))


def _line(told: object) -> str:
    return " ".join(str(told).split())[:400] or "no word of why"
