"""What a search tries next: the grid, chance, or Optuna. Asked for values, told what became of them."""

from __future__ import annotations

import importlib.util
import random
from collections.abc import Mapping
from typing import Any, Protocol

from toolkit.errors import InvalidValue
from toolkit.flows.trial import Trial
from toolkit.spec.search import Prune, Search
from toolkit.spec.search_space import Range

_MISSING = (
    "a search by method optuna, or one that prunes, needs Optuna, which is not installed: pip install"
    " 'toolkit[optuna]', or use method grid or random without prune"
)


class Study(Protocol):
    """Chooses the values of trials. Used by one thread."""

    def ask(self, number: int) -> Mapping[str, object] | None:
        """Return the values of a trial; ``None`` where all have been tried."""
        ...

    def begin(self, trial: Trial) -> None:
        """Note that a trial begins: one whose values were asked for, or were chosen before."""
        ...

    def report(self, trial: Trial, step: int, value: float) -> bool:
        """Note a point of the metric of a trial that runs; tell whether it is to be stopped."""
        ...

    def tell(self, trial: Trial, value: float | None, *, pruned: bool = False) -> None:
        """Note the end of a trial: its metric, or that it was pruned, or (neither) that it failed."""
        ...


class PlainStudy:
    """The grid, or chance: what is tried does not depend on what was found.

    Args:
        search: What is searched.
        seed: What chance begins with; each trial's is made of it and its number, in whatever order they run.
    """

    def __init__(self, search: Search, seed: int) -> None:
        self._search = search
        self._seed = seed

    def ask(self, number: int) -> Mapping[str, object] | None:
        """Return the values of a trial; ``None`` where the grid is at its end."""
        if self._search.method == "grid":
            return _grid_point(self._search.space, number)
        chance = random.Random(f"{self._seed}/{number}")  # noqa: S311 - repeatable, not secret
        return {name: one.draw(chance) for name, one in self._search.space.items()}

    def begin(self, trial: Trial) -> None:
        """Nothing depends on it."""

    def report(self, trial: Trial, step: int, value: float) -> bool:  # noqa: ARG002 - the protocol's
        """Go on."""
        return False

    def tell(self, trial: Trial, value: float | None, *, pruned: bool = False) -> None:
        """Nothing depends on it."""


class OptunaStudy:
    """Optuna's sampler and pruner, over a study in memory: what was tried before is told again.

    Args:
        search: What is searched.
        seed: What chance begins with.
        name: Name of the study; Hyperband sorts trials into brackets by it.
    """

    def __init__(self, search: Search, seed: int, name: str) -> None:
        optuna = load_optuna()
        self._optuna = optuna
        self._search = search
        self._seed = seed
        self._plain = None if search.method == "optuna" else PlainStudy(search, seed)
        self._distributions = {key: _distribution(optuna, one) for key, one in search.space.items()}
        self._study = optuna.create_study(
            study_name=name,
            direction=search.direction,
            sampler=self._sampler(0),
            pruner=_pruner(optuna, search.prune),
        )
        self._trials: dict[int, Any] = {}
        self._reported: dict[int, set[int]] = {}

    def ask(self, number: int) -> Mapping[str, object] | None:
        """Return the values of a trial; ``None`` where the grid is at its end."""
        if self._plain is not None:
            return self._plain.ask(number)
        # A sampler of its own for each trial: what it proposes depends on the seed, the number and what is known, and
        # not on how often a sampler was asked before a crash.
        self._study.sampler = self._sampler(number)
        asked = self._study.ask(fixed_distributions=self._distributions)
        self._trials[number] = asked
        return {key: _from_optuna(one, asked.params[key]) for key, one in self._search.space.items()}

    def begin(self, trial: Trial) -> None:
        """Have Optuna know a trial whose values were not its own."""
        if trial.number in self._trials:
            return
        values = {key: _to_optuna(one, trial.values[key]) for key, one in self._search.space.items()}
        self._study.enqueue_trial(values)
        self._trials[trial.number] = self._study.ask(fixed_distributions=self._distributions)

    def report(self, trial: Trial, step: int, value: float) -> bool:
        """Note a point of the metric; tell whether the trial is to be stopped."""
        reported = self._reported.setdefault(trial.number, set())
        if self._search.prune is None or step in reported or step < 0:
            return False
        reported.add(step)
        asked = self._trials[trial.number]
        asked.report(value, step)
        return bool(asked.should_prune())

    def tell(self, trial: Trial, value: float | None, *, pruned: bool = False) -> None:
        """Note the end of a trial."""
        states = self._optuna.trial.TrialState
        asked = self._trials[trial.number]
        if pruned:
            self._study.tell(asked, state=states.PRUNED)
        elif value is None:
            self._study.tell(asked, state=states.FAIL)
        else:
            self._study.tell(asked, value)

    def _sampler(self, number: int) -> Any:  # noqa: ANN401 - Optuna is imported where it is used
        samplers = self._optuna.samplers
        seed = random.Random(f"{self._seed}/{number}").randrange(2**32)  # noqa: S311 - repeatable, not secret
        if self._search.sampler == "random":
            return samplers.RandomSampler(seed=seed)
        # constant_liar: trials that still run count as bad ones, so that those beside them go elsewhere.
        return samplers.TPESampler(seed=seed, constant_liar=self._search.concurrency > 1)


def make_study(search: Search, seed: int, name: str) -> Study:
    """Return what chooses the trials of a search.

    Raises:
        InvalidValue: It needs Optuna, which is not there.
    """
    return OptunaStudy(search, seed, name) if search.needs_optuna else PlainStudy(search, seed)


def require_optuna() -> None:
    """Find out whether Optuna is there, without the time that importing it takes.

    Raises:
        InvalidValue: It is not.
    """
    if importlib.util.find_spec("optuna") is None:
        raise InvalidValue(_MISSING)


def load_optuna() -> Any:  # noqa: ANN401 - a module
    """Import Optuna.

    Raises:
        InvalidValue: It is not there.
    """
    try:
        import optuna  # noqa: PLC0415 - optional, and takes a while
    except ImportError as error:
        raise InvalidValue(f"{_MISSING} ({error})") from None
    optuna.logging.set_verbosity(optuna.logging.ERROR)  # what it says, we say
    return optuna


def _grid_point(space: Mapping[str, Range], number: int) -> Mapping[str, object] | None:
    """Return a combination by its number: the last parameter changes fastest, as in ``foreach``."""
    values: dict[str, object] = {}
    for name in reversed(list(space)):
        one = space[name]
        count = one.count
        assert count is not None
        values[name] = one.value(number % count)
        number //= count
    return {name: values[name] for name in space} if number == 0 else None


def _distribution(optuna: Any, one: Range) -> Any:  # noqa: ANN401 - Optuna is imported where it is used
    distributions = optuna.distributions
    if one.kind == "choice":  # by its place: a value may be a list, which Optuna does not take
        return distributions.CategoricalDistribution(tuple(range(len(one.choices))))
    if one.kind == "int":
        step = 1 if one.step is None else int(one.step)
        return distributions.IntDistribution(int(one.low), int(one.high), log=one.log, step=step)
    return distributions.FloatDistribution(one.low, one.high, log=one.log, step=one.step)


def _from_optuna(one: Range, value: object) -> object:
    if one.kind == "choice":
        assert isinstance(value, int)
        return one.value(value)
    number = one.place(value)
    return value if number is None else one.value(number)


def _to_optuna(one: Range, value: object) -> object:
    return one.place(value) if one.kind == "choice" else value


def _pruner(optuna: Any, prune: Prune | None) -> Any:  # noqa: ANN401 - Optuna is imported where it is used
    pruners = optuna.pruners
    if prune is None:
        return pruners.NopPruner()
    options = {
        f"n_{key}" if key in ("startup_trials", "warmup_steps") else key: value if key == "percentile" else int(value)
        for key, value in prune.options.items()
    }
    kinds = {
        "median": pruners.MedianPruner,
        "percentile": pruners.PercentilePruner,
        "hyperband": pruners.HyperbandPruner,
    }
    return kinds[prune.pruner](**options)
