"""What a step's container is made from, and where the files of a project are in it. Nothing here talks to an engine."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from toolkit.flows.environments.engine import Engine

CODE = "/mlflow/projects/code"
"""Where the project is, as in the images that MLflow builds; commands run here."""
SOURCE = "/mlflow/projects/source"
"""Where its files are, if commands run among links to them, to keep what they leave apart."""
INPUTS = "/mlflow/projects/inputs"
"""Where files are that parameters name and that are not the project's."""
HOME = "/tmp/toolkit"  # noqa: S108 - in a container that nobody else is in, whoever its user is
"""Toolkit's home in a container, which ends with it."""

DESKTOP = "host.docker.internal"
"""The name by which containers reach the machine that they run on, where they do not share its network."""


@dataclass(frozen=True, kw_only=True, slots=True)
class DockerOptions:
    """What the user asks of containers besides what the project declares.

    Attributes:
        arguments: Arguments of ``docker run``: ``name=value``, or ``name`` for a flag.
        build_image: Whether to build an image with the project in it, and run that.
    """

    arguments: tuple[str, ...] = ()
    build_image: bool = False

    def without_secrets(self) -> list[str]:
        """Return the arguments as they may be recorded: of variables the names alone."""
        told = []
        for argument in self.arguments:
            name, _, value = argument.partition("=")
            variable = name.strip().lstrip("-") in ("e", "env")
            told.append(f"{name}={value.partition('=')[0]}" if variable else argument)
        return told


@dataclass(frozen=True, kw_only=True, slots=True)
class Bind:
    """A file or folder of this machine that a container sees.

    Attributes:
        here: Its path.
        there: Its path in the container.
        read_only: Whether the container cannot change it.
    """

    here: str
    there: str
    read_only: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class Container:
    """What a step's container is made from.

    Attributes:
        engine: The engine, to be closed by ``PreparedEnvironment.release``.
        image: The image's name.
        image_id: Digest of its content.
        code: Where the project's files come from: mounted from here, or in the image; ``None``: they are not there,
            and commands run in the image's own directory.
        directory: That directory.
        variables: Environment variables that the project or the user wants.
        volumes: ``here:there[:mode]`` texts that they want.
        binds: What is mounted for the credentials of an artifact store.
        options: What else they want, by the names of the Docker SDK.
        shares_network: Whether it can use the network of this machine as its own.
    """

    engine: Engine = field(compare=False, repr=False)
    image: str
    image_id: str
    code: Literal["mounted", "built"] | None
    directory: str
    variables: Mapping[str, str] = field(default_factory=dict, repr=False)
    volumes: Sequence[str] = ()
    binds: Sequence[Bind] = ()
    options: Mapping[str, Any] = field(default_factory=dict)
    shares_network: bool = True
