"""What an expression can see: parameters, the results of steps, the run."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from toolkit.errors import Mark


@dataclass(frozen=True, kw_only=True, slots=True)
class OutputRef:
    """A declared output of a finished step: an artifact of its run.

    ``str()`` of it is its URI, ``runs:/<run id>/<path>``.
    """

    run_id: str
    path: str
    sha256: str = ""

    def __str__(self) -> str:
        """Return the artifact's URI."""
        return f"runs:/{self.run_id}/{self.path}"


@dataclass(frozen=True, kw_only=True, slots=True)
class StepResult:
    """What a finished step offers to expressions."""

    name: str
    run_id: str
    status: str
    parameters: Mapping[str, object] = field(default_factory=dict)
    metrics: Mapping[str, float] = field(default_factory=dict)
    outputs: Mapping[str, OutputRef] = field(default_factory=dict)


class Trials(tuple[StepResult, ...]):
    """The finished trials of a step that searches, in the order of their numbers, with the best of them.

    Args:
        results: The trials.
        best: Index of the best.
    """

    _best: int

    def __new__(cls, results: Iterable[StepResult], best: int) -> Trials:
        """Make them; see the class."""
        made = super().__new__(cls, results)
        made._best = best
        return made

    @property
    def best(self) -> StepResult:
        """The best trial."""
        return self[self._best]


@dataclass(frozen=True, kw_only=True, slots=True)
class RunFacts:
    """What expressions know of the workflow's own run (``run.id``, ``run.name``, ``run.experiment``)."""

    id: str
    name: str
    experiment: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Scope:
    """All that an expression can see. A step with ``foreach`` or ``search`` is a tuple of results, others one."""

    parameters: Mapping[str, object]
    steps: Mapping[str, StepResult | tuple[StepResult, ...]] = field(default_factory=dict)
    run: RunFacts | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Reference:
    """A name that an expression uses: ``("steps", "train", "outputs", "model")`` or ``("parameters", "alpha")``.

    An index is left out of the path, and ``best(steps.train, …)`` stands for ``steps.train``.
    """

    path: tuple[str, ...]
    mark: Mark | None = None


STEP_FIELDS = ("name", "run_id", "status", "parameters", "metrics", "outputs")
"""What ``steps.NAME`` has."""

RUN_FIELDS = ("id", "name", "experiment")
"""What ``run`` has."""

OUTPUT_FIELDS = ("run_id", "path", "sha256", "uri")
"""What ``steps.NAME.outputs.NAME`` has."""
