"""A signal's handler may raise anywhere inside of the journal: no lock stays held, and logging goes on."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any

import pytest

from toolkit.testing.runs import new_run
from toolkit.tracking.entries import Begun, Logged
from toolkit.tracking.journal import Journal
from toolkit.tracking.memory import MemoryRunStore

_FILES = ("toolkit/tracking/journal.py", "toolkit/tracking/journal_file.py", "threading.py")

# A trace sees the way out of a ``with`` before the lock is left, where no handler of a signal is ever called.
_SAFE = {"_acquire_restore", "append"}


def interrupted(call: Callable[[], None], number: int) -> bool:
    """Call something, and raise in the middle of it: at the n-th event of the journal's code and of the locks'."""
    seen = 0

    def trace(frame: FrameType, event: str, argument: object) -> Any:  # noqa: ANN401 - as sys.settrace wants it
        nonlocal seen
        if frame.f_code.co_filename.endswith(_FILES) and frame.f_code.co_name not in _SAFE:
            seen += 1
            if seen == number:
                sys.settrace(None)
                raise KeyboardInterrupt
        return trace

    try:
        sys.settrace(trace)
        call()
    except KeyboardInterrupt:
        return True
    finally:
        sys.settrace(None)
    return False


@pytest.mark.parametrize("verb", ["add", "flush"])
def test_an_interrupt_anywhere_keeps_no_lock(tmp_path: Path, verb: str) -> None:
    store = MemoryRunStore()
    journal = Journal(tmp_path, store, place="here")
    new = new_run()
    journal.add(Begun(new=new))
    journal.flush(10)
    number = 0
    while True:
        number += 1
        entry = Logged(run_id=new.run_id, points=(("m", number, 1, 1.0, 0),))
        if verb == "add":
            hit = interrupted(lambda entry=entry: journal.add(entry), number)  # type: ignore[misc]
        else:
            journal.add(entry)
            hit = interrupted(lambda: journal.flush(10), number)
        journal.add(entry)
        journal.flush(10)
        if not hit or number > 200:
            break
    steps = [point.step for point in store.metric_history(new.run_id, "m", limit=10_000).items]
    assert steps == list(range(1, number + 1))
    assert number > 3
    assert journal.close(10) == 0
