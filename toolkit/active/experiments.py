"""Experiments, as a script works with them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from toolkit.active.client import Client
from toolkit.active.connected import whole
from toolkit.entities import Experiment, ViewType, stage_of
from toolkit.errors import Conflict, InvalidValue, NotYetSupported
from toolkit.recording import current
from toolkit.tracking.records import Lifecycle, SearchQuery

_PAGE = 1_000


def set_experiment(
    experiment_name: str | None = None, experiment_id: str | None = None, trace_location: object | None = None
) -> Experiment:
    """Choose the experiment that new runs go to; one that is not there is made.

    Args:
        experiment_name: Its name.
        experiment_id: Its id, instead of the name.
        trace_location: MLflow's argument for traces in Unity Catalog; it must be left out.

    Raises:
        Conflict: The experiment of this id is deleted.
        InvalidValue: Neither or both were given.
        NotFound: There is no experiment of this id.
    """
    _refuse(trace_location)
    if (experiment_name is None) == (experiment_id is None):
        raise InvalidValue("set_experiment wants experiment_name or experiment_id, one of them")
    runs = current.stores().runs
    found = (
        runs.ensure_experiment(experiment_name)
        if experiment_name is not None
        else runs.get_experiment(str(experiment_id))
    )
    if found.lifecycle_stage is Lifecycle.DELETED:
        raise Conflict(f"experiment {found.name!r} ({experiment_id}) is deleted: restore it with restore_experiment")
    current.choose_experiment(found.experiment_id)
    return Experiment.of(found)


def create_experiment(
    name: str,
    artifact_location: str | None = None,
    tags: Mapping[str, object] | None = None,
    trace_location: object | None = None,
) -> str:
    """Make an experiment; return its id. `set_experiment` chooses it for new runs.

    Args:
        name: Its name.
        artifact_location: URI below which its runs keep their artifacts; default: the artifact root's.
        tags: Its tags.
        trace_location: MLflow's argument for traces in Unity Catalog; it must be left out.

    Raises:
        AlreadyExists: There is an active one of this name.
        InvalidValue: The name or a tag is out of bounds.
    """
    _refuse(trace_location)
    return Client().create_experiment(name, artifact_location, tags)


def get_experiment(experiment_id: str) -> Experiment:
    """Return an experiment, deleted or not.

    Raises:
        NotFound: There is none of this id.
    """
    return Client().get_experiment(experiment_id)


def get_experiment_by_name(name: str) -> Experiment | None:
    """Return the active experiment of this name, else a deleted one, else ``None``."""
    return Client().get_experiment_by_name(name)


def search_experiments(
    view_type: int = ViewType.ACTIVE_ONLY,
    max_results: int | None = None,
    filter_string: str | None = None,
    order_by: Sequence[str] | None = None,
) -> list[Experiment]:
    """Return experiments; default order: newest first.

    Args:
        view_type: Active ones, deleted ones or both (`toolkit.entities.ViewType`).
        max_results: So many at most; default: all.
        filter_string: Such as ``name LIKE 'wine%' AND tags.team = 'red'``.
        order_by: Such as ``["name ASC"]``.

    Raises:
        InvalidValue: An argument cannot be used; the message shows where.
    """
    runs = current.stores().runs
    stage = stage_of(view_type)
    found = whole(
        lambda size, token: runs.search_experiments(
            SearchQuery(
                filter=filter_string or "",
                order_by=tuple(order_by or ()),
                lifecycle=stage,
                limit=size,
                page_token=token,
            )
        ),
        max_results,
        _PAGE,
    )
    return [Experiment.of(each) for each in found]


def delete_experiment(experiment_id: str) -> None:
    """Delete an experiment with its runs; `restore_experiment` brings them back.

    Raises:
        NotFound: There is none of this id.
    """
    Client().delete_experiment(experiment_id)


def restore_experiment(experiment_id: str) -> None:
    """Bring a deleted experiment back, with the runs that were deleted with it.

    Raises:
        AlreadyExists: Its name was given to another one meanwhile.
        NotFound: There is none of this id.
    """
    Client().restore_experiment(experiment_id)


def set_experiment_tag(key: str, value: object) -> None:
    """Set a tag of the experiment that new runs go to; the last value counts."""
    set_experiment_tags({key: value})


def set_experiment_tags(tags: Mapping[str, object]) -> None:
    """Set tags of the experiment that new runs go to, all or none of them."""
    told = {key: str(value) for key, value in tags.items()}
    current.stores().runs.update_experiment(current.experiment_id(), tags=told)


def delete_experiment_tag(key: str) -> None:
    """Remove a tag of the experiment that new runs go to.

    Raises:
        NotFound: It has none of this name.
    """
    Client().delete_experiment_tag(current.experiment_id(), key)


def _refuse(trace_location: object | None) -> None:
    if trace_location is not None:
        raise NotYetSupported("trace_location names a place in Unity Catalog: leave it out")
