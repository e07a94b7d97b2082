"""The two stores that a run is written to, together."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from toolkit.artifacts.store import ArtifactStore
from toolkit.tracking.journal import Journal
from toolkit.tracking.store import RunStore


@dataclass(frozen=True, kw_only=True, slots=True)
class Stores:
    """Where runs are recorded.

    Attributes:
        runs: Experiments, runs and what they log.
        artifacts: The bytes of their artifacts.
        tracking_uri: What a child process is told to log to.
        place: The same for people, and for journals: without password.
        artifact_root: The same for artifacts, as a URI.
        home: Folder that holds everything local.
        journal: What log verbs write to instead of ``runs``, where they need not wait for it.
        lease_ms: How long a run may be silent before it counts as lost.
        exit_wait: Seconds to wait at the end for what the journal holds.
        release: What to call when the stores are no longer needed.
    """

    runs: RunStore
    artifacts: ArtifactStore
    tracking_uri: str
    place: str
    artifact_root: str
    home: Path
    journal: Journal | None = None
    exit_wait: float = 10.0
    lease_ms: int = 60_000
    release: Callable[[], None] = field(default=lambda: None, repr=False)

    def close(self) -> None:
        """Send what the journal holds, as far as that can be done in time, and release what the stores hold."""
        if self.journal is not None:
            self.journal.close(self.exit_wait)
        self.runs.close()
        self.release()
