"""What the registry keeps: frozen records."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from toolkit.errors import InvalidValue


class Stage(StrEnum):
    """The stage of a version; MLflow's names."""

    NONE = "None"
    STAGING = "Staging"
    PRODUCTION = "Production"
    ARCHIVED = "Archived"

    @classmethod
    def read(cls, text: str) -> Stage:
        """Return the stage of a name in any case.

        Raises:
            InvalidValue: There is none.
        """
        for stage in cls:
            if stage.value.lower() == text.lower():
                return stage
        known = ", ".join(stage.value for stage in cls)
        raise InvalidValue(f"Invalid Model Version stage: {text[:100]}. Value must be one of {known}.")

    @property
    def active(self) -> bool:
        """Whether versions in this stage are in use: who takes it may send the others to the archive."""
        return self in (Stage.STAGING, Stage.PRODUCTION)


class VersionStatus(StrEnum):
    """The state of a version; MLflow's names."""

    PENDING = "PENDING_REGISTRATION"
    FAILED = "FAILED_REGISTRATION"
    READY = "READY"


@dataclass(frozen=True, kw_only=True, slots=True)
class NewVersion:
    """A version to be made.

    Attributes:
        name: The registered model.
        source: Where its files come from, as who registers it says.
        location: Where they are; resolved from the source.
        run_id: The run that made it.
        run_link: Where that run is shown, if elsewhere.
        model_id: The logged model that it is.
        user_id: Who registers it.
        description: What it is.
        tags: Its first tags.
    """

    name: str
    source: str
    location: str
    run_id: str | None = None
    run_link: str | None = None
    model_id: str | None = None
    user_id: str | None = None
    description: str | None = None
    tags: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True, slots=True)
class ModelVersion:
    """A version of a registered model. Times in milliseconds since 1970 UTC.

    Attributes:
        name: The registered model.
        version: Its number, from 1; never given out again.
        source: Where its files come from, as who registered it said.
        location: Where they are.
        stage: Its stage.
        status: Its state.
        status_message: Why it has its state, where there is more to say.
        run_id: The run that made it.
        run_link: Where that run is shown, if elsewhere.
        model_id: The logged model that it is.
        user_id: Who registered it.
        description: What it is.
        creation_time: When it was made.
        last_update_time: When it was changed.
        tags: Its tags.
        aliases: The names that stand for it.
    """

    name: str
    version: int
    source: str
    location: str
    stage: Stage = Stage.NONE
    status: VersionStatus = VersionStatus.READY
    status_message: str | None = None
    run_id: str | None = None
    run_link: str | None = None
    model_id: str | None = None
    user_id: str | None = None
    description: str | None = None
    creation_time: int = 0
    last_update_time: int = 0
    tags: Mapping[str, str] = field(default_factory=dict)
    aliases: Sequence[str] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class RegisteredModel:
    """A named line of versions. Times in milliseconds since 1970 UTC.

    Attributes:
        name: Its name; no other one has it.
        description: What it is.
        creation_time: When it was made.
        last_update_time: When it or its versions were changed.
        tags: Its tags.
        aliases: Names that stand for a version, with its number.
        latest_versions: The highest version in each stage.
    """

    name: str
    description: str | None = None
    creation_time: int = 0
    last_update_time: int = 0
    tags: Mapping[str, str] = field(default_factory=dict)
    aliases: Mapping[str, int] = field(default_factory=dict)
    latest_versions: Sequence[ModelVersion] = ()
