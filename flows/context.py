"""What all steps of one workflow run share."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from toolkit.flows.code_state import Digests
from toolkit.flows.environments.environment import PreparedEnvironment
from toolkit.flows.plan import Plan
from toolkit.flows.report import Reporter
from toolkit.flows.step_cache import StepCache
from toolkit.flows.stop import Stop
from toolkit.flows.sweep import TrialStop
from toolkit.recording.lease import Leases
from toolkit.recording.run import RecordedRun
from toolkit.recording.stores import Stores
from toolkit.spec.project import EnvironmentRef, Step


@dataclass(kw_only=True)
class RunContext:
    """What all steps of one workflow run share.

    Attributes:
        plan: What runs.
        stores: Where it is recorded.
        leases: What keeps the runs alive.
        parent: The workflow's run.
        experiment: Name of its experiment.
        environments: What steps run in, by what declares it; ``None`` is for steps that declare nothing.
        variables: Environment variables for each command.
        source_tags: Tags that say where the code comes from.
        work: Folder for workspaces and logs.
        reporter: Who is told.
        stop: The wish to stop.
        grace: Seconds between SIGTERM and SIGKILL.
        max_parallel: How many steps may run at the same time.
        flow_run_id: Prefect's flow run.
        tracking_server: Address of a server that speaks MLflow's API for the stores, where there is one.
        cache: What takes results over; ``None``: every step runs.
        trial_stops: The wishes to stop trials of searches, by label.
        run_ids: The run of each invocation's latest try, by label.
        digests: What is known of the files that steps are given.
    """

    plan: Plan
    stores: Stores
    leases: Leases
    parent: RecordedRun
    experiment: str
    environments: Mapping[EnvironmentRef | None, PreparedEnvironment]
    variables: Mapping[str, str]
    source_tags: Mapping[str, str]
    work: Path
    reporter: Reporter
    stop: Stop
    grace: float
    max_parallel: int
    flow_run_id: str = ""
    tracking_server: str | None = None
    cache: StepCache | None = None
    run_ids: dict[str, str] = field(default_factory=dict)
    trial_stops: dict[str, TrialStop] = field(default_factory=dict)
    digests: Digests = field(default_factory=Digests)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def environment(self, step: Step) -> PreparedEnvironment:
        """Return what a step's command runs in."""
        return self.environments[self.plan.environment(step)]

    def stop_of(self, label: str) -> Stop:
        """Return the wish to stop an invocation: a trial's own, or the run's."""
        return self.trial_stops.get(label, self.stop)

    def opened(self, label: str, run_id: str) -> None:
        """Remember the run of an invocation's latest try."""
        with self._lock:
            self.run_ids[label] = run_id
