"""The types of the registry in our API, as its OpenAPI document describes them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from pydantic import StrictBool

from toolkit.registry.records import Stage, VersionStatus
from toolkit.server.v1.records import Asked, Integer, Text, Told


class VersionTold(Told):
    """A version of a registered model. Times in milliseconds since 1970 UTC."""

    name: str
    version: int
    source: str
    location: str
    stage: Stage
    status: VersionStatus
    status_message: str | None
    run_id: str | None
    run_link: str | None
    model_id: str | None
    user_id: str | None
    description: str | None
    creation_time: int
    last_update_time: int
    tags: dict[str, str]
    aliases: list[str]


class VersionsTold(Told):
    """Versions."""

    versions: list[VersionTold]


class VersionPage(VersionsTold):
    """A part of a list of versions, and the token that gives the next part."""

    next_page_token: str | None


class RegisteredTold(Told):
    """A registered model. Times in milliseconds since 1970 UTC."""

    name: str
    description: str | None
    creation_time: int
    last_update_time: int
    tags: dict[str, str]
    aliases: dict[str, int]
    latest_versions: list[VersionTold]


class RegisteredPage(Told):
    """A part of a list of registered models, and the token that gives the next part."""

    registered_models: list[RegisteredTold]
    next_page_token: str | None


class RegistrySearch(Asked):
    """What to search for, and how to order it."""

    filter: Text = ""
    order_by: Sequence[Text] = ()
    limit: Integer = 1000
    page_token: Text | None = None


class NewRegistered(Asked):
    """A registered model to be made."""

    name: Text
    description: Text | None = None
    tags: Mapping[Text, Text] = {}


class RegisteredChange(Asked):
    """What shall be different; ``null`` leaves a field as it is, and removes a tag."""

    new_name: Text | None = None
    description: Text | None = None
    tags: Mapping[Text, Text | None] = {}


class NewVersionAsked(Asked):
    """A version to be made. Without a location, it is where the source is: a model's URI, or a place in a run."""

    source: Text
    location: Text | None = None
    run_id: Text | None = None
    run_link: Text | None = None
    model_id: Text | None = None
    user_id: Text | None = None
    description: Text | None = None
    tags: Mapping[Text, Text] = {}


class VersionChange(Asked):
    """What shall be different; ``null`` leaves a field as it is, and removes a tag."""

    description: Text | None = None
    tags: Mapping[Text, Text | None] = {}


class StageMove(Asked):
    """A stage to be taken, and whether the others there go to the archive."""

    stage: Stage
    archive_existing: StrictBool = False


class AliasMove(Asked):
    """The version that an alias shall stand for."""

    version: Integer


class NeededTold(Told):
    """The version that needs the files of a run or a logged model; ``null``: none does."""

    needed_by: str | None
