"""What is wrong with a call that makes a run again, said in one line."""

from __future__ import annotations

import pytest
from calls import Cli

from toolkit import settings
from toolkit.testing.runs import add_run
from toolkit.tracking.records import RunStatus
from toolkit.wiring.opened import open_stores

SCRIPT, FAILED = "a" * 32, "b" * 32


@pytest.fixture(autouse=True)
def runs() -> None:
    stores = open_stores(settings.load())
    add_run(stores.runs, run_id=SCRIPT)
    add_run(stores.runs, run_id=FAILED, tags={"toolkit.workflow": "x"})
    stores.runs.update_run(SCRIPT, status=RunStatus.FINISHED)
    stores.runs.update_run(FAILED, status=RunStatus.FAILED)
    stores.close()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("no-such-run",), "there is no run 'no-such-run'"),
        ((SCRIPT[:8],), "was not made by toolkit run"),
        ((FAILED,), "has FAILED, and there is no result to come to again"),
        ((SCRIPT, "--tolerance", "much"), "--tolerance 'much': wanted a number such as 0.001"),
        ((SCRIPT, "--allow", "everything"), "wanted one of environment, inputs, platform"),
        ((SCRIPT, "--input", "raw"), "--input 'raw': wanted NAME=PATH"),
        ((SCRIPT, "--input", "raw=a", "--input", "raw=b"), "--input 'raw' is given twice"),
    ],
    ids=["unknown", "script", "failed", "tolerance", "allow", "input", "twice"],
)
def test_wrong_calls_are_one_clear_error(cli: Cli, arguments: tuple[str, ...], said: str) -> None:
    answer = cli("reproduce", *arguments)
    assert answer.is_one_clear_error(), answer
    assert said in answer.err


def test_what_is_missing_is_told_to_programs_too(cli: Cli) -> None:
    answer = cli("reproduce", SCRIPT, "--json", "--check")
    assert answer.code == 2
    assert (answer.json["run_id"], answer.json["reproducible"]) == (SCRIPT, False)
    assert [one["kind"] for one in answer.json["problems"]] == ["run"]
