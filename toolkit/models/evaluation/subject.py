"""What is evaluated: a loaded model, a library's own, or a function; and how it is asked."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from toolkit.errors import InvalidValue, ModelFailed, ToolkitError
from toolkit.models.containers import is_array
from toolkit.models.evaluation.outcome import CLASSIFIER, REGRESSOR, numpy
from toolkit.models.loading import LoadedModel

if TYPE_CHECKING:
    from toolkit.models.evaluation.outcome import Array
    from toolkit.models.signature import Signature


@dataclass(frozen=True, kw_only=True, slots=True)
class Answers:
    """What a model said.

    Attributes:
        predicted: One value a row, or rows × classes.
        probabilities: Rows × classes, in the order of ``known``, where it tells them.
        known: The classes that it knows.
    """

    predicted: Array
    probabilities: Array | None = None
    known: Array | None = None


class Subject:
    """A model that is to be evaluated.

    Args:
        model: A loaded model, an object with ``predict``, or a function of the data.

    Raises:
        InvalidValue: It is nothing of that.
    """

    def __init__(self, model: object) -> None:
        if isinstance(model, LoadedModel):
            self._native = model.native
        elif callable(getattr(model, "predict", None)) or callable(model):
            self._native = model
        else:
            raise InvalidValue(
                f"{type(model).__name__} is no model: wanted a URI, a loaded model, something with predict, a function"
            )
        self._model = model

    @property
    def model_id(self) -> str | None:
        """Its id as a logged model, where it is one."""
        return self._model.metadata.model_id if isinstance(self._model, LoadedModel) else None

    @property
    def model_type(self) -> str | None:
        """What it says that it is: ``classifier``, ``regressor``, or nothing."""
        said = getattr(self._native, "_estimator_type", None) or _tagged_type(self._native)
        if said in (CLASSIFIER, REGRESSOR):
            return str(said)
        return CLASSIFIER if hasattr(self._native, "classes_") or hasattr(self._native, "predict_proba") else None

    def answers(self, data: object, params: Mapping[str, object] | None, *, classify: bool) -> Answers:
        """Return what it says of data.

        Args:
            data: The rows, without their targets.
            params: What else ``predict`` is given.
            classify: Whether probabilities are wanted, too.

        Raises:
            InvalidValue: The data do not fit it.
            ModelFailed: It raised an error of its own.
        """
        predicted = as_array(self._predicted(data, params))
        ask = getattr(self._native, "predict_proba", None)
        known = getattr(self._native, "classes_", None)
        if not classify or not callable(ask):
            return Answers(predicted=predicted, known=_plain_classes(known))
        try:
            probabilities = as_array(_asked(ask, self._enforced(data)))
        except ModelFailed as error:
            if isinstance(error.__cause__, AttributeError | NotImplementedError):  # ways of saying that it cannot
                return Answers(predicted=predicted, known=_plain_classes(known))
            raise
        if predicted.ndim == 2 and predicted.shape[1] > 1:  # it was saved to predict by predict_proba
            return Answers(predicted=predicted, known=_plain_classes(known))
        return Answers(predicted=predicted, probabilities=probabilities, known=_plain_classes(known))

    def score(self, data: object, truth: Array, weights: Array | None, metrics: Mapping[str, float]) -> float | None:
        """Return what its own ``score`` says, as scikit-learn's have one; ``None`` where it has none."""
        kind = next((each for each in type(self._native).__mro__ if "score" in vars(each)), None)
        if kind is None or not type(self._native).__module__.startswith("sklearn."):
            return None
        known = {"ClassifierMixin": "accuracy_score", "RegressorMixin": "r2_score"}.get(kind.__name__)
        if known is not None:  # it would ask the model once more
            return metrics.get(known)
        options = {} if weights is None else {"sample_weight": weights}
        try:
            return float(self._native.score(self._enforced(data), truth, **options))
        except (TypeError, ValueError):  # not every search or pipeline takes weights, or these targets
            return None

    def _predicted(self, data: object, params: Mapping[str, object] | None) -> Any:  # noqa: ANN401 - of any library
        if isinstance(self._model, LoadedModel):
            return _asked(self._model.predict, self._known_columns(data), dict(params) if params else None)
        predict: Callable[..., Any] = getattr(self._model, "predict", None) or self._model  # type: ignore[assignment]
        return _asked(predict, self._known_columns(data), **(params or {}))

    def _known_columns(self, data: Any) -> Any:  # noqa: ANN401 - a table or an array
        """Return the columns that the model is known to take, where they are there: others may be around it."""
        if is_array(data):
            return data
        signature = self._signature
        if signature is not None and signature.inputs is not None:
            names = signature.inputs.input_names() if signature.inputs.has_input_names() else []
            return data[[name for name in names if name in data.columns]] if names else data
        seen = getattr(self._native, "feature_names_in_", None)
        wanted = [] if seen is None or callable(seen) else list(seen)
        return data[wanted] if wanted and set(wanted) <= set(data.columns) else data

    @property
    def _signature(self) -> Signature | None:
        return self._model.metadata.signature if isinstance(self._model, LoadedModel) else None

    def _enforced(self, data: Any) -> Any:  # noqa: ANN401 - what the model takes
        """Return data as the model's predict gets them: by its signature, where it has one."""
        from toolkit.models.enforcement import enforce  # noqa: PLC0415 - with models that have a signature

        return enforce(self._known_columns(data), self._signature)


def _asked(ask: Callable[..., Any], *data: Any, **params: object) -> Any:  # noqa: ANN401 - of any library
    """Return what a model says.

    Raises:
        ModelFailed: It raised an error of its own.
    """
    try:
        return ask(*data, **params)
    except ToolkitError:
        raise
    except Exception as error:  # a model raises what it likes
        told = str(error).strip().partition("\n")[0]
        raise ModelFailed(f"the model failed: {type(error).__name__}: {told}") from error


def as_array(answer: Any) -> Array:  # noqa: ANN401 - of any library
    """Return predictions as an array: of a frame, a series, a tensor, a list, a dict with one entry.

    Raises:
        InvalidValue: It is a dict or frame of several things.
    """
    np = numpy()
    if isinstance(answer, dict):
        if len(answer) != 1:
            raise InvalidValue(f"the model gives {', '.join(map(str, answer))}: wanted one prediction a row")
        answer = next(iter(answer.values()))
    if callable(getattr(answer, "detach", None)):  # a tensor of torch
        answer = answer.detach().cpu()
    if callable(getattr(answer, "toarray", None)):  # a sparse matrix
        answer = answer.toarray()
    to_numpy = getattr(answer, "to_numpy", None)
    return plain(np.asarray(to_numpy() if callable(to_numpy) else answer))


def plain(values: Array) -> Array:
    """Return an array whose texts, numbers or booleans are of NumPy's types where they were objects of one kind."""
    np = numpy()
    if values.dtype != object or values.ndim != 1:
        return values
    kinds = {type(value) for value in values}
    if kinds <= {str}:
        return values.astype(str)
    if kinds and (kinds <= {int, float} or kinds == {bool} or all(issubclass(kind, np.generic) for kind in kinds)):
        found: Array = np.array(values.tolist())
        return found
    return values


def _plain_classes(known: Any) -> Array | None:  # noqa: ANN401 - what a library has there
    if known is None or callable(known):
        return None
    found = plain(numpy().asarray(known))
    return found if found.ndim == 1 else None


def _tagged_type(native: object) -> str | None:
    """Return what scikit-learn's tags of an estimator say, which have taken the place of its attribute."""
    ask = getattr(native, "__sklearn_tags__", None)
    if not callable(ask):
        return None
    try:
        return getattr(ask(), "estimator_type", None)
    except Exception:  # noqa: BLE001 - an estimator that is older than its library
        return None
