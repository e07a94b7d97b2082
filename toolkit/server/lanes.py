"""Threads for requests that write: while they wait for a lock, none that only reads waits behind them.

All other requests share the threads that the event loop has anyway, of which there are 40.
"""

from __future__ import annotations

from anyio import CapacityLimiter

WRITERS = 20
"""How many requests of one kind write, or wait for their turn to write, at the same time."""


def writers() -> CapacityLimiter:
    """Return what gives so many their turn; for one event loop."""
    return CapacityLimiter(WRITERS)
