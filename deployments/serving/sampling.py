"""A sample of what a service is asked and what it answers.

Off unless the share of requests is above 0. An answer never waits for it and never fails by it: requests are put on a
short list, a thread writes them, and when the list or the disk is full, samples are lost and counted.

A row is a JSON object on a line, ``{"time", "request", "row", "inputs", "output"}``; `sample_files` says where it goes.
"""

from __future__ import annotations

import atexit
import logging
import os
import random
import threading
import time
import uuid
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from toolkit.deployments.serving import sampled_rows
from toolkit.deployments.serving.sample_files import VARIABLE, BentoMonitor, Line, SampleFiles, Sink

if TYPE_CHECKING:
    from collections.abc import Sequence

    from toolkit.models.loading import LoadedModel

FOLDER = "samples"
"""The folder where nothing else is named, below the working directory."""

MOST_ROWS = 2_000
"""Rows that wait to be written at most; more are dropped and counted."""

MOST_BYTES = 32 * 2**20
"""Size of the arrays that wait at most."""

REQUEST_ROWS = 100
"""Rows of one request that are kept at most, picked by chance."""

_PAUSE = 60.0  # seconds without writing, after a write has failed
_TOGETHER = 0.5  # seconds between writes, so that many requests are one

logger = logging.getLogger(__name__)


class Rate(Protocol):
    """What is read of a service's configuration."""

    @property
    def sample_rate(self) -> float:
        """Share of requests that is kept, 0 to 1."""
        ...


class _Asked(NamedTuple):
    """A request that waits to be written, of its rows those that are kept."""

    at: int
    rows: Sequence[int]
    data: Any
    prediction: Any
    size: int


class Sampler:
    """Keeps a sample of requests and answers."""

    def __init__(self, rate: float, sink: Sink, names: Sequence[str] | None = None) -> None:
        self._rate = rate
        self._sink = sink
        self._names = names
        self._random = random.Random()  # noqa: S311 - a sample, no secret
        self._waiting: list[_Asked] = []
        self._rows = self._bytes = 0
        self._lock = threading.Lock()
        self._wake = threading.Event()
        self._thread: threading.Thread | None = None
        self._closed = threading.Event()
        self.kept = 0
        """Rows that were written."""
        self.dropped = 0
        """Rows that were lost: more came than can be written, or they cannot be."""

    @classmethod
    def of(cls, config: Rate, model: LoadedModel, folder: Path | None = None) -> Sampler:
        """Return the sampler of a service.

        Args:
            config: Says which share of the requests is kept.
            model: Whose signature names the columns of arrays.
            folder: Where the files go; default: where the environment says, `VARIABLE`.
        """
        where = os.environ.get(VARIABLE, "") if folder is None else str(folder)
        signature = model.metadata.signature
        schema = None if signature is None else signature.inputs
        named = schema is not None and schema.has_input_names()
        names = [str(name) for name in schema.input_names()] if schema is not None and named else None
        sink: Sink = BentoMonitor() if where == "bentoml" else SampleFiles(Path(where or FOLDER))
        return cls(config.sample_rate, sink, names)

    def keep(self, data: Any, prediction: Any) -> None:  # noqa: ANN401 - what a model takes and gives
        """Keep a request and its answer, if chance says so. It does next to nothing in the caller's time; never raises.

        Args:
            data: What the model was given; not changed afterwards.
            prediction: What it gave; not changed afterwards.
        """
        if self.picks():
            self.take(data, prediction)

    def picks(self) -> bool:
        """Tell whether the next request is to be kept, by chance; where it is not, nothing needs to be made ready."""
        return self._rate > 0 and self._random.random() < self._rate

    def take(self, data: Any, prediction: Any) -> None:  # noqa: ANN401 - the same
        """Keep a request and its answer; arguments as in `keep`. Never raises."""
        if self._closed.is_set():
            return
        try:
            asked = self._asked(data, prediction)
        except Exception as error:  # noqa: BLE001 - data of any kind; the answer has been sent
            self.dropped += 1
            logger.warning("a request cannot be sampled: %s", type(error).__name__)
            return
        with self._lock:
            rows, size = self._rows + len(asked.rows), self._bytes + asked.size
            if rows > MOST_ROWS or size > MOST_BYTES:
                self.dropped += len(asked.rows)
                return
            self._rows, self._bytes = rows, size
            self._waiting.append(asked)
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="toolkit-samples", daemon=True)
                self._thread.start()
                atexit.register(self.close)
        self._wake.set()

    def close(self, timeout: float = 5.0) -> None:
        """Write what waits, and finish the file; nothing is kept afterwards.

        Args:
            timeout: Seconds to wait for that at most.
        """
        self._closed.set()
        self._wake.set()
        if self._thread is not None:
            self._thread.join(timeout)

    def _asked(self, data: Any, prediction: Any) -> _Asked:  # noqa: ANN401 - the same
        length = sampled_rows.length_of(data)
        rows: Sequence[int] = range(length)
        if length > REQUEST_ROWS:  # the others would be held in memory for nothing
            rows = sorted(self._random.sample(rows, REQUEST_ROWS))
            data = sampled_rows.picked(data, rows)
            whole = sampled_rows.length_of(prediction) == length
            prediction = sampled_rows.picked(prediction, rows) if whole else None
        size = sampled_rows.bytes_of(data) + sampled_rows.bytes_of(prediction)
        return _Asked(time.time_ns() // 1_000_000, rows, data, prediction, size)

    def _run(self) -> None:
        silent_until = 0.0
        while True:
            self._wake.wait(self._sink.patience())
            self._wake.clear()
            closing = self._closed.is_set()
            with self._lock:
                taken, rows, self._waiting, self._rows, self._bytes = self._waiting, self._rows, [], 0, 0
            if time.monotonic() < silent_until and not closing:
                self.dropped += rows
            else:
                try:
                    self._sink.write([line for asked in taken for line in self._lines(asked)])
                    self.kept += rows
                    if closing:
                        self._sink.close()
                except Exception as error:  # noqa: BLE001 - whatever a disk does, answers go on
                    self.dropped += rows
                    silent_until = time.monotonic() + _PAUSE
                    logger.warning("samples cannot be written, and are lost for %d s: %s", _PAUSE, error)
            if closing:
                return
            self._closed.wait(_TOGETHER)

    def _lines(self, asked: _Asked) -> list[Line]:
        request = uuid.uuid4().hex[:16]
        try:
            inputs = sampled_rows.inputs_of(asked.data, self._names)
            outputs = sampled_rows.outputs_of(asked.prediction, len(asked.rows))
            rows = list(zip(asked.rows, inputs, outputs, strict=True))
        except Exception as error:  # noqa: BLE001 - a model gives what it likes; the other requests are kept
            logger.warning("a request cannot be sampled: %s", type(error).__name__)
            return []
        return [
            {"time": asked.at, "request": request, "row": row, "inputs": given, "output": output}
            for row, given, output in rows
        ]
