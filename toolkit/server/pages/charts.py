"""Charts of a run's metrics; browsers fetch the points from the API."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence

from starlette.responses import Response

from toolkit.server.pages import colours
from toolkit.server.pages.asked import Asked
from toolkit.server.pages.render import page
from toolkit.server.pages.run import head

SYSTEM = "system/"
AXES = ("step", "relative", "time")


def show(asked: Asked) -> Response:
    """Return the charts of what a run measures."""
    return _charts(asked, "charts", system=False)


def system(asked: Asked) -> Response:
    """Return the charts of what a run takes of the machine."""
    return _charts(asked, "system", system=True)


def _charts(asked: Asked, tab: str, *, system: bool) -> Response:
    run = asked.stores.runs.get_run(asked.path["run_id"])
    keys = [key for key in run.data.metrics if key.startswith(SYSTEM) == system]
    return page(
        asked,
        "run_charts.html",
        **head(asked, run, tab),
        sections=sections_of(keys),
        drawn_runs=[
            {
                "id": run.info.run_id,
                "name": run.info.run_name or run.info.run_id[:8],
                "slot": colours.of([run])[run.info.run_id],
            }
        ],
        options=options_of(asked),
    )


def options_of(asked: Asked) -> Mapping[str, object]:
    """Return how charts are drawn, as the address says; what it says wrongly is as usual."""
    axis = asked.query.get("x", AXES[0])
    try:
        smooth = min(0.99, max(0.0, float(asked.query.get("smooth", "0"))))
    except ValueError:
        smooth = 0.0
    return {
        "x": axis if axis in AXES else AXES[0],
        "log": asked.query.get("log") == "1",
        "smooth": smooth,
        "first": _step(asked.query.get("from", "")),
        "last": _step(asked.query.get("to", "")),
    }


def _step(text: str) -> str:
    """Return the number of a step as it stands in a field; empty if it is none."""
    return text if re.fullmatch(r"-?\d{1,18}", text, re.ASCII) else ""


def sections_of(keys: Iterable[str]) -> Sequence[tuple[str, Sequence[str]]]:
    """Return keys by what stands in front of their last slash; those without come first."""
    found: dict[str, list[str]] = {}
    for key in sorted(keys):
        found.setdefault(key.rpartition("/")[0], []).append(key)
    return sorted(found.items())


PAGES = [
    ("GET", "/runs/{run_id}/charts", show),
    ("GET", "/runs/{run_id}/system", system),
]
