"""What a model said of rows whose answer is known."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from toolkit.errors import InvalidValue
from toolkit.models.values import is_missing

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    from numpy.typing import NDArray

    Array = NDArray[Any]

CLASSIFIER = "classifier"
REGRESSOR = "regressor"
MODEL_TYPES = (CLASSIFIER, REGRESSOR)
AVERAGES = ("weighted", "macro", "micro")


@dataclass(frozen=True, kw_only=True, slots=True)
class Numbers:
    """What a regressor said.

    Attributes:
        truth: The right numbers, one a row.
        predicted: The model's.
        weights: How much each row counts; ``None``: all the same.
    """

    truth: Array
    predicted: Array
    weights: Array | None = None

    def __len__(self) -> int:
        """Return how many rows there are."""
        return len(self.truth)

    def where(self, mask: Array) -> Numbers:
        """Return the same of the rows that a mask picks."""
        weights = None if self.weights is None else self.weights[mask]
        return Numbers(truth=self.truth[mask], predicted=self.predicted[mask], weights=weights)


@dataclass(frozen=True, kw_only=True, slots=True)
class Classes:
    """What a classifier said. Classes are numbers from 0: places in ``labels``.

    Attributes:
        labels: The names of the classes, in order.
        truth: The right class of each row.
        predicted: The model's.
        probabilities: How likely it held each class, rows × classes; ``None`` where it does not tell.
        positive: Of two classes, the one that is looked for; ``None`` with more.
        average: How several classes become one number: weighted, macro or micro.
        weights: How much each row counts; ``None``: all the same.
    """

    labels: Array
    truth: Array
    predicted: Array
    probabilities: Array | None = None
    positive: int | None = None
    average: str = "weighted"
    weights: Array | None = None

    def __len__(self) -> int:
        """Return how many rows there are."""
        return len(self.truth)

    def where(self, mask: Array) -> Classes:
        """Return the same of the rows that a mask picks."""
        return Classes(
            labels=self.labels,
            truth=self.truth[mask],
            predicted=self.predicted[mask],
            probabilities=None if self.probabilities is None else self.probabilities[mask],
            positive=self.positive,
            average=self.average,
            weights=None if self.weights is None else self.weights[mask],
        )


Outcome = Numbers | Classes


def numbers(truth: Array, predicted: Array, weights: Array | None = None) -> Numbers:
    """Return what a regressor said.

    Args:
        truth: The right numbers.
        predicted: The model's, as many; a column of them is fine.
        weights: How much each row counts.

    Raises:
        InvalidValue: Something is no finite number, or there is one too few of it.
    """
    if predicted.ndim == 2 and predicted.shape[1] == 1:
        predicted = predicted[:, 0]
    _check_rows(truth, predicted, weights)
    return Numbers(
        truth=_floats(truth, "target"), predicted=_floats(predicted, "prediction"), weights=_weights(weights)
    )


def classes(
    truth: Array,
    predicted: Array,
    probabilities: Array | None = None,
    *,
    labels: Sequence[object] | None = None,
    known: Sequence[object] | None = None,
    positive: object | None = None,
    average: str = "weighted",
    weights: Array | None = None,
) -> Classes:
    """Return what a classifier said.

    Args:
        truth: The right class of each row.
        predicted: The model's; or a matrix of its probabilities, rows × classes; or, of two classes, the probability
            of the second.
        probabilities: Rows × classes, in the order of ``known``.
        labels: All classes; default: those that the model knows and those that occur.
        known: The classes that the model knows, in its order; default: ``labels`` in order.
        positive: Of two classes, the one that is looked for; default: the second.
        average: How several classes become one number: weighted, macro or micro.
        weights: How much each row counts.

    Raises:
        InvalidValue: The parts do not fit together.
    """
    np = numpy()
    if average not in AVERAGES:
        raise InvalidValue(f"average is {average!r}: wanted one of {', '.join(AVERAGES)}")
    if predicted.ndim == 2 and predicted.shape[1] == 1:
        predicted = predicted[:, 0]
    _check_complete(truth, "target")
    order = None if known is None else np.asarray(known)
    if probabilities is None and _is_probability(predicted, truth):
        if order is None:
            order = _sorted([truth]) if labels is None else np.asarray(labels)
        probabilities = predicted if predicted.ndim == 2 else np.column_stack([1 - predicted, predicted])
        _check_width(probabilities, order)
        predicted = order[probabilities.argmax(axis=1)]
    _check_rows(truth, predicted, weights)
    _check_complete(predicted, "prediction")
    names = _sorted([labels] if labels is not None else [truth, predicted, *([] if order is None else [order])])
    if len(names) < 2:
        raise InvalidValue(
            f"all targets and predictions are {names[0]!r}: wanted at least two classes; give all of them as label_list"
        )
    if probabilities is not None:
        probabilities = _in_order(probabilities, names if order is None else order, names)
    return Classes(
        labels=names,
        truth=_codes(truth, names, "target"),
        predicted=_codes(predicted, names, "prediction"),
        probabilities=probabilities,
        positive=_positive(names, positive),
        average=average,
        weights=_weights(weights),
    )


def numpy() -> Any:  # noqa: ANN401 - the module
    """Return NumPy, which comes with every library of models; imported when something is evaluated.

    Raises:
        InvalidValue: It is not installed.
    """
    try:
        import numpy as np  # noqa: PLC0415 - heavy
    except ImportError:
        raise InvalidValue("evaluating a model needs NumPy and pandas: pip install pandas") from None
    return np


def _sorted(parts: Sequence[Any]) -> Array:
    np = numpy()
    arrays = [np.asarray(part) for part in parts]
    try:
        if len({array.dtype.kind in "US" for array in arrays if array.dtype != object}) > 1:
            raise TypeError  # NumPy would make texts of the numbers
        names: Array = np.unique(np.concatenate(arrays))
    except TypeError:
        kinds = sorted({type(item).__name__ for array in arrays for item in array.tolist()[:1000]})
        raise InvalidValue(
            f"targets and predictions are of types that do not go together: {' and '.join(kinds)}; wanted one"
        ) from None
    return names


def _codes(values: Array, names: Array, what: str) -> Array:
    """Return the places of values among the names of the classes."""
    np = numpy()
    try:
        places: Array = np.minimum(np.searchsorted(names, values), len(names) - 1)
    except TypeError:
        raise InvalidValue(f"the {what}s are of another type than the classes {_shown(names)}") from None
    wrong = names[places] != values
    if wrong.any():
        row = int(np.argmax(wrong))
        raise InvalidValue(f"the {what} of row {row + 1} is {_plain(values[row])!r}: wanted one of {_shown(names)}")
    return places


def _is_probability(predicted: Array, truth: Array) -> bool:
    """Tell whether a classifier's answers are probabilities and no classes, as those of networks and boosters are."""
    np = numpy()
    if predicted.dtype.kind != "f" or not np.isfinite(predicted).all():
        return False
    within = bool((predicted >= 0).all() and (predicted <= 1).all())
    if predicted.ndim == 2:
        return within and bool(np.allclose(predicted.sum(axis=1), 1, atol=1e-3))
    return within and not np.isin(predicted, (0, 1)).all() and len(np.unique(truth)) <= 2


def _check_width(probabilities: Array, order: Array) -> None:
    if probabilities.shape[1] != len(order):
        raise InvalidValue(
            f"the model gives probabilities of {probabilities.shape[1]} classes, and {len(order)} are known: "
            f"{_shown(order)}; give all of them, in the model's order, as label_list"
        )


def _in_order(probabilities: Array, order: Array, names: Array) -> Array:
    """Return probabilities with a column for each name; a class that the model does not know gets none."""
    np = numpy()
    probabilities = np.asarray(probabilities)
    if probabilities.ndim == 1 and len(order) == 2:
        probabilities = np.column_stack([1 - probabilities, probabilities])
    _check_width(probabilities, order)
    columns = {_plain(name): place for place, name in enumerate(order)}
    none = np.zeros(len(probabilities), probabilities.dtype)
    found: Array = np.column_stack(
        [probabilities[:, columns[name]] if (name := _plain(each)) in columns else none for each in names]
    )
    return found


def _positive(names: Array, wanted: object | None) -> int | None:
    plain = [_plain(name) for name in names]
    if wanted is not None and wanted not in plain:
        raise InvalidValue(f"pos_label is {wanted!r}: wanted one of {_shown(names)}")
    if len(names) != 2:
        return None
    return 1 if wanted is None else plain.index(wanted)


def _floats(values: Array, what: str) -> Array:
    np = numpy()
    try:
        found: Array = np.asarray(values, dtype=float)
    except (TypeError, ValueError):
        found = np.array([_number(value) for value in values])
    if found.ndim != 1:
        raise InvalidValue(f"the {what}s have the shape {found.shape}: wanted one number a row")
    wrong = ~np.isfinite(found)
    if wrong.any():
        row = int(np.argmax(wrong))
        raise InvalidValue(f"the {what} of row {row + 1} is {_plain(values[row])!r}: wanted a finite number")
    return found


def _number(value: Any) -> float:  # noqa: ANN401 - whatever is in the data
    try:
        return float(value)
    except (TypeError, ValueError):
        return float("nan")


def _weights(weights: Array | None) -> Array | None:
    if weights is None:
        return None
    found = _floats(weights, "sample weight")
    if (found < 0).any() or not found.any():
        raise InvalidValue("the sample weights are negative or all zero: wanted at least one above zero, none below")
    return found


def _check_rows(truth: Array, predicted: Array, weights: Array | None) -> None:
    if not len(truth):
        raise InvalidValue("there are no rows to evaluate on")
    if predicted.ndim != 1:
        raise InvalidValue(f"the predictions have the shape {predicted.shape}: wanted one a row")
    if len(predicted) != len(truth):
        raise InvalidValue(f"there are {len(truth)} targets and {len(predicted)} predictions: wanted as many")
    if weights is not None and len(weights) != len(truth):
        raise InvalidValue(f"there are {len(truth)} rows and {len(weights)} sample weights: wanted as many")


def _check_complete(values: Array, what: str) -> None:
    if values.ndim != 1 or values.dtype.kind not in "fO":
        return
    missing = numpy().array([is_missing(value) for value in values]) if values.dtype == object else values != values
    if missing.any():
        raise InvalidValue(f"the {what} of row {int(numpy().argmax(missing)) + 1} is missing: wanted a class")


def _plain(value: Any) -> Any:  # noqa: ANN401 - whatever names a class
    """Return a value of NumPy's as Python's, by which classes can be looked up and shown."""
    np: Any = numpy()
    return value.item() if isinstance(value, np.generic) else value


def _shown(names: Any) -> str:  # noqa: ANN401 - an array or a list
    shown = [repr(_plain(name)) for name in names[:10]]
    return ", ".join(shown) + (f" and {len(names) - 10} more" if len(names) > 10 else "")


def plain_labels(names: np.ndarray[Any, Any]) -> list[Any]:
    """Return the names of classes as Python's own values."""
    return [_plain(name) for name in names]
