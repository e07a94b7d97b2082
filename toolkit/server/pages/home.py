"""The first page: what is going on, and what needs somebody."""

from __future__ import annotations

from starlette.responses import Response

from toolkit.registry.promotion import RequestQuery, RequestState
from toolkit.server.pages import times
from toolkit.server.pages.asked import Asked
from toolkit.server.pages.render import page
from toolkit.tracking.records import RunQuery, RunStatus, SearchQuery
from toolkit.wiring.serving import open_deployment_store

_DAY = 86_400_000


def show(asked: Asked) -> Response:
    """Return the page, or its parts that change."""
    runs = asked.stores.runs
    now = times.now()
    running = runs.list_runs(RunQuery(status=[RunStatus.RUNNING], top_level=True, limit=20)).items
    failed = runs.search_runs(
        SearchQuery(
            filter=f"status = 'FAILED' AND start_time > {now - _DAY} AND parent_run_id IS NULL", limit=20, fields=[]
        )
    ).items
    experiments = runs.search_experiments(SearchQuery(order_by=["last_update_time DESC"], limit=12)).items
    requests = asked.catalog.promotions.requests(RequestQuery(state=RequestState.PENDING, limit=20)).items
    names = {each.experiment_id: each.name for each in experiments}
    for run in (*running, *failed):
        if run.info.experiment_id not in names:
            names[run.info.experiment_id] = runs.get_experiment(run.info.experiment_id).name
    recent = runs.list_runs(RunQuery(top_level=True, limit=12)).items
    return page(
        asked,
        "home_parts.html" if asked.is_part else "home.html",
        running=running,
        failed=failed,
        experiments=experiments,
        requests=requests,
        names=names,
        recent=recent,
        deployments=open_deployment_store(asked.stores).list(),
        at=now,
        nothing=not recent and len(experiments) <= 1,
    )


PAGES = [("GET", "/", show)]
