"""Verbs of scripts about registered models."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from toolkit.active.client import Client
from toolkit.active.connected import whole
from toolkit.active.registered import ModelVersion, RegisteredModel
from toolkit.errors import NotYetSupported
from toolkit.recording import current
from toolkit.registry.registering import Registration, register
from toolkit.tracking.records import Page

_MODELS, _VERSIONS = 1_000, 10_000


def register_model(
    model_uri: str,
    name: str,
    await_registration_for: int | None = 300,  # noqa: ARG001 - MLflow's
    *,
    tags: Mapping[str, object] | None = None,
    env_pack: object = None,
    description: str | None = None,
) -> ModelVersion:
    """Register a model: make a version of it, with the next number, which is ready at once.

    Args:
        model_uri: ``models:/m-…`` (what `log_model` returns), ``runs:/<run id>/<path>``, ``models:/name/3`` (another
            version, whose files it shares), or where a run's or a logged model's files are.
        name: The registered model; made where there is none of this name.
        await_registration_for: MLflow's argument; there is nothing to wait for.
        tags: Tags of the version.
        env_pack: MLflow's argument for Databricks; it must be left out.
        description: What the version is.

    Raises:
        InvalidValue: The name or a tag cannot be used, or the URI is no model's, such as a folder of this machine.
        NotFound: There is no such run or model, or no model at this place.
        Conflict: The model's files are not all there, or its run was deleted.
    """
    if env_pack is not None:
        raise NotYetSupported("env_pack packs environments for Databricks: leave it out")
    client = Client()
    told = {key: str(value) for key, value in (tags or {}).items()}
    wanted = Registration(uri=str(model_uri), name=name, tags=told, description=description)
    return ModelVersion.of(register(wanted, current.stores(), client._catalog))


def search_registered_models(
    max_results: int | None = None, filter_string: str | None = None, order_by: Sequence[str] | None = None
) -> list[RegisteredModel]:
    """Return registered models; default order: by name.

    Args:
        max_results: So many at most; ``None``: all.
        filter_string: Such as ``name LIKE 'wine%' AND tags.team = 'red'``.
        order_by: Such as ``["timestamp DESC"]``.

    Raises:
        InvalidValue: An argument cannot be used; the message shows where.
    """
    client = Client()

    def read(size: int, token: str | None) -> Page[RegisteredModel]:
        found = client.search_registered_models(filter_string, size, order_by, token)
        return Page(items=found, next_page_token=found.token)

    return whole(read, max_results, _MODELS)


def search_model_versions(
    max_results: int | None = None, filter_string: str | None = None, order_by: Sequence[str] | None = None
) -> list[ModelVersion]:
    """Return versions of registered models, without their aliases; default order: the last changed first.

    Args:
        max_results: So many at most; ``None``: all.
        filter_string: Such as ``name = 'wine' AND tags.checked = 'yes'``.
        order_by: Such as ``["version_number DESC"]``.

    Raises:
        InvalidValue: An argument cannot be used; the message shows where.
    """
    client = Client()

    def read(size: int, token: str | None) -> Page[ModelVersion]:
        found = client.search_model_versions(filter_string, size, order_by, token)
        return Page(items=found, next_page_token=found.token)

    return whole(read, max_results, _VERSIONS)


def set_model_version_tag(
    name: str, version: int | str | None = None, key: str | None = None, value: object = None
) -> None:
    """Set a tag of a version."""
    Client().set_model_version_tag(name, version, key, value)
