"""Values that a flow written in Python hands on before they are there: what a step that has not ended will leave."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TypeVar

from toolkit.errors import ProjectError
from toolkit.flows.calls import Call, Calls
from toolkit.spec.expression import Scope, StepResult, Template
from toolkit.spec.formula import Flaw
from toolkit.spec.function import best as best_result

T = TypeVar("T")


class Later:
    """A value that is there when the steps that it comes from have ended.

    Args:
        calls: The calls of the flow run.
        needs: Those that it comes from.
        compute: Gives the value, once they have ended well.
    """

    def __init__(self, calls: Calls, needs: Sequence[Call], compute: Callable[[], object]) -> None:
        self._calls = calls
        self.needs = tuple(needs)
        self.compute = compute

    def result(self) -> object:
        """Wait for the steps, and return the value.

        Raises:
            StepFailed: One of them did not end well.
        """
        for call in self.needs:
            self._calls.wait(call)
        return self.compute()

    def __bool__(self) -> bool:
        """Refuse to be a condition: it would be true whatever the value is."""
        raise ProjectError("this value is there when its step has ended: write .result() after it, which waits for it")

    __lt__ = __le__ = __gt__ = __ge__ = lambda self, _: bool(self)


class LaterFields:
    """Named things that a step will leave, such as its outputs."""

    def __init__(self, make: Callable[[Callable[[StepResult], object]], Later], kind: str) -> None:
        self._make = make
        self._kind = kind

    def __getitem__(self, name: str) -> Later:
        """Return one of them, as a value that is there later."""
        return self._make(lambda result: _field(result, self._kind, name))


class LaterResult:
    """What a step will leave: ``outputs``, ``metrics`` and ``parameters`` by name, and ``run_id``.

    Args:
        calls: The calls of the flow run.
        needs: Those that it comes from.
        choose: Gives the result, once they have ended well.
    """

    def __init__(self, calls: Calls, needs: Sequence[Call], choose: Callable[[], StepResult]) -> None:
        self._calls = calls
        self.needs = tuple(needs)
        self._choose = choose

    @property
    def outputs(self) -> LaterFields:
        """Its outputs, by the names that the step declares."""
        return LaterFields(self._later, "outputs")

    @property
    def metrics(self) -> LaterFields:
        """The latest values of its metrics."""
        return LaterFields(self._later, "metrics")

    @property
    def parameters(self) -> LaterFields:
        """The values that it ran with."""
        return LaterFields(self._later, "parameters")

    @property
    def run_id(self) -> Later:
        """The id of its run."""
        return self._later(lambda result: result.run_id)

    def result(self) -> StepResult:
        """Wait for it, and return all of it.

        Raises:
            StepFailed: The step did not end well.
        """
        for call in self.needs:
            self._calls.wait(call)
        return self._choose()

    def _later(self, pick: Callable[[StepResult], object]) -> Later:
        return Later(self._calls, self.needs, lambda: pick(self._choose()))


def later_result(calls: Calls, call: Call) -> LaterResult:
    """Return what a call will leave."""

    def own() -> StepResult:
        assert call.result is not None
        return call.result

    return LaterResult(calls, [call], own)


def chosen(calls: Calls, results: LaterResult | Sequence[LaterResult], metric: str, mode: str) -> LaterResult:
    """Return the result with the best value of a metric, as `best` in an MLproject does.

    Raises:
        ProjectError: There is nothing to choose from, or no such metric; when it is worked out.
    """
    listed = [results] if isinstance(results, LaterResult) else list(results)
    needs = [call for one in listed for call in one.needs]

    def choose() -> StepResult:
        try:
            return best_result([one.result() for one in listed], metric, mode)
        except Flaw as flaw:
            raise ProjectError(flaw.message) from flaw

    return LaterResult(calls, needs, choose)


def evaluated(
    calls: Calls, text: object, parameters: Mapping[str, object], steps: Mapping[str, LaterResult | list[LaterResult]]
) -> Later:
    """Return the value of an MLproject's ``${{ … }}`` text.

    Args:
        calls: The calls of the flow run.
        text: The text, or a list or mapping of such texts.
        parameters: What ``parameters`` stands for in it.
        steps: What ``steps`` stands for: a step's result, or those of a fan-out.
    """
    needs = [call for value in steps.values() for call in needs_of(value)]

    def compute() -> object:
        results = {
            name: tuple(one.result() for one in value) if isinstance(value, list) else value.result()
            for name, value in steps.items()
        }
        return Template(source=text).evaluate(Scope(parameters=parameters, steps=results, run=calls.facts))

    return Later(calls, needs, compute)


def needs_of(value: object) -> list[Call]:
    """Return the calls that a value comes from, also those of the values inside it."""
    if isinstance(value, Later | LaterResult):
        return list(value.needs)
    return [call for item in _items(value) for call in needs_of(item)]


def resolved(value: object) -> object:
    """Return a value whose steps have ended, as what it stands for; also inside lists and mappings.

    Raises:
        ProjectError: It is a whole result, which no command can take.
    """
    if isinstance(value, Later):
        return value.compute()
    if isinstance(value, LaterResult):
        raise ProjectError("a step's result was given as a value: go on with .outputs[NAME] or .metrics[NAME]")
    if isinstance(value, Mapping):
        return {key: resolved(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [resolved(item) for item in value]
    return value


def _items(value: object) -> Iterator[object]:
    if isinstance(value, Mapping):
        yield from value.values()
    elif isinstance(value, list | tuple):
        yield from value


def _field(result: StepResult, kind: str, name: str) -> object:
    fields: Mapping[str, object] = getattr(result, kind)
    if name in fields:
        return fields[name]
    there = ", ".join(map(repr, fields)) or "none"
    raise ProjectError(f"step {result.name!r} has no {kind} {name!r}: there are {there}")
