"""Running a program that builds an environment: all that it says goes to the environment's log."""

from __future__ import annotations

import os
import re
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from toolkit.errors import EnvironmentBuildError
from toolkit.flows.environments.prepared import Report

_PROGRESS_EVERY = 10.0
"""Seconds between two lines of progress while the program works."""
_SHOWN_LINES = 15


@dataclass(frozen=True, kw_only=True, slots=True)
class Builder:
    """Runs one program for one environment.

    Attributes:
        name: The program's name, for messages.
        program: Its path.
        title: The environment's short name.
        declared: What declares the environment, for messages.
        log: Takes what the program says.
        directory: Where it runs.
        environ: Its environment.
        report: Takes lines of progress.
        reasons: What a sign in its words means.
        chatter: Lines that need not be shown after a failure.
        quiet: Whether it says on standard output what is wanted, and nothing else; else that goes to the log, too.
    """

    name: str
    program: str
    title: str
    declared: str
    log: Path
    directory: Path
    environ: Mapping[str, str] = field(repr=False)
    report: Report
    reasons: Sequence[tuple[str, str]]
    chatter: re.Pattern[str]
    quiet: bool = True

    def begin(self) -> None:
        """Make an empty log that only its owner can read: indexes may have passwords in their addresses."""
        self.log.parent.mkdir(parents=True, exist_ok=True)
        self.log.write_bytes(b"")
        self.log.chmod(0o600)

    def run(self, arguments: Sequence[str], *, text: str = "") -> str:
        """Run the program once and return what it prints.

        Args:
            arguments: Its arguments.
            text: Its standard input.

        Raises:
            EnvironmentBuildError: It failed.
        """
        with self.log.open("r+b") as log:
            log.seek(0, os.SEEK_END)
            log.write(f"$ {self.name} {' '.join(arguments)}\n{text}".encode())
            log.flush()
            begin = log.tell()
            process = subprocess.Popen(
                [self.program, *arguments],
                cwd=self.directory,
                env=dict(self.environ),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE if self.quiet else log,
                stderr=log,
            )
            with process:
                try:
                    output = self._wait(process, text)
                except BaseException:
                    process.kill()
                    raise
            if process.returncode != 0:
                log.seek(begin)
                raise self._failure(log.read().decode(errors="replace"), process.returncode)
        return output

    def _wait(self, process: subprocess.Popen[bytes], text: str) -> str:
        """Wait for the program, saying from time to time that it is still at work."""
        started = time.perf_counter()
        given: bytes | None = text.encode()
        while True:
            try:
                output, _ = process.communicate(given, timeout=_PROGRESS_EVERY)
            except subprocess.TimeoutExpired:
                given = None
                elapsed = time.perf_counter() - started
                self.report(f"still building environment {self.title} … {elapsed:.0f} s")
            else:
                return (output or b"").decode(errors="replace")

    def _failure(self, said: str, code: int) -> EnvironmentBuildError:
        lines = [line.rstrip() for line in said.splitlines() if line.strip() and not self.chatter.match(line)]
        reason = next((reason for sign, reason in self.reasons if sign in said), None)
        reason = reason or f"{self.name} ended with exit code {code}"
        shown = "".join(f"\n    {line}" for line in lines[-_SHOWN_LINES:])
        return EnvironmentBuildError(
            f"the environment of {self.declared} cannot be built: {reason}; {self.name} says (all of it in "
            f"{self.log}):{shown}"
        )
