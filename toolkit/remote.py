"""What Prefect's workers import to run a project that ``toolkit flows deploy`` has deployed.

A deployment names `pull`, its pull step, and `run`, its flow. Both act on what the pull step's arguments say.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from toolkit.flows.deployed import PULL_STEP, read_step
from toolkit.settings import environment, load
from toolkit.wiring.schedules import fetch_deployed, run_deployed

if TYPE_CHECKING:
    from prefect import Flow

__all__ = ["pull", "run"]

run: Flow[..., Any]
"""The flow: made when it is asked for, with the parameters of the flow run that this process is to run."""


def pull(project: Mapping[str, object], format: int) -> dict[str, object]:  # noqa: A002 - as the deployment says it
    """Fetch a deployed project's code, and keep it for the run, and for the next ones.

    Args:
        project: What is deployed.
        format: Version of what ``project`` says.

    Raises:
        NotFound: The artifact store has no such snapshot.
        ProjectError: The code cannot be fetched.
    """
    deployed = read_step([{PULL_STEP: {"project": project, "format": format}}])
    assert deployed is not None
    fetch_deployed(deployed)
    return {}


def __getattr__(name: str) -> object:
    if name != "run":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from toolkit.flows.deployed_flow import deployed_flow  # noqa: PLC0415 - imports Prefect

    flow_run_id = environment().get("PREFECT__FLOW_RUN_ID")
    if not flow_run_id:
        raise AttributeError(f"{__name__}.run is there in the process of a flow run only")
    return deployed_flow(flow_run_id, run_deployed, max_parallel=load().max_parallel_steps)
