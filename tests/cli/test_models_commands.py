"""``toolkit models list`` and ``show``."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest
from calls import Cli
from sklearn.linear_model import LogisticRegression

import toolkit
from toolkit.active.models import ModelInfo
from toolkit.data.source import local_path

FRAME = pd.DataFrame({"a": [0.0, 1.0, 2.0, 3.0], "b": [1.0, 0.0, 1.0, 0.0]})


@pytest.fixture
def infos() -> list[ModelInfo]:
    """Two models of a run, the second one registered, and one of another experiment."""
    fitted = LogisticRegression().fit(FRAME, [0, 1, 0, 1])
    made = []
    with toolkit.start_run(run_name="training"):
        toolkit.log_metric("accuracy", 0.75)
        made.append(toolkit.log_model(fitted, name="first"))
        made.append(toolkit.log_model(fitted, name="second", input_example=FRAME[:1], registered_model_name="wine"))
    toolkit.set_experiment("other")
    with toolkit.start_run():
        made.append(toolkit.log_model(lambda rows: rows, name="third"))
    toolkit.flush()
    return made


def test_models_are_listed_newest_first(infos: list[ModelInfo], cli: Cli) -> None:
    said = cli("models", "list")
    assert (said.code, said.err) == (0, "")
    header, *lines = said.out.splitlines()
    assert header.split()[:3] == ["model", "name", "status"]
    assert [line.split()[:3] for line in lines] == [[each.model_id, each.name, "READY"] for each in reversed(infos)]
    assert "accuracy=0.75" in lines[1]

    def names(*options: str) -> list[str]:
        return [each["name"] for each in cli("models", "list", "--json", *options).json["models"]]

    assert names() == ["third", "second", "first"]
    assert names("-x", "other") == ["third"]
    assert names("-r", "training") == ["second", "first"]
    assert names("--filter", "metrics.accuracy > 0.5 AND name = 'first'") == ["first"]
    assert names("-n", "1") == ["third"]


def test_a_model_is_shown_without_being_loaded(infos: list[ModelInfo], cli: Cli) -> None:
    said = cli("models", "show", "models:/wine/1")
    assert said.code == 0
    for part in ("models:/wine/1", "python_function, sklearn", str(infos[1].run_id), "'a': double", "scikit-learn=="):
        assert part in said.out
    assert "as they were recorded" in said.out

    told = cli("models", "show", "models:/wine/1", "--json").json
    assert told["schema"] == 1
    assert told["recorded"] is True
    assert told["mlmodel"]["model_id"] == infos[1].model_id
    assert {each["path"] for each in told["files"]} >= {"MLmodel", "model.skops", "input_example.json"}
    assert cli("models", "show", str(infos[2].model_uri)).code == 0


def test_what_cannot_be_shown_is_one_line(infos: list[ModelInfo], cli: Cli, tmp_path: Path) -> None:
    for uri, message in (
        ("models:/wine/2", "version=2"),
        ("models:/wine@nobody", "alias nobody not found"),
        (str(tmp_path), "no file MLmodel"),
        ("runs:/nothing/model", "nothing"),
    ):
        said = cli("models", "show", uri)
        assert (said.code, said.out) == (2, ""), uri
        assert message in said.err
        assert len(said.err.splitlines()) == 1

    file = local_path(infos[0].artifact_path) / "requirements.txt"
    file.write_text("evil\n", encoding="utf-8")
    said = cli("models", "show", infos[0].model_uri)
    assert said.code == 1
    assert "requirements.txt does not match the recorded SHA-256" in said.err
