"""A training script dies, whenever and however: what it logged is there, once, and its runs say how it ended."""

from __future__ import annotations

import signal
import subprocess
import time

import oracle
import pytest
import scene

from toolkit.errors import StoreBusy
from toolkit.recording import lease
from toolkit.recording.process import host_name
from toolkit.recording.stores import Stores
from toolkit.tracking.records import RunQuery, RunStatus


def test_kill_9_at_any_instant_loses_nothing(stage: scene.Scene) -> None:
    """G5, G9. So does the death of `toolkit sync` while it sends what was left, and the next one goes on."""
    chance = scene.chance()
    count = scene.rounds(9)
    for first in range(0, count, 3):
        some = [stage.train(seed) for seed in range(first, min(first + 3, count))]
        if chance.random() < 0.8:
            some[0].until_more(1)
        for training in some:
            time.sleep(chance.uniform(0, 0.6))
            training.kill()
    sync = stage.start_toolkit("sync")
    time.sleep(chance.uniform(0.2, 1.2))
    sync.kill()
    sync.wait()
    stage.sync()
    assert stage.compare() > count


def test_the_next_script_sends_what_a_dead_one_left(stage: scene.Scene) -> None:
    """G5. Nobody has to call `toolkit sync`."""
    chance = scene.chance()
    for seed in range(3):
        training = stage.train(seed)
        training.until_more(chance.randrange(1, 60))
        training.kill()
    last = stage.train(99, "--count", "200")
    assert last.wait() == 0, last.stderr
    assert stage.unsent() == []
    dead, alive = stage.trainings[:3], stage.trainings[3:]
    found = [oracle.read_notes(training.notes) for training in dead]
    assert all(noted.done for noted in found)
    with stage.stores() as stores:
        lease.sweep_lost(stores.runs, grace=0)
        there, unreadable = oracle.exported(stores, stage.folder / "export")
    ours = {name: content for name, content in there.items() if not name.startswith("99-")}
    theirs = {name: content for name, content in there.items() if name.startswith("99-")}
    assert oracle.differences(ours, found, left_open=oracle.LOST, unreadable=unreadable) == []
    late = [oracle.read_notes(training.notes) for training in alive]
    assert oracle.differences(theirs, late, left_open="FINISHED") == []


@pytest.mark.parametrize(
    ("number", "status"),
    [(signal.SIGTERM, "KILLED"), (signal.SIGINT, "KILLED")],
    ids=["SIGTERM", "SIGINT"],
)
def test_a_signal_at_any_instant_kills_the_runs(stage: scene.Scene, number: signal.Signals, status: str) -> None:
    """G9. Whatever the script was doing, what it logged is there when it has ended."""
    chance = scene.chance()
    for seed in range(scene.rounds(3)):
        training = stage.train(seed)
        training.until_more(chance.randrange(1, 40))
        time.sleep(chance.uniform(0, 0.1))
        assert training.kill(number) != 0
    assert stage.unsent() == []
    assert stage.compare(left_open=status) > 0


@pytest.mark.parametrize(
    ("end", "status", "code"),
    [("exit", "FINISHED", 0), ("raise", "FAILED", 1), ("exit-now", oracle.LOST, 0)],
)
def test_the_end_of_a_script_is_the_end_of_its_runs(stage: scene.Scene, end: str, status: str, code: int) -> None:
    """G9."""
    training = stage.train(scene.chance().randrange(10**6), "--count", "150", "--end", end)
    assert training.wait() == code, training.stderr
    stage.sync()
    assert stage.compare(left_open=status) == 150


FORK = """
import os, signal, sys, time
with toolkit.start_run(run_name='parent') as run:
    toolkit.log_params({'a': 1})
    children = []
    for number in range(6):
        child = os.fork()
        if child == 0:
            toolkit.log_metric(f'child{number}', number, step=1)
            toolkit.log_metric(f'child{number}', number, step=2)
            if number == 0: sys.exit(3)
            if number == 1: raise ValueError('a worker fails')
            if number == 2: os._exit(0)
            if number == 3: os.kill(os.getpid(), signal.SIGKILL)
            if number == 4: os.kill(os.getpid(), signal.SIGTERM); time.sleep(60)
            os._exit(0)
        children.append(child)
    for child in children: os.waitpid(child, 0)
    toolkit.log_metric('after', 1)
    print(toolkit.get_run(run.info.run_id).info.status)
"""


def test_forked_workers_end_in_all_ways_and_the_parents_run_goes_on(stage: scene.Scene) -> None:
    """G9. What they logged before is there too, however they ended."""
    done = stage.script(FORK)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "RUNNING"
    stage.sync()
    with stage.stores() as stores:
        (run,) = stores.runs.list_runs(RunQuery()).items
        assert run.info.status is RunStatus.FINISHED
        assert run.data.params == {"a": "1"}
        assert dict(run.data.metrics) == {"after": 1.0, **{f"child{number}": float(number) for number in range(6)}}
        for number in range(6):
            points = stores.runs.metric_history(run.info.run_id, f"child{number}").items
            assert [point.step for point in points] == [1, 2]


FORKS = """
import os, sys, threading
stop = threading.Event()
def log(number, run_id):
    step = 0
    while not stop.is_set():
        toolkit.log_metric(f'thread{number}', step, step=step, run_id=run_id); stop.wait(0.001)
        step += 1
    done[number] = step
done = {}
with toolkit.start_run() as run:
    run_id = run.info.run_id
    threads = [threading.Thread(target=log, args=(number, run_id)) for number in range(2)]
    for thread in threads: thread.start()
    for number in range(25):
        child = os.fork()
        if child == 0:
            for step in range(20): toolkit.log_metric(f'child{number}', step, step=step)
            if number % 2: os._exit(0)
            sys.exit(0)
        if number % 3 == 0: os.waitpid(child, 0)
    stop.set()
    for thread in threads: thread.join()
print(done[0], done[1])
"""


def test_forks_in_the_middle_of_everything_lose_nothing(stage: scene.Scene) -> None:
    """G5, G9. While other threads log, and what they log is being sent."""
    done = stage.script(FORKS)
    assert done.returncode == 0, done.stderr
    counts = [int(text) for text in done.stdout.split()]
    stage.until_idle()
    stage.sync()
    with stage.stores() as stores:
        (run,) = stores.runs.list_runs(RunQuery()).items
        wanted = {f"thread{number}": count for number, count in enumerate(counts)}
        for key, count in (wanted | {f"child{number}": 20 for number in range(25)}).items():
            points = stores.runs.metric_history(run.info.run_id, key, limit=1_000_000).items
            assert [point.step for point in points] == list(range(count)), key


LOADER = """
import os, signal, sys, toolkit
from multiprocessing import get_context

def load(number):
    import toolkit
    if len(sys.argv) > 1 and number == 3: os.kill(os.getpid(), signal.SIGKILL)
    toolkit.log_metrics({f'loaded{number}': number}, step=number, run_id=os.environ['WANTED'])
    return number

if __name__ == '__main__':
    with toolkit.start_run() as run:
        os.environ['WANTED'] = run.info.run_id
        toolkit.log_metric('before', 1)
        workers = [get_context('METHOD').Process(target=load, args=(number,)) for number in range(4)]
        for worker in workers: worker.start()
        for worker in workers: worker.join()
        toolkit.log_metric('after', 1)
        print(toolkit.get_run(run.info.run_id).info.status)
"""


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_data_loaders_leave_the_run_alone(sqlite_stage: scene.Scene, method: str) -> None:
    """G9. One of them is killed; the others log into the run."""
    sqlite_stage.folder.mkdir()
    (sqlite_stage.folder / "loader.py").write_text(LOADER.replace("METHOD", method))
    done = sqlite_stage.script(
        "import runpy, sys; sys.argv = ['loader.py', 'kill']; runpy.run_path('loader.py', run_name='__main__')"
        if method == "fork"
        else "import subprocess, sys; sys.exit(subprocess.call([sys.executable, 'loader.py', 'kill']))"
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "RUNNING"
    sqlite_stage.sync()
    with sqlite_stage.stores() as stores:
        (run,) = stores.runs.list_runs(RunQuery()).items
        assert run.info.status is RunStatus.FINISHED
        assert set(run.data.metrics) == {"before", "after", "loaded0", "loaded1", "loaded2"}


def freeze(process: subprocess.Popen[bytes], stores: Stores) -> None:
    """Stop a process where it does not hold the database: asleep with the lock it would keep everybody out."""
    assert stores.database is not None
    for _ in range(20):
        process.send_signal(signal.SIGSTOP)
        try:
            with stores.database.write():
                return
        except StoreBusy:
            process.send_signal(signal.SIGCONT)
            time.sleep(0.05)
    raise AssertionError("it holds the database whenever it is stopped")


def test_a_frozen_script_is_lost_and_comes_back_without_reviving_its_runs(
    stage: scene.Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    """G9, G10. Its machine was asleep for longer than two leases; what it logs after that is kept."""
    training = stage.train(5, "--no-reads", "--pause", "0.01", TOOLKIT_LEASE="1")
    training.until_more(40)
    with stage.stores() as stores:
        freeze(training.process, stores)
        time.sleep(2.5)
        assert lease.sweep_lost(stores.runs, grace=0) == []  # on its own machine one sees that it is there
        monkeypatch.setattr(lease, "host_name", lambda: f"not-{host_name()}")
        lost = {run.info.run_id for run in lease.sweep_lost(stores.runs, grace=0)}
        assert lost
        training.process.send_signal(signal.SIGCONT)
        training.until_more(40)
        time.sleep(1.0)
        for run_id in lost:
            found = stores.runs.get_run(run_id).info
            assert found.status is not RunStatus.RUNNING
        training.kill()
        monkeypatch.undo()
    stage.sync()
    assert stage.compare(left_open=oracle.LOST) > 80


def test_only_an_explicit_resume_revives_a_run(stage: scene.Scene) -> None:
    """G10. And then the one who resumes answers for it."""
    begun = stage.script(
        "import os\nprint(toolkit.start_run().info.run_id)\ntoolkit.log_metric('m', 1)\ntoolkit.flush()\n"
        "import sys; sys.stdout.flush(); os._exit(0)"
    )
    run_id = begun.stdout.strip()
    with stage.stores() as stores:
        lease.sweep_lost(stores.runs, grace=0)
        lost = stores.runs.get_run(run_id).info
        assert (lost.status, (lost.reason or "")[:14]) == (RunStatus.FAILED, "heartbeat_lost")
        late = stage.script(f"toolkit.log_metrics({{'late': 1}}, run_id={run_id!r})")
        assert late.returncode == 0, late.stderr
        assert stores.runs.get_run(run_id).info == lost
        assert stores.runs.get_run(run_id).data.metrics == {"m": 1.0, "late": 1.0}
        resumed = stage.script(
            f"with toolkit.start_run(run_id={run_id!r}):\n"
            f"  print(toolkit.get_run({run_id!r}).info.status); toolkit.log_metric('m', 2, step=1)"
        )
        assert resumed.stdout.strip() == "RUNNING", resumed.stderr
        done = stores.runs.get_run(run_id)
        assert (done.info.status, done.info.reason) == (RunStatus.FINISHED, None)
        assert done.data.metrics == {"m": 2.0, "late": 1.0}
        dies = stage.script(f"import os; toolkit.start_run(run_id={run_id!r}); os._exit(0)")
        assert dies.returncode == 0
        assert [run.info.run_id for run in lease.sweep_lost(stores.runs, grace=0)] == [run_id]
