"""Steps that run in other processes or on other machines."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from toolkit.recording.lease import sweep_lost
from toolkit.recording.stores import Stores
from toolkit.settings import Settings, load, set_default_variables
from toolkit.wiring.opened import open_stores
from toolkit.wiring.request import RunRequest
from toolkit.wiring.services import tracking_address

if TYPE_CHECKING:
    from toolkit.flows.deployed import Code
    from toolkit.flows.elsewhere import Elsewhere, Ticket
    from toolkit.flows.plan import Plan
    from toolkit.flows.report import Reporter
    from toolkit.spec.expression import StepResult


def elsewhere_for(
    plan: Plan, request: RunRequest, settings: Settings, stores: Stores, reporter: Reporter
) -> Elsewhere | None:
    """Return how steps are run by other processes, after putting the code where they find it; ``None``: by threads."""
    from toolkit.flows.deployed import place_code  # noqa: PLC0415 - where clusters are used
    from toolkit.flows.task_runner import read_runner  # noqa: PLC0415 - the same

    runner = read_runner(request.task_runner)
    if not runner.elsewhere:
        return None
    if runner.address is None:
        return elsewhere_with(request, settings, None)
    with tempfile.TemporaryDirectory(prefix="toolkit-") as folder:
        code = place_code(
            plan.source,
            stores,
            Path(folder),
            deployment=plan.flow_name,
            experiment_id="0",
            limit=settings.source_limit,
            report=reporter.note,
        )
    return elsewhere_with(request, settings, code)


def elsewhere_with(request: RunRequest, settings: Settings, code: Code | None) -> Elsewhere | None:
    """Return how steps are run by other processes, which find the code where it was put; ``None``: by threads."""
    from toolkit.flows.elsewhere import Elsewhere  # noqa: PLC0415 - where clusters are used
    from toolkit.flows.environments.container import DockerOptions  # noqa: PLC0415 - the same
    from toolkit.flows.task_runner import read_runner  # noqa: PLC0415 - the same

    runner = read_runner(request.task_runner)
    if not runner.elsewhere:
        return None
    return Elsewhere(
        runner=runner,
        run_step=run_step_elsewhere,
        code=code,
        env_manager=request.env_manager or settings.env_manager,
        docker=DockerOptions(arguments=request.docker_args, build_image=request.build_image),
    )


def run_step_elsewhere(ticket: Ticket, log: Callable[[str], None]) -> StepResult:
    """Run a step that was sent here by a run on another machine, or in another process of this one.

    Its run is recorded where the whole run is; how to log in there is this process's own business.

    Args:
        ticket: What is to be run.
        log: Takes a line for Prefect's log.

    Raises:
        StepFailed: The step failed.
        ToolkitError: It could not begin.
    """
    from toolkit.flows.elsewhere import Here, run_ticket  # noqa: PLC0415 - where steps are sent to
    from toolkit.flows.source import Fetching  # noqa: PLC0415 - the same

    set_default_variables(**ticket.variables)
    settings = load()
    settings = settings.model_copy(
        update={"tracking_uri": ticket.tracking_uri, "artifact_root": ticket.artifact_root, "run_id": None}
    )
    stores = open_stores(settings)
    try:
        sweep_lost(stores.runs, grace=min(settings.grace, 2.0))
        here = Here(
            stores=stores,
            fetching=Fetching(root=settings.home / "sources", limit=settings.source_limit, report=log),
            tracking_server=partial(tracking_address, settings),
        )
        return run_ticket(ticket, here, log)
    finally:
        stores.close()
