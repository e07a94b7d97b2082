"""The types of deployments in our API, as its OpenAPI document describes them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any

from pydantic import Field, JsonValue

from toolkit.deployments.records import DeploymentState, ReleaseState
from toolkit.server.v1.records import Asked, Integer, Text, Told

Number = Annotated[Integer, Field(ge=0)]


class DeploymentTold(Told):
    """A version that serves somewhere. Times in milliseconds since 1970 UTC."""

    id: str
    name: str
    target: str
    state: DeploymentState
    message: str
    address: str | None
    release: int | None
    follow_alias: str | None
    config: dict[str, Any]
    options: dict[str, str]
    host: str
    created_at: int
    created_by: str
    updated_at: int


class DeploymentsTold(Told):
    """Deployments, by name."""

    deployments: list[DeploymentTold]


class NewDeployment(Asked):
    """A deployment that is to be remembered; the same id and name a second time give what there is."""

    id: Text = ""
    name: Text
    target: Text
    state: DeploymentState
    message: Text = ""
    address: Text | None = None
    follow_alias: Text | None = None
    config: Mapping[Text, JsonValue] = {}
    options: Mapping[Text, Text] = {}
    host: Text = ""
    created_at: Number = 0


class DeploymentChange(Asked):
    """What shall be different; ``null`` leaves a field as it is, an empty text or a release of 0 takes it away."""

    expected: Sequence[DeploymentState] = ()
    state: DeploymentState | None = None
    message: Text | None = None
    address: Text | None = None
    release: Number | None = None
    follow_alias: Text | None = None
    config: Mapping[Text, JsonValue] | None = None
    options: Mapping[Text, Text] | None = None


class ReleaseTold(Told):
    """One version in the life of a deployment. Times in milliseconds since 1970 UTC."""

    deployment_id: str
    number: int
    model: str
    version: int
    run_id: str | None
    bento: str
    bento_digest: str
    image: str | None
    image_digest: str | None
    instance: dict[str, Any]
    state: ReleaseState
    message: str
    created_at: int
    created_by: str
    ended_at: int | None
    why: str


class ReleasesTold(Told):
    """Releases."""

    releases: list[ReleaseTold]


class NewRelease(Asked):
    """A release that is being started; it gets the next number."""

    model: Text
    version: Integer
    run_id: Text | None = None
    bento: Text = ""
    bento_digest: Text = ""
    image: Text | None = None
    image_digest: Text | None = None
    instance: Mapping[Text, JsonValue] = {}
    state: ReleaseState = ReleaseState.STARTING
    message: Text = ""
    created_at: Number = 0
    why: Text = ""


class ReleaseChange(Asked):
    """What shall be different of a release; ``null`` leaves a field as it is."""

    state: ReleaseState | None = None
    message: Text | None = None
    instance: Mapping[Text, JsonValue] | None = None
    image: Text | None = None
    image_digest: Text | None = None
    bento: Text | None = None
    bento_digest: Text | None = None


class BentoTold(Told):
    """What was built of a version. Times in milliseconds since 1970 UTC."""

    tag: str
    digest: str
    model: str
    version: int
    run_id: str | None
    created_at: int
    created_by: str


class BentosTold(Told):
    """Bentos, the newest first."""

    bentos: list[BentoTold]


class NewBento(Asked):
    """What was built; what is known already stays as it is."""

    tag: Text
    digest: Text
    model: Text
    version: Integer
    run_id: Text | None = None
    created_at: Number = 0
