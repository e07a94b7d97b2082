"""The commands that read: experiments, runs, artifacts, status; for people, for pipes and as JSON."""

from __future__ import annotations

import hashlib
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from calls import Cli

from toolkit.recording.lease import Leases
from toolkit.recording.run import RecordedRun
from toolkit.recording.stores import Stores
from toolkit.testing.runs import add_run
from toolkit.tracking.records import RunStatus


def rows(text: str) -> list[list[str]]:
    return [line.split("\t") for line in text.splitlines()]


# -- an empty store ----------------------------------------------------------------------------------


def test_a_fresh_home_has_nothing_and_that_is_fine(cli: Cli) -> None:
    assert len(rows(cli("runs", "list").out)) == 1
    assert cli("runs", "list", "--json").json == {"schema": 1, "runs": []}
    assert [row["name"] for row in cli("experiments", "list", "--json").json["experiments"]] == ["Default"]
    assert cli("runs", "show", "@last").is_one_clear_error()


# -- runs list ---------------------------------------------------------------------------------------


def test_runs_are_listed_without_their_parts(cli: Cli, tree: list[RecordedRun]) -> None:
    header, *found = rows(cli("runs", "list").out)
    assert header == ["run", "name", "status", "started", "duration", "metrics"]
    assert [row[:3] for row in found] == [[tree[0].run_id, "whole", "FINISHED"]]


def test_all_lists_the_parts_too(cli: Cli, tree: list[RecordedRun]) -> None:
    document = cli("runs", "list", "--all", "--json").json
    assert document["schema"] == 1
    assert {run["run_id"] for run in document["runs"]} == {run.run_id for run in tree}
    train = next(run for run in document["runs"] if run["run_name"] == "train")
    assert train["parent_run_id"] == tree[0].run_id
    assert train["metrics"] == {"rmse": 0.123456789, "system/cpu_seconds": 1.0, "bad": "NaN"}


def test_people_see_short_numbers_and_no_system_metrics(cli: Cli, tree: list[RecordedRun]) -> None:
    out = cli("runs", "list", "-a").out
    assert "rmse=0.123457" in out
    assert "system/" not in out


def test_runs_can_be_narrowed(cli: Cli, stores: Stores, leases: Leases, tree: list[RecordedRun]) -> None:
    RecordedRun.start(stores, leases, experiment_id="0", name="broken").end(RunStatus.FAILED, "it broke")

    def names(*options: str) -> list[str]:
        return [run["run_name"] for run in cli("runs", "list", "--json", *options).json["runs"]]

    assert names() == ["broken", "whole"]
    assert names("-n", "1") == ["broken"]
    assert names("-x", "wine") == ["whole"]
    assert names("--experiment", tree[0].info.experiment_id) == ["whole"]
    assert names("--status", "failed") == ["broken"]
    assert names("--status", "RUNNING") == []


def test_wrong_filters_are_said(cli: Cli, tree: list[RecordedRun]) -> None:
    answer = cli("runs", "list", "--status", "done")
    assert answer.is_one_clear_error()
    assert "FINISHED" in answer.err
    answer = cli("runs", "list", "-x", "wien")
    assert answer.is_one_clear_error()
    assert "wine" in answer.err


# -- runs show ---------------------------------------------------------------------------------------


def test_show_tells_all_of_a_run_and_the_tree_of_its_steps(cli: Cli, tree: list[RecordedRun]) -> None:
    lines = cli("runs", "show", tree[0].run_id).out.splitlines()
    assert lines[0].startswith("whole  FINISHED")
    text = "\n".join(lines)
    assert f"run         {tree[0].run_id}" in text
    assert "alpha  0.5" in text
    assert "first line …" in text
    assert "second line" not in text
    assert "team" in text
    assert "model/weights.txt" in text
    steps = lines[lines.index("steps") + 1 :]
    assert [step.split()[1] for step in steps] == ["prepare", "train"]
    assert tree[2].run_id in steps[1]
    assert "rmse=0.123457" in steps[1]


def test_show_as_json_is_the_whole_tree(cli: Cli, tree: list[RecordedRun]) -> None:
    document = cli("runs", "show", "@last", "--json").json
    assert document["schema"] == 1
    assert document["params"]["long"] == "first line\nsecond line"
    assert [child["run_name"] for child in document["children"]] == ["prepare", "train"]
    assert document["artifacts"][1] == {
        "path": "notes.txt",
        "size": 6,
        "sha256": hashlib.sha256(b"notes\n").hexdigest(),
    }
    assert document["start_time"].endswith("Z")


def test_the_reason_of_a_failure_is_shown(cli: Cli, stores: Stores, leases: Leases) -> None:
    RecordedRun.start(stores, leases, experiment_id="0", name="x").end(RunStatus.FAILED, "step 'a' exited with 3")
    assert "reason      step 'a' exited with 3" in cli("runs", "show", "@last").out


# -- how a run is named ------------------------------------------------------------------------------


def test_a_run_is_found_by_id_beginning_of_it_name_and_last(cli: Cli, tree: list[RecordedRun]) -> None:
    wanted = tree[0].run_id
    for text in (wanted, wanted[:8], wanted[:4], "whole", "@last"):
        assert cli("runs", "show", text, "--json").json["run_id"] == wanted


def test_a_step_is_found_by_its_name(cli: Cli, tree: list[RecordedRun]) -> None:
    assert cli("runs", "show", "train", "--json").json["run_id"] == tree[2].run_id


def test_what_names_several_runs_is_refused_with_their_ids(cli: Cli, stores: Stores) -> None:
    for run_id in ("abcd1111", "abcd2222"):
        add_run(stores.runs, run_id=run_id, run_name="twin")
    for text in ("abcd", "twin"):
        answer = cli("runs", "show", text)
        assert answer.is_one_clear_error()
        assert "abcd1111" in answer.err
        assert "abcd2222" in answer.err
    assert cli("runs", "show", "abcd1", "--json").json["run_id"] == "abcd1111"


def test_a_whole_id_wins_over_longer_ones(cli: Cli, stores: Stores) -> None:
    for run_id in ("abcd1111", "abcd11112222"):
        add_run(stores.runs, run_id=run_id, run_name=f"run-{run_id}")
    assert cli("runs", "show", "abcd1111", "--json").json["run_id"] == "abcd1111"


def test_a_name_may_look_like_the_beginning_of_nothing(cli: Cli, stores: Stores) -> None:
    add_run(stores.runs, run_id="f" * 32, run_name="50%_done")
    assert cli("runs", "show", "50%_done", "--json").json["run_id"] == "f" * 32
    assert cli("runs", "show", "ff%f").is_one_clear_error()


def test_no_such_run_says_what_was_wanted(cli: Cli, tree: list[RecordedRun]) -> None:
    answer = cli("runs", "show", "nowhere")
    assert answer.is_one_clear_error()
    assert "'nowhere'" in answer.err
    assert "@last" in answer.err


# -- lost runs ---------------------------------------------------------------------------------------


def test_the_next_command_marks_what_was_lost(cli: Cli, stores: Stores) -> None:
    with subprocess.Popen(
        [
            sys.executable,
            "-c",
            "import sys, toolkit; toolkit.start_run(run_name='gone'); print(1, flush=True); input()",
        ],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as process:
        assert process.stdout is not None
        process.stdout.readline()
        assert [run["status"] for run in cli("runs", "list", "--json").json["runs"]] == ["RUNNING"]
        process.send_signal(signal.SIGKILL)
    answer = cli("runs", "list", "--json")
    assert "run gone (" in answer.err
    assert "was lost: heartbeat_lost" in answer.err
    assert [run["status"] for run in answer.json["runs"]] == ["FAILED"]
    assert cli("runs", "list").err == ""


# -- artifacts ---------------------------------------------------------------------------------------


def test_artifacts_are_listed(cli: Cli, tree: list[RecordedRun]) -> None:
    assert [row[:2] for row in rows(cli("artifacts", "list", "@last").out)] == [
        ["path", "size"],
        ["model/weights.txt", "6 B"],
        ["notes.txt", "6 B"],
    ]
    document = cli("artifacts", "list", "@last", "model", "--json").json
    assert (document["schema"], [entry["path"] for entry in document["artifacts"]]) == (1, ["model/weights.txt"])


def test_artifacts_are_fetched_to_here(cli: Cli, tree: list[RecordedRun], workdir: Path) -> None:
    answer = cli("artifacts", "get", "whole")
    assert answer.code == 0
    assert (workdir / "notes.txt").read_text() == "notes\n"
    assert (workdir / "model" / "weights.txt").read_text() == "model\n"


def test_one_artifact_is_fetched_to_a_folder(cli: Cli, tree: list[RecordedRun], tmp_path: Path) -> None:
    document = cli("artifacts", "get", "@last", "model", "-d", str(tmp_path / "new"), "--json").json
    assert document == {"schema": 1, "files": [str(tmp_path / "new" / "model" / "weights.txt")]}
    assert not (tmp_path / "new" / "notes.txt").exists()


def test_a_file_that_is_there_is_kept_unless_told(cli: Cli, tree: list[RecordedRun], workdir: Path) -> None:
    (workdir / "notes.txt").write_text("mine")
    answer = cli("artifacts", "get", "@last")
    assert answer.is_one_clear_error()
    assert "--overwrite" in answer.err
    assert (workdir / "notes.txt").read_text() == "mine"
    assert not (workdir / "model").exists()
    assert cli("artifacts", "get", "@last", "--overwrite").code == 0
    assert (workdir / "notes.txt").read_text() == "notes\n"


def test_an_artifact_that_is_not_there_is_said(cli: Cli, tree: list[RecordedRun], workdir: Path) -> None:
    answer = cli("artifacts", "get", "@last", "nope.txt")
    assert answer.is_one_clear_error()
    assert "nope.txt" in answer.err
    assert list(workdir.iterdir()) == []


# -- experiments, services ---------------------------------------------------------------------------


def test_experiments_are_listed_newest_first(cli: Cli, tree: list[RecordedRun]) -> None:
    header, *found = rows(cli("experiments", "list").out)
    assert header[:2] == ["id", "name"]
    assert [row[1] for row in found] == ["wine", "Default"]
    document = cli("experiments", "list", "--json", "-n", "1").json
    assert (document["schema"], [row["name"] for row in document["experiments"]]) == (1, ["wine"])


def test_services_that_do_not_run_are_shown_and_need_no_stop(cli: Cli) -> None:
    assert [row[:2] for row in rows(cli("status").out)][1] == ["prefect", "absent"]
    document = cli("status", "--json").json
    assert (document["schema"], document["services"][0]["state"]) == (1, "absent")
    assert cli("down").err == "nothing was running\n"


def test_the_users_own_prefect_server_is_named(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PREFECT_API_URL", "http://127.0.0.1:9/api")
    assert cli("status", "--json").json["services"][0]["state"] == "external"
    answer = cli("up")  # the other service is started all the same
    assert answer.code == 1
    assert [line for line in answer.err.splitlines() if "PREFECT_API_URL" in line] == answer.err.splitlines()[-1:]
    assert [row["state"] for row in cli("status", "--json").json["services"]] == ["external", "running"]
    assert cli("down").err.startswith("stopped tracking")
