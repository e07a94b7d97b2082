"""What a signature is: MLflow's JSON both ways, what is refused, and signatures made by hand."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pytest

from toolkit.errors import InvalidValue
from toolkit.models.datatypes import AnyType, Array, DataType, Map, Object, Property, SparkMLVector, merged
from toolkit.models.params import ParamSchema, ParamSpec
from toolkit.models.schema import ColSpec, Schema, TensorSpec
from toolkit.models.signature import Signature

COLUMNS = [
    {"type": "double", "name": "alcohol", "required": True},
    {"type": "array", "items": {"type": "map", "values": {"type": "long"}}, "name": 0, "required": False},
    {
        "type": "object",
        "properties": {"k": {"type": "any", "required": False}, "v": {"type": "sparkml_vector", "required": True}},
        "name": "o",
        "required": True,
    },
    {"type": "long", "name": ["of", 2], "required": True},
]
TENSORS = [
    {"name": "img", "type": "tensor", "tensor-spec": {"dtype": "float32", "shape": [-1, 28, 28]}},
    {"name": "t", "type": "tensor", "tensor-spec": {"dtype": "str", "shape": [-1]}},
]
PARAMS = [
    {"name": "k", "default": 3, "shape": None, "type": "long"},
    {"name": "l", "default": [1.0, 2.5], "shape": [-1], "type": "double"},
    {"name": "n", "default": None, "shape": None, "type": "string"},
    {"name": "d", "default": "2020-01-02T03:04:05", "shape": None, "type": "datetime"},
    {
        "name": "o",
        "default": {"q": 1},
        "shape": None,
        "type": "object",
        "properties": {"q": {"type": "long", "required": True}},
    },
]


def test_json_of_each_kind_comes_back_as_it_went() -> None:
    kept = {"inputs": json.dumps(COLUMNS), "outputs": json.dumps(TENSORS), "params": json.dumps(PARAMS)}
    assert Signature.from_dict(kept).to_dict() == kept


def test_the_files_of_old_releases_are_read() -> None:
    old = Signature.from_dict(
        {
            "inputs": '[{"type": "double", "name": "a", "optional": true}, {"type": "any", "name": "b"}]',
            "params": '[{"name": "k", "dtype": "long", "default": 3, "shape": null}]',
        }
    )
    assert old.inputs is not None
    assert [(each.name, each.required) for each in old.inputs] == [("a", False), ("b", True)]
    assert old.params == ParamSchema([ParamSpec("k", DataType.long, 3)])


def test_lines_of_scripts_that_make_a_signature_by_hand() -> None:
    signature = Signature(
        inputs=Schema([ColSpec("double", "a"), ColSpec(Array("string"), "b", required=False)]),  # type: ignore[arg-type]
        outputs=Schema([TensorSpec(np.dtype(np.float32), (-1, 3))]),  # type: ignore[arg-type]
        params=ParamSchema([ParamSpec("when", "datetime", dt.datetime(2020, 1, 2))]),  # type: ignore[arg-type]
    )
    assert signature.to_dict() == {
        "inputs": '[{"type": "double", "name": "a", "required": true}, '
        '{"type": "array", "items": {"type": "string"}, "name": "b", "required": false}]',
        "outputs": '[{"type": "tensor", "tensor-spec": {"dtype": "float32", "shape": [-1, 3]}}]',
        "params": '[{"name": "when", "default": "2020-01-02T00:00:00", "shape": null, "type": "datetime"}]',
    }


def test_the_length_of_texts_is_no_part_of_a_tensor() -> None:
    assert TensorSpec("<U7", (-1,)).type == "str"
    assert TensorSpec("S3", (-1,)).type == "bytes"
    assert TensorSpec(">f8", (-1,)).type == "float64"


@dataclass
class Part:
    size: int


@dataclass
class Whole:
    name: str
    parts: list[Part]
    weight: float | None = None


def test_a_dataclass_tells_the_columns() -> None:
    assert Signature(inputs=Whole).inputs == Schema(  # type: ignore[arg-type]
        [
            ColSpec(DataType.string, "name"),
            ColSpec(Array(Object([Property("size", DataType.long)])), "parts"),
            ColSpec(DataType.float, "weight", required=False),
        ]
    )


def test_it_shows_its_columns() -> None:
    shown = repr(Signature.from_dict({"inputs": json.dumps(COLUMNS), "params": json.dumps(PARAMS[:1])}))
    assert "'alcohol': double" in shown
    assert "0: array of map of long (optional)" in shown
    assert "'k': long (default: 3)" in shown


@pytest.mark.parametrize(
    ("first", "second", "together"),
    [
        (DataType.long, AnyType(), DataType.long),
        (AnyType(), DataType.long, DataType.long),
        (Array(AnyType()), Array(DataType.long), Array(DataType.long)),
        (Map(AnyType()), Map(DataType.long), Map(DataType.long)),
        (
            Object([Property("a", DataType.long), Property("b", DataType.string)]),
            Object([Property("a", DataType.long)]),
            Object([Property("a", DataType.long), Property("b", DataType.string, required=False)]),
        ),
        (
            AnyType(),
            Object([Property("a", DataType.long)]),
            Object([Property("a", DataType.long, required=False)]),
        ),
    ],
    ids=str,
)
def test_types_of_values_beside_each_other(first: object, second: object, together: object) -> None:
    assert merged(first, second) == together  # type: ignore[arg-type]


def test_types_that_do_not_go_together() -> None:
    with pytest.raises(InvalidValue, match="long and array of long"):
        merged(DataType.long, Array(DataType.long))


REFUSED: dict[str, tuple[Callable[[], object], str]] = {
    "no columns": (lambda: Schema([]), "at least one"),
    "both kinds": (lambda: Schema([ColSpec(DataType.long), TensorSpec("int64", (-1,))]), "not of both"),
    "names for some": (lambda: Schema([ColSpec(DataType.long), ColSpec(DataType.long, "a")]), "none has one"),
    "a name twice": (lambda: Schema([ColSpec(DataType.long, "a"), ColSpec(DataType.long, "a")]), "'a' came twice"),
    "tensors without names": (lambda: Schema([TensorSpec("int64", (-1,))] * 2), "a name for each"),
    "optional without a name": (lambda: Schema([ColSpec(DataType.long, required=False)]), "needs a name"),
    "unknown type": (lambda: ColSpec("decimal", "a"), "'decimal' is no type: give one of boolean"),  # type: ignore[arg-type]
    "unknown element": (lambda: TensorSpec("float3", (-1,)), "'float3' is no type"),
    "a shape of text": (lambda: TensorSpec("int64", ("a",)), "whole numbers"),  # type: ignore[arg-type]
    "empty object": (lambda: Object([]), "without properties"),
    "a property twice": (lambda: Object([Property("a", DataType.long)] * 2), "a came twice"),
    "a name of another type": (lambda: ColSpec(DataType.long, b"a"), "text or a number, not bytes"),  # type: ignore[arg-type]
    "a signature of nothing": (lambda: Signature(), "give at least one"),
    "a signature of text": (lambda: Signature(inputs="a"), "a Schema, not str"),  # type: ignore[arg-type]
    "no JSON": (lambda: Signature.from_dict({"inputs": "[{"}), "is no JSON"),
    "no list": (lambda: Signature.from_dict({"inputs": '{"a": 1}'}), "a list of JSON objects"),
    "no type": (lambda: Signature.from_dict({"inputs": '[{"name": "a"}]'}), "has no `type`"),
    "no items": (lambda: Signature.from_dict({"inputs": '[{"type": "array"}]'}), "needs `items`"),
    "no shape": (lambda: Signature.from_dict({"inputs": '[{"type": "tensor"}]'}), "`dtype` and `shape`"),
    "too deep": (
        lambda: Signature.from_dict(
            {"inputs": "[" + '{"type": "array", "items": ' * 500 + '{"type": "long"}' + "}" * 500 + "]"}
        ),
        "nested deeper",
    ),
    "deeper than a stack": (lambda: Signature.from_dict({"inputs": "[" * 100_000}), "is no JSON"),
    "a param of bytes": (lambda: ParamSpec("p", DataType.binary, None), "cannot be of type binary"),
    "a default that does not fit": (lambda: ParamSpec("p", DataType.long, "a"), "long was wanted, and str came"),
    "a default out of shape": (lambda: ParamSpec("p", DataType.long, 1, (-1,)), "a list of long was wanted"),
    "a shape of two": (lambda: ParamSpec("p", DataType.long, [1], (-1, 2)), "for a list of scalars"),
    "a param twice": (lambda: ParamSchema([ParamSpec("p", DataType.long, 1)] * 2), "p came twice"),
    "a param without default": (
        lambda: Signature.from_dict({"params": '[{"name": "p", "type": "long"}]'}),
        "needs `name`, `type` and `default`",
    ),
    "a field of another type": (lambda: Signature(inputs=WithSet), "WithSet.a is of"),  # type: ignore[arg-type]
}


@dataclass
class WithSet:
    a: set[int]


@pytest.mark.parametrize("case", REFUSED)
def test_what_no_signature_can_be(case: str) -> None:
    make, told = REFUSED[case]
    with pytest.raises(InvalidValue, match=told) as caught:
        make()
    assert "\n" not in str(caught.value)


def test_a_vector_of_sparks_is_one_type() -> None:
    assert Schema.from_json('[{"type": "sparkml_vector", "name": "v"}]').inputs[0].type == SparkMLVector()


def test_mlflows_places_of_names() -> None:
    import toolkit
    from toolkit.models import ModelSignature
    from toolkit.models.signature import ModelSignature as InPlace
    from toolkit.models.signature import infer_signature
    from toolkit.types.schema import ColSpec as Column

    assert ModelSignature is InPlace is Signature
    assert toolkit.infer_signature is infer_signature is toolkit.models.infer_signature
    assert toolkit.types.ColSpec is Column is ColSpec
