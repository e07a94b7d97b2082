"""Going on where a workflow stopped."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from kitchen import Cooked, Kitchen

from toolkit import settings
from toolkit.errors import Conflict, InvalidValue
from toolkit.flows.resume import asked, check_resumable
from toolkit.flows.step_cache import CacheOptions
from toolkit.flows.why_cached import explain
from toolkit.recording.run import RecordedRun
from toolkit.recording.stores import Stores
from toolkit.testing.runs import add_run
from toolkit.tracking.records import RunStatus
from toolkit.wiring.opened import open_stores

SWEEP = """
name: sweep
entry_points:
  prepare:
    parameters: {{raw: {{type: path, default: raw.csv}}}}
    command: "echo . >> $COUNTS/prepare; cp {{raw}} data.txt"
    outputs: {{data: data.txt}}
  train:
    parameters: {{data: path, alpha: float}}
    command: ". ./train.sh {{data}} {{alpha}}"
    outputs: {{model: model.txt}}
    metrics: metrics.json
  report:
    parameters: {{best: path}}
    command: "echo . >> $COUNTS/report; cat {{best}} > report.txt"
    outputs: {{report: report.txt}}
workflows:
  main:
    parameters: {{alphas: {{type: list, default: [0.1, 0.5, 1.0]}}}}
    cache: {cache}
    steps:
      prepare: {{}}
      train:
        foreach: {{alpha: "${{{{ parameters.alphas }}}}"}}
        parameters: {{data: "${{{{ steps.prepare.outputs.data }}}}"}}
      report: {{parameters: {{best: "${{{{ best(steps.train, 'error', 'min').outputs.model }}}}"}}}}
"""
FAILING = 'echo . >> "$COUNTS/train-$2"; test "$2" != 0.5 || exit 4\n'
TRAIN = 'echo "model $2 of $(cat $1)" > model.txt; echo "{\\"error\\": $2}" > metrics.json\n'


@pytest.fixture
def stores() -> Iterator[Stores]:
    opened = open_stores(settings.load())
    yield opened
    opened.close()


@pytest.fixture
def counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[], dict[str, int]]:
    """How often each command ran."""
    folder = tmp_path / "counts"
    folder.mkdir()
    monkeypatch.setenv("COUNTS", str(folder))
    return lambda: {file.name: len(file.read_text().split()) for file in sorted(folder.iterdir())}


@pytest.fixture(params=["false", "true"], ids=["uncached", "cached"])
def kitchen(request: pytest.FixtureRequest, stores: Stores, tmp_path: Path, counts: object) -> Kitchen:
    made = Kitchen(stores, tmp_path / "sweep")
    made.write(MLproject=SWEEP.format(cache=request.param), train__sh=FAILING + TRAIN, raw__csv="1 2 3\n")
    return made


def mend(kitchen: Kitchen) -> None:
    kitchen.write(train__sh='echo . >> "$COUNTS/train-$2"\n' + TRAIN)


def states(cooked: Cooked) -> dict[str, str]:
    return {
        label: "taken over" if outcome.cached_from else outcome.status for label, outcome in cooked.outcomes.items()
    }


def test_what_was_finished_is_taken_over_and_the_rest_runs(
    kitchen: Kitchen, counts: Callable[[], dict[str, int]], tmp_path: Path
) -> None:
    """Each child of foreach for itself, with the code as it is now."""
    first = kitchen.cook()
    assert states(first) == {
        "prepare": "FINISHED",
        "train alpha=0.1": "FINISHED",
        "train alpha=0.5": "FAILED",
        "train alpha=1.0": "FINISHED",
        "report": "SKIPPED",
    }
    mend(kitchen)
    second = kitchen.cook(resume=first.run_id)
    assert states(second) == {
        "prepare": "taken over",
        "train alpha=0.1": "taken over",
        "train alpha=0.5": "FINISHED",
        "train alpha=1.0": "taken over",
        "report": "FINISHED",
    }
    assert counts() == {"prepare": 1, "report": 1, "train-0.1": 1, "train-0.5": 2, "train-1.0": 1}
    assert kitchen.text(second.run_of("report"), "report.txt", tmp_path) == "model 0.1 of 1 2 3\n"
    taken = kitchen.run(second.run_of("train alpha=0.1"))
    assert taken.data.tags["toolkit.cache"] == "resumed"
    assert taken.data.tags["toolkit.cached_from"] == first.run_of("train alpha=0.1")
    assert taken.data.metrics == {"error": 0.1}
    (told,) = explain(kitchen.stores, taken)
    assert "the run that was resumed had finished this step" in told.text


def test_a_run_that_went_on_and_stopped_again_can_be_resumed_again(
    kitchen: Kitchen, counts: Callable[[], dict[str, int]]
) -> None:
    """What is taken over links to the run that made it, not to the one in between."""
    first = kitchen.cook()
    second = kitchen.cook(resume=first.run_id)
    assert states(second)["train alpha=0.5"] == "FAILED"
    mend(kitchen)
    third = kitchen.cook(resume=second.run_id)
    assert set(third.statuses.values()) == {"FINISHED"}
    assert third.outcomes["train alpha=0.1"].cached_from == first.run_of("train alpha=0.1")
    assert counts() == {"prepare": 1, "report": 1, "train-0.1": 1, "train-0.5": 3, "train-1.0": 1}


def test_what_was_made_of_older_code_is_no_source_for_others(kitchen: Kitchen) -> None:
    """The key of a step that runs after what was taken over says what that was made from."""
    kitchen.write(MLproject=SWEEP.format(cache="true"))
    first = kitchen.cook()
    mend(kitchen)
    kitchen.write(more__txt="what prepare may read")
    second = kitchen.cook(resume=first.run_id)
    assert second.statuses["report"] == "FINISHED"
    third = kitchen.cook()
    assert states(third) == dict.fromkeys(third.outcomes, "FINISHED")


def test_outputs_that_are_gone_are_made_again(kitchen: Kitchen) -> None:
    first = kitchen.cook()
    run = RecordedRun(kitchen.stores, kitchen.run(first.run_of("train alpha=0.1")))
    run.remove(["model.txt"])
    mend(kitchen)
    second = kitchen.cook(resume=first.run_id)
    assert states(second)["train alpha=0.1"] == "FINISHED"
    assert states(second)["train alpha=1.0"] == "taken over"
    assert [text for text in second.notes if text.startswith("train alpha=0.1: runs again") and "model" in text]


def test_a_step_may_be_run_again_all_the_same(kitchen: Kitchen) -> None:
    first = kitchen.cook()
    mend(kitchen)
    second = kitchen.cook(resume=first.run_id, options=CacheOptions(refresh=frozenset({"prepare"})))
    assert states(second)["prepare"] == "FINISHED"


def test_the_run_says_what_it_was_asked(kitchen: Kitchen) -> None:
    """With types, so that it can be asked again; a default that is a path stays the project's."""
    first = kitchen.cook(parameters={"alphas": "[0.5]"})
    told = asked(kitchen.run(first.run_id))
    assert (told.workflow, told.entry_point, told.parameters) == ("main", None, {"alphas": [0.5]})
    assert (told.uri, told.caller) == (str(kitchen.project), str(kitchen.project))
    single = kitchen.cook(entry_point="prepare")
    told = asked(kitchen.run(single.run_id))
    assert (told.workflow, told.entry_point, told.parameters) == (None, "prepare", {})
    step = kitchen.run(first.run_of("prepare"))
    with pytest.raises(InvalidValue, match=f"it is a part of run {first.run_id}: resume that"):
        asked(step)


@pytest.mark.parametrize(
    ("status", "said"), [(RunStatus.FINISHED, "nothing of it is left"), (RunStatus.RUNNING, "wait until it has ended")]
)
def test_there_must_be_something_to_go_on_with(stores: Stores, status: RunStatus, said: str) -> None:
    run = add_run(stores.runs, tags={"toolkit.workflow": "x"})
    stores.runs.update_run(run.info.run_id, status=status)
    with pytest.raises(Conflict, match=said):
        check_resumable(stores.runs.get_run(run.info.run_id))


@pytest.mark.parametrize("tag", [None, "", "[]", "{}", json.dumps({"uri": "x"}) + "…"])
def test_a_run_that_does_not_say_is_refused(stores: Stores, tag: str | None) -> None:
    tags = {"toolkit.workflow": "x", **({} if tag is None else {"toolkit.request": tag})}
    run = add_run(stores.runs, tags=tags)
    with pytest.raises(InvalidValue, match="does not say how it was called"):
        asked(run)
