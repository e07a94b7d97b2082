"""A training script that does whatever its seed says, and notes each call: what it is about to do, and that it is done.

It is run as a process of its own, by `scene.Scene.train`, to be killed, frozen, or cut off from its store. The notes go
to a file, one JSON value a line, and to the disk itself before the script goes on: ``{"n": 3, "do": {...}}`` before a
call, ``{"n": 3}`` when it has returned. `oracle` reads them.
"""

from __future__ import annotations

import argparse
import faulthandler
import json
import math
import os
import random
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import toolkit
from toolkit.data.places import from_url

Operation = dict[str, Any]

EXPERIMENTS = ["one", "two", "three"]
_VALUES = [0.0, -0.0, math.nan, math.inf, -math.inf, 5e-324, 1e308, -1.5, 0.1, 2.0**53 + 2]
_STEPS = [0, 1, 2, 3, 5, 1000, -7, 2**62]
_TEXTS = ["a", "ä ö ü", "雪", "line\nbreak", "'; DROP TABLE runs; --", "%s {} \\", "x" * 500, ""]


class Notes:
    """The file that says what was done."""

    def __init__(self, path: Path) -> None:
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        self._count = 0

    def around(self, operation: Operation, call: Callable[[], str | None]) -> None:
        """Do something, with a note before and one after."""
        self._write({"n": self._count, "do": operation})
        run_id = call()
        self._write({"n": self._count, "run_id": run_id})
        self._count += 1

    def _write(self, line: dict[str, Any]) -> None:
        os.write(self._file, json.dumps(line).encode() + b"\n")
        os.fsync(self._file)


class Trainer:
    """Draws calls and makes them.

    Args:
        seed: Of the draws; also the first part of the runs' names.
        notes: Where they are noted.
        reads: Whether calls that need an answer of the store are made too.
        files: How many of the calls log files or datasets, as a part of 1.
    """

    def __init__(self, seed: int, notes: Notes, *, reads: bool, files: float) -> None:
        self._files = files
        self._chance = random.Random(seed)
        self._seed = seed
        self._notes = notes
        self._reads = reads
        self._count = 0
        self._runs = 0
        self._open: list[tuple[str, str]] = []
        self._tags: dict[str, set[str]] = {}

    def step(self) -> None:
        """Make one call."""
        self._count += 1
        draw = self._chance.random()
        if not self._open or (draw < 0.04 and len(self._open) < 3):
            self._begin()
        elif draw < 0.055:
            self._end()
        else:
            kinds = [self._metric, self._metrics, self._params, self._tag, self._tag, self._untag]
            rare = [self._text, self._input]
            self._chance.choice(rare if draw > 1 - self._files else kinds)()

    def _begin(self) -> None:
        name = f"{self._seed}-{self._runs}"
        self._runs += 1
        parent = self._open[-1][0] if self._open else None
        experiment = self._chance.choice(EXPERIMENTS) if parent is None else None
        tags = {"first": self._chance.choice(_TEXTS)}
        self._tags[name] = {"first"}

        def call() -> str:
            if experiment is not None:
                toolkit.set_experiment(experiment)
            run_id = toolkit.start_run(run_name=name, nested=parent is not None, tags=tags).info.run_id
            self._open.append((name, run_id))
            return run_id

        self._notes.around({"op": "begin", "run": name, "parent": parent, "experiment": experiment, "tags": tags}, call)

    def _end(self) -> None:
        status = self._chance.choice(["FINISHED", "FAILED", "KILLED"])

        def call() -> None:
            toolkit.end_run(status)
            self._open.pop()

        self._do("end", call, status=status)

    def _metric(self) -> None:
        key = self._chance.choice(["loss", "acc/train", "größe"])
        value, step, timestamp = self._value(), self._chance.choice(_STEPS), self._chance.choice([0, 1, 10**12])
        self._do(
            "metrics",
            lambda: toolkit.log_metric(key, value, step=step, timestamp=timestamp),
            values={key: value},
            step=step,
            timestamp=timestamp,
        )

    def _metrics(self) -> None:
        """Log many at once; these are given no time, but each a step of its own."""
        values = {f"auto/{number}": self._value() for number in range(self._chance.choice([1, 5, 40]))}
        step = self._count
        _, run_id = self._open[-1]
        self._do(
            "metrics",
            lambda: toolkit.log_metrics(values, step=step, run_id=run_id),
            values=values,
            step=step,
            timestamp=None,
        )

    def _params(self) -> None:
        params = {
            f"p{self._count}.{number}": self._chance.choice(_TEXTS) for number in range(self._chance.choice([1, 4]))
        }
        self._do("params", lambda: toolkit.log_params(params), params=params)

    def _tag(self) -> None:
        tags = {
            f"t{self._chance.randrange(6)}": f"{self._count} {self._chance.choice(_TEXTS)}"
            for _ in range(self._chance.choice([1, 3]))
        }
        self._tags[self._open[-1][0]].update(tags)
        self._do("tags", lambda: toolkit.set_tags(tags), tags=tags)

    def _untag(self) -> None:
        there = self._tags[self._open[-1][0]]
        if self._reads and there:
            key = self._chance.choice(sorted(there))
            there.discard(key)
            self._do("tags", lambda: toolkit.delete_tag(key), tags={key: None})
        else:
            self._tag()

    def _text(self) -> None:
        path = f"{self._chance.choice(['', 'a/', 'b c/'])}{self._chance.randrange(8)}.txt"
        text = f"{self._count} {self._chance.choice(_TEXTS)}"
        self._do("text", lambda: toolkit.log_text(text, path), path=path, text=text)

    def _input(self) -> None:
        url = f"https://data.example/{self._chance.randrange(4)}.csv"
        context = self._chance.choice(["training", "test"])
        self._do("input", lambda: toolkit.log_input(from_url(url), context=context), url=url, context=context)

    def _value(self) -> float:
        return self._chance.choice([*_VALUES, self._chance.uniform(-1, 1)])

    def _do(self, kind: str, call: Callable[[], object], **about: object) -> None:
        def made() -> None:
            call()

        self._notes.around({"op": kind, "run": self._open[-1][0], **about}, made)


def main() -> None:
    """Train until there were enough calls, or a file is there; then end as told."""
    parser = argparse.ArgumentParser()
    parser.add_argument("notes", type=Path)
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--count", type=int, default=10**9)
    parser.add_argument("--until", type=Path)
    parser.add_argument("--no-reads", action="store_true")
    parser.add_argument("--files", type=float, default=0.06)
    parser.add_argument("--pause", type=float, default=0.0, help="seconds between calls")
    parser.add_argument("--end", choices=["exit", "raise", "exit-now"], default="exit")
    parser.add_argument("--clock", type=int, default=0, help="how far the clock is wrong, in milliseconds")
    told = parser.parse_args()
    faulthandler.register(signal.SIGUSR1)  # for one that hangs
    if told.clock:
        _shift_clock(told.clock)
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background job would ignore it
    for name in EXPERIMENTS if told.no_reads else ():
        toolkit.set_experiment(name)  # what was never seen cannot be begun without the store
    trainer = Trainer(told.seed, Notes(told.notes), reads=not told.no_reads, files=told.files)
    for _ in range(told.count):
        if told.until is not None and told.until.exists():
            break
        trainer.step()
        if told.pause:
            time.sleep(told.pause)
    if told.end == "raise":
        raise ValueError("the loss is NaN")
    if told.end == "exit-now":
        os._exit(0)


def _shift_clock(milliseconds: int) -> None:
    """Let this process believe in another time of day."""
    real, real_ns = time.time, time.time_ns
    time.time = lambda: real() + milliseconds / 1000
    time.time_ns = lambda: real_ns() + milliseconds * 1_000_000


if __name__ == "__main__":
    main()
