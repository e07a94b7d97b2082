"""Local services: started once, detached, and used by whoever comes next.

``<home>/services.json`` records them; it is only written under ``<home>/services.lock``. What it says is never
believed alone: a service runs if the very process that is recorded lives and answers.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, fields
from importlib import metadata
from pathlib import Path
from typing import Literal

from filelock import FileLock, Timeout

from toolkit.errors import ServiceError
from toolkit.flows import prefect_server
from toolkit.flows.environments.prepared import Report
from toolkit.flows.prefect_profile import named_server
from toolkit.flows.prefect_server import PortTaken, PrefectServer
from toolkit.flows.service_process import ServiceProcess
from toolkit.ids import now_ms

__all__ = ["PrefectServer", "ServiceRecord", "ServiceStatus", "Services"]

_PREFECT = "prefect"
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
        found = [_status(record) for record in self._read().values()]
        gone = [status.record for status in found if status.state == "stale" and status.record is not None]
        if gone:
            with self._locked():
                records = self._read()
                self._write({name: record for name, record in records.items() if record not in gone})
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
        record = self._read().get(_PREFECT)
        if record is not None and _answers(record):
            return prefect_server.own_server(record.port, self._home, started=False)
        with self._locked(report):
            record = self._read().get(_PREFECT)
            if record is not None and self._comes_up(record, report):
                return prefect_server.own_server(record.port, self._home, started=False)
            port = self._start_prefect(record.port if record else prefect_server.PORT, report)
        return prefect_server.own_server(port, self._home, started=True)

    def stop_all(self, report: Report) -> list[ServiceRecord]:
        """End every service that we started, and return what was running.

        Args:
            report: Takes lines of progress.
        """
        stopped = []
        with self._locked(report):
            for record in self._read().values():
                if record.process.stop(_GRACE):
                    report(f"stopped {record.name} (pid {record.pid})")
                    stopped.append(record)
            self._write({})
        return stopped

    def _comes_up(self, record: ServiceRecord, report: Report) -> bool:
        """Tell whether a recorded service answers; one that does not in its time is ended.

        Its starter may have been killed while it waited: then it is young, and gets the rest of its time.
        """
        if not record.process.is_alive():
            return False
        if _answers(record):
            return True
        if (left := _time_left(record)) > 0:
            try:
                prefect_server.wait_until_ready(record.process, record.port, self._home, report, timeout=left)
            except (ServiceError, PortTaken):
                return False
            return True
        report(f"{record.name} (pid {record.pid}) does not answer and is started again")
        record.process.stop(_GRACE)
        return False

    def _start_prefect(self, port: int, report: Report) -> int:
        """Start Prefect's server and return its port; the caller holds the lock."""
        for _ in range(_TRIES):
            port = prefect_server.choose_port(port)
            process = prefect_server.launch(self._home, port, self._environ)
            record = ServiceRecord(
                name=_PREFECT,
                url=f"http://{prefect_server.HOST}:{port}",
                host=prefect_server.HOST,
                port=port,
                pid=process.pid,
                process_started=process.started,
                process_since_boot=process.since_boot,
                log=str(prefect_server.log_file(self._home)),
                started_at=now_ms(),
                version=metadata.version("prefect"),
            )
            self._write(self._read() | {_PREFECT: record})  # at once: should we be killed, the next one finds it
            try:
                prefect_server.wait_until_ready(process, port, self._home, report)
            except PortTaken:
                report(f"port {port} was taken meanwhile")
            except BaseException:
                process.stop(_GRACE)
                self._write({name: other for name, other in self._read().items() if name != _PREFECT})
                raise
            else:
                return port
        raise ServiceError(f"Prefect's server found no port that stayed free in {_TRIES} tries")

    # -- the record ------------------------------------------------------------------------------------

    @contextmanager
    def _locked(self, report: Report | None = None) -> Iterator[None]:
        """Hold the right to start and stop services; wait for whoever holds it, saying so."""
        self._home.mkdir(parents=True, exist_ok=True)
        lock = FileLock(self._home / "services.lock", thread_local=False)
        try:
            lock.acquire(timeout=1.0)
        except Timeout:
            if report is not None:
                report("waiting for another process that starts or stops services")
            lock.acquire()
        try:
            yield
        finally:
            lock.release()

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


def _answers(record: ServiceRecord) -> bool:
    return record.process.is_alive() and prefect_server.answers(record.port)


def _time_left(record: ServiceRecord) -> float:
    """Return the seconds that a service still has to give its first answer."""
    return prefect_server.START_TIMEOUT - (now_ms() - record.started_at) / 1000


def _status(record: ServiceRecord) -> ServiceStatus:
    if not record.process.is_alive():
        return ServiceStatus(
            name=record.name, state="stale", url=record.url, record=record, note="its process has ended"
        )
    if prefect_server.answers(record.port):
        return ServiceStatus(name=record.name, state="running", url=record.url, record=record)
    return ServiceStatus(
        name=record.name,
        state="starting" if _time_left(record) > 0 else "silent",
        url=record.url,
        record=record,
        note="its process lives but does not answer",
    )
