"""Charts of a run's metrics; browsers fetch the points from the API."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any
from urllib.parse import urlencode

from starlette.responses import Response

from toolkit.server.pages import colours
from toolkit.server.pages.asked import Asked
from toolkit.server.pages.render import page
from toolkit.server.pages.run import head
from toolkit.tracking.http_series import MOST_SERIES
from toolkit.tracking.records import SYSTEM

AXES = ("step", "relative", "time")
OPEN = 3
"""Sections that are unfolded at first."""
MOST = 200
"""Charts on a page; the others are found by a part of their name."""

_SEEN = 6  # charts that a window shows at first
_POINTS, _FEWEST = 800, 40  # of each run in a chart: two a pixel; but never too few to see a course
_MOST = 12_000  # of all runs together


def show(asked: Asked) -> Response:
    """Return the charts of what a run measures."""
    return _charts(asked, "charts", system=False)


def system(asked: Asked) -> Response:
    """Return the charts of what a run takes of the machine."""
    return _charts(asked, "system", system=True)


def _charts(asked: Asked, tab: str, *, system: bool) -> Response:
    run = asked.stores.runs.get_run(asked.path["run_id"])
    keys = [key for key in run.data.metrics if key.startswith(SYSTEM) == system]
    names = {run.info.run_id: run.info.run_name or run.info.run_id[:8]}
    return page(asked, "run_charts.html", **head(asked, run, tab), **drawing(asked, names, keys, colours.of([run])))


def drawing(asked: Asked, names: Mapping[str, str], keys: Iterable[str], slots: Mapping[str, int]) -> Mapping[str, Any]:
    """Return what the template of charts takes.

    Args:
        asked: The request.
        names: What the runs that are drawn are called, by their ids.
        keys: Their metrics.
        slots: The place of each run's colour, by its id.
    """
    every, wanted = sorted(keys), asked.query.get("find", "").casefold()
    found = [key for key in every if wanted in key.casefold()]
    sections, options = sections_of(found[:MOST]), options_of(asked)
    ids = list(names)
    points = max(_FEWEST, min(_POINTS, _MOST // max(1, len(ids))))
    seen = [key for _, some in sections[:OPEN] for key in some][: min(_SEEN, MOST_SERIES // max(1, len(ids)))]
    query = [*(("run_ids", each) for each in ids), *(("keys", each) for each in seen), ("points", points)]
    return {
        "sections": sections,
        "unfolded": OPEN,
        "of": {
            "all": len(every),
            "found": len(found),
            "drawn": min(len(found), MOST),
            "find": asked.query.get("find", ""),
        },
        "options": options,
        "drawn": {
            "runs": [{"id": run_id, "name": name, "slot": slots[run_id]} for run_id, name in names.items()],
            "points": points,
            "most": _MOST,
            "smooth": options["smooth"],
            "seen": seen,
        },
        "first": f"{asked.site.prefix}/api/v1/series?{urlencode([*query, ('smooth', options['smooth'])])}",
    }


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
        "smooth": round(smooth, 2),
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
