"""``toolkit models predict``, ``evaluate`` and ``compare``, with models that were logged and registered."""

from __future__ import annotations

import io
import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from calls import Cli
from sklearn.dummy import DummyClassifier
from sklearn.linear_model import LogisticRegression

import toolkit
from toolkit.cli.main import main

DATA = pd.DataFrame({"x": np.arange(60) % 10 / 2.0, "z": np.arange(60) % 7, "site": ["east", "west"] * 30})
DATA["good"] = np.where(DATA["x"] + DATA["z"] / 3 > 3, "yes", "no")
FEATURES = DATA[["x", "z"]]


@pytest.fixture
def wine(tmp_path: Path) -> Path:
    """Two versions of a model, the second one better, and a file with the data."""
    with toolkit.start_run():
        for model in (DummyClassifier(strategy="prior"), LogisticRegression()):
            fitted = model.fit(FEATURES, DATA["good"])
            toolkit.log_model(fitted, name="wine", input_example=FEATURES.head(2), registered_model_name="wine")
    toolkit.flush()
    file = tmp_path / "holdout.csv"
    DATA.to_csv(file, index=False)
    return file


def test_predict_scores_a_file(wine: Path, cli: Cli, tmp_path: Path) -> None:
    out = tmp_path / "out.jsonl"
    said = cli(
        "models", "predict", "-m", "models:/wine/2", "-i", str(wine), "-o", str(out), "-k", "site", "--chunk-rows", "7"
    )
    assert (said.code, said.out, said.err) == (0, "", f"scored 60 rows into {out}\n")
    rows = [json.loads(line) for line in out.read_text().splitlines()]
    assert [row["site"] for row in rows] == DATA["site"].tolist()
    expected = LogisticRegression().fit(FEATURES, DATA["good"]).predict(FEATURES)
    assert [row["prediction"] for row in rows] == expected.tolist()
    told = cli("models", "predict", "-m", "models:/wine/2", "-i", str(wine), "-o", str(out), "--json")
    assert told.json == {"schema": 1, "rows": 60, "output": str(out)}


def test_predict_is_a_filter(wine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out = io.BytesIO()
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"x,z\n4.5,6\n0,0\n")))
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(out))
    assert main(["models", "predict", "-m", "models:/wine/2", "--input-format", "csv", "--output-format", "json"]) == 0
    assert out.getvalue() == b'[{"prediction":"yes"},\n {"prediction":"no"}]\n'


def test_predict_tells_what_is_wrong_in_one_line(wine: Path, cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "bad.csv").write_text("x,z\n1,2\n1,much\n")
    model = ("models", "predict", "-m", "models:/wine/2")
    for arguments, part in {
        ("-i", str(tmp_path / "bad.csv"), "-o", str(tmp_path / "o.csv")): "row 2: column 'z' is 'much': wanted long",
        ("-i", "nothing.csv", "-o", "o.csv"): "there is no file nothing.csv",
        ("-i", str(wine), "-o", "o.xls"): "o.xls does not end in a known format: give --output-format, one of csv",
        ("-i", str(wine), "-o", "o.csv", "--params", "{"): "--params is no JSON",
        ("-i", str(wine), "-o", "o.csv", "--params", "[1]"): "--params is '[1]': wanted an object",
        ("-i", str(wine), "-o", "o.csv", "--params", '{"k": 1}'): "the model takes no parameter 'k': it has none",
        ("-i", str(wine), "-o", "o.csv", "--chunk-rows", "0"): "--chunk-rows is 0: wanted at least 1",
        (): "standard input and output have no ending: give --input-format",
    }.items():  # fmt: skip
        said = cli(*model, *arguments)
        assert said.is_one_clear_error(), said
        assert part in said.err
    assert not (tmp_path / "o.csv").exists()


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)], ids=["term", "int"])
def test_a_prediction_that_is_stopped_leaves_nothing(number: int, code: int, wine: Path, tmp_path: Path) -> None:
    folder = tmp_path / "out"
    folder.mkdir()
    command = [sys.executable, "-m", "toolkit", "models", "predict", "-m", "models:/wine/2", "--chunk-rows", "1"]
    command += ["-t", "csv", "-o", str(folder / "out.csv")]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.stdin is not None
    process.stdin.write(b"x,z\n1,2\n3,4\n")
    process.stdin.flush()
    deadline = time.monotonic() + 120
    while not list(folder.glob(".out.csv.*.part")) and process.poll() is None:
        assert time.monotonic() < deadline, "it never began to write"
        time.sleep(0.05)
    process.send_signal(number)
    _, said = process.communicate(timeout=120)
    assert process.returncode == code, said
    assert b"Traceback" not in said
    assert list(folder.iterdir()) == []


def test_evaluate_shows_metrics_slices_and_checks_and_logs_a_run(wine: Path, cli: Cli) -> None:
    call = ("models", "evaluate", "-m", "models:/wine/2", "-i", str(wine), "--targets", "good", "--slice", "site")
    said = cli(
        *call, "--threshold", "accuracy>=0.8", "--baseline", "models:/wine/1", "-x", "exams", "--name", "holdout"
    )
    assert said.code == 0, said.err
    rows = [line.split("\t") for line in said.out.splitlines()]
    assert rows[0] == ["metric", "value", "baseline", "difference"]
    accuracy = next(row for row in rows if row[0] == "accuracy_score")
    assert float(accuracy[1]) - float(accuracy[2]) == pytest.approx(float(accuracy[3]), abs=1e-5)
    assert [row[0] for row in rows if row[0].startswith("site/")] == ["site/east", "site/west"]
    assert said.out.splitlines()[-1].startswith("ok      accuracy_score is")
    assert said.err.startswith("logged as run ")
    (run,) = toolkit.search_runs(experiment_names=["exams"], output_format="list")
    assert run.info.run_id in said.err
    used = {each.dataset.name: each.dataset for each in toolkit.get_run(run.info.run_id).inputs.dataset_inputs}
    assert set(used) == {"holdout", wine.name}  # its rows, and the file, which lineage finds
    assert str(wine) in used["holdout"].source
    assert f"evaluate {run.info.run_id[:8]}" in cli("registry", "lineage", "--data", str(wine)).out
    assert run.data.metrics["accuracy_score"] == pytest.approx(float(accuracy[1]), abs=1e-5)


def test_evaluate_exits_with_1_after_it_has_shown_and_logged_all(wine: Path, cli: Cli) -> None:
    call = ("models", "evaluate", "-m", "models:/wine/1", "-i", str(wine), "--targets", "good")
    said = cli(
        *call, "--threshold", "accuracy>=0.9", "--threshold", "f1>=baseline+0.01", "--baseline", "models:/wine/2"
    )
    assert said.code == 1
    failed = [line for line in said.out.splitlines() if line.startswith("FAILED")]
    assert [line.split()[1] for line in failed] == ["accuracy_score", "f1_score"]
    first, error = said.err.splitlines()
    assert first.startswith("logged as run ")
    assert error.startswith("error: the model misses 2 thresholds: accuracy_score is 0.")
    quiet = cli(*call, "--threshold", "accuracy>=0.9", "--no-log", "--json")
    assert quiet.code == 1
    assert (quiet.json["run_id"], quiet.json["passed"]) == (None, False)
    assert [check["passed"] for check in quiet.json["checks"]] == [False]
    assert len(toolkit.search_runs(search_all_experiments=True, output_format="list")) == 2


def test_compare_tells_which_is_better(wine: Path, cli: Cli) -> None:
    call = ("models", "compare", "models:/wine/1", "models:/wine/2", "-i", str(wine), "--targets", "good")
    said = cli(*call, "--threshold", "accuracy>=baseline+0.1")
    assert said.code == 0, said.err
    lines = said.out.splitlines()
    assert lines[0] == "A is models:/wine/1, B is models:/wine/2"
    better = {row[0]: row[4] for row in (line.split("\t") for line in lines[1:]) if len(row) == 5}
    assert (better["accuracy_score"], better["log_loss"], better["example_count"]) == ("B", "B", "")
    assert lines[-1].startswith("ok      accuracy_score is")
    back = cli("models", "compare", call[3], call[2], *call[4:], "--threshold", "accuracy>=baseline", "--json")
    assert back.code == 1
    accuracy = next(row for row in back.json["metrics"] if row["metric"] == "accuracy_score")
    assert accuracy["better"] == "A"
    assert accuracy["difference"] == pytest.approx(accuracy["b"] - accuracy["a"])
    assert back.json["passed"] is False
    assert "misses a threshold: accuracy_score" in back.err


def test_evaluate_tells_what_is_wrong_in_one_line(wine: Path, cli: Cli) -> None:
    call = ("models", "evaluate", "-m", "models:/wine/1", "-i", str(wine))
    for arguments, part in {
        ("--targets", "colour"): "has no column 'colour', as --targets says; it has x, z, site, good",
        ("--targets", "good", "--slice", "shop"): "no column 'shop' to slice by",
        ("--targets", "good", "--threshold", "f1>0.5"): "'f1>0.5' is no threshold",
        ("--targets", "good", "--threshold", "f1>=baseline"): "compares with a baseline",
        ("--targets", "good", "--pos-label", "maybe"): "--pos-label is 'maybe': wanted one of no, yes",
        ("--targets", "good", "--model-type", "x"): "model_type is 'x'",
        ("--targets", "x"): "Model is missing inputs ['x']",
    }.items():
        said = cli(*call, *arguments)
        assert said.is_one_clear_error(), said
        assert part in said.err
