"""What is given to a function of a library when a model predicts."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import zoo

from toolkit.errors import InvalidValue
from toolkit.models.prediction import FunctionPredictor


def doubled(data: list[float], times: float = 2, **anything: Any) -> list[float]:  # noqa: ANN401 - anything
    assert not anything
    return [each * times for each in data]


def test_params_that_the_function_names_are_given() -> None:
    predictor = FunctionPredictor("native", doubled, fixed={"times": 3})

    assert predictor.native == "native"
    assert predictor.predict([1.0]) == [3.0]
    assert predictor.predict([1.0], {"times": 10}) == [10.0]


def test_others_are_left_out_with_a_warning(caplog: pytest.LogCaptureFixture) -> None:
    predictor = FunctionPredictor("native", doubled)

    assert predictor.predict([1.0], {"temperature": 1, "data": [5], "times": 4}) == [4.0]

    assert caplog.messages == ["the model takes no param data, temperature, which is left out: it takes times"]


@pytest.mark.parametrize("data", ["/etc/passwd", b"/etc/passwd", Path("/etc/passwd")], ids=["text", "bytes", "path"])
@pytest.mark.parametrize("make", [zoo.xgboost_booster, zoo.lightgbm_booster, zoo.catboost_plain])
def test_data_are_never_the_path_of_a_file(make: Callable[[], Any], data: object) -> None:
    with pytest.raises(InvalidValue, match="wanted rows"):
        FunctionPredictor(None, make().predict).predict(data)
