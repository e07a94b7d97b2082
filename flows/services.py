"""Local services: started once, detached, and used by whoever comes next.

``<home>/services.json`` records them; it is only written under ``<home>/services.lock``. A service is only started and
ended under a lock of its own, so that two may start beside each other. What the record says is never believed alone: a
service runs if the very process that is recorded lives and answers.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, fields
from importlib import metadata
from pathlib import Path
from typing import Literal

from filelock import FileLock, Timeout
from packaging.version import InvalidVersion, Version

from toolkit.errors import ServiceError
from toolkit.flows import model_supervisor, prefect_server, server_start, tracking_server
from toolkit.flows.environments.prepared import Report
from toolkit.flows.prefect_profile import named_server
from toolkit.flows.prefect_server import PrefectServer
from toolkit.flows.server_start import PortTaken
from toolkit.flows.service_process import ServiceProcess
from toolkit.flows.tracking_server import Served
from toolkit.ids import now_ms

__all__ = ["PrefectServer", "Served", "ServiceRecord", "ServiceStatus", "Services", "TrackingServer"]

_PREFECT, _OWN = "prefect", "toolkit"
TRACKING = "tracking"
"""Name of the tracking server of the home's own stores; for others something stands behind it."""
SUPERVISOR = "deployments"
"""Name of what keeps this machine's deployments running."""
_TRIES = 5
_GRACE = 10.0
"""Seconds that a service gets to end by itself."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ServiceRecord:
    """A service that was started.

    Attributes:
        name: Its name.
        url: Its address for people.
        host: The address that it listens on.
        port: The port that it listens on.
        pid: Its process id.
        process_started: When its process started, seconds since 1970-01-01 UTC.
        log: Where its output goes.
        started_at: When it was started, milliseconds since 1970-01-01 UTC.
        version: Version of the program.
        process_since_boot: When its process started, in seconds since the machine's start.
        place: What it serves, for people.
    """

    name: str
    url: str
    host: str
    port: int
    pid: int
    process_started: float
    log: str
    started_at: int
    version: str
    process_since_boot: float = 0.0
    place: str = ""

    @property
    def process(self) -> ServiceProcess:
        """Its process."""
        return ServiceProcess(pid=self.pid, started=self.process_started, since_boot=self.process_since_boot)


@dataclass(frozen=True, kw_only=True, slots=True)
class ServiceStatus:
    """How a service is.

    Attributes:
        name: Its name.
        state: ``running``; ``starting``, alive but without an answer yet; ``silent``, alive but without an answer for
            too long, so that the next one to need it starts it again; ``stale``, recorded but gone, and dropped from
            the record by this look at it; ``absent``, not recorded; ``external``, the user has named another one.
        url: Its address for people, where there is one.
        record: What is recorded of it, where something is.
        note: What else there is to know, in words.
    """

    name: str
    state: Literal["running", "starting", "silent", "stale", "absent", "external"]
    url: str | None = None
    record: ServiceRecord | None = None
    note: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class TrackingServer:
    """A tracking server of ours that answers.

    Attributes:
        url: Its address.
        started: Whether it was started just now.
    """

    url: str
    started: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class _Kind:
    """How a service is started and asked.

    Attributes:
        name: Its name.
        title: What it is called in messages.
        distribution: What its program is installed as.
        place: What it serves.
        log: Where its output goes.
        choose_port: Returns a free port, if it can be the one that is given.
        launch: Starts it on a port.
        wait: Waits for its first answer: takes its process, port, who is told, and the seconds it gets.
    """

    name: str
    title: str
    distribution: str
    place: str
    log: Path
    choose_port: Callable[[int], int]
    launch: Callable[[int], ServiceProcess]
    wait: Callable[[ServiceProcess, int, Report, float | None], None]


class Services:
    """The local services of one home.

    Args:
        home: Toolkit's home.
        environ: The environment variables, for what the user has configured and for the services' processes.
        directory: The working directory: Prefect reads configuration there as well.
    """

    def __init__(self, home: Path, *, environ: Mapping[str, str], directory: Path) -> None:
        self._home = home
        self._environ = environ
        self._directory = directory
        self._file = home / "services.json"

    def status(self) -> list[ServiceStatus]:
        """Return how each service is, and drop from the record what is gone.

        Raises:
            ServiceError: A configuration file of Prefect cannot be read.
        """
        found = self.look()
        gone = [status.record for status in found if status.state == "stale" and status.record is not None]
        if gone:
            self._change(lambda records: {name: one for name, one in records.items() if one not in gone})
        return found

    def look(self) -> list[ServiceStatus]:
        """Return how each service is, and leave the record as it is.

        Raises:
            ServiceError: A configuration file of Prefect cannot be read.
        """
        found = [_status(record) for _, record in sorted(self._read().items())]  # Prefect's first
        named = named_server(self._environ, self._directory)
        if named is not None:
            external = ServiceStatus(name=_PREFECT, state="external", url=named[0], note=f"named by {named[1]}")
            found.insert(0, external)
        elif not any(status.name == _PREFECT for status in found):
            found.insert(0, ServiceStatus(name=_PREFECT, state="absent"))
        return found

    def ensure_prefect(self, report: Report) -> PrefectServer:
        """Return a Prefect server that answers: the user's, else our own, started if need be.

        However many ask at the same moment, one server is started.

        Args:
            report: Takes lines of progress.

        Raises:
            ServiceError: The user's server does not answer, or ours does not start.
        """
        named = named_server(self._environ, self._directory)
        if named is not None:
            return prefect_server.external_server(*named, self._environ)
        port, started = self._ensure(self._prefect(), prefect_server.PORT, report)
        return prefect_server.own_server(port, self._home, started=started)

    def ensure_tracking(self, served: Served, report: Report) -> TrackingServer:
        """Return a tracking server of ours that answers for some stores, started if need be.

        However many ask at the same moment, one server is started.

        Args:
            served: The stores.
            report: Takes lines of progress.

        Raises:
            ServiceError: It does not start.
        """
        port, started = self._ensure(self._tracking(served), tracking_server.PORT, report)
        return TrackingServer(url=_url(port), started=started)

    def running_tracking(self, served: Served) -> TrackingServer | None:
        """Return the tracking server of ours that answers for some stores now; ``None`` where there is none."""
        record = self._read().get(served.name)
        if record is None or not _answers(record):
            return None
        return TrackingServer(url=record.url, started=False)

    def ensure_supervisor(self, report: Report) -> tuple[int, bool]:
        """Return the port of the supervisor of deployments, and whether it was started just now.

        Args:
            report: Takes lines of progress.

        Raises:
            ServiceError: It does not start.
        """
        return self._ensure(self._supervisor(), 0, report)

    def running_supervisor(self) -> int | None:
        """Return the port of the supervisor of deployments if its process lives; whoever asks there sees the rest."""
        record = self._read().get(SUPERVISOR)
        return record.port if record is not None and record.process.is_alive() else None

    def stop_all(self, report: Report) -> list[ServiceRecord]:
        """End every service that we started, and return what was running.

        Args:
            report: Takes lines of progress.
        """
        stopped = []
        with ExitStack() as held:
            for name in sorted({_PREFECT, *self._read()}):
                held.enter_context(self._starting(name, report))
            ended = self._read()
            for record in ended.values():
                if record.process.stop(_GRACE):
                    report(f"stopped {record.name} (pid {record.pid})")
                    stopped.append(record)
            self._change(lambda records: {name: one for name, one in records.items() if ended.get(name) != one})
        return stopped

    def _ensure(self, kind: _Kind, port: int, report: Report) -> tuple[int, bool]:
        """Return the port of a service that answers, and whether it was started just now."""
        record = self._read().get(kind.name)
        if record is not None and not _is_older(record) and _answers(record):
            return record.port, False
        with self._starting(kind.name, report):
            record = self._read().get(kind.name)
            if record is not None and self._comes_up(kind, record, report):
                return record.port, False
            return self._start(kind, record.port if record else port, report), True

    def _comes_up(self, kind: _Kind, record: ServiceRecord, report: Report) -> bool:
        """Tell whether a recorded service answers; one that does not in its time is ended, and so is an older version.

        Its starter may have been killed while it waited: then it is young, and gets the rest of its time.
        """
        if not record.process.is_alive():
            return False
        if _is_older(record):
            report(
                f"{record.name} (pid {record.pid}) is of version {record.version} and is started again with this one"
            )
            record.process.stop(_GRACE)  # what it has begun is answered; clients come again, for the port stays
            return False
        if _answers(record):
            return True
        if (left := _time_left(record)) > 0:
            try:
                kind.wait(record.process, record.port, report, left)
            except (ServiceError, PortTaken):
                return False
            return True
        report(f"{record.name} (pid {record.pid}) does not answer and is started again")
        record.process.stop(_GRACE)
        return False

    def _start(self, kind: _Kind, port: int, report: Report) -> int:
        """Start a service and return its port; the caller holds its lock."""
        for _ in range(_TRIES):
            port = kind.choose_port(port)
            process = kind.launch(port)
            record = ServiceRecord(
                name=kind.name,
                url=_url(port),
                host=server_start.HOST,
                port=port,
                pid=process.pid,
                process_started=process.started,
                process_since_boot=process.since_boot,
                log=str(kind.log),
                started_at=now_ms(),
                version=metadata.version(kind.distribution),
                place=kind.place,
            )
            self._record(record)  # at once: should we be killed, the next one finds it
            try:
                kind.wait(process, port, report, None)
            except PortTaken:
                report(f"port {port} was taken meanwhile")
            except BaseException:
                process.stop(_GRACE)
                self._change(lambda records: {name: one for name, one in records.items() if name != kind.name})
                raise
            else:
                return port
        raise ServiceError(f"{kind.title} found no port that stayed free in {_TRIES} tries")

    def _record(self, record: ServiceRecord) -> None:
        self._change(lambda records: {**records, record.name: record})

    # -- what services there are -----------------------------------------------------------------------

    def _prefect(self) -> _Kind:
        return _Kind(
            name=_PREFECT,
            title="Prefect's server",
            distribution="prefect",
            place="",
            log=prefect_server.log_file(self._home),
            choose_port=lambda port: prefect_server.choose_port(port),
            launch=lambda port: prefect_server.launch(self._home, port, self._environ),
            wait=lambda process, port, report, timeout: prefect_server.wait_until_ready(
                process, port, self._home, report, timeout=timeout
            ),
        )

    def _tracking(self, served: Served) -> _Kind:
        log = tracking_server.log_file(self._home, served.name)
        return _Kind(
            name=served.name,
            title="the tracking server",
            distribution=_OWN,
            place=served.place,
            log=log,
            choose_port=tracking_server.choose_port,
            launch=lambda port: tracking_server.launch(self._home, served, port, self._environ),
            wait=lambda process, port, report, timeout: tracking_server.wait_until_ready(
                process, port, log, report, timeout=timeout
            ),
        )

    def _supervisor(self) -> _Kind:
        return _Kind(
            name=SUPERVISOR,
            title="the supervisor of deployments",
            distribution=_OWN,
            place="",
            log=model_supervisor.log_file(self._home),
            choose_port=model_supervisor.choose_port,
            launch=lambda port: model_supervisor.launch(self._home, port, self._environ),
            wait=lambda process, port, report, timeout: model_supervisor.wait_until_ready(
                process, port, self._home, report, timeout=timeout
            ),
        )

    # -- the record ------------------------------------------------------------------------------------

    @contextmanager
    def _starting(self, name: str, report: Report) -> Iterator[None]:
        """Hold the right to start and stop a service; wait for whoever holds it, saying so."""
        self._home.mkdir(parents=True, exist_ok=True)
        lock = FileLock(self._home / f"{name}-service.lock", thread_local=False)
        try:
            lock.acquire(timeout=1.0)
        except Timeout:
            report("waiting for another process that starts or stops services")
            lock.acquire()
        try:
            yield
        finally:
            lock.release()

    def _change(self, change: Callable[[dict[str, ServiceRecord]], Mapping[str, ServiceRecord]]) -> None:
        """Change what is recorded."""
        with FileLock(self._home / "services.lock", thread_local=False):
            self._write(change(self._read()))

    def _read(self) -> dict[str, ServiceRecord]:
        """Return the records; one that cannot be understood counts as none.

        What a newer version adds is passed over and what it lacks has a default: a record that is lost is a server
        that nobody stops.
        """
        known = {field.name for field in fields(ServiceRecord)}
        try:
            entries = json.loads(self._file.read_bytes())["services"]
            records = [ServiceRecord(**{key: entry[key] for key in entry if key in known}) for entry in entries]
            return {record.name: record for record in records}
        except (OSError, ValueError, KeyError, TypeError):
            return {}

    def _write(self, records: Mapping[str, ServiceRecord]) -> None:
        unfinished = self._file.with_name(f".{self._file.name}.{os.getpid()}")
        content = {"format": 1, "services": [asdict(record) for record in records.values()]}
        unfinished.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
        unfinished.chmod(0o600)
        unfinished.replace(self._file)


def _url(port: int) -> str:
    return f"http://{server_start.HOST}:{port}"


def _is_well(record: ServiceRecord) -> bool:
    if record.name == _PREFECT:
        return prefect_server.answers(record.port)
    if record.name == SUPERVISOR:
        return model_supervisor.answers(record.port)
    return tracking_server.answers(record.port)


def _is_older(record: ServiceRecord) -> bool:
    """Tell whether a server of ours is of an older version than we are; a newer one is another program's to replace."""
    if record.name == _PREFECT:
        return False
    try:
        return Version(record.version) < Version(metadata.version(_OWN))
    except InvalidVersion:
        return False


def _answers(record: ServiceRecord) -> bool:
    return record.process.is_alive() and _is_well(record)


def _time_left(record: ServiceRecord) -> float:
    """Return the seconds that a service still has to give its first answer."""
    timeouts = {_PREFECT: prefect_server.START_TIMEOUT, SUPERVISOR: model_supervisor.START_TIMEOUT}
    return timeouts.get(record.name, tracking_server.START_TIMEOUT) - (now_ms() - record.started_at) / 1000


def _status(record: ServiceRecord) -> ServiceStatus:
    if not record.process.is_alive():
        return ServiceStatus(
            name=record.name, state="stale", url=record.url, record=record, note="its process has ended"
        )
    if _is_well(record):
        return ServiceStatus(name=record.name, state="running", url=record.url, record=record, note=record.place)
    return ServiceStatus(
        name=record.name,
        state="starting" if _time_left(record) > 0 else "silent",
        url=record.url,
        record=record,
        note="its process lives but does not answer",
    )
