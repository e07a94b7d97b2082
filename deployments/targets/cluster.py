"""A Kubernetes cluster: a release runs there beside the one that serves, until the Service chooses it."""

from __future__ import annotations

import json
import queue
import threading
from dataclasses import replace
from typing import TYPE_CHECKING

from toolkit.deployments.endpoint import Answer
from toolkit.deployments.target import Health, Instance
from toolkit.deployments.targets.cluster_api import ClusterApi
from toolkit.deployments.targets.kubernetes import read, workload
from toolkit.deployments.targets.manifests import (
    INSTANCE,
    MANAGED,
    OWNER,
    PORT,
    RELEASE,
    Manifest,
    network_policy,
    objects,
    release_name,
)
from toolkit.errors import MissingTool, TargetFailed

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from toolkit.deployments.target import Placement

_OF_A_RELEASE = ("HorizontalPodAutoscaler", "PodDisruptionBudget", "Deployment", "NetworkPolicy")
_NEEDED = (
    *((verb, kind, "") for kind in (*_OF_A_RELEASE, "Service") for verb in ("get", "create", "patch", "delete")),
    ("list", "Deployment", ""),
    ("list", "Pod", ""),
    ("get", "Pod", "log"),
    ("create", "Pod", "proxy"),
)
_WAITING = {"ContainerCreating", "PodInitializing"}  # what is no trouble yet
_HTTP = 80


class ClusterTarget:
    """What ``kubernetes`` is with ``apply=true``."""

    name = "kubernetes"
    serves = True

    def require(self, options: Mapping[str, str]) -> None:
        """Check the options, that the cluster answers, and that its user may do what it takes.

        Raises:
            InvalidValue: An option is not known, does not fit, or is missing.
            MissingTool: Kubernetes' client, a kubeconfig, the cluster or a permission is not there.
        """
        api = _api(read(options))
        lacking = [what for what in _NEEDED if not api.may(*what)]
        if lacking:
            verb, kind, subresource = lacking[0]
            more = f", and {len(lacking) - 1} more" if len(lacking) > 1 else ""
            raise MissingTool(
                f"the user of the kubeconfig may not {verb} {kind}{'/' * bool(subresource)}{subresource} in namespace "
                f"{api.namespace} of {api.host}{more}: ask for a role that may, or leave apply=true away to have files"
            )

    def start(self, placement: Placement) -> Instance:
        """Make the objects of a release, beside those of the one that serves.

        Raises:
            InvalidValue: The processor or the memory of its configuration is nothing that Kubernetes knows.
            TargetFailed: The cluster refused one; nothing of the release is left.
        """
        options = read(placement.options)
        work, api = workload(placement, options, own=True), _api(options)
        wanted = objects(work)
        service, policy = wanted.pop("service.yaml"), wanted["network-policy.yaml"]
        wanted["network-policy.yaml"] = network_policy(work, ingress=False)
        _refuse_foreign(api, placement.deployment)
        try:
            for manifest in wanted.values():
                api.apply(manifest)
        except TargetFailed:
            _remove(api, work.name)
            raise
        detail = {
            **{name: options[name] for name in ("namespace", "context", "kubeconfig")},
            "deployment": placement.deployment,
            "release": str(placement.release),
            "service": json.dumps(service),
            "policy": json.dumps(policy),
        }
        return Instance(id=f"{options['namespace']}/{work.name}", image=work.image, detail=detail)

    def health(self, instance: Instance) -> Health:
        """Tell how its pods are."""
        try:
            api = _again(instance)
            found = api.find("Deployment", _name(instance))
            if found is None:
                return Health(state="gone", message=f"there is no Deployment {instance.id}")
            wanted, status = found["spec"].get("replicas", 1), found.get("status", {})
            seen = status.get("observedGeneration", 0) >= found["metadata"].get("generation", 0)
            if seen and status.get("availableReplicas", 0) >= max(1, wanted):
                return Health(state="ready")
            trouble = _refusal(status) or _trouble(api.list("Pod", _labels(instance)))
        except TargetFailed as error:
            return Health(state="failing", message=error.message)
        return Health(state="failing" if trouble else "starting", message=trouble)

    def switch(self, new: Instance, old: Instance | None) -> Instance:  # noqa: ARG002 - the Service forgets it by itself
        """Let the Service choose the pods of a release, and let callers in.

        Raises:
            TargetFailed: The cluster refused it.
        """
        api = _again(new)
        api.apply(json.loads(new.detail["policy"]))
        return replace(new, address=_address(api.apply(json.loads(new.detail["service"]))))

    def stop(self, instance: Instance) -> None:
        """Delete the objects of a release, of those that were left in the middle, and with the last one the Service.

        Raises:
            TargetFailed: The cluster refused it, or does not answer.
        """
        if "deployment" not in instance.detail:  # files, of the time before apply=true
            return
        api, service = _again(instance), instance.detail["deployment"]
        found = api.find("Service", service)
        chosen = found["spec"].get("selector", {}).get(RELEASE) if found else None
        _remove(api, _name(instance))
        last = chosen == instance.detail["release"]
        if last:
            api.delete("Service", service)
        for left in api.list("Deployment", {INSTANCE: service, MANAGED: OWNER}):
            number = left["metadata"]["labels"].get(RELEASE, "")
            if last or (chosen and number.isdigit() and int(number) < int(chosen)):
                _remove(api, left["metadata"]["name"])

    def ask(self, instance: Instance, path: str, body: bytes, *, content_type: str, timeout: float) -> Answer:
        """Send a body to a pod of a release, by way of the cluster's API.

        Raises:
            TargetFailed: None is ready, or the cluster does not answer.
        """
        api = _again(instance)
        ready = [pod for pod in api.list("Pod", _labels(instance)) if _is_ready(pod)]
        if not ready:
            raise TargetFailed(f"no pod of {instance.id} is ready")
        there = f"{api.path('Pod', ready[0]['metadata']['name'])}:{PORT}/proxy{path}"
        status, answer = api.send("POST", there, body, content_type=content_type, timeout=timeout)
        return Answer(status=status, body=answer)

    def logs(self, instance: Instance, *, lines: int = 200, follow: bool = False) -> Iterator[str]:
        """Yield the last lines of each of its pods, and, if asked for, those that come.

        Raises:
            TargetFailed: The cluster does not answer.
        """
        api = _again(instance)
        pods = [pod["metadata"]["name"] for pod in api.list("Pod", _labels(instance))]
        for pod in pods:
            for line in api.lines(f"{api.path('Pod', pod)}/log?tailLines={lines}"):
                yield line if len(pods) == 1 else f"{pod}: {line}"
        if follow:
            yield from _followed(api, pods)


def _api(options: Mapping[str, str]) -> ClusterApi:
    return ClusterApi(options["namespace"], options.get("context", ""), options.get("kubeconfig", ""))


def _again(instance: Instance) -> ClusterApi:
    """Reach the cluster of a release.

    Raises:
        TargetFailed: The kubeconfig, or its context, is not there any more.
    """
    try:
        return _api(instance.detail)
    except MissingTool as error:
        raise TargetFailed(error.message) from None


def _name(instance: Instance) -> str:
    return release_name(instance.detail["deployment"], int(instance.detail["release"]))


def _labels(instance: Instance) -> dict[str, str]:
    return {INSTANCE: instance.detail["deployment"], RELEASE: instance.detail["release"]}


def _remove(api: ClusterApi, name: str) -> None:
    for kind in _OF_A_RELEASE:
        api.delete(kind, name)


def _refuse_foreign(api: ClusterApi, service: str) -> None:
    """Leave alone what others have made.

    Raises:
        TargetFailed: There is a Service of this name that is none of ours.
    """
    found = api.find("Service", service)
    if found is not None and found["metadata"].get("labels", {}).get(MANAGED) != OWNER:
        raise TargetFailed(
            f"namespace {api.namespace} has a Service {service} that toolkit did not make: give the deployment another "
            "name, or another namespace with --option namespace=…"
        )


def _address(service: Manifest) -> str:
    """Return where clients reach a Service: from outside, where it has an address there; else inside of the cluster."""
    spec, metadata = service["spec"], service["metadata"]
    given = service.get("status", {}).get("loadBalancer", {}).get("ingress") or [{}]
    host = given[0].get("hostname") or given[0].get("ip") or f"{metadata['name']}.{metadata['namespace']}.svc"
    port = spec["ports"][0]["port"]
    return f"http://{host}" + ("" if port == _HTTP else f":{port}")


def _refusal(status: Manifest) -> str:
    """Return why no pod can be made, or why it took too long; empty: that is not so."""
    for each in status.get("conditions", ()):
        failed = each["type"] == "ReplicaFailure" and each["status"] == "True"
        late = each["type"] == "Progressing" and each["status"] == "False"
        if failed or late:
            return f"{each.get('reason', each['type'])}: {each.get('message', '')}"
    return ""


def _trouble(pods: list[Manifest]) -> str:
    """Return what keeps pods from being ready; empty: nothing that is not to be waited for."""
    for pod in pods:
        status = pod.get("status", {})
        for each in status.get("conditions", ()):
            if each["type"] == "PodScheduled" and each["status"] == "False":
                return f"{pod['metadata']['name']} has no node: {each.get('message', each.get('reason', ''))}"
        for container in status.get("containerStatuses", ()):
            waiting = container.get("state", {}).get("waiting", {})
            if waiting.get("reason") and waiting["reason"] not in _WAITING:
                told = f"{waiting['reason']} {waiting.get('message', '')}".strip()
                return f"{pod['metadata']['name']}: {told}"
    return ""


def _is_ready(pod: Manifest) -> bool:
    conditions = pod.get("status", {}).get("conditions", ())
    ready = any(each["type"] == "Ready" and each["status"] == "True" for each in conditions)
    return ready and not pod["metadata"].get("deletionTimestamp")


def _followed(api: ClusterApi, pods: list[str]) -> Iterator[str]:
    """Yield the lines of several pods as they come; ends when all of them have."""
    came: queue.Queue[str | None] = queue.Queue()

    def read_one(pod: str) -> None:
        try:
            for line in api.lines(f"{api.path('Pod', pod)}/log?follow=true&tailLines=0", timeout=None):
                came.put(line if len(pods) == 1 else f"{pod}: {line}")
        except TargetFailed as error:
            came.put(f"{pod}: {error.message}")
        finally:
            came.put(None)

    for pod in pods:
        threading.Thread(target=read_one, args=(pod,), daemon=True).start()
    open_ones = len(pods)
    while open_ones:
        line = came.get()
        if line is None:
            open_ones -= 1
        else:
            yield line
