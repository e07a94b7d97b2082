"""Where the sample of a service goes: files in a folder, or BentoML's monitoring."""

from __future__ import annotations

import contextlib
import itertools
import os
import time
import uuid
from typing import TYPE_CHECKING, Any, BinaryIO, Protocol

from toolkit.models.json_values import dumps

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

VARIABLE = "TOOLKIT_SAMPLES"
"""Names the folder of the files; ``bentoml``: samples go to BentoML's monitoring instead, wherever that sends them."""

OPEN = ".jsonl.open"
"""Ending of a file that is written to."""

DONE = ".jsonl"
"""Ending of a file that is whole."""

FILE_BYTES = 4 * 2**20
"""A file is finished at this size."""

FILE_SECONDS = 300
"""A file is finished at this age."""

MOST_FILES = 32
"""Whole files that lie in the folder at most: where nobody collects them, the oldest go."""

Line = dict[str, Any]


class Sink(Protocol):
    """Where samples go. Called by one thread."""

    def write(self, lines: Sequence[Line]) -> None:
        """Take some rows; none: look whether something is due."""
        ...

    def patience(self) -> float | None:
        """Return after how many seconds `write` wants to be called though there is nothing; ``None``: never."""
        ...

    def close(self) -> None:
        """Finish."""
        ...


class SampleFiles:
    """Files of samples in a folder; each process writes its own."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._file: BinaryIO | None = None
        self._path = folder
        self._size = 0
        self._until = 0.0
        self._numbers = itertools.count(1)

    def write(self, lines: Sequence[Line]) -> None:
        """Append some rows; finish the file if it is old or large.

        Raises:
            OSError: They cannot be written.
            InvalidValue: A value cannot be JSON.
        """
        if lines:
            text = b"".join(dumps(each) + b"\n" for each in lines)
            file = self._file or self._begin()
            try:
                file.write(text)
                file.flush()
            except OSError:
                self.close()
                raise
            self._size += len(text)
        if self._file is not None and (self._size >= FILE_BYTES or time.monotonic() >= self._until):
            self.close()

    def patience(self) -> float | None:
        """Return how long the file may stay open, in seconds."""
        return None if self._file is None else max(0.1, self._until - time.monotonic())

    def close(self) -> None:
        """Finish the file."""
        file, self._file = self._file, None
        if file is None:
            return
        with contextlib.suppress(OSError):  # the disk is full, or somebody has taken the folder away
            file.close()
        with contextlib.suppress(OSError):
            self._path.rename(self._path.with_name(self._path.name.removesuffix(OPEN) + DONE))
        for old in sorted(self._folder.glob(f"*{DONE}"))[:-MOST_FILES]:
            old.unlink(missing_ok=True)

    def _begin(self) -> BinaryIO:
        self._folder.mkdir(parents=True, exist_ok=True)
        seconds, rest = divmod(time.time_ns() // 1_000, 1_000_000)
        stamp = f"{time.strftime('%Y%m%dT%H%M%S', time.gmtime(seconds))}.{rest:06}Z"
        number = f"{next(self._numbers):06}-{uuid.uuid4().hex[:6]}"  # processes in two containers may have one id
        self._path = self._folder / f"{stamp}-{os.getpid()}-{number}{OPEN}"
        self._file = self._path.open("ab")
        self._size = 0
        self._until = time.monotonic() + FILE_SECONDS
        return self._file


class BentoMonitor:
    """BentoML's monitoring, which is configured as BentoML says: files, OTLP, or a class of the user's."""

    def write(self, lines: Sequence[Line]) -> None:
        """Hand over rows."""
        import bentoml  # noqa: PLC0415 - where it is asked for

        for line in lines:
            with bentoml.monitor("toolkit") as monitor:
                for name, value in line["inputs"].items():
                    monitor.log(value, name=name, role="feature", data_type=_kind(value))
                value = line["output"]
                monitor.log(value, name="prediction", role="prediction", data_type=_kind(value))

    def patience(self) -> float | None:
        """Nothing is due."""
        return None

    def close(self) -> None:
        """Nothing is open."""


def _kind(value: object) -> str:
    """Return the word that BentoML's monitoring has for a value."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        return "numerical"
    return "numerical_sequence" if isinstance(value, list) else "categorical"
