"""The store goes away while a script trains: the script notices nothing, and all that it logged arrives, once."""

from __future__ import annotations

import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import gate
import postgres
import pytest
import scene

from toolkit.tracking.records import RunQuery, RunStatus

AWAY = 120
"""Calls that must return while the store is away."""

QUICK = {"TOOLKIT_BUSY_TIMEOUT": "1"}


@pytest.fixture(scope="module")
def own_server() -> Iterator[postgres.Server]:
    """A server that may be stopped."""
    if reason := postgres.why_not():
        pytest.skip(reason)
    with postgres.running("fsync=on") as server:
        yield server


def arrived(stage: scene.Scene, training: scene.Training, *, left_open: str = "FINISHED") -> None:
    """Let a script end, and compare."""
    assert training.end() == 0, training.stderr
    assert "Traceback" not in training.stderr
    assert postgres.PASSWORD not in training.stderr
    if stage.unsent():  # it was busy for longer than it waits at its end
        stage.sync()
    assert stage.compare(left_open=left_open) == training.calls


def test_a_store_that_is_away_for_a_while_is_not_noticed(gated_stage: scene.Scene, before_postgres: gate.Gate) -> None:
    """G4, G5. Twice in one training; new runs begin meanwhile, too."""
    training = gated_stage.train(scene.chance().randrange(10**6), "--no-reads", **QUICK)
    for _ in range(2):
        training.until_more(50)
        before_postgres.shut()
        training.until_more(AWAY)
        before_postgres.open()
    arrived(gated_stage, training)
    # Once for each time at most; the store's own patience may have been enough.
    assert training.stderr.count("logging goes on, and what is logged waits in") <= 2


def test_a_network_that_is_gone_without_a_word_is_not_noticed(
    gated_stage: scene.Scene, before_postgres: gate.Gate
) -> None:
    """G4, G5. Nothing is refused, nothing is answered."""
    training = gated_stage.train(scene.chance().randrange(10**6), "--no-reads", **QUICK)
    training.until_more(50)
    before_postgres.stick()
    training.until_more(AWAY)
    before_postgres.shut()
    before_postgres.open()
    arrived(gated_stage, training)


@pytest.mark.parametrize("mode", ["fast", "immediate"])
def test_a_database_that_is_restarted_is_not_noticed(own_server: postgres.Server, mode: str, tmp_path: Path) -> None:
    """G4, G15. In order, and as after a crash."""
    name = own_server.new_database()
    stage = scene.Scene(folder=tmp_path / "scene", url=own_server.url(name))
    try:
        training = stage.train(scene.chance().randrange(10**6), "--no-reads", **QUICK)
        training.until_more(50)
        own_server.stop(mode)
        try:
            training.until_more(AWAY)
        finally:
            own_server.start()
        training.until_more(20)
        arrived(stage, training)
    finally:
        stage.stop_all()


def test_a_store_that_is_gone_at_the_end_gets_the_rest_later(
    gated_stage: scene.Scene, before_postgres: gate.Gate
) -> None:
    """G5. The script ends well, says once what is missing, and `toolkit sync` brings it."""
    training = gated_stage.train(
        scene.chance().randrange(10**6), "--no-reads", TOOLKIT_EXIT_WAIT="0.5", TOOLKIT_BUSY_TIMEOUT="1"
    )
    training.until_more(50)
    before_postgres.shut()
    training.until_more(AWAY)
    assert training.end() == 0, training.stderr
    told = [line for line in training.stderr.splitlines() if "toolkit sync sends them too" in line]
    assert len(told) == 1
    assert "logged entries are not in postgresql://ada" in told[0]
    assert postgres.PASSWORD not in training.stderr
    assert "Traceback" not in training.stderr
    failed = gated_stage.toolkit("sync", TOOLKIT_BUSY_TIMEOUT="1")
    assert failed.returncode != 0
    assert len(failed.stderr.strip().splitlines()) == 1
    before_postgres.open()
    gated_stage.sync()
    assert gated_stage.compare(left_open="FINISHED") == training.calls


def test_answers_that_are_lost_make_nothing_twice(gated_stage: scene.Scene, before_postgres: gate.Gate) -> None:
    """G3. What was committed is not known to be: it is sent again, and is there once."""
    training = gated_stage.train(scene.chance().randrange(10**6), "--no-reads", **QUICK)
    training.until_more(10)
    before_postgres.lose_answers(b"COMMIT", every=3)
    while before_postgres.lost < 3:  # how many calls one commit takes is up to the machine
        training.until_more(50)
    before_postgres.lose_answers(b"", every=0)
    arrived(gated_stage, training)


@pytest.mark.parametrize("statement", ["BEGIN IMMEDIATE", "BEGIN EXCLUSIVE"])
def test_a_database_that_somebody_locks_is_not_noticed(sqlite_stage: scene.Scene, statement: str) -> None:
    """G4, G12. For longer than the configured wait."""
    training = sqlite_stage.train(scene.chance().randrange(10**6), "--no-reads", TOOLKIT_BUSY_TIMEOUT="0.2")
    training.until_more(50)
    other = sqlite3.connect(sqlite_stage.home / "toolkit.db", isolation_level=None, timeout=30)
    other.execute(statement)
    locked = time.monotonic()
    training.until_more(AWAY)
    while "logging goes on" not in training.stderr:
        assert time.monotonic() - locked < scene.PATIENCE
        training.until_more(1)
    other.execute("COMMIT")
    other.close()
    training.until_more(20)
    arrived(sqlite_stage, training)


def script(stage: scene.Scene, door: gate.Gate, before: str, after: str) -> subprocess.CompletedProcess[str]:
    """Run a script whose store goes away in the middle."""
    text = f"import sys, toolkit\n{before}\nprint('now', flush=True)\nsys.stdin.read()\n{after}\n"
    stage.folder.mkdir(parents=True, exist_ok=True)
    with subprocess.Popen(
        [sys.executable, "-c", text],
        env=stage.variables(TOOLKIT_BUSY_TIMEOUT="1", TOOLKIT_EXIT_WAIT="0.5"),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=stage.folder,
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "now\n"
        door.shut()
        out, told = process.communicate("", timeout=scene.PATIENCE)
    return subprocess.CompletedProcess(process.args, process.returncode, out, told)


def test_strict_raises_what_the_store_says(gated_stage: scene.Scene, before_postgres: gate.Gate) -> None:
    """G4. In one line at the end of the traceback, without the password."""
    done = script(
        gated_stage,
        before_postgres,
        "toolkit.start_run(strict=True)\ntoolkit.log_metric('m', 1)",
        "toolkit.log_metric('m', 2, step=1)",
    )
    assert done.returncode == 1
    assert "toolkit.errors.Store" in done.stderr
    assert "check that it runs" in done.stderr
    assert postgres.PASSWORD not in done.stderr


def test_a_run_begins_in_a_chosen_experiment_though_the_store_is_away(
    gated_stage: scene.Scene, before_postgres: gate.Gate
) -> None:
    """G4. The experiment was chosen by its name, and no run was begun in it before."""
    done = script(
        gated_stage,
        before_postgres,
        "toolkit.set_experiment('one')",
        "with toolkit.start_run(run_name='late'): toolkit.log_metric('m', 2)",
    )
    assert done.returncode == 0, done.stderr
    before_postgres.open()
    gated_stage.sync()
    with gated_stage.stores() as stores:
        (run,) = stores.runs.list_runs(RunQuery()).items
        assert (run.info.run_name, run.info.status) == ("late", RunStatus.FINISHED)
        assert stores.runs.get_experiment(run.info.experiment_id).name == "one"


def test_a_tag_is_removed_though_the_store_is_away(gated_stage: scene.Scene, before_postgres: gate.Gate) -> None:
    """G4. Whether there is such a tag cannot be asked now."""
    done = script(
        gated_stage,
        before_postgres,
        "toolkit.start_run(tags={'a': '1', 'b': '2'})",
        "toolkit.delete_tag('a')\ntoolkit.delete_tag('not there')\ntoolkit.end_run()",
    )
    assert done.returncode == 0, done.stderr
    before_postgres.open()
    gated_stage.sync()
    with gated_stage.stores() as stores:
        (run,) = stores.runs.list_runs(RunQuery()).items
        assert run.info.status is RunStatus.FINISHED
        assert {key: value for key, value in run.data.tags.items() if key in "ab"} == {"b": "2"}


def test_ctrl_c_twice_ends_the_wait_for_a_store_that_is_away(
    gated_stage: scene.Scene, before_postgres: gate.Gate
) -> None:
    """G5, G9. What it waited for is sent later, and the runs are KILLED."""
    training = gated_stage.train(
        scene.chance().randrange(10**6), "--no-reads", TOOLKIT_EXIT_WAIT="600", TOOLKIT_BUSY_TIMEOUT="1"
    )
    training.until_more(50)
    before_postgres.shut()
    training.until_more(AWAY)
    calls = training.calls
    training.process.send_signal(signal.SIGINT)
    while "KeyboardInterrupt" not in training.stderr:
        assert training.process.poll() is None
        time.sleep(0.05)
    time.sleep(0.5)
    assert training.process.poll() is None
    assert training.kill(signal.SIGINT) != 0
    before_postgres.open()
    gated_stage.sync()
    assert gated_stage.compare(left_open="KILLED") >= calls
