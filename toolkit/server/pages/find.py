"""Finding by a name or an id: runs, experiments and models; what is the only one is shown at once."""

from __future__ import annotations

from starlette.responses import Response

from toolkit.errors import NotFound
from toolkit.server.pages.asked import Asked
from toolkit.server.pages.render import page, redirect
from toolkit.tracking.records import RunQuery, SearchQuery

_EACH = 20
_SHORTEST_ID = 4


def show(asked: Asked) -> Response:
    """Return what was found."""
    wanted = asked.query.get("q", "").strip()
    runs = asked.stores.runs
    if not wanted:
        return page(asked, "find.html", wanted="", runs=(), experiments=(), models=())
    try:
        return redirect(asked.url("runs", runs.get_run(wanted).info.run_id))
    except NotFound:
        pass  # it is no whole id
    like = f"ILIKE '%{_literal(wanted)}%'"
    found = list(runs.search_runs(SearchQuery(filter=f"run_name {like}", limit=_EACH, fields=[])).items)
    if len(wanted) >= _SHORTEST_ID and all(letter in "0123456789abcdef" for letter in wanted.lower()):
        by_id = runs.list_runs(RunQuery(run_id_prefix=wanted.lower(), lifecycle=None, limit=_EACH)).items
        known = {run.info.run_id for run in found}
        found = [*(run for run in by_id if run.info.run_id not in known), *found]
    experiments = runs.search_experiments(SearchQuery(filter=f"name {like}", limit=_EACH)).items
    models = asked.catalog.registered.search_models(SearchQuery(filter=f"name {like}", limit=_EACH)).items
    return page(asked, "find.html", wanted=wanted, runs=found[:_EACH], experiments=experiments, models=models)


def _literal(text: str) -> str:
    """Return a text as it stands in a filter, where ``%`` and ``_`` stand for any letters all the same."""
    return text.replace("'", "''")[:500]


PAGES = [("GET", "/find", show)]
