"""Runs that are there: found, read, deleted, restored."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal, overload

from toolkit.active.client import Client
from toolkit.active.connected import whole
from toolkit.active.frames import pandas, runs_frame
from toolkit.entities import Run, ViewType
from toolkit.errors import InvalidValue
from toolkit.recording import current

if TYPE_CHECKING:
    import pandas as pd

logger = logging.getLogger(__name__)

_PAGE = 10_000


@overload
def search_runs(
    experiment_ids: Sequence[str] | None = None,
    filter_string: str = "",
    run_view_type: int = ViewType.ACTIVE_ONLY,
    max_results: int = 100_000,
    order_by: Sequence[str] | None = None,
    output_format: Literal["pandas"] = "pandas",
    search_all_experiments: bool = False,
    experiment_names: Sequence[str] | None = None,
    fields: Sequence[str] | None = None,
) -> pd.DataFrame: ...
@overload
def search_runs(
    experiment_ids: Sequence[str] | None = None,
    filter_string: str = "",
    run_view_type: int = ViewType.ACTIVE_ONLY,
    max_results: int = 100_000,
    order_by: Sequence[str] | None = None,
    *,
    output_format: Literal["list"],
    search_all_experiments: bool = False,
    experiment_names: Sequence[str] | None = None,
    fields: Sequence[str] | None = None,
) -> list[Run]: ...
def search_runs(
    experiment_ids: Sequence[str] | None = None,
    filter_string: str = "",
    run_view_type: int = ViewType.ACTIVE_ONLY,
    max_results: int = 100_000,
    order_by: Sequence[str] | None = None,
    output_format: Literal["pandas", "list"] = "pandas",
    search_all_experiments: bool = False,
    experiment_names: Sequence[str] | None = None,
    fields: Sequence[str] | None = None,
) -> pd.DataFrame | list[Run]:
    """Return runs; default order: newest first.

    Args:
        experiment_ids: In these experiments; default: in the one that new runs go to.
        filter_string: Such as ``metrics.rmse < 0.3 AND (params.alpha = '0.5' OR tags.team IS NULL)``.
        run_view_type: Active ones, deleted ones or both (`toolkit.entities.ViewType`).
        max_results: So many at most.
        order_by: Such as ``["metrics.rmse ASC"]``.
        output_format: ``pandas``, a table with a row for each run, or ``list``.
        search_all_experiments: In all active experiments, where none are given.
        experiment_names: In the experiments of these names, instead of ids.
        fields: Load only these, such as ``["metrics.rmse", "params.*"]``; default: all.

    Raises:
        InvalidValue: An argument cannot be used; the message shows where. Or pandas is not installed.
    """
    if output_format not in ("pandas", "list"):
        raise InvalidValue(
            f"Unsupported output format: {output_format}. Supported string values are 'pandas' or 'list'"
        )
    if output_format == "pandas":
        pandas()  # its absence is said before anything is read
    client = Client()
    ids = _experiments(client, experiment_ids, experiment_names, everywhere=search_all_experiments)
    found = whole(
        lambda size, token: client.search_page(ids, filter_string, run_view_type, size, order_by, token, fields=fields),
        max_results,
        _PAGE,
    )
    return runs_frame(found) if output_format == "pandas" else [Run.of(each) for each in found]


def get_run(run_id: str) -> Run:
    """Return a run with all that it logged, used and made.

    Raises:
        NotFound: There is none of this id.
    """
    return Client().get_run(run_id)


def get_parent_run(run_id: str) -> Run | None:
    """Return the run that a run is a part of; ``None`` if it is a part of none.

    Raises:
        NotFound: There is no run ``run_id``.
    """
    return Client().get_parent_run(run_id)


def delete_run(run_id: str) -> None:
    """Delete a run; `restore_run` brings it back.

    Raises:
        NotFound: There is none of this id.
    """
    Client().delete_run(run_id)


def restore_run(run_id: str) -> None:
    """Bring a deleted run back.

    Raises:
        NotFound: There is none of this id.
    """
    Client().restore_run(run_id)


def _experiments(
    client: Client, ids: Sequence[str] | None, names: Sequence[str] | None, *, everywhere: bool
) -> Sequence[str] | None:
    """Return the experiments to search in; ``None`` for all."""
    if ids and names:
        raise InvalidValue("Only experiment_ids or experiment_names can be used, but not both")
    if ids:
        return ids
    if names:
        found = {name: client.get_experiment_by_name(name) for name in names}
        for name, experiment in found.items():
            if experiment is None:
                logger.warning("Cannot retrieve experiment by name %s", name)
        return [experiment.experiment_id for experiment in found.values() if experiment is not None]
    if everywhere:
        return None
    return [current.experiment_id()]
