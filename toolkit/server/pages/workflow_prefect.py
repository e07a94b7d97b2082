"""Where a workflow's run is in Prefect's pages, and whether somebody who follows that link finds anything."""

from __future__ import annotations

from urllib.parse import quote, urlsplit

from toolkit.server.health import State
from toolkit.server.pages.asked import Asked
from toolkit.tracking.records import Run

_WAIT = 0.1  # seconds that a page waits to know how Prefect is
_HERE = ("127.0.0.1", "localhost", "::1")
_FLOW_RUN = "/runs/flow-run/"


def prefect_url(run: Run) -> str:
    """Return the address of a run's flow run in Prefect's pages; empty where it is not known."""
    place = run.data.tags.get("prefect.flow_run_url", "")
    try:
        return place if urlsplit(place).scheme in ("http", "https") else ""
    except ValueError:
        return ""


def task_url(whole: Run, run: Run) -> str:
    """Return the address of a step's task run in Prefect's pages; empty where it is not known."""
    base, found, _ = prefect_url(whole).partition(_FLOW_RUN)
    task = run.data.tags.get("prefect.task_run_id", "")
    return f"{base}/runs/task-run/{quote(task, safe='')}" if found and task else ""


def prefect_note(asked: Asked, run: Run) -> str:
    """Return what is to know of a run's link to Prefect; empty where it leads to a server that answers, or elsewhere.

    Nobody asks the address that a run names, which may be any: what is known is how this server's own Prefect is.
    """
    place = prefect_url(run)
    if not place:
        return "No Prefect server is known that has this run."
    own = next((each for each in asked.site.health.look(wait=_WAIT) if each.name == "prefect"), None)
    if own is None or own.state is State.UNKNOWN:
        return ""
    base = place.partition(_FLOW_RUN)[0]
    if own.state in (State.OK, State.DEGRADED):
        elsewhere = own.url is not None and _is_here(base) and own.url.rstrip("/") != base
        return f"It ran with Prefect’s server at {base}; now there is one at {own.url}." if elsewhere else ""
    return f"Prefect’s server does not run ({own.note}){f': {own.help}' if own.help else ''}." if _is_here(base) else ""


def _is_here(base: str) -> bool:
    return urlsplit(base).hostname in _HERE
