"""Runs for tests, and how their properties are checked."""

from __future__ import annotations

from hypothesis import HealthCheck, settings

from toolkit.ids import new_run_id
from toolkit.tracking.records import NewRun, Owner, Run
from toolkit.tracking.store import RunStore

OWNER = Owner(host="host-a", pid=4711, started=1_700_000_000_000)
START = 1_700_000_000_000

properties = settings(
    max_examples=25,
    deadline=None,
    derandomize=True,
    database=None,
    # One store serves all examples, each with a run of its own; and one suite many stores, which is its purpose.
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.differing_executors],
)
"""Settings of hypothesis for a suite that several stores share."""


def new_run(**changes: object) -> NewRun:
    """Return a run to be made, with fields that do for most tests; ``changes`` are fields of `NewRun`."""
    fields: dict[str, object] = {
        "experiment_id": "0",
        "run_id": new_run_id(),
        "run_name": "brave-owl-1",
        "user_id": "ada",
        "start_time": START,
    }
    return NewRun(**{**fields, **changes})  # type: ignore[arg-type]  # the names are NewRun's


def add_run(store: RunStore, **changes: object) -> Run:
    """Make a run in a store; ``changes`` are fields of `NewRun`."""
    return store.create_run(new_run(**changes))
