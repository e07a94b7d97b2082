"""``toolkit models``: the models that runs logged, and what is in one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import typer

from toolkit.cli.models_evaluate import compare, evaluate
from toolkit.cli.models_predict import predict
from toolkit.cli.render import moment, show, show_json, show_table
from toolkit.cli.store import find_experiment, find_run, opened
from toolkit.models.metadata import ModelMetadata
from toolkit.models.requirements import REQUIREMENTS
from toolkit.registry.fetched import FetchedModel, fetch
from toolkit.registry.locating import made_by
from toolkit.tracking.logged_models import LoggedModel, LoggedModelQuery, LoggedModelStore
from toolkit.tracking.logged_models_codec import logged_model_out
from toolkit.wiring.registry import open_catalog

app = typer.Typer(
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    no_args_is_help=True,
    help="List, show, use and compare models. A model is models:/NAME/3, models:/NAME@alias, models:/m-ID, "
    "runs:/RUN/PATH or a folder.",
)

_JSON = typer.Option(False, "--json", help="Print JSON.")
_PAGE = 1_000


@app.callback()
def root() -> None:
    """Group the commands."""


@app.command("list")
def list_(
    experiment: str | None = typer.Option(None, "-x", "--experiment", metavar="NAME", help="Only of this experiment."),
    run: str | None = typer.Option(None, "-r", "--run", metavar="RUN", help="Only those that this run made."),
    text: str = typer.Option(
        "", "--filter", metavar="FILTER", help="Only those of which it is true: 'metrics.rmse < 0.3'."
    ),
    limit: int = typer.Option(100, "-n", "--limit", min=1, max=100_000, help="At most this many."),
    as_json: bool = _JSON,
) -> None:
    """List the models that runs logged, newest first."""
    with opened() as stores:
        logged = open_catalog(stores).logged
        if run is not None:
            found = [*reversed(made_by(logged, find_run(stores, run).info.run_id))][:limit]
        else:
            ids = [find_experiment(stores, experiment).experiment_id] if experiment is not None else []
            found = _search(logged, LoggedModelQuery(experiment_ids=ids, filter=text), limit)
        if as_json:
            show_json({"schema": 1, "models": [logged_model_out(each, lambda uri: uri) for each in found]})
            return
        rows = [
            (
                each.model_id,
                each.name,
                each.status.value,
                (each.source_run_id or "")[:8],
                " ".join(f"{metric.metric.key}={metric.metric.value:g}" for metric in each.metrics[:3]),
                moment(each.creation_time),
            )
            for each in found
        ]
        show_table(("model", "name", "status", "run", "metrics", "made"), rows)


def _search(logged: LoggedModelStore, query: LoggedModelQuery, limit: int) -> list[LoggedModel]:
    found: list[LoggedModel] = []
    while len(found) < limit:
        page = logged.search_models(replace(query, limit=min(_PAGE, limit - len(found))))
        found += page.items
        if page.next_page_token is None:
            break
        query = replace(query, page_token=page.next_page_token)
    return found


@app.command("show")
def show_(
    uri: str = typer.Argument(metavar="URI", help="The model: models:/NAME/3, models:/m-ID, runs:/RUN/PATH, a folder."),
    as_json: bool = _JSON,
) -> None:
    """Show what a model is: flavors, what it takes and gives, what it needs, its files. Nothing of it is loaded."""
    with opened() as stores:
        found = fetch(uri, stores, open_catalog(stores))
        metadata = ModelMetadata.read(found.folder)
        if as_json:
            show_json({"schema": 1, **_json(found, metadata)})
            return
        for name, value in _lines(found, metadata):
            show(f"{name + ':':<14}{value}")


app.command("predict")(predict)
app.command("evaluate")(evaluate)
app.command("compare")(compare)


def _lines(found: FetchedModel, metadata: ModelMetadata) -> list[tuple[str, str]]:
    """Return what is shown of a model, by name."""
    lines = [
        ("model", found.located.uri),
        ("flavors", ", ".join(metadata.flavors)),
        ("made", f"{metadata.utc_time_created} UTC by the format of MLflow {metadata.mlflow_version}"),
        ("run", metadata.run_id or ""),
        ("size", f"{metadata.model_size_bytes} bytes" if metadata.model_size_bytes is not None else ""),
        ("files", _recorded(found)),
    ]
    if metadata.signature is not None:
        for part in ("inputs", "outputs", "params"):
            value = getattr(metadata.signature, part)
            lines.append((part, str(value) if value is not None else ""))
    lines += [("needs", line) for line in _requirements(found)]
    return [(name, value) for name, value in lines if value]


def _recorded(found: FetchedModel) -> str:
    """Say whether a model's files were recorded."""
    if found.digests:
        return "as they were recorded when it was logged"
    return "not recorded by this store: what can run code is loaded only with --trust"


def _requirements(found: FetchedModel) -> Sequence[str]:
    file = found.folder / REQUIREMENTS
    return file.read_text(encoding="utf-8").split("\n") if file.is_file() else []


def _json(found: FetchedModel, metadata: ModelMetadata) -> dict[str, Any]:
    files = sorted(path for path in found.folder.rglob("*") if path.is_file())
    return {
        "uri": found.located.uri,
        "location": found.located.location,
        "recorded": bool(found.digests),
        "requirements": [line for line in _requirements(found) if line],
        "files": [{"path": path.relative_to(found.folder).as_posix(), "size": path.stat().st_size} for path in files],
        "mlmodel": metadata.to_dict(),
    }
