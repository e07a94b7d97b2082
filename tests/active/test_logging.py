"""What the log verbs take: MLflow's arguments, numbers of any library, values that are too long or wrong."""

from __future__ import annotations

import io
import math
import warnings
from collections.abc import Callable

import numpy as np
import pytest

import toolkit
from toolkit.errors import Conflict, InvalidValue, NotFound
from toolkit.recording import current
from toolkit.registry.catalog import catalog_of

LONG = "x" * 9_000


def test_values_that_are_too_long_are_cut_with_a_warning() -> None:
    with toolkit.start_run() as run, warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        toolkit.log_param("p", LONG)
        toolkit.set_tag("t", LONG)
        toolkit.Client().log_param(run.info.run_id, "q", LONG)
    data = toolkit.get_run(run.info.run_id).data
    assert (len(data.params["p"]), len(data.params["q"]), len(data.tags["t"])) == (6_000, 6_000, 8_000)
    assert [str(each.message).partition(" has ")[0] for each in said] == [
        "the value of param 'p'",
        "the value of tag 't'",
        "the value of param 'q'",
    ]


def test_or_they_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRUNCATE_LONG_VALUES", "false")
    with toolkit.start_run() as run:
        with pytest.raises(InvalidValue, match="at most 6000"):
            toolkit.log_params({"good": 1, "p": LONG})
        with pytest.raises(InvalidValue, match="at most 8000"):
            toolkit.set_tags({"good": 1, "t": LONG})
    data = toolkit.get_run(run.info.run_id).data
    assert data.params == {}
    assert "good" not in data.tags


class Tensor:
    """What torch's and TensorFlow's tensors of one element can do."""

    def numel(self) -> int:
        return 1

    def item(self) -> float:
        return 2.5


@pytest.mark.parametrize(
    ("value", "kept"),
    [
        (np.float32(0.5), 0.5),
        (np.int64(3), 3.0),
        (np.array(1.5), 1.5),
        (np.array([[1.5]]), 1.5),
        (Tensor(), 2.5),
        (math.inf, math.inf),
        (7, 7.0),
    ],
)
def test_numbers_of_any_library(value: float, kept: float) -> None:
    with toolkit.start_run() as run:
        toolkit.log_metric("m", value)
    assert toolkit.get_run(run.info.run_id).data.metrics == {"m": kept}


def test_nan_is_a_value() -> None:
    with toolkit.start_run() as run:
        toolkit.log_metric("m", math.nan)
    assert math.isnan(toolkit.get_run(run.info.run_id).data.metrics["m"])


@pytest.mark.parametrize(
    "call",
    [
        lambda: toolkit.log_metrics({"good": 1.0, "bad": "abc"}),  # type: ignore[dict-item]
        lambda: toolkit.log_metrics({"good": 1.0, "bad": True}),
        lambda: toolkit.log_metrics({"good": 1.0, "bad": "1.5"}),  # type: ignore[dict-item]
        lambda: toolkit.log_metrics({"good": 1.0, "bad": None}),  # type: ignore[dict-item]
        lambda: toolkit.log_metrics({"good": 1.0}, step=2.5),  # type: ignore[arg-type]
        lambda: toolkit.log_text(["x"], "x.txt"),  # type: ignore[arg-type]
        lambda: toolkit.log_text("x", "../x.txt"),
        lambda: toolkit.log_metrics({"good": 1.0, "bad": np.array([1.0, 2.0])}),  # type: ignore[dict-item]
        lambda: toolkit.log_metrics({"good": 1.0, "": 1.0}),
        lambda: toolkit.log_metrics({"good": 1.0, "../x": 1.0}),
        lambda: toolkit.log_metrics({"good": 1.0, "k" * 251: 1.0}),
        lambda: toolkit.log_metrics({"good": 1.0}, timestamp=-1),
        lambda: toolkit.log_params({"good": 1, "a#b": 2}),
        lambda: toolkit.set_tags({"good": 1, "": 2}),
        lambda: toolkit.log_metric("good", 1.0, run_id="0" * 32),
    ],
)
def test_bad_values_are_refused_whole(call: Callable[[], object]) -> None:
    with toolkit.start_run() as run:
        before = toolkit.get_run(run.info.run_id).data
        with pytest.raises((InvalidValue, NotFound)):
            call()
        after = toolkit.get_run(run.info.run_id).data
    assert after == before


def test_a_run_may_be_named() -> None:
    with toolkit.start_run() as other:
        pass
    with toolkit.start_run() as run:
        toolkit.log_metric("m", 1, run_id=other.info.run_id)
        toolkit.log_metrics({"n": 2}, step=3, timestamp=17, run_id=other.info.run_id)
        toolkit.log_params({"p": 1}, run_id=other.info.run_id)
        toolkit.log_text("x", "x.txt", run_id=other.info.run_id)
        toolkit.log_stream(io.BytesIO(b"y"), "y.bin", run_id=other.info.run_id)
    found = toolkit.get_run(other.info.run_id)
    assert (found.data.metrics, found.data.params) == ({"m": 1.0, "n": 2.0}, {"p": "1"})
    assert (found.data.latest["n"].step, found.data.latest["n"].timestamp) == (3, 17)
    assert [each.path for each in toolkit.artifacts.list_artifacts(run_id=other.info.run_id)] == ["x.txt", "y.bin"]
    assert toolkit.get_run(run.info.run_id).data.metrics == {}


def test_waiting_is_asked_for() -> None:
    with toolkit.start_run() as run:
        assert toolkit.log_metric("m", 1) is None
        assert toolkit.log_param("p", 1) == 1
        assert toolkit.log_metric("m", 2, synchronous=True) is None
        waiting = toolkit.log_metric("m", 3, step=1, synchronous=False)
        assert waiting is not None
        waiting.wait()
        toolkit.config.enable_async_logging()
        assert toolkit.set_tag("t", 1) is not None
        toolkit.config.enable_async_logging(False)
        assert toolkit.set_tag("t", 2) is None
        toolkit.flush_async_logging()
    assert toolkit.get_run(run.info.run_id).data.metrics == {"m": 3.0}


def test_what_is_measured_of_a_model_is_of_the_run_and_of_the_model() -> None:
    with toolkit.start_run() as run:
        info = toolkit.log_model(lambda rows: rows)
        toolkit.log_metrics({"m": 1, "n": 2}, step=3, model_id=info.model_id)
        toolkit.Client().log_metric(
            run.info.run_id, "o", 5, model_id=info.model_id, dataset_name="d", dataset_digest="1"
        )
        with pytest.raises(NotFound, match="m-0"):
            toolkit.log_metric("m", 1, model_id=f"m-{'0' * 32}")
    with toolkit.start_run() as other:
        toolkit.log_input(model=info)
        with pytest.raises(InvalidValue, match="is no model"):
            toolkit.log_input(model=3)

    catalog = catalog_of(current.stores())
    found = catalog.logged.get_model(str(info.model_id)).metrics
    assert sorted((each.metric.key, each.metric.value, each.metric.step) for each in found) == [
        ("m", 1.0, 3),
        ("n", 2.0, 3),
        ("o", 5.0, 0),
    ]
    assert [each.dataset and each.dataset.name for each in found if each.metric.key == "o"] == ["d"]
    assert toolkit.get_run(run.info.run_id).data.metrics["n"] == 2.0
    assert list(catalog.logged.models_of([other.info.run_id])[other.info.run_id].inputs) == [info.model_id]


def test_tags_can_be_removed() -> None:
    with toolkit.start_run() as run:
        toolkit.set_tags({"a": 1, "b": 2})
        toolkit.delete_tag("a")
        with pytest.raises(NotFound, match="No tag with name: a"):
            toolkit.delete_tag("a")
    tags = toolkit.get_run(run.info.run_id).data.tags
    assert (tags.get("a"), tags["b"]) == (None, "2")


def test_a_resumed_run_takes_tags() -> None:
    with toolkit.start_run(tags={"a": 1}) as run:
        pass
    with toolkit.start_run(run_id=run.info.run_id, tags={"b": 2}, description="again"):
        pass
    tags = toolkit.get_run(run.info.run_id).data.tags
    assert (tags["a"], tags["b"], tags["mlflow.note.content"]) == ("1", "2", "again")


def test_deleted_runs_and_experiments_come_back() -> None:
    experiment_id = toolkit.create_experiment("wine", tags={"a": 1})
    toolkit.set_experiment(experiment_id=experiment_id)
    toolkit.set_experiment_tags({"b": 2, "c": 3})
    toolkit.set_experiment_tag("b", 4)
    toolkit.delete_experiment_tag("c")
    with toolkit.start_run() as run:
        pass
    toolkit.delete_experiment(experiment_id)
    assert toolkit.get_run(run.info.run_id).info.lifecycle_stage == "deleted"
    with pytest.raises(Conflict, match="restore_experiment"):
        toolkit.set_experiment(experiment_id=experiment_id)
    with pytest.raises(Conflict):
        toolkit.Client().log_param(run.info.run_id, "p", 1)
    toolkit.restore_experiment(experiment_id)
    found = toolkit.get_experiment(experiment_id)
    assert (found.name, found.tags, found.lifecycle_stage) == ("wine", {"a": "1", "b": "4"}, "active")
    assert toolkit.get_run(run.info.run_id).info.lifecycle_stage == "active"
    toolkit.set_experiment(experiment_id="0")
    names = [each.name for each in toolkit.search_experiments(filter_string="tags.a = '1'", order_by=["name"])]
    assert names == ["wine"]
    assert len(toolkit.search_experiments(max_results=1)) == 1


def test_searches() -> None:
    for name in ("a", "b"):
        toolkit.set_experiment(name)
        for number in range(3):
            with toolkit.start_run(run_name=f"{name}{number}"):
                toolkit.log_metric("m", number)
                toolkit.log_param(f"p{number}", name)

    def names(**arguments: object) -> list[str]:
        found = toolkit.search_runs(output_format="list", **arguments)  # type: ignore[call-overload]  # names of arguments
        return sorted(run.info.run_name for run in found)

    assert names() == ["b0", "b1", "b2"]
    assert names(search_all_experiments=True, filter_string="metrics.m >= 1") == ["a1", "a2", "b1", "b2"]
    assert names(experiment_names=["a", "nowhere"], max_results=2, order_by=["metrics.m DESC"]) == ["a1", "a2"]
    assert names(experiment_names=["nowhere"]) == []
    assert toolkit.Client().search_runs([]) == []
    frame = toolkit.search_runs(experiment_names=["a"], order_by=["metrics.m ASC"])
    assert list(frame.columns[:6]) == ["run_id", "experiment_id", "status", "artifact_uri", "start_time", "end_time"]
    assert frame["metrics.m"].tolist() == [0.0, 1.0, 2.0]
    assert frame["params.p1"].isna().tolist() == [True, False, True]
    lean = toolkit.search_runs(experiment_names=["a"], fields=["metrics.m"])
    assert [column for column in lean.columns if "." in column] == ["metrics.m"]
    with pytest.raises(InvalidValue, match="not both"):
        toolkit.search_runs(experiment_ids=["0"], experiment_names=["a"])
    with pytest.raises(InvalidValue, match="output format"):
        toolkit.search_runs(output_format="csv")  # type: ignore[call-overload]
    with pytest.raises(InvalidValue):
        toolkit.search_runs(filter_string="metrics.m <")


def test_open_runs_are_in_the_table() -> None:
    with toolkit.start_run():
        frame = toolkit.search_runs()
        assert str(frame["end_time"].dtype) == str(frame["start_time"].dtype)
        assert frame["end_time"].isna().all()


def test_active_runs_say_what_they_are() -> None:
    with toolkit.start_run(run_name="one") as run:
        assert toolkit.get_artifact_uri("a/b.txt") == f"{run.info.artifact_uri}/a/b.txt"
        assert dict(run.info)["run_name"] == "one"
        assert run.to_dictionary()["info"]["status"] == "RUNNING"  # type: ignore[index]  # a dictionary
        assert run.inputs.dataset_inputs == []
    last = toolkit.last_active_run()
    assert last is not None
    assert (last.info.run_name, last.info.status) == ("one", "FINISHED")
