"""Flow runs whose process died without a word: Prefect is told, so that its pages do not show them as running."""

from __future__ import annotations

import json
import logging
import urllib.error
import urllib.request
import uuid
from collections.abc import Iterable

logger = logging.getLogger(__name__)

_TIMEOUT = 3.0
_FAILURES = (urllib.error.URLError, OSError, ValueError)


def mark_crashed(api_url: str, flow_run_ids: Iterable[str]) -> None:
    """Set flow runs to CRASHED on Prefect's server; what cannot be set is left, and said in the log.

    Prefect is not imported for this: its import would take longer than the command that noticed the loss.
    """
    state = {"state": {"type": "CRASHED", "message": "its process ended without a word"}, "force": True}
    headers = {"Content-Type": "application/json", **_csrf_headers(api_url)}
    for flow_run_id in flow_run_ids:
        try:
            _call(f"{api_url}/flow_runs/{flow_run_id}/set_state", headers, json.dumps(state).encode())
        except _FAILURES as error:
            logger.warning("flow run %s was not marked as crashed in Prefect: %s", flow_run_id, error)


def _csrf_headers(api_url: str) -> dict[str, str]:
    """Return what a server with protection against forged requests wants to see; nothing for one without."""
    client = str(uuid.uuid4())
    try:
        answer = json.loads(_call(f"{api_url}/csrf-token?client={client}", {}))
        return {"Prefect-Csrf-Token": answer["token"], "Prefect-Csrf-Client": client}
    except (*_FAILURES, KeyError):
        return {}


def _call(url: str, headers: dict[str, str], body: bytes | None = None) -> bytes:
    request = urllib.request.Request(url, data=body, headers=headers)  # noqa: S310 - the configured server's address
    with urllib.request.urlopen(request, timeout=_TIMEOUT) as answer:  # noqa: S310 - the same
        content: bytes = answer.read()
    return content
