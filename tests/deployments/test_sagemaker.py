"""Amazon SageMaker, as moto's server plays it."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from aws_server import ACCOUNT, REGION, aws_server, call, variables
from placements import placement

from toolkit.deployments.targets.sagemaker import TARGET
from toolkit.errors import InvalidValue, MissingTool, TargetFailed

IMAGE = f"{ACCOUNT}.dkr.ecr.{REGION}.amazonaws.com/wine:{{version}}"
ROLE = f"arn:aws:iam::{ACCOUNT}:role/sagemaker"
OPTIONS = {"image": IMAGE, "role": ROLE, "region": REGION}
MANIFEST = """{"schemaVersion": 2, "mediaType": "application/vnd.docker.distribution.manifest.v2+json",
"config": {"digest": "sha256:%s"}, "layers": []}"""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of an AWS."""
    with aws_server(tmp_path_factory.mktemp("aws")) as address:
        yield address


@pytest.fixture(autouse=True)
def aws(server: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """An account that has a role, and the images of versions 3 and 4."""
    for name, value in variables(server).items():
        monkeypatch.setenv(name, value)
    call(server, "/moto-api/reset")
    client("iam").create_role(RoleName="sagemaker", AssumeRolePolicyDocument="{}")
    client("ecr").create_repository(repositoryName="wine")
    for version in ("3", "4"):
        client("ecr").put_image(repositoryName="wine", imageTag=version, imageManifest=MANIFEST % (version * 64))


Boto = Any  # botocore makes its classes at run time


def client(service: str) -> Boto:
    """Return boto's client, to look at what is there."""
    import boto3

    return boto3.client(service, region_name=REGION)


def made() -> dict[str, list[str]]:
    """Return the names of what there is."""
    sagemaker = client("sagemaker")
    return {
        "endpoints": sorted(each["EndpointName"] for each in sagemaker.list_endpoints()["Endpoints"]),
        "configs": sorted(each["EndpointConfigName"] for each in sagemaker.list_endpoint_configs()["EndpointConfigs"]),
        "models": sorted(each["ModelName"] for each in sagemaker.list_models()["Models"]),
    }


NOTHING: dict[str, list[str]] = {"endpoints": [], "configs": [], "models": []}


def test_a_release_and_the_next_one(tmp_path: Path, server: str) -> None:
    TARGET.require(OPTIONS)
    assert made() == NOTHING  # it has asked, and changed nothing

    first = TARGET.start(placement(tmp_path, OPTIONS))
    assert TARGET.health(first).state == "ready"
    first = TARGET.switch(first, None)
    assert first.address == f"https://runtime.sagemaker.{REGION}.amazonaws.com/endpoints/wine"
    assert made() == {"endpoints": ["wine"], "configs": ["toolkit-wine-r1"], "models": ["toolkit-wine-r1"]}
    container = client("sagemaker").describe_model(ModelName="toolkit-wine-r1")["PrimaryContainer"]
    assert container["Image"] == f"{ACCOUNT}.dkr.ecr.{REGION}.amazonaws.com/wine@{first.image_digest}"
    assert container["Environment"]["BENTOML_PORT"] == "8080"

    second = TARGET.start(placement(tmp_path, OPTIONS, release=2))
    assert made()["endpoints"] == ["toolkit-wine-r2", "wine"]
    assert client("sagemaker").describe_endpoint(EndpointName="wine")["EndpointConfigName"] == "toolkit-wine-r1"
    told = {"Body": '{"predictions": [7]}', "ContentType": "application/json"}
    results = [{**told, "InvokedProductionVariant": "model", "CustomAttributes": ""}]
    call(server, "/moto-api/static/sagemaker/endpoint-results", {"region": REGION, "results": results})
    answer = TARGET.ask(second, "/invocations", b"{}", content_type="application/json", timeout=60)
    assert (answer.status, answer.body) == (200, b'{"predictions": [7]}')

    second = TARGET.switch(second, first)
    assert client("sagemaker").describe_endpoint(EndpointName="wine")["EndpointConfigName"] == "toolkit-wine-r2"
    TARGET.stop(first)
    TARGET.stop(first)
    assert made() == {"endpoints": ["wine"], "configs": ["toolkit-wine-r2"], "models": ["toolkit-wine-r2"]}
    TARGET.stop(second)
    assert made() == NOTHING
    assert TARGET.health(second).state == "gone"


def test_an_endpoint_that_goes_back_keeps_the_traffic_where_it_was(tmp_path: Path) -> None:
    first = TARGET.switch(TARGET.start(placement(tmp_path, OPTIONS, name="bad")), None)
    second = TARGET.start(placement(tmp_path, OPTIONS, name="bad", release=2))

    with pytest.raises(TargetFailed, match="endpoint bad did not take toolkit-bad-r2 over: the new machines were not"):
        TARGET.switch(second, first)
    TARGET.stop(second)

    assert made() == {"endpoints": ["bad"], "configs": ["toolkit-bad-r1"], "models": ["toolkit-bad-r1"]}
    assert TARGET.health(first).state == "ready"


def test_a_release_that_was_left_in_the_middle_is_taken_away(tmp_path: Path) -> None:
    image = IMAGE.replace("{version}", "3")
    options = {**OPTIONS, "image": image}
    first = TARGET.switch(TARGET.start(placement(tmp_path, options)), None)
    TARGET.start(placement(tmp_path, options, release=2))  # and whoever started it was killed
    TARGET.switch(TARGET.start(placement(tmp_path, options, release=3)), first)

    TARGET.stop(first)

    assert made() == {"endpoints": ["wine"], "configs": ["toolkit-wine-r3"], "models": ["toolkit-wine-r3"]}


def test_without_machines_of_its_own(tmp_path: Path) -> None:
    TARGET.start(placement(tmp_path, {**OPTIONS, "serverless_memory_mb": "2048"}))

    (variant,) = client("sagemaker").describe_endpoint_config(EndpointConfigName="toolkit-wine-r1")[
        "ProductionVariants"
    ]
    assert variant["ServerlessConfig"] == {"MemorySizeInMB": 2048, "MaxConcurrency": 200}


def test_what_others_made_is_left_alone(tmp_path: Path) -> None:
    sagemaker = client("sagemaker")
    container = {"Image": "x"}
    sagemaker.create_model(ModelName="theirs", PrimaryContainer=container, ExecutionRoleArn=ROLE)
    variant = {"VariantName": "v", "ModelName": "theirs", "InitialInstanceCount": 1, "InstanceType": "ml.m5.large"}
    sagemaker.create_endpoint_config(EndpointConfigName="theirs", ProductionVariants=[variant])
    sagemaker.create_endpoint(EndpointName="wine", EndpointConfigName="theirs")

    with pytest.raises(TargetFailed, match="has an endpoint wine that toolkit did not make"):
        TARGET.start(placement(tmp_path, OPTIONS))

    assert made() == {"endpoints": ["wine"], "configs": ["theirs"], "models": ["theirs"]}


def test_a_refusal_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from toolkit.deployments.targets.aws import Aws

    calling = Aws.call

    def refusing(self: Aws, service: str, operation: str, **given: Boto) -> dict[str, Any]:
        if operation == "create_endpoint":
            raise TargetFailed("AWS refused create_endpoint: ResourceLimitExceeded: no ml.m5.large is left")
        return calling(self, service, operation, **given)

    monkeypatch.setattr(Aws, "call", refusing)
    with pytest.raises(TargetFailed, match=r"no ml\.m5\.large is left"):
        TARGET.start(placement(tmp_path, OPTIONS))

    assert made() == NOTHING


def test_an_image_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(TargetFailed, match=r"there is no image .*/wine:5: make it with bentoml containerize"):
        TARGET.start(placement(tmp_path, OPTIONS, release=3))
    with pytest.raises(MissingTool, match=r"there is no image .*/wine:9"):
        TARGET.require({**OPTIONS, "image": IMAGE.replace("{version}", "9")})
    assert made() == NOTHING


def test_what_is_missing_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(InvalidValue, match=r"sagemaker takes --option role=…: the ARN of the role"):
        TARGET.require({"image": IMAGE})
    with pytest.raises(InvalidValue, match=r"SageMaker pulls from Amazon's registry \(ECR\) only"):
        TARGET.require({**OPTIONS, "image": "registry.example/wine:1"})
    with pytest.raises(MissingTool, match="there is no role arn:aws:iam::123456789012:role/nobody"):
        TARGET.require({**OPTIONS, "role": ROLE.replace("sagemaker", "nobody")})
    with pytest.raises(MissingTool, match="no profile 'home'"):
        TARGET.require({**OPTIONS, "profile": "home"})
    monkeypatch.delenv("AWS_REGION")
    with pytest.raises(MissingTool, match="no region is known: give one with --option region="):
        TARGET.require({"image": IMAGE, "role": ROLE})
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    with pytest.raises(MissingTool, match=r"AWS does not know us: .*; log in with aws sso login"):
        TARGET.require(OPTIONS)
    monkeypatch.setitem(__import__("sys").modules, "boto3", None)
    with pytest.raises(MissingTool, match=r"install toolkit\[sagemaker\]"):
        TARGET.require(OPTIONS)


def test_the_last_lines_of_its_output(tmp_path: Path) -> None:
    instance = TARGET.start(placement(tmp_path, OPTIONS))
    logs, group = client("logs"), "/aws/sagemaker/Endpoints/wine"
    with pytest.raises(TargetFailed, match="filter_log_events: ResourceNotFoundException"):
        list(TARGET.logs(instance))
    logs.create_log_group(logGroupName=group)
    logs.create_log_stream(logGroupName=group, logStreamName="model/1")
    now = int(time.time() * 1000)
    events = [{"timestamp": now + at, "message": f"line {at}"} for at in range(5)]
    logs.put_log_events(logGroupName=group, logStreamName="model/1", logEvents=events)

    assert list(TARGET.logs(instance, lines=2)) == ["line 3", "line 4"]
