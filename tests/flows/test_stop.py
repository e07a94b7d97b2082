"""The wish to stop: asked once, told to all, and by signals."""

from __future__ import annotations

import os
import signal
import threading

import pytest

from toolkit.flows.stop import Stop, stop_on_signals


def test_nothing_is_asked_at_first() -> None:
    stop = Stop()
    assert not stop.requested
    assert not stop.at_once
    assert not stop.wait(0)


def test_the_first_request_is_told_and_keeps_its_reason() -> None:
    stop = Stop()
    told: list[str] = []
    stop.on_request(lambda: told.append("one"))
    stop.on_request(lambda: told.append("two"))
    stop.request("first", exit_code=143)
    stop.request("second", exit_code=1)
    assert told == ["one", "two"]
    assert (stop.reason, stop.exit_code) == ("first", 143)
    assert stop.at_once


def test_a_wait_ends_with_the_request() -> None:
    stop = Stop()
    threading.Timer(0.05, stop.request, ["test"]).start()
    assert stop.wait(30)


@pytest.mark.parametrize(
    ("number", "code", "reason"),
    [(signal.SIGINT, 130, "interrupted with Ctrl-C"), (signal.SIGTERM, 143, "SIGTERM")],
)
def test_signals_ask_for_the_end_instead_of_raising(number: signal.Signals, code: int, reason: str) -> None:
    stop = Stop()
    before = signal.getsignal(number)
    with stop_on_signals(stop):
        os.kill(os.getpid(), number)
        assert stop.wait(5)
        assert not stop.at_once
        os.kill(os.getpid(), number)
        assert stop.at_once
    assert (stop.exit_code, stop.reason) == (code, reason)
    assert signal.getsignal(number) == before


def test_another_thread_leaves_signals_alone() -> None:
    before = signal.getsignal(signal.SIGINT)
    inside: list[object] = []

    def enter() -> None:
        with stop_on_signals(Stop()):
            inside.append(signal.getsignal(signal.SIGINT))

    thread = threading.Thread(target=enter)
    thread.start()
    thread.join()
    assert inside == [before]
