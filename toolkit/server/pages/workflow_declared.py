"""A workflow as its project declares it, before it has run: `flows deploy` and `compile --publish` tell it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit

from starlette.responses import Response

from toolkit.errors import InvalidValue, NotFound
from toolkit.flows.published_graph import Published, PublishedDeployment, key_of, published_in, publishing, read
from toolkit.server.pages import times
from toolkit.server.pages.asked import Asked
from toolkit.server.pages.cells import duration_of
from toolkit.server.pages.render import page, redirect
from toolkit.server.pages.states import FIELDS
from toolkit.server.pages.view import quoted
from toolkit.server.pages.workflow import steps_shown
from toolkit.server.pages.workflow_steps import DECLARED, WORKFLOW, Step, WorkflowRun, declared_links
from toolkit.tracking.records import Experiment, Run, RunData, RunInfo, RunStatus, SearchQuery

VIEWS = ("graph", "table")
_RUNS = 10
_MOST = 200
_NAMES_AT_ONCE = 50  # of the longest, whose quotes are doubled, a filter has room for twice as many


@dataclass(frozen=True, kw_only=True, slots=True)
class Declared:
    """A workflow that is published, where it is, and its newest run.

    Attributes:
        workflow: The workflow.
        experiment: Where its runs go.
        last: Its newest run there; ``None``: it has not run.
    """

    workflow: Published
    experiment: Experiment
    last: Run | None


def declared(asked: Asked, name: str = "") -> Sequence[Declared]:
    """Return the workflows that are published, those that have not run first.

    Args:
        asked: The request.
        name: Only those of this name; empty: all.
    """
    found = [(one, experiment) for experiment in publishing(asked.stores.runs) for one in published_in(experiment.tags)]
    found = [(one, experiment) for one, experiment in found if name in ("", one.name)][:_MOST]
    newest = _newest(asked, [one.name for one, _ in found]) if found else {}
    rows = [
        Declared(workflow=one, experiment=experiment, last=newest.get((experiment.experiment_id, one.name)))
        for one, experiment in found
    ]
    return sorted(rows, key=lambda row: (row.last is not None, row.workflow.name))


def _newest(asked: Asked, names: Sequence[str]) -> dict[tuple[str, str], Run]:
    found: dict[tuple[str, str], Run] = {}
    listed = [quoted(name) for name in sorted(set(names))]
    for place in range(0, len(listed), _NAMES_AT_ONCE):
        query = SearchQuery(
            filter=f"tags.`{WORKFLOW}` IN ({', '.join(listed[place : place + _NAMES_AT_ONCE])})",
            order_by=["start_time DESC"],
            limit=1_000,
            fields=[f"tags.{WORKFLOW}"],
        )
        for run in asked.stores.runs.search_runs(query).items:
            found.setdefault((run.info.experiment_id, run.data.tags[WORKFLOW]), run)
    return found


def show(asked: Asked) -> Response:
    """Return the page of a workflow as it is declared."""
    experiment, workflow = _found(asked)
    whole = _as_steps(workflow, experiment)
    name = asked.query.get("step", "")
    chosen = whole.step(name)
    if name and chosen is None:
        raise NotFound(f"workflow {workflow.name!r} has no step {name[:100]!r}")
    now = times.now()
    return page(
        asked,
        "workflow_declared_page.html",
        **steps_shown(asked, whole, ("experiments", experiment.experiment_id, "workflows", workflow.name), VIEWS),
        workflow=workflow,
        experiment=experiment,
        chosen=chosen,
        before=[link for link in whole.links if link.target == name],
        after=[link for link in whole.links if link.source == name],
        runs=_runs(asked, experiment, workflow),
        took=lambda run: duration_of(run, now),
        link=_link,
    )


def _found(asked: Asked) -> tuple[Experiment, Published]:
    experiment = asked.stores.runs.get_experiment(asked.path["experiment_id"])
    name = asked.path["name"]
    workflow = read(experiment.tags.get(key_of(name), ""))
    if workflow is None:
        raise NotFound(
            f"no workflow {name[:100]!r} is published in experiment {experiment.name[:100]!r}:"
            " toolkit compile --publish or toolkit flows deploy does it"
        )
    return experiment, workflow


def _as_steps(workflow: Published, experiment: Experiment) -> WorkflowRun:
    steps = [Step(name=plan.name, plan=plan, items=(), state=DECLARED) for plan in workflow.steps]
    info = RunInfo(
        run_id="",
        experiment_id=experiment.experiment_id,
        run_name=workflow.name,
        user_id=workflow.user,
        status=RunStatus.SCHEDULED,
        start_time=workflow.time,
    )
    run = Run(info=info, data=RunData())
    return WorkflowRun(run=run, steps=steps, links=declared_links(steps), is_planned=True, has_run=False)


def _runs(asked: Asked, experiment: Experiment, workflow: Published) -> Sequence[Run]:
    query = SearchQuery(
        experiment_ids=[experiment.experiment_id],
        filter=f"tags.`{WORKFLOW}` = {quoted(workflow.name)}",
        order_by=["start_time DESC"],
        limit=_RUNS,
        fields=FIELDS,
    )
    return asked.stores.runs.search_runs(query).items


def _link(deployment: PublishedDeployment) -> str:
    """Return the address of a deployment in Prefect's pages; empty where it is none that may be followed."""
    try:
        return deployment.url if urlsplit(deployment.url).scheme in ("http", "https") else ""
    except ValueError:
        return ""


def act(asked: Asked) -> Response:
    """Forget a workflow that was published; its runs and its deployments stay."""
    experiment, workflow = _found(asked)
    action = asked.form.get("action", "")
    if action != "forget":
        raise InvalidValue(f"there is no action {action[:50]!r}: wanted forget")
    asked.stores.runs.update_experiment(experiment.experiment_id, tags={key_of(workflow.name): None})
    return redirect(asked.url("workflows"), asked=asked)


PAGES = [
    ("GET", "/experiments/{experiment_id}/workflows/{name*}", show),
    ("POST", "/experiments/{experiment_id}/workflows/{name*}", act),
]
