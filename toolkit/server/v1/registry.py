"""Registered models and their versions, in our API."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated

from fastapi import APIRouter, Path, Response

from toolkit.registry.codec import registered_model_out, version_out
from toolkit.registry.integrity import check_recorded
from toolkit.registry.locating import located_at
from toolkit.registry.records import ModelVersion, NewVersion, RegisteredModel, Stage
from toolkit.registry.sources import Sources
from toolkit.server.v1 import records
from toolkit.server.v1 import registry_records as registry
from toolkit.server.v1.context import Acting, Context, Given, Here, answer, paged
from toolkit.tracking.http_codec import Json
from toolkit.tracking.records import SearchQuery

router = APIRouter(tags=["registry"])

Number = Annotated[int, Path(ge=0, lt=2**63)]


@router.post("/registered-models", response_model=registry.RegisteredTold)
def create_registered_model(here: Acting, body: Given[registry.NewRegistered]) -> Response:
    """Register a model, without versions. There must be none of this name."""
    made = here.catalog.registered.create_model(body.name, description=body.description, tags=body.tags)
    return answer(_model(here, made))


@router.post("/registered-models/search", response_model=registry.RegisteredPage)
def search_registered_models(here: Here, body: Given[registry.RegistrySearch]) -> Response:
    """Search; the default order: by name. Prompts of MLflow's are found only if the filter asks for them."""
    found = here.catalog.registered.search_models(SearchQuery(**dict(body)))
    return paged("registered_models", found, lambda record: _model(here, record))


@router.get("/registered-models/{name}", response_model=registry.RegisteredTold)
def get_registered_model(here: Here, name: str) -> Response:
    """Return a registered model with the highest version in each stage."""
    return answer(_model(here, here.catalog.registered.get_model(name)))


@router.patch("/registered-models/{name}", response_model=registry.RegisteredTold)
def update_registered_model(here: Acting, name: str, body: Given[registry.RegisteredChange]) -> Response:
    """Rename, describe or tag a registered model."""
    return answer(_model(here, here.catalog.registered.update_model(name, **dict(body))))


@router.delete("/registered-models/{name}", response_model=records.Done)
def delete_registered_model(here: Acting, name: str) -> Response:
    """Delete a registered model with its versions and aliases."""
    here.catalog.registered.delete_model(name)
    return answer({})


@router.get("/registered-models/{name}/latest", response_model=registry.VersionsTold)
def latest_versions(here: Here, name: str, stages: str = "") -> Response:
    """Return the highest version in each of some stages, separated by commas, or in each stage there is."""
    wanted = [Stage.read(each.strip()) for each in stages.split(",") if each.strip()]
    found = here.catalog.registered.latest_versions(name, wanted)
    return answer({"versions": [_version(here, record) for record in found]})


@router.get("/registered-models/{name}/aliases/{alias}", response_model=registry.VersionTold)
def find_alias(here: Here, name: str, alias: str) -> Response:
    """Return the version that an alias stands for."""
    return answer(_version(here, here.catalog.registered.find_alias(name, alias)))


@router.put("/registered-models/{name}/aliases/{alias}", response_model=records.Done)
def set_alias(here: Acting, name: str, alias: str, body: Given[registry.AliasMove]) -> Response:
    """Let an alias stand for a version, also where it stood for another one."""
    here.catalog.registered.set_alias(name, alias, body.version)
    return answer({})


@router.delete("/registered-models/{name}/aliases/{alias}", response_model=records.Done)
def delete_alias(here: Acting, name: str, alias: str) -> Response:
    """Remove an alias, if it is there."""
    here.catalog.registered.delete_alias(name, alias)
    return answer({})


@router.post("/registered-models/{name}/versions", response_model=registry.VersionTold)
def create_version(here: Acting, name: str, body: Given[registry.NewVersionAsked]) -> Response:
    """Make a version, with the next number."""
    here.catalog.registered.get_model(name)  # what is said first is that there is no such model
    sources = Sources(here.catalog, here.stores.runs, here.locate)
    values = {key: value for key, value in dict(body).items() if key != "location"}
    if body.location is None:
        found = sources.resolve(body.source, body.run_id, body.model_id)
        new = NewVersion(name=name, location=found.location, **values)
        new = replace(new, source=found.source, run_id=found.run_id, model_id=found.model_id)
    else:
        location = here.place(body.location)
        sources.check_location(location, here.stores.artifact_root, body.run_id, body.model_id)
        new = NewVersion(name=name, location=location, **values)
    check_recorded(located_at(new), here.stores, here.catalog)
    return answer(_version(here, here.catalog.registered.create_version(new)))


@router.get("/registered-models/{name}/versions/{version}", response_model=registry.VersionTold)
def get_version(here: Here, name: str, version: Number) -> Response:
    """Return a version with its aliases."""
    return answer(_version(here, here.catalog.registered.get_version(name, version)))


@router.patch("/registered-models/{name}/versions/{version}", response_model=registry.VersionTold)
def update_version(here: Acting, name: str, version: Number, body: Given[registry.VersionChange]) -> Response:
    """Describe or tag a version."""
    return answer(_version(here, here.catalog.registered.update_version(name, version, **dict(body))))


@router.delete("/registered-models/{name}/versions/{version}", response_model=records.Done)
def delete_version(here: Acting, name: str, version: Number) -> Response:
    """Delete a version and its aliases; its number stays taken."""
    here.catalog.registered.delete_version(name, version)
    return answer({})


@router.post("/registered-models/{name}/versions/{version}/stage", response_model=registry.VersionTold)
def set_stage(here: Acting, name: str, version: Number, body: Given[registry.StageMove]) -> Response:
    """Move a version to a stage; the others there go to the archive, if that is wanted."""
    moved = here.catalog.registered.set_stage(name, version, body.stage, archive_existing=body.archive_existing)
    return answer(_version(here, moved))


@router.post("/model-versions/search", response_model=registry.VersionPage)
def search_versions(here: Here, body: Given[registry.RegistrySearch]) -> Response:
    """Search versions of all registered models, the last changed first. They come without their aliases."""
    found = here.catalog.registered.search_versions(SearchQuery(**dict(body)))
    return paged("versions", found, lambda record: _version(here, record))


@router.get("/model-versions/needed", response_model=registry.NeededTold)
def needed_by(here: Here, holder: str) -> Response:
    """Say which version needs the files of a run or of a logged model."""
    return answer({"needed_by": here.catalog.registered.needed_by(holder)})


def _model(here: Context, record: RegisteredModel) -> Json:
    return registered_model_out(record, here.locate)


def _version(here: Context, record: ModelVersion) -> Json:
    return version_out(record, here.locate)
