"""Workflows written in Python: what ``toolkit compile -o flow.py`` writes, and whoever likes.

A `Workflow` declares steps, each a command with parameters and outputs as an entry point of an MLproject has them, and
a flow: a function that calls them. The flow is Prefect's, each of its runs is tracked, and each call of a step is a
child run and a Prefect task, exactly as in `toolkit run`.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_type_hints

from toolkit.errors import InvalidValue, RunFailed, RunKilled
from toolkit.wiring.request import RunRequest
from toolkit.wiring.runs import fetch_source, run_plan
from toolkit.wiring.services import prepare_prefect

if TYPE_CHECKING:
    from toolkit.flows.called_flow import CalledFlow, FlowProgram
    from toolkit.flows.calls import Calls
    from toolkit.flows.later import Later, LaterResult
    from toolkit.flows.plan import Plan
    from toolkit.flows.report import Reporter, RunOutcome
    from toolkit.flows.source import Source
    from toolkit.spec.expression import RunFacts, StepResult
    from toolkit.spec.project import EntryPoint, Parameter
    from toolkit.spec.project import Workflow as WorkflowSpec

__all__ = ["Step", "Workflow", "best", "expression"]

_TYPES: Mapping[Any, str] = {
    float: "float",
    int: "int",
    bool: "bool",
    str: "string",
    Path: "path",
    **dict.fromkeys((list, tuple, Sequence), "list"),
    **dict.fromkeys((dict, Mapping), "dict"),
}


class Workflow:
    """Steps of a project, and the flow that calls them.

    Args:
        name: Name of the project, and of the flow in Prefect.
        project: The project: its directory, or whatever else `toolkit run` takes.
        version: Branch, tag or commit, for a project from Git.
        python_env: Environment file of the steps that have none of their own.
        conda_env: The same for conda.
        docker_env: The same as a container: a mapping with ``image``.
        single: Whether this is one entry point alone: then its metrics stand on the flow's run by their bare names.
    """

    def __init__(
        self,
        name: str,
        *,
        project: str | Path = ".",
        version: str | None = None,
        python_env: str | None = None,
        conda_env: str | None = None,
        docker_env: Mapping[str, object] | None = None,
        single: bool = False,
    ) -> None:
        self.name = name
        self.steps: dict[str, Step] = {}
        self._request = RunRequest(uri=str(project), version=version)
        self._single = single
        environments = {"python_env": python_env, "conda_env": conda_env, "docker_env": docker_env}
        self._environment = {key: value for key, value in environments.items() if value is not None}

    def step(self, name: str, *, command: str, entry_point: str | None = None, **keys: object) -> Step:
        """Declare a step.

        Args:
            name: Its name.
            command: The shell command; ``{parameter}`` stands for a value, quoted for the shell.
            entry_point: Name of the entry point that it is, for its run; default: the step's.
            **keys: What else an entry point may have (``parameters``, ``outputs``, ``metrics``, ``description``,
                ``inputs``, ``strict``, ``python_env``, ``conda_env``, ``docker_env``) and a step (``retries``,
                ``retry_delay``, ``timeout``, ``cache``, ``concurrency``, ``env``), as in an MLproject.

        Raises:
            InvalidValue: There is such a step already, or it has ``search``, which only an MLproject can have.
        """
        if "search" in keys:
            raise InvalidValue(
                f"step {name!r} has 'search', which a flow in Python cannot run yet: call the step with values of your"
                " own, or write an MLproject"
            )
        if name in self.steps:
            raise InvalidValue(f"workflow {self.name!r} has two steps {name!r}: give one another name")
        self.steps[name] = Step(self, name, {"command": command, **keys}, entry_point or name)
        return self.steps[name]

    def register(
        self,
        name: str,
        *,
        model: str,
        alias: str | None = None,
        stage: str | None = None,
        archive_existing: bool = False,
        request: bool = False,
        **keys: object,
    ) -> Step:
        """Declare a step that registers a model. Its calls give ``from``: an output of a step, or a model's URI.

        They may also give ``description`` and ``tags`` of the version: ``promote.submit({"from": run.outputs["model"]},
        description="…")``.

        Args:
            name: Its name.
            model: Name of the registered model; made where there is none.
            alias: Alias of the new version.
            stage: Stage of the new version.
            archive_existing: Whether the others in that stage go to the archive.
            request: Whether to ask for alias and stage where others must approve, instead of failing.
            **keys: ``retries``, ``retry_delay`` and ``concurrency``, as in an MLproject.

        Raises:
            InvalidValue: There is such a step already.
        """
        if name in self.steps:
            raise InvalidValue(f"workflow {self.name!r} has two steps {name!r}: give one another name")
        told = {"model": model, "from": "given", "alias": alias, "stage": stage, "archive_existing": archive_existing}
        told["request"] = request
        wanted = {key: value for key, value in told.items() if value not in (None, False)}
        self.steps[name] = Step(self, name, {"register": wanted, **keys}, None)
        return self.steps[name]

    @property
    def run(self) -> RunFacts:
        """The flow's own run, inside of it: ``id``, ``name`` and ``experiment``."""
        return _calls().facts

    def flow(self, function: Callable[..., object] | None = None, /, **options: Any) -> Any:  # noqa: ANN401 - as Prefect's
        """Make a function that calls steps a Prefect flow.

        Args:
            function: The function, where the decorator is used without parentheses. Its arguments are the flow's
                parameters.
            **options: Whatever `prefect.flow` takes.
        """
        if function is None:
            return lambda function: self.flow(function, **options)
        from toolkit.settings import load  # noqa: PLC0415 - when there is a flow

        prepare_prefect()
        from toolkit.flows.called_flow import CalledFlow  # noqa: PLC0415 - imports Prefect

        return CalledFlow(
            function,
            run=lambda program, given: self.execute(function, given, program=program),
            max_parallel=load().max_parallel_steps,
            **{"name": self.name, **options},
        )

    def main(self, flow: CalledFlow) -> None:
        """Be the command line of a flow: ``--NAME VALUE`` for each of its parameters. Does not return."""
        from toolkit.cli.flow_file import main  # noqa: PLC0415 - for scripts

        main(self, flow)

    def execute(
        self,
        function: Callable[..., object],
        given: Mapping[str, object],
        *,
        program: FlowProgram,
        request: RunRequest | None = None,
        reporter: Reporter | None = None,
    ) -> RunOutcome:
        """Run a flow as a tracked run.

        Args:
            function: The flow's function.
            given: Values of its parameters; others have their defaults.
            program: The run of the flow.
            request: Experiment and name of the run.
            reporter: Who is told; default: stderr.

        Raises:
            RunFailed: It failed.
            RunKilled: It was stopped.
        """
        from toolkit.cli.progress import Progress  # noqa: PLC0415 - when something runs
        from toolkit.flows.plan import check_supported  # noqa: PLC0415 - the same
        from toolkit.flows.working_copy import working_copy  # noqa: PLC0415 - the same
        from toolkit.settings import load  # noqa: PLC0415 - the same

        told = reporter or Progress()
        fetched = fetch_source(self._request, told.note)
        with working_copy(fetched, load().home / "copies", told.note) as source:
            plan = self._plan(source, function, given, self._short_name(program.name))
            check_supported(plan)
            program.parameters = plan.parameters
            outcome = run_plan(plan, request or self._request, told, program)
        if reporter is None and outcome.exit_code:
            raise (RunFailed if outcome.exit_code == 1 else RunKilled)(outcome.reason)
        return outcome

    # -- what is declared --------------------------------------------------------------------------

    def parameters(self, function: Callable[..., object]) -> dict[str, Parameter]:
        """Return the flow's parameters: the arguments of its function."""
        from toolkit.spec.project import Parameter  # noqa: PLC0415 - when something runs

        hints = get_type_hints(function)
        return {
            name: Parameter(
                name=name,
                type=_TYPES.get(getattr(hints.get(name), "__origin__", hints.get(name, str)), "any"),
                default=_plain(argument.default),
            )
            for name, argument in inspect.signature(function).parameters.items()
        }

    def _short_name(self, flow: str) -> str:
        """Return the flow's name within the project: ``main`` for the one that is named as the project is."""
        return "main" if flow == self.name else flow.removeprefix(f"{self.name}: ")

    def _plan(self, source: Source, function: Callable[..., object], given: Mapping[str, object], name: str) -> Plan:
        """Read all that is declared as an MLproject is read, and bind the flow's parameters."""
        from toolkit.flows.plan import Plan, located  # noqa: PLC0415 - when something runs
        from toolkit.spec.binding import bind  # noqa: PLC0415 - the same

        project, entries, spec = self._read(source.directory)
        spec = replace(spec, name=name, parameters=self.parameters(function))
        bound = bind(spec.parameters, given, owner=f"flow {self.name!r}", typed=True, allow_undeclared=False)
        return Plan(
            source=source,
            project=project,
            workflow=spec,
            entry_points=entries,
            parameters=located(project, spec, bound.values, given=frozenset(given), caller=Path.cwd()),
            given=frozenset(given),
            single=self._single,
        )

    def _read(self, directory: Path) -> tuple[Any, dict[str, EntryPoint], WorkflowSpec]:
        import yaml  # noqa: PLC0415 - when something runs

        from toolkit.flows.registration import called_entry, planned  # noqa: PLC0415 - the same
        from toolkit.spec.document import parse_document  # noqa: PLC0415 - the same
        from toolkit.spec.reader import parse_project  # noqa: PLC0415 - the same
        from toolkit.spec.workflow import read_workflows  # noqa: PLC0415 - the same

        file = "the steps of the flow, as an MLproject"
        text = yaml.safe_dump(
            {
                "name": self.name,
                **self._environment,
                "entry_points": {name: step.entry_keys for name, step in self.steps.items() if step.entry_point},
            },
            sort_keys=False,
        )
        project = replace(parse_project(text, directory=directory, file=Path(file)), file=None)
        flow = yaml.safe_dump({"main": {"steps": {name: step.step_keys for name, step in self.steps.items()}}})
        read = read_workflows(parse_document(flow, file=file), directory=directory)["main"]
        entries = {
            name: replace(entry, name=self.steps[name].entry_point or name)
            for name, entry in project.entry_points.items()
        }
        steps = dict(read.steps)
        for name, step in steps.items():
            if step.register is not None:
                steps[name] = planned(step)
                entries[name] = called_entry(step)
        return project, entries, replace(read, steps=steps)


class Step:
    """A step of a workflow. Made by `Workflow.step`.

    Attributes:
        name: Its name.
        entry_point: Name of the entry point that it is; ``None`` for a step that registers a model.
    """

    def __init__(self, workflow: Workflow, name: str, keys: Mapping[str, object], entry_point: str | None) -> None:
        self.name = name
        self.entry_point = entry_point
        self._workflow = workflow
        self._keys = {key: value for key, value in keys.items() if value is not None}

    @property
    def entry_keys(self) -> dict[str, object]:
        """What it says as an entry point."""
        from toolkit.spec.entry_point import KEYS  # noqa: PLC0415 - when something runs

        return {key: value for key, value in self._keys.items() if key in KEYS}

    @property
    def step_keys(self) -> dict[str, object]:
        """What it says as a step."""
        return {key: value for key, value in self._keys.items() if key not in self.entry_keys}

    def __call__(self, values: Mapping[str, object] | None = None, /, **named: object) -> StepResult:
        """Run the step and wait for its end; arguments as those of `submit`.

        Raises:
            StepFailed: It did not end well.
        """
        return self._submit({**(values or {}), **named}, (), {}).result()

    def submit(
        self,
        values: Mapping[str, object] | None = None,
        /,
        *,
        after: LaterResult | Sequence[object] = (),
        **named: object,
    ) -> LaterResult:
        """Have the step run as soon as what it is given is there.

        Args:
            values: Values of its parameters, where their names are no Python names.
            after: Results of steps that it comes after, besides those that it is given something of.
            **named: Values of its parameters; values of other steps' results among them need not be there yet.

        Returns:
            What it will leave.
        """
        return self._submit({**(values or {}), **named}, after, {})

    def foreach(
        self,
        lists: Mapping[str, object],
        values: Mapping[str, object] | None = None,
        /,
        *,
        after: LaterResult | Sequence[object] = (),
        **named: object,
    ) -> list[LaterResult]:
        """Have the step run once for each value of a list, or for each combination of the values of several.

        Args:
            lists: Parameter to list of values. A list that an earlier step leaves is waited for.
            values: As for `submit`: what is the same for each.
            after: As for `submit`.
            **named: As for `submit`.

        Raises:
            InvalidValue: What should be a list is none.
        """
        from toolkit.flows.later import Later  # noqa: PLC0415 - when something runs

        known = {name: value.result() if isinstance(value, Later) else value for name, value in lists.items()}
        for name, value in known.items():
            if not isinstance(value, list | tuple):
                raise InvalidValue(f"foreach of step {self.name!r} goes over {name} = {value!r}: wanted a list")
        rows = [dict(zip(known, row, strict=True)) for row in product(*known.values())]  # type: ignore[call-overload]
        same = {**(values or {}), **named}
        return [self._submit({**same, **row}, after, row, fan_out=True) for row in rows]

    def _submit(
        self, values: Mapping[str, object], after: object, shown: Mapping[str, object], *, fan_out: bool = False
    ) -> LaterResult:
        from toolkit.flows.later import later_result, needs_of, resolved  # noqa: PLC0415 - when something runs
        from toolkit.spec.binding import bind  # noqa: PLC0415 - the same

        calls = _calls()
        entry = calls.entry_point(self.name)
        owner = f"step {self.name!r}"
        bind(entry.parameters, values, owner=owner, typed=False, allow_undeclared=False)

        def bound() -> Mapping[str, object]:
            given = {name: resolved(value) for name, value in values.items()}
            return bind(entry.parameters, given, owner=owner, typed=False).values

        needs = [*needs_of(dict(values)), *needs_of(after)]
        return later_result(calls, calls.call(self.name, bound, needs=needs, shown=shown, fan_out=fan_out))


def best(results: LaterResult | Sequence[LaterResult], metric: str, mode: str) -> LaterResult:
    """Choose the result with the best value of a metric, once all of them are there.

    Args:
        results: Results of steps; those that failed count for nothing.
        metric: Name of the metric.
        mode: ``min`` or ``max``.
    """
    from toolkit.flows.later import chosen  # noqa: PLC0415 - when something runs

    return chosen(_calls(), results, metric, mode)


def expression(
    text: object,
    *,
    parameters: Mapping[str, object] | None = None,
    steps: Mapping[str, LaterResult | list[LaterResult]] | None = None,
) -> Later:
    """Work out a text with ``${{ … }}`` in it, as an MLproject does, once all of its steps are there.

    Args:
        text: The text, or a list or mapping of such texts.
        parameters: What ``parameters`` stands for in it.
        steps: What ``steps`` stands for: a step's result, or the list of those of a fan-out.
    """
    from toolkit.flows.later import evaluated  # noqa: PLC0415 - when something runs

    return evaluated(_calls(), text, parameters or {}, steps or {})


def _calls() -> Calls:
    from toolkit.flows.called_flow import current_calls  # noqa: PLC0415 - imports Prefect

    calls = current_calls()
    if calls is None:
        raise InvalidValue("a step was called outside of a flow: call it in a function that @workflow.flow makes one")
    return calls


def _plain(default: object) -> Any:  # noqa: ANN401 - a value of a document
    if default is inspect.Parameter.empty:
        return None
    return str(default) if isinstance(default, Path) else list(default) if isinstance(default, tuple) else default
