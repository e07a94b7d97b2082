"""Flow runs whose process died without a word: Prefect is told, so that its pages do not show them as running."""

from __future__ import annotations

import json
import logging
import urllib.error
import urllib.request
from collections.abc import Iterable

logger = logging.getLogger(__name__)

_TIMEOUT = 3.0


def mark_crashed(api_url: str, flow_run_ids: Iterable[str]) -> None:
    """Set flow runs to CRASHED on Prefect's server; what cannot be set is left, and said in the log."""
    state = {"state": {"type": "CRASHED", "message": "its process ended without a word"}, "force": True}
    for flow_run_id in flow_run_ids:
        request = urllib.request.Request(  # noqa: S310 - the configured server's address
            f"{api_url}/flow_runs/{flow_run_id}/set_state",
            data=json.dumps(state).encode(),
            headers={"Content-Type": "application/json"},
            method="POST",
        )
        try:
            with urllib.request.urlopen(request, timeout=_TIMEOUT):  # noqa: S310 - the same
                pass
        except (urllib.error.URLError, OSError) as error:
            logger.warning("flow run %s was not marked as crashed in Prefect: %s", flow_run_id, error)
