"""Connections to PostgreSQL that do not wait for ever for a server that has fallen silent.

The system finds out when the other machine is gone. It does not when something in between keeps the connection up, or
when the server's process is stopped: then only the clock tells.
"""

from __future__ import annotations

import time
from collections.abc import Generator
from typing import Any, TypeVar

import psycopg

T = TypeVar("T")


class PatientConnection(psycopg.Connection[Any]):
    """A connection with an end to its patience.

    Attributes:
        longest: Seconds without a byte from the server, while it is asked for something, until it counts as gone;
            ``None``: no end.
    """

    longest: float | None = None

    def wait(self, gen: Generator[Any, Any, T], *args: Any, **kwargs: Any) -> T:  # noqa: ANN401 - what psycopg gives
        """Wait for an answer, as psycopg does."""
        return super().wait(gen if self.longest is None else self._limited(gen, self.longest), *args, **kwargs)

    def _limited(self, gen: Generator[Any, Any, T], longest: float) -> Generator[Any, Any, T]:
        """Do what ``gen`` does; psycopg tells it of each tenth of a second in which nothing came, too."""
        deadline = time.monotonic() + longest
        try:
            wanted = next(gen)
            while True:
                ready = yield wanted
                if ready:
                    deadline = time.monotonic() + longest
                elif time.monotonic() >= deadline:
                    self.pgconn.finish()
                    raise psycopg.OperationalError(f"the server has said nothing for {longest:g} s")
                wanted = gen.send(ready)
        except StopIteration as end:
            answer: T = end.value
            return answer
