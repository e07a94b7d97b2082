"""What is done with many runs of an experiment at once: those that were chosen, or all that fit a filter."""

from __future__ import annotations

from starlette.responses import Response

from toolkit.errors import InvalidValue
from toolkit.server.pages.asked import Asked
from toolkit.server.pages.render import redirect
from toolkit.tracking.records import Lifecycle

_MOST_ACTED = 1_000


def act(asked: Asked) -> Response:
    """Tag, delete or restore the chosen runs."""
    runs = asked.stores.runs
    experiment = runs.get_experiment(asked.path["experiment_id"])
    chosen = list(dict.fromkeys(value for name, value in asked.fields if name == "run"))
    action = asked.form.get("action", "")
    if not chosen or len(chosen) > _MOST_ACTED:
        raise InvalidValue(f"{len(chosen)} runs are chosen: wanted 1 to {_MOST_ACTED:,}")
    if action == "compare":
        return redirect(asked.url("compare", runs=",".join(chosen)), asked=asked)
    if action not in ("tag", "delete", "restore"):
        raise InvalidValue(f"there is no action {action[:50]!r}: wanted compare, tag, delete or restore")
    key, value = asked.form.get("key", "").strip(), asked.form.get("value", "")
    for run_id in chosen:
        if action == "tag":
            runs.log_batch(run_id, tags={key: value})
        else:
            runs.update_run(run_id, lifecycle=Lifecycle.DELETED if action == "delete" else Lifecycle.ACTIVE)
    back = asked.form.get("back", "")
    place = asked.url("experiments", experiment.experiment_id)
    return redirect(place + (back if back.startswith("?") else ""), asked=asked)


PAGES = [
    ("POST", "/experiments/{experiment_id}/runs", act),
]
