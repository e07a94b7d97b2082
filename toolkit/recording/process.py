"""Processes: who we are, whether somebody is still there, and how a whole process group is ended.

A process is known by its id together with the time at which it began, so that a later one with the same id is not taken
for it. That time is counted from the machine's start: one counted from 1970 changes when the clock is set.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import time

import psutil

from toolkit.recording.plain import plain
from toolkit.tracking.records import Owner

_TOLERANCE_MS = 1_000  # two readings of one start: ticks of the kernel, and a boot time that is rounded to seconds


def this_process() -> Owner:
    """Return the identity of the running process (of the child after a fork)."""
    return process_identity(os.getpid())


def process_identity(pid: int) -> Owner:
    """Return the identity of a process of this machine.

    Raises:
        ProcessLookupError: There is none of this id.
    """
    try:
        started = _started(psutil.Process(pid))
    except psutil.NoSuchProcess:
        raise ProcessLookupError(pid) from None
    return Owner(host=host_name(), pid=pid, started=started)


def _started(process: psutil.Process) -> int:
    """Return when a process began, in milliseconds since the machine did."""
    return round((process.create_time() - psutil.boot_time()) * 1000)


def host_name() -> str:
    """Return the name of this machine."""
    return plain(socket.gethostname())


def is_alive(owner: Owner) -> bool:
    """Tell whether a process of this machine still runs; a zombie does not."""
    try:
        process = psutil.Process(owner.pid)
        if process.status() == psutil.STATUS_ZOMBIE:
            return False
        return abs(_started(process) - owner.started) <= _TOLERANCE_MS
    except psutil.NoSuchProcess:
        return False
    except psutil.AccessDenied:
        return True


def signal_group(group: int, number: signal.Signals) -> bool:
    """Send a signal to each process of a group; tell whether there was any."""
    try:
        os.killpg(group, number)
    except (ProcessLookupError, PermissionError):
        return False
    return True


def group_members(group: int) -> list[psutil.Process]:
    """Return the processes of a group that have not ended."""
    members = []
    for process in psutil.process_iter(["pid"]):
        with contextlib.suppress(ProcessLookupError, PermissionError, psutil.Error):
            if os.getpgid(process.pid) == group and process.status() != psutil.STATUS_ZOMBIE:
                members.append(process)
    return members


def end_group(leader: Owner, *, grace: float) -> bool:
    """End the process group that a process leads: SIGTERM, then SIGKILL after ``grace`` seconds.

    The group is left alone if the id of its leader belongs to another process by now.

    Returns:
        Whether there was anything to end.
    """
    if not is_alive(leader) and psutil.pid_exists(leader.pid):
        return False
    if not signal_group(leader.pid, signal.SIGTERM):
        return False
    deadline = time.monotonic() + grace
    while time.monotonic() < deadline:
        if not group_members(leader.pid):
            return True
        time.sleep(0.05)
    signal_group(leader.pid, signal.SIGKILL)
    return True
