"""Kubernetes: the files of a release, and a release in a cluster."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from fake_cluster import FakeCluster, check_manifest, running
from placements import placement

from toolkit.deployments.config import ServiceConfig
from toolkit.deployments.target import AsksItself, Instance, Target
from toolkit.deployments.targets.lookup import target_named
from toolkit.errors import InvalidValue, MissingTool, TargetFailed

IMAGE = {"image": "registry.example/team/wine:{version}"}


def written(folder: Path) -> dict[str, Any]:
    """Return what the files of a folder say, by their names, each held against Kubernetes' schemas."""
    found = {file.name: yaml.safe_load(file.read_text(encoding="utf-8")) for file in sorted(folder.iterdir())}
    for manifest in found.values():
        check_manifest(manifest)
    return found


# -- files -------------------------------------------------------------------------------------------


def test_files_that_kubernetes_takes(tmp_path: Path) -> None:
    target = target_named("kubernetes", IMAGE)
    target.require(IMAGE)

    instance = target.start(placement(tmp_path, IMAGE))

    files = written(Path(instance.id))
    names = ["autoscaler.yaml", "deployment.yaml", "network-policy.yaml", "service.yaml"]
    assert sorted(files) == names
    assert instance.image == "registry.example/team/wine:3"
    assert (instance.address, instance.private_address) == (None, None)
    assert files["service.yaml"]["spec"]["selector"] == {"app.kubernetes.io/instance": "wine"}
    assert files["deployment.yaml"]["metadata"]["annotations"]["toolkit/model"] == "wine-quality/3"
    assert "replicas" not in files["deployment.yaml"]["spec"]  # it would undo what the autoscaler has done
    assert target.health(instance).state == "ready"
    assert list(target.logs(instance))[-1] == f"apply: kubectl apply -f {instance.id}"
    assert target.switch(instance, None) == instance


def test_a_pod_is_locked_down(tmp_path: Path) -> None:
    options = {**IMAGE, "allow_namespaces": "web,jobs", "allow_cidrs": "10.0.0.0/8"}
    files = written(Path(target_named("kubernetes").start(placement(tmp_path, options)).id))

    pod = files["deployment.yaml"]["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["automountServiceAccountToken"] is False
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert {"startupProbe", "readinessProbe", "livenessProbe"} <= set(container)
    policy = files["network-policy.yaml"]["spec"]
    assert policy["egress"] == []
    assert policy["ingress"] == [
        {
            "from": [
                {"podSelector": {}},
                {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "web"}}},
                {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "jobs"}}},
                {"ipBlock": {"cidr": "10.0.0.0/8"}},
            ],
            "ports": [{"port": 3000, "protocol": "TCP"}],
        }
    ]


def test_what_the_configuration_says_is_in_the_files(tmp_path: Path) -> None:
    options = {**IMAGE, "replicas": "2", "max_replicas": "2", "namespace": "models", "service_type": "LoadBalancer"}
    config = ServiceConfig(workers=2, cpu="1500m", timeout=90)
    files = written(Path(target_named("kubernetes").start(placement(tmp_path, options, config=config)).id))

    deployment = files["deployment.yaml"]
    assert deployment["spec"]["replicas"] == 2
    assert "autoscaler.yaml" not in files
    assert files["disruption-budget.yaml"]["spec"]["maxUnavailable"] == 1
    assert {each["metadata"]["namespace"] for each in files.values()} == {"models"}
    pod = deployment["spec"]["template"]["spec"]
    assert pod["terminationGracePeriodSeconds"] > 90
    assert pod["containers"][0]["resources"] == {
        "requests": {"cpu": "1500m", "memory": "1024Mi"},
        "limits": {"memory": "1024Mi"},
    }


def test_files_in_a_folder_of_the_users(tmp_path: Path) -> None:
    folder = tmp_path / "deploy"
    folder.mkdir()
    (folder / "mine.yaml").write_text("kind: Mine\n", encoding="utf-8")
    target = target_named("kubernetes")
    target.start(placement(tmp_path, {**IMAGE, "output": str(folder)}))
    assert (folder / "autoscaler.yaml").exists()

    options = {**IMAGE, "output": str(folder), "max_replicas": "1"}
    instance = target.start(placement(tmp_path, options, release=2))

    assert instance.id == str(folder)
    assert sorted(file.name for file in folder.iterdir()) == [
        "deployment.yaml",
        "mine.yaml",
        "network-policy.yaml",
        "service.yaml",
    ]
    assert "registry.example/team/wine:4" in (folder / "deployment.yaml").read_text(encoding="utf-8")
    (tmp_path / "file").write_text("")
    with pytest.raises(TargetFailed, match=r"cannot write the files of wine to .*/file"):
        target.start(placement(tmp_path, {**IMAGE, "output": str(tmp_path / "file")}))


@pytest.mark.parametrize(
    ("option", "value", "wanted"),
    [
        ("namespace", "Models", "the name of a namespace"),
        ("replicas", "0", "a number, 1 or more"),
        ("service_type", "Ingress", "ClusterIP or LoadBalancer or NodePort"),
        ("allow_cidrs", "10.0.0.0", "networks such as"),
        ("apply", "yes", "true or false"),
        ("image", "reg.example/wine:{latest}", "in braces only"),
    ],
)
def test_options_that_do_not_fit(option: str, value: str, wanted: str) -> None:
    with pytest.raises(InvalidValue, match=wanted):
        target_named("kubernetes").require({**IMAGE, option: value})


def test_resources_that_kubernetes_does_not_know(tmp_path: Path) -> None:
    with pytest.raises(InvalidValue, match="memory is 'plenty': Kubernetes wants such as 512Mi"):
        target_named("kubernetes").start(placement(tmp_path, IMAGE, config=ServiceConfig(memory="plenty")))


# -- a cluster ---------------------------------------------------------------------------------------


def answered(release: str, path: str, body: bytes) -> tuple[int, bytes]:
    """Answer as the model of a release would."""
    return 200, json.dumps({"release": release, "path": path, "rows": len(json.loads(body)["instances"])}).encode()


@pytest.fixture
def cluster() -> Iterator[FakeCluster]:
    """A cluster."""
    with running(FakeCluster(answer=answered)) as found:
        yield found


@pytest.fixture
def options(cluster: FakeCluster, tmp_path: Path) -> dict[str, str]:
    """The options of a deployment in the cluster."""
    config = cluster.kubeconfig(tmp_path / "kubeconfig")
    return {**IMAGE, "apply": "true", "kubeconfig": str(config), "namespace": "models"}


def asked(target: Target, instance: Instance) -> dict[str, Any]:
    assert isinstance(target, AsksItself)
    answer = target.ask(instance, "/invocations", b'{"instances": [1, 2]}', content_type="application/json", timeout=60)
    assert answer.status == 200
    found = json.loads(answer.body)
    assert isinstance(found, dict)
    return found


def test_a_release_and_the_next_one(cluster: FakeCluster, options: dict[str, str], tmp_path: Path) -> None:
    target = target_named("kubernetes", options)
    target.require(options)
    assert cluster.kept == {}  # it has asked, and changed nothing

    first = target.start(placement(tmp_path, options))
    assert (target.health(first).state, cluster.names("services")) == ("ready", [])
    assert asked(target, first) == {"release": "1", "path": "/invocations", "rows": 2}
    first = target.switch(first, None)
    assert first.address == "http://wine.models.svc"

    second = target.start(placement(tmp_path, options, release=2))
    assert cluster.names("deployments") == ["wine-r1", "wine-r2"]
    assert cluster.one("services", "wine")["spec"]["selector"]["toolkit/release"] == "1"
    assert "ingress" not in cluster.one("networkpolicies", "wine-r2")["spec"]  # until it takes traffic
    assert asked(target, second)["release"] == "2"
    second = target.switch(second, first)
    assert cluster.one("services", "wine")["spec"]["selector"]["toolkit/release"] == "2"
    assert cluster.one("networkpolicies", "wine-r2")["spec"]["ingress"]
    target.stop(first)
    target.stop(first)
    assert cluster.names("deployments") == cluster.names("networkpolicies") == ["wine-r2"]
    assert target.health(first).state == "gone"
    assert list(target.logs(second)) == ["line 1 of wine-r2-abc", "line 2"]
    assert list(target.logs(second, follow=True))[2:] == ["line 1 of wine-r2-abc", "line 2"]

    target.stop(second)
    assert cluster.kept == {}


def test_a_release_that_was_left_in_the_middle_is_taken_away(
    cluster: FakeCluster, options: dict[str, str], tmp_path: Path
) -> None:
    target = target_named("kubernetes", options)
    first = target.switch(target.start(placement(tmp_path, options)), None)
    target.start(placement(tmp_path, options, release=2))  # and whoever started it was killed
    third = target.switch(target.start(placement(tmp_path, options, release=3)), first)

    target.stop(first)

    assert cluster.names("deployments") == ["wine-r3"]
    assert target.health(third).state == "ready"


def test_from_files_to_a_cluster_and_not_back(cluster: FakeCluster, options: dict[str, str], tmp_path: Path) -> None:
    files = target_named("kubernetes").start(placement(tmp_path, IMAGE))
    target = target_named("kubernetes", options)
    second = target.switch(target.start(placement(tmp_path, options, release=2)), files)

    target.stop(files)

    assert cluster.names("deployments") == ["wine-r2"]
    third = replace(placement(tmp_path, IMAGE, release=3), address=second.address)
    with pytest.raises(TargetFailed, match="wine serves in a cluster, where files would not replace it"):
        target_named("kubernetes").start(third)


def test_a_pod_that_cannot_start_says_why(cluster: FakeCluster, options: dict[str, str], tmp_path: Path) -> None:
    cluster.pods = "ImagePullBackOff"
    target = target_named("kubernetes", options)
    instance = target.start(placement(tmp_path, options))

    health = target.health(instance)

    assert (health.state, health.message) == ("failing", "wine-r1-abc: ImagePullBackOff no such image")
    with pytest.raises(TargetFailed, match="no pod of models/wine-r1 is ready"):
        asked(target, instance)
    cluster.pods = "ContainerCreating"
    assert target.health(instance).state == "starting"


def test_what_others_made_is_left_alone(cluster: FakeCluster, options: dict[str, str], tmp_path: Path) -> None:
    path = "/api/v1/namespaces/models/services/wine"
    cluster.kept[path] = {"kind": "Service", "metadata": {"name": "wine", "labels": {}}}

    with pytest.raises(TargetFailed, match="namespace models has a Service wine that toolkit did not make"):
        target_named("kubernetes", options).start(placement(tmp_path, options))

    assert list(cluster.kept) == [path]


def test_a_refusal_leaves_nothing(
    cluster: FakeCluster, options: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    handle = cluster.handle

    def refusing(method: str, target: str, body: bytes) -> tuple[int, bytes | dict[str, Any]]:
        if method == "PATCH" and "/deployments/" in target:
            return 403, {"kind": "Status", "message": "exceeded quota: models"}
        return handle(method, target, body)

    monkeypatch.setattr(cluster, "handle", refusing)
    with pytest.raises(TargetFailed, match="refused Deployment wine-r1: exceeded quota: models"):
        target_named("kubernetes", options).start(placement(tmp_path, options))

    assert cluster.kept == {}


def test_what_is_missing_is_said_before_anything_is_changed(
    cluster: FakeCluster, options: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = target_named("kubernetes", options)
    cluster.forbidden = {("create", "pods/proxy")}
    with pytest.raises(MissingTool, match="may not create Pod/proxy in namespace models of http"):
        target.require(options)
    with pytest.raises(MissingTool, match=r"the kubeconfig .*says .*nobody.*--option context"):
        target.require({**options, "context": "nobody"})
    with pytest.raises(MissingTool, match="no cluster is known: the kubeconfig /nowhere says"):
        target.require({**options, "kubeconfig": "/nowhere"})
    stranger = Path(options["kubeconfig"]).read_text(encoding="utf-8").replace("a-token", "another-token")
    (tmp_path / "stranger").write_text(stranger, encoding="utf-8")
    with pytest.raises(MissingTool, match="Unauthorized; log in to the cluster again"):
        target.require({**options, "kubeconfig": str(tmp_path / "stranger")})
    monkeypatch.setitem(__import__("sys").modules, "kubernetes", None)
    with pytest.raises(MissingTool, match=r"install toolkit\[kubernetes\]"):
        target.require(options)
    assert cluster.kept == {}


def test_a_cluster_that_is_gone(options: dict[str, str], cluster: FakeCluster, tmp_path: Path) -> None:
    target = target_named("kubernetes", options)
    instance = target.start(placement(tmp_path, options))
    nobody = Path(options["kubeconfig"]).read_text(encoding="utf-8").replace(cluster.address, "http://127.0.0.1:1")
    Path(options["kubeconfig"]).write_text(nobody, encoding="utf-8")

    assert target.health(instance).state == "failing"
    with pytest.raises(MissingTool, match=r"the cluster at http://127.0.0.1:1 does not answer"):
        target.require(options)
    with pytest.raises(TargetFailed, match="does not answer"):
        target.stop(instance)
    Path(options["kubeconfig"]).unlink()
    with pytest.raises(TargetFailed, match="no cluster is known"):
        target.stop(instance)
    assert target.health(instance).state == "failing"
