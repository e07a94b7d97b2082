"""The rules of ``toolkit lint``: what is wrong, likely wrong, or old-fashioned in a project, and where."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from toolkit.errors import Mark, MissingParameters, ProjectError, UnknownEntryPoint
from toolkit.spec.command import read_command
from toolkit.spec.document import Node, parse_document, read_text
from toolkit.spec.entry_point import DEFAULT
from toolkit.spec.environment_rules import environment_findings
from toolkit.spec.finding import Finding, Level, Look
from toolkit.spec.graph import dependencies, templates
from toolkit.spec.parameter_type import TYPES
from toolkit.spec.project import EntryPoint, Parameter, Project, Step
from toolkit.spec.reader import find_file, parse_project
from toolkit.spec.suggestion import hint
from toolkit.spec.value_rules import value_findings

__all__ = ["RULES", "Finding", "Linted", "lint_directory"]

RULES: Mapping[str, str] = {
    "invalid": "The project cannot be run as it is written.",
    "circle": "Steps need each other in a circle.",
    "missing-parameter": "A step does not give what its entry point requires.",
    "unknown-entry-point": "A step runs an entry point that is not declared.",
    "missing-file": "A file that is named is not there.",
    "undeclared-parameter": "A command uses a parameter that is not declared.",
    "shell-syntax": "The shell cannot read a command.",
    "unknown-key": "A key means nothing, and is ignored.",
    "duplicate-key": "A key stands there twice; the last one counts.",
    "default-type": "A default does not have its declared type.",
    "unused-parameter": "A parameter is declared, and nothing uses it.",
    "dollar-placeholder": "${name} is a dollar sign and a placeholder, not a variable of the shell.",
    "second-shell": "A value is read by a second shell, which takes it for code.",
    "pipe": "A failure before a pipe goes unnoticed.",
    "unquoted-value": "YAML reads a value as something else than it looks like.",
    "unpinned": "A requirement has no version, so the environment is another one tomorrow.",
    "unpinned-python": "No version of Python is named.",
    "defaults-channel": "conda's defaults channel has terms of use that companies have to pay for.",
    "conda-packages": "Packages of conda that a pip-style environment cannot bring.",
    "old-python": "A version of Python that gets no security fixes any more.",
    "unknown-type": "A type that nothing acts on.",
    "missing-type": "A default is a number, and the parameter has no type.",
    "path-type": "A default is a file of the project, and the parameter is not a path.",
    "uri-type": "A default is an address, and the parameter is not a uri.",
    "lone-step": "A step has nothing to do with the others.",
    "no-main": "There is neither an entry point nor a workflow main.",
    "no-name": "The project has no name.",
    "no-environment": "No environment is declared: steps run in whatever runs toolkit.",
    "old-fashioned": "There is a newer way to say it.",
    "image-tag": "An image has no tag, or the tag latest: it is another one tomorrow.",
}
"""Each rule, and what it is about."""

_LEVELS: Mapping[str, Level] = {
    **dict.fromkeys(
        (
            *("invalid", "circle", "missing-parameter", "unknown-entry-point", "missing-file"),
            *("undeclared-parameter", "shell-syntax"),
        ),
        "error",
    ),
    **dict.fromkeys(
        (
            *("unknown-type", "missing-type", "path-type", "uri-type", "lone-step", "no-main", "no-name"),
            *("no-environment", "old-fashioned", "image-tag", "conda-packages", "unpinned-python"),
        ),
        "note",
    ),
}
"""How bad it is, by rule; all others are warnings."""

_SCRIPT = re.compile(
    r"(?:^|[;&|(]\s*|\n\s*)(?:python[\d.]*(?:\s+-[OuB]+)*|bash|sh|Rscript)\s+([\w./-]+\.(?:py|sh|R))\b"
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Linted:
    """What lint has looked at.

    Attributes:
        file: The MLproject; ``None`` for a project without one.
        findings: What it has to say, by place.
        project: The project, where it can be read.
    """

    file: Path | None
    findings: tuple[Finding, ...]
    project: Project | None


def lint_directory(directory: Path, shell: Callable[[EntryPoint], str | None] = lambda _: None) -> Linted:
    """Look at the project in a directory.

    Args:
        directory: The project's directory.
        shell: Returns what the shell says that is wrong with an entry point's command, if anything.

    Raises:
        ProjectError: Its file cannot be read at all.
    """
    file = find_file(directory)
    if file is None:
        return Linted(file=None, findings=(), project=None)
    text = read_text(file)
    root = parse_document(text, file=str(file))
    if root is None:
        return Linted(file=file, findings=(_whole("invalid", file, "the file is empty"),), project=None)
    findings: list[Finding] = []
    project: Project | None = None
    try:
        project = parse_project(text, directory=directory, file=file)
    except ProjectError as error:
        rule = _rule_of(error)
        findings.append(Finding(rule=rule, message=error.message, mark=error.mark or _top(file)))
    look = Look(directory=directory, file=file, root=root)
    findings += value_findings(look)
    if project is not None:
        findings += [Finding(rule=w.rule, message=w.message, mark=w.mark or _top(file)) for w in project.warnings]
        findings += _project(look, project)
        findings += environment_findings(look, project)
        for entry in project.entry_points.values():
            environment = entry.environment or project.environment
            contained = environment is not None and environment.kind == "docker_env"  # its code may be in the image
            findings += _entry(look, entry, shell, contained=contained)
        findings += _workflows(project)
    unique = {(one.rule, one.mark, one.message): one for one in findings}
    placed = [replace(one, level=_LEVELS.get(one.rule, "warning")) for one in unique.values()]
    return Linted(
        file=file,
        findings=tuple(sorted(placed, key=lambda one: (one.mark.file != str(file), one.mark.file, one.mark.line))),
        project=project,
    )


def _top(file: Path) -> Mark:
    return Mark(file=str(file), line=1)


def _whole(rule: str, file: Path, message: str) -> Finding:
    return Finding(rule=rule, message=message, mark=_top(file), level=_LEVELS.get(rule, "warning"))


def _rule_of(error: ProjectError) -> str:
    if isinstance(error, MissingParameters):
        return "missing-parameter"
    if isinstance(error, UnknownEntryPoint):
        return "unknown-entry-point"
    if "in a circle" in error.message or "refers to itself" in error.message:
        return "circle"
    return "missing-file" if "names the file" in error.message else "invalid"


def _project(look: Look, project: Project) -> Iterator[Finding]:
    """Look at what stands at the top of the file."""
    top = _top(look.file)
    if look.file.name != "MLproject":
        yield Finding(
            rule="old-fashioned", mark=top, message=f"the file is called {look.file.name}: MLproject is its name"
        )
    if not project.name:
        yield Finding(rule="no-name", mark=top, message="the project has no name: flows are named after its directory")
    if project.databricks:
        mark = look.root.key_marks["databricks_spark_job"]
        yield Finding(
            rule="old-fashioned",
            mark=mark,
            message="databricks_spark_job runs on Databricks only: declare entry points",
        )
    elif DEFAULT not in project.entry_points and DEFAULT not in project.workflows:
        names = ", ".join(project.entry_points) or "none"
        yield Finding(
            rule="no-main", mark=top, message=f"there is no main to run where nothing is named; entry points: {names}"
        )


def _entry(
    look: Look, entry: EntryPoint, shell: Callable[[EntryPoint], str | None], *, contained: bool
) -> Iterator[Finding]:
    mark = entry.command_mark or entry.mark or _top(look.file)
    try:
        fields, _ = read_command(entry)
    except ProjectError:
        return  # the reader has said so
    used = {field.name for field in fields}
    for name, parameter in entry.parameters.items():
        if name not in used:
            guess = hint(name, sorted(used - entry.parameters.keys()))
            close = f"; {guess}" if guess.endswith("?") else ": use it as {" + name + "}, or take it out"
            yield Finding(
                rule="unused-parameter",
                mark=parameter.mark or mark,
                message=f"the command of {entry.name!r} does not use its parameter {name!r}{close}",
            )
        yield from _parameter(look, entry, parameter)
    elsewhere = contained or re.search(r"\bcd\s", entry.command)
    for found in () if elsewhere else _SCRIPT.finditer(entry.command):
        if "{" not in found[1] and not (look.directory / found[1]).is_file():
            yield Finding(
                rule="missing-file",
                mark=mark,
                message=f"the command of {entry.name!r} runs {found[1]}, which is not there",
            )
    said = shell(entry)
    if said is not None:
        yield Finding(
            rule="shell-syntax", mark=mark, message=f"the shell cannot read the command of {entry.name!r}: {said}"
        )


def _parameter(look: Look, entry: EntryPoint, parameter: Parameter) -> Iterator[Finding]:
    mark = parameter.mark or _top(look.file)
    owner = f"parameter {parameter.name!r} of {entry.name!r}"
    default = parameter.default
    if parameter.type not in TYPES:
        guess = hint(parameter.type, TYPES)
        yield Finding(
            rule="unknown-type",
            mark=mark,
            message=f"{owner} has the type {parameter.type!r}, which is not checked: {guess}",
        )
    spoken = _node(look.root, "entry_points", entry.name, "parameters", parameter.name)
    untyped = spoken is not None and spoken.kind == "mapping" and "type" not in spoken.fields
    if untyped and isinstance(default, int | float):
        kind = "bool" if isinstance(default, bool) else "int" if isinstance(default, int) else "float"
        yield Finding(rule="missing-type", mark=mark, message=f"{owner} has no type: write type: {kind}")
    if isinstance(default, str) and parameter.type not in ("path", "uri"):
        if re.match(r"[a-z][a-z0-9+.-]+://", default):
            yield Finding(rule="uri-type", mark=mark, message=f"{owner} is an address by default: declare it as uri")
        elif default not in ("", ".", "..") and "\0" not in default and _exists(look.directory, default):
            yield Finding(
                rule="path-type",
                mark=mark,
                message=f"{owner} is a file of the project by default: declare it as path, which makes it absolute",
            )


def _exists(directory: Path, name: str) -> bool:
    try:
        return (directory / name).is_file()
    except OSError:  # a text too long to be a file's name
        return False


def _workflows(project: Project) -> Iterator[Finding]:
    for workflow in project.workflows.values():
        used = {name for step in workflow.steps.values() for name in _used_by(step)}
        for name, parameter in workflow.parameters.items():
            if name not in used and parameter.mark is not None:
                yield Finding(
                    rule="unused-parameter",
                    mark=parameter.mark,
                    message=f"no step of workflow {workflow.name!r} uses its parameter {name!r}: use it as "
                    f"${{{{ parameters.{name} }}}}, or take it out",
                )
        edges = {name: dependencies(step) for name, step in workflow.steps.items()}
        needed = {need for needs in edges.values() for need in needs}
        for name, step in workflow.steps.items():
            if needed and not edges[name] and name not in needed and step.mark is not None:
                yield Finding(
                    rule="lone-step",
                    mark=step.mark,
                    message=f"step {name!r} of workflow {workflow.name!r} needs no other and is needed by none: if it"
                    " comes after one, say so with needs",
                )


def _used_by(step: Step) -> Iterator[str]:
    """Return the names of the workflow's parameters that a step uses."""
    for template in templates(step):
        for reference in template.references:
            if reference.path[0] == "parameters" and len(reference.path) > 1:
                yield reference.path[1]


def _node(node: Node | None, *keys: str) -> Node | None:
    for key in keys:
        node = None if node is None else node.fields.get(key)
    return node
