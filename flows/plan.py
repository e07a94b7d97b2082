"""What is to run: a project's entry point or workflow with its values bound and checked. Nothing runs here.

An entry point alone is a workflow of one step.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from toolkit.errors import NotYetSupported, ProjectError, UnknownWorkflow
from toolkit.flows.registration import planned, registering_entry
from toolkit.flows.source import Source
from toolkit.flows.study import require_optuna
from toolkit.spec.binding import bind, check_types
from toolkit.spec.command import placeholders, render
from toolkit.spec.deploying import deploying_entry
from toolkit.spec.expression import RunFacts, Scope, Template
from toolkit.spec.location import locate
from toolkit.spec.project import EntryPoint, EnvironmentRef, Parameter, Project, Step, Workflow
from toolkit.spec.reader import entry_point, read_project
from toolkit.spec.search import SearchTemplate
from toolkit.spec.suggestion import hint
from toolkit.spec.workflow import dependencies, order
from toolkit.tracking.limits import check_params

MAX_COMBINATIONS = 10_000
"""Runs that one ``foreach`` may make."""

_REFUSED = re.compile(r"[/%&<>\x00-\x1f\x7f-\x9f\u2028\u2029]+")
"""What a flow's name may not hold: Prefect refuses some, and sends the name in a header, where lines cannot break."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Target:
    """What the user asked to run.

    Attributes:
        entry_point: Name of an entry point.
        workflow: Name of a workflow, instead; neither: the workflow ``main`` where there is one, else the entry point.
        parameters: Values given, by name.
        caller: Directory that relative paths among the values are relative to.
        to_show: Whether the plan is only shown: then a parameter may lack its value.
    """

    entry_point: str | None = None
    workflow: str | None = None
    parameters: Mapping[str, object] = field(default_factory=dict)
    caller: Path = field(default_factory=Path.cwd)
    to_show: bool = False

    def needed(self, parameters: Mapping[str, Parameter]) -> Mapping[str, Parameter]:
        """Return the parameters that must have a value: all, unless the plan is only shown."""
        if not self.to_show:
            return parameters
        return {name: spec for name, spec in parameters.items() if not spec.required or name in self.parameters}


@dataclass(frozen=True, kw_only=True, slots=True)
class Plan:
    """A workflow that is ready to be compiled.

    Attributes:
        source: Where the project's code comes from.
        project: The project.
        workflow: The workflow; for an entry point alone, one step of its name.
        entry_points: What each step runs, by step.
        parameters: The workflow's parameters with their values, defaults included.
        extra: Parameters that the entry point does not declare, appended to its command (for an entry point alone).
        given: Names of the parameters that the user gave a value for.
        single: Whether this is an entry point alone.
        registers: Whether steps register models: not where an earlier run is made again.
        caller: Directory that relative paths among the values are relative to.
    """

    source: Source
    project: Project
    workflow: Workflow
    entry_points: Mapping[str, EntryPoint]
    parameters: Mapping[str, object]
    extra: Mapping[str, object] = field(default_factory=dict)
    given: frozenset[str] = frozenset()
    single: bool = False
    registers: bool = True
    caller: Path = field(default_factory=Path.cwd)

    @property
    def flow_name(self) -> str:
        """Name of the Prefect flow: the project's, with the workflow's or entry point's unless that is ``main``."""
        project = self.project.name or self.project.directory.name or "project"
        name = project.strip() if self.workflow.name == "main" else f"{project.strip()}: {self.workflow.name}"
        return _REFUSED.sub("-", name)

    @property
    def given_here(self) -> frozenset[str]:
        """Names of the entry point's parameters whose paths are relative to the caller's directory alone.

        What the file says, as a default or as a step's value, may be relative to the project as well.
        """
        return self.given if self.single else frozenset()

    def environment(self, step: Step) -> EnvironmentRef | None:
        """Return the environment that a step runs in: its own, its entry point's, or the project's."""
        if step.entry_point is None:  # it registers or deploys: no command of the project's runs
            return None
        return step.environment or self.entry_points[step.name].environment or self.project.environment

    def command(self, step: Step, values: Mapping[str, object]) -> str:
        """Return the exact shell command of a step for values that are located (paths absolute)."""
        return render(self.entry_points[step.name], values, self.extra)


def make_plan(source: Source, target: Target) -> Plan:
    """Read the project and bind the values.

    Raises:
        ProjectError: The file, the target or a value is wrong; the message says where and what was wanted.
    """
    project = read_project(source.directory)
    if target.workflow is not None and target.entry_point is not None:
        raise ProjectError("an entry point and a workflow were asked for: choose one of -e and -w")
    name = target.workflow or ("main" if target.entry_point is None and "main" in project.workflows else None)
    if name is not None:
        return _plan_workflow(source, project, _workflow(project, name), target)
    return _plan_entry_point(source, project, entry_point(project, target.entry_point or "main"), target)


def check_runnable(plan: Plan) -> None:
    """Refuse what can be read and shown but not run: what is not supported yet, and what is sure to fail.

    Raises:
        NotYetSupported: The project runs on Databricks.
        ProjectError: The command of a step that begins at once cannot be made.
        InvalidValue: A parameter cannot be recorded.
    """
    check_supported(plan)
    if any(step.search is not None and step.search.may_need_optuna for step in plan.workflow.steps.values()):
        require_optuna()
    scope = _scope_before(plan)
    for step in plan.workflow.steps.values():
        if not dependencies(step) and (step.when is None or step.when.evaluate(scope)):
            for values in combinations(plan, step, scope):
                _check_command(plan, step, values)


def check_supported(plan: Plan) -> None:
    """Refuse what is not supported yet, and parameters that cannot be recorded, whatever the steps do.

    Raises:
        NotYetSupported: The project runs on Databricks.
        InvalidValue: A parameter cannot be recorded.
    """
    project = plan.project
    if project.databricks:
        raise NotYetSupported(f"{project.file} is a databricks_spark_job: it runs on Databricks only")
    check_params({name: str(value) for name, value in {**plan.parameters, **plan.extra}.items()})


def _workflow(project: Project, name: str) -> Workflow:
    if name in project.workflows:
        return project.workflows[name]
    raise UnknownWorkflow(f"there is no workflow {name!r}: {hint(name, project.workflows)}")


def _plan_workflow(source: Source, project: Project, workflow: Workflow, target: Target) -> Plan:
    owner = f"workflow {workflow.name!r}"
    bound = bind(target.needed(workflow.parameters), target.parameters, owner=owner, typed=True, allow_undeclared=False)
    entries = {}
    for step in workflow.steps.values():
        if step.deploy is not None:
            entries[step.name] = deploying_entry(step)
        elif step.entry_point is None:
            entries[step.name] = registering_entry(step)
        else:
            entries[step.name] = entry_point(project, step.entry_point)
        placeholders(entries[step.name])
    steps = {name: planned(step) if step.register is not None else step for name, step in workflow.steps.items()}
    return Plan(
        source=source,
        project=project,
        workflow=replace(workflow, steps=steps),
        entry_points=entries,
        parameters=located(project, workflow, bound.values, given=frozenset(target.parameters), caller=target.caller),
        given=frozenset(target.parameters),
        caller=target.caller,
    )


def located(
    project: Project, workflow: Workflow, values: Mapping[str, object], *, given: frozenset[str], caller: Path
) -> Mapping[str, object]:
    """Make the paths among a workflow's values absolute.

    Args:
        project: The project.
        workflow: The workflow.
        values: A value for each of its parameters.
        given: Names of those that the user gave.
        caller: Directory that relative paths are relative to.

    Raises:
        InvalidParameter: One is not there: that is said before anything runs.
    """
    owner = EntryPoint(name=workflow.name, command="", parameters=workflow.parameters)
    absolute, _ = locate(owner, values, given=given, caller=caller, project=project.directory, fetch=_unfetched)
    return absolute


def _plan_entry_point(source: Source, project: Project, entry: EntryPoint, target: Target) -> Plan:
    owner = f"entry point {entry.name!r}"
    bound = bind(target.needed(entry.parameters), target.parameters, owner=owner, typed=False)
    check_types(entry.parameters, bound.values)
    step = Step(
        name=entry.name,
        entry_point=entry.name,
        parameters={name: Template(source=f"${{{{ parameters[{name!r}] }}}}") for name in entry.parameters},
        mark=entry.mark,
    )
    plan = Plan(
        source=source,
        project=project,
        workflow=Workflow(name=entry.name, parameters=entry.parameters, steps={entry.name: step}, mark=entry.mark),
        entry_points={entry.name: entry},
        parameters=bound.values,
        extra=bound.extra,
        given=frozenset(target.parameters),
        single=True,
        caller=target.caller,
    )
    if target.to_show:
        placeholders(entry)
    else:
        _check_command(plan, step, bound.values)
    return plan


def _check_command(plan: Plan, step: Step, values: Mapping[str, object]) -> None:
    """Find what is wrong with a command while nothing runs yet."""
    located, _ = locate(
        plan.entry_points[step.name],
        values,
        given=plan.given_here,
        caller=plan.caller,
        project=plan.project.directory,
        fetch=_unfetched,
    )
    plan.command(step, located)


def _unfetched(uri: str) -> Path:
    """Stand for what will be fetched when the step runs."""
    return Path(uri)


def _scope_before(plan: Plan) -> Scope:
    """Return what expressions can see before anything has run."""
    return Scope(parameters=plan.parameters, run=RunFacts(id="RUN_ID", name="RUN_NAME", experiment="EXPERIMENT"))


def dry_run(plan: Plan) -> list[str]:
    """Return the exact shell command of each step that would run, in an order in which they could.

    What only a finished step can tell stands as the expression that asks for it. A ``foreach`` over such a value, or a
    condition on it, is left open: the command stands once.
    """
    scope = _scope_before(plan)
    commands = []
    for name in (name for level in order(plan.workflow) for name in level):
        step = plan.workflow.steps[name]
        if step.when is not None and not step.when.steps and not step.when.evaluate(scope):
            continue
        for values in combinations(plan, step, scope, open_ended=True):
            entry = plan.entry_points[name]
            fixed = {key: value for key, value in values.items() if not isinstance(value, _Unknown)}
            located, _ = locate(
                entry,
                fixed,
                given=plan.given_here,
                caller=plan.caller,
                project=plan.project.directory,
                fetch=_unfetched,
            )
            commands.append(plan.command(step, {key: located.get(key, values[key]) for key in values}))
    return commands


class _Unknown(str):
    """The text of an expression whose value is not known before the run."""

    __slots__ = ()


def combinations(plan: Plan, step: Step, scope: Scope, *, open_ended: bool = False) -> list[dict[str, object]]:
    """Return the values of each run of a step: one, or one for each combination of its ``foreach`` lists.

    Args:
        plan: What is to run.
        step: The step.
        scope: What expressions can see.
        open_ended: Put the text of an expression where its value is not known yet.

    Raises:
        ProjectError: An expression cannot be evaluated, or a ``foreach`` value is no list.
    """
    if step.search is not None:
        return [trial_values(plan, step, scope, _sample(step.search, scope, open_ended), open_ended=open_ended)]
    entry = plan.entry_points[step.name]
    fixed = {name: _value(template, scope, open_ended) for name, template in step.parameters.items()}
    rows: list[dict[str, object]] = [{}]
    for name, template in step.foreach.items():
        values = _value(template, scope, open_ended)
        if isinstance(values, _Unknown):
            values = [values]
        if not isinstance(values, list | tuple):
            raise ProjectError(
                f"foreach of step {step.name!r} goes over {name} = {values!r}: wanted a list", mark=template.mark
            )
        if len(rows) * len(values) > MAX_COMBINATIONS:
            raise ProjectError(
                f"foreach of step {step.name!r} has {len(rows) * len(values):,} combinations or more: at most"
                f" {MAX_COMBINATIONS:,}; give shorter lists, or try some of them with `search:`",
                mark=template.mark,
            )
        rows = [{**row, name: value} for row in rows for value in values]
    return [_bound(plan, entry, {**fixed, **row}) for row in rows]


def trial_values(
    plan: Plan, step: Step, scope: Scope, varied: Mapping[str, object], *, open_ended: bool = False
) -> dict[str, object]:
    """Return the values of one trial of a step that searches.

    Args:
        plan: What is to run.
        step: The step.
        scope: What expressions can see.
        varied: The values that the search has chosen.
        open_ended: Put the text of an expression where its value is not known yet.

    Raises:
        ProjectError: An expression cannot be evaluated.
    """
    fixed = {name: _value(template, scope, open_ended) for name, template in step.parameters.items()}
    return _bound(plan, plan.entry_points[step.name], {**fixed, **varied})


def _sample(search: SearchTemplate, scope: Scope, open_ended: bool) -> dict[str, object]:
    """Return values that stand for those of all trials."""
    if open_ended:
        return {name: _Unknown(f"<{name}>") for name in search.parameters}
    space = search.at(scope).space
    return {name: one.low if one.count is None else one.value(0) for name, one in space.items()}


def _value(template: Template, scope: Scope, open_ended: bool) -> object:
    if open_ended and template.steps:
        return _Unknown(template.source)
    return template.evaluate(scope)


def _bound(plan: Plan, entry: EntryPoint, values: dict[str, object]) -> dict[str, object]:
    """Add the entry point's defaults, in its own order."""
    if plan.single:
        return values
    return bind(entry.parameters, values, owner=f"entry point {entry.name!r}", typed=False).values
