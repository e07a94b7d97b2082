"""What there is of an earlier run, and what is missing, before anything runs again."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path

import pytest
from kitchen import Cooked, Kitchen
from repositories import git

from toolkit import settings
from toolkit.errors import NotReproducible
from toolkit.flows import codebase, repository
from toolkit.flows.environments import local
from toolkit.flows.plan import dry_run
from toolkit.flows.provenance import DIFF_PATH, SNAPSHOT_PATH, source_tags
from toolkit.flows.recorded_run import results_of
from toolkit.flows.reproduction import Reproduction, Wish, reproduction
from toolkit.flows.source import Fetching, fetch, snapshot
from toolkit.recording.run import RecordedRun
from toolkit.recording.stores import Stores
from toolkit.testing.runs import add_run
from toolkit.tracking.records import Metric, RunStatus
from toolkit.wiring.opened import open_stores

PROJECT = """
name: wine
entry_points:
  prepare:
    parameters: {raw: {type: path, default: data/raw.csv}, extra: {type: path, default: tracked.txt}}
    command: "cat {raw} {extra} > data.txt"
    outputs: {data: data.txt}
  train:
    parameters: {data: path, alpha: float}
    command: "sh train.sh {data} {alpha}"
    outputs: {model: model.txt}
    metrics: metrics.json
workflows:
  main:
    parameters: {alphas: {type: list, default: [0.1, 0.5]}, other: {type: path, default: tracked.txt}}
    steps:
      prepare: {parameters: {extra: "${{ parameters.other }}"}}
      train:
        foreach: {alpha: "${{ parameters.alphas }}"}
        parameters: {data: "${{ steps.prepare.outputs.data }}"}
"""
TRAIN = 'cat $1 > model.txt; echo "{\\"error\\": $2}" > metrics.json\n'


@pytest.fixture
def stores() -> Iterator[Stores]:
    opened = open_stores(settings.load())
    yield opened
    opened.close()


@pytest.fixture
def kitchen(stores: Stores, tmp_path: Path) -> Kitchen:
    """A project in a repository, with data that Git ignores."""
    made = Kitchen(stores, tmp_path / "wine")
    made.write(MLproject=PROJECT, train__sh=TRAIN, tracked__txt="tracked\n", __gitignore="data\n")
    (made.project / "data").mkdir()
    (made.project / "data" / "raw.csv").write_text("1 2 3\n")
    git(made.project, "init", "-q")
    git(made.project, "add", "-A")
    git(made.project, "commit", "-qm", "first")
    return made


def run(kitchen: Kitchen, folder: Path, **target: object) -> Cooked:
    """Run the workflow, and record its code as a launch does."""
    source = fetch(str(kitchen.project), caller=kitchen.project)
    cooked = kitchen.cook(**target)  # type: ignore[arg-type]  # fields of Target
    assert set(cooked.statuses.values()) == {"FINISHED"}, cooked
    recorded = RecordedRun(kitchen.stores, kitchen.run(cooked.run_id))
    recorded.set_tags(source_tags(source))
    if source.commit is None or source.dirty:
        snapshot(source, folder / "snapshot.zip")
        recorded.log_file(folder / "snapshot.zip", SNAPSHOT_PATH)
        if source.commit and repository.diff(source.directory, folder / "changes.diff", limit=5_000):
            recorded.log_file(folder / "changes.diff", DIFF_PATH)
    return cooked


def again(kitchen: Kitchen, run_id: str, **wish: object) -> AbstractContextManager[Reproduction]:
    home = kitchen.stores.home
    return reproduction(
        kitchen.stores,
        kitchen.run(run_id),
        Wish(**wish),  # type: ignore[arg-type]  # its fields
        fetching=Fetching(root=home / "sources"),
        home=home,
        report=lambda _: None,
    )


def problems(kitchen: Kitchen, run_id: str, **wish: object) -> list[tuple[str, str]]:
    """Return what is missing of a run; there is something."""
    with pytest.raises(NotReproducible) as caught, again(kitchen, run_id, **wish):
        pytest.fail("nothing is missing")
    found = [(one.kind, one.text) for one in caught.value.problems]
    assert all(text in str(caught.value) for _, text in found)
    assert not (kitchen.stores.home / "reproductions" / run_id).exists()
    return found


def change(kitchen: Kitchen) -> None:
    """Go on with the code, as people do."""
    kitchen.write(train__sh="exit 1\n")
    git(kitchen.project, "commit", "-qam", "another")


# -- code ------------------------------------------------------------------------------------------


def test_the_code_of_a_commit_comes_back_with_what_git_ignores(kitchen: Kitchen, tmp_path: Path) -> None:
    cooked = run(kitchen, tmp_path)
    change(kitchen)
    with again(kitchen, cooked.run_id) as found:
        directory = found.plan.project.directory
        assert (directory / "train.sh").read_text() == TRAIN
        assert (directory / "data" / "raw.csv").read_text() == "1 2 3\n"
        assert dry_run(found.plan)[0] == f"cat {directory}/data/raw.csv {directory}/tracked.txt > data.txt"
        assert [step.label for step in found.flow.steps] == ["prepare", "train alpha=0.1", "train alpha=0.5"]
        assert found.environments is not None
        prepared = found.environments.prepare(
            None, project=found.plan.project, home=kitchen.stores.home, report=lambda _: None
        )
        assert prepared is not None
        assert (prepared.kind, found.environments.changes) == ("local", [])
    assert not directory.exists(), "the copy is gone, as what was put into it is not the run's"
    assert (kitchen.project / "data" / "raw.csv").read_text() == "1 2 3\n"
    assert not list((kitchen.stores.home / "copies").glob("left-*"))


def test_changes_that_were_not_committed_come_back_from_the_snapshot(kitchen: Kitchen, tmp_path: Path) -> None:
    kitchen.write(train__sh=f"# changed\n{TRAIN}", new__txt="not tracked\n")
    cooked = run(kitchen, tmp_path)
    shutil.move(kitchen.project, tmp_path / "away")
    raw = tmp_path / "away" / "data" / "raw.csv"
    ((kind, text),) = problems(kitchen, cooked.run_id)
    assert kind == "data"
    assert f"there is no {kitchen.project}/data/raw.csv any more; say where it is now: --input raw=PATH" in text
    with again(kitchen, cooked.run_id, inputs={"raw": raw}) as found:
        directory = found.plan.project.directory
        assert (directory / "train.sh").read_text() == f"# changed\n{TRAIN}"
        assert (directory / "new.txt").exists()
        assert (directory / "data" / "raw.csv").read_text() == "1 2 3\n"


def test_a_snapshot_that_is_gone_gives_way_to_the_commit_and_the_diff(kitchen: Kitchen, tmp_path: Path) -> None:
    kitchen.write(train__sh=f"# changed\n{TRAIN}")
    cooked = run(kitchen, tmp_path)
    RecordedRun(kitchen.stores, kitchen.run(cooked.run_id)).remove([SNAPSHOT_PATH])
    change(kitchen)
    with again(kitchen, cooked.run_id) as found:
        assert (found.plan.project.directory / "train.sh").read_text() == f"# changed\n{TRAIN}"
        assert found.plan.source.dirty


def test_what_a_diff_does_not_hold_is_named(kitchen: Kitchen, tmp_path: Path) -> None:
    """A file that Git did not track, and a diff that was cut."""
    kitchen.write(new__txt="not tracked\n", tracked__txt="changed\n")
    untracked = run(kitchen, tmp_path)
    kitchen.write(tracked__txt="changed\n" * 2_000)
    cut = run(kitchen, tmp_path)
    for one, words in ((untracked, "is recorded"), (cut, "was cut, because it is longer than what is kept")):
        RecordedRun(kitchen.stores, kitchen.run(one.run_id)).remove([SNAPSHOT_PATH])
        ((kind, text),) = problems(kitchen, one.run_id)
        assert kind == "code"
        assert "with changes that were not committed is nowhere to be had" in text
        assert words in text


def test_a_repository_that_is_gone_is_named_and_its_remote_is_asked(kitchen: Kitchen, tmp_path: Path) -> None:
    bare = tmp_path / "bare.git"
    git(tmp_path, "clone", "-q", "--bare", str(kitchen.project), str(bare))
    alone = run(kitchen, tmp_path)
    git(kitchen.project, "remote", "add", "origin", bare.as_uri())
    published = run(kitchen, tmp_path)
    raw = tmp_path / "raw.csv"
    shutil.copy(kitchen.project / "data" / "raw.csv", raw)
    shutil.rmtree(kitchen.project)
    ((kind, text),) = problems(kitchen, alone.run_id, inputs={"raw": raw})
    assert (kind, str(kitchen.project) in text) == ("code", True)
    assert text.startswith("commit ")
    with again(kitchen, published.run_id, inputs={"raw": raw}) as found:
        assert (found.plan.project.directory / "train.sh").read_text() == TRAIN


def test_what_the_snapshot_left_out_is_taken_from_where_it_was(
    kitchen: Kitchen, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(codebase, "LARGEST_FILE", 1_000)
    (kitchen.project / "large.bin").write_bytes(b"x" * 2_000)
    shutil.rmtree(kitchen.project / ".git")
    cooked = run(kitchen, tmp_path)
    with again(kitchen, cooked.run_id) as found:
        assert (found.plan.project.directory / "large.bin").stat().st_size == 2_000
    (kitchen.project / "large.bin").write_bytes(b"y" * 2_000)
    ((kind, text),) = problems(kitchen, cooked.run_id)
    assert (kind, "has files with the digest" in text) == ("code", True)
    (kitchen.project / "large.bin").unlink()
    ((kind, text),) = problems(kitchen, cooked.run_id)
    assert (kind, "its snapshot left out large.bin" in text) == ("code", True)


# -- data ------------------------------------------------------------------------------------------


def test_data_that_changed_are_named_unless_that_is_allowed(kitchen: Kitchen, tmp_path: Path) -> None:
    given = tmp_path / "given.txt"
    given.write_text("given\n")
    cooked = run(kitchen, tmp_path, parameters={"other": "../given.txt"})
    given.write_text("another\n")
    (kitchen.project / "data" / "raw.csv").write_text("another\n")
    found = problems(kitchen, cooked.run_id)
    assert [kind for kind, _ in found] == ["inputs", "inputs"]
    assert f"'extra' of step 'prepare' is not as it was: {given} has the digest" in found[1][1]
    with again(kitchen, cooked.run_id, allow=frozenset({"inputs"})) as allowed:
        assert len(allowed.notes) == 2
        assert (allowed.plan.project.directory / "data" / "raw.csv").read_text() == "another\n"
    moved = tmp_path / "moved.txt"
    moved.write_text("given\n")
    (kitchen.project / "data" / "raw.csv").write_text("1 2 3\n")
    with again(kitchen, cooked.run_id, inputs={"other": moved}) as elsewhere:
        assert str(moved) in dry_run(elsewhere.plan)[0]
    named = dict(problems(kitchen, cooked.run_id, inputs={"othr": moved}))
    assert "the data that can be given are: other, raw" in named["run"]


def test_a_step_alone_takes_what_the_step_before_it_left(kitchen: Kitchen, tmp_path: Path) -> None:
    cooked = run(kitchen, tmp_path)
    child, before = cooked.run_of("train alpha=0.5"), cooked.run_of("prepare")
    with again(kitchen, child) as found:
        assert dry_run(found.plan) == [f"sh train.sh runs:/{before}/data.txt 0.5"]
        assert [step.label for step in found.flow.steps] == ["train alpha=0.5"]
    artifact = RecordedRun(kitchen.stores, kitchen.run(before)).local_path("data.txt")
    assert artifact is not None
    artifact.write_text("damaged\n")
    ((kind, text),) = problems(kitchen, child)
    assert kind in ("data", "inputs")
    assert f"runs:/{before}/data.txt, is not as it was" in text
    artifact.unlink()
    ((kind, text),) = problems(kitchen, child)
    assert (kind, "data.txt" in text) == ("data", True)
    with again(kitchen, cooked.run_id):
        pass  # the whole makes it again


def test_data_of_which_nothing_is_recorded_are_named(kitchen: Kitchen, tmp_path: Path) -> None:
    """As in runs of older versions."""
    cooked = run(kitchen, tmp_path)
    for label in cooked.outcomes:
        kitchen.stores.runs.log_batch(cooked.run_of(label), tags={"toolkit.inputs": None})
    found = problems(kitchen, cooked.run_id)
    assert {kind for kind, _ in found} == {"inputs"}
    assert "what 'raw' of step 'prepare' held was not recorded" in found[0][1]
    with again(kitchen, cooked.run_id, allow=frozenset({"inputs"})) as allowed:
        assert len(allowed.notes) == len(found)


# -- environments, and the run itself ----------------------------------------------------------------


def test_locks_that_are_missing_or_of_another_platform_are_named(kitchen: Kitchen, tmp_path: Path) -> None:
    cooked = run(kitchen, tmp_path)
    train = RecordedRun(kitchen.stores, kitchen.run(cooked.run_of("train alpha=0.1")))
    train.remove(["environment/requirements.lock"])
    ((kind, text),) = problems(kitchen, cooked.run_id)
    assert (kind, "the environment of step 'train alpha=0.1' is not known" in text) == ("environment", True)
    with again(kitchen, cooked.run_id, allow=frozenset({"environment"})) as allowed:
        assert allowed.environments is None
    here = local.prepare().lock
    for label in cooked.outcomes:
        step = RecordedRun(kitchen.stores, kitchen.run(cooked.run_of(label)))
        lock = here.replace("# platform ", "# platform plan9-")
        step.log_text(lock, "environment/requirements.lock")
    ((kind, text),) = problems(kitchen, cooked.run_id)
    assert kind == "platform"
    assert text.startswith("it ran on plan9-")


def test_all_that_is_missing_is_said_at_once(kitchen: Kitchen, tmp_path: Path) -> None:
    given = tmp_path / "given.txt"
    given.write_text("given\n")
    cooked = run(kitchen, tmp_path, parameters={"other": "../given.txt"})
    given.unlink()
    shutil.rmtree(kitchen.project)
    RecordedRun(kitchen.stores, kitchen.run(cooked.run_of("prepare"))).remove(["environment/requirements.lock"])
    assert {kind for kind, _ in problems(kitchen, cooked.run_id)} == {"environment", "code", "data"}


def test_runs_that_cannot_be_made_again_say_why(kitchen: Kitchen, tmp_path: Path) -> None:
    script, failed, silent = "a" * 32, "b" * 32, "c" * 32
    add_run(kitchen.stores.runs, run_id=script)
    add_run(kitchen.stores.runs, run_id=failed, tags={"toolkit.workflow": "x"})
    add_run(kitchen.stores.runs, run_id=silent, tags={"toolkit.workflow": "x"})
    for run_id in (script, silent):
        kitchen.stores.runs.update_run(run_id, status=RunStatus.FINISHED)
    ((_, running),) = problems(kitchen, failed)
    assert f"run {failed} is RUNNING: wait" in running
    kitchen.stores.runs.update_run(failed, status=RunStatus.FAILED)
    for run_id, words in (
        (script, "was not made by toolkit run"),
        (failed, "has FAILED, and there is no result to come to again"),
        (silent, "does not say what it was asked to do"),
    ):
        ((kind, text),) = problems(kitchen, run_id)
        assert (kind, words in text) == ("run", True), text


def test_a_step_that_was_taken_over_has_the_data_of_the_one_that_ran(kitchen: Kitchen, tmp_path: Path) -> None:
    kitchen.write(MLproject=PROJECT.replace("  main:\n", "  main:\n    cache: true\n"))
    run(kitchen, tmp_path)
    second = run(kitchen, tmp_path)
    assert all(second.cached.values())
    with again(kitchen, second.run_id) as found:
        assert [step.environment is not None for step in found.flow.steps] == [True] * 3
        recorded = {one.parameter: one for one in found.flow.steps[0].inputs or ()}
        assert recorded["raw"].project == "data/raw.csv"
        assert recorded["extra"].sha256 is not None
    (kitchen.project / "data" / "raw.csv").write_text("another\n")
    assert [kind for kind, _ in problems(kitchen, second.run_id)] == ["inputs"]


def test_locks_that_differ_among_steps_of_one_environment_are_named(kitchen: Kitchen, tmp_path: Path) -> None:
    cooked = run(kitchen, tmp_path)
    train = RecordedRun(kitchen.stores, kitchen.run(cooked.run_of("train alpha=0.1")))
    other = replace(local.prepare(), lock=local.prepare().lock + "zzz==1\n")
    train.log_text(other.lock, "environment/requirements.lock")
    ((kind, text),) = problems(kitchen, cooked.run_id)
    assert (kind, "ran in another environment than others" in text) == ("environment", True)


def test_runs_below_a_step_are_told_apart_by_what_they_are(stores: Stores) -> None:
    """Their names are random, and they may come in any order."""
    found = []
    for top, order in (("a" * 32, (1, 2)), ("b" * 32, (2, 1))):
        add_run(stores.runs, run_id=top, run_name="train", tags={"toolkit.step": "train"})
        for number in order:
            below = f"{number}".ljust(31, "0") + top[0]
            add_run(stores.runs, run_id=below, parent_run_id=top, params={"n": str(number), "out": f"/tmp/{top}/x"})
            stores.runs.log_batch(below, metrics=[Metric(key="m", value=number, timestamp=1)])
        for run_id in (top, "1".ljust(31, "0") + top[0], "2".ljust(31, "0") + top[0]):
            stores.runs.update_run(run_id, status=RunStatus.FINISHED)
        found.append(results_of(stores, [stores.runs.get_run(top)]))
    told = [[(one.label, dict(one.metrics)) for one in results] for results in found]
    assert told[0] == told[1] == [("train", {}), ("train > run", {"m": 1}), ("train > run #2", {"m": 2})]


def test_a_step_alone_takes_its_data_that_git_ignores(kitchen: Kitchen, tmp_path: Path) -> None:
    """And an entry point that was run alone, of which all is recorded with its one step."""
    cooked = run(kitchen, tmp_path)
    with again(kitchen, cooked.run_of("prepare")) as found:
        directory = found.plan.project.directory
        assert dry_run(found.plan) == [f"cat {directory}/data/raw.csv {directory}/tracked.txt > data.txt"]
    alone = run(kitchen, tmp_path, entry_point="prepare")
    with again(kitchen, alone.run_of("prepare")) as found:
        assert found.flow.run.info.run_id == alone.run_id
        assert dry_run(found.plan) == [f"cat {directory}/data/raw.csv {directory}/tracked.txt > data.txt"]
    (kitchen.project / "data" / "raw.csv").unlink()
    for run_id in (cooked.run_of("prepare"), alone.run_id):
        assert [kind for kind, _ in problems(kitchen, run_id)] == ["data"]
