"""A step's command as a process group of its own: its output line by line, its end, whatever happens."""

from __future__ import annotations

import os
import selectors
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil

from toolkit.flows.lines import Lines
from toolkit.flows.stop import Stop
from toolkit.recording.process import process_identity, signal_group
from toolkit.tracking.records import Owner

_POLL = 0.1  # seconds between looks at the clock and the wish to stop
_DRAIN = 0.5  # seconds that output may still come after the command itself has ended


@dataclass(frozen=True, kw_only=True, slots=True)
class CommandSpec:
    """A command to run.

    Attributes:
        argv: Program and arguments.
        directory: Working directory.
        environment: All of its environment variables.
        timeout: Seconds after which it is ended; ``None``: never.
        grace: Seconds between SIGTERM and SIGKILL.
    """

    argv: Sequence[str]
    directory: Path
    environment: Mapping[str, str]
    timeout: float | None = None
    grace: float = 5.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Exit:
    """How a command ended.

    Attributes:
        code: Exit code; negative: the signal that ended it.
        timed_out: Whether it was ended because its time was over.
        stopped: Whether it was ended because the run is to stop.
        cpu_seconds: Processor time of the command and of those of its children that it waited for; ``None`` where it is
            not known.
        peak_memory: Largest resident memory of one of these processes, in bytes; ``None`` where it is less than what
            toolkit itself had when it started them, which the system counts in.
    """

    code: int
    timed_out: bool = False
    stopped: bool = False
    cpu_seconds: float | None = 0.0
    peak_memory: int | None = None


class CommandProcess:
    """Runs one command.

    Args:
        spec: The command.
        on_line: Called with each line of its output (standard output and error, as they come), without its end.
        stop: The wish to stop.
    """

    def __init__(self, spec: CommandSpec, *, on_line: Callable[[str], None], stop: Stop) -> None:
        self._spec = spec
        self._lines = Lines(on_line)
        self._stop = stop
        self._process: subprocess.Popen[bytes] | None = None
        self._usage: tuple[float, int | None] = (0.0, None)
        self._own_memory = 0

    def __enter__(self) -> CommandProcess:
        return self

    def __exit__(self, *_: object) -> None:
        """End what still runs: whatever went wrong between start and end leaves no process behind."""
        process = self._process
        if process is not None and process.returncode is None:
            signal_group(process.pid, signal.SIGKILL)
            self._reap(process, block=True)

    def start(self) -> Owner:
        """Start the command as the leader of a new process group; return its identity."""
        self._own_memory = psutil.Process().memory_info().rss
        self._process = subprocess.Popen(
            list(self._spec.argv),
            cwd=self._spec.directory,
            env=dict(self._spec.environment),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        return process_identity(self._process.pid)

    def wait(self) -> Exit:
        """Pass on the output until the command ends, or end it: time over, or the run is to stop.

        Whatever is left of the process group then is ended too.
        """
        process = self._process
        assert process is not None
        assert process.stdout is not None
        timed_out = stopped = False
        deadline = time.monotonic() + self._spec.timeout if self._spec.timeout else None
        try:
            with selectors.DefaultSelector() as selector:
                os.set_blocking(process.stdout.fileno(), False)
                selector.register(process.stdout, selectors.EVENT_READ)
                while not self._ended(process):
                    self._read(selector, _POLL)
                    timed_out = deadline is not None and time.monotonic() >= deadline
                    stopped = self._stop.requested
                    if timed_out or stopped:
                        self._end(process, selector)
                        break
                signal_group(process.pid, signal.SIGTERM if process.returncode == 0 else signal.SIGKILL)
                self._drain(selector)
                signal_group(process.pid, signal.SIGKILL)
        finally:
            if process.returncode is None:
                signal_group(process.pid, signal.SIGKILL)
                self._reap(process, block=True)
            process.stdout.close()
        self._lines.finish()
        cpu, memory = self._usage
        return Exit(code=process.returncode, timed_out=timed_out, stopped=stopped, cpu_seconds=cpu, peak_memory=memory)

    def _ended(self, process: subprocess.Popen[bytes]) -> bool:
        return process.returncode is not None or self._reap(process, block=False)

    def _reap(self, process: subprocess.Popen[bytes], *, block: bool) -> bool:
        """Take the exit status and the resources used, if the command has ended."""
        try:
            pid, status, usage = os.wait4(process.pid, 0 if block else os.WNOHANG)
        except ChildProcessError:
            process.returncode = -1 if process.returncode is None else process.returncode
            return True
        if pid == 0:
            return False
        process.returncode = os.waitstatus_to_exitcode(status)
        peak = usage.ru_maxrss * 1024
        self._usage = (usage.ru_utime + usage.ru_stime, peak if peak > self._own_memory * 1.05 else None)
        return True

    def _end(self, process: subprocess.Popen[bytes], selector: selectors.BaseSelector) -> None:
        """End the group: SIGTERM, then SIGKILL when the grace is over or there is no more time."""
        signal_group(process.pid, signal.SIGTERM)
        limit = time.monotonic() + self._spec.grace
        while time.monotonic() < limit and not self._stop.at_once and not self._ended(process):
            self._read(selector, _POLL)
        signal_group(process.pid, signal.SIGKILL)
        if process.returncode is None:
            self._reap(process, block=True)

    def _read(self, selector: selectors.BaseSelector, timeout: float) -> bool:
        """Pass on what there is to read; tell whether the output is still open."""
        if not selector.get_map():
            time.sleep(min(timeout, 0.005))
            return False
        for key, _ in selector.select(timeout):
            try:
                chunk = os.read(key.fd, 65_536)
            except BlockingIOError:
                continue
            if not chunk:
                selector.unregister(key.fileobj)
                return False
            self._lines.feed(chunk)
        return True

    def _drain(self, selector: selectors.BaseSelector) -> None:
        limit = time.monotonic() + _DRAIN
        while selector.get_map() and time.monotonic() < limit:
            self._read(selector, 0.05)
