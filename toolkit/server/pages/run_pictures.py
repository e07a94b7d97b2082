"""Pictures of a run: one of each name, all at one step."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from starlette.responses import Response

from toolkit.server.pages.asked import Asked
from toolkit.server.pages.compare_pictures import ENDS, Series, series_of
from toolkit.server.pages.render import page
from toolkit.server.pages.run import head
from toolkit.tracking.records import ArtifactEntry

_LISTED = 20_000
_MOST = 200


@dataclass(frozen=True, kw_only=True, slots=True)
class Card:
    """A picture that is shown.

    Attributes:
        name: What it shows.
        step: Its step; ``None``: it has none.
        path: Its path among the artifacts.
        small: The path of a small copy, or the same.
    """

    name: str
    step: int | None
    path: str
    small: str


def pictures_of(entries: Sequence[ArtifactEntry]) -> Sequence[ArtifactEntry]:
    """Return the files that are pictures."""
    return [entry for entry in entries if entry.path.lower().endswith(ENDS)]


def show(asked: Asked) -> Response:
    """Return the page."""
    run = asked.stores.runs.get_run(asked.path["run_id"])
    run_id = run.info.run_id
    found = asked.stores.runs.list_artifacts(run_id, limit=_LISTED)
    series = series_of({run_id: pictures_of(found.items)})
    steps = sorted({step for each in series.values() for step in each.steps if step is not None})
    at = _place(asked.query.get("at"), len(steps))
    step = steps[at] if steps else None
    cards = [_card(name, series[name], run_id, step) for name in sorted(series)]
    return page(
        asked,
        "run_pictures.html",
        **head(asked, run, "artifacts"),
        steps=steps,
        chosen=at,
        step=step,
        cards=cards[:_MOST],
        left_out=max(0, len(cards) - _MOST),
        large=asked.query.get("size") == "large",
        cut=found.next_page_token is not None,
    )


def _place(text: str | None, count: int) -> int:
    """Return which of the steps is meant: the last one, if none is said."""
    wanted = int(text) if text and text.isascii() and text.isdigit() and len(text) < 10 else count - 1
    return max(0, min(wanted, count - 1))


def _card(name: str, series: Series, run_id: str, step: int | None) -> Card:
    """Return the picture of a name at a step: the last one until then, else the first."""
    order = series.order
    until = [each for each in order if each is None or (step is not None and each <= step)]
    taken = until[-1] if until else order[0]
    path, small = series.steps[taken][run_id]
    return Card(name=name, step=taken, path=path, small=small)


PAGES = [("GET", "/runs/{run_id}/pictures", show)]
