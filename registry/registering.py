"""Registering a model: from a URI, which must name one that is there, to a version."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from toolkit.errors import AlreadyExists, Conflict, InvalidValue, NotFound
from toolkit.recording.context import user_name
from toolkit.recording.stores import Stores
from toolkit.registry import names
from toolkit.registry.catalog import Catalog
from toolkit.registry.integrity import check_files
from toolkit.registry.locating import Located, locate
from toolkit.registry.records import ModelVersion, NewVersion
from toolkit.tracking.logged_models import ModelStatus
from toolkit.tracking.records import Lifecycle


@dataclass(frozen=True, kw_only=True, slots=True)
class Registration:
    """A model to be registered.

    Attributes:
        uri: The model: ``models:/m-…``, ``models:/name/3``, ``runs:/<run id>/<path>``, or a place of an object store.
        name: The registered model; made where there is none.
        run_id: The run that made it, where the URI does not say so.
        description: What the version is.
        tags: Its first tags.
        user_id: Who registers it; default: who runs this process.
    """

    uri: str
    name: str
    run_id: str | None = None
    description: str | None = None
    tags: Mapping[str, str] = field(default_factory=dict)
    user_id: str | None = None


def register(wanted: Registration, stores: Stores, catalog: Catalog) -> ModelVersion:
    """Register a model; the registered model is made where there is none of its name.

    Raises:
        InvalidValue: The name, a tag or the URI cannot be used.
        NotFound: There is no such run, model or version, or it holds no model.
        Conflict: The model is not whole, or its run was deleted.
        ArtifactCorrupt: Its files are not as they were recorded.
    """
    new = new_version(wanted, stores, catalog)
    ensure_model(catalog, wanted.name)
    return catalog.registered.create_version(new)


def new_version(wanted: Registration, stores: Stores, catalog: Catalog, *, run_link: str | None = None) -> NewVersion:
    """Return what a registration makes, after looking whether the model is there and whole.

    Raises:
        InvalidValue: As for `register`.
        NotFound: The same.
        Conflict: The same.
        ArtifactCorrupt: The same.
    """
    names.check_name(wanted.name)
    names.check_tags(wanted.tags)
    names.check_description(wanted.description)
    located = locate(wanted.uri, stores, catalog)
    _check(located, stores)
    check_files(located, stores, catalog)
    return NewVersion(
        name=wanted.name,
        source=located.uri,
        location=located.location,
        run_id=_run_of(located, wanted, stores),
        run_link=run_link,
        model_id=located.model_id,
        user_id=wanted.user_id or user_name(),
        description=wanted.description,
        tags=wanted.tags,
    )


def copy(source: ModelVersion, name: str, catalog: Catalog, *, user_id: str | None = None) -> ModelVersion:
    """Make a version of the same files: with its description, tags and run, and without its stage and aliases.

    Args:
        source: The version to copy.
        name: The registered model that gets it; made where there is none.
        catalog: Where models are.
        user_id: Who copies it; default: who runs this process.

    Raises:
        InvalidValue: The name cannot be used.
    """
    names.check_name(name)
    new = NewVersion(
        name=name,
        source=f"models:/{source.name}/{source.version}",
        location=source.location,
        run_id=source.run_id,
        run_link=source.run_link,
        model_id=source.model_id,
        user_id=user_id or user_name(),
        description=source.description,
        tags=source.tags,
    )
    ensure_model(catalog, name)
    return catalog.registered.create_version(new)


def ensure_model(catalog: Catalog, name: str) -> None:
    """Make a registered model where there is none of this name."""
    try:
        catalog.registered.get_model(name)
    except NotFound:
        try:
            catalog.registered.create_model(name)
        except AlreadyExists:  # somebody was faster
            return


def _check(located: Located, stores: Stores) -> None:
    """Check that a model is one that can be registered."""
    if located.logged is not None and located.logged.status is not ModelStatus.READY:
        raise Conflict(
            f"{located.uri} is {located.logged.status}: only a model whose files are all there is registered"
        )
    if located.run_id is not None and located.path is not None:
        run = stores.runs.get_run(located.run_id)
        if run.info.lifecycle_stage is Lifecycle.DELETED:
            raise Conflict(f"run {run.info.run_name} ({located.run_id}) was deleted: restore it to register its model")
    split = urlsplit(located.uri)
    if split.scheme in ("", "file") or len(split.scheme) == 1:  # a drive of Windows
        raise InvalidValue(
            f"{located.uri[:200]} is a folder of this machine, which others cannot read: log it to a run "
            "(toolkit.log_artifacts, toolkit.log_model), and register runs:/<run id>/<path>"
        )


def _run_of(located: Located, wanted: Registration, stores: Stores) -> str | None:
    """Return the run that made a model; one that the caller names must be there."""
    if wanted.run_id is None:
        return located.run_id
    if located.run_id not in (None, wanted.run_id):
        raise InvalidValue(f"{located.uri} was made by run {located.run_id}, not by {wanted.run_id}")
    stores.runs.get_run(wanted.run_id)
    return wanted.run_id
