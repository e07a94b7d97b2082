"""``toolkit deployments stats``: a deployment on this machine is asked, and held against its training data."""

from __future__ import annotations

import json
import random
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from served import Workshop, wait_for

import toolkit
from toolkit.deployments.drift import Verdict
from toolkit.deployments.records import Deployment, DeploymentState, Release
from toolkit.deployments.stats import stats_of, training_data
from toolkit.tracking.records import Dataset, DatasetInput

SCRIPT = Path(__file__).parent / "scripts" / "train_people.py"
NAME = "people-here"

RELEASE = Release(deployment_id="d" * 32, number=1, model="people", version=1, run_id="r" * 32)


# -- with nothing running --------------------------------------------------------------------------------


def deployment(**changed: Any) -> Deployment:  # noqa: ANN401 - fields of the record
    told: dict[str, Any] = {"id": "d" * 32, "name": "wine", "target": "local", "state": DeploymentState.SERVING}
    return Deployment(**{**told, **changed})


def used(frame: pd.DataFrame, context: str) -> DatasetInput:
    dataset = toolkit.data.from_pandas(frame, name=context)
    record = Dataset(
        name=dataset.name, digest=dataset.digest, source_type="code", source="{}", profile=dataset.to_dict()["profile"]
    )
    return DatasetInput(dataset=record, tags={"mlflow.data.context": context})


def test_what_cannot_be_known_is_said() -> None:
    nowhere = stats_of(deployment(state=DeploymentState.FAILED), None, rows=lambda _: [], inputs=lambda _: [])
    assert nowhere.traffic is None
    assert nowhere.drift is None
    assert "serves nowhere now (failed)" in nowhere.notes[0]
    gone = stats_of(deployment(address="http://127.0.0.1:9"), RELEASE, rows=lambda _: [], inputs=lambda _: [])
    assert gone.notes[0].startswith("http://127.0.0.1:9 does not answer")
    assert "--config sample_rate=" in gone.notes[1]
    cloud = stats_of(deployment(address="arn:aws:endpoint"), RELEASE, rows=lambda _: [], inputs=lambda _: [])
    assert "not to be had over HTTP" in cloud.notes[0]
    came = [{"time": 1_000, "inputs": {"x": 1}}, {"time": 500, "inputs": {"x": 2}}]
    unknown = stats_of(deployment(), RELEASE, rows=lambda _: came, inputs=lambda _: [])
    assert unknown.drift is not None
    assert (unknown.drift.rows, unknown.drift.first, unknown.drift.last) == (2, 500, 1_000)
    assert unknown.drift.verdict is Verdict.UNKNOWN
    assert unknown.drift.others == ["x"]
    assert "log_input" in unknown.notes[1]
    json.dumps(unknown.to_dict(), allow_nan=False)


def test_the_training_data_are_preferred_and_those_that_know_the_columns() -> None:
    wide, narrow = pd.DataFrame({"x": [1, 2, 3], "y": [1.0, 2.0, 3.0]}), pd.DataFrame({"x": [1, 2, 3]})
    datasets = [used(wide, "eval"), used(narrow, "training"), used(pd.DataFrame({"z": [1, 2]}), "training")]
    found, columns, rows = training_data(datasets, ["x", "y"])
    assert found is datasets[1]
    assert [column.name for column in columns] == ["x"]
    assert rows == 3
    assert training_data([used(wide, "eval")], ["x"])[0] is not None
    assert training_data(datasets, ["q"]) == (None, [], 1)
    plain = DatasetInput(
        dataset=Dataset(name="d", digest="1", source_type="code", source="{}", profile='{"num_rows": 3}')
    )
    assert training_data([plain], ["x"]) == (None, [], 1)


# -- for real ---------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def workshop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workshop]:
    """With a deployment of ``people/1`` that keeps all that it is asked."""
    found = Workshop(folder=tmp_path_factory.mktemp("stats"))
    found.run(str(SCRIPT))
    try:
        found.toolkit("deployments", "create", "-n", NAME, "-m", "people/1", "--config", "sample_rate=1")
        yield found
    finally:
        found.toolkit("deployments", "delete", "-n", NAME)
        found.toolkit("down")


def ask(address: str, row: Mapping[str, object]) -> int:
    body = json.dumps({"dataframe_records": [row]}).encode()
    request = urllib.request.Request(f"{address}/invocations", body, {"Content-Type": "application/json"})
    try:
        with urllib.request.urlopen(request, timeout=300) as answer:
            status: int = answer.status
            return status
    except urllib.error.HTTPError as error:
        return error.code


def stats(workshop: Workshop, *arguments: str) -> dict[str, Any]:
    told: dict[str, Any] = json.loads(workshop.toolkit("deployments", "stats", NAME, "--json", *arguments))
    return told


@pytest.mark.timeout(900)
def test_traffic_errors_and_drift_of_a_deployment(workshop: Workshop) -> None:
    chance = random.Random(1)
    address = stats(workshop)["address"]

    def row() -> dict[str, object]:
        return {
            "age": chance.randrange(60, 90),  # the old ones only
            "income": chance.lognormvariate(10, 1),
            "colour": chance.choice(["red", "green", "blue"]),
            "member": chance.random() < 0.3,
        }

    statuses = [ask(address, row()) for _ in range(150)] + [ask(address, {"age": 1}) for _ in range(5)]
    assert statuses == [200] * 150 + [400] * 5
    wait_for(lambda: stats(workshop)["drift"]["rows"] >= 150, "the sampled rows")
    found = stats(workshop)
    (endpoint,) = [each for each in found["traffic"]["endpoints"] if each["endpoint"] == "/invocations"]
    assert endpoint["refused"] == 5
    assert endpoint["failed"] == 0
    assert endpoint["requests"] >= 155
    assert set(endpoint["quantiles"]) == {"p50", "p95", "p99"}
    assert found["drift"]["dataset"] == "people"
    assert found["drift"]["verdict"] == "drifted"
    verdicts = {column["name"]: column["verdict"] for column in found["drift"]["columns"]}
    assert verdicts == {"age": "drifted", "income": "same", "colour": "same", "member": "same"}
    assert found["notes"] == []
    shown = workshop.toolkit("deployments", "stats", NAME)
    assert "/invocations" in shown
    assert "inputs: drifted" in shown
    assert "against people" in shown
    quiet = stats(workshop, "--over", "0.2")
    assert {each["requests"] for each in quiet["traffic"]["endpoints"]} == {0}


@pytest.mark.timeout(900)
def test_samples_are_printed_and_are_in_the_artifact_store_once_it_is_stopped(workshop: Workshop) -> None:
    lines = workshop.toolkit("deployments", "samples", NAME, "--limit", "3").splitlines()
    rows = [json.loads(line) for line in lines]
    assert len(rows) == 3
    assert rows[0]["time"] >= rows[-1]["time"]
    assert set(rows[0]["inputs"]) == {"age", "income", "colour", "member"}
    before = stats(workshop)["drift"]["rows"]
    workshop.toolkit("deployments", "update", "-n", NAME, "--config", "sample_rate=0", "--config", "max_latency_ms=1")
    kept = workshop.folder / "home" / "artifacts" / "deployments" / NAME / "samples" / "1"
    wait_for(lambda: any(kept.glob("*.jsonl")), "the samples of the first release")
    collected = [line for file in kept.glob("*.jsonl") for line in file.read_text().splitlines()]
    assert len(collected) >= before
    assert (
        len(workshop.toolkit("deployments", "samples", NAME, "--release", "1", "--limit", "9999").splitlines())
        >= before
    )
    found = stats(workshop)
    assert found["release"] == 2
    assert found["drift"] is None
    assert "inputs are not sampled" in found["notes"][0]


def test_mistakes_are_told(workshop: Workshop) -> None:
    workshop.toolkit("deployments", "stats", code=2)
    workshop.toolkit("deployments", "stats", "nobody", code=2)
    workshop.toolkit("deployments", "stats", NAME, "--over", "0", code=2)
    workshop.toolkit("deployments", "samples", NAME, "--release", "99", code=2)
