"""Amazon's services by way of boto3: one login, one kind of error."""

from __future__ import annotations

import time
from collections import deque
from typing import TYPE_CHECKING, Any

from toolkit.deployments.endpoint import Answer
from toolkit.errors import MissingTool, TargetFailed

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_PAUSE = 2.0  # seconds between two questions for new lines
_LOGS_OF = 86_400  # seconds back from now that logs are looked for in
_DENIED = ("AccessDenied", "AccessDeniedException", "UnauthorizedOperation")
_NO_ROLE, _NO_IMAGE = ("NoSuchEntity",), ("ImageNotFoundException", "RepositoryNotFoundException")


class Aws:
    """Amazon's services in one region, as one user.

    Args:
        region: The region; empty: that of the environment, or of the profile.
        profile: The profile of the AWS configuration; empty: what the environment says.

    Raises:
        MissingTool: boto3, the profile or a region is not there.
    """

    def __init__(self, region: str = "", profile: str = "") -> None:
        try:
            import boto3  # noqa: PLC0415 - only some have it
            from botocore import exceptions  # noqa: PLC0415 - as above
        except ImportError:
            raise MissingTool("the target sagemaker takes boto3: install toolkit[sagemaker]") from None
        self._errors = exceptions
        try:
            self._session = boto3.Session(region_name=region or None, profile_name=profile or None)
        except exceptions.ProfileNotFound:
            raise MissingTool(
                f"the AWS configuration has no profile {profile!r}: aws configure --profile {profile} makes one"
            ) from None
        if not self._session.region_name:
            raise MissingTool("no region is known: give one with --option region=…, or set AWS_REGION")
        self.region = str(self._session.region_name)

    # -- what must be there --------------------------------------------------------------------------

    def check_login(self) -> None:
        """Ask who we are.

        Raises:
            MissingTool: There are no credentials, or they are no good.
        """
        try:
            self.call("sts", "get_caller_identity")
        except TargetFailed as error:
            raise MissingTool(
                f"AWS does not know us: {error.message}; log in with aws sso login, or set AWS_ACCESS_KEY_ID and "
                "AWS_SECRET_ACCESS_KEY"
            ) from None

    def check_role(self, arn: str) -> None:
        """Look a role up, where that is allowed.

        Raises:
            MissingTool: There is none.
        """
        name = arn.rpartition("/")[2]
        if self.find("iam", "get_role", _NO_ROLE, allowed=_DENIED, RoleName=name) is None:
            raise MissingTool(f"there is no role {arn}: make one that SageMaker may take on, and give its ARN")

    def image_digest(self, image: str, account: str, region: str, repository: str, tag: str) -> str:
        """Return the digest of an image in ECR; empty where that is not allowed.

        Raises:
            TargetFailed: There is none.
        """
        found = self.find(
            "ecr",
            "describe_images",
            _NO_IMAGE,
            allowed=_DENIED,
            region=region,
            registryId=account,
            repositoryName=repository,
            imageIds=[{"imageTag": tag}],
        )
        if found is None:
            raise TargetFailed(f"there is no image {image}: make it with bentoml containerize, and push it")
        return str(found["imageDetails"][0]["imageDigest"]) if found.get("imageDetails") else ""

    # -- calls ---------------------------------------------------------------------------------------

    def call(self, service: str, operation: str, *, region: str = "", **given: Any) -> dict[str, Any]:  # noqa: ANN401
        """Call an operation of a service.

        Raises:
            TargetFailed: AWS refused it, or does not answer.
        """
        try:
            answer = getattr(self._client(service, region), operation)(**given)
        except self._errors.ClientError as error:
            raise TargetFailed(f"AWS refused {operation}: {_line(error.response['Error'])}") from None
        except (self._errors.BotoCoreError, self._errors.HTTPClientError) as error:
            raise TargetFailed(f"AWS did not answer {operation}: {' '.join(str(error).split())}") from None
        return answer if isinstance(answer, dict) else {}

    def find(
        self,
        service: str,
        operation: str,
        missing: Sequence[str],
        *,
        allowed: Sequence[str] = (),
        region: str = "",
        **given: Any,  # noqa: ANN401 - what boto3 takes
    ) -> dict[str, Any] | None:
        """Call an operation on something that may not be there.

        Args:
            service: The service.
            operation: The operation.
            missing: What AWS' error says where there is no such thing: a code, or a part of its message.
            allowed: Codes of errors that are taken for an empty answer.
            region: Of the service; empty: ours.
            **given: What the operation takes.

        Returns:
            The answer; None where there is no such thing.

        Raises:
            TargetFailed: AWS refused it, or does not answer.
        """
        try:
            return self.call(service, operation, region=region, **given)
        except TargetFailed as error:
            if any(f"{code}:" in error.message for code in allowed):
                return {}
            if any(each in error.message for each in missing):
                return None
            raise

    def invoke(self, endpoint: str, body: bytes, *, content_type: str, timeout: float) -> Answer:
        """Send a body to an endpoint of SageMaker.

        Raises:
            TargetFailed: It does not answer.
        """
        from botocore.config import Config  # noqa: PLC0415 - only some have it

        config = Config(read_timeout=timeout, retries={"total_max_attempts": 1})
        client = self._session.client("sagemaker-runtime", region_name=self.region, config=config)
        try:
            told = client.invoke_endpoint(EndpointName=endpoint, Body=body, ContentType=content_type)
            return Answer(status=200, body=told["Body"].read())
        except self._errors.ClientError as error:
            if "OriginalStatusCode" in error.response:  # what the model's own server said
                message = str(error.response.get("OriginalMessage", ""))
                return Answer(status=int(error.response["OriginalStatusCode"]), body=message.encode())
            raise TargetFailed(f"AWS refused invoke_endpoint: {_line(error.response['Error'])}") from None
        except (self._errors.BotoCoreError, self._errors.HTTPClientError) as error:
            raise TargetFailed(f"endpoint {endpoint} does not answer: {' '.join(str(error).split())}") from None

    def log_lines(self, group: str, *, lines: int, follow: bool) -> Iterator[str]:
        """Yield the last lines of a group of CloudWatch's logs, of the last day, and, if asked for, those that come.

        Raises:
            TargetFailed: There is no such group, or AWS does not give it out.
        """
        newest, seen = int((time.time() - _LOGS_OF) * 1000), set[str]()
        last: deque[str] = deque(maxlen=lines)
        for each in self._events(group, newest):
            newest, seen = _after(each, newest, seen)
            last.append(str(each["message"]).rstrip("\n"))
        yield from last
        while follow:
            time.sleep(_PAUSE)
            for each in self._events(group, newest):
                if each["eventId"] not in seen:
                    newest, seen = _after(each, newest, seen)
                    yield str(each["message"]).rstrip("\n")

    def _events(self, group: str, since: int) -> Iterator[dict[str, Any]]:
        token: dict[str, str] = {}
        while True:
            told = self.call("logs", "filter_log_events", logGroupName=group, startTime=since, **token)
            yield from told.get("events", ())
            if not told.get("nextToken"):
                return
            token = {"nextToken": told["nextToken"]}

    def _client(self, service: str, region: str = "") -> Any:  # noqa: ANN401 - boto3 makes its classes at run time
        return self._session.client(service, region_name=region or self.region)


def _after(event: dict[str, Any], newest: int, seen: set[str]) -> tuple[int, set[str]]:
    """Return the time of the newest event, and which there have been at that time: those are not told twice."""
    when = int(event["timestamp"])
    if when > newest:
        return when, {str(event["eventId"])}
    return newest, seen | {str(event["eventId"])}


def _line(error: dict[str, Any]) -> str:
    return " ".join(f"{error.get('Code', '')}: {error.get('Message', '')}".split())
