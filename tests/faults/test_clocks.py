"""Clocks that are wrong: what a client's clock says is data. Order, leases and the living do not depend on it."""

from __future__ import annotations

import time

import oracle
import pytest
import scene

from toolkit import settings
from toolkit.ids import now_ms
from toolkit.recording import lease
from toolkit.recording.process import host_name
from toolkit.tracking.records import RunQuery, RunStatus
from toolkit.wiring.upkeep import sweep

DAY = 24 * 3600 * 1000


@pytest.mark.parametrize("wrong", [-DAY, DAY], ids=["yesterday", "tomorrow"])
def test_a_client_whose_clock_is_a_day_off(stage: scene.Scene, wrong: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """G17. Seen from its own machine and from another one; and it is missed when it is dead."""
    options = ("--clock", str(wrong), "--no-reads", "--pause", "0.01")
    training = stage.train(scene.chance().randrange(10**6), *options, TOOLKIT_LEASE="2")
    training.until_more(30)
    with stage.stores() as stores:
        for host in (host_name(), "another-machine"):
            with monkeypatch.context() as patch:
                patch.setattr(lease, "host_name", lambda host=host: host)
                for _ in range(5):
                    time.sleep(0.3)
                    assert sweep(stores, settings.load()) == []
        running = stores.runs.list_runs(RunQuery(status=[RunStatus.RUNNING])).items
        assert running
        for run in stores.runs.list_runs(RunQuery()).items:
            assert abs(run.info.start_time - now_ms() - wrong) < DAY / 24  # what it says is kept
            if run.info.end_time is not None:
                assert run.info.end_time >= run.info.start_time
    training.kill()
    stage.sync()
    assert stage.compare(left_open=oracle.LOST) >= 30


JUMPS = """
import time
real, real_ns, off = time.time, time.time_ns, [0]
time.time = lambda: real() + off[0] / 1000
time.time_ns = lambda: real_ns() + off[0] * 10**6
with toolkit.start_run() as run:
    for step in range(300):
        off[0] = [0, 86_400_000, -86_400_000, 3_600_000][step % 4]
        toolkit.log_metric('m', step, step=step)
        toolkit.set_tag('last', step)
"""


def test_a_clock_that_jumps_in_the_middle_changes_no_order(stage: scene.Scene) -> None:
    """G17. Points are ordered by their step, and the last tag is the last one that was set."""
    done = stage.script(JUMPS)
    assert done.returncode == 0, done.stderr
    with stage.stores() as stores:
        (run,) = stores.runs.list_runs(RunQuery()).items
        points = stores.runs.metric_history(run.info.run_id, "m").items
        assert [point.value for point in points] == [float(step) for step in range(300)]
        assert run.data.metrics == {"m": 299.0}
        assert run.data.tags["last"] == "299"
        assert run.info.status is RunStatus.FINISHED


def test_who_looks_with_a_wrong_clock_loses_no_run(stage: scene.Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    """G17. Leases go by the clock of the database; and on one machine one sees who is alive."""
    training = stage.train(scene.chance().randrange(10**6), "--no-reads", "--pause", "0.01", TOOLKIT_LEASE="2")
    training.until_more(20)
    real = time.time_ns
    with stage.stores() as stores:
        monkeypatch.setattr(time, "time_ns", lambda: real() + DAY * 10**6)
        assert sweep(stores, settings.load()) == []
        monkeypatch.setattr(time, "time_ns", lambda: real() - DAY * 10**6)
        assert sweep(stores, settings.load()) == []
        monkeypatch.undo()
    assert training.end() == 0, training.stderr
    assert stage.compare(left_open="FINISHED") == training.calls
