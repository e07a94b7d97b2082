"""Who makes a release: so that one that was left in the middle can be told from one that is being made."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from toolkit.deployments.records import Deployment, DeploymentState, Release, ReleaseState
from toolkit.errors import Conflict
from toolkit.ids import now_ms
from toolkit.recording.process import host_name, is_alive, this_process
from toolkit.tracking.records import Owner

_SILENT_MS = 3_600_000  # a process of another machine that has left a deployment in the middle for so long is gone
_UNNAMED_MS = 60_000  # the same for one that has not said who it is: it had only to write one row more


@dataclass(frozen=True, kw_only=True, slots=True)
class Starter:
    """The process that makes a release.

    Attributes:
        deployment: The deployment's name.
        owner: The process; None where it did not come so far as to say.
        since: When it last wrote of it, in milliseconds since 1970.
    """

    deployment: str = ""
    owner: Owner | None = None
    since: int = 0

    @classmethod
    def here(cls) -> Starter:
        """Return this process as one that makes a release."""
        return cls(owner=this_process())

    def to_dict(self) -> dict[str, object]:
        """Return it as a release's row holds it."""
        assert self.owner is not None
        return {"host": self.owner.host, "pid": self.owner.pid, "started": self.owner.started}

    @property
    def gone(self) -> bool:
        """Whether the process has ended, as far as that can be told from here."""
        if self.owner is None:
            return now_ms() - self.since > _UNNAMED_MS
        if self.owner.host == host_name():
            return not is_alive(self.owner)
        return now_ms() - self.since > _SILENT_MS

    def check_gone(self) -> None:
        """Check that the process has ended.

        Raises:
            Conflict: It has not, or it may not have.
        """
        if self.gone:
            return
        who = "another process" if self.owner is None else f"process {self.owner.pid} on {self.owner.host}"
        raise Conflict(f"deployment {self.deployment} is being changed by {who}: try again when it is done")


def starter_of(deployment: Deployment, starting: Release | None) -> Starter:
    """Return who makes, or made, the release of a deployment that is in the middle of it."""
    kept = starting.instance.get("starter") if starting is not None else None
    owner = None
    if isinstance(kept, Mapping):
        owner = Owner(host=str(kept["host"]), pid=int(kept["pid"]), started=int(kept["started"]))
    return Starter(deployment=deployment.name, owner=owner, since=deployment.updated_at)


def interrupted(deployment: Deployment, releases: Sequence[Release]) -> bool:
    """Tell whether a deployment was left in the middle of a change by a process that has ended."""
    if deployment.state not in (DeploymentState.CREATING, DeploymentState.UPDATING):
        return False
    starting = next((each for each in releases if each.state is ReleaseState.STARTING), None)
    return starter_of(deployment, starting).gone


def check_host(deployment: Deployment) -> None:
    """Check that the processes of a deployment are on this machine, or on none.

    Raises:
        Conflict: They are on another one.
    """
    if deployment.host and deployment.host != host_name():
        raise Conflict(
            f"deployment {deployment.name} runs on {deployment.host}, and this is {host_name()}: change it there"
        )
