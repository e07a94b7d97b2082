"""Which environment a project, an entry point or a step declares."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Literal, TypeAlias

from toolkit.errors import ProjectError
from toolkit.spec.document import Node
from toolkit.spec.project import DockerEnv, EnvironmentRef

KEYS = ("python_env", "conda_env", "docker_env")
"""The keys that declare an environment."""

_FileKind: TypeAlias = Literal["python_env", "conda_env", "requirements", "pyproject"]

_FOUND_BY_NAME: tuple[tuple[str, _FileKind], ...] = (
    ("python_env.yaml", "python_env"),
    ("conda.yaml", "conda_env"),
    ("requirements.txt", "requirements"),
)


def declared_environment(node: Node, *, directory: Path, owner: str) -> EnvironmentRef | None:
    """Return the environment that a mapping declares with one of `KEYS`, or ``None``.

    Args:
        node: The mapping that may hold these keys.
        directory: The project's directory: the file must be there.
        owner: Who declares it, for messages.

    Raises:
        ProjectError: There are several, the value is not a file's name, or there is no such file.
    """
    present = [key for key in KEYS if key in node.fields and not node.fields[key].is_null]
    if len(present) > 1:
        raise ProjectError(
            f"Project cannot contain multiple environment fields: {owner} has {' and '.join(present)}; keep one",
            mark=node.key_marks[present[1]],
        )
    if not present:
        return None
    key, value = present[0], node.fields[present[0]]
    if key == "docker_env":
        return EnvironmentRef(kind="docker_env", docker=_docker(value), mark=node.key_marks[key])
    kind: _FileKind = "python_env" if key == "python_env" else "conda_env"
    return _file(kind, value, directory=directory, what=f"'{key}'")


def step_environment(node: Node, *, directory: Path, owner: str) -> EnvironmentRef | None:
    """Return the environment that a step's ``env:`` declares: a file's name, or one of `KEYS` with its value.

    Raises:
        ProjectError: It is something else, or there is no such file.
    """
    if node.kind == "scalar":
        name = node.string("'env'").rpartition("/")[2]
        kind: _FileKind = "python_env"
        if name.endswith(".txt"):
            kind = "requirements"
        elif name == "pyproject.toml":
            kind = "pyproject"
        elif name.startswith(("conda", "environment")):
            kind = "conda_env"
        return _file(kind, node, directory=directory, what=f"'env' of {owner}")
    fields = node.mapping(f"'env' of {owner}")
    if unknown := [key for key in fields if key not in KEYS]:
        raise ProjectError(
            f"'env' of {owner} has the unknown key {unknown[0]!r}: there are {', '.join(KEYS)}",
            mark=node.key_marks[unknown[0]],
        )
    return declared_environment(node, directory=directory, owner=f"'env' of {owner}")


def found_environment(directory: Path) -> EnvironmentRef | None:
    """Return the environment of a project that declares none: a file beside it that has one of the usual names."""
    for name, kind in _FOUND_BY_NAME:
        if (directory / name).is_file():
            return EnvironmentRef(kind=kind, path=name)
    if _has_project_table(directory / "pyproject.toml"):
        return EnvironmentRef(kind="pyproject", path="pyproject.toml")
    return None


def _has_project_table(path: Path) -> bool:
    """Tell whether a file is a ``pyproject.toml`` that describes a project; a broken one does not."""
    try:
        return isinstance(tomllib.loads(path.read_text(encoding="utf-8")).get("project"), Mapping)
    except (OSError, ValueError):
        return False


def _file(kind: _FileKind, value: Node, *, directory: Path, what: str) -> EnvironmentRef:
    path = value.string(what)
    if not (directory / path).is_file():
        raise ProjectError(f"{what} names the file {path!r}, and there is none in {directory}", mark=value.mark)
    return EnvironmentRef(kind=kind, path=path, mark=value.mark)


def _docker(node: Node) -> DockerEnv:
    fields = node.mapping("'docker_env'")
    if "image" not in fields or fields["image"].is_null:
        raise ProjectError("'docker_env' needs an image: write image: NAME", mark=node.mark)
    volumes = fields["volumes"].sequence("'volumes' of docker_env") if "volumes" in fields else ()
    variables = fields["environment"].sequence("'environment' of docker_env") if "environment" in fields else ()
    return DockerEnv(
        image=fields["image"].string("'image' of docker_env"),
        volumes=tuple(volume.string("a volume of docker_env") for volume in volumes),
        environment=tuple(_variable(variable) for variable in variables),
        mount=_mount(fields.get("mount")),
    )


def _mount(node: Node | None) -> bool:
    """Tell whether the project's files are to be seen in the container, which is so unless the file says else."""
    if node is None or node.is_null:
        return True
    if not isinstance(node.value, bool):
        raise ProjectError(f"'mount' of docker_env must be true or false, not {node.described}", mark=node.mark)
    return node.value


def _variable(node: Node) -> str | tuple[str, str]:
    """Return a variable to copy from the host (a text), or a name and its value (a pair)."""
    if node.kind == "scalar":
        return node.string("a variable of docker_env")
    items = node.sequence("a variable of docker_env")
    if len(items) != 2:
        raise ProjectError(
            "a variable of docker_env is a name, to copy it from the host, or a pair [NAME, VALUE]", mark=node.mark
        )
    return items[0].string("a variable's name"), items[1].string("a variable's value")
