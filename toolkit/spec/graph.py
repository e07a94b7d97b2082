"""The graph of a workflow: what needs what, in which order, and whether all the names in it fit."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from toolkit.errors import Mark, MissingParameters, ProjectError, UnknownEntryPoint
from toolkit.spec.deploying import deploying_entry
from toolkit.spec.entry_point import entry_point
from toolkit.spec.expression import Reference, Template
from toolkit.spec.parameter_type import converted
from toolkit.spec.project import EntryPoint, Project, Step, Workflow
from toolkit.spec.scope import OUTPUT_FIELDS, RUN_FIELDS, STEP_FIELDS
from toolkit.spec.search_rules import check_search
from toolkit.spec.suggestion import hint, listing


def dependencies(step: Step) -> frozenset[str]:
    """Return the names of the steps that must have ended before a step: those it refers to and those it needs."""
    return frozenset(step.needs).union(*(template.steps for template in templates(step)))


def takes_best_only(step: Step, name: str) -> bool:
    """Tell whether all that a step takes of another one, which searches, is its best trial's.

    Args:
        step: The step.
        name: Name of the one that searches.
    """
    paths = [r.path for template in templates(step) for r in template.references if r.path[:2] == ("steps", name)]
    return bool(paths) and name not in step.needs and all(path[2:3] == ("best",) for path in paths)


def order(workflow: Workflow) -> list[list[str]]:
    """Return the steps by level: those of one level need only those of the levels before. File order within.

    Raises:
        ProjectError: Steps need each other in a circle.
    """
    waiting = {name: dependencies(step) & workflow.steps.keys() for name, step in workflow.steps.items()}
    done: set[str] = set()
    levels: list[list[str]] = []
    while waiting:
        level = [name for name, needs in waiting.items() if needs <= done]
        if not level:
            circle = _circle(waiting, done)
            raise ProjectError(
                f"the steps of workflow {workflow.name!r} need each other in a circle: {' -> '.join(circle)};"
                " take one of these edges away",
                mark=workflow.steps[circle[0]].mark,
            )
        levels.append(level)
        done.update(level)
        for name in level:
            del waiting[name]
    return levels


def check_workflow(project: Project, workflow: Workflow) -> None:
    """Refuse a workflow in which a name does not fit, before anything runs.

    Raises:
        UnknownEntryPoint: A step names an entry point that is not there.
        MissingParameters: A step does not give what its entry point requires.
        InvalidParameter: A step gives a value that does not have the declared type.
        ProjectError: A step needs or refers to what is not there, or steps need each other in a circle.
    """
    entries = {name: _entry(project, step) for name, step in workflow.steps.items()}
    for step in workflow.steps.values():
        _check_parameters(step, entries[step.name])
        for need in step.needs:
            _check_step_name(workflow, step, need, step.mark)
        if step.search is not None:
            check_search(step, entries[step.name])
            if step.register is not None:
                raise ProjectError(
                    f"step {step.name!r} searches, and would register a model of each trial: register the best one in a"
                    f' step of its own, from: "${{{{ steps.{step.name}.best.outputs.NAME }}}}"',
                    mark=step.register.mark or step.mark,
                )
        for template in templates(step):
            for reference in template.references:
                _check_reference(workflow, step, entries, reference)
    order(workflow)


def templates(step: Step) -> Iterator[Template]:
    """Return all values of a step that may hold expressions."""
    yield from step.parameters.values()
    yield from step.foreach.values()
    if step.search is not None:
        yield step.search.template
    if step.when is not None:
        yield step.when
    if step.register is not None:
        yield step.register.source
        yield from (each for each in (step.register.description, step.register.tags) if each is not None)


def _circle(waiting: Mapping[str, frozenset[str]], done: set[str]) -> list[str]:
    """Return a circle among steps that all wait for each other: ``a, b, a``, where a needs b."""
    path = [next(iter(waiting))]
    while True:
        needs = waiting[path[-1]] - done
        following = next(name for name in waiting if name in needs)
        if following in path:
            return [*path[path.index(following) :], following]
        path.append(following)


def _entry(project: Project, step: Step) -> EntryPoint | None:
    """Return a step's entry point; ``None`` for a step that only registers."""
    if step.deploy is not None:
        return deploying_entry(step)
    if step.entry_point is None:
        return None
    try:
        return entry_point(project, step.entry_point)
    except UnknownEntryPoint as error:
        raise UnknownEntryPoint(f"step {step.name!r}: {error.message}", mark=step.mark) from error


def _check_parameters(step: Step, entry: EntryPoint | None) -> None:
    varied = {} if step.search is None else dict.fromkeys(step.search.parameters, step.search.template)
    given = {**step.parameters, **step.foreach, **varied}
    if entry is None:
        if given:
            name, template = next(iter(given.items()))
            raise ProjectError(
                f"step {step.name!r} only registers a model: it has no command that could take {name!r}",
                mark=template.mark,
            )
        return
    for name in step.parameters:
        if name in step.foreach:
            raise ProjectError(
                f"step {step.name!r} gives {name!r} under parameters and under foreach: keep one",
                mark=step.foreach[name].mark,
            )
    if entry.mark is None:  # a script that is not declared takes anything
        return
    for name, template in given.items():
        if name not in entry.parameters:
            raise ProjectError(
                f"step {step.name!r} gives {name!r}, and entry point {entry.name!r} has no such parameter:"
                f" {hint(name, entry.parameters, nothing='it declares none')}",
                mark=template.mark,
            )
    _check_values(step, entry)
    filled = {name for name, template in given.items() if template.source is not None}
    missing = [name for name, parameter in entry.parameters.items() if parameter.required and name not in filled]
    if missing:
        raise MissingParameters(
            f"No value given for missing parameters: {listing(missing)}; entry point {entry.name!r} requires"
            f" {'it' if len(missing) == 1 else 'them'}: give {'it' if len(missing) == 1 else 'them'} under parameters"
            f" or foreach of step {step.name!r}",
            mark=step.mark,
        )


def _check_values(step: Step, entry: EntryPoint) -> None:
    """Refuse plain values that do not have the declared type."""
    values = [(name, template.source, template) for name, template in step.parameters.items()]
    for name, template in step.foreach.items():
        if isinstance(template.source, list):
            values += [(name, Template(source=item).source, template) for item in template.source]
    for name, value, template in values:
        if value is not None and Template(source=value).constant:
            try:
                converted(entry.parameters[name], value)
            except ProjectError as error:
                raise type(error)(f"step {step.name!r}: {error.message}", mark=template.mark) from error


def _check_step_name(workflow: Workflow, step: Step, name: str, mark: Mark | None) -> None:
    if name == step.name:
        raise ProjectError(f"step {name!r} refers to itself: a step can only use what others leave", mark=mark)
    if name not in workflow.steps:
        others = [other for other in workflow.steps if other != step.name]
        raise ProjectError(
            f"step {step.name!r} refers to {name!r}, and workflow {workflow.name!r} has no such step:"
            f" {hint(name, others, nothing='it has no other')}",
            mark=mark,
        )


def _check_reference(
    workflow: Workflow, step: Step, entries: Mapping[str, EntryPoint | None], reference: Reference
) -> None:
    path, mark = reference.path, reference.mark
    if path[0] == "parameters" and len(path) > 1 and path[1] not in workflow.parameters:
        known = hint(path[1], workflow.parameters, nothing="it declares none")
        raise ProjectError(f"workflow {workflow.name!r} has no parameter {path[1]!r}: {known}", mark=mark)
    if path[0] == "run" and path[1] not in RUN_FIELDS:
        raise ProjectError(f"run has no {path[1]!r}: {hint(path[1], RUN_FIELDS)}", mark=mark)
    if path[0] == "steps":
        _check_step_name(workflow, step, path[1], mark)
        searched = workflow.steps[path[1]].search is not None
        own = path[3:] if searched and path[2:3] == ("best",) else path[2:]
        _check_result(path[1], entries[path[1]], own, mark)


def _check_result(name: str, entry: EntryPoint | None, path: tuple[str, ...], mark: Mark | None) -> None:
    """Refuse what a step's result does not have, as far as it is declared."""
    if path and path[0] not in STEP_FIELDS:
        raise ProjectError(f"a step has no {path[0]!r}: {hint(path[0], STEP_FIELDS)}", mark=mark)
    if len(path) < 2:
        return
    kind, member = path[0], path[1]
    outputs = entry.outputs if entry is not None else {}
    if kind == "outputs" and member not in outputs:
        owner = f"entry point {entry.name!r}" if entry is not None else f"step {name!r}, which only registers,"
        raise ProjectError(
            f"{owner} declares no output {member!r}: {hint(member, outputs, nothing='it declares none; add outputs:')}",
            mark=mark,
        )
    if kind == "outputs" and len(path) > 2 and path[2] not in OUTPUT_FIELDS:
        raise ProjectError(f"an output has no {path[2]!r}: {hint(path[2], OUTPUT_FIELDS)}", mark=mark)
    declared = entry is not None and entry.mark is not None
    if kind == "parameters" and declared and entry is not None and member not in entry.parameters:
        known = hint(member, entry.parameters, nothing="it declares none")
        raise ProjectError(f"entry point {entry.name!r} has no parameter {member!r}: {known}", mark=mark)
