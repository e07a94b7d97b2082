"""Runs beside each other: what differs first, then their metrics, drawn over each other, their pictures, their code."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import urlencode

from starlette.responses import Response

from toolkit.server.pages import compare_export
from toolkit.server.pages.asked import Asked
from toolkit.server.pages.charts import drawing
from toolkit.server.pages.compare_code import code
from toolkit.server.pages.compare_importance import importances
from toolkit.server.pages.compare_pictures import pictures
from toolkit.server.pages.compare_space import parallel, points
from toolkit.server.pages.compare_tables import tables
from toolkit.server.pages.compared import Compared, compared, ids_of
from toolkit.server.pages.render import page, redirect
from toolkit.tracking.records import Lifecycle

_ORDERS = ("drop", "baseline", "sort")
_NOT_KEPT = (*_ORDERS, "theme")


def show(asked: Asked) -> Response:
    """Return the page; or, if a button asked for another view of it, send to that view's address."""
    if any(name in asked.query for name in _ORDERS):
        return redirect(_moved(asked), asked=asked)
    found = compared(asked)
    wanted = asked.query.get("tab", "")
    tab = wanted if wanted in TABS else ""
    label, template, values = TABS[tab]
    ready = len(found.runs) > 1
    return page(
        asked,
        template if asked.is_part and ready else "compare.html",
        found=found,
        runs=found.runs,
        base=found.base,
        ids=found.ids,
        tab=tab,
        label=label,
        tabs=[(name, each[0]) for name, each in TABS.items()],
        template=template if ready else None,
        kept=[(name, text) for name, text in asked.request.query_params.multi_items() if name not in _NOT_KEPT],
        deleted=Lifecycle.DELETED,
        name=lambda run: found.names[run.info.run_id],
        **(values(asked, found) if ready else {}),
    )


def _moved(asked: Asked) -> str:
    """Return the address of the view that a button asks for."""
    given = asked.query
    ids = [run_id for run_id in ids_of(asked) if run_id != given.get("drop")]
    changed = {"runs": ",".join(ids)}
    if "baseline" in given:
        changed["base"] = given["baseline"]
    if given.get("drop") and given.get("base") == given["drop"]:
        changed["base"] = ""
    if "sort" in given:
        changed["order"] = given["sort"]
    pairs = [(name, text) for name, text in asked.request.query_params.multi_items() if name not in _NOT_KEPT]
    pairs = [*changed.items(), *((name, text) for name, text in pairs if name not in changed)]
    return f"{asked.url('compare')}?{urlencode([(name, text) for name, text in pairs if text])}"


def _charts(asked: Asked, found: Compared) -> Mapping[str, Any]:
    return drawing(
        asked, {run.info.run_id: found.names[run.info.run_id] for run in found.runs}, found.metrics, found.colours
    )


TABS: Mapping[str, tuple[str, str, Callable[[Asked, Compared], Mapping[str, Any]]]] = {
    "": ("Differences", "compare_tables.html", tables),
    "charts": ("Charts", "charts.html", _charts),
    "parallel": ("Parallel", "compare_parallel.html", parallel),
    "scatter": ("Scatter", "compare_scatter.html", points),
    "box": ("Boxes", "compare_boxes.html", points),
    "importance": ("Importance", "compare_importance.html", importances),
    "images": ("Pictures", "compare_pictures.html", pictures),
    "code": ("Code", "compare_code.html", code),
}
"""Ways to compare: what they are called, the template of each, and what it takes."""

PAGES = [("GET", "/compare", show), *compare_export.PAGES]
