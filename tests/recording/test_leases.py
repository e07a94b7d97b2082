"""Leases: a run whose process died is marked as lost, once, and what was left of it is ended. A living one never is."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace

import psutil
import pytest

from toolkit.errors import StoreError
from toolkit.ids import new_run_id, now_ms
from toolkit.recording import lease
from toolkit.recording.lease import PROCESS_TAG, Leases, process_tag, sweep_lost
from toolkit.recording.process import host_name, process_identity, this_process
from toolkit.recording.run import RecordedRun
from toolkit.recording.stores import Stores
from toolkit.testing.runs import add_run
from toolkit.tracking.memory import MemoryRunStore
from toolkit.tracking.records import Owner, RunStatus

OPEN_A_RUN = """
import sys, toolkit
with toolkit.start_run() as run:
    print(run.info.run_id, flush=True)
    sys.stdin.read()
"""


def dead_owner() -> Owner:
    process = subprocess.Popen(["true"], stdin=subprocess.DEVNULL)
    owner = replace(this_process(), pid=process.pid)
    process.wait()
    return owner


def test_a_run_whose_process_was_killed_is_lost(stores: Stores) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", OPEN_A_RUN], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        run_id = process.stdout.readline().strip()
        assert sweep_lost(stores.runs, grace=0) == []
        assert stores.runs.get_run(run_id).info.status == RunStatus.RUNNING
        process.send_signal(signal.SIGKILL)
    (lost,) = sweep_lost(stores.runs, grace=0)
    assert lost.info.run_id == run_id
    assert lost.info.status == RunStatus.FAILED
    assert lost.info.end_time is not None
    assert str(lost.info.reason).startswith("heartbeat_lost: process")
    assert sweep_lost(stores.runs, grace=0) == []


def test_our_own_runs_are_not_lost_even_when_the_beat_was_late(stores: Stores) -> None:
    """A laptop that slept: the lease is over, the process lives."""
    run = add_run(stores.runs, owner=this_process(), lease_ms=1, start_time=now_ms())
    threading.Event().wait(0.01)
    assert sweep_lost(stores.runs, grace=0) == []
    assert stores.runs.get_run(run.info.run_id).info.status == RunStatus.RUNNING


def test_a_run_of_another_machine_is_lost_when_its_lease_is_over(stores: Stores) -> None:
    elsewhere = Owner(host="elsewhere", pid=1, started=1)
    held = add_run(stores.runs, run_id=new_run_id(), owner=elsewhere, lease_ms=600_000)
    over = add_run(stores.runs, run_id=new_run_id(), owner=elsewhere, lease_ms=1)
    threading.Event().wait(0.01)
    assert [run.info.run_id for run in sweep_lost(stores.runs, grace=0)] == [over.info.run_id]
    assert stores.runs.get_run(held.info.run_id).info.status == RunStatus.RUNNING


def test_what_is_left_of_a_lost_step_is_ended(stores: Stores) -> None:
    with subprocess.Popen(
        ["bash", "-c", "sleep 100 & echo ready; wait"], start_new_session=True, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        process.stdout.readline()
        members = [psutil.Process(process.pid), *psutil.Process(process.pid).children()]
        tags = {PROCESS_TAG: process_tag(process_identity(process.pid))}
        add_run(stores.runs, owner=dead_owner(), lease_ms=60_000, tags=tags)
        assert len(sweep_lost(stores.runs, grace=5)) == 1
    assert psutil.wait_procs(members, timeout=5)[1] == []


@pytest.mark.parametrize("text", ["", "nonsense", "host:x:y", f"{host_name()}:1", f"other-host:{1}:{2}", "::"])
def test_a_process_tag_that_names_nobody_ends_nobody(stores: Stores, text: str) -> None:
    add_run(stores.runs, owner=dead_owner(), lease_ms=60_000, tags={PROCESS_TAG: text} if text else {})
    assert len(sweep_lost(stores.runs, grace=0)) == 1


class Beats(MemoryRunStore):
    """A store that tells when a lease is renewed, and can be out of reach."""

    def __init__(self) -> None:
        super().__init__("file:///artifacts")
        self.renewed: list[tuple[str, ...]] = []
        self.beat = threading.Semaphore(0)
        self.broken = False

    def renew_leases(self, owner: Owner, run_ids: Sequence[str], *, lease_ms: int) -> Sequence[str]:
        self.beat.release()
        if self.broken:
            raise StoreError("out of reach")
        self.renewed.append(tuple(run_ids))
        return super().renew_leases(owner, run_ids, lease_ms=lease_ms)


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Let the threads end soon after the last run, and be gone at the end of the test."""
    monkeypatch.setattr(lease, "_LINGER", 0.05)
    yield
    for thread in lease_threads():
        thread.join(0.5)


def lease_threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "toolkit-leases"]


def test_leases_are_renewed_while_there_are_runs_and_the_thread_ends_after_the_last() -> None:
    store = Beats()
    leases = Leases(store, lease_ms=40)
    first, second = (add_run(store, owner=leases.owner, lease_ms=40).info.run_id for _ in range(2))
    leases.hold(first)
    leases.hold(second)
    (thread,) = lease_threads()
    assert store.beat.acquire(timeout=10)
    leases.release(first)
    while set(store.renewed[-1:]) != {(second,)}:
        assert store.beat.acquire(timeout=10)
    leases.release(second)
    thread.join(10)
    assert not thread.is_alive()
    leases.hold(second)
    assert lease_threads() != []
    leases.release(second)
    for thread in lease_threads():
        thread.join(10)


def test_a_store_out_of_reach_does_not_end_the_beat(caplog: pytest.LogCaptureFixture) -> None:
    store = Beats()
    store.broken = True
    leases = Leases(store, lease_ms=40)
    leases.hold(add_run(store).info.run_id)
    assert store.beat.acquire(timeout=10)
    store.broken = False
    while not store.renewed:
        assert store.beat.acquire(timeout=10)
    leases.release(store.renewed[0][0])
    for thread in lease_threads():
        thread.join(10)
    assert "was not renewed: out of reach" in caplog.text


def test_a_step_whose_run_a_library_ends_goes_on_until_its_owner_ends_it(stores: Stores) -> None:
    """And is missed if its process dies. Runs of others stay ended."""
    leases = Leases(stores.runs, lease_ms=40)
    kept = RecordedRun.start(stores, leases, experiment_id="0", name="step")
    other = RecordedRun.start(stores, leases, experiment_id="0", name="script")
    leases.keep_open(kept.run_id)
    for run in (kept, other):
        stores.runs.update_run(run.run_id, status=RunStatus.FINISHED)
    limit = time.monotonic() + 20
    while kept.read().info.status is not RunStatus.RUNNING and time.monotonic() < limit:
        time.sleep(0.005)
    assert kept.read().info.status is RunStatus.RUNNING
    assert kept.run_id in stores.runs.renew_leases(leases.owner, [kept.run_id, other.run_id], lease_ms=60_000)
    kept.end(RunStatus.FAILED, "its owner says so")
    time.sleep(0.1)  # some beats more
    assert (kept.read().info.status, kept.read().info.reason) == (RunStatus.FAILED, "its owner says so")
    assert other.read().info.status is RunStatus.FINISHED
    other.end()


def test_a_run_that_is_written_is_held_until_it_ends(stores: Stores) -> None:
    leases = Leases(stores.runs, lease_ms=60_000)
    run = RecordedRun.start(stores, leases, experiment_id="0")
    (thread,) = lease_threads()
    run.end()
    thread.join(10)
    assert not thread.is_alive()
