"""What is done with many runs of an experiment at once: those that were chosen, or all that fit a filter."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from urllib.parse import parse_qsl

from starlette.responses import JSONResponse, Response

from toolkit.errors import InvalidValue
from toolkit.server.pages.asked import Asked
from toolkit.server.pages.render import redirect
from toolkit.server.pages.view import RunsView
from toolkit.tracking.records import Lifecycle

BATCH = 200
"""Runs that one request changes, of many that are changed one batch after the other."""
_MOST_ACTED = 1_000


def act(asked: Asked) -> Response:
    """Compare, tag, delete or restore the chosen runs."""
    experiment = asked.stores.runs.get_experiment(asked.path["experiment_id"])
    chosen = _chosen(asked)
    action = asked.form.get("action", "")
    if not chosen or len(chosen) > _MOST_ACTED:
        raise InvalidValue(f"{len(chosen)} runs are chosen: wanted 1 to {_MOST_ACTED:,}")
    if action == "compare":
        return redirect(asked.url("compare", runs=",".join(chosen)), asked=asked)
    _change(asked, action, chosen)
    back = asked.form.get("back", "")
    place = asked.url("experiments", experiment.experiment_id)
    return redirect(place + (back if back.startswith("?") else ""), asked=asked)


def act_on_batch(asked: Asked) -> Response:
    """Change some of many runs; tell which, and where the next ones begin.

    A form names the runs, or (as ``view``) the query of a view, all of whose runs are changed; ``after`` is what the
    answer before said. A view's runs are taken newest first: the place among them stays, whatever is changed.
    """
    experiment_id = asked.path["experiment_id"]
    form = asked.form
    chosen, after = list(_chosen(asked)), None
    if "view" in form:
        view = RunsView.read(parse_qsl(form["view"].removeprefix("?")), experiment_id)
        view = replace(view, sort=(), after=form.get("after") or None)
        found = asked.stores.runs.search_runs(view.search(limit=BATCH, fields=[]))
        chosen, after = [run.info.run_id for run in found.items], found.next_page_token
    elif not chosen or len(chosen) > BATCH:
        raise InvalidValue(f"{len(chosen)} runs are chosen: wanted 1 to {BATCH}")
    _change(asked, form.get("action", ""), chosen)
    return JSONResponse({"runs": chosen, "after": after}, headers={"cache-control": "no-store"})


def _chosen(asked: Asked) -> Sequence[str]:
    return list(dict.fromkeys(value for name, value in asked.fields if name == "run"))


def _change(asked: Asked, action: str, run_ids: Sequence[str]) -> None:
    runs = asked.stores.runs
    if action not in ("tag", "delete", "restore"):
        raise InvalidValue(f"there is no action {action[:50]!r}: wanted compare, tag, delete or restore")
    key, value = asked.form.get("key", "").strip(), asked.form.get("value", "")
    for run_id in run_ids:
        if action == "tag":
            runs.log_batch(run_id, tags={key: value})
        else:
            runs.update_run(run_id, lifecycle=Lifecycle.DELETED if action == "delete" else Lifecycle.ACTIVE)


PAGES = [
    ("POST", "/experiments/{experiment_id}/runs", act),
    ("POST", "/experiments/{experiment_id}/runs/batch", act_on_batch),
]
