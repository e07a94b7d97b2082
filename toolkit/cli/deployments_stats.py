"""``toolkit deployments stats``, ``samples`` and ``collect``: how a deployment is doing, and what it is asked."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

import typer

from toolkit.cli.deployment_name import NAME, NAMED, one_name
from toolkit.cli.render import duration, moment, number, say, show, show_json, show_table
from toolkit.cli.store import opened
from toolkit.deployments.drift import ColumnDrift
from toolkit.deployments.samples import Row, rows
from toolkit.deployments.samples import collect as move_samples
from toolkit.deployments.stats import MOST_ROWS, InputDrift, Stats, stats_of
from toolkit.deployments.traffic import EndpointTraffic, Traffic
from toolkit.errors import NotFound
from toolkit.wiring.serving import open_deployment_store

if TYPE_CHECKING:
    from toolkit.deployments.records import Deployment, Release
    from toolkit.recording.stores import Stores
    from toolkit.tracking.records import DatasetInput

_JSON = typer.Option(False, "--json", help="Print JSON.")


def stats(
    name: str | None = NAME,
    named: str | None = NAMED,
    over: float | None = typer.Option(
        None, "--over", metavar="SECONDS", min=0.1, max=3_600, help="Count for so long, from now on; default: all."
    ),
    as_json: bool = _JSON,
) -> None:
    """Show a deployment's traffic, its errors, and how far its inputs have moved from the training data."""
    with _found(name, named, "stats") as (stores, deployment, releases):
        found = stats_of(
            deployment,
            _serving(deployment, releases),
            rows=lambda release: _rows(stores, deployment, release, MOST_ROWS),
            inputs=lambda run_id: _inputs(stores, run_id),
            over=over,
        )
    if as_json:
        show_json({"schema": 1, **found.to_dict()})
        return
    _show(found)


def samples(
    name: str | None = NAME,
    named: str | None = NAMED,
    number_: int | None = typer.Option(
        None, "--release", metavar="NUMBER", min=1, help="Of this release; default: the one that serves, else the last."
    ),
    limit: int = typer.Option(100, "--limit", metavar="N", min=1, max=1_000_000, help="At most this many rows."),
) -> None:
    """Print sampled inputs and outputs, the newest first, as JSON lines."""
    with _found(name, named, "samples") as (stores, deployment, releases):
        release = next((each for each in releases if each.number == number_), None)
        if number_ is not None and release is None:
            raise NotFound(f"{deployment.name} has no release {number_}: it has had {len(releases)}")
        release = release or _serving(deployment, releases) or next(iter(releases), None)
        for row in () if release is None else _rows(stores, deployment, release, limit):
            show(json.dumps(row, ensure_ascii=False))


def collect() -> None:
    """Move the samples that services of this machine have left to the artifact store; `toolkit up` sees to it."""
    with opened() as stores:
        moved = move_samples(stores.home, stores.artifacts)
    say(f"moved {moved} files of samples to {stores.artifact_root}")


@contextmanager
def _found(name: str | None, named: str | None, command: str) -> Iterator[tuple[Stores, Deployment, Sequence[Release]]]:
    """Give the deployment that a command names, and its releases."""
    wanted = one_name(name, named, command)
    with opened() as stores:
        store = open_deployment_store(stores)
        deployment = store.get(wanted)
        yield stores, deployment, store.releases(deployment.id)


def _serving(deployment: Deployment, releases: Sequence[Release]) -> Release | None:
    return next((each for each in releases if each.number == deployment.release), None)


def _rows(stores: Stores, deployment: Deployment, release: Release, limit: int) -> Iterator[Row]:
    since = release.created_at
    return rows(stores.home, stores.artifacts, deployment.name, release.number, limit=limit, since=since)


def _inputs(stores: Stores, run_id: str) -> Sequence[DatasetInput]:
    try:
        return stores.runs.get_run(run_id).inputs
    except NotFound:  # the run was deleted for good; its version was not
        return []


def _show(found: Stats) -> None:
    deployment, release = found.deployment, found.release
    serves = "nothing" if release is None else f"{release.model}/{release.version}, release {release.number}"
    where = f"{deployment.state.value} on {deployment.target} {deployment.address or ''}".rstrip()
    show(f"{deployment.name}: {serves}, {where}")
    if found.traffic is not None:
        show("")
        _show_traffic(found.traffic)
    if found.drift is not None:
        show("")
        _show_drift(found.drift)
    for note in found.notes:
        say(note)


def _show_traffic(traffic: Traffic) -> None:
    if not traffic.endpoints:
        show(f"no requests in {duration(traffic.seconds)}")
        return
    columns = ("endpoint", "requests", "per second", "4xx", "5xx", "mean", "p50", "p95", "p99")
    show_table(columns, [_endpoint_row(each) for each in traffic.endpoints])
    batches = "" if traffic.batch_rows is None else f"; the model was given {number(traffic.batch_rows)} rows at once"
    show(f"in {duration(traffic.seconds)}{batches}")


def _endpoint_row(endpoint: EndpointTraffic) -> tuple[str, ...]:
    return (
        endpoint.endpoint,
        str(endpoint.requests),
        "" if endpoint.rate is None else number(endpoint.rate),
        str(endpoint.refused),
        str(endpoint.failed),
        _milliseconds(endpoint.mean),
        *(_milliseconds(endpoint.quantiles[share]) for share in sorted(endpoint.quantiles)),
    )


def _milliseconds(seconds: float | None) -> str:
    return "" if seconds is None else f"{seconds * 1_000:.3g} ms"


def _show_drift(drift: InputDrift) -> None:
    against = "" if drift.dataset is None else f" against {drift.dataset} ({drift.digest}), which it was trained on"
    show(
        f"inputs: {drift.verdict.value}, {drift.rows} rows from {moment(drift.first)} to {moment(drift.last)}{against}"
    )
    if drift.columns:
        columns = ("column", "verdict", "index", "missing", "in training", "outside")
        show_table(columns, [_column_row(each) for each in drift.columns])
    if drift.others and drift.dataset is not None:
        say(f"the training data's profile says nothing of {', '.join(drift.others[:10])}")


def _column_row(column: ColumnDrift) -> tuple[str, ...]:
    return (
        column.name,
        column.verdict.value,
        "" if column.index is None else f"{column.index:.3f}",
        f"{column.missing:.1%}",
        f"{column.missing_before:.1%}",
        "" if column.outside is None else f"{column.outside:.1%}",
    )
