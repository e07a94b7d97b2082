"""The commands that make, rename, delete and restore experiments and runs."""

from __future__ import annotations

import csv
import io
from pathlib import Path

from calls import Cli

from toolkit.recording.run import RecordedRun
from toolkit.recording.stores import Stores
from toolkit.tracking.records import Lifecycle, RunStatus


def test_an_experiment_from_its_making_to_its_end(cli: Cli) -> None:
    first = cli("experiments", "create", "-n", "wine").out.strip()
    assert cli("experiments", "get", "-x", first, "--output", "json").json["name"] == "wine"
    assert cli("experiments", "create", "-n", "wine").is_one_clear_error()
    assert cli("experiments", "rename", "-x", first, "--new-name", "red wine").code == 0
    assert cli("experiments", "get", "-n", "red wine", "--output", "json").json["experiment_id"] == first
    assert cli("experiments", "delete", "-x", first).code == 0
    names = [row["name"] for row in cli("experiments", "search", "-v", "deleted_only", "--json").json["experiments"]]
    assert names == ["red wine"]
    assert "red wine" not in cli("experiments", "list").out
    assert cli("experiments", "restore", "-x", first).code == 0
    assert "red wine" in cli("experiments", "list").out


def test_the_name_of_a_deleted_experiment_can_be_used_again(cli: Cli) -> None:
    first = cli("experiments", "create", "-n", "wine", "-l", "file:///elsewhere").out.strip()
    cli("experiments", "delete", "-x", first)
    second = cli("experiments", "create", "-n", "wine").out.strip()
    assert second != first
    clash = cli("experiments", "restore", "-x", first)
    assert clash.is_one_clear_error()
    assert "--new-name" in clash.err
    assert cli("experiments", "restore", "-x", first, "--new-name", "old wine").code == 0
    assert cli("gc", "--yes").code == 0
    assert cli("experiments", "get", "-n", "old wine").code == 0


def test_experiments_that_are_named_wrongly(cli: Cli) -> None:
    assert cli("experiments", "get").is_one_clear_error()
    assert cli("experiments", "get", "-n", "nobody's").is_one_clear_error()
    assert cli("experiments", "get", "-x", "0", "--output", "yaml").is_one_clear_error()
    assert cli("experiments", "delete", "-x", "77").is_one_clear_error()


def test_runs_as_csv(cli: Cli, tree: list[RecordedRun], workdir: Path) -> None:
    experiment_id = tree[0].info.experiment_id
    rows = list(csv.DictReader(io.StringIO(cli("experiments", "csv", "-x", experiment_id).out)))
    assert {row["run_id"] for row in rows} == {run.run_id for run in tree}
    by_name = {row["tags.mlflow.runName"]: row for row in rows}
    assert (by_name["whole"]["params.alpha"], by_name["whole"]["status"]) == ("0.5", "FINISHED")
    assert (by_name["train"]["metrics.rmse"], by_name["train"]["metrics.bad"]) == ("0.123456789", "nan")
    assert by_name["whole"]["params.long"] == "first line\nsecond line"
    assert cli("experiments", "csv", "-x", experiment_id, "-o", "runs.csv").out == ""
    with (workdir / "runs.csv").open(newline="") as file:
        assert list(csv.DictReader(file)) == rows


def test_a_run_by_hand(cli: Cli, stores: Stores) -> None:
    run_id = cli(
        *("runs", "create", "--experiment-name", "wine", "--run-name", "by hand", "--description", "tasted"),
        *("-t", "who=ada", "-t", "empty=", "--status", "failed"),
    ).out.strip()
    run = stores.runs.get_run(run_id)
    assert (run.info.run_name, run.info.status) == ("by hand", RunStatus.FAILED)
    assert run.info.end_time == run.info.start_time
    assert (run.data.tags["who"], run.data.tags["empty"], run.data.tags["mlflow.note.content"]) == ("ada", "", "tasted")
    child = cli("runs", "create", "--parent-run-id", run_id[:8]).out.strip()
    assert cli("runs", "describe", "--run-id", child).json["parent_run_id"] == run_id
    for wrong in (["--status", "RUNNING"], ["-t", "who"], ["--experiment-id", "0", "--experiment-name", "wine"]):
        assert cli("runs", "create", *wrong).is_one_clear_error()


def test_runs_are_deleted_and_restored(cli: Cli, stores: Stores, tree: list[RecordedRun]) -> None:
    ids = [run.run_id for run in tree]
    assert cli("runs", "delete", ids[1][:8], "--run-id", ids[2]).code == 0
    assert [stores.runs.get_run(one).info.lifecycle_stage for one in ids] == [
        Lifecycle.ACTIVE,
        Lifecycle.DELETED,
        Lifecycle.DELETED,
    ]
    deleted = cli("runs", "list", "--all", "-v", "deleted_only", "--json").json["runs"]
    assert {run["run_id"] for run in deleted} == set(ids[1:])
    assert cli("runs", "describe", "--run-id", ids[1]).json["run_id"] == ids[1]
    assert cli("runs", "restore", *ids[1:]).code == 0
    assert len(cli("runs", "list", "--all", "--json").json["runs"]) == 3
    assert cli("runs", "delete").is_one_clear_error()
    assert cli("runs", "restore", "nope").is_one_clear_error()


def test_a_run_of_a_deleted_experiment_is_not_restored_alone(cli: Cli, tree: list[RecordedRun]) -> None:
    cli("experiments", "delete", "-x", tree[0].info.experiment_id)
    answer = cli("runs", "restore", tree[0].run_id)
    assert answer.is_one_clear_error()
    assert "experiments restore" in answer.err
