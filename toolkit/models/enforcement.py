"""Data against a signature: what comes to ``predict`` is brought into the model's types, or refused in one line."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from toolkit.errors import SchemaMismatch
from toolkit.models import columns, containers, tensors
from toolkit.models.contract import Signature
from toolkit.models.datatypes import AnyType, Array, Map, Object
from toolkit.models.schema import ColSpec, Schema
from toolkit.models.values import told

if TYPE_CHECKING:
    import pandas as pd

    from toolkit.models.params import ParamSchema

logger = logging.getLogger(__name__)

_SHOWN = 20  # names in a message


def enforce(data: Any, signature: Signature | None) -> Any:  # noqa: ANN401 - whatever a model takes
    """Return data as a signature has them.

    For a signature of columns this is a table of pandas with the columns in the signature's order; what is no table is
    made one. For one of tensors it is an array, a sparse matrix, or arrays by name.

    Args:
        data: What came. It is not changed.
        signature: What was wanted; ``None``, or one without inputs: anything.

    Raises:
        SchemaMismatch: The data do not fit; the message names the column, what came, what was wanted and the first bad
            row, and holds no value.
    """
    if signature is None or signature.inputs is None:
        return data
    schema = signature.inputs
    data = containers.as_pandas(data)
    if schema.is_tensor_spec():
        return tensors.enforce(data, schema)
    if containers.is_spark(data):
        return _spark(data, schema)
    if _is_free(schema) and not _is_plain(data):
        return data
    frame = _as_frame(data, schema)
    if _is_free(schema):
        return frame if frame.shape[1] else data
    loose = _is_loose(data)
    return _named(frame, schema, loose=loose) if schema.has_input_names() else _unnamed(frame, schema, loose=loose)


def validate_schema(data: Any, expected_schema: Schema) -> None:  # noqa: ANN401
    """Hold data against a schema.

    Args:
        data: What came.
        expected_schema: What was wanted.

    Raises:
        SchemaMismatch: The data do not fit; see `enforce`.
    """
    enforce(data, Signature(inputs=expected_schema))


def enforce_params(params: Mapping[str, Any] | None, signature: Signature | None) -> dict[str, Any]:
    """Return parameters as a signature has them, with the defaults of those that are not given.

    Unknown ones are left out, with a warning.

    Args:
        params: What came.
        signature: What was wanted; without parameters in it, none is passed on.

    Raises:
        SchemaMismatch: One does not fit, or they are no dict.
    """
    schema = None if signature is None else signature.params
    if schema is None:
        if params:
            logger.warning("this model takes no parameters: those that came are not passed on")
        return {}
    if params is not None and not isinstance(params, Mapping):
        raise SchemaMismatch(f"Parameters must be a dictionary. Got type '{type(params).__name__}'.")
    given = {str(name): value for name, value in (params or {}).items()}
    _warn_of_unknown(given, schema)
    done = {}
    for spec in schema:
        if spec.name not in given:
            done[spec.name] = spec.default
            continue
        try:
            done[spec.name] = spec.conform(given[spec.name])
        except SchemaMismatch as problem:
            place = f"the parameter {spec.name!r}{problem.path}"
            message = f"Invalid parameters found: {place}: {problem.wanted} was wanted, and {problem.came} came"
            raise SchemaMismatch(
                message, column=spec.name, path=problem.path, came=problem.came, wanted=problem.wanted
            ) from None
    return done


def _warn_of_unknown(given: Mapping[str, Any], schema: ParamSchema) -> None:
    known = {spec.name for spec in schema}
    if unknown := [name for name in given if name not in known]:
        logger.warning(
            "the model has no parameters %s: they are not passed on; it has %s",
            ", ".join(unknown[:_SHOWN]),
            ", ".join(sorted(known)),
        )


def _is_free(schema: Schema) -> bool:
    """Tell whether a schema is what MLflow writes where it could not infer one: anything."""
    return len(schema) == 1 and not schema.has_input_names() and isinstance(schema.inputs[0].type, AnyType)


def _is_plain(data: Any) -> bool:  # noqa: ANN401
    # these become a table, as MLflow makes one of them: a table itself keeps all of its columns
    if isinstance(data, dict):
        return bool(data)
    kinds = (str, bytes, bool, int, float, list)
    return isinstance(data, kinds) or containers.is_numpy(data) or (containers.is_array(data) and data.ndim > 0)


def _is_loose(data: object) -> bool:
    """Tell whether data are of Python's numbers, which have no width until a table gives them one."""
    if isinstance(data, Mapping):
        return not any(containers.is_array(each) or containers.is_series(each) for each in data.values())
    return not containers.is_frame(data) and not containers.is_series(data) and not containers.is_array(data)


def _as_frame(data: Any, schema: Schema) -> pd.DataFrame:  # noqa: ANN401
    import pandas as pd  # noqa: PLC0415 - a signature of columns is of tables of pandas

    if containers.is_frame(data):
        return data
    if containers.is_series(data):
        return pd.DataFrame(data)
    try:
        if isinstance(data, Mapping):
            return _frame_of_dict(data, schema)
        if isinstance(data, list | tuple) or containers.is_array(data):
            return _frame_of_list(data, schema)
    except SchemaMismatch:
        raise
    except (ValueError, TypeError):  # whose text might repeat what came
        raise SchemaMismatch(
            "Failed to enforce schema: no table can be made of what came: columns of one length were wanted, or rows"
        ) from None
    if isinstance(data, str | bytes | bytearray | bool | int | float) or containers.is_numpy(data) or _is_scalar(data):
        return pd.DataFrame({0: [data]})
    raise SchemaMismatch(f"Failed to enforce schema: Expected input to be DataFrame. Found: {told(data)}")


def _is_scalar(data: object) -> bool:
    import numpy as np  # noqa: PLC0415

    # dates are none for NumPy
    return bool(np.isscalar(data)) or hasattr(data, "isoformat")


def _frame_of_dict(data: Mapping[Any, Any], schema: Schema) -> pd.DataFrame:
    """Make a table of a dict: of one row, or of columns."""
    import pandas as pd  # noqa: PLC0415

    nested = any(isinstance(each.type, Array | Object | Map) for each in schema.columns())
    if nested or all(_is_cell(each) for each in data.values()) or any(isinstance(each, dict) for each in data.values()):
        return pd.DataFrame([data])
    made = {name: each.tolist() if _is_deep(each) else each for name, each in data.items()}
    free = any(isinstance(each.type, AnyType) for each in schema.columns())
    if free and len({len(each) for each in made.values() if hasattr(each, "__len__")}) > 1:
        return pd.DataFrame([data])
    return pd.DataFrame(made)


def _is_cell(value: Any) -> bool:  # noqa: ANN401
    if isinstance(value, list):
        return all(isinstance(each, str) for each in value)
    return value is None or _is_scalar(value) or (containers.is_array(value) and value.ndim == 0)


def _is_deep(value: Any) -> bool:  # noqa: ANN401
    return containers.is_array(value) and value.ndim > 1


def _frame_of_list(data: Any, schema: Schema) -> pd.DataFrame:  # noqa: ANN401
    import pandas as pd  # noqa: PLC0415

    specs = schema.columns()
    required = schema.required_input_names()
    alone = not schema.has_input_names() and len(specs) == 1
    if alone and _is_one_column(data, specs[0]):
        return pd.DataFrame({0: pd.Series(list(data), dtype=None if len(data) else object)})
    flat = containers.is_array(data) and (data.ndim == 1 or (data.ndim == 2 and data.shape[1] == 1))
    if schema.has_input_names() and len(required) == 1 and flat and data.dtype.names is None:
        return pd.DataFrame({required[0]: data.reshape(-1)})
    if not _makes_rows(data):
        if not alone:
            raise SchemaMismatch("Failed to enforce schema: no table can be made of lists of different lengths")
        return pd.DataFrame({0: pd.Series(list(data), dtype=object)})
    if alone and any(isinstance(each, bytearray) for each in data):  # which pandas takes for rows of numbers
        return pd.DataFrame({0: pd.Series(list(data), dtype=object)})
    return pd.DataFrame(data)


def _makes_rows(data: Any) -> bool:  # noqa: ANN401
    """Tell whether the items of a list are rows: all dicts, all lists of one length, or all scalars."""
    if containers.is_array(data):
        return True
    rows = [each for each in data if isinstance(each, list | tuple | Mapping) or containers.is_array(each)]
    if not rows:
        return True
    if len(rows) < len(data):
        return False
    lists = [each for each in rows if not isinstance(each, Mapping)]
    return not lists or (len(lists) == len(rows) and len({len(each) for each in lists}) == 1)


def _is_one_column(data: Any, spec: ColSpec) -> bool:  # noqa: ANN401
    """Tell whether a list is one column, whose items would make rows of several otherwise."""
    return not len(data) or isinstance(spec.type, Array | Map | Object)


def _named(frame: pd.DataFrame, schema: Schema, *, loose: bool = False) -> pd.DataFrame:
    if not frame.columns.is_unique:
        twice = frame.columns[frame.columns.duplicated()].unique().tolist()
        raise SchemaMismatch(f"Failed to enforce schema: the columns {twice[:_SHOWN]} came more than once.")
    there = set(frame.columns)
    missing = [name for name in schema.required_input_names() if name not in there]
    known = set(schema.input_names())
    extra = [name for name in frame.columns if name not in known]
    if missing:
        extras = f" Note that there were extra inputs: {extra[:_SHOWN]}." if extra else ""
        raise SchemaMismatch(
            f"Failed to enforce schema: Model is missing inputs {missing[:_SHOWN]}.{extras}", column=missing[0]
        )
    if extra:
        logger.warning("these columns are not in the model's signature, and left out: %s", extra[:_SHOWN])
    specs = [(name, spec) for name, spec in zip(schema.input_names(), schema.columns(), strict=True) if name in there]
    return _assembled(frame, specs, loose=loose)


def _unnamed(frame: pd.DataFrame, schema: Schema, *, loose: bool = False) -> pd.DataFrame:
    if frame.shape[1] < len(schema):
        raise SchemaMismatch(
            "Failed to enforce schema: Model inference is missing inputs. The model signature declares "
            f"{len(schema)} inputs but the provided value only has {frame.shape[1]} inputs. Note: the inputs were not "
            "named in the signature so we can only verify their count."
        )
    return _assembled(frame, list(zip(frame.columns, schema.columns(), strict=False)), loose=loose)


def _assembled(frame: pd.DataFrame, specs: list[tuple[Any, ColSpec]], *, loose: bool) -> pd.DataFrame:
    """Return a table of these columns of another, each in its type; the same table where nothing changes."""
    import pandas as pd  # noqa: PLC0415

    known = {name: at for at, name in enumerate(frame.columns)} if frame.columns.is_unique else {}
    places = [known.get(name, at) for at, (name, _) in enumerate(specs)]
    dtypes = frame.dtypes.to_list()
    done = {}
    for place, (name, spec) in zip(places, specs, strict=True):
        if columns.fits_as_it_is(dtypes[place], spec.type):  # as most do: the values need not be looked at
            continue
        came = frame.iloc[:, place]
        try:
            fitting = columns.narrowed(came, spec.type) if loose else came
            fitting = columns.conform(fitting, spec.type, required=spec.forbids_missing)
        except SchemaMismatch as problem:
            raise problem.inside(column=name) from None
        if fitting is not came:
            done[place] = fitting
    if not done:
        return frame if places == list(range(frame.shape[1])) else frame.iloc[:, places]
    parts = [done.get(place, frame.iloc[:, place]) for place in places]
    made = pd.DataFrame(dict(enumerate(parts)), index=frame.index)
    made.columns = frame.columns[places]
    return made


def _spark(data: Any, schema: Schema) -> Any:  # noqa: ANN401
    """Return the columns of a table of Spark; its first ten rows are looked at."""
    names = schema.input_names() if schema.has_input_names() else data.columns[: len(schema)]
    head = data.limit(10).toPandas()
    _ = _named(head, schema) if schema.has_input_names() else _unnamed(head, schema)
    return data.select(*[f"`{name}`" for name in names if name in data.columns])
