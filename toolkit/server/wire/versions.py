"""Versions of registered models on MLflow's wire."""

from __future__ import annotations

from toolkit.registry.integrity import check_recorded
from toolkit.registry.locating import located_at
from toolkit.registry.names import IS_PROMPT, read_version
from toolkit.registry.records import NewVersion, Stage
from toolkit.registry.sources import Resolved, Sources
from toolkit.server.wire import messages, models
from toolkit.server.wire.call import Call, Endpoint
from toolkit.server.wire.messages import Message
from toolkit.tracking.records import SearchQuery

DEFAULT_PAGE = 200_000


def create(call: Call) -> Message:
    """Register a version, with the next number."""
    fields = call.fields
    tags = dict(fields.pairs("tags"))
    name, source = fields.needed("name"), fields.needed("source")
    run_id, model_id = fields.text("run_id") or None, fields.text("model_id") or None
    call.catalog.registered.get_model(name)  # what is said first is that there is no such model
    if tags.get(IS_PROMPT, "").lower() == "true":  # its text is in its tags
        resolved = Resolved(source=source, location=source, run_id=run_id, model_id=None)
    else:
        resolved = Sources(call.catalog, call.stores.runs, call.locate).resolve(source, run_id, model_id)
    new = NewVersion(
        name=name,
        source=resolved.source,
        location=resolved.location,
        run_id=resolved.run_id,
        model_id=resolved.model_id,
        run_link=fields.maybe_text("run_link"),
        description=fields.maybe_text("description"),
        tags=tags,
    )
    check_recorded(located_at(new), call.stores, call.catalog)
    made = call.catalog.registered.create_version(new)
    return {"model_version": models.version(made)}


def _named(call: Call) -> tuple[str, int]:
    """Return the name and the number that a request names a version by."""
    return call.fields.needed("name"), read_version(call.fields.number_text("version"))


def get(call: Call) -> Message:
    """Return one."""
    return {"model_version": models.version(call.catalog.registered.get_version(*_named(call)))}


def search(call: Call) -> Message:
    """Return those that a filter finds, without their aliases."""
    fields = call.fields
    query = SearchQuery(
        filter=fields.text("filter"),
        order_by=fields.texts("order_by"),
        limit=fields.integer("max_results", DEFAULT_PAGE),
        page_token=fields.maybe_text("page_token") or None,
    )
    found = call.catalog.registered.search_versions(query)
    items = [models.version(record) for record in found.items]
    return messages.page("model_versions", items, found.next_page_token)


def update(call: Call) -> Message:
    """Describe one."""
    changed = call.catalog.registered.update_version(*_named(call), description=call.fields.maybe_text("description"))
    return {"model_version": models.version(changed)}


def transition(call: Call) -> Message:
    """Move one to a stage."""
    fields = call.fields
    name, version = _named(call)
    moved = call.catalog.registered.set_stage(
        name, version, Stage.read(fields.needed("stage")), archive_existing=fields.flag("archive_existing_versions")
    )
    return {"model_version": models.version(moved)}


def delete(call: Call) -> Message:
    """Delete one."""
    call.catalog.registered.delete_version(*_named(call))
    return {}


def download_uri(call: Call) -> Message:
    """Say where the files of one are."""
    found = call.catalog.registered.get_version(*_named(call))
    return {"artifact_uri": call.locate(found.location)}


def set_tag(call: Call) -> Message:
    """Set a tag."""
    tags = {call.fields.needed("key"): call.fields.text("value")}
    call.catalog.registered.update_version(*_named(call), tags=tags)
    return {}


def delete_tag(call: Call) -> Message:
    """Remove a tag, if it is there."""
    call.catalog.registered.update_version(*_named(call), tags={call.fields.needed("key"): None})
    return {}


ENDPOINTS = (
    Endpoint(("POST",), "model-versions/create", create),
    Endpoint(("GET",), "model-versions/get", get),
    Endpoint(("GET",), "model-versions/search", search, ("order_by",)),
    Endpoint(("PATCH",), "model-versions/update", update),
    Endpoint(("POST",), "model-versions/transition-stage", transition),
    Endpoint(("DELETE",), "model-versions/delete", delete),
    Endpoint(("GET",), "model-versions/get-download-uri", download_uri),
    Endpoint(("POST",), "model-versions/set-tag", set_tag),
    Endpoint(("DELETE",), "model-versions/delete-tag", delete_tag),
)
