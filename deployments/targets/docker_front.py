"""The container in front of a deployment's releases: it holds the public port, and traffic moves by telling it."""

from __future__ import annotations

import contextlib
import socket
from pathlib import Path
from typing import TYPE_CHECKING, Any

from toolkit.deployments import front_process
from toolkit.deployments.targets.docker_engine import (
    DEPLOYMENT,
    LOCKED_DOWN,
    NETWORK,
    PORT,
    RESTART,
    container_named,
    end,
)
from toolkit.errors import TargetFailed

if TYPE_CHECKING:
    from toolkit.deployments.target import Instance

_ADDRESS = "toolkit.front"
"""A label: the host and the port that it holds, with a space between."""

_OF_NETWORK = "toolkit.network"
_FIRST_PORT = 3000
_TARGET = "/tmp/toolkit-target"  # noqa: S108 - in a container of its own, where nobody else is
_PYTHON = "/app/.venv/bin/python"


def front_of(client: Any, new: Instance, before: str | None) -> Any:  # noqa: ANN401 - Docker's SDK has no types
    """Return the running container that holds a deployment's public port; made where there is none."""
    detail = new.detail
    name = f"{detail['key']}-front"
    there = container_named(client, name)
    if there is not None:
        host, port = there.labels[_ADDRESS].rsplit(" ", 1)
        if (host, detail["network"]) == (detail["host"], there.labels.get(_OF_NETWORK)) and (
            detail["port"] in ("", port)
        ):
            if there.status != "running":
                there.start()
            return there
        end(there)  # the user has asked for another address
    wanted = detail["port"] or (before or "").rpartition(":")[2]
    port = wanted if wanted else str(_public_port(detail["host"]))
    _check_free(detail["host"], int(port))
    return _run_front(client, new, name, port)


def _run_front(client: Any, new: Instance, name: str, port: str) -> Any:  # noqa: ANN401 - Docker's SDK has no types
    detail = new.detail
    source = Path(str(front_process.__file__)).read_text(encoding="utf-8")
    inside = port if detail["network"] == "host" else str(PORT)
    listens = detail["host"] if detail["network"] == "host" else "0.0.0.0"  # noqa: S104 - in a network of its own
    network: dict[str, Any] = {"network_mode": "host"}
    if detail["network"] == "bridge":
        network = {"network": NETWORK, "ports": {f"{PORT}/tcp": (detail["host"], int(port))}}
    front = client.containers.create(
        new.image,
        ["-c", source, listens, inside, _TARGET],
        entrypoint=[_PYTHON],
        name=name,
        labels={
            DEPLOYMENT: detail["key"],
            _ADDRESS: f"{detail['host']} {port}",
            _OF_NETWORK: detail["network"],
        },
        restart_policy=RESTART,
        **network,
        **LOCKED_DOWN,
    )
    try:
        front.start()
    except BaseException:
        front.remove(force=True)
        raise
    return front


def address_of(front: Any) -> str:  # noqa: ANN401 - Docker's SDK has no types
    """Return the URL at which clients reach what is behind a container in front."""
    host, port = front.labels[_ADDRESS].rsplit(" ", 1)
    if host in ("0.0.0.0", "::"):  # noqa: S104 - every address of this machine, of which one is always there
        host = "127.0.0.1"
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def point(front: Any, place: str) -> None:  # noqa: ANN401 - Docker's SDK has no types
    """Tell the container in front where new connections go.

    Raises:
        TargetFailed: It does not take it.
    """
    script = f'printf %s "$1" > {_TARGET}.new && mv {_TARGET}.new {_TARGET}'
    code, said = front.exec_run(["/bin/sh", "-c", script, "sh", place])
    if code:
        told = said.decode("utf-8", "replace").strip()
        raise TargetFailed(f"the container {front.name} does not take its new target: {told or code}")


def _public_port(host: str) -> int:
    """Return the usual port where it is free, else another one."""
    for port in (_FIRST_PORT, 0):
        with contextlib.suppress(OSError), _bound(host, port) as probe:
            return int(probe.getsockname()[1])
    raise TargetFailed(f"no port of {host} is free: is that an address of this machine?")


def _check_free(host: str, port: int) -> None:
    try:
        _bound(host, port).close()
    except OSError as error:
        raise TargetFailed(
            f"{host}:{port} cannot be listened on ({error.strerror}): name another port with --option port="
        ) from None


def _bound(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    probe = socket.socket(family)
    try:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.bind((host, port))
    except BaseException:
        probe.close()
        raise
    return probe
