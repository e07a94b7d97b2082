"""A run beside the table that it stands in: what it is, at a glance; and its colour."""

from __future__ import annotations

from starlette.responses import Response

from toolkit.errors import InvalidValue
from toolkit.recording.context import NOTE
from toolkit.server.pages import colours, times
from toolkit.server.pages.asked import Asked
from toolkit.server.pages.cells import cut, duration_of
from toolkit.server.pages.given_tags import tags_of
from toolkit.server.pages.render import page, redirect
from toolkit.server.pages.run import back
from toolkit.tracking.records import SYSTEM

_MOST = 60


def show(asked: Asked) -> Response:
    """Return the run, as a part of a page."""
    run = asked.stores.runs.get_run(asked.path["run_id"])
    metrics = sorted(run.data.metrics.items())
    tags = [(key, cut(value)) for key, value in sorted(tags_of(run).items())]
    files = asked.stores.runs.list_artifacts(run.info.run_id, limit=10)
    return page(
        asked,
        "peek.html",
        run=run,
        metrics=[item for item in metrics if not item[0].startswith(SYSTEM)][:_MOST],
        params=[(key, cut(value)) for key, value in sorted(run.data.params.items())][:_MOST],
        tags=tags[:_MOST],
        files=files,
        note=run.data.tags.get(NOTE, ""),
        took=duration_of(run, times.now()),
    )


def colour(asked: Asked) -> Response:
    """Keep the colour that somebody chose for a run, or take the choice back."""
    run_id, chosen = asked.path["run_id"], asked.form.get("value", "")
    if chosen and colours.chosen({colours.TAG: chosen}) is None:
        raise InvalidValue(f"there is no colour {chosen[:50]!r}: wanted 1 to {colours.SLOTS}, or nothing for its own")
    asked.stores.runs.log_batch(run_id, tags={colours.TAG: chosen or None})
    return Response(status_code=204) if asked.is_part else redirect(back(asked, run_id))


PAGES = [
    ("GET", "/runs/{run_id}/peek", show),
    ("POST", "/runs/{run_id}/colour", colour),
]
