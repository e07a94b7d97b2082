"""Read entry points, and find them by name."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path, PurePosixPath

from toolkit.errors import ProjectError, UnknownEntryPoint
from toolkit.spec.command import read_command
from toolkit.spec.declared_environment import KEYS as ENVIRONMENT_KEYS
from toolkit.spec.declared_environment import declared_environment
from toolkit.spec.document import Node
from toolkit.spec.lint import Findings, refuse_duplicates
from toolkit.spec.parameter import read_parameters
from toolkit.spec.project import EntryPoint, Project
from toolkit.spec.quoting import Quoting
from toolkit.spec.suggestion import hint, listing

OUR_KEYS = ("inputs", "outputs", "metrics", "strict", *ENVIRONMENT_KEYS)
"""Keys of an entry point that MLflow does not know."""

KEYS = ("parameters", "command", "description", *OUR_KEYS)
"""All keys of an entry point."""

DEFAULT = "main"
"""The entry point that runs where none is named."""


def entry_point(project: Project, name: str = DEFAULT) -> EntryPoint:
    """Return an entry point: a declared one, else a script of the project (``train.py``, ``run.sh``, ``fit.R``).

    Raises:
        UnknownEntryPoint: There is neither.
    """
    if name in project.entry_points:
        return project.entry_points[name]
    suffix = PurePosixPath(name).suffix
    if suffix not in _SCRIPTS:
        raise UnknownEntryPoint(
            f"there is no entry point {name!r} in {_where(project)} (scripts .py, .sh, .R need no"
            f" declaration): {_known(project, name)}"
        )
    if not (project.directory / name).is_file():
        raise UnknownEntryPoint(
            f"there is no entry point {name!r} in {_where(project)}, and no such file in {project.directory}:"
            f" {_known(project, name)}"
        )
    command = _SCRIPTS[suffix](f"./{name}" if name.startswith("-") else name)
    return EntryPoint(name=name, command=command.replace("{", "{{").replace("}", "}}"))


def _known(project: Project, name: str) -> str:
    guess = hint(name, project.entry_points, nothing="it declares none")
    return f"there are {listing(project.entry_points)}; {guess}" if guess.endswith("?") else guess


def _where(project: Project) -> str:
    return str(project.file) if project.file else f"{project.directory}, which has no MLproject file"


def _python(name: str) -> str:
    return f"python {shlex.quote(name)}"


def _shell(name: str) -> str:
    return f'"${{SHELL:-bash}}" {shlex.quote(name)}'


def _r(name: str) -> str:
    if shlex.quote(name) == name:
        return f"Rscript -e \"mlflow::mlflow_source('{name}')\" --args"
    text = name.replace("\\", "\\\\").replace("'", "\\'")
    call = f"mlflow::mlflow_source('{text}')"
    return f"Rscript -e {shlex.quote(call)} --args"


_SCRIPTS = {".py": _python, ".sh": _shell, ".R": _r}


def read_entry_points(
    node: Node | None, *, directory: Path, findings: Findings, typed: bool
) -> Mapping[str, EntryPoint]:
    """Read ``entry_points:``.

    Args:
        node: The mapping; ``None`` or null: there are none.
        directory: The project's directory.
        findings: Where warnings go.
        typed: Whether the file uses keys of ours, so that defaults must have their types.

    Raises:
        ProjectError: Something in it is wrong.
    """
    if node is None:
        return {}
    entries = {}
    for name, field in node.mapping("'entry_points'").items():
        entry = _read_entry_point(name, field, directory=directory, findings=findings, typed=typed)
        entry = replace(entry, mark=node.key_marks[name])
        _lint_command(entry, findings)
        entries[name] = entry
    return entries


def _read_entry_point(name: str, node: Node, *, directory: Path, findings: Findings, typed: bool) -> EntryPoint:
    owner = f"entry point {name!r}"
    if node.is_null:
        raise ProjectError(f"{owner} is empty: it needs a command", mark=node.mark)
    fields = node.mapping(owner)
    findings.unknown_keys(node, KEYS, owner)
    command = fields.get("command")
    if command is None or command.is_null:
        raise ProjectError(f'{owner} has no command: write command: "…"', mark=(command or node).mark)
    description = fields.get("description")
    return EntryPoint(
        name=name,
        command=command.string(f"the command of {owner}"),
        parameters=read_parameters(fields.get("parameters"), owner=owner, findings=findings, typed=typed),
        outputs=_outputs(fields.get("outputs"), owner),
        metrics=_paths(fields.get("metrics"), f"'metrics' of {owner}"),
        inputs=_inputs(fields.get("inputs"), owner),
        closed=_is_given(fields.get("outputs")) or _is_given(fields.get("metrics")),
        environment=declared_environment(node, directory=directory, owner=owner),
        description=None if description is None or description.is_null else description.text,
        strict=_flag(fields.get("strict"), f"'strict' of {owner}"),
        command_mark=command.mark,
        command_spelling=command.spelling,
    )


def _outputs(node: Node | None, owner: str) -> Mapping[str, str]:
    if node is None:
        return {}
    refuse_duplicates(node)
    fields = node.mapping(f"'outputs' of {owner}")
    return {name: _relative(field, f"output {name!r} of {owner}") for name, field in fields.items()}


def _paths(node: Node | None, what: str) -> tuple[str, ...]:
    if node is None or node.is_null:
        return ()
    nodes = node.items if node.kind == "list" else (node,)
    return tuple(_relative(item, what) for item in nodes)


def _inputs(node: Node | None, owner: str) -> tuple[str, ...] | None:
    return _paths(node, f"'inputs' of {owner}") if node is not None and not node.is_null else None


def _is_given(node: Node | None) -> bool:
    return node is not None and not node.is_null


def _relative(node: Node, what: str) -> str:
    """Return a path that stays inside the directory that the command runs in."""
    path = node.string(what)
    parts = PurePosixPath(path)
    if not path or parts.is_absolute() or ".." in parts.parts:
        raise ProjectError(f"{what} is {path!r}: it must be a path inside the project's directory", mark=node.mark)
    return path


def _flag(node: Node | None, what: str) -> bool:
    if node is None or node.is_null:
        return False
    if isinstance(node.value, bool):
        return node.value
    raise ProjectError(f"{what} must be true or false, not {node.described}", mark=node.mark)


_SECOND_SHELL = re.compile(r"(?:^|[\s;&|(`])(?:eval|(?:ba|da|z|k)?sh(?: +-\w+)* +-\w*c)\s")
_QUOTES = frozenset({Quoting.SINGLE, Quoting.DOUBLE, Quoting.ANSI})


def _lint_command(entry: EntryPoint, findings: Findings) -> None:
    """Warn about what is likely a mistake in a command."""
    try:
        fields, reading = read_command(entry)
    except ProjectError as error:
        findings.add(error.message, error.mark, rule="undeclared-parameter")
        return
    place = entry.command_spelling.place if entry.command_spelling else None
    for number, field in enumerate(fields):
        if reading.contexts[number].dollar:
            findings.add(
                f"${{{field.source}}} in the command of {entry.name!r} is a dollar sign and a placeholder:"
                f" write ${{{{{field.source}}}}} for a variable of the shell",
                place("{", field.brace) if place else entry.command_mark,
                rule="dollar-placeholder",
            )
    inner = [field for number, field in enumerate(fields) if reading.contexts[number].quoting in _QUOTES]
    if inner and _SECOND_SHELL.search(entry.command):
        findings.add(
            f"{{{inner[0].source}}} in the command of {entry.name!r} is read by a second shell, which takes the value"
            f" for code: hand it on as an argument, such as bash -c '… \"$1\"' - {{{inner[0].source}}}",
            place("{", inner[0].brace) if place else entry.command_mark,
            rule="second-shell",
        )
    if reading.pipes and not entry.strict:
        findings.add(
            f"the command of {entry.name!r} has a pipe, so a failure before it goes unnoticed:"
            " 'strict: true' runs it under set -euo pipefail",
            place("|", reading.pipes[0]) if place else entry.command_mark,
            rule="pipe",
        )
