"""The text of ``service.py``: what a person reads, and what BentoML describes by it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from toolkit.deployments.config import ServiceConfig
from toolkit.deployments.serving.template import service_code
from toolkit.models.datatypes import DataType
from toolkit.models.params import ParamSchema, ParamSpec
from toolkit.models.schema import ColSpec, Schema, TensorSpec
from toolkit.models.signature import Signature

NASTY = 'a"b\\c\n"""x{y}'
COLUMNS = {
    "fixed acidity": DataType.double,
    NASTY: DataType.string,
    "when": DataType.datetime,
    "class": DataType.binary,
    "model_x": DataType.long,
    "1st": DataType.integer,
    "_private": DataType.boolean,
    "fixed-acidity": DataType.float,
    "json": DataType.double,
    "ä": DataType.double,
}
SIGNATURE = Signature(
    Schema([ColSpec(kind, name, required=name != "when") for name, kind in COLUMNS.items()]),
    Schema([ColSpec(DataType.double)]),
    ParamSchema([ParamSpec("temperature", DataType.double, 0.5), ParamSpec("stop", DataType.string, ["a"], (-1,))]),
)


OTHERS: dict[str, tuple[Signature | None, bool, str]] = {
    "none": (None, False, "inputs: Any"),
    "hints": (SIGNATURE, True, "inputs: Any"),
    "tensor": (Signature(Schema([TensorSpec("float32", (-1, 4))])), False, "inputs: list[list[float]]"),
    "named-tensors": (Signature(Schema([TensorSpec("int64", (-1,), "x")])), False, "inputs: dict[str, Any]"),
    "unnamed-columns": (
        Signature(Schema([ColSpec(DataType.double), ColSpec(DataType.string)])),
        False,
        "rows: list[list[Any]]",
    ),
}

LOOK = """
import json, sys
from types import ModuleType
import bentoml
from toolkit.deployments.serving.openapi import completed
example = {"dataframe_split": {"columns": ["a"], "data": [[1]]}}
found = {}
for name, code in json.load(sys.stdin).items():
    made = sys.modules[name] = ModuleType(name)  # where its types are looked for
    exec(compile(code, name, "exec"), made.__dict__)
    (service,) = [each for each in vars(made).values() if isinstance(each, bentoml.Service)]
    found[name] = {
        "name": service.name, "config": service.config, "models": [str(each.tag) for each in service.models],
        "kind": type(service).__name__, "document": completed(service.openapi_spec.asdict(), example),
    }
    if name == "whole":
        given = json.loads(sys.argv[1])
        found["row"] = made.Row.model_validate(given).model_dump(by_alias=True, mode="json")
        found["params"] = made.Params().model_dump()
        try:
            made.Row.model_validate({})
        except ValueError as error:
            found["refused"] = str(error)
print(json.dumps(found))
"""
ROW = dict.fromkeys(COLUMNS, 1) | {NASTY: "x", "class": "eA==", "when": "2026-11-21T10:00:00", "_private": True}


@pytest.fixture(scope="module")
def found() -> dict[str, Any]:
    """Of each service what BentoML makes of its text, in a process of its own: BentoML warns when it is imported."""
    example = {"fixed acidity": 7.4, "when": "2026-11-21"}
    codes = {name: service_code("m:1", ServiceConfig(), given, raw=raw) for name, (given, raw, _) in OTHERS.items()}
    codes["whole"] = service_code("wine-quality:3", ServiceConfig(cpu="500m"), SIGNATURE, example=example)
    argv = [sys.executable, "-W", "ignore", "-c", LOOK, json.dumps(ROW)]
    done = subprocess.run(argv, input=json.dumps(codes), capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stderr
    read: dict[str, Any] = json.loads(done.stdout)
    return read


def test_it_is_short_and_passes_a_linter() -> None:
    code = service_code("wine-quality:3", ServiceConfig(), SIGNATURE)
    assert len(code.splitlines()) < 70
    ruff = [str(Path(sys.executable).with_name("ruff")), "check", "--isolated", "--select", "E,F,W,I", "-"]
    done = subprocess.run([*ruff, "--line-length", "120"], input=code, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


def test_it_is_a_service_of_bentoml(found: dict[str, Any]) -> None:
    whole = found["whole"]
    assert (whole["name"], whole["kind"], whole["models"]) == ("wine-quality", "ScoringService", ["wine-quality:3"])
    assert whole["config"]["workers"] == 1
    assert whole["config"]["resources"] == {"cpu": "500m"}
    assert whole["config"]["http"] == {"host": "127.0.0.1"}


def test_its_document_has_the_columns_names_and_types(found: dict[str, Any]) -> None:
    document = found["whole"]["document"]
    assert {"/predict", "/invocations", "/ping", "/health", "/version", "/readyz", "/metrics"} <= set(document["paths"])
    row = document["components"]["schemas"]["Row"]
    assert set(row["properties"]) == set(COLUMNS)
    assert set(row["required"]) == set(COLUMNS) - {"when"}
    kinds = {name: each.get("type") for name, each in row["properties"].items()}
    assert kinds["fixed acidity"] == "number"
    assert kinds["1st"] == "integer"
    assert kinds["_private"] == "boolean"
    assert kinds[NASTY] == "string"
    assert row["properties"]["fixed acidity"]["examples"] == [7.4]
    asked = document["paths"]["/predict"]["post"]["requestBody"]["content"]["application/json"]
    assert asked["example"] == {"rows": [{"a": 1}]}
    assert set(asked["schema"]["properties"]) == {"rows", "params"}
    content = document["paths"]["/invocations"]["post"]["requestBody"]["content"]
    assert set(content) == {"application/json", "text/csv", "application/vnd.apache.parquet"}


def test_its_types_take_rows_by_the_models_names(found: dict[str, Any]) -> None:
    assert found["row"] == ROW
    assert "fixed acidity" in found["refused"]
    assert found["params"] == {"temperature": 0.5, "stop": ["a"]}


@pytest.mark.parametrize("name", OTHERS)
def test_other_models(found: dict[str, Any], name: str) -> None:
    signature, raw, wanted = OTHERS[name]
    assert f"def predict(self, {wanted}" in service_code("m:1", ServiceConfig(), signature, raw=raw)
    document = found[name]["document"]
    body = document["paths"]["/predict"]["post"]["requestBody"]["content"]["application/json"]
    assert wanted.partition(":")[0] in body["schema"]["properties"]


def test_what_has_no_plain_text_is_no_example() -> None:
    signature = Signature(
        Schema([ColSpec(DataType.double, "a")]), None, ParamSchema([ParamSpec("p", DataType.double, float("inf"))])
    )
    code = service_code("m:1", ServiceConfig(), signature, example={"a": float("nan")})
    assert "nan" not in code.replace("name", "")
    assert "inf" not in code
    compile(code, "service.py", "exec")
