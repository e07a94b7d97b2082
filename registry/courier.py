"""Tells those who want to know what was done to the registry: one try after the other, until each has been told."""

from __future__ import annotations

import base64
import secrets
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from toolkit.errors import Forbidden, InvalidValue, NotFound, ServiceError, ToolkitError
from toolkit.ids import now_ms
from toolkit.registry.events import SECRET_PREFIX, TEST, Claim, DeliveryState, Event, Kind, Webhook
from toolkit.registry.signed import body_of, headers_of
from toolkit.registry.sql_webhooks import SqlWebhookStore

PAUSES = (5.0, 30.0, 120.0, 600.0, 3_600.0, 21_600.0, 86_400.0)
"""Seconds before the second try, the third, and so on: eight tries in one and a half days."""
ASIDE = 180.0
"""Seconds that one try may take at most, with the resolving of names, before another process does it again."""

Post = Callable[[str, bytes, Mapping[str, str]], int]
"""Sends a body to a URL, and returns the status of the answer."""
Trigger = Callable[[str, Mapping[str, str], str], str]
"""Asks for a run of a Prefect deployment with parameters, once for a key; returns the run's name."""


def new_secret() -> str:
    """Return a secret of 32 random bytes."""
    return SECRET_PREFIX + base64.b64encode(secrets.token_bytes(32)).decode()


@dataclass(frozen=True, kw_only=True, slots=True)
class Told:
    """What a try came to.

    Attributes:
        claim: The try.
        state: What became of the delivery.
        message: In words.
    """

    claim: Claim
    state: DeliveryState
    message: str


class Courier:
    """Makes deliveries. Any number of them, in any number of processes, share the work.

    Args:
        store: Where events and webhooks are.
        post: Sends requests.
        trigger: Asks Prefect for runs.
    """

    def __init__(self, store: SqlWebhookStore, post: Post, trigger: Trigger) -> None:
        self._store = store
        self._post = post
        self._trigger = trigger

    def spread(self) -> None:
        """Make deliveries of the events that there are."""
        while self._store.spread():
            pass

    def next(self, *, waiting: bool = False, passed: int = 0) -> Told | None:
        """Make the next delivery that is due; ``None``: there is none.

        Args:
            waiting: Also one that waits to be tried again.
            passed: Only those with higher numbers than this.

        Raises:
            StoreError: The store cannot be used; the delivery is made again later.
        """
        claim = self._store.claim(lease_ms=int(ASIDE * 1000), waiting=waiting, passed=passed)
        if claim is None:
            return None
        try:
            message = self.tell(claim.webhook, claim.event, f"{claim.event.id}-{claim.webhook.id}")
        except ToolkitError as error:
            return self._failed(claim, error)
        self._store.record(claim, DeliveryState.DONE, message)
        return Told(claim=claim, state=DeliveryState.DONE, message=message)

    def tell(self, webhook: Webhook, event: Event, key: str) -> str:
        """Tell somebody of an event; return what that came to, in words.

        Args:
            webhook: Who.
            event: Of what.
            key: The same whenever the same is told again.

        Raises:
            Forbidden: The target may not be called.
            InvalidValue: The target, or a parameter, cannot be so.
            NotFound: There is no such deployment.
            ServiceError: It did not work; it may later.
        """
        if webhook.kind is Kind.DEPLOYMENT:
            return f"run {self._trigger(webhook.target, webhook.arguments(event), f'toolkit-{key}-{event.time}')}"
        body = body_of(event)
        headers = headers_of(webhook.secret or "", f"msg_{key}", int(time.time()), body)
        status = self._post(webhook.target, body, headers)
        if not 200 <= status < 300:
            hint = ", a redirect, which is not followed" if 300 <= status < 400 else ""
            raise ServiceError(f"it answered {status}{hint}")
        return f"it answered {status}"

    def test(self, webhook: Webhook) -> str:
        """Tell somebody of an event that did not happen; return what that came to. See `tell`."""
        data = {"name": "none", "reason": "toolkit registry events webhooks test"}
        event = Event(id=0, event=TEST, name="none", time=now_ms(), data=data)
        return self.tell(webhook, event, f"test-{secrets.token_hex(8)}")

    def _failed(self, claim: Claim, error: ToolkitError) -> Told:
        """Record a try that failed, and say when the next one is, if that can help."""
        message = " ".join(error.message.split())[:1_000]
        refused = isinstance(error, Forbidden | InvalidValue | NotFound)
        if refused or claim.tries > len(PAUSES):
            self._store.record(claim, DeliveryState.FAILED, message)
            return Told(claim=claim, state=DeliveryState.FAILED, message=message)
        due = now_ms() + int(PAUSES[claim.tries - 1] * 1000)
        self._store.record(claim, DeliveryState.PENDING, message, due=due)
        return Told(claim=claim, state=DeliveryState.PENDING, message=message)
