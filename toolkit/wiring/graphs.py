"""Graphs of workflows that have perhaps never run, kept where their runs will be."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from time import time_ns
from typing import TYPE_CHECKING

from toolkit.settings import load
from toolkit.wiring.opened import open_stores
from toolkit.wiring.request import RunRequest
from toolkit.wiring.runs import experiment_for, fetch_source, plan_fetched

if TYPE_CHECKING:
    from toolkit.flows.plan import Plan
    from toolkit.flows.published_graph import PublishedDeployment


@dataclass(frozen=True, kw_only=True, slots=True)
class Place:
    """Where a workflow's graph is kept: the experiment, and the workflow's name."""

    experiment_id: str
    name: str


def publish_project(request: RunRequest, report: Callable[[str], None]) -> Sequence[Place]:
    """Compile a project, and keep the graphs of its workflows; nothing runs.

    Args:
        request: The project; of it the workflow or the entry point that is named, else all workflows, else ``main``.
        report: Takes lines of progress.

    Raises:
        ProjectError: Something about the project or the values is wrong; nothing was kept.
        TooLarge: A workflow has too many steps.
    """
    from toolkit.spec.reader import read_project  # noqa: PLC0415 - YAML

    source = fetch_source(request, report)
    asked = [request]
    if request.workflow is None and request.entry_point is None:
        names = read_project(source.directory).workflows
        asked = [replace(request, workflow=name, parameters={}) for name in names] or asked
    return publish_plans([plan_fetched(source, each, to_show=True) for each in asked], request)


def publish_plans(
    plans: Sequence[Plan], request: RunRequest, deployment: PublishedDeployment | None = None
) -> Sequence[Place]:
    """Keep the graphs of plans with the experiment that their runs go to, which is made if need be.

    Args:
        plans: The plans.
        request: Names the experiment.
        deployment: What runs the plan; ``None``: they are published for themselves.

    Raises:
        TooLarge: A workflow has too many steps.
    """
    from toolkit.flows.published_graph import of_plan, publish  # noqa: PLC0415 - what compiles, where there is a plan

    settings = load()
    stores = open_stores(settings)
    try:
        found = []
        for plan in plans:
            experiment = stores.runs.get_experiment(experiment_for(request, settings, stores)().experiment_id)
            publish(stores.runs, experiment, of_plan(plan, now=time_ns() // 1_000_000), deployment)
            found.append(Place(experiment_id=experiment.experiment_id, name=plan.flow_name))
        return found
    finally:
        stores.close()


def note_deployment(deployment_id: str, *, paused: bool | None) -> None:
    """Note with the graphs what became of a deployment.

    Args:
        deployment_id: Prefect's id of it.
        paused: Whether its schedule waits; ``None``: it was deleted.
    """
    from toolkit.flows.published_graph import change, withdraw  # noqa: PLC0415 - where deployments are changed

    stores = open_stores(load())
    try:
        if paused is None:
            withdraw(stores.runs, deployment_id)
        else:
            change(stores.runs, deployment_id, paused=paused)
    finally:
        stores.close()
