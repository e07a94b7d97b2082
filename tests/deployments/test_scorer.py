"""Requests to a model, several at a time: each gets the answer that it would get alone."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LinearRegression

import toolkit.pyfunc
import toolkit.sklearn
from toolkit.deployments.serving.scorer import Asked, Scorer
from toolkit.models.infer import infer_signature
from toolkit.models.loading import LoadedModel, load_model
from toolkit.models.trust import Trust

NAMES = ["a b", "c"]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> LoadedModel:
    """Of two doubles: a + 10 c."""
    table = pd.DataFrame([[0.0, 1.0], [1.0, 0.0], [2.0, 5.0]], columns=NAMES)
    fitted = LinearRegression().fit(table, table["a b"] + 10 * table["c"])
    folder = tmp_path_factory.mktemp("model") / "sum"
    toolkit.sklearn.save_model(fitted, str(folder), signature=infer_signature(table, fitted.predict(table)))
    return load_model(folder)


def split(*rows: Sequence[object], columns: Sequence[str] = NAMES) -> Asked:
    return Asked(json.dumps({"dataframe_split": {"columns": columns, "data": rows}}).encode())


def records(*rows: Mapping[str, object], form: str = "dataframe_records") -> Asked:
    return Asked(json.dumps({form: rows}).encode())


def answers(scorer: Scorer, *asked: Asked) -> list[tuple[int, Any]]:
    """Return status and document of each, in the order of the requests."""
    found = sorted(scorer.answers(asked), key=lambda each: each[0])
    assert [at for at, _ in found] == list(range(len(asked))), "each has one answer"
    return [(answer.status, json.loads(answer.body)) for _, answer in found]


def predictions(scorer: Scorer, *asked: Asked) -> list[list[float]]:
    done = answers(scorer, *asked)
    assert all(status == 200 for status, _ in done), done
    return [[round(each, 6) for each in document["predictions"]] for _, document in done]


def counting(model: LoadedModel, most_rows: int = 1_000) -> tuple[Scorer, list[int]]:
    """Return what answers, and how many rows the model was given, each time."""
    seen: list[int] = []
    return Scorer(model, most_rows=most_rows, count=seen.append), seen


def test_requests_with_the_same_columns_are_one_question(model: LoadedModel) -> None:
    scorer, noted = counting(model)
    asked = [
        split([1, 2]),
        split([3.5, 0], [1, 1]),
        records({"a b": 0, "c": 1}),
        records({"a b": 5, "c": 0}, form="instances"),
    ]
    assert predictions(scorer, *asked) == [[21.0], [3.5, 11.0], [10.0], [5.0]]
    assert noted == [5]


def test_columns_in_another_order_are_another_question(model: LoadedModel) -> None:
    scorer, noted = counting(model)
    assert predictions(scorer, split([1, 2]), split([2, 1], columns=["c", "a b"])) == [[21.0], [21.0]]
    assert noted == [1, 1]


def test_a_bad_request_takes_nobody_elses_answer(model: LoadedModel) -> None:
    scorer, _ = counting(model)
    good, text, missing, broken, other = answers(
        scorer, split([1, 2]), split(["x", 2]), records({"c": 1}), Asked(b'{"dataframe_split": '), split([0, 1])
    )
    assert good == (200, {"predictions": [pytest.approx(21.0)]})
    assert other == (200, {"predictions": [pytest.approx(10.0)]})
    assert text[0] == missing[0] == broken[0] == 400
    assert "column a b to type 'double'" in text[1]["message"]
    assert "missing inputs ['a b']" in missing[1]["message"]
    assert missing[1]["error_code"] == "INVALID_PARAMETER_VALUE"
    assert "valid JSON" in broken[1]["message"]


def test_many_rows_are_asked_about_in_pieces(model: LoadedModel) -> None:
    scorer, noted = counting(model, most_rows=4)
    many = split(*([float(each), 0.0] for each in range(10)))
    assert predictions(scorer, split([1, 0]), many, split([2, 0]), split([3, 0])) == [
        [1.0],
        [float(each) for each in range(10)],
        [2.0],
        [3.0],
    ]
    assert noted == [1, 4, 4, 2, 2]


@pytest.mark.parametrize(
    "value", [True, "x", 10**400, [1], {"b": 1}], ids=["true", "text", "too-large", "list", "object"]
)
def test_what_is_no_double_is_refused_as_in_a_request_alone(model: LoadedModel, value: object) -> None:
    scorer, _ = counting(model)
    together, _ = answers(scorer, split([value, 1]), split([1, 1]))
    (alone,) = answers(scorer, Asked(json.dumps({"inputs": {"a b": [value], "c": [1]}}).encode()))
    assert together[0] == alone[0] == 400
    assert "a b" in together[1]["message"]


def test_a_model_that_fails_on_one_answers_the_others(model: LoadedModel) -> None:
    scorer, _ = counting(model)
    nothing, good = answers(scorer, split([None, 1]), split([1, 1]))
    assert good == (200, {"predictions": [pytest.approx(11.0)]})
    assert nothing[0] == 400
    assert "a b" in nothing[1]["message"], "scikit-learn takes no NaN; which column has it is told"


def test_the_typed_form(model: LoadedModel) -> None:
    scorer, noted = counting(model)
    asked = [Asked(json.dumps({"rows": [{"a b": n, "c": 0}]}).encode(), typed=True) for n in (1, 2)]
    assert predictions(scorer, *asked) == [[1.0], [2.0]]
    assert noted == [2]
    status, document = answers(scorer, Asked(b'{"row": []}', typed=True))[0]
    assert (status, "'row'" in document["message"]) == (400, True)
    ((_, answer),) = scorer.answers([Asked(b"a b,c\n1,2\n", "text/csv", typed=True)])
    assert answer.status == 415


def test_csv_is_answered_beside_the_others(model: LoadedModel) -> None:
    scorer, _ = counting(model)
    assert predictions(scorer, split([1, 0]), Asked(b"a b,c\n1,2\n3,4\n", "text/csv")) == [[1.0], [21.0, 43.0]]


def centred(model_input: Any) -> Any:  # noqa: ANN401 - a hint would change what it is given
    values = np.asarray(model_input)[:, 0]
    return values - values.mean()


def test_rows_of_a_function_are_never_mixed(tmp_path: Path) -> None:
    table = pd.DataFrame({"a": [1.0, 3.0]})
    toolkit.pyfunc.save_model(str(tmp_path / "model"), python_model=centred, signature=infer_signature(table, [0.0]))
    scorer = Scorer(load_model(tmp_path / "model", trust=Trust.all()))
    assert predictions(scorer, split([1.0], columns=["a"]), split([5.0], columns=["a"])) == [[0.0], [0.0]]
