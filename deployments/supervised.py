"""What the supervisor of this machine's deployments keeps running, and the file that it remembers it in."""

from __future__ import annotations

import ipaddress
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any, TypeVar

_FORMAT = 1

Kind = TypeVar("Kind")


@dataclass(frozen=True, kw_only=True, slots=True)
class Wanted:
    """A release that is to run on this machine.

    Attributes:
        id: Its own.
        deployment: The deployment's name.
        release: Its number within the deployment.
        bento: The Bento's tag.
        python: The interpreter that runs it.
        folder: Where its workers run and keep what they need.
        log: Where their output goes.
        workers: How many there are.
        timeout: Seconds that an answer may take.
        variables: Environment variables of its own.
        host: The public address to listen on, once traffic moves to it.
        port: The public port; None for the one that the deployment has, or a free one.
        private_port: The port of its private address; 0 until it has one.
        sampled: Whether it leaves samples of what it is asked.
        told: Variables that say where the store is that samples belong to.
    """

    id: str
    deployment: str
    release: int
    bento: str
    python: str
    folder: str
    log: str
    workers: int = 1
    timeout: float = 60.0
    variables: Mapping[str, str] = field(default_factory=dict)
    host: str = "127.0.0.1"
    port: int | None = None
    private_port: int = 0
    sampled: bool = False
    told: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True, slots=True)
class DoorRecord:
    """Where a deployment is reached, and what answers there.

    Attributes:
        deployment: The deployment's name.
        host: The address that it listens on.
        port: The port.
        instance: The id of the release that answers.
    """

    deployment: str
    host: str
    port: int
    instance: str

    @property
    def url(self) -> str:
        """The address for clients; of all addresses of a machine the one that is here always."""
        try:
            address = ipaddress.ip_address(self.host)
        except ValueError:
            return f"http://{self.host}:{self.port}"
        if address.is_unspecified:
            address = ipaddress.ip_address("127.0.0.1" if address.version == 4 else "::1")
        return f"http://{address if address.version == 4 else f'[{address}]'}:{self.port}"


@dataclass(frozen=True, kw_only=True, slots=True)
class Remembered:
    """What a supervisor takes up again.

    Attributes:
        instances: The releases that answer.
        doors: Where.
    """

    instances: Sequence[Wanted] = ()
    doors: Sequence[DoorRecord] = ()


def folder(home: Path) -> Path:
    """Return where the deployments of a home have their files."""
    return home / "deployments"


def read(home: Path) -> Remembered:
    """Return what is to run; only what answered is taken up again. A file that cannot be understood says nothing."""
    try:
        content = json.loads(_file(home).read_bytes())
        doors = [_made(DoorRecord, entry) for entry in content["doors"]]
        instances = [_made(Wanted, entry) for entry in content["instances"]]
    except (OSError, ValueError, KeyError, TypeError):
        return Remembered()
    serving = {door.instance for door in doors}
    there = {instance.id for instance in instances}
    return Remembered(
        instances=tuple(instance for instance in instances if instance.id in serving),
        doors=tuple(door for door in doors if door.instance in there),
    )


def write(home: Path, remembered: Remembered) -> None:
    """Put down what is to run, whole or not at all."""
    file = _file(home)
    file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    unfinished = file.with_name(f".{file.name}.{os.getpid()}")
    content = {
        "format": _FORMAT,
        "doors": [asdict(door) for door in remembered.doors],
        "instances": [asdict(instance) for instance in remembered.instances],
    }
    with unfinished.open("w", encoding="utf-8") as output:
        unfinished.chmod(0o600)
        output.write(json.dumps(content, indent=1) + "\n")
        output.flush()
        os.fsync(output.fileno())
    unfinished.replace(file)


def _file(home: Path) -> Path:
    return folder(home) / ".supervisor.json"  # no deployment's name begins so


def _made(kind: type[Kind], entry: Mapping[str, Any]) -> Kind:
    """Return a record of an entry; what a newer version added to it is passed over."""
    known = {each.name for each in fields(kind)}  # type: ignore[arg-type]  # a dataclass, which has no name as a type
    return kind(**{key: value for key, value in entry.items() if key in known})
