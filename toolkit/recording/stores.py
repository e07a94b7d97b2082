"""The two stores that a run is written to, together."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from toolkit.artifacts.location import Elsewhere, Place, below_root, close_store
from toolkit.artifacts.store import ArtifactStore
from toolkit.recording.spool import Spool
from toolkit.tracking.journal import Journal
from toolkit.tracking.records import Experiment, RunInfo
from toolkit.tracking.store import RunStore

if TYPE_CHECKING:
    from toolkit.db.engine import Database  # SQLAlchemy, which a script may do without
    from toolkit.transport.client import HttpClient


@dataclass(frozen=True, kw_only=True, slots=True)
class Stores:
    """Where runs are recorded.

    Attributes:
        runs: Experiments, runs and what they log.
        artifacts: The bytes of their artifacts.
        tracking_uri: What a child process is told to log to.
        place: The same for people, and for journals: without password.
        artifact_root: The same for artifacts, as a URI.
        elsewhere: Stores of runs whose artifacts are not below ``artifact_root``.
        artifact_workers: How many files are sent or fetched at the same time.
        artifact_variables: What a child process is told besides, to reach the artifacts.
        home: Folder that holds everything local.
        journal: What log verbs write to instead of ``runs``, where they need not wait for it.
        spool: Where files wait for ``artifacts``, if that is not on this machine or fails.
        lease_ms: How long a run may be silent before it counts as lost.
        exit_wait: Seconds to wait at the end for what the journal holds.
        database: Where ``runs`` are, if that is a database that this process has open.
        server: What speaks to the server that keeps ``runs``, if one does; closed with them.
        release: What to call when the stores are no longer needed.
    """

    runs: RunStore
    artifacts: ArtifactStore
    tracking_uri: str = field(repr=False)  # it may have a password
    place: str
    artifact_root: str
    home: Path
    artifact_workers: int = 8
    artifact_variables: Mapping[str, str] = field(default_factory=dict, repr=False)
    elsewhere: Elsewhere = field(default_factory=Elsewhere, repr=False)
    journal: Journal | None = None
    spool: Spool | None = None
    exit_wait: float = 10.0
    lease_ms: int = 60_000
    database: Database | None = field(default=None, repr=False)
    server: HttpClient | None = field(default=None, repr=False)
    release: Callable[[], None] = field(default=lambda: None, repr=False)

    def artifacts_of(self, info: RunInfo) -> Place:
        """Return where the artifacts of a run are: below the configured root, or where the run says.

        Raises:
            ArtifactError: They are at a place that cannot be opened from here.
            InvalidSetting: The run's location is no place that artifacts can be kept at.
        """
        folder = below_root(info.artifact_uri, self.artifact_root)
        if folder is not None:
            return Place(store=self.artifacts, folder=folder)
        return self.elsewhere.place(info.artifact_uri, info.run_id)

    def location_for(self, experiment: Experiment, run_id: str) -> str | None:
        """Return where a new run keeps its artifacts, if that is not below its experiment's location.

        An experiment's location was made from the root of its time, unless somebody chose one. The first kind gives
        way to the root that is configured now; the second holds.
        """
        location = experiment.artifact_location.rstrip("/")
        chosen = location.rpartition("/")[2] != experiment.experiment_id
        if chosen or below_root(location, self.artifact_root) is not None:
            return None
        return f"{self.artifact_root.rstrip('/')}/{experiment.experiment_id}/{run_id}/artifacts"

    def send_rest(self) -> None:
        """Send what journal and spool hold, as far as the stores take it; what is left is sent by a later process."""
        if self.spool is not None:
            self.spool.close(self.exit_wait)
        if self.journal is not None:
            self.journal.close(self.exit_wait)

    def close(self) -> None:
        """Send what the journal holds, as far as that can be done in time, and release what the stores hold."""
        self.send_rest()
        self.runs.close()
        self.elsewhere.close()
        close_store(self.artifacts)
        self.release()
