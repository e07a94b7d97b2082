"""``${{ … }}`` expressions: what a workflow may say about its parameters and the results of its steps.

CONTRACT STUB: the signatures below are what the other parts build on; the implementation goes in here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
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


@dataclass(frozen=True, kw_only=True, slots=True)
class RunFacts:
    """What expressions know of the workflow's own run (``run.id``, ``run.name``, ``run.experiment``)."""

    id: str
    name: str
    experiment: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Scope:
    """All that an expression can see. A ``foreach`` step is a tuple of results, any other a single one."""

    parameters: Mapping[str, object]
    steps: Mapping[str, StepResult | tuple[StepResult, ...]] = field(default_factory=dict)
    run: RunFacts | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Reference:
    """A name that an expression uses: ``("steps", "train", "outputs", "model")`` or ``("parameters", "alpha")``."""

    path: tuple[str, ...]
    mark: Mark | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Template:
    """A value of the file that may hold expressions, also inside lists and mappings.

    A text that is one expression and nothing else keeps the type of its result; an expression inside other text is
    put in as text.
    """

    source: object
    mark: Mark | None = None

    @property
    def references(self) -> Sequence[Reference]:
        """What it refers to, found without evaluating it."""
        raise NotImplementedError

    @property
    def steps(self) -> frozenset[str]:
        """Names of the steps that it refers to."""
        return frozenset(r.path[1] for r in self.references if r.path[0] == "steps" and len(r.path) > 1)

    def evaluate(self, scope: Scope) -> object:
        """Return the value.

        Raises:
            ExpressionError: It cannot be evaluated in this scope.
        """
        raise NotImplementedError
