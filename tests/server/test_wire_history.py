"""Histories of several runs, whole and sampled, and the datasets of experiments, on MLflow's wire."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from server import API, Server, serving

BULK = "metrics/get-history-bulk"
SAMPLED = "metrics/get-history-bulk-interval"
POINTS = 40


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    url = None
    if request.param == "postgresql":
        made = request.getfixturevalue("postgres_server")
        url = made.url(made.new_database(request.getfixturevalue("postgres_template")))
    with serving(tmp_path_factory.mktemp("history") / "home", tracking_uri=url) as found:
        yield found


@pytest.fixture(scope="module")
def runs(server: Server) -> list[str]:
    """Two runs with a metric, the second with half as many points, and one without."""
    made = sorted(server.new_run() for _ in range(3))
    for run_id, count in zip(made, (POINTS, POINTS // 2, 0), strict=True):
        metrics = [{"key": "m", "value": float(n), "timestamp": 1000 + n, "step": n} for n in range(count)]
        server.api("POST", "runs/log-batch", {"run_id": run_id, "metrics": metrics})
    return made


def get(server: Server, name: str, query: str) -> list[dict[str, Any]]:
    answer = server.call("GET", f"{API}{name}?{query}")
    assert answer.status == 200, answer.body
    return list(answer.json.get("metrics", []))


def steps(points: list[dict[str, Any]], run_id: str) -> list[int]:
    return [point["step"] for point in points if point["run_id"] == run_id]


def listed(name: str, values: list[str]) -> str:
    return "&".join(f"{name}={value}" for value in values)


def test_histories_of_several_runs_come_whole_and_by_run(server: Server, runs: list[str]) -> None:
    points = get(server, BULK, f"{listed('run_id', [*reversed(runs), 'f' * 32])}&metric_key=m")

    assert points[0] == {"key": "m", "value": 0.0, "timestamp": 1000, "step": 0, "run_id": runs[0]}
    assert [point["run_id"] for point in points] == [runs[0]] * POINTS + [runs[1]] * (POINTS // 2)
    assert steps(points, runs[0]) == list(range(POINTS))
    few = get(server, BULK, f"{listed('run_id', runs)}&metric_key=m&max_results={POINTS + 1}")
    assert [point["run_id"] for point in few] == [runs[0]] * POINTS + [runs[1]]


def test_samples_keep_the_first_and_the_last_of_each_run(server: Server, runs: list[str]) -> None:
    points = get(server, SAMPLED, f"{listed('run_ids', [*runs, 'f' * 32])}&metric_key=m&max_results=10")

    for run_id, count in zip(runs, (POINTS, POINTS // 2, 0), strict=True):
        found = steps(points, run_id)
        assert len(found) == min(10, count)
        assert not count or (found[0], found[-1]) == (0, count - 1)
        assert found == sorted(found)
    assert set(points[0]) == {"key", "value", "timestamp", "step", "run_id"}


def test_a_sample_of_one_is_the_last_and_steps_bound_it(server: Server, runs: list[str]) -> None:
    one = get(server, SAMPLED, f"run_ids={runs[0]}&metric_key=m&max_results=1")
    some = get(server, SAMPLED, f"run_ids={runs[0]}&metric_key=m&start_step=5&end_step=7")
    none = get(server, SAMPLED, f"run_ids={runs[0]}&metric_key=other")

    assert steps(one, runs[0]) == [POINTS - 1]
    assert steps(some, runs[0]) == [5, 6, 7]
    assert none == []


def test_the_same_under_the_path_of_pages(server: Server, runs: list[str]) -> None:
    for name, field in ((BULK, "run_id"), (SAMPLED, "run_ids")):
        answer = server.call("GET", f"/ajax-api/2.0/mlflow/{name}?{field}={runs[0]}&metric_key=m")
        assert len(answer.json["metrics"]) == POINTS


@pytest.mark.parametrize(
    ("name", "query", "says"),
    [
        (BULK, "metric_key=m", "at least one run_id"),
        (BULK, "run_id=a", "must specify a metric_key"),
        (BULK, listed("run_id", ["a"] * 101) + "&metric_key=m", "more than 100 run_ids. Received 101"),
        (BULK, "run_id=a&metric_key=m&max_results=0", "max_results"),
        (BULK, "run_id=a&metric_key=m&max_results=x", "max_results"),
        (SAMPLED, "metric_key=m", "'run_ids'"),
        (SAMPLED, "run_ids=a", "'metric_key'"),
        (SAMPLED, listed("run_ids", ["a"] * 101) + "&metric_key=m", "at most 100 run_ids. Received 101"),
        (SAMPLED, "run_ids=a&metric_key=m&max_results=0", "between 1 and 2500"),
        (SAMPLED, "run_ids=a&metric_key=m&max_results=2501", "between 1 and 2500"),
        (SAMPLED, "run_ids=a&metric_key=m&start_step=1", "both must be specified"),
        (SAMPLED, "run_ids=a&metric_key=m&start_step=2&end_step=1", "end_step must be greater"),
    ],
    ids=lambda value: value.rpartition("/")[2][:40],
)
def test_what_cannot_be_asked(server: Server, name: str, query: str, says: str) -> None:
    answer = server.call("GET", f"{API}{name}?{query}")

    assert (answer.status, answer.json["error_code"]) == (400, "INVALID_PARAMETER_VALUE")
    assert says in answer.json["message"]


def test_datasets_of_experiments_are_told_once_for_each_use(server: Server) -> None:
    one, other, empty = (
        server.api("POST", "experiments/create", {"name": name})["experiment_id"] for name in ("one", "other", "empty")
    )
    wine = {"name": "wine", "digest": "d1", "source_type": "code", "source": "{}"}
    training = {"dataset": wine, "tags": [{"key": "mlflow.data.context", "value": "training"}]}
    plain = {"dataset": {**wine, "digest": "d2"}, "tags": [{"key": "else", "value": "x"}]}
    for experiment, given in ((one, [training]), (one, [training, plain]), (other, [plain])):
        server.api("POST", "runs/log-inputs", {"run_id": server.new_run(experiment), "datasets": given})

    def found(*experiments: str) -> list[dict[str, str]]:
        told = server.api("POST", "experiments/search-datasets", {"experiment_ids": list(experiments)})
        return list(told.get("dataset_summaries", []))

    of_one = [
        {"experiment_id": one, "name": "wine", "digest": "d1", "context": "training"},
        {"experiment_id": one, "name": "wine", "digest": "d2"},
    ]
    assert found(one) == of_one
    assert found(other, one, "9999", "none") == [*of_one, {"experiment_id": other, "name": "wine", "digest": "d2"}]
    assert found(empty) == []


@pytest.mark.parametrize(
    ("body", "says"),
    [
        ({}, "at least one experiment_id"),
        ({"experiment_ids": []}, "at least one experiment_id"),
        ({"experiment_ids": ["1"] * 21}, "more than 20 experiment_ids. Received 21"),
        ({"experiment_ids": "1"}, "Invalid value"),
    ],
    ids=["nothing", "empty", "many", "text"],
)
def test_datasets_of_what_cannot_be_asked(server: Server, body: object, says: str) -> None:
    answer = server.call("POST", f"{API}experiments/search-datasets", body)

    assert (answer.status, answer.json["error_code"]) == (400, "INVALID_PARAMETER_VALUE")
    assert says in answer.json["message"]
