"""Results of statsmodels: pickles that are trusted or not, time series, and files without training data."""

from __future__ import annotations

import subprocess
import sys
from importlib import import_module
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import zoo

from toolkit.artifacts.digest import file_digest
from toolkit.errors import InvalidValue, UntrustedModel
from toolkit.models.folder import load_model, load_native, save_model
from toolkit.models.trust import Trust

ALL = Trust.all()


def test_results_come_back_where_they_are_trusted(tmp_path: Path) -> None:
    results, folder = zoo.statsmodels_linear(), tmp_path / "m"
    save_model(results, folder)

    with pytest.raises(UntrustedModel, match=r"model\.statsmodels.*pickle.*trust=True"):
        load_model(folder)
    with pytest.raises(UntrustedModel):
        load_native(folder, "statsmodels")

    recorded = Trust(digests=frozenset({file_digest(folder / "model.statsmodels")}))
    native = load_native(folder, "statsmodels", trust=recorded)
    assert native.params.to_dict() == results.params.to_dict()
    assert native.summary().as_text().splitlines()[3:5] == results.summary().as_text().splitlines()[3:5]


def test_a_frame_gives_a_series_and_an_array_an_array(tmp_path: Path) -> None:
    save_model(zoo.statsmodels_linear(), tmp_path / "m")
    model = load_model(tmp_path / "m", trust=ALL)
    data = zoo.frame().set_index(pd.Index(range(100, 100 + zoo.ROWS)))

    of_frame, of_array = model.predict(data), model.predict(data.to_numpy())

    assert isinstance(of_frame, pd.Series)
    assert list(of_frame.index) == list(data.index)
    assert isinstance(of_array, np.ndarray)
    assert of_array == pytest.approx(of_frame.to_numpy())


def test_a_formula_works_in_another_process(tmp_path: Path) -> None:
    results = zoo.statsmodels_formula()
    save_model(results, tmp_path / "m")
    program = (
        "import sys, pathlib, pandas\n"
        "from toolkit.models.folder import load_model\n"
        "from toolkit.models.trust import Trust\n"
        "model = load_model(pathlib.Path(sys.argv[1]), trust=Trust.all())\n"
        "print(model.predict(pandas.DataFrame({'a': [3.0], 'b': [7.0]})).iloc[0])\n"
    )

    done = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path / "m")], capture_output=True, text=True, timeout=120
    )

    assert done.returncode == 0, done.stderr
    assert float(done.stdout) == pytest.approx(results.predict(pd.DataFrame({"a": [3.0], "b": [7.0]})).iloc[0])


@pytest.mark.parametrize(
    ("start", "end", "rows"),
    [
        pytest.param("2024-02-01", "2024-02-14", 14, id="texts"),
        pytest.param(pd.Timestamp("2024-02-01"), pd.Timestamp("2024-02-14"), 14, id="moments"),
        pytest.param(35, 44, 10, id="positions"),
    ],
)
def test_a_series_predicts_from_one_moment_to_another(tmp_path: Path, start: object, end: object, rows: int) -> None:
    results = zoo.statsmodels_series()
    save_model(results, tmp_path / "m")

    found = load_model(tmp_path / "m", trust=ALL).predict(pd.DataFrame({"start": [start], "end": [end]}, index=[7]))

    assert len(found) == rows
    assert found.to_dict() == results.predict(start=start, end=end).to_dict()


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(pd.DataFrame({"start": [1, 2], "end": [3, 4]}), id="two-rows"),
        pytest.param(pd.DataFrame({"from": [1], "end": [3]}), id="no-start"),
        pytest.param(np.array([[1, 3]]), id="array"),
    ],
)
def test_a_series_takes_one_row_with_start_and_end(tmp_path: Path, data: object) -> None:
    save_model(zoo.statsmodels_series(), tmp_path / "m")

    with pytest.raises(InvalidValue, match="exactly one row with columns start and end"):
        load_model(tmp_path / "m", trust=ALL).predict(data)


def test_without_its_data_the_file_is_smaller_and_the_object_still_whole(tmp_path: Path) -> None:
    results = zoo.statsmodels_linear()
    save_model(results, tmp_path / "with")

    save_model(results, tmp_path / "without", options={"remove_data": True})

    with_data, without = (tmp_path / name / "model.statsmodels" for name in ("with", "without"))
    assert without.stat().st_size < with_data.stat().st_size
    assert len(results.model.endog) == zoo.ROWS
    found = load_model(tmp_path / "without", trust=ALL).predict(zoo.frame())
    assert found.to_numpy() == pytest.approx(results.predict(zoo.frame()).to_numpy())


def test_what_cannot_do_without_its_data_is_refused(tmp_path: Path) -> None:
    results = zoo.statsmodels_series()

    with pytest.raises(InvalidValue, match="without its data") as refused:
        save_model(results, tmp_path / "m", options={"remove_data": True})

    assert "\n" not in str(refused.value)
    assert not (tmp_path / "m").exists()
    assert len(results.predict(start=35, end=44)) == 10


def test_a_model_that_is_not_fitted_is_refused(tmp_path: Path) -> None:
    model = import_module("statsmodels.api").OLS(zoo.values(), zoo.frame())

    with pytest.raises(InvalidValue, match=r"OLS cannot be saved.*fit\(\)"):
        save_model(model, tmp_path / "m")


def test_a_broken_pickle_is_one_line(tmp_path: Path) -> None:
    save_model(zoo.statsmodels_linear(), tmp_path / "m")
    (tmp_path / "m" / "model.statsmodels").write_bytes(b"hello")

    with pytest.raises(InvalidValue, match=r"cannot read .*model\.statsmodels") as refused:
        load_model(tmp_path / "m", trust=ALL)
    assert "\n" not in str(refused.value)
