"""Registered models and their versions as scripts read them: MLflow's fields."""

from __future__ import annotations

from dataclasses import dataclass, field

from toolkit.registry import records


@dataclass(frozen=True)
class ModelVersion:
    """A version of a registered model. Times in milliseconds since 1970 UTC.

    Attributes:
        name: The registered model.
        version: Its number.
        creation_timestamp: When it was made.
        last_updated_timestamp: When it was changed.
        description: What it is.
        user_id: Who registered it.
        current_stage: ``None``, ``Staging``, ``Production`` or ``Archived``, as text.
        source: Where its files come from.
        run_id: The run that made it.
        status: ``READY``.
        status_message: Why it has its state.
        tags: Its tags.
        run_link: Where the run is shown, if elsewhere.
        aliases: The names that stand for it; empty in the results of searches.
        model_id: The logged model that it is.
    """

    name: str
    version: int
    creation_timestamp: int
    last_updated_timestamp: int | None = None
    description: str | None = None
    user_id: str | None = None
    current_stage: str | None = None
    source: str | None = None
    run_id: str | None = None
    status: str = "READY"
    status_message: str | None = None
    tags: dict[str, str] = field(default_factory=dict)
    run_link: str | None = None
    aliases: list[str] = field(default_factory=list)
    model_id: str | None = None

    @staticmethod
    def of(record: records.ModelVersion) -> ModelVersion:
        """Return a record as scripts read it."""
        return ModelVersion(
            record.name,
            record.version,
            record.creation_time,
            record.last_update_time,
            record.description,
            record.user_id,
            record.stage.value,
            record.source,
            record.run_id,
            record.status.value,
            record.status_message,
            dict(record.tags),
            record.run_link,
            list(record.aliases),
            record.model_id,
        )


@dataclass(frozen=True)
class RegisteredModel:
    """A named line of versions. Times in milliseconds since 1970 UTC.

    Attributes:
        name: Its name.
        creation_timestamp: When it was made.
        last_updated_timestamp: When it or its versions were changed.
        description: What it is.
        latest_versions: The highest version in each stage.
        tags: Its tags.
        aliases: Names that stand for a version, with its number.
    """

    name: str
    creation_timestamp: int | None = None
    last_updated_timestamp: int | None = None
    description: str | None = None
    latest_versions: list[ModelVersion] = field(default_factory=list)
    tags: dict[str, str] = field(default_factory=dict)
    aliases: dict[str, int] = field(default_factory=dict)

    @staticmethod
    def of(record: records.RegisteredModel) -> RegisteredModel:
        """Return a record as scripts read it."""
        return RegisteredModel(
            record.name,
            record.creation_time,
            record.last_update_time,
            record.description,
            [ModelVersion.of(each) for each in record.latest_versions],
            dict(record.tags),
            dict(record.aliases),
        )
