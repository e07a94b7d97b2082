"""Kubernetes: files for ``kubectl``, or, with ``--option apply=true``, the cluster itself."""

from __future__ import annotations

from typing import TYPE_CHECKING

from toolkit.deployments.targets.files import FilesTarget, write_files, yaml_text
from toolkit.deployments.targets.manifests import Workload, objects
from toolkit.deployments.targets.options import (
    IMAGE,
    Option,
    check_image,
    choice,
    image_of,
    number,
    read_options,
    switch,
)
from toolkit.errors import TargetFailed

if TYPE_CHECKING:
    from collections.abc import Mapping

    from toolkit.deployments.target import Instance, Placement, Target

_LABEL = "[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?"
_CIDR = "[0-9a-fA-F.:]+/[0-9]{1,3}"

OPTIONS = (
    Option(
        name="image",
        pattern=IMAGE,
        wanted="an image's name, such as registry.example/wine:{version}",
        missing="the image in a registry that the cluster may pull from, such as registry.example/wine:{version}; make "
        "it with bentoml containerize, and push it",
    ),
    Option(name="namespace", default="default", pattern=_LABEL, wanted="the name of a namespace"),
    number("replicas", "1"),
    number("max_replicas", "3"),
    number("target_cpu", "80"),
    number("port", "80"),
    choice("service_type", "ClusterIP", "LoadBalancer", "NodePort"),
    Option(name="image_pull_secret", pattern=r"[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?", wanted="the name of a secret"),
    Option(name="service_account", pattern=r"[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?", wanted="a service account's name"),
    Option(name="allow_namespaces", pattern=f"{_LABEL}(,{_LABEL})*", wanted="names of namespaces, with commas"),
    Option(name="allow_cidrs", pattern=f"{_CIDR}(,{_CIDR})*", wanted="networks such as 10.0.0.0/8, with commas"),
    switch("egress"),
    switch("apply"),
    Option(name="context", wanted="a context of the kubeconfig"),
    Option(name="kubeconfig", wanted="a file"),
    Option(name="output", wanted="a folder"),
)


def read(options: Mapping[str, str]) -> dict[str, str]:
    """Return all options of the target.

    Raises:
        InvalidValue: One is not known, does not fit, or is missing.
    """
    found = read_options("kubernetes", OPTIONS, options)
    check_image("kubernetes", found["image"])
    return found


def workload(placement: Placement, options: Mapping[str, str], *, own: bool) -> Workload:
    """Return a release as it is to be in a cluster."""
    return Workload(placement=placement, options=options, image=image_of(placement, options["image"]), own=own)


class Kubernetes(FilesTarget):
    """Files of a Deployment, its Service, its autoscaler and its policies."""

    name = "kubernetes"

    def with_options(self, options: Mapping[str, str]) -> Target:
        """Return the cluster itself where ``apply=true`` is among the options."""
        if options.get("apply") != "true":
            return self
        from toolkit.deployments.targets.cluster import ClusterTarget  # noqa: PLC0415 - it takes Kubernetes' client

        return ClusterTarget()

    def require(self, options: Mapping[str, str]) -> None:
        """Check the options. Nothing else is needed to write the files; to apply them, ``kubectl`` and a cluster.

        Raises:
            InvalidValue: One is not known, does not fit, or is missing.
        """
        read(options)

    def start(self, placement: Placement) -> Instance:
        """Write the files of a release.

        Raises:
            InvalidValue: The processor or the memory of its configuration is nothing that Kubernetes knows.
            TargetFailed: They cannot be written, or the deployment serves in a cluster: nobody would end that.
        """
        options = read(placement.options)
        if placement.address:
            raise TargetFailed(
                f"{placement.deployment} serves in a cluster, where files would not replace it: delete it first, or "
                "leave apply=true as it is"
            )
        work = workload(placement, options, own=False)
        files = {name: yaml_text(placement, each) for name, each in objects(work).items()}
        return write_files(placement, options["output"], files, apply="kubectl apply -f {folder}", image=work.image)


TARGET = Kubernetes()
