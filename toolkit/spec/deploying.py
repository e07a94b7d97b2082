"""Steps that let a version serve: ``deploy:`` of a workflow's step. Such a step runs the command that does the same."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

from toolkit.errors import ProjectError
from toolkit.spec.document import Node
from toolkit.spec.expression import Template
from toolkit.spec.lint import refuse_unknown_keys
from toolkit.spec.project import Deploying, EntryPoint, Parameter, Step

DEPLOY_KEYS = ("name", "model", "target", "workers", "follow_alias", "wait", "reason", "options", "config")
"""The keys of ``deploy:``."""

LEFT = "deployment"
"""The output of such a step: what ``toolkit deployments create --json`` prints."""

_OPTION = {"name": "--name", "model": "--model", "target": "--target", "workers": "--workers", "wait": "--wait"}
_OPTION |= {"follow_alias": "--follow-alias", "reason": "--reason"}
_MAPPINGS = {"options": ("option", "--option"), "config": ("config", "--config")}
_KEY = re.compile(r"[A-Za-z0-9_.-]+")


def read_deploying(node: Node, what: str, template: Callable[[Node], Template]) -> Deploying:
    """Read ``deploy:``.

    Args:
        node: Its value.
        what: How messages call it.
        template: Reads a value that may hold expressions.

    Raises:
        ProjectError: A key is not known or missing, or a value is of another kind.
    """
    fields = {key: field for key, field in node.mapping(what).items() if not field.is_null}
    refuse_unknown_keys(node, DEPLOY_KEYS, what)
    for key in ("name", "model"):
        if key not in fields:
            raise ProjectError(
                f'{what} needs {key!r}: write {{name: NAME, model: "${{{{ steps.STEP.parameters.uri }}}}"}}',
                mark=node.mark,
            )
    values: dict[str, Template] = {}
    command = ["toolkit deployments create --or-update"]
    for key in DEPLOY_KEYS:
        if key in _OPTION and key in fields:
            if fields[key].kind != "scalar":
                raise ProjectError(f"{key!r} in {what} is one value, not {fields[key].described}", mark=node.mark)
            values[key] = template(fields[key])
            command.append(f"{_OPTION[key]} {{{key}}}")
        elif key in fields:
            command += _pairs(fields[key], key, f"{key!r} in {what}", template, values)
    command.append(f"--json > {LEFT}.json")
    return Deploying(command=" ".join(command), values=values, mark=node.mark)


def _pairs(
    node: Node, key: str, what: str, template: Callable[[Node], Template], values: dict[str, Template]
) -> list[str]:
    """Return what a mapping adds to the command; its values are put beside the others."""
    prefix, option = _MAPPINGS[key]
    words = []
    for number, (name, field) in enumerate(node.mapping(what).items(), start=1):
        if not _KEY.fullmatch(name):
            raise ProjectError(
                f"{name!r} in {what}: wanted a name of letters, digits and . _ -", mark=node.key_marks[name]
            )
        if field.kind != "scalar":
            raise ProjectError(f"{name!r} in {what} is one value, not {field.described}", mark=field.mark)
        plain = re.sub(r"[^A-Za-z0-9]", "_", name)
        parameter = f"{prefix}_{plain}" if f"{prefix}_{plain}" not in values else f"{prefix}_{plain}_{number}"
        values[parameter] = template(field)
        words.append(f"{option} {name}={{{parameter}}}")
    return words


def deploying_entry(step: Step) -> EntryPoint:
    """Return the entry point of a step that deploys: the command that would do the same, and does it."""
    wanted = step.deploy
    assert wanted is not None
    parameters: Mapping[str, Parameter] = {name: Parameter(name=name) for name in wanted.values}
    return EntryPoint(
        name=step.name,
        command=wanted.command,
        parameters=parameters,
        outputs={LEFT: f"{LEFT}.json"},
        inputs=(),
        closed=True,
        description="Let a version of a registered model serve.",
        mark=wanted.mark or step.mark,
    )
