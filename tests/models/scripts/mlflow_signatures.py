"""Stock MLflow, asked about signatures: a line of JSON in, a line of JSON out."""

import contextlib
import io
import json
import logging
import sys
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import signature_samples as samples
from mlflow.models import Model, infer_signature
from mlflow.models.signature import ModelSignature
from mlflow.models.utils import (
    _enforce_params_schema,
    _enforce_schema,
    _read_example,
    _read_example_params,
    _save_example,
)
from mlflow.pyfunc.scoring_server import _parse_json_data, parse_csv_input, predictions_to_json
from mlflow.types.schema import ColSpec, ParamSchema, ParamSpec, Schema

answers, sys.stdout = sys.stdout, sys.stderr
warnings.simplefilter("ignore")
logging.disable(logging.CRITICAL)


def told(data):
    """Say what data are, in words that the other side says of the same."""
    if isinstance(data, pd.DataFrame):
        return {"table": {str(name): told(data[name]) for name in data}} if data.columns.is_unique else repr(data)
    if isinstance(data, pd.Series):
        return [str(data.dtype), [repr(each) for each in data]]
    if isinstance(data, np.ndarray):
        return ["array", str(data.dtype), list(data.shape), repr(data.tolist())]
    if isinstance(data, dict):
        return {str(name): told(each) for name, each in data.items()}
    if hasattr(data, "toarray"):
        return [data.format, told(data.toarray())]
    return repr(data)


def sample(of):
    kind, name = of
    return samples.fuzzed(name) if kind == "fuzzed" else getattr(samples, kind)[name]()


def infer(request):
    return infer_signature(sample(request["data"])).to_dict()["inputs"]


def infer_params(request):
    return infer_signature(params={"p": sample(request["data"])}).to_dict()["params"]


def enforce(request):
    return told(_enforce_schema(sample(request["data"]), Schema.from_json(request["schema"])))


def enforce_column(request):
    schema = Schema([ColSpec(request["kind"], "x", required=request["required"])])
    return told(_enforce_schema(pd.DataFrame({"x": sample(request["data"])}), schema)["x"])


def enforce_param(request):
    schema = ParamSchema(
        [ParamSpec("p", request["kind"], None if not request["list"] else [], (-1,) if request["list"] else None)]
    )
    return repr(_enforce_params_schema({"p": sample(request["data"])}, schema)["p"])


def parse(request):
    signature = request["signature"] and ModelSignature.from_dict(request["signature"])
    metadata = Model(signature=signature)
    schema = metadata.get_input_schema()
    if request.get("csv"):
        data = parse_csv_input(io.StringIO(request["body"]), schema)
        return told(data if schema is None else _enforce_schema(data, schema))
    parsed = _parse_json_data(request["body"], metadata, schema)
    data = parsed.data if schema is None or parsed.is_unified_llm_input else _enforce_schema(parsed.data, schema)
    return {"data": told(data), "params": parsed.params, "wrapped": not parsed.is_unified_llm_input}


def write_example(request):
    model = Model()
    Path(request["folder"]).mkdir()
    _save_example(model, sample(request["data"]), request["folder"])
    return model.saved_input_example_info


def read_example(request):
    signature = request["signature"] and ModelSignature.from_dict(request["signature"])
    model = Model(signature=signature, saved_input_example_info=request["info"])
    return {
        "data": told(_read_example(model, request["folder"])),
        "params": _read_example_params(model, request["folder"]),
    }


def answer(request):
    out = io.StringIO()
    predictions_to_json(sample(request["data"]), out)
    return out.getvalue()


def read_signature(request):
    return ModelSignature.from_dict(request["signature"]).to_dict()


for line in sys.stdin:
    asked = json.loads(line)
    try:
        with contextlib.redirect_stdout(sys.stderr):
            said = {"ok": globals()[asked["do"]](asked)}
    except Exception as error:  # noqa: BLE001 - whatever MLflow says is to be told
        said = {"error": f"{type(error).__name__}: {error}"}
    print(json.dumps(said), file=answers, flush=True)
