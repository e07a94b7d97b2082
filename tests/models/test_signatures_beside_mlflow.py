"""Signatures, conversions and examples beside the real MLflow's: the same, but for the differences that are named."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import signature_samples as samples

from toolkit.errors import InvalidValue, ToolkitError
from toolkit.models import payload
from toolkit.models.enforcement import enforce, enforce_params
from toolkit.models.infer import infer_signature
from toolkit.models.input_example import InputExample
from toolkit.models.metadata import ModelMetadata
from toolkit.models.params import ParamSchema, ParamSpec
from toolkit.models.schema import ColSpec, Schema
from toolkit.models.signature import Signature

Ask = Callable[..., Any]
ANYTHING = '[{"type": "any", "required": true}]'
"""What MLflow writes of data that it cannot infer a signature from."""

FUZZED = 120


def told(data: Any) -> Any:  # noqa: ANN401 - data
    """Say what data are, in words that the other side says of the same."""
    if isinstance(data, pd.DataFrame):
        return {"table": {str(name): told(data[name]) for name in data}} if data.columns.is_unique else repr(data)
    if isinstance(data, pd.Series):
        return [str(data.dtype), [repr(each) for each in data]]
    if isinstance(data, np.ndarray):
        return ["array", str(data.dtype), list(data.shape), repr(data.tolist())]
    if isinstance(data, dict):
        return {str(name): told(each) for name, each in data.items()}
    return [data.format, told(data.toarray())] if hasattr(data, "toarray") else repr(data)


def sample(of: tuple[str, Any]) -> Any:  # noqa: ANN401 - data
    kind, name = of
    return samples.fuzzed(name) if kind == "fuzzed" else getattr(samples, kind)[name]()


def answered(ask: Ask, do: str, **request: object) -> Any:  # noqa: ANN401 - whatever MLflow says; nothing: it refuses
    try:
        return ask(do, **request)
    except RuntimeError:
        return None


def every() -> list[tuple[str, Any]]:
    names = [("COLUMNS", name) for name in samples.COLUMNS] + [("DATA", name) for name in samples.DATA]
    return [*names, *(("fuzzed", seed) for seed in range(FUZZED))]


def test_the_same_data_show_the_same_signature(mlflow_says: Ask) -> None:
    """Where MLflow gives up on all of the data, we may know all of it but one column."""
    differ = {}
    for of in every():
        theirs, ours = mlflow_says("infer", data=of), infer_signature(sample(of)).to_dict()["inputs"]
        if theirs not in (ours, ANYTHING):
            differ[of] = (theirs, ours)
    assert differ == {("DATA", "object"): ('[{"type": "string", "required": true}]', ANYTHING)}


def test_where_mlflow_gives_up_one_column_goes_unchecked() -> None:
    frame = pd.DataFrame({"a": [1.5], "b": np.array([1], "uint64"), "c": [{1}]})
    assert infer_signature(frame).to_dict()["inputs"] == (
        '[{"type": "double", "name": "a", "required": true}, {"type": "any", "name": "b", "required": true}, '
        '{"type": "any", "name": "c", "required": true}]'
    )


def test_mlflow_reads_what_we_infer(mlflow_says: Ask) -> None:
    for of in every():
        kept = infer_signature(sample(of), params={"k": 1}).to_dict()
        assert mlflow_says("read_signature", signature=kept) == kept


# -- conversions -------------------------------------------------------------------------------------

MORE: dict[str, str] = {
    **dict.fromkeys(("int64", "objects of ints", "Int64", "Int64 missing", "int64[pyarrow]"), "double"),
    "datetime64 of a zone": "datetime",
    "category of text": "string binary",
    "category of text missing": "string binary",
    "category of ints": "integer long float double",
    "category of floats": "float double",
    "sparse floats": "double",
}
"""What we take besides, of columns that are required: nothing is lost by it."""

MISSING: dict[str, str] = {
    **dict.fromkeys(("float64 whole missing", "objects of ints missing"), "integer long"),
    "float64 only missing": "boolean integer long float string binary datetime",
    "no floats": "boolean integer long float string binary datetime",
    "only None": "integer long float",
    "no objects": "integer long float",
    "Int64 missing": "long",
    "boolean missing": "boolean",
}
"""And of columns that are optional: whose values are missing."""


def test_columns_are_converted_as_mlflow_converts_them(mlflow_says: Ask) -> None:
    more: dict[tuple[str, str, bool], object] = {}
    for name, kind, required in itertools.product(samples.COLUMNS, samples.KINDS, (True, False)):
        theirs = answered(mlflow_says, "enforce_column", data=["COLUMNS", name], kind=kind, required=required)
        signature = Signature(Schema([ColSpec(kind, "x", required)]))
        try:
            ours = told(enforce(pd.DataFrame({"x": samples.COLUMNS[name]()}), signature)["x"])
        except ToolkitError:
            ours = None
        if theirs is None and ours is not None:
            more[name, kind, required] = ours
        elif (name, kind) != ("no objects", "double"):  # which MLflow gives as whole numbers
            assert ours == theirs, (name, kind, required)
    besides = {
        (name, kind, required) for name, kinds in MORE.items() for kind in kinds.split() for required in (True, False)
    }
    missing = {(name, kind, False) for name, kinds in MISSING.items() for kind in kinds.split()}
    assert set(more) == besides | missing


def test_parameters_are_converted_as_mlflow_converts_them(mlflow_says: Ask) -> None:
    more = set()
    for name, make in samples.PARAMS.items():
        try:
            ours = infer_signature(params={"p": make()}).to_dict()["params"]
        except InvalidValue:
            ours = None
        assert ours == answered(mlflow_says, "infer_params", data=["PARAMS", name]), name
        for kind, many in itertools.product(samples.KINDS, (False, True)):
            if kind == "binary":
                continue
            theirs = answered(mlflow_says, "enforce_param", data=["PARAMS", name], kind=kind, list=many)
            spec = ParamSpec("p", kind, [] if many else None, (-1,) if many else None)  # type: ignore[arg-type]
            try:
                ours = repr(enforce_params({"p": make()}, Signature(params=ParamSchema([spec])))["p"])
            except ToolkitError:
                ours = None
            if theirs is None and ours is not None:
                more.add((name, kind, many))
            else:
                assert ours == theirs, (name, kind, many)
    # numbers of NumPy are the numbers of Python that they are, and a tuple is a list
    tuples = {("tuple", kind, True) for kind in ("integer", "long", "float", "double")}
    assert more == {
        ("NumPy's int64", "integer", False),
        ("NumPy's float64", "float", False),
        ("array", "float", True),
        *tuples,
    }


# -- requests ----------------------------------------------------------------------------------------

VALUES: dict[str, Any] = {
    "number": 1,
    "fraction": 1.7,
    "number as text": "1",
    "text": "x",
    "true": True,
    "date": "2020-01-02T03:04:05",
    "base64": "YWI=",
    "list": ["x", "y"],
    "numbers": [1, 2],
    "object": {"k": "v"},
    "zero": 0,
}
FORMS: dict[str, Callable[[Any], object]] = {
    "split": lambda value: {"dataframe_split": {"columns": ["a"], "data": [[value]]}},
    "records": lambda value: {"dataframe_records": [{"a": value}]},
    "inputs": lambda value: {"inputs": {"a": [value]}},
    "inputs, one value": lambda value: {"inputs": {"a": value}},
    "inputs, records": lambda value: {"inputs": [{"a": value}]},
    "instances": lambda value: {"instances": [{"a": value}]},
}
BENT: dict[str, frozenset[str]] = {
    "boolean": frozenset(VALUES) - {"true", "zero", "number"},
    "integer": frozenset({"fraction", "true"}),
    "long": frozenset({"fraction", "true"}),
    "float": frozenset({"true"}),
    "double": frozenset({"true"}),
    "string": frozenset(VALUES) - {"number as text", "text", "date", "base64"},
    "binary": frozenset(VALUES),
    "datetime": frozenset({"true", "number", "number as text", "fraction", "numbers", "zero"}),
}
"""Which values MLflow converts in silence, and we refuse: `docs/reference/model-signatures.md` has the table."""


def test_requests_become_what_mlflow_makes_of_them(mlflow_says: Ask) -> None:
    for kind, value, form in itertools.product(samples.KINDS, VALUES, FORMS):
        signature = Signature(Schema([ColSpec(kind, "a")]))  # type: ignore[arg-type]
        body = json.dumps(FORMS[form](VALUES[value]))
        theirs = answered(mlflow_says, "parse", body=body, signature=signature.to_dict())
        try:
            ours = told(enforce(payload.read(body.encode(), "application/json", signature).data, signature))
        except ToolkitError:
            ours = None
        if value in BENT[kind]:
            # base64 is text for MLflow in `inputs`; and there, a list in a list is an array of two dimensions for both
            assert ours is None or kind == "binary" or ours == theirs["data"], (kind, value, form)
        else:
            assert ours == (theirs and theirs["data"]), (kind, value, form)


def test_csv_becomes_what_mlflow_makes_of_it(mlflow_says: Ask) -> None:
    frame = pd.DataFrame({"l": [1, 2], "d": [1.5, None], "s": ["007", "x"], "t": [True, False], "e": [5, 6]})
    text = frame.to_csv(index=False)
    signature = infer_signature(frame[["s", "l", "d", "t"]])
    theirs = mlflow_says("parse", body=text, signature=signature.to_dict(), csv=True)
    ours = told(enforce(payload.read(text.encode(), "text/csv", signature).data, signature))
    assert theirs["table"]["s"] == ["object", ours["table"]["s"][1]]  # ours is of text, as those of JSON are
    assert {**ours["table"], "s": None} == {**theirs["table"], "s": None}
    bare = mlflow_says("parse", body=text, signature=None, csv=True)
    assert told(payload.read(text.encode(), "text/csv").data) == bare


def test_answers_are_what_mlflow_answers(mlflow_says: Ask) -> None:
    """But for what is missing, which is null, and dates in arrays, which MLflow writes as numbers."""
    for of in every():
        theirs = answered(mlflow_says, "answer", data=of)
        if theirs is None or of == ("DATA", "table with two columns of one name"):
            continue
        clean = json.loads(theirs.replace('"NaT"', "null"), parse_constant=lambda _: None)
        assert json.loads(payload.write(sample(of))) == clean, of


# -- examples ----------------------------------------------------------------------------------------


def test_examples_go_both_ways(mlflow_says: Ask, tmp_path: Path) -> None:
    read = 0
    for number, of in enumerate(every()):
        if of[0] == "COLUMNS":
            continue
        theirs, ours = tmp_path / f"theirs{number}", tmp_path / f"ours{number}"
        ours.mkdir()
        info = answered(mlflow_says, "write_example", data=of, folder=str(theirs))
        try:
            kept = InputExample.save(ours, sample(of))
        except InvalidValue:
            assert info is None, of
            continue
        assert kept == info, of
        for name in ("input_example.json", "serving_input_example.json"):
            clean = (theirs / name).read_text().replace('"NaT"', "null")
            assert json.loads((ours / name).read_text(), parse_constant=pytest.fail) == json.loads(
                clean, parse_constant=lambda _: None
            ), of
        metadata = ModelMetadata(saved_input_example_info=info)
        for folder in (theirs, ours):
            there = answered(mlflow_says, "read_example", folder=str(folder), signature=None, info=info)
            if there is not None and of != ("DATA", "table with tuples for names"):
                example = InputExample.load(folder, metadata)
                assert example is not None
                assert told(example.data) == there["data"], of
                read += 1
    assert read > FUZZED


def test_an_example_with_parameters_goes_both_ways(mlflow_says: Ask, tmp_path: Path) -> None:
    frame, params = pd.DataFrame({"a": [1.5]}), {"k": 2, "l": ["x"]}
    info = InputExample.save(tmp_path, (frame, params))
    assert info["params"] == "true"
    there = mlflow_says("read_example", folder=str(tmp_path), signature=None, info=info)
    assert there == {"data": told(frame), "params": params}
