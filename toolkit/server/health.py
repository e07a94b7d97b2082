"""How the services are that people lean on here: the store, the artifacts, the disk, Prefect, what deployments serve.

Whoever asks never waits for one that is slow: the checks run beside each other in threads of their own, and what they
found last is told at once. What a check touches stays as it is.
"""

from __future__ import annotations

import shutil
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING

from toolkit.artifacts.local import local_artifact_root
from toolkit.deployments.records import DeploymentState
from toolkit.errors import ServiceError, ToolkitError
from toolkit.recording.stores import Stores
from toolkit.settings import environment, load

if TYPE_CHECKING:
    from toolkit.flows.services import ServiceStatus

FRESH = 10.0
"""Seconds for which an answer is taken as it is, before it is looked for again."""
SLOW = 5.0
"""Seconds after which a check that has not come back says that the service does not answer."""

_SLOW_STORE = 1.0  # seconds that one row may take
_LITTLE_DISK, _NO_DISK = 5_000_000_000, 500_000_000  # bytes
_LITTLE_SHARE = 0.1  # of the disk: less of a small one is not yet little
_NOWHERE = "health-check"  # a folder that no run has: to list it is the cheapest question
_DISTRIBUTION = "toolkit"


class State(StrEnum):
    """How a service is."""

    OK = "ok"
    DEGRADED = "degraded"
    """It works, but somebody should look at it."""
    DOWN = "down"
    UNKNOWN = "unknown"
    """It has not answered yet."""
    ABSENT = "absent"
    """Nobody has started it, and nothing needs it now."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Health:
    """How one service is.

    Attributes:
        name: ``server``, ``store``, ``artifacts``, ``disk``, ``prefect`` or ``deployments``.
        state: How it is.
        note: What there is to know, in words.
        url: Where people look at it; None where they cannot.
        help: What to do where it is not well; empty where that is not known.
    """

    name: str
    state: State
    note: str
    url: str | None = None
    help: str = ""

    @property
    def well(self) -> bool:
        """Whether nobody needs to look at it."""
        return self.state in (State.OK, State.ABSENT, State.UNKNOWN)


Check = Callable[[], Health]


@dataclass(slots=True)
class _Asked:
    """A check that runs."""

    began: float
    done: threading.Event


class HealthWatch:
    """What is known of the services.

    Args:
        checks: How each is asked, by its name.
        fresh: Seconds for which an answer holds.
        slow: Seconds after which a check counts as not answered.
    """

    def __init__(self, checks: Mapping[str, Check], *, fresh: float = FRESH, slow: float = SLOW) -> None:
        self._checks = checks
        self._fresh, self._slow = fresh, slow
        self._known: dict[str, tuple[float, Health]] = {}
        self._running: dict[str, _Asked] = {}
        self._lock = threading.Lock()

    def look(self, *, wait: float) -> Sequence[Health]:
        """Return how each service is, as far as it is known.

        Args:
            wait: Seconds to wait at most for answers that are not there yet; old ones are told without waiting.
        """
        until = time.monotonic() + wait
        for asked in self._ask():
            asked.done.wait(max(0.0, until - time.monotonic()))
        return [self._told(name) for name in self._checks]

    def _ask(self) -> Sequence[_Asked]:
        """Start the checks whose answers are old; return those that have never been answered."""
        now = time.monotonic()
        with self._lock:
            for name, check in self._checks.items():
                asked_at = self._known[name][0] if name in self._known else float("-inf")
                if name not in self._running and now - asked_at >= self._fresh:
                    self._running[name] = _Asked(began=now, done=threading.Event())
                    threading.Thread(target=self._run, args=(name, check), daemon=True, name=f"health-{name}").start()
            return [asked for name, asked in self._running.items() if name not in self._known]

    def _run(self, name: str, check: Check) -> None:
        try:
            found = check()
        except ToolkitError as error:
            found = Health(name=name, state=State.DOWN, note=error.message)
        except Exception as error:  # noqa: BLE001 - whatever a service does, the page says so and the others are told
            found = Health(name=name, state=State.DOWN, note=f"{type(error).__name__}: {error}")
        with self._lock:
            self._known[name] = (time.monotonic(), found)
            self._running.pop(name).done.set()

    def _told(self, name: str) -> Health:
        with self._lock:
            asked, known = self._running.get(name), self._known.get(name)
        late = asked is not None and time.monotonic() - asked.began > self._slow
        if asked is not None and late:
            seconds = int(time.monotonic() - asked.began)
            return Health(name=name, state=State.DOWN, note=f"it has not answered for {seconds} s")
        return known[1] if known else Health(name=name, state=State.UNKNOWN, note="it has not answered yet")


def watch_of(stores: Stores) -> HealthWatch:
    """Return what watches the services of a server.

    Args:
        stores: What it serves.
    """
    return HealthWatch(
        {
            "server": _server,
            "store": lambda: _store(stores),
            "artifacts": lambda: _artifacts(stores),
            "disk": lambda: _disk(stores),
            "prefect": lambda: _prefect(stores),
            "deployments": lambda: _deployments(stores),
        }
    )


def _server() -> Health:
    try:
        note = f"toolkit {version(_DISTRIBUTION)}"
    except PackageNotFoundError:  # run from a checkout
        note = "toolkit"
    return Health(name="server", state=State.OK, note=note)


def _store(stores: Stores) -> Health:
    began = time.monotonic()
    stores.runs.list_experiments(limit=1)
    took = time.monotonic() - began
    file = stores.database.file if stores.database else None
    size = f", {_size(file.stat().st_size)}" if file is not None and file.exists() else ""
    note = f"{stores.place}{size}, answers in {max(1, round(took * 1000))} ms"
    return Health(name="store", state=State.OK if took < _SLOW_STORE else State.DEGRADED, note=note)


def _folder(stores: Stores) -> Path | None:
    """Return the folder of this machine that artifacts are in; None where they are elsewhere."""
    try:
        return local_artifact_root(stores.artifact_root)
    except ToolkitError:
        return None


def _artifacts(stores: Stores) -> Health:
    folder = _folder(stores)
    began = time.monotonic()
    next(iter(stores.artifacts.list(_NOWHERE)), None)
    took = time.monotonic() - began
    if folder is not None and folder.exists() and not _is_writable(folder):
        return Health(
            name="artifacts",
            state=State.DOWN,
            note=f"{folder} cannot be written",
            help="give the user of this server the right to write there",
        )
    place = str(folder) if folder is not None else stores.artifact_root
    return Health(name="artifacts", state=State.OK, note=f"{place}, answers in {max(1, round(took * 1000))} ms")


def _is_writable(folder: Path) -> bool:
    import os  # noqa: PLC0415 - for this question alone

    return os.access(folder, os.W_OK | os.X_OK)


def _disk(stores: Stores) -> Health:
    folders = [stores.home, *(folder for folder in (_folder(stores),) if folder is not None)]
    found = [(shutil.disk_usage(_existing(folder)), folder) for folder in folders]
    usage, folder = min(found, key=lambda each: each[0].free)
    state = State.OK
    if usage.free < _NO_DISK:
        state = State.DOWN
    elif usage.free < _LITTLE_DISK and usage.free < usage.total * _LITTLE_SHARE:
        state = State.DEGRADED
    note = f"{_size(usage.free)} of {_size(usage.total)} left"
    if state is State.OK:
        return Health(name="disk", state=state, note=note)
    return Health(
        name="disk",
        state=state,
        note=f"{note} where {folder} is",
        help="toolkit gc removes what deleted runs have left; or move the artifacts to a larger disk",
    )


def _existing(folder: Path) -> Path:
    return next(each for each in (folder, *folder.parents) if each.exists())


def _size(count: float) -> str:
    for unit in ("B", "kB", "MB", "GB", "TB"):
        if count < 1000 or unit == "TB":
            break
        count /= 1000
    return f"{count:.3g} {unit}" if count < 100 else f"{count:.0f} {unit}"


def _services(stores: Stores) -> Mapping[str, ServiceStatus]:
    from toolkit.wiring.services import local_services  # noqa: PLC0415 - the flows, when somebody asks

    services = local_services(load().model_copy(update={"home": stores.home}))
    return {service.name: service for service in reversed(services.look())}  # what the user has named stands first


def _prefect(stores: Stores) -> Health:
    from toolkit.flows.prefect_server import external_server  # noqa: PLC0415 - as above

    found = _services(stores)["prefect"]
    if found.state == "external":
        try:
            named = external_server(found.url or "", found.note, environment())
        except ServiceError as error:
            return Health(name="prefect", state=State.DOWN, note=error.message)
        return Health(name="prefect", state=State.OK, note="answers", url=named.ui_url)
    if found.state == "absent":
        return Health(name="prefect", state=State.ABSENT, note="not started", help="toolkit up starts it")
    return _told("prefect", found)


def _told(name: str, found: ServiceStatus) -> Health:
    """Return how a service of this machine is, from what `toolkit status` says of it."""
    state = {"running": State.OK, "starting": State.DEGRADED}.get(found.state, State.DOWN)
    note = "answers" if state is State.OK else found.note
    again = "" if state is State.OK else "toolkit up starts it again"
    if found.state == "starting":
        note, again = "is being started", ""
    return Health(name=name, state=state, note=note, url=found.url if state is State.OK else None, help=again)


def _deployments(stores: Stores) -> Health:
    from toolkit.deployments import supervised  # noqa: PLC0415 - the registry and all that serves
    from toolkit.flows.services import SUPERVISOR  # noqa: PLC0415 - as above
    from toolkit.wiring.serving import open_deployment_store  # noqa: PLC0415 - the same

    there = open_deployment_store(stores).list()
    if not there:
        return Health(name="deployments", state=State.ABSENT, note="none")
    bad = [each for each in there if each.state is DeploymentState.FAILED]
    keeper = _services(stores).get(SUPERVISOR)
    kept = [door.deployment for door in supervised.read(stores.home).doors]
    if kept and keeper is not None and keeper.state not in ("running", "starting"):
        return Health(
            name="deployments",
            state=State.DOWN,
            note=f"what keeps {', '.join(kept)} running does not answer",
            help="toolkit up starts it again",
        )
    serving = sum(each.state in (DeploymentState.SERVING, DeploymentState.UPDATING) for each in there)
    note = f"{serving} of {len(there)} serve" if serving != len(there) else f"{serving} serve"
    if not bad:
        return Health(name="deployments", state=State.OK, note=note)
    named = "; ".join(f"{each.name}: {each.message or 'nothing of it serves'}" for each in bad[:3])
    return Health(name="deployments", state=State.DEGRADED, note=f"{note}. {named}")
