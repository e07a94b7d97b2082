"""A step's command in a container: its output line by line, its end, whatever happens."""

from __future__ import annotations

import contextlib
import queue
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from toolkit.errors import StepFailed
from toolkit.flows.environments.container import DESKTOP, Bind, Container
from toolkit.flows.lines import Lines
from toolkit.flows.process import Exit
from toolkit.flows.stop import Stop

RUN_LABEL = "toolkit.run-id"
"""Label of a container: the run that it is a step of."""

_POLL = 0.1
_ENDS_IN = 10.0

# The first process of a container gets no signal that it does not ask for, so a shell stands there and passes SIGTERM
# on to all others: those of this container alone, which is what -1 means to a first process. It then waits for them, as
# they end with it.
_FIRST = """
again=
stop() { again=1; if [ $$ -eq 1 ]; then kill -TERM -1; else kill -TERM "$child"; fi; }
trap stop TERM
shell=$(command -v bash || command -v sh)
if [ "$1" = strict ]; then set -- "$2" -eu -o pipefail; else set -- "$2"; fi
command=$1; shift
"$shell" "$@" -c "$command" </dev/null &
child=$!
wait "$child"; code=$?
stopped=$again
while [ -n "$again" ]; do again=; wait "$child"; code=$?; done
while [ -n "$stopped" ] && [ $$ -eq 1 ] && kill -0 -1 2>/dev/null; do sleep 0.1; done
exit "$code"
"""


@dataclass(frozen=True, kw_only=True, slots=True)
class ContainerSpec:
    """A command to run in a container.

    Attributes:
        container: What the container is made from.
        command: The shell command.
        strict: Whether it runs under ``set -euo pipefail``.
        run_id: The run that it is a step of.
        directory: Working directory, in the container.
        binds: Files and folders of this machine that it sees.
        variables: Its environment variables, besides those of the image.
        host_network: Whether it uses this machine's network as its own, unless the user wants another.
        timeout: Seconds after which it is ended; ``None``: never.
        grace: Seconds between SIGTERM and SIGKILL.
    """

    container: Container
    command: str
    strict: bool = False
    run_id: str
    directory: str
    binds: Sequence[Bind] = ()
    variables: Mapping[str, str] = field(default_factory=dict, repr=False)
    host_network: bool = False
    timeout: float | None = None
    grace: float = 5.0

    @property
    def name(self) -> str:
        """Name of the container, unless the user wants another."""
        return str(self.container.options.get("name") or f"toolkit-{self.run_id}")


class ContainerProcess:
    """Runs one command in a container of its own, which is removed at the end.

    Args:
        spec: The command.
        on_line: Called with each line of its output (standard output and error, as they come), without its end.
        stop: The wish to stop.
    """

    def __init__(self, spec: ContainerSpec, *, on_line: Callable[[str], None], stop: Stop) -> None:
        self._spec = spec
        self._on_line = on_line
        self._lines = Lines(on_line)
        self._stop = stop
        self._chunks: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
        self._container: Any = None  # the SDK has no types
        self._open = False
        self.is_gone = False

    def __enter__(self) -> ContainerProcess:
        return self

    def __exit__(self, *_: object) -> None:
        """Remove the container, whether it has ended or not."""
        from toolkit.flows.environments.engine import ENGINE_FAILURES  # noqa: PLC0415 - imports the SDK

        if self._container is not None:
            with contextlib.suppress(*ENGINE_FAILURES):  # what is left is removed at the next start
                self._container.remove(force=True, v=True)
                self.is_gone = True

    def start(self) -> str:
        """Make the container and start it; return its id.

        Raises:
            StepFailed: The engine does not do it.
        """
        from toolkit.flows.environments.engine import ENGINE_FAILURES, words  # noqa: PLC0415 - imports the SDK

        engine = self._spec.container.engine
        try:
            self._container = engine.client.containers.create(self._spec.container.image_id, **self._arguments())
            output = self._container.attach(stream=True, stdout=True, stderr=True)
            self._open = True
            threading.Thread(target=self._read, args=(output,), name="toolkit-container", daemon=True).start()
            self._container.start()
        except ENGINE_FAILURES as error:
            raise StepFailed(
                f"the container of image {self._spec.container.image} does not start: {words(error)}"
            ) from error
        return str(self._container.id)

    def wait(self) -> Exit:
        """Pass on the output until the command ends, or end it: time over, or the run is to stop.

        Raises:
            StepFailed: The engine does not answer any more.
        """
        from toolkit.flows.environments.engine import ENGINE_FAILURES, words  # noqa: PLC0415 - imports the SDK

        timed_out = stopped = False
        deadline = time.monotonic() + self._spec.timeout if self._spec.timeout else None
        try:
            while not self._ended():
                timed_out = deadline is not None and time.monotonic() >= deadline
                stopped = self._stop.requested
                if timed_out or stopped:
                    self._end()
                    break
            code = int(self._container.wait(timeout=_ENDS_IN)["StatusCode"])
            self._say_why(code)
        except ENGINE_FAILURES as error:
            raise StepFailed(
                f"the container engine at {self._spec.container.engine.address} failed while a step ran: {words(error)}"
            ) from error
        finally:
            self._lines.finish()
        return Exit(code=code, timed_out=timed_out, stopped=stopped, cpu_seconds=None)

    @property
    def container(self) -> Any:  # noqa: ANN401 - the SDK has no types
        """The SDK's container, once it was started."""
        return self._container

    # -- starting ----------------------------------------------------------------------------------

    def _arguments(self) -> dict[str, Any]:
        """Return what the engine is asked for: what the user wants wins, and lists are joined."""
        from docker.types import Mount  # noqa: PLC0415 - imports the SDK

        spec, container = self._spec, self._spec.container
        wanted = dict(container.options)
        binds = [
            Mount(target=bind.there, source=bind.here, type="bind", read_only=bind.read_only)
            for bind in (*container.binds, *spec.binds)
        ]
        mine: dict[str, Any] = {
            "command": ["/bin/sh", "-c", _FIRST, "toolkit", "strict" if spec.strict else "", spec.command],
            "name": spec.name,
            "environment": dict(spec.variables),
            "working_dir": spec.directory,
            "mounts": [*binds, *wanted.pop("mounts", ())],
            "volumes": [*container.volumes, *wanted.pop("volumes", ())],
            "labels": {RUN_LABEL: spec.run_id, **wanted.pop("labels", {})},
            "detach": True,
        }
        if spec.host_network:
            mine["network_mode"] = "host"
        if wanted.get("network_mode", mine.get("network_mode")) != "host" and _names_desktop(spec.variables):
            mine["extra_hosts"] = {DESKTOP: "host-gateway", **wanted.pop("extra_hosts", {})}
        return mine | wanted

    def _read(self, output: Any) -> None:  # noqa: ANN401 - a generator of the SDK's
        try:
            for chunk in output:
                self._chunks.put(chunk)
        except Exception:  # noqa: BLE001, S110 - whatever ends the stream: its end is told, and the engine asked
            pass
        finally:
            self._chunks.put(None)

    # -- ending ------------------------------------------------------------------------------------

    def _ended(self) -> bool:
        """Pass on what has come within a moment; tell whether the container has ended."""
        if self._open:
            self._pass_on(_POLL)
            return False
        return self._is_over()

    def _pass_on(self, seconds: float) -> None:
        with contextlib.suppress(queue.Empty):
            chunk = self._chunks.get(timeout=seconds)
            if chunk is None:
                self._open = False
            else:
                self._lines.feed(chunk)

    def _is_over(self) -> bool:
        """Ask the engine: the output may end before the container does, where the way to the engine breaks."""
        self._container.reload()
        if self._container.status in ("exited", "dead", "stopped", "removing"):
            return True
        time.sleep(_POLL)
        return False

    def _end(self) -> None:
        """End it: SIGTERM, then SIGKILL when the grace is over or there is no more time."""
        self._signal("SIGTERM")
        limit = time.monotonic() + self._spec.grace
        while time.monotonic() < limit and not self._stop.at_once and self._open:
            self._pass_on(_POLL)
        if self._open:
            self._signal("SIGKILL")
            limit = time.monotonic() + _ENDS_IN
            while time.monotonic() < limit and self._open:
                self._pass_on(_POLL)

    def _signal(self, name: str) -> None:
        from docker.errors import APIError  # noqa: PLC0415 - imports the SDK

        with contextlib.suppress(APIError):  # it has ended by itself
            self._container.kill(signal=name)

    def _say_why(self, code: int) -> None:
        """Put into the output what only the engine knows."""
        if code == 0:
            return
        self._container.reload()
        state = self._container.attrs.get("State", {})
        if state.get("OOMKilled"):
            self._on_line("toolkit: the container had no memory left (its limit can be raised: -A memory=…)")
        elif state.get("Error"):
            self._on_line(f"toolkit: the engine says: {state['Error']}")


def _names_desktop(variables: Mapping[str, str]) -> bool:
    return any(DESKTOP in value for value in variables.values())
