"""The engine of this machine, as the docker target uses it: what it does not do is one error."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

from toolkit.errors import EnvironmentBuildError, MissingTool, TargetFailed
from toolkit.settings import environment

NETWORK = "toolkit"
"""The network of all deployments, where the engine makes one."""

PORT = 3000
"""Where a container listens in that network."""

DEPLOYMENT = "toolkit.deployment"
RELEASE = "toolkit.release"
LOCKED_DOWN: dict[str, Any] = {"cap_drop": ["ALL"], "security_opt": ["no-new-privileges"]}
RESTART = {"Name": "unless-stopped"}

_GRACE = 30  # seconds that a container has to answer what it has begun


@contextlib.contextmanager
def engine_here() -> Iterator[Any]:
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
def told(what: str) -> Iterator[None]:
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


def kind_of(engine: Any) -> str:  # noqa: ANN401 - the module of its class imports Docker's SDK
    """Return whose engine it is: ``docker`` or ``podman``."""
    names = " ".join(str(each.get("Name")) for each in engine.client.version().get("Components", ()))
    return "podman" if "podman" in names.lower() else "docker"


def container_named(client: Any, name: str) -> Any | None:  # noqa: ANN401 - Docker's SDK has no types
    """Return a container, running or not; ``None`` where there is none of this name."""
    from docker.errors import NotFound  # noqa: PLC0415 - imports Docker's SDK

    try:
        return client.containers.get(name)
    except NotFound:
        return None


def end(container: Any) -> None:  # noqa: ANN401 - Docker's SDK has no types
    """End a container, after what it has begun, and remove it."""
    from docker.errors import NotFound  # noqa: PLC0415 - imports Docker's SDK

    with contextlib.suppress(NotFound):  # it ended by itself
        if container.status == "running":
            container.stop(timeout=_GRACE)
        container.remove(force=True)
