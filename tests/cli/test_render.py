"""How values look."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable

import pytest

from toolkit.cli.progress import Progress
from toolkit.cli.render import duration, moment, number, show_json, show_table, size
from toolkit.flows.report import RunOutcome, StepOutcome
from toolkit.tracking.records import RunStatus


@pytest.mark.parametrize(
    ("render", "value", "text"),
    [
        (duration, None, ""),
        (duration, 0.4216, "0.42s"),
        (duration, 12.34, "12.3s"),
        (duration, 123, "2m 03s"),
        (duration, 3720, "1h 02m"),
        (size, 512, "512 B"),
        (size, 3200, "3.2 kB"),
        (size, 1_100_000_000, "1.1 GB"),
        (size, 5 * 10**12, "5.0 TB"),
        (number, 0.123456789, "0.123457"),
        (number, 20.0, "20"),
        (moment, 0, "1970-01-01T00:00:00Z"),
        (moment, None, ""),
    ],
)
def test_values_for_people(render: Callable[[object], str], value: object, text: str) -> None:
    assert render(value) == text


def test_json_has_only_what_json_has(capsys: pytest.CaptureFixture[str]) -> None:
    show_json({"a": [math.nan, math.inf, -math.inf, 1.5], "b": ("ü",)})
    assert json.loads(capsys.readouterr().out, parse_constant=pytest.fail) == {
        "a": ["NaN", "Infinity", "-Infinity", 1.5],
        "b": ["ü"],
    }


def test_a_table_on_a_terminal_is_aligned(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    monkeypatch.setenv("COLUMNS", "80")
    show_table(("name", "value"), [("a", "1"), ("longer [x]", "2")])
    lines = re.sub(r"\x1b\[\d*m", "", capsys.readouterr().out).splitlines()
    assert [line.index(value) for line, value in zip(lines[1:], "12", strict=True)] == [lines[0].index("value")] * 2
    assert "[x]" in lines[2]


OUTCOME = RunOutcome(
    run_id="a" * 32,
    run_name="brave-owl",
    experiment_id="0",
    experiment="Default",
    status=RunStatus.FAILED,
    reason="b broke",
    exit_code=1,
    seconds=9.4,
    steps=[
        StepOutcome(
            step="a",
            label="a",
            run_id="b" * 32,
            status="FINISHED",
            seconds=2,
            tries=2,
            metrics={"m": 0.5, "system/x": 1},
        ),
        StepOutcome(step="b", label="b n=1", run_id="c" * 32, status="FAILED", seconds=2, reason="b broke"),
        StepOutcome(step="c", label="c", run_id=None, status="SKIPPED", reason="needs b"),
    ],
    flow_run_id="f",
    flow_run_url="http://prefect/f",
)


def tell(progress: Progress) -> None:
    progress.note("a note")
    progress.step_started("a")
    progress.output("a", "a line")
    for step in OUTCOME.steps:
        progress.step_ended(step)
    progress.summary(OUTCOME)


def test_progress_goes_to_stderr_and_ends_with_a_table(capsys: pytest.CaptureFixture[str]) -> None:
    tell(Progress())
    said = capsys.readouterr()
    assert said.out == ""
    assert "\x1b" not in said.err
    assert "a | a line" in said.err
    lines = said.err.splitlines()
    table = lines[lines.index("") + 1 :]
    assert table[0].split() == ["step", "status", "duration", "metrics", "run"]
    assert table[1].split() == ["a", "FINISHED", "(2", "tries)", "2.00s", "m=0.5", "bbbbbbbb"]
    assert table[3].split() == ["c", "SKIPPED"]
    assert "FAILED in 9.40s: run brave-owl in experiment Default" in said.err
    assert f"toolkit runs show {OUTCOME.run_id}" in said.err
    assert "http://prefect/f" in said.err


def test_quiet_progress_tells_failures_only(capsys: pytest.CaptureFixture[str]) -> None:
    tell(Progress(quiet=True))
    (line,) = capsys.readouterr().err.splitlines()
    assert "b n=1" in line
    assert "b broke" in line


def test_colour_is_for_who_asks(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    tell(Progress())
    assert "\x1b[31m" in capsys.readouterr().err
    monkeypatch.delenv("FORCE_COLOR")
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    tell(Progress())
    assert "\x1b" not in capsys.readouterr().err
