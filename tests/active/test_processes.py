"""Scripts as real processes: a step takes part in its run, and however a script ends, its run has an end."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from toolkit import settings
from toolkit.recording.lease import Leases
from toolkit.recording.run import RecordedRun
from toolkit.recording.stores import Stores
from toolkit.tracking.records import Run, RunQuery
from toolkit.wiring.opened import open_stores


@pytest.fixture
def stores() -> Iterator[Stores]:
    opened = open_stores(settings.load())
    yield opened
    opened.close()


@pytest.fixture
def step(stores: Stores) -> Iterator[RecordedRun]:
    """A step's run, open in this process as in `toolkit run`."""
    run = RecordedRun.start(stores, Leases(stores.runs, lease_ms=60_000), experiment_id="0", name="step")
    yield run
    run.end()


def script(text: str, **variables: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", f"import toolkit\n{text}"],
        env={**os.environ, **variables},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


def only(stores: Stores) -> Run:
    (run,) = stores.runs.list_runs(RunQuery()).items
    return run


# -- a step ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("variable", ["TOOLKIT_RUN_ID", "MLFLOW_RUN_ID"])
def test_a_step_logs_into_its_own_run(stores: Stores, step: RecordedRun, variable: str) -> None:
    done = script("toolkit.log_metric('m', 1); toolkit.log_text('x', 'x.txt')", **{variable: step.run_id})
    assert done.returncode == 0, done.stderr
    run = only(stores)
    assert run.data.metrics["m"] == 1
    assert run.info.status == "RUNNING"
    assert [entry.path for entry in stores.runs.list_artifacts(step.run_id).items] == ["x.txt"]


def test_the_first_start_run_of_a_step_is_the_step_and_further_ones_are_its_children(
    stores: Stores, step: RecordedRun
) -> None:
    done = script(
        """
with toolkit.start_run(run_name='ignored') as run:
    toolkit.log_metric('m', 1)
print(run.info.run_id)
with toolkit.start_run(run_name='more') as run:
    toolkit.log_metric('m', 2)
print(run.info.run_id, run.info.parent_run_id)
toolkit.log_metric('after', 3)
""",
        TOOLKIT_RUN_ID=step.run_id,
    )
    assert done.returncode == 0, done.stderr
    first, second, parent = done.stdout.split()
    assert first == parent == step.run_id
    assert second != first
    assert stores.runs.get_run(second).info.status == "FINISHED"
    assert dict(step.read().data.metrics) == {"m": 1.0, "after": 3.0}
    assert step.read().info.status == "RUNNING"


def test_a_nested_run_of_a_step_is_its_child(stores: Stores, step: RecordedRun) -> None:
    done = script(
        "toolkit.log_metric('m', 1)\nwith toolkit.start_run(nested=True) as run: print(run.info.parent_run_id)",
        TOOLKIT_RUN_ID=step.run_id,
    )
    assert done.stdout.strip() == step.run_id, done.stderr


def test_a_tracked_function_in_a_step_is_its_child(stores: Stores, step: RecordedRun) -> None:
    done = script("f = toolkit.track(lambda: 1.0)\nf()", TOOLKIT_RUN_ID=step.run_id)
    assert done.returncode == 0, done.stderr
    (child,) = stores.runs.list_runs(RunQuery(parent_run_id=step.run_id)).items
    assert child.info.status == "FINISHED"


def test_a_step_that_fails_leaves_the_end_to_who_started_it(stores: Stores, step: RecordedRun) -> None:
    done = script("with toolkit.start_run(): raise SystemExit(3)", TOOLKIT_RUN_ID=step.run_id)
    assert done.returncode == 3
    assert step.read().info.status == "RUNNING"


def test_a_run_id_that_is_not_in_the_store_is_explained(stores: Stores) -> None:
    done = script("toolkit.log_metric('m', 1)", TOOLKIT_RUN_ID="0123456789abcdef")
    assert done.returncode != 0
    last = done.stderr.strip().splitlines()[-1]
    assert "TOOLKIT_RUN_ID" in last
    assert "unset the variable" in last


def test_a_script_below_a_parent_is_its_child(stores: Stores, step: RecordedRun) -> None:
    done = script("with toolkit.start_run() as r: print(r.info.parent_run_id)", TOOLKIT_PARENT_RUN_ID=step.run_id)
    assert done.stdout.strip() == step.run_id, done.stderr


# -- ends --------------------------------------------------------------------------------------------

OPEN = "toolkit.start_run()\n"
VERB = "toolkit.log_metric('m', 1)\n"


@pytest.mark.parametrize("begin", [OPEN, VERB], ids=["start_run", "verb"])
@pytest.mark.parametrize(
    ("end", "code", "status"),
    [
        ("pass", 0, "FINISHED"),
        ("raise ValueError('x')", 1, "FAILED"),
        ("import sys; sys.exit(0)", 0, "FINISHED"),
        ("import sys; sys.exit()", 0, "FINISHED"),
        ("import os, signal; os.kill(os.getpid(), signal.SIGTERM); signal.pause()", 143, "KILLED"),
        ("import os, signal; os.kill(os.getpid(), signal.SIGINT); signal.pause()", None, "KILLED"),
    ],
)
def test_the_end_of_a_script_is_the_end_of_its_run(
    stores: Stores, begin: str, end: str, code: int | None, status: str
) -> None:
    done = script(begin + end)
    assert done.returncode == code or (code is None and done.returncode != 0), done.stderr
    run = only(stores)
    assert run.info.status == status
    assert run.info.end_time is not None


def test_sigterm_inside_a_block_kills_the_run(stores: Stores) -> None:
    done = script(
        "import os, signal\nwith toolkit.start_run():\n  os.kill(os.getpid(), signal.SIGTERM)\n  signal.pause()"
    )
    assert done.returncode == 143, done.stderr
    assert only(stores).info.status == "KILLED"


def test_a_users_own_handler_of_sigterm_stays(stores: Stores) -> None:
    done = script(
        "import os, signal\nsignal.signal(signal.SIGTERM, lambda *_: print('mine'))\n"
        "toolkit.start_run()\nos.kill(os.getpid(), signal.SIGTERM)"
    )
    assert (done.returncode, done.stdout.strip()) == (0, "mine")
    assert only(stores).info.status == "FINISHED"


def test_the_traceback_is_printed_as_ever(stores: Stores) -> None:
    done = script(OPEN + "raise ValueError('x')")
    assert done.stderr.startswith("Traceback")
    assert done.stderr.rstrip().endswith("ValueError: x")


def test_a_forked_child_does_not_end_the_parents_run(stores: Stores) -> None:
    done = script(
        """
import os, sys
toolkit.start_run()
child = os.fork()
if child == 0:
    sys.exit(1)
os.waitpid(child, 0)
print(toolkit.get_run(toolkit.active_run().info.run_id).info.status)
"""
    )
    assert done.stdout.strip() == "RUNNING", done.stderr
    assert only(stores).info.status == "FINISHED"


def test_a_forked_child_may_log_into_the_run(stores: Stores) -> None:
    done = script(
        """
import multiprocessing
def work(n): toolkit.log_metric(f'child{n}', n)
if __name__ == '__main__':
    with toolkit.start_run():
        context = multiprocessing.get_context('fork')
        children = [context.Process(target=work, args=(n,)) for n in range(4)]
        for child in children: child.start()
        for child in children: child.join()
        assert [child.exitcode for child in children] == [0] * 4
"""
    )
    assert done.returncode == 0, done.stderr
    runs = stores.runs.list_runs(RunQuery()).items
    assert [run.info.status for run in runs] == ["FINISHED"] * len(runs)
    logged = {key: value for run in runs for key, value in run.data.metrics.items()}
    assert logged == {f"child{n}": float(n) for n in range(4)}
    assert len(runs) == 1


def test_an_error_whose_text_no_store_keeps_is_the_end_all_the_same(stores: Stores) -> None:
    done = script("with toolkit.start_run():\n  raise ValueError('a\\ud800b')")
    assert done.stderr.rstrip().splitlines()[-1].startswith("ValueError: a"), done.stderr
    info = only(stores).info
    assert (info.status, info.reason) == ("FAILED", r"ValueError: a\ud800b")


def test_an_error_whose_text_cannot_be_made_is_the_end_all_the_same(stores: Stores) -> None:
    done = script(
        """
class Odd(Exception):
    def __str__(self): raise RuntimeError
with toolkit.start_run(): raise Odd
"""
    )
    assert "Odd" in done.stderr.rstrip().splitlines()[-1], done.stderr
    assert (only(stores).info.status, only(stores).info.reason) == ("FAILED", "Odd")


LOCK = """
import sqlite3, toolkit.settings
lock = sqlite3.connect(toolkit.settings.load().home / 'toolkit.db', isolation_level=None, check_same_thread=False)
lock.execute('BEGIN EXCLUSIVE')
"""


def test_a_strict_end_that_fails_does_not_hide_the_error_of_the_block(stores: Stores) -> None:
    done = script(
        f"with toolkit.start_run(strict=True):\n  exec({LOCK!r})\n  raise ValueError('mine')",
        TOOLKIT_BUSY_TIMEOUT="0.2",
    )
    assert done.stderr.rstrip().splitlines()[-1] == "ValueError: mine"
    assert "has no end" in done.stderr


def test_a_run_that_cannot_end_keeps_no_other_from_ending(stores: Stores) -> None:
    done = script(
        f"""
import atexit
toolkit.start_run(run_name='journaled')
toolkit.start_run(run_name='strict', nested=True, strict=True)
toolkit.flush()
from toolkit.recording import current
current.at_exit(lambda: lock.execute('ROLLBACK'))
{LOCK}
""",
        TOOLKIT_BUSY_TIMEOUT="0.2",
    )
    assert "has no end" in done.stderr
    states = {run.info.run_name: run.info.status for run in stores.runs.list_runs(RunQuery()).items}
    assert states == {"journaled": "FINISHED", "strict": "RUNNING"}


FORK = """
import os, sys, sqlite3
def work():
    for step in range(100): toolkit.log_metric('m', step, step=step)
    toolkit.log_text('x', 'x.txt')
run = toolkit.start_run()
"""


@pytest.mark.parametrize(
    "fork",
    [
        "import multiprocessing\nchild = multiprocessing.get_context('fork').Process(target=work)\n"
        "child.start(); child.join()",
        "child = os.fork()\nif child == 0: work(); sys.exit(0)\nos.waitpid(child, 0)",
        "child = os.fork()\nif child == 0:\n  if (grandchild := os.fork()) == 0: work(); sys.exit(0)\n"
        "  os.waitpid(grandchild, 0); os._exit(0)\nos.waitpid(child, 0)",
    ],
    ids=["multiprocessing", "fork", "grandchild"],
)
def test_what_a_forked_child_logs_is_in_the_store_when_the_child_has_ended(
    stores: Stores, toolkit_home: Path, fork: str
) -> None:
    done = script(
        FORK
        + fork
        + """
found = toolkit.get_run(run.info.run_id)
print(found.data.metrics, [each.path for each in toolkit.Client().list_artifacts(run.info.run_id)])
"""
    )
    assert done.stdout.strip() == "{'m': 99.0} ['x.txt']", done.stderr


def test_an_end_that_waited_does_not_end_a_run_that_was_resumed(stores: Stores, toolkit_home: Path) -> None:
    ended = script(
        f"run = toolkit.start_run()\ntoolkit.flush()\nprint(run.info.run_id)\n{LOCK}\n"
        "toolkit.set_tag('stage', 'old'); toolkit.end_run()",
        TOOLKIT_BUSY_TIMEOUT="0.2",
        TOOLKIT_EXIT_WAIT="0.3",
    )
    run_id = ended.stdout.strip()
    assert stores.runs.get_run(run_id).info.status == "RUNNING"
    resumed = script(
        f"""
run = toolkit.start_run(run_id='{run_id}')
toolkit.set_tag('stage', 'new')
toolkit.flush()
from toolkit import settings
print(list(settings.load().journal_root.iterdir()) == [toolkit.recording.current.stores().journal.folder])
print(toolkit.get_run('{run_id}').info.status, toolkit.get_run('{run_id}').data.tags['stage'])
"""
    )
    assert resumed.stdout.split() == ["True", "RUNNING", "new"], resumed.stderr
    run = stores.runs.get_run(run_id)
    assert (run.info.status, run.data.tags["stage"]) == ("FINISHED", "new")


def test_a_script_that_only_imports_toolkit_leaves_nothing(toolkit_home: Path) -> None:
    assert script("print(toolkit.__version__)").returncode == 0
    assert list(toolkit_home.iterdir()) == []
