"""``toolkit experiments``: list, make, show, rename, delete and restore experiments. The options are MLflow's."""

from __future__ import annotations

import csv
import sys
from collections.abc import Iterator, Sequence
from dataclasses import replace
from enum import StrEnum
from pathlib import Path

import typer

from toolkit.cli.render import moment, show, show_json, show_table
from toolkit.cli.store import opened
from toolkit.errors import AlreadyExists, InvalidValue, NotFound
from toolkit.recording.stores import Stores
from toolkit.tracking.records import Experiment, Lifecycle, Run, RunQuery, SearchQuery

app = typer.Typer(
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    no_args_is_help=True,
    help="List, make, show, rename, delete and restore experiments.",
)


class View(StrEnum):
    """Which experiments or runs are wanted; MLflow's words."""

    ACTIVE = "active_only"
    DELETED = "deleted_only"
    ALL = "all"

    @property
    def lifecycle(self) -> Lifecycle | None:
        """The same as our stores say it."""
        return {View.ACTIVE: Lifecycle.ACTIVE, View.DELETED: Lifecycle.DELETED}.get(self)


_FILTER = typer.Option("", "--filter", metavar="FILTER", help="Only those of which it is true: \"name LIKE 'wine%'\".")
_ORDER_BY = typer.Option([], "--order-by", metavar="KEY", help="Such as 'name DESC'; again for further keys.")
_ID = typer.Option(..., "-x", "--experiment-id", metavar="ID", help="The experiment's id.")


@app.callback()
def root() -> None:
    """Group the commands."""


@app.command("list")
def list_(
    text: str = _FILTER,
    order_by: list[str] = _ORDER_BY,
    limit: int = typer.Option(100, "-n", "--limit", min=1, max=50_000, help="At most this many."),
    as_json: bool = typer.Option(False, "--json", help="Print JSON."),
) -> None:
    """List experiments, newest first."""
    _list(SearchQuery(filter=text, order_by=order_by, limit=limit), as_json=as_json)


@app.command()
def search(
    text: str = _FILTER,
    order_by: list[str] = _ORDER_BY,
    view: View = typer.Option(View.ACTIVE, "-v", "--view", help="Which: active_only, deleted_only or all."),
    limit: int = typer.Option(100, "--max-results", min=1, max=50_000, help="At most this many."),
    as_json: bool = typer.Option(False, "--json", help="Print JSON."),
) -> None:
    """List experiments, deleted ones too if they are wanted."""
    _list(SearchQuery(filter=text, order_by=order_by, lifecycle=view.lifecycle, limit=limit), as_json=as_json)


@app.command()
def create(
    name: str = typer.Option(..., "-n", "--experiment-name", metavar="NAME", help="Its name."),
    location: str | None = typer.Option(
        None, "-l", "--artifact-location", metavar="URI", help="Where its runs keep artifacts; default: the root."
    ),
) -> None:
    """Make an experiment; print its id."""
    with opened() as stores:
        show(stores.runs.create_experiment(name, artifact_location=location).experiment_id)


@app.command()
def get(
    experiment_id: str | None = typer.Option(None, "-x", "--experiment-id", metavar="ID", help="By its id."),
    name: str | None = typer.Option(None, "-n", "--experiment-name", metavar="NAME", help="By its name."),
    output: str = typer.Option("table", "--output", metavar="table|json", help="How to print it."),
) -> None:
    """Show an experiment, deleted or not."""
    if (experiment_id is None) == (name is None):
        raise InvalidValue("give either -x ID or -n NAME")
    if output not in ("table", "json"):
        raise InvalidValue(f"--output is {output!r}: wanted table or json")
    with opened() as stores:
        found = (
            stores.runs.find_experiment(name) if name is not None else stores.runs.get_experiment(experiment_id or "")
        )
    if found is None:
        raise NotFound(f"there is no experiment {name!r}")
    if output == "json":
        show_json({"schema": 1, **_as_json(found)})
        return
    _table([found])


@app.command()
def delete(experiment_id: str = _ID) -> None:
    """Delete an experiment with its runs. It can be restored until toolkit gc removes it for good."""
    with opened() as stores:
        stores.runs.update_experiment(experiment_id, lifecycle=Lifecycle.DELETED)


@app.command()
def restore(
    experiment_id: str = _ID,
    name: str | None = typer.Option(None, "--new-name", metavar="NAME", help="Give it another name."),
) -> None:
    """Restore a deleted experiment, with the runs that were deleted with it."""
    with opened() as stores:
        try:
            stores.runs.update_experiment(experiment_id, name=name, lifecycle=Lifecycle.ACTIVE)
        except AlreadyExists as error:
            raise AlreadyExists(f"{error} Restore it under another name: --new-name NAME") from error


@app.command()
def rename(
    experiment_id: str = _ID,
    name: str = typer.Option(..., "--new-name", metavar="NAME", help="Its new name."),
) -> None:
    """Give an experiment another name."""
    with opened() as stores:
        stores.runs.update_experiment(experiment_id, name=name)


@app.command("csv")
def csv_(
    experiment_id: str = _ID,
    target: Path | None = typer.Option(None, "-o", "--filename", metavar="FILE", help="Where to; default: print it."),
) -> None:
    """Write the runs of an experiment as CSV: a row a run, a column a metric, parameter and tag."""
    with opened() as stores:
        stores.runs.get_experiment(experiment_id)
        columns = _columns(stores, experiment_id)
        file = sys.stdout if target is None else target.open("w", encoding="utf-8", newline="")
        try:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow(columns)
            for run in _runs(stores, experiment_id):
                row = _row(run)
                writer.writerow([row.get(column, "") for column in columns])
        finally:
            if target is not None:
                file.close()


def _list(query: SearchQuery, *, as_json: bool) -> None:
    with opened() as stores:
        items = stores.runs.search_experiments(query).items
    if as_json:
        show_json({"schema": 1, "experiments": [_as_json(item) for item in items]})
        return
    _table(items)


def _table(items: Sequence[Experiment]) -> None:
    show_table(
        ("id", "name", "created", "artifacts"),
        [(item.experiment_id, item.name, moment(item.creation_time), item.artifact_location) for item in items],
    )


def _as_json(item: Experiment) -> dict[str, object]:
    return {
        "experiment_id": item.experiment_id,
        "name": item.name,
        "artifact_location": item.artifact_location,
        "lifecycle_stage": item.lifecycle_stage.value,
        "creation_time": moment(item.creation_time),
        "tags": dict(item.tags),
    }


def _runs(stores: Stores, experiment_id: str) -> Iterator[Run]:
    query = RunQuery(experiment_ids=[experiment_id])
    while True:
        page = stores.runs.list_runs(query)
        yield from page.items
        if page.next_page_token is None:
            return
        query = replace(query, page_token=page.next_page_token)


def _columns(stores: Stores, experiment_id: str) -> list[str]:
    """Return the columns that any run has: first what runs are, then what they logged, by name."""
    logged: set[str] = set()
    fixed: list[str] = ["run_id", "experiment_id", "status", "artifact_uri", "start_time", "end_time"]
    for run in _runs(stores, experiment_id):
        logged |= _row(run).keys()
    return [*fixed, *sorted(logged - set(fixed))]


def _row(run: Run) -> dict[str, object]:
    info = run.info
    return {
        "run_id": info.run_id,
        "experiment_id": info.experiment_id,
        "status": info.status.value,
        "artifact_uri": info.artifact_uri,
        "start_time": moment(info.start_time),
        "end_time": moment(info.end_time),
        **{f"metrics.{key}": repr(value) for key, value in run.data.metrics.items()},
        **{f"params.{key}": value for key, value in run.data.params.items()},
        **{f"tags.{key}": value for key, value in run.data.tags.items()},
    }
