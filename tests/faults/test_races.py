"""Many at once: threads of a script, scripts of a store, and whoever sends what was left. Nothing twice, no error."""

from __future__ import annotations

import random
import threading

import oracle
import scene

from toolkit import settings
from toolkit.ids import new_run_id
from toolkit.testing.runs import new_run
from toolkit.tracking.entries import Begun, Ended, Entry, Logged, Used
from toolkit.tracking.records import Dataset, DatasetInput, RunQuery, RunStatus
from toolkit.wiring.upkeep import sweep

THREADS = """
import threading
barrier = threading.Barrier(8)
failed = []
def work(number, run_id):
    try:
        barrier.wait()
        for step in range(200):
            toolkit.log_metrics({f'm{number}': step, 'shared': number}, step=step, timestamp=1, run_id=run_id)
            if step % 20 == 0:
                toolkit.flush(60)
                client.set_tag(run_id, f't{number}', step)
    except BaseException as error:
        failed.append(error)
with toolkit.start_run() as run:
    client = toolkit.Client()
    threads = [threading.Thread(target=work, args=(number, run.info.run_id)) for number in range(8)]
    for thread in threads: thread.start()
    for thread in threads: thread.join()
    print(failed)
"""


def test_threads_that_flush_at_once_keep_their_order(stage: scene.Scene) -> None:
    """G6. Each waits for all that was logged before, and none for ever."""
    done = stage.script(THREADS)
    assert (done.returncode, done.stdout) == (0, "[]\n"), done.stderr
    assert stage.unsent() == []
    with stage.stores() as stores:
        (run,) = stores.runs.list_runs(RunQuery()).items
        for number in range(8):
            points = stores.runs.metric_history(run.info.run_id, f"m{number}").items
            assert [point.step for point in points] == [int(point.value) for point in points] == list(range(200))
            assert run.data.tags[f"t{number}"] == "180"
        assert len(stores.runs.metric_history(run.info.run_id, "shared").items) == 8 * 200


def test_scripts_that_begin_at_once_on_an_empty_home_see_no_error(stage: scene.Scene) -> None:
    """G3, G13. One of them makes the schema, and one each experiment; the oracle's export refuses a second one."""
    chance = scene.chance()
    trainings = [stage.train(chance.randrange(10**6), "--count", "40") for _ in range(8)]
    for training in trainings:
        assert training.wait() == 0, training.stderr
        assert training.stderr == ""
    assert stage.compare(left_open="FINISHED") == 8 * 40


def test_two_scripts_log_into_one_run(stage: scene.Scene) -> None:
    """What both log is there once, and the run belongs to the one that began it."""
    begun = stage.script("run = toolkit.start_run(); print(run.info.run_id); toolkit.end_run()")
    run_id = begun.stdout.strip()
    text = (
        f"for step in range(300): toolkit.log_metrics({{'m': step, 'mine/N': step}}, step=step, timestamp=step, "
        f"run_id={run_id!r})\ntoolkit.log_params({{'same': 1, 'mine/N': 2}}, run_id={run_id!r})"
    )
    both = [stage.start_script(text.replace("N", name)) for name in "ab"]
    for process in both:
        _, told = process.communicate(timeout=scene.PATIENCE)
        assert (process.returncode, told) == (0, "")
    with stage.stores() as stores:
        run = stores.runs.get_run(run_id)
        assert dict(run.data.params) == {"same": "1", "mine/a": "2", "mine/b": "2"}
        for key in ("m", "mine/a", "mine/b"):
            points = stores.runs.metric_history(run_id, key).items
            assert [(point.step, point.value) for point in points] == [(step, float(step)) for step in range(300)]
        assert run.info.status is RunStatus.FINISHED


def entries_at_random(chance: random.Random) -> list[Entry]:
    """Return what a script may have logged, in its order; what comes twice would show."""
    runs = [new_run_id() for _ in range(4)]
    entries: list[Entry] = [Begun(new=new_run(run_id=run_id)) for run_id in runs]
    for number in range(120):
        run_id = chance.choice(runs)
        dataset = Dataset(name="d", digest=str(number % 3), source_type="local", source="{}")
        choices: list[Entry] = [
            Logged(run_id=run_id, points=(("m", number, 1, chance.random(), 0),)),
            Logged(run_id=run_id, tags={"t": str(number)}),
            Logged(run_id=run_id, tags={"t": None}),
            Logged(run_id=run_id, params={f"p{number}": "1"}),
            Used(run_id=run_id, inputs=[DatasetInput(dataset=dataset, tags={"n": str(number)})]),
        ]
        entries.append(chance.choice(choices))
    return entries + [Ended(run_id=run_id, status=RunStatus.FINISHED, end_time=1) for run_id in runs]


def test_batches_that_are_delivered_again_change_nothing(stage: scene.Scene) -> None:
    """G3, G5. A sender dies between the commit and the acknowledgement, again and again, each time somewhere else."""
    chance = scene.chance()
    with stage.stores() as stores:
        for number in range(scene.rounds(5)):
            entries = entries_at_random(chance)
            model = oracle.Model().store
            assert model.apply(entries, journal="once", first=0) == []
            place = 0
            while place < len(entries):
                size = chance.randrange(1, 40)
                sent = entries[place : place + size]
                assert stores.runs.apply(sent, journal=f"j{number}", first=place) == []
                place += chance.randrange(0, len(sent) + 1)  # how far the sender knew
            for run_id in {entry.run_id for entry in entries}:
                wanted, found = model.get_run(run_id), stores.runs.get_run(run_id)
                assert found.data == wanted.data
                assert sorted(map(repr, found.inputs)) == sorted(map(repr, wanted.inputs))
                assert found.info.status is RunStatus.FINISHED
                histories = [store.metric_history(run_id, "m").items for store in (model, stores.runs)]
                assert histories[0] == histories[1]


def test_many_send_what_one_left(stage: scene.Scene) -> None:
    """G5. Each journal is adopted by one of them."""
    chance = scene.chance()
    for _ in range(3):
        training = stage.train(chance.randrange(10**6))
        training.until_more(30)
        training.kill()
    senders = [stage.start_toolkit("sync") for _ in range(4)]
    assert [sender.wait(scene.PATIENCE) for sender in senders] == [0] * 4
    stage.sync()
    assert stage.compare() >= 90


def test_threads_that_make_one_experiment_get_the_same(stage: scene.Scene) -> None:
    """G3, G11."""
    count = 8
    barrier = threading.Barrier(count)
    found: list[str] = []

    def make() -> None:
        with stage.stores() as stores:
            barrier.wait()
            found.extend(stores.runs.ensure_experiment(f"race {number}").experiment_id for number in range(10))

    threads = [threading.Thread(target=make) for _ in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 10 * count
    assert len(set(found)) == 10


def test_the_sweep_leaves_the_living_alone(stage: scene.Scene) -> None:
    """G9. Whoever looks for lost runs, however often, while scripts begin and end runs."""
    chance = scene.chance()
    trainings = [stage.train(chance.randrange(10**6), "--pause", "0.002", TOOLKIT_LEASE="2") for _ in range(2)]
    trainings[0].until_more(20)
    with stage.stores() as stores:
        for _ in range(20):
            assert sweep(stores, settings.load()) == []
    for training in trainings:
        assert training.end() == 0, training.stderr
    assert stage.compare(left_open="FINISHED") > 20


def test_a_command_that_reads_sees_no_half_of_a_batch(stage: scene.Scene) -> None:
    """G2. Many values of one call are there together, or not at all."""
    text = (
        "with toolkit.start_run():\n for n in range(400): toolkit.log_metrics({f'm{i}': n for i in range(30)}, step=n)"
    )
    process = stage.start_script(text)
    seen = 0
    with stage.stores() as stores:
        while process.poll() is None:
            for run in stores.runs.list_runs(RunQuery()).items:
                steps = {point.step for point in run.data.latest.values()}
                assert len(run.data.latest) in (0, 30)
                assert len(steps) <= 1
                seen += 1
    assert process.returncode == 0, process.communicate()
    process.communicate()
    assert seen
