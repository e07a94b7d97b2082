"""How a service runs: workers, resources, batches, limits."""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields
from typing import TYPE_CHECKING, Any

from toolkit.errors import InvalidValue

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, kw_only=True, slots=True)
class ServiceConfig:
    """How a service runs. A Bento is built with it, so that the same configuration gives the same Bento.

    Attributes:
        workers: Processes that answer.
        cpu: Cores that it asks for where a target gives some out, as in ``1`` or ``500m``; empty: the target's own.
        memory: Memory that it asks for there, as in ``512Mi``; empty: the target's own.
        timeout: Seconds that an answer may take.
        max_batch_rows: Rows that are given to the model at once at most, from however many requests.
        max_latency_ms: Milliseconds that a request may wait for others, to be answered with them.
        max_concurrency: Requests that a worker holds at once; those beyond are answered with 503 at once.
        max_body_bytes: Size of a request's body at most; above it the answer is 413.
        sample_rate: Share of requests, 0 to 1, whose inputs and outputs are kept. 0: none.
    """

    workers: int = 1
    cpu: str = ""
    memory: str = ""
    timeout: float = 60.0
    max_batch_rows: int = 1_000
    max_latency_ms: float = 5.0
    max_concurrency: int = 256
    max_body_bytes: int = 64 * 2**20
    sample_rate: float = 0.0

    def __post_init__(self) -> None:
        for name in ("workers", "max_batch_rows", "max_concurrency", "max_body_bytes"):
            if getattr(self, name) < 1:
                raise InvalidValue(f"{name} is {getattr(self, name)}: wanted 1 or more")
        if not self.timeout > 0:
            raise InvalidValue(f"timeout is {self.timeout}: wanted a number of seconds above 0")
        if not self.max_latency_ms >= 0:
            raise InvalidValue(f"max_latency_ms is {self.max_latency_ms}: wanted 0 or more milliseconds")
        if not 0 <= self.sample_rate <= 1:
            raise InvalidValue(f"sample_rate is {self.sample_rate}: wanted a share, 0 to 1")

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON would hold it."""
        return asdict(self)

    @classmethod
    def from_dict(cls, given: Mapping[str, Any]) -> ServiceConfig:
        """Return what `to_dict` gave.

        Raises:
            InvalidValue: A name is not known, or a value does not fit.
        """
        known = {field.name for field in fields(cls)}
        if unknown := sorted(set(given) - known):
            raise InvalidValue(f"a service knows no {unknown[0]!r}: wanted some of {', '.join(sorted(known))}")
        return cls(**given)
