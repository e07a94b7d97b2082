"""The commands of ``toolkit runs`` that make, delete and restore runs. The options are MLflow's."""

from __future__ import annotations

import typer

from toolkit.cli.render import show
from toolkit.cli.store import find_run, opened
from toolkit.errors import InvalidValue, NotFound
from toolkit.ids import new_run_id, now_ms, random_run_name
from toolkit.recording.context import NOTE, user_name
from toolkit.recording.stores import Stores
from toolkit.tracking.records import Lifecycle, NewRun, RunStatus

_RUN = typer.Argument(None, metavar="[RUN]...", help="Ids, beginnings of ids, or names.")
_RUN_ID = typer.Option(None, "--run-id", metavar="ID", help="The same, as MLflow has it.")


def create(
    experiment_id: str | None = typer.Option(None, "--experiment-id", metavar="ID", help="Experiment, by id."),
    experiment_name: str | None = typer.Option(
        None, "--experiment-name", metavar="NAME", help="Experiment, by name; made if there is none."
    ),
    run_name: str | None = typer.Option(None, "--run-name", metavar="NAME", help="Its name; default: a random one."),
    description: str | None = typer.Option(None, "--description", metavar="TEXT", help="What it is about."),
    tags: list[str] = typer.Option([], "-t", "--tags", metavar="KEY=VALUE", help="A tag; may be repeated."),
    status: str = typer.Option("FINISHED", "--status", metavar="STATUS", help="FINISHED, FAILED or KILLED."),
    parent_run_id: str | None = typer.Option(
        None, "--parent-run-id", metavar="RUN", help="The run that it is a part of."
    ),
) -> None:
    """Make a run that has ended already, such as one that was done by hand; print its id."""
    ended = _ended(status)
    if experiment_id is not None and experiment_name is not None:
        raise InvalidValue("an experiment was given by name and by id: choose one")
    labels = dict(_tag(text) for text in tags)
    if description is not None:
        labels[NOTE] = description
    with opened() as stores:
        named = stores.runs.ensure_experiment(experiment_name) if experiment_name is not None else None
        experiment = named or stores.runs.get_experiment(experiment_id or "0")
        run_id, now = new_run_id(), now_ms()
        new = NewRun(
            experiment_id=experiment.experiment_id,
            run_id=run_id,
            run_name=run_name or random_run_name(),
            user_id=user_name(),
            start_time=now,
            parent_run_id=find_run(stores, parent_run_id).info.run_id if parent_run_id else None,
            tags=labels,
            artifact_uri=stores.location_for(experiment, run_id),
        )
        stores.runs.create_run(new)
        stores.runs.update_run(run_id, status=ended, end_time=now)
    show(run_id)


def delete(runs: list[str] | None = _RUN, run_id: str | None = _RUN_ID) -> None:
    """Delete runs. They can be restored until toolkit gc removes them for good."""
    with opened() as stores:
        for found in [find_run(stores, text).info.run_id for text in _given(runs, run_id)]:
            stores.runs.update_run(found, lifecycle=Lifecycle.DELETED)


def restore(runs: list[str] | None = _RUN, run_id: str | None = _RUN_ID) -> None:
    """Restore deleted runs. The ids must be whole."""
    with opened() as stores:
        for text in _given(runs, run_id):
            _check_restorable(stores, text)
            stores.runs.update_run(text, lifecycle=Lifecycle.ACTIVE)


def _check_restorable(stores: Stores, run_id: str) -> None:
    run = stores.runs.get_run(run_id)
    experiment = stores.runs.get_experiment(run.info.experiment_id)
    if experiment.lifecycle_stage is Lifecycle.DELETED:
        raise NotFound(
            f"the experiment of run {run_id} is deleted: restore that first (toolkit experiments restore -x "
            f"{experiment.experiment_id})"
        )


def _given(runs: list[str] | None, run_id: str | None) -> list[str]:
    given = [*(runs or []), *([run_id] if run_id is not None else [])]
    if not given:
        raise InvalidValue("no run was given: wanted RUN or --run-id ID")
    return given


def _ended(text: str) -> RunStatus:
    if text.upper() not in ("FINISHED", "FAILED", "KILLED"):
        raise InvalidValue(f"--status is {text!r}: wanted FINISHED, FAILED or KILLED")
    return RunStatus(text.upper())


def _tag(text: str) -> tuple[str, str]:
    key, equals, value = text.partition("=")
    if not equals or not key:
        raise InvalidValue(f"--tags {text!r} has no '=': wanted KEY=VALUE")
    return key, value
