"""Processes on this machine: a release's workers are kept running by the supervisor of this home."""

from __future__ import annotations

import secrets
import sys
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

from toolkit.deployments import log_file, samples, supervised
from toolkit.deployments.control import Control
from toolkit.deployments.serving.sample_files import VARIABLE
from toolkit.deployments.supervised import Wanted
from toolkit.deployments.target import Health, Instance, Placement
from toolkit.errors import Conflict, InvalidValue, NotFound, ServiceError, TargetFailed
from toolkit.flows.services import Services
from toolkit.settings import environment, load
from toolkit.transport.address import has_password

_OPTIONS = ("host", "port")
_HOST = "127.0.0.1"
_ASK = 10.0
_NO_SUPERVISOR = "the supervisor of this machine's deployments does not run: toolkit up starts it"
_FOUND_AGAIN = ("BENTOML_HOME",)

Answer = TypeVar("Answer")


class LocalTarget:
    """Workers on this machine, behind one public address.

    Options: ``port`` is the public port (default: 3000, or a free one; it stays the deployment's), ``host`` the
    address that it listens on (default: 127.0.0.1, which only this machine reaches).

    Args:
        home: Toolkit's home; None for the one that the settings name.
    """

    name = "local"
    serves = True

    def __init__(self, home: Path | None = None) -> None:
        self._given = home

    def require(self, options: Mapping[str, str]) -> None:
        """Check the options.

        Raises:
            InvalidValue: One is not known, or the port is no number of one.
        """
        _port(options)
        if unknown := sorted(set(options) - set(_OPTIONS)):
            raise InvalidValue(f"the local target knows no option {unknown[0]!r}: wanted {' or '.join(_OPTIONS)}")
        if not options.get("host", _HOST):
            raise InvalidValue("option host is empty: wanted an address of this machine, such as 127.0.0.1")

    def start(self, placement: Placement) -> Instance:
        """Start the release's workers, beside those that serve.

        Raises:
            TargetFailed: The supervisor cannot be started, or the port is another program's.
        """
        variables = {name: value for name in _FOUND_AGAIN if (value := environment().get(name))}
        if placement.config.sample_rate > 0:
            variables[VARIABLE] = str(samples.folder_of(self._home, placement.deployment, placement.release).absolute())
        log = placement.folder.with_name(placement.folder.name + ".log")
        wanted = Wanted(
            id=f"{placement.deployment}-{placement.release}-{secrets.token_hex(4)}",
            deployment=placement.deployment,
            release=placement.release,
            bento=placement.bento.tag,
            python=sys.executable,
            folder=str(placement.folder.absolute()),
            log=str(log.absolute()),
            workers=placement.config.workers,
            timeout=placement.config.timeout,
            variables=variables,
            host=placement.options.get("host", _HOST),
            port=_port(placement.options),
            sampled=placement.config.sample_rate > 0,
            told=_told(),
        )
        try:
            port, _ = self._services().ensure_supervisor(_nothing)
            started = Control(self._home, port).start(wanted)
        except (ServiceError, Conflict) as error:
            raise TargetFailed(str(error)) from None
        return Instance(id=wanted.id, private_address=started["private_address"], detail={"log": wanted.log})

    def health(self, instance: Instance) -> Health:
        """Tell how the workers are: what the supervisor says, and what ``/readyz`` answers."""
        if self._services().running_supervisor() is None:
            return Health(state="gone", message=_NO_SUPERVISOR)
        try:
            found = self._control(lambda control: control.one(instance.id))
        except NotFound:
            return Health(state="gone", message="it does not run")
        except TargetFailed as error:
            return Health(state="failing", message=str(error))
        if found["state"] != "ready":
            return Health(state=found["state"], message=found["message"])
        return _asked(found["private_address"])

    def switch(self, new: Instance, old: Instance | None) -> Instance:  # noqa: ARG002 - the supervisor knows it
        """Let a release answer at the public address; the one before ends what it has begun.

        Raises:
            TargetFailed: It does not run or is not ready, or the address cannot be listened on.
        """
        try:
            moved = self._control(lambda control: control.switch(new.id))
        except (NotFound, Conflict) as error:
            raise TargetFailed(str(error)) from None
        return replace(new, private_address=moved["private_address"], address=moved["address"])

    def stop(self, instance: Instance) -> None:
        """End the workers; their log stays."""
        if self._services().running_supervisor() is None:
            if not any(each.id == instance.id for each in supervised.read(self._home).instances):
                return
            self._services().ensure_supervisor(_nothing)  # it would start it again, one day
        self._control(lambda control: control.stop(instance.id))

    def found(self, deployment: str, release: int) -> Sequence[Instance]:
        """Return what runs of a release; nothing where nothing does."""
        if self._services().running_supervisor() is None:
            return []
        return [
            Instance(id=each["id"], private_address=each["private_address"], detail={"log": each["log"]})
            for each in self._control(Control.all)
            if (each["deployment"], each["release"]) == (deployment, release)
        ]

    def logs(self, instance: Instance, *, lines: int = 200, follow: bool = False) -> Iterator[str]:
        """Yield the last lines of the workers' output, and, if asked for, those that come until they are gone."""
        log = Path(instance.detail["log"])
        if follow:
            return log_file.follow(log, lines, ended=lambda: not self._runs(instance))
        return iter(log_file.last_lines(log, lines))

    def _runs(self, instance: Instance) -> bool:
        try:
            return bool(self._control(lambda control: control.one(instance.id)))
        except (NotFound, TargetFailed):
            return False

    @property
    def _home(self) -> Path:
        return self._given or load().home

    def _services(self) -> Services:
        return Services(self._home, environ=environment(), directory=Path.cwd())

    def _control(self, ask: Callable[[Control], Answer]) -> Answer:
        """Ask the supervisor.

        Raises:
            TargetFailed: It does not run.
        """
        port = self._services().running_supervisor()
        if port is None:
            raise TargetFailed(_NO_SUPERVISOR)
        return ask(Control(self._home, port))


TARGET = LocalTarget()


def _port(options: Mapping[str, str]) -> int | None:
    given = options.get("port")
    if given is None:
        return None
    if not given.isascii() or not given.isdigit() or not 1 <= int(given) <= 65535:
        raise InvalidValue(f"option port is {given!r}: wanted a number from 1 to 65535")
    return int(given)


def _asked(address: str) -> Health:
    """Ask the service itself."""
    try:
        with urllib.request.urlopen(f"{address}/readyz", timeout=_ASK):  # noqa: S310 - our own address
            return Health(state="ready")
    except urllib.error.HTTPError as error:
        with error:
            return Health(state="failing", message=f"{address}/readyz answers {error.code} {error.reason}")
    except OSError as error:
        return Health(state="failing", message=f"{address}/readyz does not answer: {error}")


def _told() -> dict[str, str]:
    """Return the variables that say where samples belong; no secret is among them."""
    settings = load()
    where = {"TOOLKIT_TRACKING_URI": settings.tracking_uri, "TOOLKIT_ARTIFACT_ROOT": settings.artifact_root}
    return {name: uri for name, uri in where.items() if uri and not has_password(uri)}


def _nothing(line: str) -> None:
    """Take a line of progress that nobody reads."""
