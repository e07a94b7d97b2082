"""Read workflows, and find them by name."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

from toolkit.errors import Mark, ProjectError, UnknownWorkflow
from toolkit.spec.declared_environment import step_environment
from toolkit.spec.deploying import read_deploying
from toolkit.spec.document import Node
from toolkit.spec.expression import Template, holes
from toolkit.spec.graph import check_workflow, dependencies, order
from toolkit.spec.lint import refuse_duplicates, refuse_unknown_keys
from toolkit.spec.parameter import read_typed_parameters
from toolkit.spec.project import Deploying, Project, Registration, Step, Workflow
from toolkit.spec.search_rules import read_search
from toolkit.spec.suggestion import hint

__all__ = ["check_workflow", "dependencies", "order", "read_workflows", "workflow"]

WORKFLOW_KEYS = ("parameters", "steps", "cache", "description")
"""The keys of a workflow."""

STEP_KEYS = (
    *("entry_point", "parameters", "needs", "foreach", "when", "retries", "retry_delay", "timeout", "cache", "env"),
    *("register", "deploy", "concurrency", "search"),
)
"""The keys of a step."""

REGISTER_KEYS = ("model", "from", "alias", "stage", "archive_existing", "request", "description", "tags")
"""The keys of ``register:``."""

_DURATION = re.compile(r"(?:(\d+)d)?(?:(\d+)h)?(?:(\d+)m)?(?:(\d+(?:\.\d+)?)s)?", re.ASCII)
_UNITS = (86400, 3600, 60, 1)
_T = TypeVar("_T")


def workflow(project: Project, name: str) -> Workflow:
    """Return a workflow by name.

    Raises:
        UnknownWorkflow: There is none of that name.
    """
    if name in project.workflows:
        return project.workflows[name]
    known = hint(name, project.workflows, nothing="it declares none")
    raise UnknownWorkflow(f"there is no workflow {name!r} in {project.file or project.directory}: {known}")


def read_workflows(node: Node | None, *, directory: Path, entry_points: Collection[str] = ()) -> Mapping[str, Workflow]:
    """Read ``workflows:``; whether names and references fit is checked by `check_workflow`.

    Args:
        node: The mapping; ``None`` or null: there are none.
        directory: The project's directory.
        entry_points: Names of the declared entry points.

    Raises:
        ProjectError: Something in it is wrong: a key, a value, an expression's syntax.
    """
    if node is None:
        return {}
    refuse_duplicates(node)
    fields = node.mapping("'workflows'")
    return {
        name: _workflow(name, field, node.key_marks[name], directory, entry_points) for name, field in fields.items()
    }


def _workflow(name: str, node: Node, mark: Mark, directory: Path, entry_points: Collection[str]) -> Workflow:
    owner = f"workflow {name!r}"
    fields = node.mapping(owner)
    refuse_unknown_keys(node, WORKFLOW_KEYS, owner)
    steps = fields.get("steps")
    if steps is None or not steps.mapping(f"'steps' of {owner}"):
        raise ProjectError(f"{owner} has no steps: write steps: {{NAME: {{…}}}}", mark=(steps or node).mark)
    description = fields.get("description")
    cache = fields.get("cache")
    cached = cache is not None and not cache.is_null and _flag(cache, f"'cache' of {owner}")
    return Workflow(
        name=name,
        parameters=read_typed_parameters(fields.get("parameters"), owner=owner),
        steps={
            key: _step(key, _StepFields(field, f"step {key!r}"), steps.key_marks[key], directory, entry_points, cached)
            for key, field in steps.fields.items()
        },
        description=None if description is None or description.is_null else description.text,
        mark=mark,
    )


class _StepFields:
    """The keys of a step; a null value is one that is not there."""

    def __init__(self, node: Node, owner: str) -> None:
        self.owner = owner
        self._fields = {key: field for key, field in node.mapping(owner).items() if not field.is_null}
        refuse_unknown_keys(node, STEP_KEYS, owner)

    def __contains__(self, key: str) -> bool:
        return key in self._fields

    def take(self, key: str, read: Callable[[Node, str], _T]) -> _T | None:
        """Return what ``read`` makes of a key's value, or ``None`` where the key is not there."""
        return read(self._fields[key], f"{key!r} of {self.owner}") if key in self else None


def _step(
    name: str, given: _StepFields, mark: Mark, directory: Path, entry_points: Collection[str], cached: bool
) -> Step:
    wanted = given.take("cache", _flag)
    deploy = given.take("deploy", lambda node, what: read_deploying(node, what, template))
    if deploy is not None:
        _check_deploying(name, given, deploy, entry_points)
    only_registers = "register" in given and "entry_point" not in given and name not in entry_points
    search = given.take("search", lambda node, _: read_search(node, template(node), name))
    return Step(
        name=name,
        entry_point=None if only_registers or deploy is not None else given.take("entry_point", _text) or name,
        parameters=deploy.values if deploy is not None else given.take("parameters", _templates) or {},
        needs=given.take("needs", _names) or (),
        foreach=given.take("foreach", _foreach) or {},
        when=given.take("when", _when),
        retries=given.take("retries", _count) or 0,
        retry_delay=given.take("retry_delay", _seconds) or 0.0,
        timeout=given.take("timeout", _positive_seconds),
        cache=(cached if wanted is None else wanted) and deploy is None,
        environment=given.take("env", lambda node, _: step_environment(node, directory=directory, owner=given.owner)),
        register=given.take("register", _registration),
        deploy=deploy,
        concurrency=given.take("concurrency", _positive_count),
        search=search,
        mark=mark,
    )


def _check_deploying(name: str, given: _StepFields, deploy: Deploying, entry_points: Collection[str]) -> None:
    """Refuse what a step cannot do besides.

    Raises:
        ProjectError: It has a command of its own, registers, or is to be run many times.
    """
    beside = [key for key in ("entry_point", "parameters", "foreach", "search", "register", "env") if key in given]
    if beside or name in entry_points:
        other = repr(beside[0]) if beside else "an entry point of its name"
        raise ProjectError(
            f"step {name!r} deploys, and has {other} as well: give 'deploy' a step of its own", mark=deploy.mark
        )


# -- values ----------------------------------------------------------------------------------------


def template(node: Node) -> Template:
    """Return a value that may hold expressions, with their places.

    Raises:
        ExpressionError: An expression cannot be read.
    """
    places = []
    for inner in node.walk():
        if inner.kind == "scalar" and isinstance(inner.value, str) and inner.spelling is not None:
            for hole in holes(inner.value):
                place = inner.spelling.place("{", inner.value.count("{", 0, hole.start))
                places.append(replace(place, column=max(place.column - 1, 1)))
    made = Template(source=node.value, mark=node.mark, places=tuple(places))
    _ = made.references  # reads every expression
    return made


def _templates(node: Node, what: str) -> Mapping[str, Template]:
    return {name: template(field) for name, field in node.mapping(what).items()}


def _foreach(node: Node, what: str) -> Mapping[str, Template]:
    fields = node.mapping(what)
    if not fields:
        raise ProjectError(f"{what} is empty: write {{PARAMETER: [values]}}", mark=node.mark)
    for name, field in fields.items():
        expression = field.kind == "scalar" and isinstance(field.value, str) and "${{" in field.value
        if field.kind != "list" and not expression:
            raise ProjectError(
                f"{name!r} in {what} must be a list, or an expression that gives one, not {field.described}",
                mark=field.mark,
            )
    return _templates(node, what)


def _when(node: Node, what: str) -> Template:
    made = template(node)
    if made.constant and not isinstance(node.value, bool):
        raise ProjectError(
            f"{what} is {node.described}: it must be an expression, such as"
            ' "${{ steps.train.metrics.rmse < 0.8 }}"',
            mark=node.mark,
        )
    return made


def _text(node: Node, what: str) -> str:
    return node.string(what)


def _names(node: Node, what: str) -> tuple[str, ...]:
    if node.kind == "scalar":
        return (node.string(what),)
    return tuple(dict.fromkeys(item.string(f"an item of {what}") for item in node.sequence(what)))


def _flag(node: Node, what: str) -> bool:
    if isinstance(node.value, bool):
        return node.value
    raise ProjectError(f"{what} must be true or false, not {node.described}", mark=node.mark)


def _count(node: Node, what: str) -> int:
    if isinstance(node.value, int) and not isinstance(node.value, bool) and node.value >= 0:
        return node.value
    raise ProjectError(f"{what} must be a whole number, 0 or more, not {node.described}", mark=node.mark)


def _positive_count(node: Node, what: str) -> int:
    if isinstance(node.value, int) and not isinstance(node.value, bool) and node.value > 0:
        return node.value
    raise ProjectError(f"{what} must be a whole number, 1 or more, not {node.described}", mark=node.mark)


def _seconds(node: Node, what: str) -> float:
    value = node.value
    if isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < math.inf:
        return float(value)
    found = _DURATION.fullmatch(value) if isinstance(value, str) and value else None
    if found is None:
        raise ProjectError(
            f"{what} must be seconds or a time such as 90s, 10m or 1h30m, not {node.described}", mark=node.mark
        )
    return sum(float(part) * unit for part, unit in zip(found.groups(), _UNITS, strict=True) if part)


def _positive_seconds(node: Node, what: str) -> float:
    seconds = _seconds(node, what)
    if seconds > 0:
        return seconds
    raise ProjectError(f"{what} must be more than 0 seconds", mark=node.mark)


def _registration(node: Node, what: str) -> Registration:
    fields = node.mapping(what)
    refuse_unknown_keys(node, REGISTER_KEYS, what)
    for key in ("model", "from"):
        if key not in fields or fields[key].is_null:
            raise ProjectError(
                f'{what} needs {key!r}: write {{model: NAME, from: "${{{{ steps.STEP.outputs.NAME }}}}"}}',
                mark=node.mark,
            )
    texts = {
        key: fields[key].string(f"{key!r} in {what}")
        for key in ("model", "alias", "stage")
        if key in fields and not fields[key].is_null
    }
    given = {key: field for key, field in fields.items() if not field.is_null}
    return Registration(
        model=texts["model"],
        source=template(fields["from"]),
        alias=texts.get("alias"),
        stage=texts.get("stage"),
        archive_existing=_flagged(given, "archive_existing", what),
        request=_flagged(given, "request", what),
        description=template(given["description"]) if "description" in given else None,
        tags=_tags(given["tags"], f"'tags' in {what}") if "tags" in given else None,
        mark=node.mark,
    )


def _flagged(given: Mapping[str, Node], key: str, what: str) -> bool:
    return key in given and _flag(given[key], f"{key!r} in {what}")


def _tags(node: Node, what: str) -> Template:
    node.mapping(what)
    return template(node)
