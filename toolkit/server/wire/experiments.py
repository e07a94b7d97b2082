"""Experiments on MLflow's wire."""

from __future__ import annotations

from urllib.parse import unquote, urlparse

from toolkit.errors import Conflict, InvalidValue, NotFound
from toolkit.server.wire import messages
from toolkit.server.wire.call import Call, Endpoint
from toolkit.server.wire.messages import Message
from toolkit.server.wire.request import Fields
from toolkit.tracking.records import Experiment, Lifecycle, SearchQuery, UsedDataset
from toolkit.wiring.registry import datasets_of

DEFAULT_PAGE = 1000
MOST_UNQUOTED = 10
"""How often something may have been percent-encoded."""
MOST_SEARCHED = 20
"""Experiments whose datasets are asked for at once."""

MOST_SUMMARIES = 1_000

_VIEWS: dict[int, Lifecycle | None] = {1: Lifecycle.ACTIVE, 2: Lifecycle.DELETED, 3: None}
_VIEW_NAMES: dict[str, Lifecycle | None] = {
    "ACTIVE_ONLY": Lifecycle.ACTIVE,
    "DELETED_ONLY": Lifecycle.DELETED,
    "ALL": None,
}


def view(fields: Fields, name: str) -> Lifecycle | None:
    """Return what of active and deleted things is wanted; the default: active ones."""
    return fields.choice(name, _VIEWS, _VIEW_NAMES, Lifecycle.ACTIVE)


def create(call: Call) -> Message:
    """Make an experiment."""
    fields = call.fields
    location = fields.maybe_text("artifact_location") or None
    if location is not None:
        _check_location(location)
    made = call.stores.runs.create_experiment(
        fields.needed("name"), artifact_location=location, tags=dict(fields.pairs("tags"))
    )
    return {"experiment_id": made.experiment_id}


def _check_location(location: str) -> None:
    """Refuse what MLflow's server refuses: an address that would lead elsewhere than it seems to."""
    parts = urlparse(location)
    if parts.scheme == "runs":
        raise InvalidValue(f"Artifact location cannot be a runs:/ URI. Given: '{location}'")
    if parts.fragment or parts.params:
        raise InvalidValue("'artifact_location' URL can't include fragments or params.")
    query = parts.query
    for _ in range(MOST_UNQUOTED):
        query = unquote(query)
    if ".." in query:
        raise InvalidValue("'artifact_location': invalid query string")


def get(call: Call) -> Message:
    """Return one by its id."""
    return _shown(call, call.stores.runs.get_experiment(call.fields.needed("experiment_id")))


def get_by_name(call: Call) -> Message:
    """Return one by its name, deleted or not."""
    name = call.fields.needed("experiment_name")
    found = call.stores.runs.find_experiment(name)
    if found is None:
        raise NotFound(f"Could not find experiment with name '{name}'")
    return _shown(call, found)


def _shown(call: Call, record: Experiment) -> Message:
    return {"experiment": messages.experiment(record, call.locate)}


def search(call: Call) -> Message:
    """Return those that a filter finds."""
    fields = call.fields
    query = SearchQuery(
        filter=fields.text("filter"),
        order_by=fields.texts("order_by"),
        lifecycle=view(fields, "view_type"),
        limit=fields.integer("max_results", DEFAULT_PAGE),
        page_token=fields.maybe_text("page_token") or None,
    )
    found = call.stores.runs.search_experiments(query)
    items = [messages.experiment(record, call.locate) for record in found.items]
    return messages.page("experiments", items, found.next_page_token)


def update(call: Call) -> Message:
    """Rename one."""
    call.stores.runs.update_experiment(call.fields.needed("experiment_id"), name=call.fields.maybe_text("new_name"))
    return {}


def delete(call: Call) -> Message:
    """Delete one with its runs."""
    call.stores.runs.update_experiment(call.fields.needed("experiment_id"), lifecycle=Lifecycle.DELETED)
    return {}


def restore(call: Call) -> Message:
    """Restore one with its runs."""
    call.stores.runs.update_experiment(call.fields.needed("experiment_id"), lifecycle=Lifecycle.ACTIVE)
    return {}


def set_tag(call: Call) -> Message:
    """Set a tag."""
    experiment_id, tags = call.fields.needed("experiment_id"), {call.fields.needed("key"): call.fields.text("value")}
    _active(call, experiment_id)
    call.stores.runs.update_experiment(experiment_id, tags=tags)
    return {}


def delete_tag(call: Call) -> Message:
    """Remove a tag that must be there."""
    experiment_id, key = call.fields.needed("experiment_id"), call.fields.needed("key")
    if key not in _active(call, experiment_id).tags:
        raise NotFound(f"No tag with name: {key} in experiment with id {experiment_id}")
    call.stores.runs.update_experiment(experiment_id, tags={key: None})
    return {}


def _active(call: Call, experiment_id: str) -> Experiment:
    """Return an experiment that is not deleted."""
    found = call.stores.runs.get_experiment(experiment_id)
    if found.lifecycle_stage is Lifecycle.DELETED:
        raise Conflict(
            f"The experiment {experiment_id} must be in the 'active' state. Current state is deleted: restore it first"
        )
    return found


def search_datasets(call: Call) -> Message:
    """Return the datasets that runs of some experiments use, and what for; the first thousand of them."""
    experiment_ids = call.fields.texts("experiment_ids")
    if not experiment_ids:
        raise InvalidValue("SearchDatasets request must specify at least one experiment_id.")
    if len(experiment_ids) > MOST_SEARCHED:
        raise InvalidValue(
            f"SearchDatasets request cannot specify more than {MOST_SEARCHED} experiment_ids. "
            f"Received {len(experiment_ids)} experiment_ids."
        )
    found = datasets_of(call.stores, experiment_ids, limit=MOST_SUMMARIES)
    return messages.page("dataset_summaries", [_summary(each) for each in found], None)


def _summary(used: UsedDataset) -> Message:
    message: Message = {"experiment_id": used.experiment_id, "name": used.name, "digest": used.digest}
    if used.context is not None:
        message["context"] = used.context
    return message


ENDPOINTS = (
    Endpoint(("POST",), "experiments/create", create),
    Endpoint(("GET",), "experiments/get", get),
    Endpoint(("GET",), "experiments/get-by-name", get_by_name),
    Endpoint(("POST", "GET"), "experiments/search", search, ("order_by",)),
    Endpoint(("POST",), "experiments/update", update),
    Endpoint(("POST",), "experiments/delete", delete),
    Endpoint(("POST",), "experiments/restore", restore),
    Endpoint(("POST",), "experiments/set-experiment-tag", set_tag),
    Endpoint(("POST",), "experiments/delete-experiment-tag", delete_tag),
    Endpoint(("POST",), "experiments/search-datasets", search_datasets),
)
