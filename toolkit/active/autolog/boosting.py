"""What the autologs of XGBoost and LightGBM share: arguments, curves of iterations, early stopping, importance, data.

Both have a function ``train`` that gives a booster, and estimators whose ``fit`` calls it: then the booster's curves
and the estimator are of one training.
"""

from __future__ import annotations

import inspect
import json
import weakref
from abc import abstractmethod
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any, ClassVar, TypeVar

from toolkit.active.autolog import nesting, pictures, sklearn_after
from toolkit.active.autolog.options import Options
from toolkit.active.autolog.rows import dataset_of, first_rows
from toolkit.active.autolog.sklearn_after import EstimatorIntegration
from toolkit.active.autolog.trained import log_trained
from toolkit.active.autolog.training import Training

O = TypeVar("O", bound=Options)  # noqa: E741 - the options of an integration

Call = Callable[..., Any]


@dataclass(kw_only=True)
class Rows:
    """What a matrix of the library was made from; the library does not give it back.

    Attributes:
        example: Its first rows.
        features: The rows, as long as somebody holds them.
        targets: The labels, likewise.
    """

    example: Any = None
    features: Callable[[], Any] = lambda: None
    targets: Callable[[], Any] = lambda: None


@dataclass(kw_only=True)
class Curve:
    """The metrics of a training's iterations, logged as they come.

    Attributes:
        training: What they are logged to.
        results: The metrics of each iteration.
    """

    training: Training
    results: list[tuple[int, dict[str, float]]] = field(default_factory=list)

    def add(self, iteration: int, metrics: Mapping[str, float]) -> None:
        """Log the metrics of one iteration; raises nothing."""
        named = {name.replace("@", "_at_"): value for name, value in metrics.items()}
        self.results.append((iteration, named))
        with self.training.attempt("the metrics of an iteration are not logged"):
            self.training.log_metrics(named, step=iteration)

    def of(self, iteration: int) -> dict[str, float]:
        """Return the metrics of an iteration."""
        return dict(self.results).get(iteration, {})


class BoostingIntegration(EstimatorIntegration[O]):
    """Watches a library of boosted trees.

    Attributes:
        estimators: Name of the module with its estimators.
        matrices: Classes that hold its data.
        unlogged: Arguments of ``train`` that are no parameters.
        train_set: Name of the argument of ``train`` with the data to train on.
    """

    estimators: ClassVar[str]
    matrices: ClassVar[tuple[str, ...]]
    unlogged: ClassVar[tuple[str, ...]]
    train_set: ClassVar[str]

    def __init__(self) -> None:
        super().__init__()
        self._rows: weakref.WeakKeyDictionary[Any, Rows] = weakref.WeakKeyDictionary()

    def patch(self, module: ModuleType) -> None:
        """Replace ``train``, the methods of estimators, and what makes matrices."""
        name = module.__name__
        if name in (self.modules[0], self.estimators):
            self.replace(module, "train", self._training)
        if name == self.estimators:
            for each in list(vars(module).values()):
                if isinstance(each, type) and each.__module__ == name:
                    self._patch_estimator(each)
        for matrix in self.matrices:
            kind = vars(module).get(matrix)
            if isinstance(kind, type) and kind.__module__ == name:
                self.replace(kind, "__init__", self._making)

    def _patch_estimator(self, kind: type) -> None:
        self.replace(kind, "fit", self._fitting)
        self.patch_measures(kind)

    @abstractmethod
    def callback(self, curve: Curve) -> Any:  # noqa: ANN401 - the library's
        """Return what the library calls after each iteration, to add to a curve."""

    @abstractmethod
    def evaluated(self, given: Mapping[str, Any]) -> Iterable[tuple[Any, str | None]]:
        """Return the matrices that a training is tested on, with their names, from the arguments of ``train``."""

    @abstractmethod
    def stopping(self, booster: Any, curve: Curve) -> tuple[dict[str, float], int] | None:  # noqa: ANN401 - the library's
        """Return the metrics of an early stop, and the best iteration; ``None`` if there was none."""

    @abstractmethod
    def importance(self, booster: Any) -> Mapping[str, Mapping[str, Any]]:  # noqa: ANN401 - the library's
        """Return how much each feature matters, by kind of importance."""

    @abstractmethod
    def predict(self, model: Any, rows: Any) -> Any:  # noqa: ANN401 - the library's
        """Return what a model says of rows."""

    @abstractmethod
    def data_of(self, matrix: Any) -> Any:  # noqa: ANN401 - the library's
        """Return the rows of a matrix, where nobody else holds them; ``None`` if they cannot be had at a low cost."""

    def saving(self) -> Mapping[str, object]:
        """Return the flavor's own arguments for a model."""
        return {}

    def _making(self, original: Call, matrix: object, *args: Any, **kwargs: Any) -> Any:  # noqa: ANN401 - of any kind
        result = original(matrix, *args, **kwargs)
        try:
            data = args[0] if args else kwargs.get("data")
            label = args[1] if len(args) > 1 else kwargs.get("label")
            self._rows[matrix] = Rows(example=first_rows(data), features=_held(data), targets=_held(label))
        except Exception:  # noqa: BLE001 - the data are as the library takes them; then there is no example
            self._rows.pop(matrix, None)
        return result

    def _training(self, original: Call, *args: Any, **kwargs: Any) -> Any:  # noqa: ANN401 - a booster
        here = nesting.inside()
        if isinstance(here, Training) and here.delegate == self.flavor:
            here.delegate = None
            return self._train(here, original, args, kwargs)
        training = self.begin()
        if training is None:
            return original(*args, **kwargs)
        with training:
            booster = self._train(training, original, args, kwargs)
            with training.attempt("the model is not logged"):
                matrix = _named(original, args, kwargs).get(self.train_set)
                self._log_model(training, booster, self._rows_of(matrix).example)
        return booster

    def _fitting(self, original: Call, estimator: Any, *args: Any, **kwargs: Any) -> Any:  # noqa: ANN401 - an estimator
        training = self.begin()
        if training is None:
            return original(estimator, *args, **kwargs)
        with training:
            example = None
            with training.attempt("there is no example of the training data"):
                example = first_rows(args[0] if args else kwargs.get("X"))
            training.delegate = self.flavor
            result = original(estimator, *args, **kwargs)
            with training.attempt("the model is not logged"):
                self._log_model(training, estimator, example)
            with training.attempt("what is measured of the model later is not logged"):
                sklearn_after.remember(training, estimator)
        return result

    def _train(self, training: Training, original: Call, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:  # noqa: ANN401 - a booster
        """Train, and log all but the model."""
        given = _named(original, args, kwargs)
        with training.attempt("the parameters are not logged"):
            training.log_params(self._params(original, given))
        if training.options.log_datasets:
            with training.attempt("the data are no inputs of the run"):
                self._log_datasets(training, given)
        curve = Curve(training=training)
        with training.attempt("the metrics of iterations are not logged"):
            callbacks = [*(given.get("callbacks") or ()), self.callback(curve)]
            args, kwargs = _with(original, args, kwargs, "callbacks", callbacks)
        booster = original(*args, **kwargs)
        with training.attempt("the early stop is not logged"):
            self._log_stop(training, booster, curve)
        with training.attempt("the importance of features is not logged"), training.files() as folder:
            for kind, importance in self.importance(booster).items():
                _write_importance(folder, kind, importance)
        return booster

    def _params(self, original: Call, given: Mapping[str, Any]) -> dict[str, object]:
        told = {name: each.default for name, each in inspect.signature(original).parameters.items()} | dict(given)
        return {name: value for name, value in told.items() if name not in self.unlogged} | dict(given["params"] or {})

    def _log_datasets(self, training: Training, given: Mapping[str, Any]) -> None:
        sets = [(given.get(self.train_set), None, "train"), *((*each, "eval") for each in self.evaluated(given))]
        for matrix, name, context in sets:
            rows = self._rows_of(matrix)
            features = rows.features()
            dataset = dataset_of(self.data_of(matrix) if features is None else features, rows.targets(), name)
            if dataset is not None:
                training.log_dataset(dataset, context)

    def _log_stop(self, training: Training, booster: object, curve: Curve) -> None:
        stopped = self.stopping(booster, curve)
        if stopped is not None:
            metrics, best = stopped
            training.log_metrics(metrics)
            training.log_metrics(curve.of(best), step=len(curve.results))

    def _rows_of(self, matrix: object) -> Rows:
        """Return what a matrix was made from; nothing of one that was made before it was watched."""
        try:
            return self._rows.get(matrix) or Rows()
        except TypeError:
            return Rows()  # it is no matrix

    def _log_model(self, training: Training, model: object, example: Any) -> None:  # noqa: ANN401 - the user's data
        log_trained(
            training,
            model,
            flavor=self.flavor,
            example=example,
            predict=lambda rows: self.predict(model, rows),
            options=self.saving(),
        )


def _named(original: Call, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> dict[str, Any]:
    """Return the arguments of a call by their names, also those that may be given by place no more."""
    return {**dict(zip(inspect.signature(original).parameters, args, strict=False)), **kwargs}


def _with(
    original: Call, args: tuple[Any, ...], kwargs: dict[str, Any], name: str, value: object
) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Return the arguments of a call with another value for one of them."""
    place = list(inspect.signature(original).parameters).index(name)
    if place < len(args):
        return (*args[:place], value, *args[place + 1 :]), kwargs
    return args, {**kwargs, name: value}


def _held(data: Any) -> Callable[[], Any]:  # noqa: ANN401 - the user's data
    """Return data when called, as long as somebody else holds them."""
    try:
        return weakref.ref(data)
    except TypeError:
        return lambda: None


def _write_importance(folder: Path, kind: str, importance: Mapping[str, Any]) -> None:
    (folder / f"feature_importance_{kind}.json").write_text(json.dumps(importance, indent=2), encoding="utf-8")
    if importance and pictures.can_draw():
        pictures.draw_importance(folder / f"feature_importance_{kind}.png", importance, kind)
