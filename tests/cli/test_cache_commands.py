"""What is wrong with a call that takes results over, said in one line."""

from __future__ import annotations

from pathlib import Path

import pytest
from calls import Cli

from toolkit import settings
from toolkit.testing.runs import add_run
from toolkit.tracking.records import RunStatus
from toolkit.wiring.opened import open_stores

PROJECT = "entry_points: {go: {command: 'true'}}\nworkflows: {main: {steps: {prepare: {entry_point: go}}}}\n"
FLOW, STEP, PLAIN = "a" * 32, "b" * 32, "c" * 32


@pytest.fixture(autouse=True)
def runs(workdir: Path) -> None:
    """A workflow's run that has finished, a step of it, and a run of a script."""
    (workdir / "MLproject").write_text(PROJECT)
    stores = open_stores(settings.load())
    add_run(
        stores.runs, run_id=FLOW, tags={"toolkit.workflow": "x", "toolkit.request": '{"uri": ".", "parameters": {}}'}
    )
    add_run(stores.runs, run_id=STEP, parent_run_id=FLOW, run_name="prepare", tags={"toolkit.step": "prepare"})
    add_run(stores.runs, run_id=PLAIN)
    for run_id in (FLOW, STEP, PLAIN):
        stores.runs.update_run(run_id, status=RunStatus.FINISHED)
    stores.close()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("run", ".", "--refresh", "prepar"), "did you mean 'prepare'?"),
        (("run", "--resume", FLOW), "nothing of it is left to do"),
        (("run", "--resume", STEP), f"it is a part of run {FLOW}: resume that"),
        (("run", "--resume", PLAIN), "is not the run of a workflow"),
        (("run", "--resume", "no-such-run"), "there is no run 'no-such-run'"),
        (("run", "--resume", FLOW, "-P", "n=1", "-e", "go"), "leave out -e and -P"),
        (("runs", "why-cached", "no-such-run"), "there is no run 'no-such-run'"),
        (("runs", "why-cached", PLAIN), "is no run of a step"),
    ],
    ids=["refresh", "finished", "step", "script", "unknown", "parameters", "why unknown", "why script"],
)
def test_wrong_calls_are_one_clear_error(cli: Cli, arguments: tuple[str, ...], said: str) -> None:
    answer = cli(*arguments)
    assert answer.is_one_clear_error(), answer
    assert said in answer.err


def test_a_step_that_knows_of_no_cache_is_explained_as_such(cli: Cli) -> None:
    """One that an older version ran."""
    answer = cli("runs", "why-cached", FLOW, "--json")
    (told,) = answer.json["runs"]
    assert (told["run_id"], told["state"], told["text"]) == (STEP, "unknown", "the cache had nothing to do with it")
