"""Amazon SageMaker: a model, an endpoint configuration and an endpoint, by way of boto3.

The first release makes the endpoint. Each later one is first an endpoint of its own, which is asked for the model's
example; only then the endpoint that clients know takes its configuration over, as SageMaker does it: new machines
beside the old ones, traffic when they are healthy, back where they are not. The container's side is that of
https://docs.aws.amazon.com/sagemaker/latest/dg/your-algorithms-inference-code.html: port 8080, ``/ping``,
``/invocations``.
"""

from __future__ import annotations

import contextlib
import re
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from toolkit.deployments.endpoint import Answer
from toolkit.deployments.target import Health, Instance
from toolkit.deployments.targets.aws import Aws
from toolkit.deployments.targets.options import IMAGE, Option, check_image, image_of, number, read_options
from toolkit.errors import InvalidValue, MissingTool, TargetFailed

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from toolkit.deployments.target import Placement

OPTIONS = (
    Option(
        name="image",
        pattern=IMAGE,
        wanted="an image's name, such as 123456789012.dkr.ecr.eu-west-1.amazonaws.com/wine:{version}",
        missing="the image in Amazon's registry (ECR), such as "
        "123456789012.dkr.ecr.eu-west-1.amazonaws.com/wine:{version}; make it with bentoml containerize, and push it",
    ),
    Option(
        name="role",
        pattern=r"arn:aws[a-z-]*:iam::[0-9]{12}:role/[\w+=,.@/-]{1,512}",
        wanted="the ARN of a role, such as arn:aws:iam::123456789012:role/sagemaker",
        missing="the ARN of the role that SageMaker takes on to pull the image and to write logs",
    ),
    Option(name="region", pattern="[a-z]{2,4}(-[a-z]+)+-[0-9]", wanted="a region, such as eu-west-1"),
    Option(name="profile", wanted="a profile of the AWS configuration"),
    Option(name="instance_type", default="ml.m5.large", pattern=r"ml\.[a-z0-9.-]{2,40}", wanted="such as ml.m5.large"),
    number("instances", "1"),
    Option(
        name="serverless_memory_mb",
        pattern="1024|2048|3072|4096|5120|6144",
        wanted="1024, 2048, 3072, 4096, 5120 or 6144",
    ),
    number("startup_seconds", "600"),
)

_ECR = re.compile(
    r"(?P<account>[0-9]{12})\.dkr\.ecr\.(?P<region>[a-z0-9-]+)\.amazonaws\.com(\.cn)?/(?P<repository>[^:@]+)"
    r"(:(?P<tag>[^@]+))?(@(?P<digest>sha256:[0-9a-f]{64}))?"
)
_VARIABLES = {"BENTOML_PORT": "8080", "BENTOML_HOST": "0.0.0.0"}  # noqa: S104 - where SageMaker asks a container
_OWNER = {"Key": "made-by", "Value": "toolkit"}
_SERVERLESS_CALLS = 200  # at once, of a serverless endpoint, at most
_PAUSE, _LONGEST_MOVE = 5.0, 3600.0  # seconds between questions, and for an endpoint to take a configuration over
_NO_SUCH = ("Could not find", "does not exist")


class SageMaker:
    """Endpoints of Amazon SageMaker."""

    name = "sagemaker"
    serves = True

    def require(self, options: Mapping[str, str]) -> None:
        """Check the options, the credentials, the role and, where its name is whole already, the image.

        Raises:
            InvalidValue: An option is not known, does not fit, or is missing.
            MissingTool: boto3, a region, credentials, the role or the image is not there.
        """
        found = read_options(self.name, OPTIONS, options)
        check_image(self.name, found["image"])
        if not _ECR.fullmatch(found["image"]):
            raise InvalidValue(
                f"option image of sagemaker is {found['image']!r}: SageMaker pulls from Amazon's registry (ECR) only; "
                "wanted such as 123456789012.dkr.ecr.eu-west-1.amazonaws.com/wine:{version}"
            )
        aws = _aws(found)
        aws.check_login()
        aws.check_role(found["role"])
        if "{" not in found["image"]:
            try:
                _digest(aws, found["image"])
            except TargetFailed as error:
                raise MissingTool(error.message) from None

    def start(self, placement: Placement) -> Instance:
        """Make the release's model, its configuration and its endpoint; the latter is the public one for the first.

        Raises:
            TargetFailed: AWS refused one; nothing of the release is left.
        """
        options = read_options(self.name, OPTIONS, placement.options)
        aws, image = _aws(options), image_of(placement, options["image"])
        public, own = placement.deployment, f"toolkit-{placement.deployment}-r{placement.release}"
        digest = _digest(aws, image)
        there = _endpoint(aws, public)
        if there is not None and not _is_ours(aws, there):
            raise TargetFailed(
                f"region {aws.region} has an endpoint {public} that toolkit did not make: give the deployment another "
                "name"
            )
        at = own if there is not None else public
        detail = {"public": public, "own": own, "at": at, "region": aws.region, "profile": options["profile"]}
        instance = Instance(id=own, image=image, image_digest=digest or None, detail=detail)
        tags = [_OWNER, {"Key": "deployment", "Value": public}, {"Key": "bento", "Value": placement.bento.tag}]
        try:
            container = {"Image": _pinned(image, digest), "Environment": _VARIABLES}
            aws.call(
                "sagemaker",
                "create_model",
                ModelName=own,
                PrimaryContainer=container,
                ExecutionRoleArn=options["role"],
                Tags=tags,
            )
            variants = [_variant(own, options, placement)]
            aws.call(
                "sagemaker", "create_endpoint_config", EndpointConfigName=own, ProductionVariants=variants, Tags=tags
            )
            aws.call("sagemaker", "create_endpoint", EndpointName=at, EndpointConfigName=own, Tags=tags)
        except TargetFailed:
            with contextlib.suppress(TargetFailed):
                self.stop(instance)
            raise
        return instance

    def health(self, instance: Instance) -> Health:
        """Tell how its endpoint is."""
        try:
            found = _endpoint(_again(instance), instance.detail["at"])
        except TargetFailed as error:
            return Health(state="failing", message=error.message)
        status = "Deleting" if found is None else found["EndpointStatus"]
        if found is None or status in ("Deleting", "Failed"):
            reason = "" if found is None else found.get("FailureReason", "")
            return Health(state="gone", message=reason or f"endpoint {instance.detail['at']} is {status.lower()}")
        if status == "OutOfService":
            return Health(state="failing", message=f"endpoint {instance.detail['at']} is out of service")
        return Health(state="starting" if status == "Creating" else "ready")

    def switch(self, new: Instance, old: Instance | None) -> Instance:  # noqa: ARG002 - SageMaker keeps it until it need not
        """Let the public endpoint take the release's configuration over, and delete the endpoint that it had to itself.

        Raises:
            TargetFailed: AWS refused it, or went back to the one before.
        """
        aws, public, own = _again(new), new.detail["public"], new.detail["own"]
        there = _endpoint(aws, public)
        if there is None:
            raise TargetFailed(f"region {aws.region} has no endpoint {public} any more")
        if there["EndpointConfigName"] != own:
            aws.call("sagemaker", "update_endpoint", EndpointName=public, EndpointConfigName=own)
            _wait_for(aws, public, own)
        _delete(aws, "endpoint", EndpointName=own)
        address = f"https://runtime.sagemaker.{aws.region}.amazonaws.com/endpoints/{public}"
        return replace(new, address=address, detail={**new.detail, "at": public})

    def stop(self, instance: Instance) -> None:
        """Delete the release's endpoints, its configuration and its model, and what is left of those before it.

        Raises:
            TargetFailed: AWS refused it.
        """
        aws, public, own = _again(instance), instance.detail["public"], instance.detail["own"]
        there = _endpoint(aws, public)
        if there is not None and there["EndpointConfigName"] == own and _is_ours(aws, there):
            _delete(aws, "endpoint", EndpointName=public)
            there = None
        _remove(aws, own)
        for left in _left_in_the_middle(aws, public, there):
            _remove(aws, left)

    def ask(self, instance: Instance, path: str, body: bytes, *, content_type: str, timeout: float) -> Answer:
        """Send a body to the release's endpoint, signed.

        Raises:
            InvalidValue: The path is not ``/invocations``: SageMaker hands on no other.
            TargetFailed: It does not answer.
        """
        if path != "/invocations":
            raise InvalidValue(f"an endpoint of SageMaker answers /invocations only, not {path}")
        return _again(instance).invoke(instance.detail["at"], body, content_type=content_type, timeout=timeout)

    def logs(self, instance: Instance, *, lines: int = 200, follow: bool = False) -> Iterator[str]:
        """Yield the last lines that CloudWatch has of its endpoint, and, if asked for, those that come.

        Raises:
            TargetFailed: AWS does not give them out.
        """
        aws = _again(instance)
        yield from aws.log_lines(f"/aws/sagemaker/Endpoints/{instance.detail['at']}", lines=lines, follow=follow)


def _aws(options: Mapping[str, str]) -> Aws:
    return Aws(options.get("region", ""), options.get("profile", ""))


def _again(instance: Instance) -> Aws:
    """Reach the account of a release.

    Raises:
        TargetFailed: The profile, or boto3, is not there any more.
    """
    try:
        return _aws(instance.detail)
    except MissingTool as error:
        raise TargetFailed(error.message) from None


def _variant(model: str, options: Mapping[str, str], placement: Placement) -> dict[str, Any]:
    """Return what runs the model: machines of a kind, or as many as requests take."""
    named = {"VariantName": "model", "ModelName": model}
    if memory := options["serverless_memory_mb"]:
        calls = min(placement.config.max_concurrency, _SERVERLESS_CALLS)
        return {**named, "ServerlessConfig": {"MemorySizeInMB": int(memory), "MaxConcurrency": calls}}
    return {
        **named,
        "InstanceType": options["instance_type"],
        "InitialInstanceCount": int(options["instances"]),
        "InitialVariantWeight": 1.0,
        "ContainerStartupHealthCheckTimeoutInSeconds": int(options["startup_seconds"]),
    }


def _digest(aws: Aws, image: str) -> str:
    """Return the digest of an image in ECR; empty where the user may not look it up.

    Raises:
        TargetFailed: There is no such image.
    """
    parts = _ECR.fullmatch(image)
    if parts is None:
        raise TargetFailed(f"{image} is no image of Amazon's registry (ECR)")
    return parts["digest"] or aws.image_digest(
        image, parts["account"], parts["region"], parts["repository"], parts["tag"] or "latest"
    )


def _pinned(image: str, digest: str) -> str:
    """Return the name of exactly this image: what its tag means may change."""
    host, _, rest = image.partition("/")
    repository = rest.partition("@")[0].partition(":")[0]
    return f"{host}/{repository}@{digest}" if digest else image


def _endpoint(aws: Aws, name: str) -> dict[str, Any] | None:
    return aws.find("sagemaker", "describe_endpoint", _NO_SUCH, EndpointName=name)


def _is_ours(aws: Aws, endpoint: Mapping[str, Any]) -> bool:
    return _OWNER in aws.call("sagemaker", "list_tags", ResourceArn=endpoint["EndpointArn"]).get("Tags", [])


def _delete(aws: Aws, what: str, **named: str) -> None:
    aws.find("sagemaker", f"delete_{what}", _NO_SUCH, **named)


def _remove(aws: Aws, own: str) -> None:
    _delete(aws, "endpoint", EndpointName=own)
    _delete(aws, "endpoint_config", EndpointConfigName=own)
    _delete(aws, "model", ModelName=own)


def _left_in_the_middle(aws: Aws, public: str, there: Mapping[str, Any] | None) -> list[str]:
    """Return the names of releases that nobody has taken away: their endpoints cost money.

    Args:
        aws: The account.
        public: The deployment's name.
        there: Its endpoint; None: all that there are are left over.
    """
    name = re.compile(rf"toolkit-{re.escape(public)}-r([0-9]+)")
    serving = name.fullmatch(there["EndpointConfigName"]) if there else None
    if there and not serving:
        return []
    models = aws.call("sagemaker", "list_models", NameContains=f"toolkit-{public}-r", MaxResults=100).get("Models", ())
    found = [match for each in models if (match := name.fullmatch(each["ModelName"]))]
    return [each[0] for each in found if serving is None or int(each[1]) < int(serving[1])]


def _wait_for(aws: Aws, public: str, config: str) -> None:
    """Wait until an endpoint has taken a configuration over.

    Raises:
        TargetFailed: It went back to the one before, or takes too long.
    """
    deadline = time.monotonic() + _LONGEST_MOVE
    while True:
        found = _endpoint(aws, public) or {"EndpointStatus": "Deleting"}
        if found["EndpointStatus"] == "InService" and found["EndpointConfigName"] == config:
            return
        if found["EndpointStatus"] not in ("Updating", "SystemUpdating", "RollingBack"):
            why = found.get("FailureReason") or f"its status is {found['EndpointStatus']}"
            raise TargetFailed(f"endpoint {public} did not take {config} over: {why}")
        if time.monotonic() > deadline:
            raise TargetFailed(f"endpoint {public} has not taken {config} over after {_LONGEST_MOVE:g} s")
        time.sleep(_PAUSE)


TARGET = SageMaker()
