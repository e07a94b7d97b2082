"""What ``synchronous=`` asks for: to wait until the store has what was logged, or something to wait with later."""

from __future__ import annotations

from toolkit.recording import current

_default: bool | None = None


class RunOperations:
    """What ``synchronous=False`` returns: `wait` returns when the store has what was logged."""

    def wait(self) -> None:
        """Wait until the store has it."""
        current.settle()


def enable_async_logging(enable: bool = True) -> None:
    """Let the ``log_*`` verbs return something to wait with, without ``synchronous=False`` on each.

    Logging never waits for the store by itself, with this or without.
    """
    global _default
    _default = False if enable else None


def answer(synchronous: bool | None) -> RunOperations | None:
    """Return what a verb returns: for ``True`` nothing, once the store has it; for ``False`` something to wait with."""
    wanted = _default if synchronous is None else synchronous
    if wanted:
        current.settle()
    return RunOperations() if wanted is False else None


def flush_async_logging() -> None:
    """Wait until the store has everything that was logged so far."""
    current.settle()


def flush_artifact_async_logging() -> None:
    """Wait until all artifacts are stored: they are when their verb returns, and listed when this does."""
    current.settle()
