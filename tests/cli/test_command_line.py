"""The command itself: help, mistakes, --debug, closed pipes, interrupts."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from calls import Cli

import toolkit
from toolkit import settings
from toolkit.cli import main as command_line
from toolkit.cli.main import COMMANDS
from toolkit.recording.run import RecordedRun


def test_the_version_is_told(cli: Cli) -> None:
    assert cli("--version").out == f"toolkit {toolkit.__version__}\n"


def test_help_names_every_command(cli: Cli) -> None:
    for option in ("--help", "-h"):
        answer = cli(option)
        assert answer.code == 0
        listed = {line.split()[0] for line in answer.out.partition("Commands:\n")[2].splitlines() if line[:3].strip()}
        assert set(COMMANDS) <= {line.split()[0] for line in answer.out.splitlines() if line.startswith("  ")} | listed


@pytest.mark.parametrize("command", sorted(COMMANDS))
def test_every_command_has_help(cli: Cli, command: str) -> None:
    answer = cli(command, "--help")
    assert answer.code == 0
    assert answer.out.startswith(f"Usage: toolkit {command}")


@pytest.mark.parametrize("arguments", [(), ("runs",), ("artifacts",), ("experiments",)])
def test_without_a_command_the_help_is_shown(cli: Cli, arguments: tuple[str, ...]) -> None:
    answer = cli(*arguments)
    assert answer.code == 2
    assert "Usage: toolkit" in answer.err


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("rnu",), ["'rnu'", "toolkit --help"]),
        (("runs", "lst"), ["'lst'", "toolkit runs --help"]),
        (("runs", "list", "--nope"), ["--nope", "toolkit runs list --help"]),
        (("runs", "list", "-n", "many"), ["--limit", "integer", "toolkit runs list --help"]),
        (("runs", "list", "-n", "0"), ["--limit", "1"]),
        (("runs", "show"), ["RUN"]),
        (("run", "a", "b"), ["b"]),
    ],
)
def test_a_wrong_call_is_one_line_that_says_where_help_is(
    cli: Cli, arguments: tuple[str, ...], words: list[str]
) -> None:
    answer = cli(*arguments)
    assert answer.is_one_clear_error(), answer
    for word in words:
        assert word in answer.err


@pytest.mark.parametrize("arguments", [("runs", "show", "nope", "--debug"), ("--debug", "runs", "show", "nope")])
def test_debug_shows_where_an_error_comes_from(cli: Cli, arguments: tuple[str, ...]) -> None:
    answer = cli(*arguments)
    assert answer.code == 2
    assert answer.err.startswith("Traceback")
    assert "find_run" in answer.err
    assert answer.err.splitlines()[-1].startswith("error: there is no run 'nope'")


def test_a_fault_of_our_own_is_one_line_too(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(arguments: list[str]) -> int:
        raise ZeroDivisionError("oops")

    monkeypatch.setattr(command_line, "_invoke", broken)
    answer = cli("status")
    assert answer.code == 1
    assert answer.err.count("\n") == 1
    assert "ZeroDivisionError: oops" in answer.err
    assert "--debug" in answer.err


def test_an_interrupt_is_said_and_ends_with_130(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(arguments: list[str]) -> int:
        raise KeyboardInterrupt

    monkeypatch.setattr(command_line, "_invoke", interrupted)
    answer = cli("status")
    assert (answer.code, answer.err) == (130, "error: interrupted\n")


@pytest.mark.parametrize("variables", [{}, {"PYTHONUNBUFFERED": "1"}], ids=["buffered", "unbuffered"])
def test_a_reader_that_stops_reading_is_no_error(tree: list[RecordedRun], variables: dict[str, str]) -> None:
    """As in ``toolkit runs list | head -1``."""
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run(
        [sys.executable, "-m", "toolkit", "runs", "list", "--json"],
        env=settings.environment(PYTHONUNBUFFERED=None) | variables,
        stdout=writer,
        stderr=subprocess.PIPE,
        text=True,
        check=False,
        timeout=300,
    )
    os.close(writer)
    assert (done.returncode, done.stderr) == (141, "")


def test_a_bad_setting_is_named(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TOOLKIT_GRACE", "soon")
    answer = cli("runs", "list")
    assert answer.is_one_clear_error(), answer
    assert "TOOLKIT_GRACE" in answer.err
    assert "'soon'" in answer.err


@pytest.mark.parametrize("uri", ["postgresql://x:y/z", "mysql://x/y", "nonsense"])
def test_a_store_that_cannot_be_used_is_one_line(cli: Cli, monkeypatch: pytest.MonkeyPatch, uri: str) -> None:
    monkeypatch.setenv("TOOLKIT_TRACKING_URI", uri)
    assert cli("runs", "list").is_one_clear_error()


def test_a_server_that_is_away_is_one_line(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TOOLKIT_TRACKING_URI", "http://localhost:9")  # nobody listens there
    answer = cli("runs", "list")
    assert answer.code == 1
    assert answer.err.startswith("error: http://localhost:9 does not answer")
    assert answer.err.count("\n") == 1


def test_a_file_that_is_no_database_is_one_line(cli: Cli, toolkit_home: Path) -> None:
    (toolkit_home / "toolkit.db").write_text("this is no database" * 500)
    answer = cli("runs", "list")
    assert answer.code == 1
    assert answer.err.startswith("error: ")
    assert answer.err.count("\n") == 1
