"""``toolkit sync``: what was left is sent, and what cannot be sent from here is named."""

from __future__ import annotations

import io
import json
import logging
import subprocess
import sys
from collections.abc import Sequence

import pytest
from calls import Cli

from toolkit import settings
from toolkit.artifacts.local import LocalArtifactStore
from toolkit.artifacts.store import StoredFile
from toolkit.errors import ArtifactUnavailable, StoreError
from toolkit.recording.spool import Spool
from toolkit.recording.stores import Stores
from toolkit.testing.runs import add_run, new_run
from toolkit.tracking.entries import Begun, Entry, Rejection
from toolkit.tracking.journal import Journal
from toolkit.tracking.memory import MemoryRunStore

KILLED = """
import os
import toolkit
with toolkit.start_run(run_name="killed"):
    toolkit.log_metric("loss", 0.5)
    toolkit.flush()
    os.kill(os.getpid(), 9)
"""


class Away(LocalArtifactStore):
    """A store that does not answer."""

    def put_file(self, key: str, source: object) -> StoredFile:
        raise ArtifactUnavailable(f"{source} cannot be sent as {key}: away")


class NotNow(MemoryRunStore):
    """A store that takes nothing from a journal."""

    def apply(self, entries: Sequence[Entry | None], *, journal: str, first: int) -> Sequence[Rejection]:
        raise StoreError(f"{len(entries)} entries of {journal} from {first} on cannot be written: away")


def leave(stores: Stores, run_id: str, *, place: str | None = None, root: str = "artifacts") -> None:
    """Leave a file as a process does that ends while its store is away."""
    home = settings.load().home
    artifacts = Away(home / root)
    spool = Spool(settings.load().spool_root, artifacts, stores.runs, place=place or stores.place)
    spool.put_stream(io.BytesIO(b"x"), run_id=run_id, key=f"0/{run_id}/artifacts/a.txt", path="a.txt")
    assert spool.close(0.1) == 1


def test_files_are_sent_and_those_for_other_places_are_named(
    cli: Cli, stores: Stores, caplog: pytest.LogCaptureFixture
) -> None:
    run_id = add_run(stores.runs).info.run_id
    with caplog.at_level(logging.CRITICAL):
        leave(stores, run_id)
        leave(stores, run_id, place="postgresql://ml@db/runs")
        leave(stores, run_id, root="another")
    told = cli("sync")
    assert told.code == 0
    assert f"sent: 0 entries to {stores.place}, 1 files to {stores.artifact_root}" in told.out
    assert "there are 1 files for postgresql://ml@db/runs" in told.err
    another = (settings.load().home / "another").as_uri()
    assert f"TOOLKIT_ARTIFACT_ROOT to {another}, and run toolkit sync again" in told.err
    again = cli("sync")
    assert "nothing waits to be sent here" in again.out
    assert "postgresql://ml@db/runs" in again.err
    answer = json.loads(cli("sync", "--json").out)
    assert (answer["elsewhere"], answer["files_elsewhere"]) == (["postgresql://ml@db/runs"], 2)
    assert [entry.path for entry in stores.runs.list_artifacts(run_id).items] == ["a.txt"]


def test_a_file_waits_for_a_run_that_another_journal_still_holds(
    cli: Cli, stores: Stores, caplog: pytest.LogCaptureFixture
) -> None:
    new = new_run()
    with caplog.at_level(logging.CRITICAL):
        leave(stores, new.run_id)
        journal = Journal(settings.load().journal_root, NotNow(), place=stores.place)
        journal.add(Begun(new=new))
        told = cli("sync")
        assert told.code == 0
        assert "1 files wait for runs that another process's journal still holds" in told.err
        assert journal.close(0) == 1
    assert "sent: 1 entries" in cli("sync").out
    assert [entry.path for entry in stores.runs.list_artifacts(new.run_id).items] == ["a.txt"]


def test_a_run_that_was_killed_is_failed_afterwards(cli: Cli, stores: Stores) -> None:
    done = subprocess.run([sys.executable, "-c", KILLED], check=False, capture_output=True, text=True, timeout=300)
    assert done.returncode == -9, done.stderr
    told = cli("sync")
    assert told.code == 0
    assert "run killed (" in told.err
    assert "was lost: heartbeat_lost" in told.err
    shown = json.loads(cli("runs", "show", "killed", "--json").out)
    assert "FAILED" in json.dumps(shown)
