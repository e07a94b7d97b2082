"""The verbs of `toolkit` in a script: where what they log goes, and which run is the active one."""

from __future__ import annotations

import json
import threading
from pathlib import Path

import pytest

import toolkit
from toolkit.errors import Conflict, InvalidValue, NotFound
from toolkit.recording import current
from toolkit.tracking.records import Run, RunQuery


def everything() -> list[Run]:
    return list(current.stores().runs.list_runs(RunQuery()).items)


def artifact(run_id: str, path: str) -> str:
    run = toolkit.get_run(run_id)
    return (Path(run.info.artifact_uri.removeprefix("file://")) / path).read_text()


def test_a_block_is_a_run(toolkit_home: Path) -> None:
    with toolkit.start_run(run_name="by hand", tags={"team": 7}, description="why") as run:
        assert toolkit.log_param("alpha", 0.5) == 0.5
        toolkit.log_params({"beta": [1, 2]})
        toolkit.log_metric("rmse", 0.7, step=1)
        toolkit.log_metrics({"rmse": 0.6, "r2": 0.9}, step=2)
        toolkit.set_tag("stage", "one")
        toolkit.set_tags({"n": 3})
        assert run.data.metrics["rmse"] == 0.6
    found = toolkit.get_run(run.info.run_id)
    assert (found.info.run_name, found.info.status, found.info.reason) == ("by hand", "FINISHED", None)
    assert dict(found.data.params) == {"alpha": "0.5", "beta": "[1, 2]"}
    assert dict(found.data.metrics) == {"rmse": 0.6, "r2": 0.9}
    assert found.data.tags["team"] == "7"
    assert found.data.tags["stage"] == "one"
    assert found.data.tags["mlflow.note.content"] == "why"
    assert found.data.tags["mlflow.source.type"] == "LOCAL"
    assert toolkit.active_run() is None
    assert (toolkit_home / "toolkit.db").exists()


def test_the_first_verb_starts_a_run_that_the_next_ones_use() -> None:
    toolkit.log_param("a", 1)
    toolkit.log_metric("m", 1)
    (run,) = everything()
    assert (dict(run.data.params), dict(run.data.metrics)) == ({"a": "1"}, {"m": 1.0})
    toolkit.end_run()
    assert toolkit.get_run(run.info.run_id).info.status == "FINISHED"
    toolkit.log_metric("m", 2)
    assert len(everything()) == 2
    toolkit.end_run()


@pytest.mark.parametrize(
    ("error", "status", "reason"),
    [
        (ValueError("bad"), "FAILED", "ValueError: bad"),
        (KeyboardInterrupt(), "KILLED", "KeyboardInterrupt: "),
        (SystemExit(0), "FINISHED", None),
        (SystemExit(3), "FAILED", None),
    ],
)
def test_how_a_block_ends_is_how_the_run_ends(error: BaseException, status: str, reason: str | None) -> None:
    with pytest.raises(type(error)), toolkit.start_run() as run:
        raise error
    info = toolkit.get_run(run.info.run_id).info
    assert (info.status, info.reason) == (status, reason)
    assert toolkit.active_run() is None


def test_a_second_run_inside_of_one_must_be_meant() -> None:
    with toolkit.start_run(), pytest.raises(InvalidValue, match=r"nested=True"):
        toolkit.start_run()


def test_nested_runs_are_children_and_give_the_place_back() -> None:
    with toolkit.start_run() as outer:
        with toolkit.start_run(nested=True) as inner:
            toolkit.log_metric("m", 1)
        toolkit.log_metric("m", 2)
    assert inner.info.parent_run_id == outer.info.run_id
    assert toolkit.get_run(inner.info.run_id).data.metrics["m"] == 1
    assert toolkit.get_run(outer.info.run_id).data.metrics["m"] == 2


def test_a_parent_may_be_named() -> None:
    with toolkit.start_run() as first:
        pass
    with toolkit.start_run(parent_run_id=first.info.run_id) as second:
        pass
    assert second.info.parent_run_id == first.info.run_id


def test_a_run_can_be_resumed_and_ends_again() -> None:
    with pytest.raises(ValueError, match="x"), toolkit.start_run() as run:
        raise ValueError("x")
    with toolkit.start_run(run_id=run.info.run_id) as again:
        assert toolkit.get_run(run.info.run_id).info.status == "RUNNING"
        toolkit.log_metric("m", 1)
    found = toolkit.get_run(again.info.run_id)
    assert (found.info.status, found.info.reason, found.data.metrics["m"]) == ("FINISHED", None, 1.0)


def test_an_unknown_run_is_said() -> None:
    with pytest.raises(NotFound, match="nope"):
        toolkit.start_run(run_id="nope")
    with pytest.raises(NotFound, match="nope"):
        toolkit.get_run("nope")
    with pytest.raises(NotFound):
        toolkit.start_run(experiment_id="99")
    assert toolkit.active_run() is None


def test_end_run_takes_final_states_only() -> None:
    with pytest.raises(InvalidValue, match="FINISHED, FAILED or KILLED"):
        toolkit.end_run("RUNNING")
    with pytest.raises(InvalidValue):
        toolkit.end_run("DONE")
    toolkit.end_run()
    run = toolkit.start_run()
    toolkit.end_run("KILLED")
    assert toolkit.get_run(run.info.run_id).info.status == "KILLED"


def test_experiments_are_chosen_by_name_or_id() -> None:
    wine = toolkit.set_experiment("wine")
    with toolkit.start_run() as run:
        pass
    assert run.info.experiment_id == wine.experiment_id
    toolkit.set_experiment(experiment_id="0")
    with toolkit.start_run() as run:
        pass
    assert run.info.experiment_id == "0"
    assert toolkit.set_experiment("wine").experiment_id == wine.experiment_id
    with pytest.raises(InvalidValue):
        toolkit.set_experiment()
    with pytest.raises(InvalidValue):
        toolkit.set_experiment("a", experiment_id="0")
    with pytest.raises(NotFound):
        toolkit.set_experiment(experiment_id="12345")


def test_the_settings_choose_an_experiment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_EXPERIMENT_NAME", "from-env")
    with toolkit.start_run() as run:
        pass
    chosen = current.stores().runs.get_experiment(run.info.experiment_id)
    assert chosen.name == "from-env"


def test_a_parameter_cannot_be_changed_and_the_run_goes_on() -> None:
    with toolkit.start_run() as run:
        toolkit.log_param("a", 1)
        with pytest.raises(Conflict):
            toolkit.log_param("a", 2)
        toolkit.log_metric("m", 1)
    assert toolkit.get_run(run.info.run_id).info.status == "FINISHED"


def test_files_text_and_values_are_artifacts(workdir: Path) -> None:
    (workdir / "out" / "deep").mkdir(parents=True)
    (workdir / "out" / "deep" / "a.txt").write_text("a")
    with toolkit.start_run() as run:
        toolkit.log_artifact("out/deep/a.txt")
        toolkit.log_artifact("out", "copies")
        toolkit.log_artifacts("out", "flat")
        toolkit.log_text("grüße\n", "notes/hello.txt")
        toolkit.log_dict({"a": [1]}, "value.json")
        toolkit.log_dict({"b": 1, "a": "ü"}, "value.yaml")
        with pytest.raises(NotFound):
            toolkit.log_artifact("nowhere.txt")
        with pytest.raises(InvalidValue, match="not a folder"):
            toolkit.log_artifacts("out/deep/a.txt")
    run_id = run.info.run_id
    listed = [entry.path for entry in current.stores().runs.list_artifacts(run_id).items]
    assert listed == [
        "a.txt",
        "copies/out/deep/a.txt",
        "flat/deep/a.txt",
        "notes/hello.txt",
        "value.json",
        "value.yaml",
    ]
    assert artifact(run_id, "notes/hello.txt") == "grüße\n"
    assert json.loads(artifact(run_id, "value.json")) == {"a": [1]}
    assert artifact(run_id, "value.yaml") == "b: 1\na: ü\n"


def test_threads_do_not_mix_their_runs() -> None:
    both_open = threading.Barrier(2, timeout=20)
    found: dict[str, str] = {}

    def work(name: str) -> None:
        with toolkit.start_run(run_name=name) as run:
            both_open.wait()
            toolkit.log_param("name", name)
            found[name] = run.info.run_id

    threads = [threading.Thread(target=work, args=(name,)) for name in ("a", "b")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {name: toolkit.get_run(run_id).data.params["name"] for name, run_id in found.items()} == {"a": "a", "b": "b"}


def test_a_thread_without_a_run_writes_to_the_run_that_the_script_opened_by_a_verb() -> None:
    toolkit.log_param("a", 1)
    thread = threading.Thread(target=toolkit.log_metric, args=("m", 1.0))
    thread.start()
    thread.join()
    (run,) = everything()
    assert run.data.metrics["m"] == 1.0
    toolkit.end_run()


# -- track -------------------------------------------------------------------------------------------


def test_each_call_of_a_tracked_function_is_a_run() -> None:
    @toolkit.track
    def fit(alpha: float, depth: int = 3) -> dict[str, float]:
        toolkit.log_metric("inside", 1)
        return {"rmse": alpha}

    assert fit(0.5) == {"rmse": 0.5}
    fit(0.1, depth=4)
    second, first = everything()
    assert (first.info.run_name, first.info.status) == ("fit", "FINISHED")
    assert dict(first.data.params) == {"alpha": "0.5", "depth": "3"}
    assert dict(first.data.metrics) == {"inside": 1.0, "rmse": 0.5}
    assert second.data.params["depth"] == "4"
    assert first.info.parent_run_id is None


def test_a_tracked_function_that_raises_is_a_failed_run() -> None:
    @toolkit.track(name="named", tags={"team": "x"})
    def fit() -> None:
        raise ValueError("bad data")

    with pytest.raises(ValueError, match="bad data"):
        fit()
    (run,) = everything()
    assert (run.info.run_name, run.info.status, run.info.reason) == ("named", "FAILED", "ValueError: bad data")
    assert run.data.tags["team"] == "x"


def test_calls_inside_of_a_run_are_its_children() -> None:
    @toolkit.track
    def inner() -> float:
        return 1.0

    @toolkit.track
    def outer() -> float:
        return inner() + inner()

    with toolkit.start_run() as whole:
        assert outer() == 2.0
    runs = {run.info.run_id: run for run in everything()}
    names = {
        run.info.run_name: runs[parent].info.run_name
        for run in runs.values()
        if (parent := run.info.parent_run_id) is not None
    }
    assert names == {"outer": whole.info.run_name, "inner": "outer"}
    assert len(runs) == 4
