"""Results that are taken over: when, what of them, and when not; with real commands and real stores."""

from __future__ import annotations

import os
import subprocess
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from kitchen import Cooked, Counted, Kitchen
from server import serving

from toolkit import settings
from toolkit.errors import Conflict, StoreError
from toolkit.flows.step_cache import CacheOptions
from toolkit.flows.why_cached import Explanation, explain
from toolkit.recording.run import RecordedRun
from toolkit.recording.stores import Stores
from toolkit.tracking.records import Lifecycle
from toolkit.tracking.step_keys import StepKey, StepKeyQuery
from toolkit.upkeep.collector import Collector
from toolkit.upkeep.garbage import Collection
from toolkit.upkeep.takers import needed_by_takers
from toolkit.wiring.opened import open_stores
from toolkit.wiring.registry import open_catalog

WINE = """
name: wine
entry_points:
  prepare:
    parameters: {raw: path, rows: {type: int, default: 2}}
    command: "echo . >> $COUNTS/prepare; head -n {rows} {raw} > data.txt"
    outputs: {data: data.txt}
  train:
    parameters: {data: path, alpha: float}
    command: "echo . >> $COUNTS/train; . ./train.sh {data} {alpha}"
    outputs: {model: model}
    metrics: metrics.json
  report:
    parameters: {model: path}
    command: "cat {model}/weights.txt > report.txt"
    outputs: {report: report.txt}
workflows:
  main:
    parameters: {alpha: {type: float, default: 0.5}, rows: {type: int, default: 2}}
    cache: true
    steps:
      prepare: {parameters: {raw: raw.csv, rows: "${{ parameters.rows }}"}}
      train: {parameters: {data: "${{ steps.prepare.outputs.data }}", alpha: "${{ parameters.alpha }}"}}
      report: {parameters: {model: "${{ steps.train.outputs.model }}"}}
"""
TRAIN = """mkdir model; (cat $1; echo "weights for $2") > model/weights.txt; echo '{"rmse": 0.25}' > metrics.json\n"""
ALL, NONE = (dict.fromkeys(("prepare", "train", "report"), each) for each in (True, False))


@pytest.fixture
def stores() -> Iterator[Stores]:
    opened = open_stores(settings.load())
    yield opened
    opened.close()


@pytest.fixture
def counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], int]:
    """How often the command of an entry point ran."""
    folder = tmp_path / "counts"
    folder.mkdir()
    monkeypatch.setenv("COUNTS", str(folder))
    return lambda name: len((folder / name).read_text().split()) if (folder / name).exists() else 0


@pytest.fixture
def kitchen(stores: Stores, tmp_path: Path, counts: Callable[[str], int]) -> Kitchen:
    made = Kitchen(stores, tmp_path / "wine")
    made.write(MLproject=WINE, train__sh=TRAIN, raw__csv="1\n2\n3\n4\n")
    return made


def why(kitchen: Kitchen, cooked: Cooked, label: str) -> Explanation:
    (found,) = explain(kitchen.stores, kitchen.run(cooked.run_of(label)))
    return found


def reasons(kitchen: Kitchen, cooked: Cooked, label: str) -> list[str]:
    return [text for reason in why(kitchen, cooked, label).reasons for text in (reason.text, *reason.details)]


# -- what is taken over ------------------------------------------------------------------------------


def test_what_was_done_once_is_taken_over(kitchen: Kitchen, counts: Callable[[str], int], tmp_path: Path) -> None:
    """As runs that link to the first ones and have all that these have, for a person and for the steps after them."""
    first, second = kitchen.cook(), kitchen.cook()
    assert first.cached == NONE
    assert second.cached == ALL
    assert (counts("prepare"), counts("train")) == (1, 1)
    made, taken = kitchen.run(first.run_of("train")), kitchen.run(second.run_of("train"))
    assert taken.info.run_id != made.info.run_id
    assert (taken.info.status, taken.info.parent_run_id) == ("FINISHED", second.run_id)
    assert taken.data.tags["toolkit.cached_from"] == made.info.run_id
    assert taken.data.tags["toolkit.cache"] == "hit"
    assert taken.data.tags["toolkit.cache_key"] == made.data.tags["toolkit.cache_key"]
    assert taken.data.metrics == {"rmse": 0.25}
    assert taken.data.params == made.data.params
    assert kitchen.files(taken.info.run_id) == kitchen.files(made.info.run_id)
    assert kitchen.text(taken.info.run_id, "model/weights.txt", tmp_path) == "1\n2\nweights for 0.5\n"
    assert second.outcomes["train"].metrics == {"rmse": 0.25}
    assert why(kitchen, second, "train").text.startswith(f"its results were taken over from run {made.info.run_id}")


def test_a_run_that_was_taken_over_is_no_source_but_links_to_the_first(kitchen: Kitchen) -> None:
    first = kitchen.cook()
    kitchen.cook()
    third = kitchen.cook()
    assert third.outcomes["prepare"].cached_from == first.run_of("prepare")


def test_a_hit_costs_few_calls_of_the_store(kitchen: Kitchen) -> None:
    """Its key, the run, its files, and one write; what a folder holds is not asked for file by file."""
    kitchen.cook()
    counted = Counted(kitchen.stores.runs)
    kitchen.stores = replace(kitchen.stores, runs=counted)
    assert kitchen.cook().cached == ALL
    per_step = {"find_step_keys": 3, "get_run": 3, "list_artifacts": 3, "apply": 3}
    assert {name: number for name, number in counted.calls.items() if name in per_step} == per_step
    assert not {"log_batch", "keep_step_key", "record_artifacts"} & set(counted.calls)


# -- what changes a key ------------------------------------------------------------------------------


def edit(name: str, text: str) -> Callable[[Kitchen], dict[str, Any]]:
    def change(kitchen: Kitchen) -> dict[str, Any]:
        (kitchen.project / name).write_text(text)
        return {}

    return change


CHANGES: dict[str, tuple[Callable[[Kitchen], dict[str, Any]], dict[str, bool], str, list[str]]] = {
    "a parameter": (
        lambda _: {"parameters": {"alpha": "0.75"}},
        {"prepare": True, "train": False, "report": False},
        "train",
        ["parameter alpha: '0.5' -> '0.75'"],
    ),
    "a file of code": (
        edit("train.sh", TRAIN + "# a comment\n"),
        NONE,
        "train",
        ["the code", "changed train.sh", "step prepare before it"],
    ),
    "a new file": (edit("more.sh", "true"), NONE, "prepare", ["the code", "added more.sh"]),
    "data": (
        edit("raw.csv", "9\n8\n7\n"),
        NONE,
        "prepare",
        ["the content of raw", "the code", "changed raw.csv"],
    ),
    "a package": (
        lambda _: {"lock": "made-up==1.2.3\n"},
        NONE,
        "prepare",
        ["the environment", "made-up none -> 1.2.3"],
    ),
    "a command": (
        edit("MLproject", WINE.replace("head -n", "tail -n")),
        NONE,
        "prepare",
        ["the command"],
    ),
    "a command that leaves the same": (
        edit("MLproject", WINE.replace("head -n", "head   -n")),
        NONE,
        "report",
        ["step train before it"],
    ),
    "a declared output": (
        edit("MLproject", WINE.replace("outputs: {report: report.txt}", "outputs: {text: report.txt}")),
        {"prepare": True, "train": True, "report": False},
        "report",
        ["the declared outputs"],
    ),
    "strict": (
        edit(
            "MLproject",
            WINE.replace("    outputs: {data: data.txt}", "    strict: true\n    outputs: {data: data.txt}"),
        ),
        NONE,
        "prepare",
        ["the command"],
    ),
}


@pytest.mark.parametrize("name", list(CHANGES))
def test_what_changes_a_step_makes_it_run_again_and_is_named(kitchen: Kitchen, name: str) -> None:
    change, wanted, label, named = CHANGES[name]
    kitchen.cook()
    target = change(kitchen)
    second = kitchen.cook(**target)
    assert second.cached == wanted
    told = reasons(kitchen, second, label)
    assert [text for text in named if text not in told] == []
    assert any(text.startswith(f"{label}: runs again; changed since run ") for text in second.notes)
    assert kitchen.cook(**target).cached == ALL


def test_what_does_not_matter_makes_nothing_run_again(kitchen: Kitchen, tmp_path: Path) -> None:
    """Times of files, other folders, comments and other steps in the project's file, what is ignored."""
    kitchen.cook()
    os.utime(kitchen.project / "train.sh", (1, 1))
    (kitchen.project / "__pycache__").mkdir()
    (kitchen.project / "__pycache__" / "x.pyc").write_text("x")
    kitchen.write(
        MLproject=WINE.replace("      prepare: {", "      # first\n      prepare: {retries: 1, timeout: 60, ")
    )
    kitchen.project = kitchen.project.rename(tmp_path / "elsewhere")
    assert kitchen.cook().cached == ALL


def test_paths_are_found_where_the_command_finds_them(kitchen: Kitchen, tmp_path: Path) -> None:
    """In the directory of whoever calls, else in the project."""
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    kitchen.cook()
    assert kitchen.cook(caller=elsewhere).cached == ALL
    (elsewhere / "raw.csv").write_text("other")
    assert kitchen.cook(caller=elsewhere).cached == NONE


def test_a_clone_has_the_keys_of_the_directory(kitchen: Kitchen, tmp_path: Path) -> None:
    """What Git ignores does not count; what it does not know yet does, also when a step makes it."""
    kitchen.write(__gitignore="scratch.txt\n")
    kitchen.cook()
    for arguments in (
        ("init", "-q"),
        ("add", "-A"),
        ("-c", "user.name=a", "-c", "user.email=a@b", "commit", "-qm", "x"),
    ):
        subprocess.run(["git", *arguments], cwd=kitchen.project, check=True)
    clone = tmp_path / "clone"
    subprocess.run(["git", "clone", "-q", str(kitchen.project), str(clone)], check=True)
    kitchen.project = clone
    kitchen.write(scratch__txt="x")
    assert kitchen.cook().cached == ALL
    kitchen.write(new__txt="x")
    assert kitchen.cook().cached == NONE


MAKES = """
entry_points:
  make: {command: "date +%N > made.txt"}
  read: {command: "cat made.txt > out.txt", outputs: {out: out.txt}}
workflows: {main: {steps: {make: {}, read: {cache: true, needs: make}}}}
"""


@pytest.mark.parametrize("repository", [False, True], ids=["directory", "repository"])
def test_what_a_step_makes_in_the_project_counts_for_those_after_it(kitchen: Kitchen, repository: bool) -> None:
    kitchen.write(MLproject=MAKES)
    if repository:
        subprocess.run(["git", "init", "-q"], cwd=kitchen.project, check=True)
    kitchen.cook()
    second = kitchen.cook()
    assert second.cached == {"make": False, "read": False}
    assert reasons(kitchen, second, "read")[:2] == ["the code", "changed made.txt"]


def test_going_back_finds_what_was_there(kitchen: Kitchen) -> None:
    """An older result serves as well as the last one."""
    first = kitchen.cook()
    kitchen.cook(parameters={"alpha": "0.75"})
    third = kitchen.cook()
    assert third.outcomes["train"].cached_from == first.run_of("train")


def test_the_nearest_earlier_run_is_compared_with_not_the_last(kitchen: Kitchen) -> None:
    first = kitchen.cook(parameters={"alpha": "0.1"})
    kitchen.write(train__sh=TRAIN + "true\n")
    kitchen.cook(parameters={"alpha": "0.9", "rows": "4"})
    kitchen.write(train__sh=TRAIN)
    third = kitchen.cook(parameters={"alpha": "0.2"})
    assert why(kitchen, third, "train").compared_with == first.run_of("train")
    assert reasons(kitchen, third, "train") == ["parameter alpha: '0.1' -> '0.2'"]


def test_declared_inputs_are_all_that_counts(kitchen: Kitchen) -> None:
    """Files that Git ignores, too; and what is not named does not matter."""
    text = WINE.replace("  train:\n", "  train:\n    inputs: [train.sh, 'lib/*.txt']\n")
    (kitchen.project / "lib").mkdir()
    kitchen.write(MLproject=text.replace("  prepare:\n", "  prepare:\n    inputs: []\n"))
    kitchen.write(notes__md="x")
    (kitchen.project / "lib" / "a.txt").write_text("a")
    (kitchen.project / ".gitignore").write_text("lib\n")
    kitchen.cook()
    kitchen.write(notes__md="other")
    assert kitchen.cook().cached == {"prepare": True, "train": True, "report": False}
    (kitchen.project / "lib" / "a.txt").write_text("b")
    second = kitchen.cook()
    assert second.cached == {"prepare": True, "train": False, "report": False}
    assert reasons(kitchen, second, "train") == ["the code", "changed lib/a.txt"]


def test_inputs_that_are_not_there_are_said(kitchen: Kitchen) -> None:
    kitchen.write(MLproject=WINE.replace("  train:\n", "  train:\n    inputs: [nothing.py]\n"))
    for _ in range(2):
        done = kitchen.cook()
        assert not done.cached["train"]
        assert any("train: not cached: `inputs` names 'nothing.py'" in text for text in done.notes)


def test_a_folder_as_a_parameter_counts_with_all_its_files(kitchen: Kitchen, tmp_path: Path) -> None:
    data = tmp_path / "data"
    (data / "deep").mkdir(parents=True)
    (data / "deep" / "x").write_text("1")
    text = (
        "name: count\nentry_points:\n  count:\n    parameters: {data: path}\n    command: 'cat {data}/deep/* > n'\n"
        "    outputs: {n: n}\nworkflows:\n  main:\n    parameters: {data: path}\n    steps:\n"
        "      count: {cache: true, parameters: {data: '${{ parameters.data }}'}}\n"
    )
    kitchen.write(MLproject=text)
    given: dict[str, Any] = {"parameters": {"data": str(data)}}
    kitchen.cook(**given)
    assert kitchen.cook(**given).cached == {"count": True}
    (data / "deep" / "x").write_text("2")
    third = kitchen.cook(**given)
    assert third.cached == {"count": False}
    assert reasons(kitchen, third, "count")[0] == "the content of data"


# -- what is wanted ----------------------------------------------------------------------------------


def test_without_the_cache_nothing_is_taken_and_nothing_kept(kitchen: Kitchen) -> None:
    off = CacheOptions(off=True)
    done = kitchen.cook(options=off)
    assert why(kitchen, done, "train").text == "it was run with --no-cache"
    assert kitchen.cook().cached == NONE
    assert kitchen.cook(options=off).cached == NONE


def test_a_refreshed_step_runs_and_takes_the_place_of_what_was_there(
    kitchen: Kitchen, counts: Callable[[str], int]
) -> None:
    kitchen.cook()
    second = kitchen.cook(options=CacheOptions(refresh=frozenset({"train"})))
    assert second.cached == {"prepare": True, "train": False, "report": True}
    assert counts("train") == 2
    assert "--refresh" in why(kitchen, second, "train").text
    assert kitchen.cook().outcomes["train"].cached_from == second.run_of("train")


def test_only_steps_that_ask_for_it_are_cached(kitchen: Kitchen) -> None:
    kitchen.write(MLproject=WINE.replace("      prepare: {", "      prepare: {cache: false, "))
    kitchen.cook()
    second = kitchen.cook()
    assert second.cached == {"prepare": False, "train": True, "report": True}
    assert "no `cache: true`" in why(kitchen, second, "prepare").text


def test_a_step_that_is_not_cached_and_leaves_something_else_changes_those_after_it(kitchen: Kitchen) -> None:
    text = WINE.replace("      prepare: {", "      prepare: {cache: false, ")
    kitchen.write(MLproject=text.replace("head -n {rows} {raw}", "(date +%N; head -n {rows} {raw})"))
    kitchen.cook()
    second = kitchen.cook()
    assert second.cached == NONE
    assert reasons(kitchen, second, "train")[0] == "the content of data"


# -- what cannot be cached ---------------------------------------------------------------------------

SCRIPTS = """
entry_points:
  go:
    command: "echo . >> $COUNTS/go"
{declared}
workflows: {{main: {{steps: {{go: {{cache: true}}}}}}}}
"""


def test_who_does_not_say_what_it_leaves_is_not_cached_and_told_so(
    kitchen: Kitchen, counts: Callable[[str], int]
) -> None:
    kitchen.write(MLproject=SCRIPTS.format(declared=""))
    for _ in range(2):
        done = kitchen.cook()
        assert [text for text in done.notes if "declares neither `outputs` nor `metrics`" in text]
    assert counts("go") == 2
    assert "declares neither" in why(kitchen, done, "go").text
    kitchen.write(MLproject=SCRIPTS.format(declared="    outputs: {}"))
    assert [kitchen.cook().cached["go"] for _ in range(2)] == [False, True]
    assert counts("go") == 3


def test_failures_are_not_kept(kitchen: Kitchen, tmp_path: Path) -> None:
    kitchen.write(train__sh=f"test -e {tmp_path}/allowed || exit 3\n{TRAIN}")
    assert kitchen.cook().statuses["train"] == "FAILED"
    second = kitchen.cook()
    assert second.statuses == {"prepare": "FINISHED", "train": "FAILED", "report": "SKIPPED"}
    assert "it is FAILED" in why(kitchen, second, "train").text
    (tmp_path / "allowed").touch()
    assert kitchen.cook().cached == {"prepare": True, "train": False, "report": False}
    assert kitchen.cook().cached == ALL


def test_code_that_changes_while_a_step_runs_is_not_kept(kitchen: Kitchen) -> None:
    """Nobody knows which of the two it was made by."""
    kitchen.write(MLproject=WINE.replace("head -n", f"echo more >> {kitchen.project}/train.sh; head -n"))
    first = kitchen.cook()
    assert any("prepare: its results are not kept for others: the code changed while it ran" in n for n in first.notes)
    assert not kitchen.cook().cached["prepare"]


@pytest.mark.parametrize("how", ["removed", "damaged", "cut", "listed anew", "forgotten"])
def test_outputs_that_are_gone_are_made_again(kitchen: Kitchen, tmp_path: Path, how: str) -> None:
    first = kitchen.cook()
    run = RecordedRun(kitchen.stores, kitchen.run(first.run_of("train")))
    file = run.local_path("model/weights.txt")
    assert file is not None
    file.chmod(0o644)
    content = file.read_bytes()
    match how:
        case "removed":
            file.unlink()
        case "damaged":
            file.write_bytes(content[::-1])
        case "cut":
            file.write_bytes(content[:-1])
        case "listed anew":
            run.log_text("other weights", "model/weights.txt")
        case "forgotten":
            kitchen.stores.runs.forget_artifacts(run.run_id, ["model/weights.txt"])
    second = kitchen.cook()
    assert second.cached == {"prepare": True, "train": False, "report": True}
    assert [text for text in second.notes if f"run {run.run_id[:8]} had its results, but its output 'model'" in text]
    assert kitchen.text(second.run_of("train"), "model/weights.txt", tmp_path) == "1\n2\nweights for 0.5\n"
    third = kitchen.cook()
    assert third.cached == ALL
    assert third.outcomes["train"].cached_from == second.run_of("train")


def test_deleted_runs_are_not_taken_over_and_restored_ones_are(kitchen: Kitchen) -> None:
    first = kitchen.cook()
    deleted = first.run_of("prepare")
    kitchen.stores.runs.update_run(deleted, lifecycle=Lifecycle.DELETED)
    second = kitchen.cook()
    assert second.cached == {"prepare": False, "train": True, "report": True}
    assert "it was deleted" in why(kitchen, second, "prepare").text
    kitchen.stores.runs.update_run(second.run_of("prepare"), lifecycle=Lifecycle.DELETED)
    kitchen.stores.runs.update_run(deleted, lifecycle=Lifecycle.ACTIVE)
    assert kitchen.cook().outcomes["prepare"].cached_from == deleted


def test_a_store_that_fails_costs_the_cache_and_nothing_else(kitchen: Kitchen) -> None:
    """As a server does that is older than its client."""

    class Broken(Counted):
        def find_step_keys(self, query: StepKeyQuery) -> Sequence[StepKey]:
            del query
            raise StoreError("it does not know such a thing")

    kitchen.cook()
    kitchen.stores = replace(kitchen.stores, runs=Broken(kitchen.stores.runs))
    done = kitchen.cook()
    assert done.statuses == dict.fromkeys(ALL, "FINISHED")
    assert done.cached == NONE
    assert "train: nothing is taken over (it does not know such a thing)" in done.notes


# -- several at once, elsewhere, later ---------------------------------------------------------------


def test_two_at_once_are_both_right(kitchen: Kitchen, tmp_path: Path) -> None:
    """Neither sees the other; both results may be taken over."""
    barrier = threading.Barrier(2)

    def cook(_: int) -> Cooked:
        barrier.wait()
        return kitchen.cook()

    with ThreadPoolExecutor(2) as pool:
        both = list(pool.map(cook, range(2)))
    for done in both:
        assert done.statuses == dict.fromkeys(ALL, "FINISHED")
        assert kitchen.text(done.run_of("report"), "report.txt", tmp_path) == "1\n2\nweights for 0.5\n"
    assert kitchen.cook().cached == ALL


def test_a_team_takes_over_from_each_other_through_a_server(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, counts: Callable[[str], int]
) -> None:
    """Two homes, two copies of the project, artifacts through the server."""
    with serving(tmp_path / "server") as server:
        monkeypatch.setenv("TOOLKIT_TRACKING_URI", server.url)
        done = []
        for name in ("ada", "bob"):
            monkeypatch.setenv("TOOLKIT_HOME", str(tmp_path / name))
            stores = open_stores(settings.load())
            kitchen = Kitchen(stores, tmp_path / f"{name}-project")
            kitchen.write(MLproject=WINE, train__sh=TRAIN, raw__csv="1\n2\n3\n4\n")
            done.append(kitchen.cook())
            if name == "bob":
                assert why(kitchen, done[1], "train").taken_from == done[0].run_of("train")
                text = kitchen.text(done[1].run_of("report"), "report.txt", tmp_path)
                assert text == "1\n2\nweights for 0.5\n"
                other = kitchen.cook(parameters={"alpha": "0.75"})
                assert other.cached == {"prepare": True, "train": False, "report": False}
                weights = kitchen.text(other.run_of("train"), "model/weights.txt", tmp_path)
                assert weights == "1\n2\nweights for 0.75\n"
                assert reasons(kitchen, other, "train") == ["parameter alpha: '0.5' -> '0.75'"]
            stores.close()
    assert [each.cached for each in done] == [NONE, ALL]
    assert counts("prepare") == 1


# -- what is taken over belongs to who made it -------------------------------------------------------


def test_files_of_a_run_that_was_taken_over_are_not_written_and_not_deleted_through_the_other(kitchen: Kitchen) -> None:
    first, second = kitchen.cook(), kitchen.cook()
    taken = RecordedRun(kitchen.stores, kitchen.run(second.run_of("prepare")))
    with pytest.raises(Conflict, match="log files to a run of their own"):
        taken.log_text("other", "data.txt")
    assert taken.remove(["data.txt"]) == ["data.txt"]
    made = RecordedRun(kitchen.stores, kitchen.run(first.run_of("prepare")))
    assert made.local_path("data.txt") is not None
    assert kitchen.cook().cached == ALL


def collect(kitchen: Kitchen) -> list[str]:
    stores = kitchen.stores
    found = Collector(
        stores,
        Collection(remove=True, lease_ms=0),
        needed=needed_by_takers(stores.runs, open_catalog(stores).registered.needed_by),
    ).collect()
    assert found.failures == []
    assert found.outside.count == 0
    return found.kept


def test_garbage_collection_keeps_what_was_taken_over_and_drops_entries_with_their_runs(
    kitchen: Kitchen, tmp_path: Path
) -> None:
    first, second = kitchen.cook(), kitchen.cook()
    made, taken = first.run_of("prepare"), second.run_of("prepare")
    kitchen.stores.runs.update_run(made, lifecycle=Lifecycle.DELETED)
    assert collect(kitchen) == [f"run {made}: needed by run {taken}, which took its results over"]
    assert kitchen.text(taken, "data.txt", tmp_path) == "1\n2\n"
    kitchen.stores.runs.update_run(taken, lifecycle=Lifecycle.DELETED)
    assert collect(kitchen) == []
    assert not list((kitchen.stores.home / "artifacts").rglob(f"*/{made}/artifacts/*"))
    assert kitchen.cook().cached == {"prepare": False, "train": True, "report": True}


def test_a_damaged_file_that_is_too_large_to_be_read_beforehand_is_found_when_it_is_used(
    kitchen: Kitchen, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The step that reads it fails, and the next run makes it again."""
    monkeypatch.setattr("toolkit.flows.taking._READ_AT_ONCE", 0)
    first = kitchen.cook()
    file = RecordedRun(kitchen.stores, kitchen.run(first.run_of("prepare"))).local_path("data.txt")
    assert file is not None
    file.chmod(0o644)
    file.write_bytes(file.read_bytes()[::-1])
    second = kitchen.cook(parameters={"alpha": "0.75"})
    assert second.statuses["train"] == "FAILED"
    assert "is damaged: run again" in str(second.outcomes["train"].reason)
    assert kitchen.cook(parameters={"alpha": "0.75"}).cached == NONE
