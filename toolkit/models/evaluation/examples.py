"""The rows that a model is evaluated on: what it gets, what is right, how much each row counts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from toolkit.errors import InvalidValue
from toolkit.models.containers import is_array
from toolkit.models.evaluation.outcome import CLASSIFIER, REGRESSOR, numpy
from toolkit.models.evaluation.subject import plain

if TYPE_CHECKING:
    import pandas as pd

    from toolkit.models.evaluation.outcome import Array

_MOST_CLASSES = 20


@dataclass(frozen=True, kw_only=True, slots=True)
class Examples:
    """Rows whose answer is known.

    Attributes:
        data: All columns that were given, without targets that were given apart; of an array of more dimensions none.
        features: What a model gets: a table without targets, predictions and weights, or the array that was given.
        truth: The right answers.
        target: What they are called.
        weights: How much each row counts; ``None``: all the same.
        predicted: Predictions that the data bring along; ``None``: a model is asked.
    """

    data: pd.DataFrame
    features: Any
    truth: Array
    target: str
    weights: Array | None = None
    predicted: Array | None = None


def read_examples(data: object, targets: object, *, weights: object = None, predictions: object = None) -> Examples:
    """Return the rows to evaluate on.

    Args:
        data: A table of pandas or Polars, a dataset of `toolkit.data`, an array, or columns by name.
        targets: A column's name, or one value a row. Default: the dataset's.
        weights: The same, of how much each row counts.
        predictions: The same, of what was predicted already.

    Raises:
        InvalidValue: Something is missing, or is not as long as the data.
    """
    if hasattr(data, "digest") and hasattr(data, "targets"):  # a dataset, ours or MLflow's
        targets = data.targets if targets is None else targets
        predictions = getattr(data, "predictions", None) if predictions is None else predictions
        data = _held(data)
    table = _table(data)
    if targets is None:
        raise InvalidValue(
            f"evaluate was given no targets: wanted a column's name, such as {_columns(table)}, or values"
        )
    if not len(table):
        raise InvalidValue("there are no rows to evaluate on")
    taken = [each for each in (targets, weights, predictions) if isinstance(each, str)]
    return Examples(
        data=table,
        truth=_values(table, targets, "targets"),
        weights=None if weights is None else _values(table, weights, "sample_weights"),
        predicted=None if predictions is None else _values(table, predictions, "predictions"),
        features=data if is_array(data) else table.drop(columns=taken),
        target=targets if isinstance(targets, str) else "target",
    )


def infer_model_type(truth: Array) -> str:
    """Return which type of model gives such answers: text, booleans and few whole numbers are classes."""
    np = numpy()
    if truth.dtype.kind not in "iuf":
        return CLASSIFIER
    if truth.dtype.kind == "f" and not (truth[np.isfinite(truth)] % 1 == 0).all():
        return REGRESSOR
    return CLASSIFIER if len(np.unique(truth)) <= min(_MOST_CLASSES, max(2, len(truth) // 2)) else REGRESSOR


def _held(dataset: Any) -> Any:  # noqa: ANN401 - of ours or of MLflow's
    held = getattr(dataset, "data", None)
    for name in ("df", "features"):
        held = getattr(dataset, name, None) if held is None else held
    if held is None:
        raise InvalidValue(f"the dataset {getattr(dataset, 'name', '')!r} is not loaded: give the table itself")
    return held


def _table(data: Any) -> pd.DataFrame:  # noqa: ANN401 - of several libraries
    numpy()
    import pandas as pd  # noqa: PLC0415 - heavy

    if isinstance(data, pd.DataFrame):
        return data.reset_index(drop=True)
    if isinstance(data, Mapping):
        try:
            return pd.DataFrame(dict(data))
        except ValueError as error:
            raise InvalidValue(f"the columns of data are no table: {error}") from None
    if callable(getattr(data, "to_pandas", None)):  # Polars, PyArrow
        return data.to_pandas()
    array = data if is_array(data) else numpy().asarray(data) if isinstance(data, Sequence) else None
    if array is None or isinstance(data, str | bytes) or array.ndim < 2:
        raise InvalidValue(
            f"data is {type(data).__name__}: wanted a DataFrame, a dataset, or an array of rows and columns"
        )
    return pd.DataFrame(array) if array.ndim == 2 else pd.DataFrame(index=range(len(array)))


def _values(table: pd.DataFrame, given: Any, what: str) -> Array:  # noqa: ANN401 - a name or values
    np = numpy()
    if isinstance(given, str):
        if given not in table.columns:
            raise InvalidValue(f"{what} is {given!r}: the data have no such column, but {_columns(table)}")
        values = table[given].to_numpy()
    else:
        values = np.asarray(given.to_numpy() if callable(getattr(given, "to_numpy", None)) else given)
    if values.ndim == 2 and values.shape[1] == 1:
        values = values[:, 0]
    if values.ndim == 0 or len(values) != len(table):
        raise InvalidValue(f"{what} has {values.size} values: wanted one for each of the {len(table)} rows")
    return plain(values)


def _columns(table: pd.DataFrame) -> str:
    names = [str(name) for name in table.columns]
    return ", ".join(names[:10]) + (", …" if len(names) > 10 else "")
