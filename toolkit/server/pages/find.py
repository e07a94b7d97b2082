"""Finding by a name or an id: runs, experiments and models; what is the only one is shown at once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import urlencode

from starlette.responses import JSONResponse, Response

from toolkit.errors import NotFound
from toolkit.registry.records import RegisteredModel
from toolkit.server.pages import times
from toolkit.server.pages.asked import Asked
from toolkit.server.pages.render import page, redirect
from toolkit.server.pages.states import FIELDS, look, state_of
from toolkit.server.pages.view import quoted
from toolkit.tracking.records import Experiment, Run, RunQuery, SearchQuery

_EACH = 20
_AT_A_GLANCE = 8
_SHORTEST_ID = 4
_LONGEST_ID = 32


@dataclass(frozen=True, kw_only=True, slots=True)
class Found:
    """What has a text in its name, or an id that begins with it.

    Attributes:
        runs: Those whose id begins so first.
        experiments: The experiments.
        models: The registered models.
    """

    runs: Sequence[Run] = ()
    experiments: Sequence[Experiment] = ()
    models: Sequence[RegisteredModel] = ()


def show(asked: Asked) -> Response:
    """Return what was found."""
    wanted = asked.query.get("q", "").strip()
    if wanted:
        try:
            return redirect(asked.url("runs", asked.stores.runs.get_run(wanted).info.run_id))
        except NotFound:
            pass  # it is no whole id
    call = urlencode({"filter": f"name {_like(wanted)}", "max_results": _EACH}) if wanted else ""
    return page(asked, "find.html", wanted=wanted, found=_found(asked, wanted, _EACH), call=call)


def glance(asked: Asked) -> Response:
    """Return the first of what was found, for a list that narrows while somebody writes."""
    found = _found(asked, asked.query.get("q", "").strip(), _AT_A_GLANCE)
    names = _experiment_names(asked, found.runs)
    groups = {
        "Runs": [
            {
                "text": run.info.run_name or run.info.run_id,
                "note": " · ".join(
                    [
                        look(state_of(run)).word,
                        names.get(run.info.experiment_id, ""),
                        run.info.run_id[:8],
                        times.relative(run.info.start_time, times.now()),
                    ]
                ),
                "place": asked.url("runs", run.info.run_id),
            }
            for run in found.runs
        ],
        "Experiments": [
            {"text": each.name, "note": each.experiment_id, "place": asked.url("experiments", each.experiment_id)}
            for each in found.experiments
        ],
        "Models": [{"text": each.name, "note": "", "place": asked.url("models", each.name)} for each in found.models],
    }
    told = [{"title": title, "items": items} for title, items in groups.items() if items]
    return JSONResponse({"groups": told}, headers={"cache-control": "private, no-store"})


def _experiment_names(asked: Asked, runs: Sequence[Run]) -> dict[str, str]:
    ids = dict.fromkeys(run.info.experiment_id for run in runs)
    return {each: asked.stores.runs.get_experiment(each).name for each in ids}


def _found(asked: Asked, wanted: str, each: int) -> Found:
    """Return what was found, so many of each kind at most; nothing of nothing."""
    if not wanted:
        return Found()
    runs = asked.stores.runs
    like = _like(wanted)
    found = list(runs.search_runs(SearchQuery(filter=f"run_name {like}", limit=each, fields=FIELDS)).items)
    if _SHORTEST_ID <= len(wanted) <= _LONGEST_ID and all(letter in "0123456789abcdef" for letter in wanted.lower()):
        by_id = runs.list_runs(RunQuery(run_id_prefix=wanted.lower(), lifecycle=None, limit=each)).items
        known = {run.info.run_id for run in by_id}
        found = [*by_id, *(run for run in found if run.info.run_id not in known)]
    return Found(
        runs=found[:each],
        experiments=runs.search_experiments(SearchQuery(filter=f"name {like}", limit=each)).items,
        models=asked.catalog.registered.search_models(SearchQuery(filter=f"name {like}", limit=each)).items,
    )


def _like(text: str) -> str:
    """Return the test that finds a text in a name."""
    return f"ILIKE {quoted(f'%{text[:500]}%')}"


PAGES = [("GET", "/find", show), ("GET", "/find/glance", glance)]
