"""What a place to serve in must be able to do. `deployments/targets` has one file for each kind."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, fields
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from toolkit.deployments.bento import BuiltBento
    from toolkit.deployments.config import ServiceConfig
    from toolkit.deployments.endpoint import Answer


@dataclass(frozen=True, kw_only=True, slots=True)
class Placement:
    """What is to be started where.

    Attributes:
        deployment: The deployment's name.
        release: The release's number within it, from 1.
        bento: What is served.
        config: How it runs.
        options: The target's own options, as the user gave them (``--option key=value``).
        folder: Where the target may keep files of this release; it exists, and is removed with the release.
        address: The deployment's present public address, which the new release is to take over; None at first.
    """

    deployment: str
    release: int
    bento: BuiltBento
    config: ServiceConfig
    options: Mapping[str, str]
    folder: Path
    address: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Instance:
    """Something that a target has started; all that is needed to find it again, as JSON can hold it.

    Attributes:
        id: What the target finds it by.
        private_address: The URL at which it can be asked before traffic moves to it; None where there is none.
        address: The URL at which clients reach it, once traffic has moved; None where there is none.
        image: Its image's name, where there is one.
        image_digest: Its image's digest, ``sha256:…``, where there is one.
        detail: Whatever else the target wants to find again.
    """

    id: str
    private_address: str | None = None
    address: str | None = None
    image: str | None = None
    image_digest: str | None = None
    detail: Mapping[str, str] = field(default_factory=dict)

    def to_dict(self) -> dict[str, object]:
        """Return it as JSON would hold it."""
        return asdict(self)

    @classmethod
    def from_dict(cls, given: Mapping[str, Any]) -> Instance:
        """Return what `to_dict` gave; what else stands beside it, as in a release's row, is left out."""
        return cls(**{each.name: given[each.name] for each in fields(cls) if each.name in given})


@dataclass(frozen=True, kw_only=True, slots=True)
class Health:
    """How something that was started is.

    Attributes:
        state: ``starting``, ``ready``, ``failing`` (it runs and does not answer well) or ``gone``.
        message: What is wrong, in one line; empty where nothing is.
    """

    state: str
    message: str = ""


class Target(Protocol):
    """A kind of place to serve in. Its methods are called by the release, in this order, and may be called again."""

    @property
    def name(self) -> str:
        """What users call it: ``local``, ``docker``, …."""
        ...

    @property
    def serves(self) -> bool:
        """Whether it starts something that answers; otherwise it writes files that somebody applies."""
        ...

    def require(self, options: Mapping[str, str]) -> None:
        """Check the options, and that the tool, the login or the cluster that it takes is there; change nothing.

        Raises:
            InvalidValue: An option is not known, or its value does not fit.
            MissingTool: Something that it takes is not there; the message says what, and how to get it.
        """
        ...

    def start(self, placement: Placement) -> Instance:
        """Start a release beside the one that serves; no traffic comes to it. Returns without waiting for its health.

        Raises:
            TargetFailed: It could not be started; nothing of it is left.
        """
        ...

    def health(self, instance: Instance) -> Health:
        """Tell how it is. Never raises for what is gone."""
        ...

    def switch(self, new: Instance, old: Instance | None) -> Instance:
        """Move the traffic of the deployment to a started release; the one before answers what it has begun.

        Returns:
            The new one, with its public address.

        Raises:
            TargetFailed: Traffic could not be moved: it still goes to the one before.
        """
        ...

    def stop(self, instance: Instance) -> None:
        """End it and remove what it took. What is gone already is no error."""
        ...

    def logs(self, instance: Instance, *, lines: int = 200, follow: bool = False) -> Iterator[str]:
        """Yield its last lines of output, and, if asked for, those that come."""
        ...


@runtime_checkable
class AsksItself(Protocol):
    """A target whose services are asked through it: their addresses want signed requests, or are not reached from here.

    The check of a release, and ``toolkit deployments predict``, ask through this where a target has it.
    """

    def ask(self, instance: Instance, path: str, body: bytes, *, content_type: str, timeout: float) -> Answer:
        """Send a body to a release, whether or not it has the traffic, and return what it answers.

        Args:
            instance: Which.
            path: Below its address, such as ``/invocations``.
            body: What is sent.
            content_type: What that is.
            timeout: Seconds that it has.

        Raises:
            TargetFailed: It does not answer.
        """
        ...


@runtime_checkable
class DependsOnOptions(Protocol):
    """A target that is another with some options: one that writes files, or one that serves. `lookup` asks it."""

    def with_options(self, options: Mapping[str, str]) -> Target:
        """Return the target that it is with these options."""
        ...


@runtime_checkable
class FindsStarted(Protocol):
    """A target that finds what a release has started though nobody wrote down what: its process was killed before."""

    def found(self, deployment: str, release: int) -> Sequence[Instance]:
        """Return what runs of a release; nothing where nothing does."""
        ...
