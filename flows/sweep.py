"""A search while it goes on: which trial begins next, what has been found, and whether it is over."""

from __future__ import annotations

import math
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from secrets import randbelow

from toolkit.flows.stop import Stop
from toolkit.flows.study import Study, make_study
from toolkit.flows.trial import EarlierTrial, Trial
from toolkit.spec.expression import StepResult
from toolkit.spec.search import Search
from toolkit.spec.suggestion import hint


class TrialStop(Stop):
    """The wish to stop one trial: its own, or that to stop the whole run.

    Args:
        whole: The wish to stop the run.
    """

    def __init__(self, whole: Stop) -> None:
        super().__init__()
        self._whole = whole

    @property
    def pruned(self) -> bool:
        """Whether it was this trial that was to stop."""
        return super().requested

    @property
    def requested(self) -> bool:
        """Whether the trial is to end."""
        return super().requested or self._whole.requested

    @property
    def at_once(self) -> bool:
        """Whether there is no more time to end in order."""
        return super().at_once or self._whole.at_once


class Sweep:
    """The trials of one step. Used by one thread.

    Args:
        search: What is searched, and how long.
        step: Name of the step.
        earlier: What was tried already, by a run that this one goes on from.
        clock: Seconds, from whenever.

    Raises:
        InvalidValue: It needs Optuna, which is not there.
    """

    def __init__(
        self,
        search: Search,
        step: str,
        *,
        earlier: Sequence[EarlierTrial] = (),
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.search = search
        self.seed = search.seed if search.seed is not None else next((one.seed for one in earlier), randbelow(2**31))
        self.failure: str | None = None
        self.over = False
        self.pruned = self.failed = 0
        self._values: dict[int, float] = {}
        self._points: dict[int, dict[int, float]] = {}
        self._clock = clock
        self._until = None if search.seconds is None else clock() + search.seconds
        self._begun = 0
        self._number = 0
        self._study: Study = make_study(search, self.seed, step)
        self._known: set[int] = set()
        self._again: deque[Trial] = deque()
        for one in earlier:
            self._remember(one)

    def next(self) -> Trial | None:
        """Return the trial that begins now; ``None`` where none begins any more."""
        late = self._until is not None and self._clock() >= self._until
        full = self.search.trials is not None and self._begun >= self.search.trials
        if self.over or self.failure is not None or late or full:
            self.over = True
            return None
        trial = self._again.popleft() if self._again else self._new()
        if trial is None:
            self.over = True
            return None
        self._study.begin(trial)
        self._begun += 1
        return trial

    def report(self, trial: Trial, step: int, value: float) -> bool:
        """Note a point of the metric of a trial that runs; tell whether the trial is to be stopped."""
        self._points.setdefault(trial.number, {})[step] = value
        return self._study.report(trial, step, value)

    def points(self, trial: Trial) -> Mapping[int, float]:
        """Return the points of a trial that were noted, by step."""
        return self._points.get(trial.number, {})

    def finished(self, trial: Trial, result: StepResult) -> str | None:
        """Note that a trial has ended well; return what is wrong with it all the same, if anything is."""
        value = result.metrics.get(self.search.metric)
        if value is None:
            return self._without_metric(trial, result)
        if math.isnan(value):
            return self.lost(trial, f"its metric {self.search.metric!r} is NaN")
        self._study.tell(trial, value)
        self._values[trial.number] = value
        return None

    def cut(self, trial: Trial) -> None:
        """Note that a trial was pruned."""
        self.pruned += 1
        self._study.tell(trial, None, pruned=True)

    def lost(self, trial: Trial, reason: str) -> str:
        """Note that a trial failed; return the reason."""
        self.failed += 1
        self._study.tell(trial, None)
        if self.failed > self.search.max_failures and self.failure is None:
            self.failure = (
                f"{self.failed} trials failed, and max_failures is {self.search.max_failures}; the last one: {reason}"
            )
        return reason

    # -- what was found ----------------------------------------------------------------------------

    @property
    def told(self) -> int:
        """How many trials have ended."""
        return len(self._values) + self.pruned + self.failed

    @property
    def best(self) -> tuple[int, float] | None:
        """Number and value of the best trial, the first one of equals; ``None`` while there is none."""
        found: tuple[int, float] | None = None
        for number in sorted(self._values):
            if found is None or self.search.better(self._values[number], found[1]):
                found = number, self._values[number]
        return found

    @property
    def progress(self) -> str:
        """How far it is, in a few words."""
        total = self.search.trials or (self.search.combinations if self.search.method == "grid" else None)
        best = self.best
        found = "" if best is None else f"; best {self.search.metric} {best[1]:.6g} of trial {best[0]}"
        return f"{self.told}{f' of {total}' if total else ''}{found}"

    @property
    def summary(self) -> str:
        """What has been tried and found, in one line."""
        counts = [f"{len(self._values)} finished"]
        counts += [f"{self.pruned} pruned"] if self.pruned else []
        counts += [f"{self.failed} failed"] if self.failed else []
        text = f"{self.told} {'trial' if self.told == 1 else 'trials'} ({', '.join(counts)})"
        best = self.best
        return text if best is None else f"{text}, best {self.search.metric} {best[1]:.6g} of trial {best[0]}"

    # -- inside ------------------------------------------------------------------------------------

    def _new(self) -> Trial | None:
        while self._number in self._known:
            self._number += 1
        number = self._number
        values = self._study.ask(number)
        self._number += 1
        return None if values is None else Trial(number=number, values=values)

    def _remember(self, one: EarlierTrial) -> None:
        """Take over what was tried before, unless the search has become another one since."""
        trial = one.trial
        if not self._fits(trial):
            return
        self._known.add(trial.number)
        if one.state != "pruned":
            self._again.append(trial)
            return
        self._study.begin(trial)
        for step, value in one.points.items():
            self.report(trial, step, value)
        self.cut(trial)
        self._begun += 1

    def _fits(self, trial: Trial) -> bool:
        space = self.search.space
        if trial.values.keys() != space.keys() or not all(space[key].holds(one) for key, one in trial.values.items()):
            return False
        return self.search.method != "grid" or self._study.ask(trial.number) == trial.values

    def _without_metric(self, trial: Trial, result: StepResult) -> str:
        """Say that the metric is not there. Other trials would not have it either: the search ends."""
        known = [key for key in result.metrics if not key.startswith("system/")]
        reason = (
            f"it finished without logging the metric {self.search.metric!r} that the search is for:"
            f" {hint(self.search.metric, known, nothing='it logged none')}"
        )
        self.lost(trial, reason)
        self.failure = f"trial {trial.number}: {reason}"
        return reason
