"""Registered models and their aliases on MLflow's wire."""

from __future__ import annotations

from toolkit.registry.names import read_version
from toolkit.registry.records import Stage
from toolkit.server.wire import messages, models
from toolkit.server.wire.call import Call, Endpoint
from toolkit.server.wire.messages import Message
from toolkit.tracking.records import SearchQuery

DEFAULT_PAGE = 100


def create(call: Call) -> Message:
    """Register a model, without versions."""
    fields = call.fields
    made = call.catalog.registered.create_model(
        fields.needed("name"),
        description=fields.maybe_text("description"),
        tags=dict(fields.pairs("tags")),
    )
    return {"registered_model": models.registered_model(made)}


def get(call: Call) -> Message:
    """Return one."""
    return {"registered_model": models.registered_model(call.catalog.registered.get_model(call.fields.needed("name")))}


def search(call: Call) -> Message:
    """Return those that a filter finds."""
    fields = call.fields
    query = SearchQuery(
        filter=fields.text("filter"),
        order_by=fields.texts("order_by"),
        limit=fields.integer("max_results", DEFAULT_PAGE),
        page_token=fields.maybe_text("page_token") or None,
    )
    found = call.catalog.registered.search_models(query)
    items = [models.registered_model(record) for record in found.items]
    return messages.page("registered_models", items, found.next_page_token)


def rename(call: Call) -> Message:
    """Give one another name."""
    fields = call.fields
    renamed = call.catalog.registered.update_model(fields.needed("name"), new_name=fields.needed("new_name"))
    return {"registered_model": models.registered_model(renamed)}


def update(call: Call) -> Message:
    """Describe one."""
    fields = call.fields
    changed = call.catalog.registered.update_model(fields.needed("name"), description=fields.maybe_text("description"))
    return {"registered_model": models.registered_model(changed)}


def delete(call: Call) -> Message:
    """Delete one with its versions."""
    call.catalog.registered.delete_model(call.fields.needed("name"))
    return {}


def latest_versions(call: Call) -> Message:
    """Return the highest version in each stage."""
    fields = call.fields
    stages = [Stage.read(text) for text in fields.texts("stages")]
    found = call.catalog.registered.latest_versions(fields.needed("name"), stages)
    return messages.page("model_versions", [models.version(record) for record in found], None)


def set_tag(call: Call) -> Message:
    """Set a tag."""
    fields = call.fields
    call.catalog.registered.update_model(fields.needed("name"), tags={fields.needed("key"): fields.text("value")})
    return {}


def delete_tag(call: Call) -> Message:
    """Remove a tag, if it is there."""
    call.catalog.registered.update_model(call.fields.needed("name"), tags={call.fields.needed("key"): None})
    return {}


def set_alias(call: Call) -> Message:
    """Let an alias stand for a version."""
    fields = call.fields
    version = read_version(fields.number_text("version"))
    call.catalog.registered.set_alias(fields.needed("name"), fields.needed("alias"), version)
    return {}


def get_alias(call: Call) -> Message:
    """Return the version that an alias stands for."""
    found = call.catalog.registered.find_alias(call.fields.needed("name"), call.fields.needed("alias"))
    return {"model_version": models.version(found)}


def delete_alias(call: Call) -> Message:
    """Remove an alias, if it is there."""
    call.catalog.registered.delete_alias(call.fields.needed("name"), call.fields.needed("alias"))
    return {}


ENDPOINTS = (
    Endpoint(("POST",), "registered-models/create", create),
    Endpoint(("GET",), "registered-models/get", get),
    Endpoint(("GET", "POST"), "registered-models/search", search, ("order_by",)),
    Endpoint(("POST",), "registered-models/rename", rename),
    Endpoint(("PATCH",), "registered-models/update", update),
    Endpoint(("DELETE",), "registered-models/delete", delete),
    Endpoint(("POST", "GET"), "registered-models/get-latest-versions", latest_versions, ("stages",)),
    Endpoint(("POST",), "registered-models/set-tag", set_tag),
    Endpoint(("DELETE",), "registered-models/delete-tag", delete_tag),
    Endpoint(("POST",), "registered-models/alias", set_alias),
    Endpoint(("GET",), "registered-models/alias", get_alias),
    Endpoint(("DELETE",), "registered-models/alias", delete_alias),
)
