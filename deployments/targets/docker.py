"""Containers of this machine's engine: a release is a container, and traffic comes to it through another one in front.

A published port belongs to one container for as long as it lives. So a deployment has a container of its own that holds
the public port and passes connections on: to move the traffic, it is told of another release. Crashed containers are
started again by the engine, and after a restart of the machine, too, where the engine does that.
"""

from __future__ import annotations

import contextlib
import hashlib
import socket
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from toolkit.deployments.bento_store import bentoml_home
from toolkit.deployments.containerize import BACKENDS, backend_of, containerize, image_name
from toolkit.deployments.quantity import cpu_cores, memory_bytes
from toolkit.deployments.serving.sample_files import VARIABLE
from toolkit.deployments.target import Health, Instance, Placement
from toolkit.deployments.targets.docker_engine import (
    DEPLOYMENT,
    LOCKED_DOWN,
    NETWORK,
    PORT,
    RELEASE,
    RESTART,
    container_named,
    end,
    engine_here,
    kind_of,
    told,
)
from toolkit.deployments.targets.docker_front import address_of, front_of, point
from toolkit.deployments.targets.options import Option, choice, read_options
from toolkit.errors import BuildFailed, InvalidValue, MissingTool, TargetFailed
from toolkit.settings import environment, load

_ASK = 5.0
_YOUNG = timedelta(minutes=15)
_RESTARTS = 2

_OPTIONS = (
    Option(name="port", pattern="[1-9][0-9]{0,4}", wanted="a number from 1 to 65535"),
    Option(name="host", default="127.0.0.1", pattern="[0-9A-Fa-f.:]+", wanted="an IP address of this machine"),
    choice("network", "bridge", "host"),
    Option(name="backend", pattern="|".join(BACKENDS), wanted=f"one of {', '.join(BACKENDS)}"),
)


class DockerTarget:
    """Containers behind one public address.

    Options: ``port`` is the public port (default: 3000, or a free one; it stays the deployment's), ``host`` the address
    that it listens on (default: 127.0.0.1), ``network`` is ``host`` where an engine cannot make networks, ``backend``
    what builds the image (default: the engine's own).
    """

    name = "docker"
    serves = True

    def require(self, options: Mapping[str, str]) -> None:
        """Check the options, and that an engine of this machine answers and an image can be built.

        Raises:
            InvalidValue: An option is not known, or does not fit.
            MissingTool: There is no engine, or nothing that builds images.
            TargetFailed: The engine does not answer any more.
        """
        read = _read(options)
        with engine_here() as engine, told("the engine does not answer"):
            backend_of(read["backend"], engine=kind_of(engine))

    def start(self, placement: Placement) -> Instance:
        """Build the image unless the engine has it, and start a container of it.

        Raises:
            TargetFailed: That failed; no container is left.
        """
        options = _read(placement.options)
        key = _key(placement.deployment)
        image = image_name(placement.bento)
        with engine_here() as engine, told("the container of the release cannot be started"):
            found = engine.find_image(image)
            if found is None:
                backend = backend_of(options["backend"], engine=kind_of(engine))
                log = placement.folder / "image.log"
                try:
                    containerize(placement.bento, image, backend, home=bentoml_home(environment()), log=log)
                except BuildFailed as error:
                    raise TargetFailed(str(error)) from None
                found = engine.image(image, _nothing)
            name = f"{key}-{placement.release}"
            arguments = _limits(placement) | _samples(placement) | LOCKED_DOWN
            address, inside = _run_release(engine.client, image, name, placement, options, arguments)
        return Instance(
            id=name,
            private_address=address,
            image=image,
            image_digest=found.id,
            detail={"key": key, "inside": inside, **{each: options[each] for each in ("host", "port", "network")}},
        )

    def health(self, instance: Instance) -> Health:
        """Tell how the container is: what the engine says, and what ``/readyz`` answers."""
        try:
            with engine_here() as engine, told("the engine does not answer"):
                container = container_named(engine.client, instance.id)
                if container is None:
                    return Health(state="gone", message=f"the engine has no container {instance.id}")
                if container.status == "running" and _asked(str(instance.private_address)) is None:
                    return Health(state="ready")
                return _unwell(container, str(instance.private_address))
        except (TargetFailed, MissingTool) as error:
            return Health(state="failing", message=str(error))

    def switch(self, new: Instance, old: Instance | None) -> Instance:
        """Let new connections go to a release; those that are open stay where they are until that release ends.

        Raises:
            TargetFailed: The public port is another program's, or the engine failed.
        """
        with engine_here() as engine, told("the traffic cannot be moved"):
            front = front_of(engine.client, new, None if old is None else old.address)
            point(front, new.detail["inside"])
            return replace(new, address=address_of(front))

    def stop(self, instance: Instance) -> None:
        """End the container, after what it has begun; with the last one of a deployment the one in front goes, too.

        Raises:
            TargetFailed: The engine does not do it.
        """
        with engine_here() as engine, told(f"the container {instance.id} cannot be ended"):
            if (container := container_named(engine.client, instance.id)) is not None:
                end(container)
            key = instance.detail.get("key") or instance.id.rpartition("-")[0]
            others = engine.client.containers.list(all=True, filters={"label": f"{DEPLOYMENT}={key}"})
            if not [each for each in others if RELEASE in each.labels]:
                for each in others:
                    end(each)

    def found(self, deployment: str, release: int) -> Sequence[Instance]:
        """Return what runs of a release; nothing where nothing does."""
        key = _key(deployment)
        name = f"{key}-{release}"
        with (
            contextlib.suppress(TargetFailed, MissingTool),
            engine_here() as engine,
            told("the engine does not answer"),
        ):
            if container_named(engine.client, name) is not None:
                return [Instance(id=name, detail={"key": key})]
        return []

    def logs(self, instance: Instance, *, lines: int = 200, follow: bool = False) -> Iterator[str]:
        """Yield the container's last lines, and, if asked for, those that come until it ends."""
        with engine_here() as engine, told(f"the output of {instance.id} cannot be read"):
            container = container_named(engine.client, instance.id)
            if container is None:
                return
            rest = b""
            for piece in container.logs(stream=True, follow=follow, tail=lines):
                *whole, rest = (rest + piece).split(b"\n")
                yield from (line.decode("utf-8", "replace").rstrip("\r") for line in whole)
            if rest:
                yield rest.decode("utf-8", "replace")


TARGET = DockerTarget()


# -- releases ----------------------------------------------------------------------------------------


def _run_release(
    client: Any,  # noqa: ANN401 - Docker's SDK has no types
    image: str,
    name: str,
    placement: Placement,
    options: Mapping[str, str],
    arguments: Mapping[str, Any],
) -> tuple[str, str]:
    """Start the container of a release.

    Returns:
        Its address on this machine, and where the container in front finds it.
    """
    if (left := container_named(client, name)) is not None:  # of a process that was killed
        end(left)
    port = _free_port() if options["network"] == "host" else PORT
    network: dict[str, Any] = {"network_mode": "host"}
    listens = "127.0.0.1" if options["network"] == "host" else "0.0.0.0"  # noqa: S104 - in a network of its own
    if options["network"] == "bridge":
        _ensure_network(client)
        network = {"network": NETWORK, "ports": {f"{port}/tcp": ("127.0.0.1", None)}}
    container = client.containers.create(
        image,
        ["serve", "--host", listens, "-p", str(port)],
        name=name,
        labels={DEPLOYMENT: _key(placement.deployment), RELEASE: str(placement.release)},
        restart_policy=RESTART,
        **network,
        **arguments,
    )
    try:
        container.start()
        if options["network"] == "host":
            return f"http://127.0.0.1:{port}", f"127.0.0.1:{port}"
        container.reload()
        (published, *_) = container.attrs["NetworkSettings"]["Ports"][f"{port}/tcp"]
        return f"http://127.0.0.1:{published['HostPort']}", f"{name}:{port}"
    except BaseException:
        container.remove(force=True)
        raise


def _ensure_network(client: Any) -> None:  # noqa: ANN401 - Docker's SDK has no types
    if not client.networks.list(names=[NETWORK]):
        client.networks.create(NETWORK, driver="bridge", labels={DEPLOYMENT: ""})


def _limits(placement: Placement) -> dict[str, Any]:
    """Return what a container may take, as the service's configuration says."""
    found: dict[str, Any] = {}
    if placement.config.memory:
        found["mem_limit"] = memory_bytes(placement.config.memory)
    if placement.config.cpu:
        found["nano_cpus"] = round(cpu_cores(placement.config.cpu) * 1e9)
    return found


def _samples(placement: Placement) -> dict[str, Any]:
    """Let a service that keeps samples write them to the release's folder on this machine."""
    if not placement.config.sample_rate:
        return {}
    folder = placement.folder / "samples"
    folder.mkdir(parents=True, exist_ok=True)
    folder.chmod(0o777)  # the container's user is none of this machine's
    return {
        "environment": {VARIABLE: "/samples"},
        "volumes": {str(folder.absolute()): {"bind": "/samples", "mode": "rw"}},
    }


def _asked(address: str) -> str | None:
    """Ask a service whether it is ready; return what is wrong."""
    try:
        with urllib.request.urlopen(f"{address}/readyz", timeout=_ASK):  # noqa: S310 - a port of this machine
            return None
    except urllib.error.HTTPError as error:
        with error:
            return f"answers {error.code} {error.reason}"
    except (OSError, ValueError) as error:
        return f"does not answer: {error}"


def _unwell(container: Any, address: str) -> Health:  # noqa: ANN401 - Docker's SDK has no types
    """Tell how a container is that is not ready."""
    attributes = container.attrs
    restarts = int(attributes.get("RestartCount") or 0)
    lines = container.logs(tail=1).decode("utf-8", "replace").strip()
    code = attributes.get("State", {}).get("ExitCode")
    young = datetime.now(UTC) - _moment(str(attributes.get("Created", ""))) < _YOUNG
    if container.status in ("exited", "dead") or (restarts >= _RESTARTS and young):
        return Health(state="gone", message=f"the container ended with {code}: {lines}"[:500])
    return Health(state="starting" if young else "failing", message=f"{address}/readyz {_asked(address)}")


def _moment(text: str) -> datetime:
    try:
        return datetime.fromisoformat(text[:19]).replace(tzinfo=UTC)
    except ValueError:
        return datetime.now(UTC)


# -- names and numbers -------------------------------------------------------------------------------


def _read(options: Mapping[str, str]) -> dict[str, str]:
    read = read_options("docker", _OPTIONS, options)
    if read["port"] and int(read["port"]) > 65_535:
        raise InvalidValue(f"option port of docker is {read['port']}: wanted a number from 1 to 65535")
    return read


def _key(deployment: str) -> str:
    """Return what containers of a deployment are called: homes on one machine do not meet."""
    home = hashlib.sha256(str(load().home.absolute()).encode()).hexdigest()[:6]
    return f"toolkit-{deployment}-{home}"


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _nothing(line: str) -> None:
    """Take a line of progress that nobody reads."""
