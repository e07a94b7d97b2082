"""Events of the registry, who is told of them, and what became of that."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from fnmatch import fnmatchcase
from typing import Any

from toolkit.errors import InvalidValue
from toolkit.registry.history import EVENTS
from toolkit.tracking import limits

MOST_EVENTS = 1_000
SECRET_PREFIX = "whsec_"  # noqa: S105 - what secrets of the Standard Webhooks begin with
TEST = "webhook.test"
"""The event that is sent to try a webhook; it is about no model."""

_NAME = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?")
_FIELD = re.compile(r"\{([A-Za-z_]+)\}")
_FIELDS = tuple(
    "event sequence time name version from to user reason alias key value target request run_id source deployment "
    "deployment_id release address bento bento_digest image image_digest".split()
)
_FEWEST_SECRET, _MOST_SECRET = 24, 64


@dataclass(frozen=True, kw_only=True, slots=True)
class Event:
    """A change of the registry, as others are told of it.

    Attributes:
        id: Its sequence number: a later one has a higher one.
        event: What happened: one of `toolkit.registry.history.EVENTS`.
        name: The registered model, as it was called then.
        time: When, in milliseconds since 1970 UTC.
        data: MLflow's fields of such an event, and ``from``, ``to``, ``user``, ``reason``.
        version: The version that it is about.
    """

    id: int
    event: str
    name: str
    time: int
    data: Mapping[str, Any]
    version: int | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class EventQuery:
    """Which events are wanted, the oldest first.

    Attributes:
        after: Those with higher numbers than this.
        limit: At most this many, 1 to `MOST_EVENTS`.
        name: Of this registered model.
        events: Of these kinds; empty: of all.
    """

    after: int = 0
    limit: int = 100
    name: str | None = None
    events: Sequence[str] = ()

    def __post_init__(self) -> None:
        """Check it."""
        if not 1 <= self.limit <= MOST_EVENTS:
            raise InvalidValue(limits.invalid("limit", self.limit, f"Wanted 1 to {MOST_EVENTS}."))
        if not 0 <= self.after < 2**63:
            raise InvalidValue(limits.invalid("after", self.after, "Wanted the number of an event, or 0."))
        for each in self.events:
            if each not in EVENTS:
                raise InvalidValue(f"there is no event {each[:100]!r}: there are {', '.join(sorted(EVENTS))}")


class Kind(StrEnum):
    """How somebody is told."""

    URL = "url"
    """A signed request is sent there."""
    DEPLOYMENT = "deployment"
    """A run of this Prefect deployment is asked for."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Webhook:
    """Who is told of which events.

    Attributes:
        name: Its name, of at most 63 letters, digits, ``.``, ``_`` and ``-``.
        kind: How.
        target: The URL, or the name of the deployment.
        events: Patterns of the events, such as ``model_version.*``; after a ``=`` one of the stage, the alias, the
            tag, the target or the deployment that it is about, such as ``model_version.stage_changed=Production``.
            Empty: all.
        models: Patterns of the models' names; empty: all.
        parameters: What a deployment is given; ``{version}`` stands for what the event says of it.
        secret: Signs what is sent; it is in no text of this record.
        created: When it was made, in milliseconds since 1970 UTC; what happened before is not told.
        id: Inner key; 0: not stored yet.
    """

    name: str
    kind: Kind
    target: str
    events: Sequence[str] = ()
    models: Sequence[str] = ()
    parameters: Mapping[str, str] = field(default_factory=dict)
    secret: str | None = field(default=None, repr=False)
    created: int = 0
    id: int = 0

    def check(self) -> None:
        """Check what can be checked without asking anybody.

        Raises:
            InvalidValue: A name, a pattern, a parameter or the secret cannot be so.
        """
        if not _NAME.fullmatch(self.name):
            raise InvalidValue(
                f"webhook {self.name[:100]!r}: wanted a name of 1 to 63 letters, digits and . _ -, that begins and "
                "ends with a letter or a digit"
            )
        for pattern in self.events:
            if not any(fnmatchcase(event, pattern.partition("=")[0]) for event in EVENTS):
                raise InvalidValue(f"no event is like {pattern[:100]!r}: there are {', '.join(sorted(EVENTS))}")
        if self.parameters and self.kind is Kind.URL:
            raise InvalidValue("parameters are for deployments: a URL is sent all of the event")
        for text in self.parameters.values():
            for said in _FIELD.findall(text):
                if said not in _FIELDS:
                    raise InvalidValue(f"{{{said}}} is nothing that events have: there are {', '.join(_FIELDS)}")
        if self.secret is not None:
            secret_bytes(self.secret)

    def wants(self, event: Event) -> bool:
        """Tell whether it is to be told of an event."""
        if event.time < self.created:
            return False
        of_kind = not self.events or any(_is_like(event, pattern) for pattern in self.events)
        return of_kind and (not self.models or any(fnmatchcase(event.name, pattern) for pattern in self.models))

    def arguments(self, event: Event) -> Mapping[str, str]:
        """Return what its deployment is given for an event; what an event does not say is empty."""
        said = {**event.data, "event": event.event, "sequence": event.id, "time": event.time}

        def fill(text: str) -> str:
            return _FIELD.sub(lambda found: str(said.get(found[1], "")), text)

        return {name: fill(text) for name, text in self.parameters.items()}


def _is_like(event: Event, pattern: str) -> bool:
    kind, only, about = pattern.partition("=")
    if not fnmatchcase(event.event, kind):
        return False
    fields = ("deployment", "alias", "key", "target", "to")
    said = next((str(event.data[key]) for key in fields if key in event.data), "")
    return not only or fnmatchcase(said, about)


def secret_bytes(secret: str) -> bytes:
    """Return the key that a secret stands for: ``whsec_`` and Base64, as the Standard Webhooks write it.

    Raises:
        InvalidValue: It does not; the message does not repeat it.
    """
    try:
        key = base64.b64decode(secret.removeprefix(SECRET_PREFIX), validate=True)
    except (binascii.Error, ValueError):
        key = b""
    if not secret.startswith(SECRET_PREFIX) or not _FEWEST_SECRET <= len(key) <= _MOST_SECRET:
        raise InvalidValue(
            f"the secret is not {SECRET_PREFIX} and {_FEWEST_SECRET} to {_MOST_SECRET} bytes in Base64: leave it out, "
            "and one is made"
        )
    return key


class DeliveryState(StrEnum):
    """What became of a delivery."""

    PENDING = "PENDING"
    DONE = "DONE"
    FAILED = "FAILED"
    """It is not tried again by itself."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Delivery:
    """An event that somebody is told of.

    Attributes:
        id: Its number.
        webhook: Name of who is told.
        event: The event.
        state: What became of it.
        tries: How often it was tried.
        due: When it is tried (again), in milliseconds since 1970 UTC.
        message: What the last try came to.
        updated: When that was.
    """

    id: int
    webhook: str
    event: Event
    state: DeliveryState
    tries: int
    due: int
    updated: int
    message: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Claim:
    """A delivery that this process makes now, and nobody else.

    Attributes:
        delivery: The number of the delivery.
        webhook: Who is told.
        event: Of what.
        tries: Which try this is, from 1.
    """

    delivery: int
    webhook: Webhook
    event: Event
    tries: int
