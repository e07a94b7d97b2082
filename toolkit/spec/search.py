"""``search:`` of a step: what is tried, how it is chosen, what counts as best, and when to stop."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Literal, NoReturn, cast

from toolkit.errors import Mark, ProjectError
from toolkit.spec.expression import Scope, Template
from toolkit.spec.search_space import MAX_GRID, Range
from toolkit.spec.suggestion import hint, listing

METHODS = ("grid", "random", "optuna")
SAMPLERS = ("tpe", "random")
PRUNERS = ("median", "percentile", "hyperband")
DIRECTIONS: Mapping[str, Literal["minimize", "maximize"]] = {
    "minimize": "minimize",
    "maximize": "maximize",
    "min": "minimize",
    "max": "maximize",
}
MAX_TRIALS = 10_000
CONCURRENCY = 4
"""Trials at the same time, where nothing is said: a sampler that learns from results needs to see some."""
MAX_FAILURES = 3
"""Trials that may fail, where nothing is said."""

SEARCH_KEYS = (
    *("space", "method", "sampler", "seed", "metric", "direction", "trials", "seconds", "concurrency"),
    *("max_failures", "prune"),
)
"""The keys of ``search:``."""

RANGE_KEYS = ("uniform", "loguniform", "int", "choice", "step", "log")
"""The keys of a range."""

_PRUNER_KEYS: Mapping[str, tuple[str, ...]] = {
    "median": ("startup_trials", "warmup_steps", "interval_steps"),
    "percentile": ("percentile", "startup_trials", "warmup_steps", "interval_steps"),
    "hyperband": ("min_resource", "max_resource", "reduction_factor"),
}

Path = tuple[str | int, ...]
"""Where a value stands in ``search:``: keys and numbers of items."""

_OPEN = object()  # stands for a value that an expression will give


@dataclass(frozen=True, kw_only=True, slots=True)
class Prune:
    """When a trial is stopped before its end.

    Attributes:
        pruner: Its name.
        options: What it is told, by Optuna's own names without their ``n_``.
    """

    pruner: str
    options: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True, slots=True)
class Search:
    """A search whose values are all known.

    Attributes:
        space: What is varied, by parameter.
        method: How trials are chosen.
        sampler: Optuna's sampler.
        metric: What is looked at.
        direction: What is better.
        seed: What chance begins with; ``None``: another one each time.
        trials: At most so many trials, failed and pruned ones counted; ``None``: the whole grid, or until the time is
            over.
        seconds: After so long no trial begins.
        concurrency: How many trials run at the same time.
        max_failures: How many trials may fail before the search does.
        prune: When trials are stopped early; ``None``: never.
    """

    space: Mapping[str, Range]
    method: str
    metric: str
    direction: Literal["minimize", "maximize"]
    sampler: str = "tpe"
    seed: int | None = None
    trials: int | None = None
    seconds: float | None = None
    concurrency: int = CONCURRENCY
    max_failures: int = MAX_FAILURES
    prune: Prune | None = None

    @property
    def needs_optuna(self) -> bool:
        """Whether Optuna has a part in it."""
        return self.method == "optuna" or self.prune is not None

    @property
    def combinations(self) -> int | None:
        """How many combinations the space has; ``None`` for one without end."""
        total = 1
        for one in self.space.values():
            if one.count is None:
                return None
            total *= one.count
        return total

    def better(self, value: float, than: float) -> bool:
        """Tell whether a value of the metric is better than another."""
        return value < than if self.direction == "minimize" else value > than


@dataclass(frozen=True, kw_only=True, slots=True)
class SearchTemplate:
    """A search as the file has it: single values may be expressions.

    Attributes:
        step: Name of its step.
        template: All of it.
        marks: Where each value stands, by its path.
    """

    step: str
    template: Template
    marks: Mapping[Path, Mark] = field(default_factory=dict, compare=False, repr=False)

    @property
    def parameters(self) -> tuple[str, ...]:
        """The parameters that are varied."""
        source = self.template.source
        space = source.get("space") if isinstance(source, dict) else None
        return tuple(space) if isinstance(space, dict) else ()

    @property
    def may_need_optuna(self) -> bool:
        """Whether Optuna has a part in it, as far as is known before its expressions are."""
        source = self.template.source
        return isinstance(source, dict) and (source.get("method") == "optuna" or bool(source.get("prune")))

    @property
    def constant_space(self) -> Mapping[str, Range]:
        """Those ranges that hold no expression."""
        return self._reader(open_ended=True).known_ranges(self.template.source)

    def mark(self, *path: str) -> Mark | None:
        """Return where a value stands."""
        return self.marks.get(path, self.template.mark)

    def check(self) -> None:
        """Refuse what is wrong whatever its expressions give.

        Raises:
            ProjectError: Something is.
        """
        self._reader(open_ended=True).read(self.template.source)

    def at(self, scope: Scope) -> Search:
        """Return the search, with its expressions' values.

        Raises:
            ProjectError: One cannot be evaluated, or gives what does not fit.
        """
        return self._reader(open_ended=False).read(self.template.evaluate(scope))

    def _reader(self, *, open_ended: bool) -> _Reader:
        return _Reader(self.step, self.marks, self.template.mark, open_ended=open_ended)


class _Reader:
    """Turns plain values into a `Search`.

    Args:
        step: Name of the step.
        marks: Where values stand.
        mark: Where the search stands.
        open_ended: Whether expressions are not evaluated yet: what they may give is let through.
    """

    def __init__(self, step: str, marks: Mapping[Path, Mark], mark: Mark | None, *, open_ended: bool) -> None:
        self._owner = f"search of step {step!r}"
        self._marks = marks
        self._mark = mark
        self._open_ended = open_ended

    def read(self, value: object) -> Search:
        """Return the search; with ``open_ended``, one whose open values are made up."""
        fields = self._mapping(value, (), "write {space: {…}, metric: NAME, direction: minimize}")
        self._known(fields, SEARCH_KEYS, ())
        space = self._space(fields)
        method = self._name(fields, "method", METHODS, "random")
        sampler = self._name(fields, "sampler", SAMPLERS, "tpe")
        if "sampler" in fields and method != "optuna":
            self._fail(("sampler",), f"'sampler' is for method optuna, and this is {method}: take it out")
        search = Search(
            space=space,
            method=method,
            sampler=sampler,
            metric=self._metric(fields),
            direction=DIRECTIONS[self._name(fields, "direction", tuple(DIRECTIONS), None)],
            seed=self._whole(fields, "seed", least=0),
            trials=self._whole(fields, "trials", least=1, most=MAX_TRIALS),
            seconds=self._seconds(fields),
            concurrency=self._whole(fields, "concurrency", least=1) or CONCURRENCY,
            max_failures=MAX_FAILURES if (most := self._whole(fields, "max_failures", least=0)) is None else most,
            prune=self._prune(fields),
        )
        if method == "grid":
            self._check_grid(search)
        elif "trials" not in fields and "seconds" not in fields:
            self._fail((), f"method {method} never ends by itself: give 'trials', 'seconds' or both")
        return search

    def known_ranges(self, value: object) -> Mapping[str, Range]:
        """Return the ranges that hold no expression."""
        fields = self._mapping(value, (), "")
        space = self._mapping(fields.get("space"), ("space",), "")
        return {name: self._range(name, one) for name, one in space.items() if Template(source=one).constant}

    # -- the space ---------------------------------------------------------------------------------

    def _space(self, fields: Mapping[str, object]) -> dict[str, Range]:
        form = "write {PARAMETER: {uniform: [LOW, HIGH]}}"
        if fields.get("space") is None:
            self._fail((), f"it has no 'space': {form}")
        space = self._mapping(fields["space"], ("space",), form)
        if not space:
            self._fail(("space",), f"'space' is empty: {form}")
        return {name: self._range(name, value) for name, value in space.items()}

    def _range(self, name: str, value: object) -> Range:
        path: Path = ("space", name)
        if self._is_open(value):
            return Range(kind="choice", choices=(_OPEN,))
        if isinstance(value, list | tuple):
            return self._choice(path, value)
        form = "write a list of values, or one of {uniform: [LOW, HIGH]}, {loguniform: …}, {int: …}, {choice: […]}"
        fields = self._mapping(value, path, form)
        self._known(fields, RANGE_KEYS, path)
        kinds = [key for key in RANGE_KEYS[:4] if key in fields]
        if len(kinds) != 1:
            self._fail(path, f"{name!r} has {listing(kinds) or 'no range'}: {form}")
        kind = kinds[0]
        if kind == "choice":
            for key in ("step", "log"):
                if key in fields:
                    self._fail((*path, key), f"{key!r} of {name!r} is for numbers, not for a choice: take it out")
            return self._choice((*path, kind), fields[kind])
        return self._numbers(name, kind, fields, path)

    def _choice(self, path: Path, value: object) -> Range:
        if self._is_open(value):
            return Range(kind="choice", choices=(_OPEN,))
        if not isinstance(value, list | tuple) or not value:
            self._fail(path, f"the choices of {path[1]!r} are {value!r}: wanted a list of one value or more")
        if len(value) > MAX_GRID:
            self._fail(path, f"{path[1]!r} has {len(value):,} choices: at most {MAX_GRID:,}")
        return Range(kind="choice", choices=tuple(value))

    def _numbers(self, name: str, kind: str, fields: Mapping[str, object], path: Path) -> Range:
        bounds = fields[kind]
        log = fields.get("log", False)
        if not isinstance(log, bool):
            self._fail((*path, "log"), f"'log' of {name!r} is {log!r}: wanted true or false")
        log = log or kind == "loguniform"
        if self._is_open(bounds):
            return Range(kind="choice", choices=(_OPEN,))
        if not isinstance(bounds, list | tuple) or len(bounds) != 2:
            self._fail((*path, kind), f"{kind!r} of {name!r} is {bounds!r}: wanted [LOW, HIGH]")
        whole = kind == "int"
        low, high = (self._number(bound, (*path, kind, i), name, whole=whole) for i, bound in enumerate(bounds))
        step = self._number(fields["step"], (*path, "step"), name, whole=whole) if "step" in fields else None
        if low is _OPEN or high is _OPEN or step is _OPEN:
            return Range(kind="choice", choices=(_OPEN,))
        low, high, step = cast("tuple[float, float, float | None]", (low, high, step))
        if low > high:
            self._fail(
                (*path, kind), f"{kind!r} of {name!r} goes from {low:g} to {high:g}: the lower bound comes first"
            )
        if log and low <= 0:
            self._fail((*path, kind), f"{name!r} goes from {low:g} on a logarithmic scale: wanted a bound above 0")
        if log and step is not None:
            self._fail((*path, "step"), f"{name!r} has a step on a logarithmic scale: take out 'step' or the logarithm")
        if step is not None and step <= 0:
            self._fail((*path, "step"), f"the step of {name!r} is {step:g}: wanted more than 0")
        if whole and not log and step is None:
            step = 1
        if step is not None:
            number = (Decimal(repr(high)) - Decimal(repr(low))) // Decimal(repr(step))
            high = float(Decimal(repr(low)) + number * Decimal(repr(step)))
        return Range(kind="int" if whole else "float", low=low, high=high, step=step, log=log)

    def _number(self, value: object, path: Path, name: str, *, whole: bool) -> object:
        if self._is_open(value):
            return _OPEN
        number = _plain_number(value)
        if number is None or (whole and not number.is_integer()):
            self._fail(path, f"a bound or step of {name!r} is {value!r}: wanted a {'whole ' if whole else ''}number")
        return number

    # -- the rest ----------------------------------------------------------------------------------

    def _check_grid(self, search: Search) -> None:
        total = 1
        for name, one in search.space.items():
            if one.count is None:
                wanted = "a list of values" if one.log else "'step', or a list of values"
                self._fail(
                    ("space", name), f"{name!r} has no end of values, and a grid goes through all: give {wanted}"
                )
            total *= one.count
        if total > MAX_GRID:
            self._fail(("space",), f"the grid has {total:,} combinations: at most {MAX_GRID:,}; use random or optuna")

    def _metric(self, fields: Mapping[str, object]) -> str:
        value = fields.get("metric")
        if not isinstance(value, str) or not value.strip():
            said = "it has no 'metric'" if value is None else f"'metric' is {value!r}"
            self._fail(("metric",), f"{said}: name the metric that the step logs")
        return value

    def _seconds(self, fields: Mapping[str, object]) -> float | None:
        value = fields.get("seconds")
        if value is None or self._is_open(value):
            return None
        number = _plain_number(value)
        if number is None or number <= 0:
            self._fail(("seconds",), f"'seconds' is {value!r}: wanted a number above 0")
        return number

    def _prune(self, fields: Mapping[str, object]) -> Prune | None:
        value = fields.get("prune")
        if value is None or value is False or self._is_open(value):
            return None
        given: Mapping[str, object] = {"pruner": value} if isinstance(value, str) else {}
        given = given or self._mapping(value, ("prune",), f"write one of {', '.join(PRUNERS)}, or {{pruner: NAME, …}}")
        path: Path = ("prune",) if isinstance(value, str) else ("prune", "pruner")
        pruner = given.get("pruner")
        if not isinstance(pruner, str) or pruner not in PRUNERS:
            self._fail(path, f"the pruner is {pruner!r}: {hint(str(pruner), PRUNERS)}")
        self._known(given, ("pruner", *_PRUNER_KEYS[pruner]), ("prune",))
        options = {key: self._option(key, one) for key, one in given.items() if key != "pruner"}
        if pruner == "percentile" and "percentile" not in options:
            self._fail(("prune",), "the percentile pruner needs 'percentile': the best so many per cent go on")
        return Prune(pruner=pruner, options={key: one for key, one in options.items() if one is not None})

    def _option(self, key: str, value: object) -> float | None:
        if self._is_open(value):
            return 25.0 if key == "percentile" else None
        number = _plain_number(value)
        least = {"interval_steps": 1, "min_resource": 1, "max_resource": 1, "reduction_factor": 2}.get(key, 0)
        fits = number is not None and number >= least and (key == "percentile" or number.is_integer())
        if not fits or (key == "percentile" and cast(float, number) > 100):
            wanted = "a number from 0 to 100" if key == "percentile" else f"a whole number, {least} or more"
            self._fail(("prune", key), f"{key!r} is {value!r}: wanted {wanted}")
        return number

    def _whole(self, fields: Mapping[str, object], key: str, *, least: int, most: int | None = None) -> int | None:
        value = fields.get(key)
        if value is None or self._is_open(value):
            return None
        number = _plain_number(value)
        if number is None or not number.is_integer() or number < least or (most is not None and number > most):
            upto = f", {least} or more" if most is None else f" from {least} to {most:,}"
            self._fail((key,), f"{key!r} is {value!r}: wanted a whole number{upto}")
        return int(number)

    def _name(self, fields: Mapping[str, object], key: str, known: tuple[str, ...], default: str | None) -> str:
        value = fields.get(key, default)
        if value is None:
            self._fail((), f"it has no {key!r}: there are {listing(known[:2])}")
        if self._is_open(value):
            return known[0]
        if not isinstance(value, str) or value not in known:
            self._fail((key,), f"{key!r} is {value!r}: {hint(str(value), known)}")
        return value

    # -- forms -------------------------------------------------------------------------------------

    def _mapping(self, value: object, path: Path, form: str) -> Mapping[str, object]:
        if not isinstance(value, Mapping):
            what = f"{path[-1]!r}" if path else "it"
            self._fail(path, f"{what} is {value!r}, not a mapping: {form}")
        return {key: one for key, one in value.items() if one is not None}

    def _known(self, fields: Mapping[str, object], known: Iterable[str], path: Path) -> None:
        names = tuple(known)
        for key in fields:
            if key not in names:
                where = f" in {path[-1]!r}" if path else ""
                self._fail((*path, key, "<key>"), f"unknown key {key!r}{where}: {hint(str(key), names)}")

    def _is_open(self, value: object) -> bool:
        return self._open_ended and isinstance(value, str) and not Template(source=value).constant

    def _fail(self, path: Path, message: str) -> NoReturn:
        while path and path not in self._marks:
            path = path[:-1]
        raise ProjectError(f"{self._owner}: {message}", mark=self._marks.get(path, self._mark))


def _plain_number(value: object) -> float | None:
    """Return a number, also of a text such as ``1e-5``, which YAML takes for one without a dot."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        number = float(value)
    except (ValueError, OverflowError):
        return None
    return number if math.isfinite(number) else None
