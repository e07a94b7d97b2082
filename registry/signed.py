"""What a webhook is sent: the body, and headers that prove who sent it.

The scheme is that of the Standard Webhooks (https://www.standardwebhooks.com, version 1): HMAC-SHA256 over
``id.timestamp.body``, in Base64, by the bytes that ``whsec_…`` stands for. The same is said by the headers of MLflow's
webhooks (``X-MLflow-*``, MLflow 3.3 and newer), whose key is the text of the secret as it is, and the body has the
fields of both: receivers that were written for either do.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from collections.abc import Mapping
from datetime import UTC, datetime

from toolkit.registry.events import Event, secret_bytes


def body_of(event: Event) -> bytes:
    """Return what is sent of an event, as JSON."""
    when = datetime.fromtimestamp(event.time / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    entity, _, action = event.event.partition(".")
    told = {
        "type": event.event,
        "timestamp": when,
        "sequence": event.id,
        "entity": entity,
        "action": action,
        "data": dict(event.data),
    }
    return json.dumps(told, ensure_ascii=False).encode()


def headers_of(secret: str, id: str, timestamp: int, body: bytes) -> Mapping[str, str]:  # noqa: A002 - its name there
    """Return the headers of a request.

    Args:
        secret: ``whsec_…``.
        id: Of the delivery: the same whenever it is tried again.
        timestamp: Seconds since 1970 UTC, of this try.
        body: What is sent.
    """
    signed = f"{id}.{timestamp}.".encode() + body
    return {
        "Content-Type": "application/json",
        "User-Agent": "toolkit-webhooks/1",
        "webhook-id": id,
        "webhook-timestamp": str(timestamp),
        "webhook-signature": _signature(secret_bytes(secret), signed),
        "X-MLflow-Delivery-Id": id,
        "X-MLflow-Timestamp": str(timestamp),
        "X-MLflow-Signature": _signature(secret.encode(), signed),
    }


def _signature(key: bytes, signed: bytes) -> str:
    return "v1," + base64.b64encode(hmac.digest(key, signed, hashlib.sha256)).decode()
