"""Processes: who is who, and the end of a whole group."""

from __future__ import annotations

import os
import subprocess
import time
from dataclasses import replace

import psutil
import pytest

from toolkit.recording.process import end_group, group_members, host_name, is_alive, process_identity, this_process
from toolkit.tracking.records import Owner


def leader(script: str) -> tuple[subprocess.Popen[bytes], Owner]:
    """Start a script as the leader of a group; return when it has printed its first line."""
    process = subprocess.Popen(["bash", "-c", script], start_new_session=True, stdout=subprocess.PIPE)
    assert process.stdout is not None
    process.stdout.readline()
    return process, process_identity(process.pid)


def end(process: subprocess.Popen[bytes]) -> None:
    process.wait(5)
    assert process.stdout is not None
    process.stdout.close()


def test_this_process_is_alive_and_of_this_machine() -> None:
    owner = this_process()
    assert (owner.host, owner.pid) == (host_name(), os.getpid())
    assert is_alive(owner)


def test_a_later_process_with_the_same_id_is_another_one() -> None:
    owner = this_process()
    assert not is_alive(replace(owner, started=owner.started - 60_000))


def test_a_process_that_has_ended_is_not_alive_even_before_it_is_reaped() -> None:
    process, owner = leader("echo ready")
    for _ in range(500):
        if psutil.Process(process.pid).status() == psutil.STATUS_ZOMBIE:
            break
        time.sleep(0.01)
    assert not is_alive(owner)
    end(process)
    assert not is_alive(owner)
    with pytest.raises(ProcessLookupError):
        process_identity(process.pid)


def test_a_group_is_ended_with_all_that_is_in_it() -> None:
    process, owner = leader("sleep 100 & sleep 100 & echo ready; wait")
    members = group_members(owner.pid)
    assert len(members) == 3
    assert end_group(owner, grace=5)
    end(process)
    assert psutil.wait_procs(members, timeout=5)[1] == []


def test_what_ignores_sigterm_is_killed() -> None:
    process, owner = leader("trap '' TERM; echo ready; while true; do sleep 0.1; done")
    assert end_group(owner, grace=0.3)
    end(process)
    assert process.returncode == -9


def test_a_group_whose_leader_has_gone_is_ended_too() -> None:
    process, owner = leader("sleep 100 >/dev/null & echo ready")
    end(process)
    members = group_members(owner.pid)
    assert len(members) == 1
    assert end_group(owner, grace=5)
    assert psutil.wait_procs(members, timeout=5)[1] == []


def test_a_group_that_got_the_id_later_is_left_alone() -> None:
    process, owner = leader("echo ready; exec sleep 100")
    assert not end_group(replace(owner, started=owner.started - 60_000), grace=0)
    assert is_alive(owner)
    process.kill()
    end(process)


def test_nothing_to_end_is_told() -> None:
    process, owner = leader("echo ready")
    end(process)
    assert not end_group(owner, grace=0)
