"""``search:`` as a file has it, and whether it fits with the rest of the step and with its entry point."""

from __future__ import annotations

from collections.abc import Iterator

from toolkit.errors import Mark, ProjectError
from toolkit.spec.document import Node
from toolkit.spec.expression import Template
from toolkit.spec.parameter_type import converted
from toolkit.spec.project import EntryPoint, Step
from toolkit.spec.search import Path, SearchTemplate
from toolkit.spec.search_space import Range


def read_search(node: Node, template: Template, step: str) -> SearchTemplate:
    """Read ``search:`` of a step.

    Args:
        node: The mapping.
        template: The same, with its expressions.
        step: Name of the step.

    Raises:
        ProjectError: Something in it is wrong.
    """
    made = SearchTemplate(step=step, template=template, marks=dict(_marks(node, ())))
    made.check()
    return made


def _marks(node: Node, path: Path) -> Iterator[tuple[Path, Mark]]:
    yield path, node.mark
    for key, inner in node.fields.items():
        yield from _marks(inner, (*path, key))
        yield (*path, key, "<key>"), node.key_marks[key]
    for index, inner in enumerate(node.items):
        yield from _marks(inner, (*path, index))


def check_search(step: Step, entry: EntryPoint | None) -> None:
    """Refuse a search that cannot be what was meant.

    Args:
        step: A step that has one.
        entry: What it runs.

    Raises:
        ProjectError: Two keys contradict each other, or a range does not have its parameter's type.
    """
    search = step.search
    assert search is not None
    if step.foreach:
        raise ProjectError(
            f"step {step.name!r} has foreach and search: keep one (a list in the space is tried value by value)",
            mark=search.template.mark,
        )
    source = search.template.source
    if step.concurrency is not None and isinstance(source, dict) and "concurrency" in source:
        raise ProjectError(
            f"step {step.name!r} gives 'concurrency' twice: keep the one under search", mark=search.mark("concurrency")
        )
    for name in search.parameters:
        if name in step.parameters:
            raise ProjectError(
                f"step {step.name!r} gives {name!r} under parameters and under search: keep one",
                mark=search.mark("space", name),
            )
    if entry is not None and entry.mark is not None:
        _check_types(search, entry)


def _check_types(search: SearchTemplate, entry: EntryPoint) -> None:
    for name, one in search.constant_space.items():
        parameter = entry.parameters.get(name)
        if parameter is None:  # said with the other parameters that are not there
            continue
        if parameter.type in ("int", "integer", "long") and _may_be_a_fraction(one):
            raise ProjectError(
                f"search of step {search.step!r}: {name!r} is an int, and its range is of any number: write"
                f" {{int: [{one.low:g}, {one.high:g}]}}",
                mark=search.mark("space", name),
            )
        for value in one.choices:
            try:
                converted(parameter, value)
            except ProjectError as error:
                message = f"search of step {search.step!r}: {error.message}"
                raise type(error)(message, mark=search.mark("space", name)) from error


def _may_be_a_fraction(one: Range) -> bool:
    return one.kind == "float" and not (one.step is not None and one.step.is_integer() and one.low.is_integer())
