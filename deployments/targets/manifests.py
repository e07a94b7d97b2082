"""What a release is in a cluster: Kubernetes' objects, as plain values.

Two shapes. Files that somebody applies hold one Deployment, named after ours, that Kubernetes rolls from release to
release by itself. Where we apply, each release has objects of its own (``wine-r3``), so that it runs beside the one
that serves; the Service that clients know chooses between them.

Every pod runs without root, without privileges, without a token of the cluster, on a file system that it cannot write
to but for scratch, and behind a NetworkPolicy: callers from its own namespace, and those that are named, may come in;
nothing goes out.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from toolkit.errors import InvalidValue

if TYPE_CHECKING:
    from collections.abc import Mapping

    from toolkit.deployments.target import Placement

Manifest = dict[str, Any]

PORT = 3000
INSTANCE, RELEASE, MANAGED = "app.kubernetes.io/instance", "toolkit/release", "app.kubernetes.io/managed-by"
OWNER = "toolkit"

_USER = 1034  # BentoML's user in its images, and its group
_SCRATCH = "/tmp"  # noqa: S108 - a mount of the pod's own
_DRAIN = 5  # seconds in which proxies learn that a pod that ends gets no more requests
_GRACE = 10  # seconds beyond the longest answer that a pod has to end
_MEMORY = 512  # MiB for each worker, where nothing is said
_QUANTITY = {"cpu": r"[0-9]+(\.[0-9]{1,3})?m?", "memory": r"[0-9]+(\.[0-9]+)?(k|M|G|T|Ki|Mi|Gi|Ti)?"}


@dataclass(frozen=True, kw_only=True, slots=True)
class Workload:
    """A release that is to be in a cluster.

    Attributes:
        placement: The release.
        options: All options of the target.
        image: Its image.
        own: Whether it has objects of its own, beside those of other releases.
    """

    placement: Placement
    options: Mapping[str, str]
    image: str
    own: bool

    @property
    def name(self) -> str:
        """What its objects are called."""
        return release_name(self.placement.deployment, self.placement.release) if self.own else self.service

    @property
    def service(self) -> str:
        """What its Service is called."""
        return self.placement.deployment

    @property
    def replicas(self) -> tuple[int, int]:
        """How many pods there are at least, and at most."""
        least = int(self.options["replicas"])
        return least, max(least, int(self.options["max_replicas"] or least))

    @property
    def selector(self) -> dict[str, str]:
        """The labels by which its pods are found; they never change."""
        own = {RELEASE: str(self.placement.release)} if self.own else {}
        return {INSTANCE: self.service, **own}

    @property
    def labels(self) -> dict[str, str]:
        """The labels of all its objects."""
        bento = self.placement.bento
        return {
            "app.kubernetes.io/name": bento.tag.partition(":")[0][:63].rstrip("-._"),
            INSTANCE: self.service,
            "app.kubernetes.io/version": str(bento.version),
            "app.kubernetes.io/component": "model",
            MANAGED: OWNER,
            RELEASE: str(self.placement.release),
        }


def release_name(deployment: str, release: int) -> str:
    """Return what the objects of a release are called that it has of its own."""
    return f"{deployment}-r{release}"


def objects(work: Workload) -> dict[str, Manifest]:
    """Return all objects of a release, by the names of their files, in the order in which they are applied.

    Raises:
        InvalidValue: The processor or the memory of its configuration is no quantity that Kubernetes knows.
    """
    least, most = work.replicas
    found = {
        "network-policy.yaml": network_policy(work),
        "deployment.yaml": deployment(work),
        "service.yaml": service(work),
    }
    if most > least:
        found["autoscaler.yaml"] = autoscaler(work)
    if least > 1:
        found["disruption-budget.yaml"] = disruption_budget(work)
    return found


def deployment(work: Workload) -> Manifest:
    """Return the Deployment: one more pod than wanted comes before one less is there."""
    least, most = work.replicas
    scaled = most > least and not work.own  # applied again, a number would undo what the autoscaler has done
    spec: Manifest = {} if scaled else {"replicas": least}
    spec |= {
        "revisionHistoryLimit": 5,
        "selector": {"matchLabels": work.selector},
        "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}},
        "template": {"metadata": {"labels": work.labels, "annotations": _annotations(work)}, "spec": _pod(work)},
    }
    return _object(work, "apps/v1", "Deployment", work.name, spec)


def service(work: Workload) -> Manifest:
    """Return the Service: the address that clients know, whichever release answers."""
    ports = [{"name": "http", "port": int(work.options["port"]), "targetPort": "http", "protocol": "TCP"}]
    spec = {"type": work.options["service_type"], "selector": work.selector, "ports": ports}
    return _object(work, "v1", "Service", work.service, spec)


def autoscaler(work: Workload) -> Manifest:
    """Return the HorizontalPodAutoscaler: more pods where those there are work hard."""
    least, most = work.replicas
    target = {"type": "Utilization", "averageUtilization": int(work.options["target_cpu"])}
    spec = {
        "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": work.name},
        "minReplicas": least,
        "maxReplicas": most,
        "metrics": [{"type": "Resource", "resource": {"name": "cpu", "target": target}}],
        "behavior": {"scaleDown": {"stabilizationWindowSeconds": 300}},
    }
    return _object(work, "autoscaling/v2", "HorizontalPodAutoscaler", work.name, spec)


def disruption_budget(work: Workload) -> Manifest:
    """Return the PodDisruptionBudget: while nodes are emptied, all pods but one stay."""
    spec = {"maxUnavailable": 1, "selector": {"matchLabels": work.selector}}
    return _object(work, "policy/v1", "PodDisruptionBudget", work.name, spec)


def network_policy(work: Workload, *, ingress: bool = True) -> Manifest:
    """Return the NetworkPolicy.

    Args:
        work: The release.
        ingress: Whether it says who may come in. A release that is still to be checked is asked by way of the cluster's
            API, which many networks do not count as a caller that a policy could name; nobody else knows its address.
    """
    namespaces = [each for each in work.options["allow_namespaces"].split(",") if each]
    names = [{"matchLabels": {"kubernetes.io/metadata.name": each}} for each in namespaces]
    callers: list[Manifest] = [{"podSelector": {}}, *({"namespaceSelector": each} for each in names)]
    callers += [{"ipBlock": {"cidr": cidr}} for cidr in work.options["allow_cidrs"].split(",") if cidr]
    spec: Manifest = {"podSelector": {"matchLabels": work.selector}, "policyTypes": ["Egress"], "egress": []}
    if work.options["egress"] == "true":
        spec["egress"] = [{}]
    if ingress:
        ports = [{"port": PORT, "protocol": "TCP"}]
        spec |= {"policyTypes": ["Ingress", "Egress"], "ingress": [{"from": callers, "ports": ports}]}
    return _object(work, "networking.k8s.io/v1", "NetworkPolicy", work.name, spec)


def _object(work: Workload, api: str, kind: str, name: str, spec: Manifest) -> Manifest:
    metadata = {
        "name": name,
        "namespace": work.options["namespace"],
        "labels": work.labels,
        "annotations": _annotations(work),
    }
    return {"apiVersion": api, "kind": kind, "metadata": metadata, "spec": spec}


def _annotations(work: Workload) -> dict[str, str]:
    bento = work.placement.bento
    told = {
        "toolkit/model": f"{bento.model}/{bento.version}",
        "toolkit/bento": bento.tag,
        "toolkit/bento-digest": bento.digest,
    }
    return told | ({"toolkit/run-id": bento.run_id} if bento.run_id else {})


def _pod(work: Workload) -> Manifest:
    pod: Manifest = {
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,  # a service called bentoml would set BENTOML_PORT to its address
        "terminationGracePeriodSeconds": _DRAIN + math.ceil(work.placement.config.timeout) + _GRACE,
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": _USER,
            "runAsGroup": _USER,
            "fsGroup": _USER,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "containers": [_container(work)],
        "volumes": [{"name": "scratch", "emptyDir": {"sizeLimit": "256Mi"}}],
    }
    if secret := work.options["image_pull_secret"]:
        pod["imagePullSecrets"] = [{"name": secret}]
    if account := work.options["service_account"]:
        pod["serviceAccountName"] = account
    return pod


def _container(work: Workload) -> Manifest:
    variables = {
        "BENTOML_PORT": str(PORT),
        "BENTOML_HOST": "0.0.0.0",  # noqa: S104 - of the pod, which the policy guards
        "BENTOML_HOME": f"{_SCRATCH}/bentoml",  # it makes folders there; the Bento itself is elsewhere
        "BENTOML_DO_NOT_TRACK": "True",
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    return {
        "name": "model",
        "image": work.image,
        "args": ["serve"],
        "env": [{"name": name, "value": value} for name, value in variables.items()],
        "ports": [{"name": "http", "containerPort": PORT, "protocol": "TCP"}],
        "resources": _resources(work),
        "startupProbe": _probe("/readyz", period=2, failures=150),
        "readinessProbe": _probe("/readyz", period=5, failures=3),
        "livenessProbe": _probe("/livez", period=10, failures=6),
        "lifecycle": {"preStop": {"exec": {"command": ["sleep", str(_DRAIN)]}}},
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        },
        "volumeMounts": [{"name": "scratch", "mountPath": _SCRATCH}],
    }


def _probe(path: str, *, period: int, failures: int) -> Manifest:
    return {
        "httpGet": {"path": path, "port": "http"},
        "periodSeconds": period,
        "timeoutSeconds": 5,
        "failureThreshold": failures,
    }


def _resources(work: Workload) -> Manifest:
    """Return what a pod asks for: the autoscaler counts in it. Memory is a limit too; the processor is not."""
    config = work.placement.config
    asked = {"cpu": config.cpu or str(config.workers), "memory": config.memory or f"{_MEMORY * config.workers}Mi"}
    for name, value in asked.items():
        if not re.fullmatch(_QUANTITY[name], value):
            wanted = {"cpu": "cores such as 2 or 500m", "memory": "such as 512Mi or 2Gi"}[name]
            raise InvalidValue(f"{name} is {value[:100]!r}: Kubernetes wants {wanted}")
    return {"requests": asked, "limits": {"memory": asked["memory"]}}
