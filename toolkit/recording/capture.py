"""What a function was given and gave back, as parameters, metrics and artifacts.

Kinds are told by type, without importing the library that a type comes from. A name in the return annotation wins:
``Annotated[float, "rmse"]``.
"""

from __future__ import annotations

import dataclasses
import inspect
import json
import logging
import re
import tempfile
from collections.abc import Callable, Mapping
from numbers import Number
from pathlib import Path, PurePath
from types import SimpleNamespace
from typing import Annotated, get_args, get_origin, get_type_hints

from toolkit.recording.run import PARAM_LIMIT, RecordedRun

logger = logging.getLogger(__name__)

LogModel = Callable[[RecordedRun, str, object], bool]

_NOT_IN_NAMES = re.compile(r"[^\w\-. :/]")  # what the stores refuse in a key, such as the brackets of <lambda>
_PLAIN = (str, int, float, bool, type(None))


def argument_params(
    function: Callable[..., object], args: tuple[object, ...], kwargs: dict[str, object]
) -> dict[str, str]:
    """Return a function's arguments, defaults included, as parameters.

    Large values are described (``<DataFrame 178x13>``) instead of written out.
    """
    bound = inspect.signature(function).bind(*args, **kwargs)
    bound.apply_defaults()
    return {name: _describe(value) for name, value in bound.arguments.items() if name not in ("self", "cls")}


def _describe(value: object) -> str:
    if isinstance(value, (*_PLAIN, PurePath)):
        return str(value)[:PARAM_LIMIT]
    if isinstance(value, Number):
        return str(value)
    if isinstance(value, list | tuple | dict | set):
        try:
            text = json.dumps(sorted(value, key=str) if isinstance(value, set) else value)
        except (TypeError, ValueError):
            return f"<{type(value).__name__} of {len(value)}>"
        return text if len(text) <= 500 else f"<{type(value).__name__} of {len(value)}>"
    shape = getattr(value, "shape", None)
    size = " " + "x".join(str(part) for part in shape) if isinstance(shape, tuple) else ""
    return f"<{type(value).__name__}{size}>"


def log_result(
    run: RecordedRun, function: Callable[..., object], result: object, log_model: LogModel | None = None
) -> None:
    """Log what a function returned: numbers as metrics, figures, frames and paths as artifacts, models as models.

    Args:
        run: The run.
        function: The function.
        result: What it returned.
        log_model: Logs what is a model, and says whether it was one.
    """
    for name, value in _named_parts(function, result):
        try:
            clean = _NOT_IN_NAMES.sub("_", name)
            if not (log_model is not None and _may_be_model(value) and log_model(run, clean, value)):
                _log_value(run, clean, value)
        except Exception as error:  # noqa: BLE001 - the function did its work: its result must not be lost over this
            logger.warning("what %s returned as %r was not logged: %s", function.__name__, name, error)


def _named_parts(function: Callable[..., object], result: object) -> list[tuple[str, object]]:
    """Return the parts of a result with their names."""
    annotation = _return_annotation(function)
    name = _annotated_name(annotation)
    if isinstance(result, tuple) and not name:
        wanted = get_args(annotation) if get_origin(annotation) is tuple else ()
        fields = getattr(type(result), "_fields", None) or [None] * len(result)
        return [
            (
                fields[i] or _annotated_name(wanted[i] if i < len(wanted) else None) or f"{function.__name__}.{i}",
                part,
            )
            for i, part in enumerate(result)
        ]
    if isinstance(result, Mapping) and not name and all(isinstance(key, str) for key in result):
        return list(result.items())
    if dataclasses.is_dataclass(result) and not isinstance(result, type) and not name:
        return [(item.name, getattr(result, item.name)) for item in dataclasses.fields(result)]
    return [(name or function.__name__, result)]


def _return_annotation(function: Callable[..., object]) -> object:
    """Return the evaluated annotation of the result alone: those of the arguments need not be readable."""
    plain = inspect.unwrap(function)
    alone = SimpleNamespace(__annotations__={"return": getattr(plain, "__annotations__", {}).get("return")})
    try:
        return get_type_hints(alone, getattr(plain, "__globals__", {}), include_extras=True).get("return")
    except (NameError, TypeError, AttributeError):  # an annotation that only a type checker can read
        return None


def _annotated_name(annotation: object) -> str | None:
    if get_origin(annotation) is Annotated:
        return next((extra for extra in get_args(annotation)[1:] if isinstance(extra, str)), None)
    return None


def _log_value(run: RecordedRun, name: str, value: object) -> None:
    if isinstance(value, bool) or value is None or isinstance(value, str):
        return
    if isinstance(value, Path):
        if value.exists():
            run.log_path(value, value.name)
    elif _is_number(value):
        run.log_metrics({name: value})  # type: ignore[dict-item]  # _is_number looked
    elif _is_figure(value):
        _log_saved(run, f"{name}.png", value.savefig)  # type: ignore[attr-defined]  # _is_figure looked
    elif _is_frame(value):
        _log_frame(run, name, value)
    elif _is_estimator(value):
        parameters = {key: repr(part) for key, part in value.get_params(deep=False).items()}  # type: ignore[attr-defined]
        kind = f"{type(value).__module__}.{type(value).__qualname__}"
        run.log_json({"class": kind, "parameters": parameters}, f"{name}.estimator.json")


def _may_be_model(value: object) -> bool:
    """Tell whether it is worth asking: what most functions return is plain, or a table or an array."""
    module = type(value).__module__.partition(".")[0]
    return module not in ("builtins", "numpy", "pandas", "polars", "pathlib", "matplotlib", "datetime", "decimal")


def _is_number(value: object) -> bool:
    return (isinstance(value, Number) and hasattr(value, "__float__")) or getattr(value, "shape", None) == ()


def _is_figure(value: object) -> bool:
    return hasattr(value, "savefig") and type(value).__module__.startswith("matplotlib")


def _is_frame(value: object) -> bool:
    return type(value).__module__.split(".")[0] in ("pandas", "polars") and type(value).__name__ == "DataFrame"


def _is_estimator(value: object) -> bool:
    return hasattr(value, "get_params") and hasattr(value, "fit") and not isinstance(value, type)


def _log_frame(run: RecordedRun, name: str, frame: object) -> None:
    write = getattr(frame, "to_csv", None) or getattr(frame, "write_csv")  # noqa: B009 - pandas has one, polars the other
    _log_saved(run, f"{name}.csv", write)


def _log_saved(run: RecordedRun, path: str, save: Callable[[str], object]) -> None:
    """Let a library save to a temporary file, and log that."""
    with tempfile.TemporaryDirectory(prefix="toolkit-") as folder:
        target = Path(folder) / PurePath(path).name
        save(str(target))
        run.log_file(target, path)
