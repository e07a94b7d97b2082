"""Read environment files: python_env, conda_env, requirements.txt, pyproject.toml."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from pathlib import Path

from toolkit.errors import ProjectError
from toolkit.spec.document import Node, parse_document, read_text
from toolkit.spec.lint import Findings
from toolkit.spec.project import EnvironmentRef, Project, PythonEnv

__all__ = ["read_environment"]

_PYTHON_ENV_KEYS = ("python", "build_dependencies", "dependencies")
_BUILD_PACKAGES = frozenset({"pip", "setuptools", "wheel"})
_VERSION = re.compile(r"\d+(\.\d+)*(\.\*)?\Z")
_COMPARISON = re.compile(r"(===|==|~=|!=|<=|>=|<|>|=)\s*([\w.*+!-]+)\Z")
_CONDA = re.compile(r"(?:[\w./-]+::)?([A-Za-z0-9._-]+)\s*(.*)\Z", re.DOTALL)


def read_environment(project: Project, ref: EnvironmentRef) -> PythonEnv:
    """Read the file that an environment names.

    Args:
        project: The project; the file is relative to its directory.
        ref: Which file, and of which kind; not a container.

    Raises:
        ProjectError: The file is not there, or it says what cannot be understood.
    """
    if ref.path is None or ref.kind == "docker_env":
        raise ProjectError("docker_env names a container, not a file of requirements", mark=ref.mark)
    file = project.directory / ref.path
    if not file.is_file():
        raise ProjectError(f"the environment file {ref.path!r} is not in {project.directory}", mark=ref.mark)
    if ref.kind == "requirements":
        return PythonEnv(source="requirements", file=file, dependencies=(f"-r {ref.path}",))
    if ref.kind == "pyproject":
        return _pyproject(file)
    node = parse_document(read_text(file), file=str(file))
    if node is None:
        return PythonEnv(source=ref.kind, file=file)
    return _python_env(file, node) if ref.kind == "python_env" else _conda_env(file, node)


# -- python_env ------------------------------------------------------------------------------------


def _python_env(file: Path, node: Node) -> PythonEnv:
    fields = node.mapping("a python_env file")
    findings = Findings()
    findings.duplicates(node)
    findings.unknown_keys(node, _PYTHON_ENV_KEYS, "the file")
    python = fields.get("python")
    return PythonEnv(
        source="python_env",
        file=file,
        python=None if python is None or python.is_null else _python(python, python.string("'python'")),
        build_dependencies=_requirements(fields.get("build_dependencies"), "'build_dependencies'"),
        dependencies=_requirements(fields.get("dependencies"), "'dependencies'"),
        warnings=findings.warnings,
    )


def _requirements(node: Node | None, what: str) -> tuple[str, ...]:
    if node is None:
        return ()
    for item in node.sequence(what):
        if item.kind == "mapping" and "pip" in item.fields:
            raise ProjectError(
                f"{what} has a 'pip:' list, as conda files do: name the file under conda_env, or drop 'pip:'",
                mark=item.mark,
            )
    return tuple(item.string(f"an item of {what}").strip() for item in node.items)


def _python(node: Node, text: str) -> str:
    """Return a wanted Python: a version as written, or a specifier.

    Raises:
        ProjectError: It is neither.
    """
    text = text.strip()
    if _VERSION.match(text):
        return text.removesuffix(".*")
    if all(_COMPARISON.match(part.strip()) for part in text.split(",")):
        return text
    raise ProjectError(f'{text!r} is no version of Python: write one such as "3.11" or ">=3.11"', mark=node.mark)


# -- conda_env -------------------------------------------------------------------------------------


def _conda_env(file: Path, node: Node) -> PythonEnv:
    fields = node.mapping("a conda_env file")
    findings = Findings()
    findings.duplicates(node)
    python: str | None = None
    build: list[str] = []
    pip: list[str] = []
    unmet: list[str] = []
    for item in fields["dependencies"].sequence("'dependencies'") if "dependencies" in fields else ():
        if item.kind == "mapping":
            pip += _pip_list(item)
            continue
        text = item.string("an item of 'dependencies'").strip()
        package, version = _split(item, text)
        if package == "python":
            python = python or _conda_python(item, text, version)
        elif package in _BUILD_PACKAGES:
            build.append(package + _pip_version(version))
        else:
            unmet.append(text)
    return PythonEnv(
        source="conda_env",
        file=file,
        python=python,
        build_dependencies=tuple(build),
        dependencies=tuple(pip),
        unmet=tuple(unmet),
        warnings=findings.warnings,
    )


def _pip_list(node: Node) -> tuple[str, ...]:
    if tuple(node.fields) != ("pip",):
        raise ProjectError(
            f"an item of 'dependencies' must be a text or 'pip:' with a list, not a mapping with"
            f" {', '.join(map(repr, node.fields)) or 'nothing in it'}",
            mark=node.mark,
        )
    return tuple(item.string("an item of 'pip'").strip() for item in node.fields["pip"].sequence("'pip'"))


def _split(node: Node, text: str) -> tuple[str, str]:
    """Return a conda requirement's package and what it says about the version."""
    found = _CONDA.match(text)
    if found is None:
        raise ProjectError(f"{text!r} is no requirement of conda: write NAME or NAME=VERSION", mark=node.mark)
    return found[1].lower(), found[2].strip()


def _pip_version(version: str) -> str:
    """Return what conda says about a version as pip says it: ``=1.2`` (and ``=1.2=build``) becomes ``==1.2``."""
    if re.match(r"=[^=]", version):
        return "==" + version[1:].partition("=")[0].strip()
    if version and version[0].isdigit():  # "pip 22.1": a blank instead of a sign
        return "==" + version.split()[0]
    return version.replace(" ", "")


def _conda_python(node: Node, text: str, version: str) -> str:
    """Return the wanted Python of a conda file.

    Raises:
        ProjectError: No version can be taken from it.
    """
    if not version:
        raise ProjectError(f"{text!r} names no version: pin it, such as python=3.11", mark=node.mark)
    wanted = _pip_version(version)
    if re.match(r"(<(?!=)|>(?!=)|!=)[^,]*\Z", wanted):
        raise ProjectError(
            f"{text!r} does not say which Python to take: pin it, such as python=3.11, or write >=", mark=node.mark
        )
    return _python(node, wanted.removeprefix("==") if "," not in wanted else wanted)


# -- pyproject.toml --------------------------------------------------------------------------------


def _pyproject(file: Path) -> PythonEnv:
    try:
        table = tomllib.loads(read_text(file)).get("project")
    except tomllib.TOMLDecodeError as error:
        raise ProjectError(f"{file} is not valid TOML: {error}") from error
    if not isinstance(table, Mapping):
        raise ProjectError(f"{file} has no [project] table: declare the dependencies there, or a python_env")
    if "dependencies" in table.get("dynamic", ()):
        raise ProjectError(
            f"{file} leaves its dependencies to a build ('dynamic'): write them under [project], or name a python_env"
        )
    wanted, python = table.get("dependencies", []), table.get("requires-python")
    if not isinstance(wanted, list) or not all(isinstance(line, str) for line in wanted):
        raise ProjectError(f"'dependencies' in {file} must be a list of texts")
    if python is not None and not isinstance(python, str):
        raise ProjectError(f"'requires-python' in {file} must be a text")
    return PythonEnv(source="pyproject", file=file, python=python, dependencies=tuple(wanted))
