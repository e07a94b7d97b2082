"""What a release must show: its service's answer to the model's example, held against the model's own."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import cloudpickle
import pandas as pd
import pytest
from sklearn.linear_model import LinearRegression

import toolkit
from toolkit.artifacts.digest import file_digest
from toolkit.deployments.bento import BuiltBento
from toolkit.deployments.endpoint import Answer
from toolkit.deployments.example_check import check_example, difference
from toolkit.errors import ReleaseRefused, TargetFailed

ROWS = pd.DataFrame({"a": [1.0, 2.0], "b": [0.5, 0.25]})


cloudpickle.register_pickle_by_value(sys.modules[__name__])  # the process that loads them has no tests


class Counting(toolkit.pyfunc.PythonModel):
    """Answers otherwise each time."""

    def __init__(self) -> None:
        self.calls = 0

    def predict(self, context: Any, model_input: Any, params: Any = None) -> Any:  # noqa: ANN401, ARG002 - its form
        self.calls += 1
        return [self.calls] * len(model_input)


class Raising(toolkit.pyfunc.PythonModel):
    """Answers nobody."""

    def predict(self, context: Any, model_input: Any, params: Any = None) -> Any:  # noqa: ANN401, ARG002 - its form
        raise RuntimeError("no\nwine")


def bento(folder: Path, *, trusted: bool = True) -> BuiltBento:
    """Return what a Bento of a saved model would be."""
    digests = [file_digest(file) for file in (folder / "model").rglob("*") if file.is_file()] if trusted else []
    (folder / "src").mkdir(exist_ok=True)
    (folder / "src" / "model.json").write_text(json.dumps({"trusted": digests}))
    return BuiltBento(
        tag="wine:1",
        digest="0" * 64,
        path=folder,
        model="wine",
        version=1,
        run_id=None,
        model_path=folder / "model",
        made=True,
    )


@pytest.fixture(scope="module")
def regression(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder: Path = tmp_path_factory.mktemp("regression")
    model = LinearRegression().fit(ROWS, [3.0, 5.0])
    toolkit.save_model(model, str(folder / "model"), input_example=ROWS)
    return folder


class Service:
    """Answers what it is told to; keeps what it was sent."""

    def __init__(self, body: object = None, *, status: int = 200) -> None:
        self.answer = Answer(status=status, body=body if isinstance(body, bytes) else json.dumps(body).encode())
        self.sent = b""

    def __call__(self, body: bytes) -> Answer:
        self.sent = body
        return self.answer


def test_the_same_answer_passes_and_rounding_is_no_difference(regression: Path) -> None:
    service = Service({"predictions": [3.0000001, 5]})
    assert check_example(bento(regression), service) == "answers its example as the model itself does"
    assert json.loads(service.sent) == {"dataframe_split": {"columns": ["a", "b"], "data": [[1.0, 0.5], [2.0, 0.25]]}}


@pytest.mark.parametrize(
    ("service", "told"),
    [
        (Service({"predictions": [3.0, 5.1]}), r"predictions\[1\] is 5.1, not"),
        (Service({"predictions": [3.0]}), "predictions holds 1 values, not 2"),
        (Service([3.0, 5.0]), r"the answer is \[3.0, 5.0\], not"),
        (Service({"message": "wrong column 'c'"}, status=400), "with 400: wrong column 'c'"),
        (Service(b"<html>", status=200), "what is no JSON"),
    ],
    ids=["value", "length", "form", "status", "text"],
)
def test_another_answer_is_refused_with_the_place(regression: Path, service: Service, told: str) -> None:
    with pytest.raises(ReleaseRefused, match=told):
        check_example(bento(regression), service)


def test_a_service_that_does_not_answer_is_refused(regression: Path) -> None:
    def silent(body: bytes) -> Answer:
        raise TargetFailed("http://127.0.0.1:1 does not answer: Connection refused")

    with pytest.raises(ReleaseRefused, match=r"did not answer the model's input example: .*refused"):
        check_example(bento(regression), silent)


def test_a_model_without_an_example_is_not_scored(tmp_path: Path) -> None:
    toolkit.save_model(LinearRegression().fit(ROWS, [3.0, 5.0]), str(tmp_path / "model"))
    assert "no input example" in check_example(bento(tmp_path), Service(status=500))


def test_a_model_that_answers_otherwise_each_time_is_not_compared(tmp_path: Path) -> None:
    toolkit.pyfunc.save_model(str(tmp_path / "model"), python_model=Counting(), input_example=ROWS)
    assert "differently each time" in check_example(bento(tmp_path), Service({"predictions": [9, 9]}))
    with pytest.raises(ReleaseRefused, match="with 500"):
        check_example(bento(tmp_path), Service({"message": "it broke"}, status=500))


def test_a_model_that_raises_is_refused_in_one_line(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    toolkit.pyfunc.save_model(str(tmp_path / "model"), python_model=Raising(), input_example=ROWS)
    assert "does not predict with its example" in caplog.text
    with pytest.raises(ReleaseRefused, match=r"the model itself does not answer.*RuntimeError: no wine"):
        check_example(bento(tmp_path), Service({"predictions": [1, 1]}))


def test_what_is_not_trusted_is_not_loaded_here(tmp_path: Path) -> None:
    toolkit.pyfunc.save_model(str(tmp_path / "model"), python_model=Counting(), input_example=ROWS)
    told = check_example(bento(tmp_path, trusted=False), Service({"predictions": [1, 1]}))
    assert "cannot be loaded here" in told


@pytest.mark.parametrize(
    ("one", "other", "told"),
    [
        ({"predictions": [1.0, None]}, {"predictions": [1, None]}, None),
        ({"predictions": [{"p": 0.5}]}, {"predictions": [{"q": 0.5}]}, "predictions[0] has the fields"),
        ({"predictions": [[1, 2]]}, {"predictions": [[1, 3]]}, "predictions[0][1] is 2, not 3"),
        ({"predictions": [True]}, {"predictions": ["yes"]}, 'predictions[0] is true, not "yes"'),
        ({"predictions": [None]}, {"predictions": [0.0]}, "predictions[0] is null, not 0.0"),
        (1e300, 1.0000000001e300, None),
    ],
    ids=["same", "fields", "nested", "kinds", "missing", "large"],
)
def test_differences_are_told_with_their_place(one: object, other: object, told: str | None) -> None:
    found = difference(one, other)
    assert found is None if told is None else (found or "").startswith(told)
