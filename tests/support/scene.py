"""Where faults happen: a home, a store, training scripts as processes, commands, and the oracle's last word."""

from __future__ import annotations

import itertools
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import oracle
import trainer

from toolkit import settings
from toolkit.recording.stores import Stores
from toolkit.settings import environment
from toolkit.tracking.journal import journal_states
from toolkit.wiring.opened import open_stores
from toolkit.wiring.upkeep import sweep

PATIENCE = 90.0
"""Seconds after which something that must happen has not. No test measures how soon it does."""


def rounds(usual: int) -> int:
    """Return how often a fault at random is tried: ``FAULT_ROUNDS``, else as usual."""
    return int(os.environ.get("FAULT_ROUNDS", usual))


def chance() -> random.Random:
    """Return draws, after printing their seed; ``FAULT_SEED`` gives one again."""
    seed = int(os.environ.get("FAULT_SEED", random.randrange(2**32)))
    print(f"FAULT_SEED={seed}")
    return random.Random(seed)


def until(look: Callable[[], bool], process: subprocess.Popen[str]) -> None:
    """Wait until something is so, as long as a process runs."""
    limit = time.monotonic() + PATIENCE
    while not look():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < limit
        time.sleep(0.02)


@dataclass(kw_only=True)
class Training:
    """A training script that runs, or has run.

    Attributes:
        process: It.
        notes: What it notes.
        printed: Its stderr.
        stop: The file that makes it end in good order.
    """

    process: subprocess.Popen[bytes]
    notes: Path
    printed: Path
    stop: Path

    @property
    def calls(self) -> int:
        """How many calls have returned so far."""
        return self.notes.read_bytes().count(b', "run_id": ') if self.notes.exists() else 0

    @property
    def stderr(self) -> str:
        """What it has said."""
        return self.printed.read_text()

    def until_more(self, calls: int) -> None:
        """Wait until so many more calls have returned."""
        goal = self.calls + calls
        limit = time.monotonic() + PATIENCE
        while self.calls < goal:
            assert self.process.poll() is None, self.stderr
            assert time.monotonic() < limit, f"{self.calls} calls, wanted {goal}: {self.stderr}"
            time.sleep(0.02)

    def end(self) -> int:
        """Let it end in good order; return its exit code."""
        self.stop.touch()
        return self.wait()

    def kill(self, number: signal.Signals = signal.SIGKILL) -> int:
        """Send a signal; return the exit code."""
        self.process.send_signal(number)
        return self.wait()

    def wait(self) -> int:
        """Wait until it has ended; return its exit code. One that hangs says where."""
        try:
            return self.process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            self.process.send_signal(signal.SIGUSR1)
            time.sleep(1)
            raise AssertionError(f"it does not end: {self.stderr}") from None


@dataclass(kw_only=True)
class Scene:
    """A home, and the store that scripts log to.

    Attributes:
        folder: For everything.
        url: Tracking URI of scripts and commands; ``None``: the SQLite file in the home.
        direct: The same, past what stands before it; for the oracle.
        artifacts: Where artifacts are kept; ``None``: in the home.
        prefix: What commands are started with, such as a namespace.
    """

    folder: Path
    url: str | None = None
    direct: str | None = None
    artifacts: str | None = None
    prefix: Sequence[str] = ()
    trainings: list[Training] = field(default_factory=list)
    _numbers: Iterator[int] = field(default_factory=itertools.count)

    @property
    def home(self) -> Path:
        """``TOOLKIT_HOME``."""
        return self.folder / "home"

    def variables(self, **more: str) -> dict[str, str]:
        """Return the environment of scripts and commands."""
        given: dict[str, str | None] = {"TOOLKIT_HOME": str(self.home), "TOOLKIT_TRACKING_URI": self.url}
        given |= {"TOOLKIT_ARTIFACT_ROOT": self.artifacts, **more}
        return environment(**given, PYTHONPATH=os.pathsep.join(sys.path))

    def train(self, seed: int, *options: str, **variables: str) -> Training:
        """Start a training script."""
        number = next(self._numbers)
        notes, printed, stop = (self.folder / f"{number}.{end}" for end in ("notes", "stderr", "stop"))
        self.folder.mkdir(parents=True, exist_ok=True)
        arguments = [str(notes), "--seed", str(seed), "--until", str(stop), *options]
        with printed.open("wb") as stderr:
            process = subprocess.Popen(
                [*self.prefix, sys.executable, trainer.__file__, *arguments],
                env=self.variables(**variables),
                stdout=subprocess.DEVNULL,
                stderr=stderr,
                cwd=self.folder,
            )
        training = Training(process=process, notes=notes, printed=printed, stop=stop)
        self.trainings.append(training)
        return training

    def script(self, text: str, **variables: str) -> subprocess.CompletedProcess[str]:
        """Run a script with `toolkit` imported."""
        return self._call("-c", f"import toolkit\n{text}", **variables)

    def start_script(self, text: str, **variables: str) -> subprocess.Popen[str]:
        """Start a script with `toolkit` imported, its working directory the scene's."""
        self.folder.mkdir(parents=True, exist_ok=True)
        return subprocess.Popen(
            [*self.prefix, sys.executable, "-c", f"import os; os.chdir({str(self.folder)!r}); import toolkit\n{text}"],
            env=self.variables(**variables),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=self.folder,
        )

    def toolkit(self, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
        """Run a command."""
        return self._call("-m", "toolkit", *arguments, **variables)

    def start_toolkit(self, *arguments: str) -> subprocess.Popen[bytes]:
        """Start a command in the background."""
        return subprocess.Popen(
            [*self.prefix, sys.executable, "-m", "toolkit", *arguments],
            env=self.variables(),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            cwd=self.folder,
        )

    def _call(self, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
        self.folder.mkdir(parents=True, exist_ok=True)
        return subprocess.run(
            [*self.prefix, sys.executable, *arguments],
            env=self.variables(**variables),
            capture_output=True,
            text=True,
            cwd=self.folder,
            timeout=PATIENCE,
            check=False,
        )

    def until_idle(self) -> None:
        """Wait until no process has a journal open: children may live longer than their parent."""
        limit = time.monotonic() + PATIENCE
        while any(state.in_use for state in journal_states(self.home / "journal")):
            assert time.monotonic() < limit
            time.sleep(0.05)

    def sync(self) -> None:
        """Call ``toolkit sync``, which must bring everything."""
        done = self.toolkit("sync")
        assert done.returncode == 0, done.stderr
        assert self.unsent() == []

    def unsent(self) -> list[Path]:
        """Return the journals and spools, and what was refused, that are there."""
        roots = [self.home / name for name in ("journal", "spool")]
        return sorted(path for root in roots if root.is_dir() for path in root.iterdir())

    @contextmanager
    def stores(self) -> Iterator[Stores]:
        """Open the stores, past what stands before them."""
        here = {"home": self.home, "tracking_uri": self.direct or self.url, "artifact_root": self.artifacts}
        loaded = settings.load().model_copy(update=here)
        opened = open_stores(loaded)
        try:
            yield opened
        finally:
            opened.close()

    def compare(self, *, left_open: str = oracle.LOST, trainings: Sequence[Training] | None = None) -> int:
        """Mark what is lost, and compare the store with what the scripts noted; return how many calls that were."""
        chosen = self.trainings if trainings is None else trainings
        with self.stores() as stores:
            sweep(stores, settings.load())
            return oracle.assert_same(
                stores,
                self.folder / f"export-{next(self._numbers)}",
                [training.notes for training in chosen],
                left_open=left_open,
                hint=lambda: "\n".join(training.stderr[-1500:] for training in chosen),
            )

    def stop_all(self) -> None:
        """End what still runs."""
        for training in self.trainings:
            if training.process.poll() is None:
                training.process.send_signal(signal.SIGCONT)
                training.process.kill()
                training.process.wait()
