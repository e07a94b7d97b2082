"""The values that an MLproject file is read into. Frozen; nothing here reads a file or runs a command."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, TypeAlias

from toolkit.errors import Mark
from toolkit.spec.expression import Template
from toolkit.spec.search import SearchTemplate
from toolkit.spec.source import Spelling

Scalar: TypeAlias = "str | int | float | bool | None"
Value: TypeAlias = "Scalar | list[Value] | dict[Scalar, Value]"
"""A plain value as YAML gives it; a date is the text that it prints as."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Warning:  # noqa: A001 - read as spec.Warning; it is what lint prints
    """Something in a file that is likely a mistake but does no harm to running it."""

    message: str
    mark: Mark | None = None
    rule: str = "invalid"


@dataclass(frozen=True, kw_only=True, slots=True)
class Parameter:
    """A declared parameter of an entry point or a workflow.

    Attributes:
        name: Its name.
        type: The type's name as written; ``string`` where none is. Those that act: path, uri, float, int, bool, str,
            list.
        default: The default as YAML reads it; ``None`` means that a value is required.
        default_text: The default as it stands in the file (``1e-1``, ``0.10``), for display.
        description: What it is for, where the file says so.
        mark: Where it stands.
    """

    name: str
    type: str = "string"
    default: Value = None
    default_text: str | None = None
    description: str | None = None
    mark: Mark | None = None

    @property
    def required(self) -> bool:
        """Whether a value must be given."""
        return self.default is None


@dataclass(frozen=True, kw_only=True, slots=True)
class PythonEnv:
    """An environment that pip-style requirements describe.

    Attributes:
        source: What declared it.
        file: The file that declared it, absolute; ``None`` for a project that has none.
        python: Wanted Python, such as ``3.11`` or ``3.11.7`` or a specifier such as ``>=3.11``; ``None``: the running
            one.
        build_dependencies: Requirement lines to install first.
        dependencies: Requirement lines. ``-r`` and ``-c`` lines are relative to the project directory.
        unmet: Conda packages that pip cannot be trusted to provide, as written.
        warnings: What lint has to say about the file.
    """

    source: Literal["python_env", "conda_env", "requirements", "pyproject"]
    file: Path
    python: str | None = None
    build_dependencies: tuple[str, ...] = ()
    dependencies: tuple[str, ...] = ()
    unmet: tuple[str, ...] = ()
    warnings: tuple[Warning, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class DockerEnv:
    """A container to run in.

    Attributes:
        image: Image name, as written.
        volumes: ``host:container[:mode]`` texts.
        environment: Names to copy from the host (one text) or name and value (a pair).
        mount: Whether the command sees the project's files as they are here; else only what the image holds.
    """

    image: str
    volumes: tuple[str, ...] = ()
    environment: tuple[str | tuple[str, str], ...] = ()
    mount: bool = True


@dataclass(frozen=True, kw_only=True, slots=True)
class EnvironmentRef:
    """An environment that a project or an entry point declares, not read yet.

    Attributes:
        kind: The key that declares it.
        path: The file it names, relative to the project directory; ``None`` for docker_env.
        docker: The container that docker_env describes.
        mark: Where it stands; ``None`` where a file beside the project was found by its name.
    """

    kind: Literal["python_env", "conda_env", "requirements", "pyproject", "docker_env"]
    path: str | None = None
    docker: DockerEnv | None = None
    mark: Mark | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class EntryPoint:
    """A named command of a project.

    Attributes:
        name: Its name.
        command: The template, as written.
        parameters: Declared parameters by name, in the file's order.
        outputs: Files or folders that the command leaves behind: artifact name to path, relative to the directory
            that the command runs in.
        metrics: JSON files of flat numbers to log as metrics, relative likewise.
        inputs: Files, folders and globs of the project that the command reads, for the cache; ``None``: it may read all
            that Git counts to the project.
        closed: Whether ``outputs`` or ``metrics`` are declared, be it as empty: then the command leaves nothing else.
        environment: An environment of its own, else the project's.
        description: What it does, where the file says so.
        strict: Whether the command runs under ``set -euo pipefail``.
        mark: Where it stands; ``None`` for one that is not declared (``train.py``).
        command_mark: Where the command's text begins.
        command_spelling: How the command is spelled in the file; places inside it are found with it.
    """

    name: str
    command: str
    parameters: Mapping[str, Parameter] = field(default_factory=dict)
    outputs: Mapping[str, str] = field(default_factory=dict)
    metrics: tuple[str, ...] = ()
    inputs: tuple[str, ...] | None = None
    closed: bool = False
    environment: EnvironmentRef | None = None
    description: str | None = None
    strict: bool = False
    mark: Mark | None = None
    command_mark: Mark | None = None
    command_spelling: Spelling | None = field(default=None, compare=False, repr=False)

    @property
    def leaves_files(self) -> bool:
        """Whether the command is declared to leave files behind."""
        return bool(self.outputs or self.metrics)


@dataclass(frozen=True, kw_only=True, slots=True)
class Registration:
    """What ``register:`` asks for.

    Attributes:
        model: Name of the registered model.
        source: The model to register (``from:``): a template that gives an artifact.
        alias: Alias to set on the new version.
        stage: Stage to move the new version to.
        archive_existing: Whether the others in that stage go to the archive.
        request: Whether to ask for the alias and the stage where others must approve, instead of failing.
        description: What the version is.
        tags: Its tags: a mapping.
        mark: Where it stands.
    """

    model: str
    source: Template
    alias: str | None = None
    stage: str | None = None
    archive_existing: bool = False
    request: bool = False
    description: Template | None = None
    tags: Template | None = None
    mark: Mark | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Deploying:
    """What ``deploy:`` asks for.

    Attributes:
        command: The command that does it, with a placeholder for each value.
        values: The values: templates, by the names of the placeholders.
        mark: Where it stands.
    """

    command: str
    values: Mapping[str, Template]
    mark: Mark | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Step:
    """One step of a workflow.

    Attributes:
        name: Its name, unique in the workflow.
        entry_point: Name of the entry point that it runs; ``None`` for a step that only registers, or deploys.
        parameters: What it gives to the entry point, by parameter.
        needs: Steps that must have ended well before it, besides those that it refers to.
        foreach: Parameter to a list of values: one child run for each combination of the lists (their product).
        when: Run only if this is true; else the step and what needs it are skipped.
        retries: How often to try again after a failure.
        retry_delay: Seconds to wait before each new try.
        timeout: Seconds after which a try is ended and has failed.
        cache: Whether an earlier result may be used again.
        environment: An environment of its own.
        register: Register a model instead of, or after, running a command.
        deploy: Let a version serve instead of running a command.
        concurrency: How many of its child runs may run at the same time; ``None``: no limit of its own.
        search: Run it with many values of its parameters, to find the best.
        mark: Where it stands.
    """

    name: str
    entry_point: str | None
    parameters: Mapping[str, Template] = field(default_factory=dict)
    needs: tuple[str, ...] = ()
    foreach: Mapping[str, Template] = field(default_factory=dict)
    when: Template | None = None
    retries: int = 0
    retry_delay: float = 0.0
    timeout: float | None = None
    cache: bool = False
    environment: EnvironmentRef | None = None
    register: Registration | None = None
    deploy: Deploying | None = None
    concurrency: int | None = None
    search: SearchTemplate | None = None
    mark: Mark | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Workflow:
    """Named steps that depend on each other.

    Attributes:
        name: Its name.
        parameters: Declared parameters by name.
        steps: Steps by name, in the file's order.
        description: What it does, where the file says so.
        mark: Where it stands.
    """

    name: str
    parameters: Mapping[str, Parameter] = field(default_factory=dict)
    steps: Mapping[str, Step] = field(default_factory=dict)
    description: str | None = None
    mark: Mark | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Project:
    """A project as its file describes it.

    Attributes:
        directory: The project's directory, absolute.
        file: Its MLproject file; ``None`` for a project by convention.
        name: Its name, where the file gives one.
        environment: What it runs in; ``None`` where nothing is declared.
        docker: The container, where ``docker_env`` is declared.
        entry_points: Declared entry points by name.
        workflows: Declared workflows by name.
        databricks: Whether the file is a ``databricks_spark_job``, which needs Databricks to run.
        typed: Whether the file uses keys that MLflow does not know; then its values must have their declared types.
        warnings: What lint has to say.
    """

    directory: Path
    file: Path | None = None
    name: str | None = None
    environment: EnvironmentRef | None = None
    docker: DockerEnv | None = None
    entry_points: Mapping[str, EntryPoint] = field(default_factory=dict)
    workflows: Mapping[str, Workflow] = field(default_factory=dict)
    databricks: bool = False
    typed: bool = False
    warnings: tuple[Warning, ...] = ()
