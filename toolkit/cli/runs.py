"""``toolkit runs``: list, search and show runs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import typer

from toolkit.cli import run_changes
from toolkit.cli.experiments import View
from toolkit.cli.render import duration, moment, number, on_terminal, show, show_json, show_table, size
from toolkit.cli.store import find_experiment, find_run, opened
from toolkit.cli.why_cached import why_cached
from toolkit.errors import InvalidValue
from toolkit.ids import now_ms
from toolkit.recording.stores import Stores
from toolkit.tracking.records import SYSTEM, ArtifactEntry, Run, RunQuery, RunStatus, SearchQuery

app = typer.Typer(
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    no_args_is_help=True,
    help="List, search, show, make, delete and restore runs.",
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Tree:
    """A run and the runs that are parts of it."""

    run: Run
    children: list[Tree] = field(default_factory=list)


@app.callback()
def root() -> None:
    """Group the commands."""


@app.command("list")
def list_(
    experiment: str | None = typer.Option(
        None,
        "-x",
        "--experiment",
        "--experiment-name",
        "--experiment-id",
        metavar="NAME",
        help="Only runs of this experiment (name or id).",
    ),
    status: str | None = typer.Option(None, "--status", metavar="STATUS", help="Only runs in this state."),
    every: bool = typer.Option(False, "-a", "--all", help="Also the runs that are parts of others."),
    view: View = typer.Option(View.ACTIVE, "-v", "--view", help="Which: active_only, deleted_only or all."),
    limit: int = typer.Option(20, "-n", "--limit", min=1, max=50_000, help="At most this many."),
    as_json: bool = typer.Option(False, "--json", help="Print JSON."),
) -> None:
    """List runs, newest first."""
    with opened() as stores:
        query = RunQuery(
            experiment_ids=[find_experiment(stores, experiment).experiment_id] if experiment else [],
            top_level=not every,
            status=[_status(status)] if status else [],
            lifecycle=view.lifecycle,
            limit=limit,
        )
        runs = stores.runs.list_runs(query).items
    if as_json:
        show_json({"schema": 1, "runs": [_as_json(run) for run in runs]})
        return
    _table(runs)


@app.command("search")
def search(
    text: str = typer.Argument("", metavar="[FILTER]", help="Such as \"metrics.rmse < 0.3 AND params.alpha = '0.5'\"."),
    experiments: list[str] = typer.Option(
        [], "-x", "--experiment", metavar="NAME", help="In this experiment (name or id); again for more. Else in all."
    ),
    order_by: list[str] = typer.Option(
        [], "-o", "--order-by", metavar="KEY", help="Such as 'metrics.rmse DESC'; again for further keys."
    ),
    fields: list[str] = typer.Option(
        [], "-f", "--field", metavar="FIELD", help="Load only this, such as metrics.rmse or 'params.*'; again for more."
    ),
    view: View = typer.Option(View.ACTIVE, "-v", "--view", help="Which: active_only, deleted_only or all."),
    limit: int = typer.Option(20, "-n", "--limit", min=1, max=50_000, help="At most this many."),
    page_token: str | None = typer.Option(None, "--page-token", metavar="TOKEN", help="Go on after an earlier page."),
    count: bool = typer.Option(False, "--count", help="Print only how many there are."),
    as_json: bool = typer.Option(False, "--json", help="Print JSON."),
) -> None:
    """Search runs by what they are and what they logged; newest first, unless ordered otherwise."""
    with opened() as stores:
        query = SearchQuery(
            experiment_ids=[find_experiment(stores, name).experiment_id for name in experiments],
            filter=text,
            order_by=order_by,
            fields=fields or None,
            lifecycle=view.lifecycle,
            limit=limit,
            page_token=page_token,
        )
        if count:
            number = stores.runs.count_runs(query)
        else:
            page = stores.runs.search_runs(query)
    if count:
        show_json({"schema": 1, "count": number}) if as_json else show(str(number))
    elif as_json:
        found = [_as_json(run) for run in page.items]
        show_json({"schema": 1, "runs": found, "next_page_token": page.next_page_token})
    else:
        _table(page.items)


def _table(runs: Sequence[Run]) -> None:
    show_table(
        ("run", "name", "status", "started", "duration", "metrics"),
        [
            (
                run.info.run_id[:8] if on_terminal() else run.info.run_id,
                run.info.run_name,
                run.info.status,
                moment(run.info.start_time),
                duration(_seconds(run)),
                _metrics(run),
            )
            for run in runs
        ],
    )


app.command("create")(run_changes.create)
app.command("delete")(run_changes.delete)
app.command("restore")(run_changes.restore)
app.command("why-cached")(why_cached)


@app.command("describe")
def describe(
    run_id: str = typer.Option(..., "--run-id", metavar="ID", help="The run, deleted or not."),
) -> None:
    """Print all about a run as JSON."""
    with opened() as stores:
        show_json({"schema": 1, **_as_json(stores.runs.get_run(run_id))})


@app.command("show")
def show_(
    run: str = typer.Argument(..., metavar="RUN", help="Id, beginning of an id, name, or @last."),
    as_json: bool = typer.Option(False, "--json", help="Print JSON."),
) -> None:
    """Show a run: its parameters, metrics, tags and artifacts, and the tree of its parts."""
    with opened() as stores:
        tree = _tree(stores, find_run(stores, run))
        artifacts = list(stores.runs.list_artifacts(tree.run.info.run_id).items)
    if as_json:
        entries = [{"path": entry.path, "size": entry.size, "sha256": entry.sha256} for entry in artifacts]
        show_json({"schema": 1, **_tree_json(tree), "artifacts": entries})
        return
    _show_run(tree, artifacts)


def _show_run(tree: Tree, artifacts: list[ArtifactEntry]) -> None:
    info, data = tree.run.info, tree.run.data
    show(f"{info.run_name}  {info.status}  {duration(_seconds(tree.run))}")
    show(f"  run         {info.run_id}")
    show(f"  experiment  {info.experiment_id}")
    show(f"  started     {moment(info.start_time)}  by {info.user_id}")
    if info.reason:
        show(f"  reason      {info.reason}")
    if origin := data.tags.get("toolkit.cached_from"):
        show(f"  results     taken over from run {origin}")
    if origin := data.tags.get("toolkit.resumed_from"):
        show(f"  goes on     where run {origin} stopped")
    if origin := data.tags.get("toolkit.reproduced_from"):
        came = data.tags.get("toolkit.reproduction")
        show(f"  repeats     run {origin}{f', and came to {came} results' if came else ''}")
    _section("parameters", [(key, value) for key, value in sorted(data.params.items())])
    _section("metrics", [(key, number(value)) for key, value in sorted(data.metrics.items())])
    _section("tags", [(key, value) for key, value in sorted(data.tags.items())])
    _section("artifacts", [(entry.path, size(entry.size)) for entry in artifacts])
    if tree.children:
        show("steps")
        _show_children(tree, "  ")


def _section(title: str, rows: list[tuple[str, str]]) -> None:
    if not rows:
        return
    show(title)
    width = max(len(key) for key, _ in rows)
    for key, value in rows:
        first, *rest = value.splitlines() or [""]
        show(f"  {key.ljust(width)}  {first}{' …' if rest else ''}")


def _show_children(tree: Tree, indent: str) -> None:
    for child in tree.children:
        last = child is tree.children[-1]
        info = child.run.info
        metrics = _metrics(child.run)
        show(
            f"{indent}{'└── ' if last else '├── '}{info.run_name}  {info.status}  {duration(_seconds(child.run))}  "
            f"{info.run_id}{'  (cached)' if 'toolkit.cached_from' in child.run.data.tags else ''}"
            f"{f'  {metrics}' if metrics else ''}"
        )
        _show_children(child, indent + ("    " if last else "│   "))


def _tree(stores: Stores, run: Run) -> Tree:
    children = reversed(stores.runs.list_runs(RunQuery(parent_run_id=run.info.run_id, limit=1000)).items)
    return Tree(run=run, children=[_tree(stores, child) for child in children])


def _tree_json(tree: Tree) -> dict[str, object]:
    return {**_as_json(tree.run), "children": [_tree_json(child) for child in tree.children]}


def _as_json(run: Run) -> dict[str, object]:
    info = run.info
    return {
        "run_id": info.run_id,
        "run_name": info.run_name,
        "experiment_id": info.experiment_id,
        "parent_run_id": info.parent_run_id,
        "status": str(info.status),
        "reason": info.reason,
        "user": info.user_id,
        "start_time": moment(info.start_time),
        "end_time": moment(info.end_time) or None,
        "duration": _seconds(run),
        "artifact_uri": info.artifact_uri,
        "params": dict(run.data.params),
        "metrics": dict(run.data.metrics),
        "tags": dict(run.data.tags),
    }


def _seconds(run: Run) -> float:
    """Return how long a run took, or has taken so far."""
    return max(0, (run.info.end_time or now_ms()) - run.info.start_time) / 1000


def _metrics(run: Run) -> str:
    own = sorted((key, value) for key, value in run.data.metrics.items() if not key.startswith(SYSTEM))
    shown = [f"{key}={number(value)}" for key, value in own[:4]]
    return ", ".join([*shown, f"… {len(own) - 4} more"] if len(own) > 4 else shown)


def _status(text: str) -> RunStatus:
    try:
        return RunStatus(text.upper())
    except ValueError:
        raise InvalidValue(f"{text!r} is not a run's state: one of {', '.join(RunStatus)}") from None
