"""A step's command: what of its output arrives, how it ends, and that nothing of it is left behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from toolkit.flows.process import CommandProcess, CommandSpec, Exit
from toolkit.flows.stop import Stop
from toolkit.recording.process import group_members

Ended = tuple[Exit, list[str]]


def execute(
    argv: list[str],
    directory: Path,
    *,
    stop: Stop | None = None,
    timeout: float | None = None,
    grace: float = 5.0,
    on_line: Callable[[str], None] = lambda _: None,
) -> Ended:
    lines: list[str] = []

    def take(line: str) -> None:
        lines.append(line)
        on_line(line)

    spec = CommandSpec(argv=argv, directory=directory, environment=dict(os.environ), timeout=timeout, grace=grace)
    process = CommandProcess(spec, on_line=take, stop=stop or Stop())
    owner = process.start()
    ended = process.wait()
    assert_nothing_left(owner.pid)
    return ended, lines


def assert_nothing_left(group: int) -> None:
    """A killed process needs a moment to be gone."""
    _, left = psutil.wait_procs(group_members(group), timeout=5)
    assert left == [], "a process of the command's group is left"


def bash(script: str) -> list[str]:
    return ["bash", "-c", script]


def python(script: str) -> list[str]:
    return [sys.executable, "-u", "-c", script]


def on_first_line(stop: Stop) -> Callable[[str], None]:
    return lambda _: None if stop.requested else stop.request("test")


def is_gone(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


# -- output ------------------------------------------------------------------------------------------


def test_both_streams_arrive_line_by_line_in_their_order(tmp_path: Path) -> None:
    ended, lines = execute(bash("echo one; echo two >&2; echo three; printf four"), tmp_path)
    assert ended.code == 0
    assert lines == ["one", "two", "three", "four"]


def test_lines_arrive_while_the_command_still_runs(tmp_path: Path) -> None:
    """The command waits for a file that is only made when its first line has been seen."""
    seen = tmp_path / "seen"
    ended, lines = execute(
        bash(f"echo first; until [ -e '{seen}' ]; do sleep 0.01; done; echo second"),
        tmp_path,
        timeout=20,
        on_line=lambda _: seen.touch(),
    )
    assert (ended.code, ended.timed_out, lines) == (0, False, ["first", "second"])


@pytest.mark.parametrize(
    ("printed", "expected"),
    [
        ("10\\r20\\r\\n30\\n", ["10", "20", "30"]),
        ("a\\n\\nb\\n", ["a", "", "b"]),
        ("", []),
        ("no end", ["no end"]),
        ("\\xff\\xfe\\n", ["\ufffd\ufffd"]),
        ("caf\\xc3\\xa9\\n", ["café"]),
        ("\\xc3", ["\ufffd"]),
    ],
)
def test_lines_are_told_apart(tmp_path: Path, printed: str, expected: list[str]) -> None:
    assert execute(bash(f"printf '{printed}'"), tmp_path)[1] == expected


def test_a_character_that_arrives_in_two_halves_is_whole(tmp_path: Path) -> None:
    halves = "import os, time; os.write(1, b'caf\\xc3'); time.sleep(0.2); os.write(1, b'\\xa9\\n')"
    assert execute(python(halves), tmp_path)[1] == ["café"]


def test_a_line_end_that_arrives_in_two_halves_is_one(tmp_path: Path) -> None:
    halves = "import os, time; os.write(1, b'one\\r'); time.sleep(0.2); os.write(1, b'\\ntwo\\n')"
    assert [line for line in execute(python(halves), tmp_path)[1] if line] == ["one", "two"]


def test_a_very_long_line_is_passed_on_whole_in_parts(tmp_path: Path) -> None:
    lines = execute(python("print('x' * 1_000_000)"), tmp_path)[1]
    assert "".join(lines) == "x" * 1_000_000


def test_a_chatty_command_loses_nothing(tmp_path: Path) -> None:
    ended, lines = execute(python("for i in range(200_000): print(i)"), tmp_path)
    assert ended.code == 0
    assert lines == [str(number) for number in range(200_000)]


def test_a_command_has_no_input_to_wait_for(tmp_path: Path) -> None:
    assert execute(bash("read line || echo nothing"), tmp_path, timeout=20)[1] == ["nothing"]


def test_the_command_runs_in_its_directory_with_its_environment(tmp_path: Path) -> None:
    spec = CommandSpec(
        argv=bash("pwd -P; echo $GIVEN"), directory=tmp_path, environment={"GIVEN": "x", "PATH": os.environ["PATH"]}
    )
    lines: list[str] = []
    process = CommandProcess(spec, on_line=lines.append, stop=Stop())
    process.start()
    process.wait()
    assert lines == [str(tmp_path.resolve()), "x"]


# -- the end -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("script", "code"),
    [("exit 0", 0), ("exit 3", 3), ("kill -9 $$", -9), ("kill -TERM $$", -15), ("exit 255", 255)],
)
def test_the_exit_code_or_signal_is_told(tmp_path: Path, script: str, code: int) -> None:
    ended, _ = execute(bash(script), tmp_path)
    assert ended.code == code
    assert not ended.timed_out
    assert not ended.stopped


def test_a_command_that_is_not_there_is_told_by_bash(tmp_path: Path) -> None:
    ended, lines = execute(bash("no-such-program-anywhere"), tmp_path)
    assert ended.code == 127
    assert "not found" in lines[0]


def test_processor_time_and_memory_are_measured(tmp_path: Path) -> None:
    """By a small process: the memory of a command counts from that of the process that forked it."""
    measure = f"""
import os, sys
from pathlib import Path
from toolkit.flows.process import CommandProcess, CommandSpec
from toolkit.flows.stop import Stop
work = "import time; block = b'x' * 200_000_000\\nwhile time.process_time() < 0.3: pass"
spec = CommandSpec(argv=[sys.executable, "-c", work], directory=Path({str(tmp_path)!r}), environment=dict(os.environ))
process = CommandProcess(spec, on_line=print, stop=Stop())
process.start()
ended = process.wait()
print(ended.cpu_seconds, ended.peak_memory)
"""
    done = subprocess.run([sys.executable, "-c", measure], capture_output=True, text=True, check=True, timeout=300)
    seconds, memory = done.stdout.split()
    assert float(seconds) >= 0.3
    assert 200_000_000 < int(memory) < 400_000_000


def test_a_command_that_takes_too_long_is_ended_with_its_grandchildren(tmp_path: Path) -> None:
    script = f"bash -c 'sleep 100 & echo $! > {tmp_path}/pid; wait' & wait"
    begun = time.monotonic()
    ended, _ = execute(bash(script), tmp_path, timeout=1.0)
    assert ended.timed_out
    assert ended.code != 0
    assert time.monotonic() - begun < 20
    assert is_gone(int((tmp_path / "pid").read_text()))


def test_children_left_in_the_background_end_with_the_command(tmp_path: Path) -> None:
    """They hold the output open, and must not keep the step from ending."""
    begun = time.monotonic()
    ended, lines = execute(bash(f"sleep 100 & echo $! > {tmp_path}/pid; echo done"), tmp_path)
    assert (ended.code, lines) == (0, ["done"])
    assert time.monotonic() - begun < 20
    assert is_gone(int((tmp_path / "pid").read_text()))


def test_a_background_child_that_ignores_sigterm_is_killed(tmp_path: Path) -> None:
    child = f'trap "" TERM; echo $BASHPID > {tmp_path}/pid; while true; do sleep 0.1; done'
    script = f"( {child} ) & until [ -s {tmp_path}/pid ]; do sleep 0.01; done"
    execute(bash(script), tmp_path)
    assert is_gone(int((tmp_path / "pid").read_text()))


def test_stopping_lets_the_command_end_in_order(tmp_path: Path) -> None:
    stop = Stop()
    script = "trap 'echo cleaned; exit 7' TERM; echo ready; while true; do sleep 0.05; done"
    ended, lines = execute(bash(script), tmp_path, stop=stop, on_line=on_first_line(stop))
    assert ended.stopped
    assert ended.code == 7
    assert lines[-1] == "cleaned"


def test_a_command_that_ignores_sigterm_is_killed_when_its_grace_is_over(tmp_path: Path) -> None:
    stop = Stop()
    script = "trap '' TERM; echo ready; while true; do sleep 0.05; done"
    begun = time.monotonic()
    ended, _ = execute(bash(script), tmp_path, stop=stop, grace=0.5, on_line=on_first_line(stop))
    assert ended.stopped
    assert ended.code == -signal.SIGKILL
    assert time.monotonic() - begun >= 0.5


def test_a_second_wish_to_stop_kills_at_once(tmp_path: Path) -> None:
    stop = Stop()

    def on_line(line: str) -> None:
        if line in ("ready", "asked"):
            stop.request("test")

    script = "trap 'echo asked' TERM; echo ready; while true; do sleep 0.05; done"
    begun = time.monotonic()
    ended, _ = execute(bash(script), tmp_path, stop=stop, grace=100, on_line=on_line)
    assert ended.code == -signal.SIGKILL
    assert time.monotonic() - begun < 20


def test_a_wish_to_stop_is_noticed_while_the_command_is_silent(tmp_path: Path) -> None:
    stop = Stop()
    timer = threading.Timer(0.3, stop.request, ["test"])
    timer.start()
    begun = time.monotonic()
    ended, _ = execute(bash("exec sleep 100"), tmp_path, stop=stop)
    assert ended.stopped
    assert ended.code == -signal.SIGTERM
    assert time.monotonic() - begun < 20


def test_a_wish_to_stop_is_noticed_while_output_pours_out(tmp_path: Path) -> None:
    stop = Stop()
    count = 0

    def on_line(line: str) -> None:
        nonlocal count
        count += 1
        if count == 1000:
            stop.request("test")

    ended, _ = execute(bash("yes"), tmp_path, stop=stop, on_line=on_line)
    assert ended.stopped


def test_an_error_in_whoever_takes_the_lines_leaves_no_process(tmp_path: Path) -> None:
    def refuse(line: str) -> None:
        raise OSError("disk full")

    spec = CommandSpec(argv=bash("echo x; sleep 100"), directory=tmp_path, environment=dict(os.environ))
    process = CommandProcess(spec, on_line=refuse, stop=Stop())
    owner = process.start()
    with pytest.raises(OSError, match="disk full"):
        process.wait()
    assert_nothing_left(owner.pid)


def test_closed_output_is_no_end(tmp_path: Path) -> None:
    ended, lines = execute(bash("echo x; exec >&- 2>&-; sleep 0.3; exit 4"), tmp_path)
    assert (ended.code, lines) == (4, ["x"])
