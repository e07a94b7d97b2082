"""What ``toolkit run`` prints while a run goes on, and the table at its end. All of it goes to stderr."""

from __future__ import annotations

import os
import sys
import time

from toolkit.cli.render import duration, number, say
from toolkit.flows.report import RunOutcome, StepOutcome
from toolkit.tracking.records import SYSTEM

_MARKS = {"FINISHED": "✓", "FAILED": "✗", "KILLED": "■", "SKIPPED": "–"}
_ASCII = {"FINISHED": "ok", "FAILED": "FAILED", "KILLED": "killed", "SKIPPED": "skipped"}
_COLOURS = {"FINISHED": "32", "FAILED": "31", "KILLED": "33", "SKIPPED": "2"}


class Progress:
    """Prints lines as things happen.

    Args:
        quiet: Print only what failed.
    """

    def __init__(self, *, quiet: bool = False) -> None:
        self.quiet = quiet
        self._began = time.monotonic()
        encoding = (sys.stderr.encoding or "").lower()
        self._marks = _MARKS if "utf" in encoding else _ASCII
        self._colour = _wants_colour()

    def note(self, text: str) -> None:
        """Print a line about what is going on."""
        if not self.quiet:
            say(self._paint(text, "2"))

    def step_started(self, label: str) -> None:
        """Print that a step begins."""
        if not self.quiet:
            say(f"{self._paint('▶' if self._marks is _MARKS else '>', '36')} {label}")

    def output(self, label: str, line: str) -> None:
        """Print a line of a step's output behind the step's name."""
        if not self.quiet:
            say(f"{self._paint(f'{label} |', '2')} {line}")

    def step_ended(self, outcome: StepOutcome) -> None:
        """Print how a step ended."""
        failed = outcome.status in ("FAILED", "KILLED")
        if self.quiet and not failed:
            return
        took = f"  {duration(outcome.seconds)}" if outcome.run_id else ""
        why = f"  {outcome.reason}" if outcome.reason else ""
        if outcome.cached_from:
            why = f"  taken over from run {outcome.cached_from[:8]}"
        say(f"{self._mark(outcome.status)} {outcome.label}{took}{why}")

    def summary(self, outcome: RunOutcome) -> None:
        """Print the table of steps, and the links."""
        if self.quiet:
            return
        rows = [("step", "status", "duration", "metrics", "run")]
        rows += [
            (
                step.label,
                step.status + (f" ({step.tries} tries)" if step.tries > 1 else " (cached)" if step.cached_from else ""),
                duration(step.seconds) if step.run_id else "",
                _metrics(step),
                step.run_id[:8] if step.run_id else "",
            )
            for step in outcome.steps
        ]
        widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
        say("")
        for index, row in enumerate(rows):
            line = "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
            say(self._paint(line, "1") if index == 0 else line)
        say("")
        say(
            f"{self._mark(outcome.status)} {outcome.status} in {duration(outcome.seconds)}: "
            f"run {outcome.run_name} in experiment {outcome.experiment}"
        )
        say(f"  see it:   toolkit runs show {outcome.run_id}")
        for step in outcome.steps:
            if step.status == "FAILED" and step.run_id:
                say(f"  its log:  toolkit artifacts get {step.run_id[:8]} logs/output.log")
                break
        if outcome.flow_run_url:
            say(f"  Prefect:  {outcome.flow_run_url}")

    def _mark(self, status: str) -> str:
        return self._paint(self._marks[status], _COLOURS[status])

    def _paint(self, text: str, code: str) -> str:
        return f"\x1b[{code}m{text}\x1b[0m" if self._colour else text


def _metrics(step: StepOutcome) -> str:
    own = {key: value for key, value in step.metrics.items() if not key.startswith(SYSTEM)}
    shown = [f"{key}={number(value)}" for key, value in sorted(own.items())[:4]]
    return ", ".join([*shown, f"… {len(own) - 4} more"] if len(own) > 4 else shown)


def _wants_colour() -> bool:
    """Follow FORCE_COLOR, NO_COLOR and TERM, in this order; else colour a terminal."""
    if os.environ.get("FORCE_COLOR"):
        return True
    if os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb":
        return False
    return sys.stderr.isatty()
