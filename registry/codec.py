"""Registered models and versions as JSON of our API: both ways, for the server and for its client."""

from __future__ import annotations

from dataclasses import fields

from toolkit.registry.records import ModelVersion, NewVersion, RegisteredModel, Stage, VersionStatus
from toolkit.tracking.http_codec import Json, Locate

_VERSION = tuple(field.name for field in fields(ModelVersion))
_MODEL = tuple(field.name for field in fields(RegisteredModel))
_NEW = tuple(field.name for field in fields(NewVersion) if field.name != "name")


def version_out(record: ModelVersion, locate: Locate) -> Json:
    """Return a version as JSON."""
    told: Json = {name: getattr(record, name) for name in _VERSION}
    told.update(location=locate(record.location), tags=dict(record.tags), aliases=list(record.aliases))
    return told


def version_in(told: Json) -> ModelVersion:
    """Return the version of `version_out`."""
    values = {name: told[name] for name in _VERSION}
    values.update(stage=Stage(told["stage"]), status=VersionStatus(told["status"]), aliases=tuple(told["aliases"]))
    return ModelVersion(**values)


def new_version_out(new: NewVersion) -> Json:
    """Return a version to be made as JSON; its model is named by the path."""
    told: Json = {name: getattr(new, name) for name in _NEW}
    told["tags"] = dict(new.tags)
    return told


def registered_model_out(record: RegisteredModel, locate: Locate) -> Json:
    """Return a registered model as JSON."""
    told: Json = {name: getattr(record, name) for name in _MODEL}
    told.update(
        tags=dict(record.tags),
        aliases=dict(record.aliases),
        latest_versions=[version_out(each, locate) for each in record.latest_versions],
    )
    return told


def registered_model_in(told: Json) -> RegisteredModel:
    """Return the registered model of `registered_model_out`."""
    values = {name: told[name] for name in _MODEL}
    values["latest_versions"] = tuple(map(version_in, told["latest_versions"]))
    return RegisteredModel(**values)
