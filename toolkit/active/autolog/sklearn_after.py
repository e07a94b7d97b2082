"""What a script measures of a scikit-learn model after its training: scores, and metrics of its predictions.

``f1_score(y_test, model.predict(X_test))`` becomes the metric ``f1_score_X_test`` of the run that the model was trained
in. Only ids of models and predictions are kept here, and they go when these do.
"""

from __future__ import annotations

import itertools
import sys
import threading
import weakref
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import FrameType, ModuleType
from typing import Any, TypeVar

from toolkit.active.autolog import hook, nesting
from toolkit.active.autolog.integration import Integration
from toolkit.active.autolog.options import Options
from toolkit.active.autolog.patches import Patches
from toolkit.active.autolog.rows import dataset_of
from toolkit.active.autolog.training import Training, warn
from toolkit.data.input import recorded
from toolkit.recording.run import RecordedRun

O = TypeVar("O", bound=Options)  # noqa: E741 - the options of an integration

Call = Callable[..., Any]

UNKNOWN = "unknown_dataset"

_MOST_DATASETS = 10
"""So many datasets that a model has seen are noted: one that serves would note each request."""

_MOST_CALLS = 1_000
"""So many metrics of one run are logged after its training."""

_FOREIGN = ("toolkit.active.autolog.", "sklearn.", "xgboost.", "lightgbm.")


_PREDICTS = ("predict", "predict_proba", "predict_log_proba", "transform")
_NO_METRICS = {"check_scoring", "get_scorer", "make_scorer", "get_scorer_names"}


class EstimatorIntegration(Integration[O]):
    """Watches a library with estimators: what is measured of them after their training, too."""

    def enable(self, options: O) -> None:
        """Watch the library, and the metrics of scikit-learn."""
        super().enable(options)
        MEASURES.watch_for(self.flavor)

    def enable_as_all(self, options: Options) -> None:
        """Watch the library as all are, and the metrics of scikit-learn."""
        super().enable_as_all(options)
        MEASURES.watch_for(self.flavor)

    def disable(self) -> None:
        """Watch no longer."""
        super().disable()
        MEASURES.forget_for(self.flavor)

    def patch_measures(self, kind: type) -> None:
        """Replace the methods of an estimator that predict and score."""
        for method in _PREDICTS:
            self.replace(kind, method, predicting)
        self.replace(kind, "score", scoring)


class Measures:
    """Watches the metrics of scikit-learn and the scores of its mixins, as long as one library's estimators are."""

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._patches = Patches()
        self._wanted_for: set[str] = set()

    def watch_for(self, flavor: str) -> None:
        """Watch them for a library."""
        with self._lock:
            self._wanted_for.add(flavor)
        hook.watch(self)

    def forget_for(self, flavor: str) -> None:
        """Watch them for a library no longer, and for none if it was the last."""
        with self._lock:
            self._wanted_for.discard(flavor)
            if not self._wanted_for:
                hook.forget(self)
                self._patches.undo()

    def is_wanted(self, flavor: str) -> bool:
        """Tell whether what is measured of a library's models is logged."""
        return flavor in self._wanted_for

    def watches(self, module: str) -> bool:
        """Tell whether a module has metrics or mixins."""
        return module in ("sklearn.metrics", "sklearn.base")

    def imported(self, module: ModuleType) -> None:
        """Replace them."""
        with self._lock:
            if not self._wanted_for:
                return
            if module.__name__ == "sklearn.metrics":
                for metric in sorted(set(vars(module).get("__all__", ())) - _NO_METRICS):
                    self._patches.replace(module, metric, measuring)
            for mixin in ("ClassifierMixin", "RegressorMixin") if module.__name__ == "sklearn.base" else ():
                if mixin in vars(module):
                    self._patches.replace(vars(module)[mixin], "score", scoring)


MEASURES = Measures()


@dataclass(kw_only=True)
class _Measured:
    """A run whose model is measured.

    Attributes:
        flavor: The library.
        options: How its training was logged.
        run: The run.
        datasets: Of each variable's name the ids of the data that went by it.
        calls: Of each metric the calls, as code, by the metric's key.
    """

    flavor: str
    options: Options
    run: RecordedRun
    datasets: dict[str, list[int]] = field(default_factory=dict)
    calls: dict[str, dict[str, str]] = field(default_factory=dict)
    noted: int = 0
    lock: threading.RLock = field(default_factory=threading.RLock)


_lock = threading.Lock()
_models: dict[int, _Measured] = {}
_predictions: dict[int, tuple[str, _Measured]] = {}


def remember(training: Training, model: object) -> None:
    """Log what is measured of a model from now on into the run that it was trained in."""
    measured = _Measured(flavor=training.flavor, options=training.options, run=training.run)
    with _lock:
        _models[id(model)] = measured
    weakref.finalize(model, _models.pop, id(model), None)


def predicting(original: Call, model: object, *args: object, **kwargs: object) -> Any:  # noqa: ANN401 - predictions
    """Let a model predict, and keep in mind on what."""
    measured = _models.get(id(model))
    if measured is None or not MEASURES.is_wanted(measured.flavor) or nesting.inside() is not None:
        return original(model, *args, **kwargs)
    with nesting.entered(measured):
        said = original(model, *args, **kwargs)
        try:
            _note_prediction(measured, _first(args, kwargs), said)
        except Exception as error:  # noqa: BLE001 - a prediction must not fail for what watches it
            _tell(measured, error)
    return said


def scoring(original: Call, model: object, *args: object, **kwargs: object) -> Any:  # noqa: ANN401 - a score
    """Let a model score itself, and log that."""
    measured = _models.get(id(model))
    if measured is None or not MEASURES.is_wanted(measured.flavor) or nesting.inside() is not None:
        return original(model, *args, **kwargs)
    with nesting.entered(measured):
        value = original(model, *args, **kwargs)
        try:
            if _is_number(value):
                name = type(model).__name__
                rows = _first(args, kwargs)
                call = _as_code(f"{name}.score", args, kwargs)
                _log_metric(measured, f"{name}_score", _dataset_name(measured, rows), call, value)
        except Exception as error:  # noqa: BLE001 - a score must not fail for what watches it
            _tell(measured, error)
    return value


def measuring(original: Call, *args: object, **kwargs: object) -> Any:  # noqa: ANN401 - what is measured
    """Compute a metric, and log it if it is one of predictions that are known."""
    if not _predictions or nesting.inside() is not None:
        return original(*args, **kwargs)
    found = next((_predictions[id(each)] for each in (*args, *kwargs.values()) if id(each) in _predictions), None)
    if found is None or not MEASURES.is_wanted(found[1].flavor):
        return original(*args, **kwargs)
    dataset, measured = found
    with nesting.entered(measured):
        value = original(*args, **kwargs)
        try:
            if _is_number(value):
                _log_metric(measured, original.__name__, dataset, _as_code(original.__name__, args, kwargs), value)
        except Exception as error:  # noqa: BLE001 - a metric must not fail for what watches it
            _tell(measured, error)
    return value


def _note_prediction(measured: _Measured, rows: object, said: object) -> None:
    if measured.options.log_datasets and measured.noted < _MOST_DATASETS:
        measured.noted += 1
        dataset = dataset_of(rows)
        if dataset is not None:
            measured.run.log_inputs([recorded(dataset, context="eval")])
    try:
        weakref.finalize(said, _predictions.pop, id(said), None)
    except TypeError:
        return  # such as a list: nobody tells when it goes, and its id becomes another's
    _predictions[id(said)] = (_dataset_name(measured, rows), measured)


def _log_metric(measured: _Measured, metric: str, dataset: str, call: str, value: Any) -> None:  # noqa: ANN401 - a number
    with measured.lock:
        calls = measured.calls.setdefault(metric, {})
        if sum(map(len, measured.calls.values())) >= _MOST_CALLS:
            return
        key = f"{_numbered(metric, len(calls))}_{dataset}"
        calls[key] = call
        measured.run.log_metrics({key: float(value)})
        every = dict(itertools.chain.from_iterable(each.items() for each in measured.calls.values()))
        measured.run.log_json(dict(sorted(every.items())), "metric_info.json")


def _dataset_name(measured: _Measured, rows: object) -> str:
    """Return the name of the variable that holds data; of further data by the same name a number, too."""
    name = _variable(rows) or UNKNOWN
    with measured.lock:
        known = measured.datasets.setdefault(name, [])
        if id(rows) not in known:
            known.append(id(rows))
        return _numbered(name, known.index(id(rows)))


def _variable(value: object) -> str | None:
    """Return the name by which the caller's caller… knows a value: the outermost one to which it was no argument."""
    found = None
    frame: FrameType | None = sys._getframe(1)
    while frame is not None:
        if not frame.f_globals.get("__name__", "").startswith(_FOREIGN):
            code = frame.f_code
            many = bool(code.co_flags & 0x04) + bool(code.co_flags & 0x08)  # *args, **kwargs
            arguments = set(code.co_varnames[: code.co_argcount + code.co_kwonlyargcount + many])
            names = [name for name, here in list(frame.f_locals.items()) if here is value]
            if not names:
                return found or _global(frame, value)
            found = names[0]
            if not arguments.issuperset(names):
                return next(name for name in names if name not in arguments)
        frame = frame.f_back
    return found


def _global(frame: FrameType, value: object) -> str | None:
    """Return the name by which a function takes a value from its module."""
    return next((name for name in frame.f_code.co_names if frame.f_globals.get(name) is value), None)


def _as_code(name: str, args: tuple[object, ...], kwargs: Mapping[str, object]) -> str:
    """Return a call as a script has it, about."""
    told = [_argument(each) for each in args] + [f"{key}={_argument(each)}" for key, each in kwargs.items()]
    return f"{name}({', '.join(told)})"


def _argument(value: object) -> str:
    if value is None or isinstance(value, str | int | float | bool):
        text = repr(value)
        return text if len(text) <= 40 else text[:37] + "..."
    return _variable(value) or f"<{type(value).__name__}>"


def _first(args: tuple[object, ...], kwargs: Mapping[str, object]) -> object:
    return args[0] if args else next(iter(kwargs.values()), None)


def _is_number(value: object) -> bool:
    if isinstance(value, int | float):
        return not isinstance(value, bool)
    return type(value).__module__ == "numpy" and getattr(value, "ndim", 1) == 0 and hasattr(value, "__float__")


def _numbered(name: str, number: int) -> str:
    return name if number == 0 else f"{name}-{number + 1}"


def _tell(measured: _Measured, error: Exception) -> None:
    warn(measured.flavor, "a metric after the training is not logged", error, silent=measured.options.silent)
