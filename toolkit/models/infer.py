"""Signatures from data: what a sample shows of the columns or tensors that a model takes and gives.

What is inferred from data takes that same data. A column whose type has no name in a signature becomes ``any``, and a
warning says which one and why: the other columns are worth a check all the same.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import is_dataclass
from typing import Any

from toolkit.errors import InvalidValue, SchemaMismatch
from toolkit.models import columns, containers
from toolkit.models.contract import Signature
from toolkit.models.datatypes import AnyType, DataType, Type
from toolkit.models.hints import schema_of_dataclass
from toolkit.models.params import ParamSchema, ParamSpec
from toolkit.models.schema import ColSpec, Schema, TensorSpec
from toolkit.models.value_types import Unclear, infer_type, is_pydantic, items_type, scalar_type
from toolkit.models.values import is_missing, plain

logger = logging.getLogger(__name__)


def infer_signature(
    model_input: Any = None,  # noqa: ANN401 - whatever a model takes
    model_output: Any = None,  # noqa: ANN401 - whatever a model gives
    params: Mapping[str, Any] | None = None,
) -> Signature:
    """Return the signature that a sample of data shows.

    Args:
        model_input: What the model takes: a table of pandas, Polars, Arrow or Spark, a Series, an array or arrays by
            name, a sparse matrix, a dict, a list of dicts, a list, a scalar; or a dataclass that describes it. A sample
            with missing values shows which columns may have some.
        model_output: What it gives, such as ``model.predict(model_input)``.
        params: The parameters of ``predict``, with their defaults.

    Raises:
        InvalidValue: Nothing is given, a parameter is of no type that one can have, or the data are of pydantic.
    """
    return Signature(
        inputs=None if model_input is None else infer_schema(model_input, "input"),
        outputs=None if model_output is None else infer_schema(model_output, "output"),
        params=infer_params(params) if params else None,
    )


def infer_schema(data: Any, what: str = "input") -> Schema:  # noqa: ANN401
    """Return the schema that a sample shows.

    Args:
        data: The sample; see `infer_signature`.
        what: What it is to the model, for a warning.

    Raises:
        InvalidValue: The data are of pydantic.
    """
    try:
        return _schema(data, what)
    except (Unclear, InvalidValue) as problem:
        if isinstance(problem, InvalidValue) and is_pydantic(data):
            raise
        logger.warning("the model's %s goes unchecked: %s", what, problem)
        return Schema([ColSpec(AnyType())])


def infer_params(params: Mapping[str, Any]) -> ParamSchema:
    """Return the parameters, with the values that are given as their defaults.

    Raises:
        InvalidValue: One is of no type that a parameter can have.
    """
    if not isinstance(params, Mapping):
        raise InvalidValue(f"parameters are given as a dict, not as {type(params).__name__}")
    return ParamSchema([_param(str(name), value) for name, value in params.items()])


def _schema(data: Any, what: str) -> Schema:  # noqa: ANN401
    if is_dataclass(data):
        return schema_of_dataclass(data if isinstance(data, type) else type(data))
    data = containers.as_pandas(data)
    if containers.is_frame(data):
        return _frame(data, what)
    if containers.is_series(data):
        return Schema([_column(data, data.name, what)])
    if containers.is_array(data):
        return Schema([_tensor(data, data.dtype)])
    if containers.is_sparse(data):
        return Schema([_tensor(data, data.data.dtype)])
    if containers.is_spark(data):
        from toolkit.models.spark_types import schema_of  # noqa: PLC0415 - whoever has such a table has Spark

        return schema_of(data)
    if isinstance(data, Mapping):
        return _mapping(data, what)
    if isinstance(data, list):
        return _listing(data, what)
    return Schema([ColSpec(infer_type(data))])


def _frame(data: Any, what: str) -> Schema:  # noqa: ANN401
    if not data.columns.is_unique:
        raise Unclear("two columns of the table have the same name")
    return Schema([_column(data[name], name, what) for name in data.columns])


def _column(column: Any, name: Any, what: str) -> ColSpec:  # noqa: ANN401
    name = tuple(plain(each) for each in name) if isinstance(name, tuple) else plain(name)
    required = not bool(column.isna().any())
    return ColSpec(_known(columns.infer, column, name, what), name, required)


def _known(infer: Callable[[Any], Type], values: Any, name: object, what: str) -> Type:  # noqa: ANN401
    """Return the type that values show; whatever can be, with a warning, where they show none."""
    try:
        return infer(values)
    except Unclear as problem:
        logger.warning("the column %r of the model's %s goes unchecked: %s", name, what, problem)
        return AnyType()


def _mapping(data: Mapping[Any, Any], what: str) -> Schema:
    if data and all(containers.is_array(each) for each in data.values()):
        return Schema([_tensor(each, each.dtype, name) for name, each in data.items()])
    if not all(isinstance(name, str) for name in data):
        raise Unclear("a name in the dict is no text")
    return Schema([ColSpec(_known(infer_type, each, name, what), name, _is_whole(each)) for name, each in data.items()])


def _listing(data: list[Any], what: str) -> Schema:
    if not data:  # MLflow's choice since its first releases
        return Schema([ColSpec(DataType.string)])
    if not all(isinstance(each, Mapping) for each in data):
        return Schema([ColSpec(items_type(data))])
    named: dict[Any, list[Any]] = {}
    for row in data:
        for name, each in row.items():
            named.setdefault(name, []).append(each)
    specs = []
    for name, values in named.items():
        whole = len(values) == len(data) and not any(is_missing(each) for each in values)
        specs.append(ColSpec(_known(items_type, values, name, what), plain(name), whole))
    return Schema(specs)


def _tensor(array: Any, kind: Any, name: Any = None) -> TensorSpec:  # noqa: ANN401
    if not array.shape:
        raise Unclear("an array without dimensions has no rows")
    if kind.kind == "V":
        raise Unclear("a structured array has no type that a signature has a name for")
    return TensorSpec(kind, (-1, *array.shape[1:]), plain(name))


def _is_whole(value: object) -> bool:
    return not any(is_missing(each) for each in value) if isinstance(value, list) else not is_missing(value)


def _param(name: str, value: Any) -> ParamSpec:  # noqa: ANN401
    try:
        return ParamSpec(name, *_param_type(value))
    except (Unclear, InvalidValue, SchemaMismatch) as problem:
        raise InvalidValue(f"the parameter {name!r} has no type that a parameter can have: {problem}") from None


def _param_type(value: Any) -> tuple[Any, Any, tuple[int, ...] | None]:  # noqa: ANN401
    if isinstance(value, Mapping):
        return infer_type(value), dict(value), None
    if not isinstance(value, list) and not containers.is_array(value):
        return scalar_type(value), value, None
    items = list(value)
    if any(isinstance(each, list | Mapping) or containers.is_array(each) for each in items):
        raise Unclear("a list of lists, or of dicts")
    kinds = {scalar_type(each) for each in items}
    if kinds == {DataType.long, DataType.double}:
        kinds = {DataType.double}
    if len(kinds) > 1:
        raise Unclear(f"a list of values of different types, {', '.join(sorted(each.value for each in kinds))}")
    # an empty list shows no type; MLflow's choice
    return (kinds.pop() if kinds else DataType.datetime), items, (-1,)
