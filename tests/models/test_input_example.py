"""Examples of a model's input: written, read, and sent as a request."""

from __future__ import annotations

import datetime as dt
import json
from pathlib import Path

import numpy as np
import pandas as pd
import polars as pl
import pytest
import signature_samples as samples
from scipy import sparse

from toolkit.errors import InvalidValue, NotFound
from toolkit.models import payload
from toolkit.models.enforcement import enforce
from toolkit.models.infer import infer_signature
from toolkit.models.input_example import InputExample, request_of
from toolkit.models.metadata import ModelMetadata
from toolkit.models.signature import Signature


def through(folder: Path, data: object, signature: Signature | None = None) -> InputExample:
    info = InputExample.save(folder, data)
    example = InputExample.load(folder, ModelMetadata(signature=signature, saved_input_example_info=info))
    assert example is not None
    return example


FRAME = pd.DataFrame(
    {
        "i": [1, 2],
        "f": np.array([1.5, None], "float32"),
        "s": ["x", None],
        "t": pd.to_datetime(["2020-01-02", None]).as_unit("ns"),
        "b": [b"x", b"\xff"],
        "o": [{"k": [dt.datetime(2020, 1, 2)]}, {"k": []}],
    }
)


def test_a_table_comes_back_with_its_types(tmp_path: Path) -> None:
    signature = infer_signature(FRAME)
    example = through(tmp_path, FRAME, signature)
    pd.testing.assert_frame_equal(enforce(example.data, signature), enforce(FRAME, signature))
    assert example.params is None


def test_what_is_missing_is_null(tmp_path: Path) -> None:
    InputExample.save(tmp_path, FRAME)
    for name in ("input_example.json", "serving_input_example.json"):
        json.loads((tmp_path / name).read_text(), parse_constant=pytest.fail)


@pytest.mark.parametrize("make", samples.DATA.values(), ids=samples.DATA)
def test_an_example_fits_the_signature_that_was_inferred_from_it(tmp_path: Path, make: object) -> None:
    data = make()  # type: ignore[operator]
    signature = infer_signature(data)
    try:
        example = through(tmp_path, data, signature)
    except InvalidValue:
        assert not list(tmp_path.iterdir())
        return
    enforce(example.data, signature)
    request = payload.read(request_of(data).encode(), "application/json", signature)
    enforce(request.data, signature)


def test_parameters_stand_beside_the_data(tmp_path: Path) -> None:
    example = through(tmp_path, ({"a": 1}, {"k": np.int64(2), "when": dt.date(2020, 1, 2)}))
    assert example == InputExample({"a": 1}, {"k": 2, "when": "2020-01-02"})
    assert json.loads(request_of(([1], {"k": 2}))) == {"inputs": [1], "params": {"k": 2}}
    with pytest.raises(InvalidValue, match="the parameter 'k' has no type"):
        InputExample.of(([1], {"k": {1}}))


def test_chats_are_requests_as_they_are() -> None:
    chat = {"messages": [{"role": "user", "content": "x"}]}
    assert json.loads(request_of(chat)) == chat
    assert json.loads(request_of((chat, {"k": 2}))) == {**chat, "k": 2}


def test_arrays_matrices_and_tables_of_others(tmp_path: Path) -> None:
    array = np.array([[1.5, np.nan]], "float32")
    example = through(tmp_path, array, infer_signature(array))
    assert example.data.dtype == np.float32
    matrix = sparse.csc_matrix(np.eye(2, dtype="float32"))
    back = through(tmp_path, matrix, infer_signature(matrix)).data
    assert (back.format, back.dtype, back.toarray().tolist()) == ("csc", np.float32, [[1, 0], [0, 1]])
    assert through(tmp_path, pl.DataFrame({"a": [1]})).data.to_dict(orient="list") == {"a": [1]}


def test_examples_of_old_releases(tmp_path: Path) -> None:
    (tmp_path / "input_example.json").write_text('{"inputs": [[1, NaN]]}')
    info = {"artifact_path": "input_example.json", "type": "ndarray", "format": "tf-serving"}
    example = InputExample.load(tmp_path, ModelMetadata(saved_input_example_info=info))
    assert example is not None
    assert example.data.shape == (1, 2)


def test_an_example_that_does_not_fit_its_signature_is_one_all_the_same(tmp_path: Path) -> None:
    signature = infer_signature(pd.DataFrame({"a": [1]}))
    assert through(tmp_path, pd.DataFrame({"a": ["x"]}), signature).data["a"].tolist() == ["x"]


def test_a_model_without_an_example(tmp_path: Path) -> None:
    assert InputExample.load(tmp_path, ModelMetadata()) is None
    assert InputExample.load_request(tmp_path, ModelMetadata()) is None


def test_the_request_is_read_from_its_file(tmp_path: Path) -> None:
    metadata = ModelMetadata(saved_input_example_info=InputExample.save(tmp_path, [1]))
    assert InputExample.load_request(tmp_path, metadata) == request_of([1])


@pytest.mark.parametrize(
    ("info", "text", "told"),
    [
        ({"artifact_path": "../x.json", "type": "ndarray"}, "[]", "is in its folder"),
        ({"artifact_path": "input_example.json", "type": "picture"}, "[]", "'picture' cannot be read"),
        ({"artifact_path": "input_example.json", "type": "ndarray"}, "[", "is no JSON"),
        ({"artifact_path": "input_example.json", "type": "dataframe"}, '{"x": 1}', "split format must have"),
        ({"artifact_path": "input_example.json", "type": "sparse_matrix_csr"}, "{}", "not of the form"),
    ],
    ids=["elsewhere", "kind", "JSON", "table", "matrix"],
)
def test_examples_that_are_none(tmp_path: Path, info: dict[str, str], text: str, told: str) -> None:
    (tmp_path / "input_example.json").write_text(text)
    with pytest.raises(InvalidValue, match=told):
        InputExample.load(tmp_path, ModelMetadata(saved_input_example_info=info))


def test_a_file_that_is_missing(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="is missing"):
        InputExample.load(tmp_path, ModelMetadata(saved_input_example_info={"artifact_path": "x.json"}))


@pytest.mark.parametrize(
    ("data", "told"),
    [
        (pd.Series([1]), "give a table with it as a column"),
        ({1, 2}, "not set"),
        ({"a": np.array([1]), "b": [1]}, "arrays only, or of none"),
        ([np.array([1])], "holds no arrays"),
    ],
    ids=["series", "set", "mixed", "arrays"],
)
def test_what_no_example_can_be_of(tmp_path: Path, data: object, told: str) -> None:
    with pytest.raises(InvalidValue, match=told):
        InputExample.save(tmp_path, data)
    assert list(tmp_path.iterdir()) == []
