"""Containers of this machine's engine: a release is a container, and traffic comes to it through another one in front.

A published port belongs to one container for as long as it lives. So a deployment has a container of its own that holds
the public port and passes connections on: to move the traffic, it is told of another release. Crashed containers are
started again by the engine, and after a restart of the machine, too, where the engine does that.
"""

from __future__ import annotations

import contextlib
import hashlib
import re
import socket
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from toolkit.deployments import front_process
from toolkit.deployments.bento_store import bentoml_home
from toolkit.deployments.containerize import BACKENDS, backend_of, containerize, image_name
from toolkit.deployments.serving.sample_files import VARIABLE
from toolkit.deployments.target import Health, Instance, Placement
from toolkit.deployments.targets.options import Option, choice, read_options
from toolkit.errors import BuildFailed, EnvironmentBuildError, InvalidValue, MissingTool, TargetFailed
from toolkit.settings import environment, load

_NETWORK = "toolkit"
_PORT = 3000  # where a service listens in a container of its own network
_FIRST_PORT = 3000
_ASK = 5.0
_GRACE = 30  # seconds that a release has to answer what it has begun
_YOUNG = timedelta(minutes=15)
_RESTARTS = 2
_LABEL = "toolkit.deployment"
_RELEASE = "toolkit.release"
_FRONT = "toolkit.front"
_LOCKED_DOWN: dict[str, Any] = {"cap_drop": ["ALL"], "security_opt": ["no-new-privileges"]}
_RESTART = {"Name": "unless-stopped"}
_PYTHON = "/app/.venv/bin/python"

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
        """
        read = _read(options)
        with _engine() as engine:
            backend_of(read["backend"], engine=_kind(engine))

    def start(self, placement: Placement) -> Instance:
        """Build the image unless the engine has it, and start a container of it.

        Raises:
            TargetFailed: That failed; no container is left.
        """
        options = _read(placement.options)
        key = _key(placement.deployment)
        image = image_name(placement.bento)
        with _engine() as engine, _told("the container of the release cannot be started"):
            found = engine.find_image(image)
            if found is None:
                backend = backend_of(options["backend"], engine=_kind(engine))
                log = placement.folder / "image.log"
                try:
                    containerize(placement.bento, image, backend, home=bentoml_home(environment()), log=log)
                except BuildFailed as error:
                    raise TargetFailed(str(error)) from None
                found = engine.image(image, _nothing)
            name = f"{key}-{placement.release}"
            arguments = _limits(placement) | _samples(placement) | _LOCKED_DOWN
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
            with _engine() as engine, _told("the engine does not answer"):
                container = _container(engine.client, instance.id)
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
        with _engine() as engine, _told("the traffic cannot be moved"):
            front = _front(engine.client, new, None if old is None else old.address)
            _point(front, new.detail["inside"])
            host, port = front.labels[_FRONT].rsplit(" ", 1)
            return replace(new, address=f"http://{_shown(host)}:{port}", detail={**new.detail, "port": port})

    def stop(self, instance: Instance) -> None:
        """End the container, after what it has begun; with the last one of a deployment the one in front goes, too.

        Raises:
            TargetFailed: The engine does not do it.
        """
        with _engine() as engine, _told(f"the container {instance.id} cannot be ended"):
            if (container := _container(engine.client, instance.id)) is not None:
                _end(container)
            key = instance.detail.get("key") or instance.id.rpartition("-")[0]
            others = engine.client.containers.list(all=True, filters={"label": f"{_LABEL}={key}"})
            if not [each for each in others if _RELEASE in each.labels]:
                for each in others:
                    _end(each)

    def found(self, deployment: str, release: int) -> Sequence[Instance]:
        """Return what runs of a release; nothing where nothing does."""
        key = _key(deployment)
        name = f"{key}-{release}"
        with contextlib.suppress(TargetFailed, MissingTool), _engine() as engine, _told("the engine does not answer"):
            if _container(engine.client, name) is not None:
                return [Instance(id=name, detail={"key": key})]
        return []

    def logs(self, instance: Instance, *, lines: int = 200, follow: bool = False) -> Iterator[str]:
        """Yield the container's last lines, and, if asked for, those that come until it ends."""
        with _engine() as engine, _told(f"the output of {instance.id} cannot be read"):
            container = _container(engine.client, instance.id)
            if container is None:
                return
            rest = b""
            for piece in container.logs(stream=True, follow=follow, tail=lines):
                *whole, rest = (rest + piece).split(b"\n")
                yield from (line.decode("utf-8", "replace").rstrip("\r") for line in whole)
            if rest:
                yield rest.decode("utf-8", "replace")


TARGET = DockerTarget()


# -- the engine --------------------------------------------------------------------------------------


@contextlib.contextmanager
def _engine() -> Iterator[Any]:
    """Give the engine of this machine for a block.

    Raises:
        MissingTool: None answers, or it is on another machine.
    """
    from toolkit.flows.environments.engine import connect  # noqa: PLC0415 - imports Docker's SDK

    try:
        engine = connect(environment())
    except EnvironmentBuildError as error:
        raise MissingTool(str(error).replace("docker_env", "the docker target")) from None
    try:
        if not engine.is_here:
            raise MissingTool(
                f"the docker target wants an engine on this machine, and {engine.address} is another one's: name a "
                "socket in DOCKER_HOST, or deploy from there"
            )
        yield engine
    finally:
        engine.close()


@contextlib.contextmanager
def _told(what: str) -> Iterator[None]:
    """Let what the engine does not do be one error.

    Args:
        what: What was wanted.

    Raises:
        TargetFailed: The engine did not do it.
    """
    from toolkit.flows.environments.engine import ENGINE_FAILURES, words  # noqa: PLC0415 - imports Docker's SDK

    try:
        yield
    except EnvironmentBuildError as error:
        raise TargetFailed(f"{what}: {error}") from None
    except ENGINE_FAILURES as error:
        raise TargetFailed(f"{what}: {words(error)}") from error


def _kind(engine: Any) -> str:  # noqa: ANN401 - the module of its class imports Docker's SDK
    names = " ".join(str(each.get("Name")) for each in engine.client.version().get("Components", ()))
    return "podman" if "podman" in names.lower() else "docker"


def _container(client: Any, name: str) -> Any | None:  # noqa: ANN401 - Docker's SDK has no types
    from docker.errors import NotFound  # noqa: PLC0415 - imports Docker's SDK

    try:
        return client.containers.get(name)
    except NotFound:
        return None


def _end(container: Any) -> None:  # noqa: ANN401 - Docker's SDK has no types
    from docker.errors import NotFound  # noqa: PLC0415 - imports Docker's SDK

    with contextlib.suppress(NotFound):  # it ended by itself
        if container.status == "running":
            container.stop(timeout=_GRACE)
        container.remove(force=True)


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
    if (left := _container(client, name)) is not None:  # of a process that was killed
        _end(left)
    port = _free_port() if options["network"] == "host" else _PORT
    network: dict[str, Any] = {"network_mode": "host"}
    listens = "127.0.0.1" if options["network"] == "host" else "0.0.0.0"  # noqa: S104 - in a network of its own
    if options["network"] == "bridge":
        _ensure_network(client)
        network = {"network": _NETWORK, "ports": {f"{port}/tcp": ("127.0.0.1", None)}}
    container = client.containers.create(
        image,
        ["serve", "--host", listens, "-p", str(port)],
        name=name,
        labels={_LABEL: _key(placement.deployment), _RELEASE: str(placement.release)},
        restart_policy=_RESTART,
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
    if not client.networks.list(names=[_NETWORK]):
        client.networks.create(_NETWORK, driver="bridge", labels={_LABEL: ""})


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


def memory_bytes(text: str) -> int:
    """Return bytes of a quantity as Kubernetes writes it: ``512Mi``, ``2G``, ``1.5Gi``.

    Raises:
        InvalidValue: It is none.
    """
    found = re.fullmatch(r"(\d+(?:\.\d+)?)([KMGT]i?)?B?", text.strip())
    if found is None or not float(found[1]):
        raise InvalidValue(f"memory is {text[:50]!r}: wanted such as 512Mi or 2G")
    unit = found[2] or ""
    power = "KMGT".find(unit[:1]) + 1 if unit else 0
    return round(float(found[1]) * (1024 if unit.endswith("i") else 1000) ** power)


def cpu_cores(text: str) -> float:
    """Return cores of a quantity as Kubernetes writes it: ``2``, ``0.5``, ``500m``.

    Raises:
        InvalidValue: It is none.
    """
    found = re.fullmatch(r"(\d+(?:\.\d+)?)(m?)", text.strip())
    if found is None or not float(found[1]):
        raise InvalidValue(f"cpu is {text[:50]!r}: wanted such as 2, 0.5 or 500m")
    return float(found[1]) / (1000 if found[2] else 1)


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


# -- the container in front --------------------------------------------------------------------------


def _front(client: Any, new: Instance, before: str | None) -> Any:  # noqa: ANN401 - Docker's SDK has no types
    """Return the running container that holds a deployment's public port; made where there is none."""
    detail = new.detail
    name = f"{detail['key']}-front"
    there = _container(client, name)
    if there is not None:
        host, port = there.labels[_FRONT].rsplit(" ", 1)
        if (host, detail["network"]) == (detail["host"], there.labels.get("toolkit.network")) and (
            detail["port"] in ("", port)
        ):
            if there.status != "running":
                there.start()
            return there
        _end(there)  # the user has asked for another address
    wanted = detail["port"] or (before or "").rpartition(":")[2]
    port = wanted if wanted else str(_public_port(detail["host"]))
    _check_free(detail["host"], int(port))
    return _run_front(client, new, name, port)


def _run_front(client: Any, new: Instance, name: str, port: str) -> Any:  # noqa: ANN401 - Docker's SDK has no types
    detail = new.detail
    source = Path(str(front_process.__file__)).read_text(encoding="utf-8")
    inside = port if detail["network"] == "host" else str(_PORT)
    listens = detail["host"] if detail["network"] == "host" else "0.0.0.0"  # noqa: S104 - in a network of its own
    network: dict[str, Any] = {"network_mode": "host"}
    if detail["network"] == "bridge":
        network = {"network": _NETWORK, "ports": {f"{_PORT}/tcp": (detail["host"], int(port))}}
    front = client.containers.create(
        new.image,
        ["-c", source, listens, inside],
        entrypoint=[_PYTHON],
        name=name,
        labels={
            _LABEL: detail["key"],
            _FRONT: f"{detail['host']} {port}",
            "toolkit.network": detail["network"],
        },
        restart_policy=_RESTART,
        **network,
        **_LOCKED_DOWN,
    )
    try:
        front.start()
    except BaseException:
        front.remove(force=True)
        raise
    return front


def _point(front: Any, place: str) -> None:  # noqa: ANN401 - Docker's SDK has no types
    """Tell the container in front where new connections go.

    Raises:
        TargetFailed: It does not take it.
    """
    target = str(front_process.TARGET)
    script = f'printf %s "$1" > {target}.new && mv {target}.new {target}'
    code, said = front.exec_run(["/bin/sh", "-c", script, "sh", place])
    if code:
        told = said.decode("utf-8", "replace").strip()
        raise TargetFailed(f"the container {front.name} does not take its new target: {told or code}")


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


def _shown(host: str) -> str:
    if host in ("0.0.0.0", "::"):  # noqa: S104 - compared
        return "127.0.0.1"
    return f"[{host}]" if ":" in host else host


def _nothing(line: str) -> None:
    """Take a line of progress that nobody reads."""
