"""The functions of expressions, and the limit on the size of what they make."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from typing import TypeVar

from toolkit.spec.formula import Flaw
from toolkit.spec.scope import OutputRef, RunFacts, StepResult
from toolkit.spec.suggestion import listing

MAX_SIZE = 100_000
"""Items and characters of one value, all its inner values counted."""

MAX_BITS = 4096
"""Bits of one whole number."""

_MAX_DIGITS = 100
_LOST = frozenset({"FAILED", "KILLED"})
_KINDS: tuple[tuple[type | tuple[type, ...], str], ...] = (
    (bool, "true or false"),
    ((int, float), "a number"),
    (str, "a text"),
    (StepResult, "the result of a step"),
    (OutputRef, "an output"),
    (RunFacts, "the run"),
    (Mapping, "a mapping"),
    ((list, tuple), "a list"),
    (type(None), "nothing"),
)
_Number = TypeVar("_Number", int, float)


class Each(tuple[object, ...]):
    """The same thing of each child of a fan-out: a tuple whose attributes are those of its items."""

    __slots__ = ()


def describe(value: object) -> str:
    """Return what kind of thing a value is, for a message."""
    return next((name for kind, name in _KINDS if isinstance(value, kind)), type(value).__name__)


def weight(value: object, budget: int = MAX_SIZE) -> int:
    """Return the size of a value; stops counting where it is over the budget."""
    if isinstance(value, str):
        return 1 + len(value)
    if isinstance(value, int):
        return 1 + value.bit_length() // 64
    if isinstance(value, Mapping):
        value = [*value.keys(), *value.values()]
    if not isinstance(value, list | tuple):
        return 1
    total = 1
    for item in value:
        total += weight(item, budget - total)
        if total > budget:
            break
    return total


def check_size(value: object, *, extra: int = 0) -> object:
    """Return a value that is not too large.

    Raises:
        Flaw: It is.
    """
    if isinstance(value, int) and value.bit_length() > MAX_BITS:
        raise Flaw("the number is too large")
    if extra > MAX_SIZE or (isinstance(value, str | list | dict) and weight(value) > MAX_SIZE):
        raise Flaw(f"the result is larger than {MAX_SIZE:,} items and characters")
    return value


def best(results: object, metric: object, mode: object) -> StepResult:
    """Return the result with the best value of a metric; the first one of equals, and never NaN.

    Args:
        results: A step, or a list of them. Failed and stopped ones are passed over.
        metric: Name of the metric.
        mode: ``min`` or ``max``.

    Raises:
        Flaw: No result has that metric, or an argument is wrong.
    """
    if mode not in {"min", "max"}:
        raise Flaw(f"best() wants 'min' or 'max' as its third argument, not {mode!r}")
    if not isinstance(metric, str):
        raise Flaw("best() wants a metric's name as its second argument")
    candidates = [result for result in _results(results) if result.status not in _LOST]
    if not candidates:
        raise Flaw("best() has nothing to choose from: no step has finished")
    found = [result for result in candidates if not math.isnan(result.metrics.get(metric, math.nan))]
    if not found:
        raise Flaw(_no_metric(metric, candidates))
    choose = min if mode == "min" else max
    return choose(found, key=lambda result: result.metrics[metric])


def _no_metric(metric: str, candidates: list[StepResult]) -> str:
    names = listing(dict.fromkeys(result.name for result in candidates))
    if any(metric in result.metrics for result in candidates):
        return f"metric {metric!r} of {names} is NaN everywhere: there is no best one"
    known = sorted({name for result in candidates for name in result.metrics})
    return f"{names} logged no metric {metric!r}; " + (f"there are {listing(known)}" if known else "it logged none")


def _results(value: object) -> list[StepResult]:
    if isinstance(value, StepResult):
        return [value]
    if isinstance(value, list | tuple):
        return [result for item in value for result in _results(item)]
    raise Flaw(f"best() wants a step as its first argument, not {describe(value)}")


def _listed(value: object, function: str) -> list[object]:
    if isinstance(value, list | tuple):
        return list(value)
    if isinstance(value, Mapping):
        return list(value)
    raise Flaw(f"{function}() wants a list, not {describe(value)}")


def _number(value: object, function: str) -> float:
    if isinstance(value, int | float):
        return value
    raise Flaw(f"{function}() wants a number, not {describe(value)}")


def _whole(value: object, function: str) -> int:
    if isinstance(value, int):
        return value
    raise Flaw(f"{function}() wants a whole number, not {describe(value)}")


def _arguments(values: tuple[object, ...], function: str) -> list[object]:
    """Return what ``min(a, b)`` or ``min([a, b])`` is about."""
    items = _listed(values[0], function) if len(values) == 1 else list(values)
    if not items:
        raise Flaw(f"{function}() of an empty list")
    return items


def _length(value: object) -> int:
    if isinstance(value, str | list | tuple | Mapping):
        return len(value)
    raise Flaw(f"len() wants a list, a mapping or a text, not {describe(value)}")


def _range(*bounds: object) -> list[object]:
    made = range(*(_whole(bound, "range") for bound in bounds))
    check_size(None, extra=len(made))
    return list(made)


def _round(value: object, ndigits: object = None) -> object:
    number = _number(value, "round")
    if ndigits is None:
        return round(number)
    if abs(_whole(ndigits, "round")) > _MAX_DIGITS:
        raise Flaw(f"round() takes at most {_MAX_DIGITS} digits")
    return round(number, _whole(ndigits, "round"))


def _scalar(value: object, function: str) -> str | float:
    if isinstance(value, str | int | float):
        return value
    raise Flaw(f"{function}() wants a number or a text, not {describe(value)}")


def _text(value: object) -> str:
    if isinstance(value, StepResult | RunFacts):
        raise Flaw(f"str() cannot show {describe(value)}")
    check_size(None, extra=weight(value))
    return str(list(value) if isinstance(value, tuple) else value)


def _zip(*lists: object) -> list[object]:
    rows: Iterable[tuple[object, ...]] = zip(*(_listed(value, "zip") for value in lists), strict=False)
    return [list(row) for row in rows]


def _min(*values: object) -> object:
    return min(_arguments(values, "min"))  # type: ignore[type-var]


def _max(*values: object) -> object:
    return max(_arguments(values, "max"))  # type: ignore[type-var]


def _sorted(value: object, reverse: object = False) -> list[object]:
    return sorted(_listed(value, "sorted"), reverse=bool(reverse))  # type: ignore[type-var]


def _sum(value: object) -> float:
    return sum(_number(item, "sum") for item in _listed(value, "sum"))


def _abs(value: object) -> float:
    return abs(_number(value, "abs"))


def _list(value: object) -> list[object]:
    return _listed(value, "list")


def _float(value: object) -> float:
    return float(_scalar(value, "float"))


def _int(value: object) -> int:
    return int(_scalar(value, "int"))


FUNCTIONS: Mapping[str, Callable[..., object]] = {
    "abs": _abs,
    "best": best,
    "float": _float,
    "int": _int,
    "len": _length,
    "list": _list,
    "max": _max,
    "min": _min,
    "range": _range,
    "round": _round,
    "sorted": _sorted,
    "str": _text,
    "sum": _sum,
    "zip": _zip,
}
"""Functions by name."""
