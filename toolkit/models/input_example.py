"""Examples of a model's input, kept beside it: as data, and as a request that can be sent to it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any

from toolkit.errors import InvalidValue, NotFound, SchemaMismatch
from toolkit.models import casting, containers, json_body, json_values
from toolkit.models.datatypes import Array, DataType, Map, Object, Type
from toolkit.models.infer import infer_params
from toolkit.models.schema import ColSpec, Schema, TensorSpec
from toolkit.models.values import told

if TYPE_CHECKING:
    from toolkit.models.metadata import ModelMetadata

FILE = "input_example.json"
SERVING_FILE = "serving_input_example.json"

_CHAT = ("messages", "prompt", "input")


@dataclass(frozen=True)
class InputExample:
    """An example of a model's input.

    Attributes:
        data: What ``predict`` is given.
        params: Its parameters; ``None``: none.
    """

    data: Any
    params: Mapping[str, Any] | None = None

    @classmethod
    def of(cls, given: Any) -> InputExample:  # noqa: ANN401 - whatever a model takes
        """Return the example that a user gives: data, or a tuple of data and parameters.

        Raises:
            InvalidValue: A parameter is of a type that none can have.
        """
        if isinstance(given, cls):
            return given
        if isinstance(given, tuple) and len(given) == 2 and isinstance(given[1], dict):
            if given[1]:
                infer_params(given[1])
            return cls(given[0], given[1])
        return cls(given)

    @classmethod
    def save(cls, folder: Path, example: Any) -> dict[str, str]:  # noqa: ANN401
        """Write an example into a model's folder, and as the request that brings it.

        Args:
            folder: The folder.
            example: Data, or a tuple of data and parameters.

        Returns:
            What ``saved_input_example_info`` of the ``MLmodel`` says of it.

        Raises:
            InvalidValue: The data are of a kind that no example can be of.
        """
        given = cls.of(example)
        info, data, request = _forms(given.data)
        if given.params is not None:
            params = json_values.plain(given.params)
            data = {"inputs": data, "params": params}
            request = {**request, **params} if _is_chat(request) else {**request, "params": params}
            if given.params:
                info["params"] = "true"
        texts = {FILE: json.dumps(data), SERVING_FILE: json.dumps(request, indent=2)}
        for name, text in texts.items():
            (folder / name).write_text(text, encoding="utf-8")
        return {"artifact_path": FILE, **info, "serving_input_path": SERVING_FILE}

    @classmethod
    def load(cls, folder: Path, metadata: ModelMetadata) -> InputExample | None:
        """Return the example in a model's folder; ``None`` if it has none.

        Raises:
            NotFound: The file is missing.
            InvalidValue: It is of a kind that nobody knows, or no JSON.
        """
        info = metadata.saved_input_example_info
        if not info:
            return None
        kept = _read(folder, str(info.get("artifact_path", FILE)))
        params = None
        if info.get("params") and isinstance(kept, dict) and "inputs" in kept:
            kept, params = kept["inputs"], kept.get("params")
        elif info.get("format") == "tf-serving" and isinstance(kept, dict):  # MLflow 1
            kept = kept.get("inputs", kept.get("instances", kept))
        schema = None if metadata.signature is None else metadata.signature.inputs
        try:
            return cls(_data(kept, str(info.get("type", "dataframe")), schema), params)
        except (KeyError, TypeError, ValueError) as error:
            if isinstance(error, InvalidValue):
                raise
            raise InvalidValue(f"the example in {folder} is not of the form that its MLmodel tells: {error}") from None

    @classmethod
    def load_request(cls, folder: Path, metadata: ModelMetadata) -> str | None:
        """Return the body of a request that brings the example; ``None`` if there is none.

        Raises:
            NotFound: The file is missing.
        """
        name = (metadata.saved_input_example_info or {}).get("serving_input_path")
        return None if name is None else _text(folder, str(name))


def request_of(example: Any) -> str:  # noqa: ANN401 - whatever a model takes
    """Return the body of a request that brings an example to a server.

    Args:
        example: Data, or a tuple of data and parameters.

    Raises:
        InvalidValue: The data are of a kind that no example can be of.
    """
    given = InputExample.of(example)
    _, _, request = _forms(given.data)
    if given.params is not None:
        params = json_values.plain(given.params)
        request = {**request, **params} if _is_chat(request) else {**request, "params": params}
    return json.dumps(request, indent=2)


def _is_chat(request: Mapping[str, Any]) -> bool:
    return any(name in request for name in _CHAT)


def _forms(data: Any) -> tuple[dict[str, str], Any, dict[str, Any]]:  # noqa: ANN401
    """Return what the MLmodel says of data, the data as JSON, and the request that brings them."""
    if hasattr(data, "model_dump"):
        data = data.model_dump()
    data = containers.as_pandas(data)
    if containers.is_frame(data):
        kept = _split(data)
        return (
            {"type": "dataframe", "pandas_orient": "split" if "columns" in kept else "values"},
            kept,
            {"dataframe_split": kept},
        )
    if containers.is_sparse(data):
        return {"type": f"sparse_matrix_{data.format}"}, _compressed(data), {"inputs": json_values.plain(data)}
    if containers.is_array(data):
        kept = json_values.plain(data)
        return {"type": "ndarray"}, kept, {"inputs": kept}
    if isinstance(data, Mapping) and any(containers.is_array(each) for each in data.values()):
        if not all(containers.is_array(each) for each in data.values()):
            raise InvalidValue("an example that is a dict is of arrays only, or of none: give lists in place of arrays")
        kept = json_values.plain(data)
        return {"type": "ndarray"}, kept, {"inputs": kept}
    scalar = isinstance(data, str | bytes | bool | int | float | date) or containers.is_numpy(data)
    if not scalar and not isinstance(data, list | Mapping):
        raise InvalidValue(
            f"an example is a table, an array, arrays by name, a sparse matrix, a dict, a list or a scalar, "
            f"not {told(data)}{': give a table with it as a column' if containers.is_series(data) else ''}"
        )
    if isinstance(data, list) and any(containers.is_array(each) for each in data):
        raise InvalidValue("an example that is a list holds no arrays: give an array of one dimension more")
    kept = json_values.plain(data)
    return {"type": "json_object"}, kept, kept if isinstance(kept, dict) and _is_chat(kept) else {"inputs": kept}


def _split(frame: Any) -> dict[str, Any]:  # noqa: ANN401 - a table of pandas
    names = [json_values.plain(name) for name in frame.columns]
    columns = [json_values.plain(frame.iloc[:, at].tolist()) for at in range(len(names))]
    rows = [list(row) for row in zip(*columns, strict=True)] if names else [[] for _ in range(len(frame))]
    return {"data": rows} if names == list(range(len(names))) else {"columns": names, "data": rows}


def _compressed(matrix: Any) -> dict[str, Any]:  # noqa: ANN401 - of SciPy
    parts = {name: json_values.plain(getattr(matrix, name)) for name in ("data", "indices", "indptr")}
    return {**parts, "shape": list(matrix.shape)}


def _data(kept: Any, kind: str, schema: Schema | None) -> Any:  # noqa: ANN401
    match kind:
        case "json_object":
            return kept if schema is None else _restored(kept, schema)
        case "dataframe":
            return _typed(json_body.split, kept if isinstance(kept, dict) else {"data": kept}, schema)
        case "ndarray":
            return _typed(json_body.inputs, kept, schema)
        case "sparse_matrix_csc" | "sparse_matrix_csr":
            return _matrix(kept, kind, schema)
    raise InvalidValue(f"an example of the kind {kind!r} cannot be read: it is newer than this version")


def _restored(kept: Any, schema: Schema) -> Any:  # noqa: ANN401
    """Return JSON with the dates and the bytes that a signature tells, which JSON has as text."""
    specs = {str(name): spec.type for name, spec in schema.input_dict().items() if isinstance(spec, ColSpec)}
    if schema.has_input_names() and isinstance(kept, list):
        return [_restored(each, schema) for each in kept] if all(isinstance(each, dict) for each in kept) else kept
    if schema.has_input_names():
        return {n: _with(v, specs.get(n)) for n, v in kept.items()} if isinstance(kept, dict) else kept
    kind = specs.get("0")
    return [_with(each, kind) for each in kept] if isinstance(kept, list) else _with(kept, kind)


def _with(kept: Any, kind: Type | None) -> Any:  # noqa: ANN401
    match kind:
        case DataType.datetime | DataType.binary if isinstance(kept, str):
            try:
                return casting.value(kept, kind)
            except SchemaMismatch:
                return kept
        case DataType.datetime | DataType.binary if isinstance(kept, list):
            return [_with(each, kind) for each in kept]
        case Array() if isinstance(kept, list):
            return [_with(each, kind.dtype) for each in kept]
        case Map() if isinstance(kept, dict):
            return {name: _with(each, kind.value_type) for name, each in kept.items()}
        case Object() if isinstance(kept, dict):
            kinds = {each.name: each.dtype for each in kind.properties}
            return {name: _with(each, kinds.get(name)) for name, each in kept.items()}
    return kept


def _typed(read: Any, kept: Any, schema: Schema | None) -> Any:  # noqa: ANN401
    try:
        return read(kept, schema)
    except (InvalidValue, SchemaMismatch):
        if schema is None:
            raise
    return read(kept, None)  # an example that does not fit its signature is one all the same


def _matrix(kept: Mapping[str, Any], kind: str, schema: Schema | None) -> Any:  # noqa: ANN401
    from scipy import sparse  # noqa: PLC0415 - whoever has such a model has it

    of = sparse.csc_matrix if kind.endswith("csc") else sparse.csr_matrix
    spec = schema.inputs[0] if schema is not None else None
    dtype = spec.type if isinstance(spec, TensorSpec) else None
    data = [float("nan") if each is None else each for each in kept["data"]]
    return of((data, kept["indices"], kept["indptr"]), shape=tuple(kept["shape"]), dtype=dtype)


def _read(folder: Path, name: str) -> Any:  # noqa: ANN401
    try:
        return json.loads(_text(folder, name))
    except (ValueError, RecursionError) as error:
        raise InvalidValue(f"{folder / name} is no JSON: {error}") from None


def _text(folder: Path, name: str) -> str:
    file = (folder / name).resolve()
    if not file.is_relative_to(folder.resolve()):  # the MLmodel of somebody else's model says where it is
        raise InvalidValue(f"the example of a model is in its folder, and {name!r} is not")
    try:
        return file.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise NotFound(f"{folder / name} is missing, though the MLmodel beside it names it as its example") from None
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidValue(f"{folder / name} cannot be read: {error}") from None
