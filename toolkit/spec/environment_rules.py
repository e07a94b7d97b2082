"""Rules of lint about environments: what is not pinned, what is old, what has a newer way."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from toolkit.errors import Mark, ProjectError
from toolkit.spec.document import parse_document, read_text
from toolkit.spec.environment import read_environment
from toolkit.spec.finding import Finding, Look
from toolkit.spec.project import EnvironmentRef, Project, Step

_OLDEST = (3, 10)
"""The oldest Python that still gets security fixes."""

_PIN = re.compile(r"===?|~=|@|://|<(?!=\s*$)|>")
_NAME = re.compile(r"[A-Za-z0-9]")


def environment_findings(look: Look, project: Project) -> Iterator[Finding]:
    """Look at each environment that the project names, once."""
    refs: dict[tuple[str, str | None], EnvironmentRef] = {}
    steps: list[Step] = [step for workflow in project.workflows.values() for step in workflow.steps.values()]
    for ref in (
        project.environment,
        *(entry.environment for entry in project.entry_points.values()),
        *(step.environment for step in steps),
    ):
        if ref is not None:
            refs.setdefault((ref.kind, ref.path), ref)
    if not refs and not project.databricks:
        yield Finding(
            rule="no-environment",
            mark=Mark(file=str(look.file), line=1),
            message="no environment is declared: add python_env.yaml, so that it runs the same elsewhere",
        )
    for ref in refs.values():
        yield from _environment(look, project, ref)


def _environment(look: Look, project: Project, ref: EnvironmentRef) -> Iterator[Finding]:
    mark = ref.mark or Mark(file=str(look.file), line=1)
    if ref.kind == "docker_env":
        image = ref.docker.image if ref.docker is not None else ""
        tag = image.rpartition("/")[2].partition(":")[2]
        if "@" not in image and tag in ("", "latest"):
            yield Finding(
                rule="image-tag",
                mark=mark,
                message=f"the image {image} names no version: write {image.partition(':')[0]}:TAG",
            )
        return
    if ref.kind == "conda_env":
        yield Finding(
            rule="old-fashioned",
            mark=mark,
            message="conda_env: if pip has all of its packages, a python_env is built in seconds, without conda",
        )
    try:
        spec = read_environment(project, ref)
    except ProjectError as error:
        yield Finding(rule="invalid", mark=error.mark or mark, message=error.message)
        return
    for warning in spec.warnings:
        yield Finding(
            rule=warning.rule, mark=warning.mark or Mark(file=str(spec.file), line=1), message=warning.message
        )
    if ref.kind in ("python_env", "conda_env"):
        yield from _file(spec.file, conda=ref.kind == "conda_env")
    elif ref.kind == "requirements":
        yield from _requirements(spec.file)
    yield from _python(spec.file, spec.python, wanted=ref.kind in ("python_env", "conda_env"))
    if spec.unmet:
        yield Finding(
            rule="conda-packages",
            mark=Mark(file=str(spec.file), line=1),
            message=f"only conda brings {', '.join(spec.unmet[:5])}{', …' if len(spec.unmet) > 5 else ''}",
        )


def _file(file: Path, *, conda: bool) -> Iterator[Finding]:
    root = parse_document(read_text(file), file=str(file))
    if root is None:
        return
    python = root.fields.get("python")
    if python is not None and isinstance(python.value, float):
        yield Finding(
            rule="unquoted-value",
            mark=python.mark,
            message=f"YAML reads this Python as the number {python.value}, and MLflow refuses it: write"
            f' "{python.text}" in quotes',
        )
    channels = root.fields.get("channels")
    if conda:
        for channel in channels.items if channels is not None else ():
            if channel.text in ("defaults", "anaconda", "main", "r"):
                yield Finding(
                    rule="defaults-channel",
                    mark=channel.mark,
                    message=f"the channel {channel.text} has terms of use that companies have to pay for: take"
                    " conda-forge",
                )
    for key in ("build_dependencies", "dependencies"):
        listed = root.fields.get(key)
        for item in listed.items if listed is not None else ():
            if item.kind == "mapping":
                for inner in item.fields["pip"].items if "pip" in item.fields else ():
                    yield from _pinned(inner.text, inner.mark)
            elif not (conda and re.match(r"python\b|pip$", item.text)):
                yield from _pinned(item.text, item.mark, conda=conda)


def _requirements(file: Path) -> Iterator[Finding]:
    for number, line in enumerate(read_text(file).splitlines(), 1):
        text = line.partition(" #")[0].strip()
        if text and not text.startswith("#"):
            yield from _pinned(text, Mark(file=str(file), line=number, column=1))


def _pinned(text: str, mark: Mark, *, conda: bool = False) -> Iterator[Finding]:
    """Tell of a requirement that any version meets."""
    if not _NAME.match(text) or text in ("pip", "setuptools", "wheel"):
        return  # an option such as -r, or what only builds
    bare = text.partition(";")[0]
    if not _PIN.search(bare) and not (conda and "=" in bare) and "/" not in bare:
        name = bare.strip()
        yield Finding(
            rule="unpinned",
            mark=mark,
            message=f"{name} has no version, so the environment is another one tomorrow: write {name}"
            + ("=VERSION" if conda else "==VERSION, or a range"),
        )


def _python(file: Path, python: str | None, *, wanted: bool) -> Iterator[Finding]:
    mark = Mark(file=str(file), line=1)
    if python is None:
        if wanted:
            yield Finding(
                rule="unpinned-python",
                mark=mark,
                message='no Python is named, so the one that runs toolkit is taken: write one, such as python: "3.11"',
            )
        return
    found = re.match(r"(?:==|~=)?\s*(\d+)\.(\d+)", python)
    if found and (int(found[1]), int(found[2])) < _OLDEST:
        yield Finding(
            rule="old-python",
            mark=mark,
            message=f"Python {python} gets no security fixes any more: {'.'.join(map(str, _OLDEST))} and newer do",
        )
