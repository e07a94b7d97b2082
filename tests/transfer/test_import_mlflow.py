"""What MLflow 3 made and what is here after the import: the same, field by field."""

from __future__ import annotations

import hashlib
import json
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from everything import everything, exact
from made_by_mlflow import MadeByMlflow

from toolkit.cli.main import main
from toolkit.ids import new_run_id
from toolkit.recording.stores import Stores
from toolkit.tracking.records import Lifecycle, RunStatus
from toolkit.transfer.importer import INCOMPLETE, WHILE_RUNNING, Importer
from toolkit.transfer.opening import open_source
from toolkit.transfer.outcome import Bytes, Imported, Wanted

GREATEST = float.fromhex("0x1.fffffffffffffp+1023")


def take(stores: Stores, made: MadeByMlflow, **wanted: object) -> Imported:
    source = open_source(made.uri, made.artifacts_from)
    try:
        return Importer(stores, source, Wanted(**wanted)).run()  # type: ignore[arg-type]
    finally:
        source.close()


def infinite(value: str) -> str:
    """Return a number of MLflow's database as it was logged: MLflow makes finite what is not."""
    number = float("nan") if value == "NaN" else float.fromhex(value)
    return exact(number * 2) if abs(number) == GREATEST else value


def as_expected(made: MadeByMlflow) -> dict[str, Any]:
    """Return what MLflow read, in the form of `as_found`."""
    database = made.uri.partition(":")[0] in ("sqlite", "postgresql")

    def exactly(value: str) -> str:
        return infinite(value) if database else value

    found = {}
    for experiment_id, experiment in made.expected.items():
        runs = {}
        for run_id, run in experiment["runs"].items():
            points = {key: sorted((s, t, exactly(v)) for s, t, v in all_) for key, all_ in run["points"].items()}
            runs[run_id] = {
                **{name: run[name] for name in ("name", "user", "status", "start", "end", "stage", "params", "tags")},
                "points": points,
                "latest": {key: exactly(value) for key, value in run["latest"].items()},
                "inputs": run["inputs"],
            }
        found[experiment_id] = {**{name: experiment[name] for name in ("name", "stage")}, "runs": runs}
        if experiment_id != "0":
            found[experiment_id] |= {"tags": experiment["tags"], "created": experiment["created"]}
    return found


def as_found(stores: Stores) -> dict[str, Any]:
    found = {}
    for experiment_id, experiment in everything(stores).items():
        runs = {}
        for run_id, run in experiment["runs"].items():
            info = run["info"]
            runs[run_id] = {
                "name": info["run_name"],
                "user": info["user_id"],
                "status": info["status"],
                "start": info["start_time"],
                "end": info["end_time"],
                "stage": info["lifecycle_stage"],
                "params": run["params"],
                "tags": run["tags"],
                "points": {key: sorted(points) for key, points in run["points"].items()},
                "latest": run["latest"],
                "inputs": sorted(
                    [one[name] for name in ("name", "digest", "source_type", "source", "schema", "profile")]
                    + [sorted([key, value] for key, value in one["tags"].items())]
                    for one in run["inputs"]
                ),
            }
        found[experiment_id] = {"name": experiment["name"], "stage": experiment["lifecycle_stage"], "runs": runs}
        if experiment_id != "0":
            found[experiment_id] |= {"tags": experiment["tags"], "created": experiment["creation_time"]}
    return found


def is_the_same(stores: Stores, made: MadeByMlflow, done: Imported) -> None:
    assert done.failures == []
    assert [row for row in done.source.rows(done.target) if row[1] != row[2]] == []
    assert as_found(stores) == as_expected(made)


def first_run(made: MadeByMlflow) -> str:
    runs = {run["name"]: run_id for one in made.expected.values() for run_id, run in one["runs"].items()}
    return str(runs["first, ünï 🍷"])


def test_a_database_comes_field_by_field(stores: Stores, database: MadeByMlflow) -> None:
    before = hashlib.sha256((database.folder / "mlflow.db").read_bytes()).digest()
    done = take(stores, database)
    is_the_same(stores, database, done)
    assert dict(done.left_out) == {"registered models": 1}
    assert hashlib.sha256((database.folder / "mlflow.db").read_bytes()).digest() == before
    assert sorted(path.name for path in database.folder.iterdir() if path.name.startswith("mlflow.db")) == ["mlflow.db"]


def test_a_folder_comes_field_by_field(stores: Stores, mlruns: MadeByMlflow) -> None:
    is_the_same(stores, mlruns, take(stores, mlruns))


@pytest.mark.parametrize("uri", ["sqlite:///FOLDER/mlflow.db", "file://FOLDER/mlruns"])
def test_what_mlflow_makes_now_comes_field_by_field(
    stores: Stores, live: Callable[[str], MadeByMlflow], uri: str
) -> None:
    made = live(uri)
    is_the_same(stores, made, take(stores, made))


@pytest.mark.parametrize("kind", ["database", "mlruns"])
def test_artifacts_are_copied_with_their_digests(stores: Stores, kind: str, request: pytest.FixtureRequest) -> None:
    made = request.getfixturevalue(kind)
    assert take(stores, made).files == 3
    run_id = first_run(made)
    run = stores.runs.get_run(run_id)
    assert run.info.artifact_uri.startswith(stores.artifact_root)
    files = next(one["runs"][run_id] for one in everything(stores).values() if run_id in one["runs"])["files"]
    assert {path: content for path, (_, _, _, content) in files.items()} == {
        "notes.txt": b"hello\n",
        "empty.bin": b"",
        "sub dir/100% [a]+ü.txt": "wëird".encode(),
    }
    assert files["notes.txt"][1] == hashlib.sha256(b"hello\n").hexdigest()


def test_artifacts_can_stay_where_they_are(stores: Stores, database: MadeByMlflow) -> None:
    take(stores, database, artifacts=Bytes.REFERENCE)
    run = stores.runs.get_run(first_run(database))
    entries = stores.runs.list_artifacts(run.info.run_id).items
    assert run.info.artifact_uri.startswith("file:///srv/mlflow/")
    assert {entry.path: entry.size for entry in entries}["notes.txt"] == 6
    assert list(stores.artifacts.list()) == []


def test_the_address_alone_can_be_kept(stores: Stores, database: MadeByMlflow) -> None:
    done = take(stores, database, artifacts=Bytes.NONE)
    assert done.failures == []
    assert stores.runs.get_run(first_run(database)).info.artifact_uri.startswith("file:///srv/mlflow/")
    assert stores.runs.list_artifacts(first_run(database)).items == []


def test_doing_it_again_changes_nothing(stores: Stores, database: MadeByMlflow) -> None:
    take(stores, database)
    before = everything(stores)
    done = take(stores, database)
    assert (done.new, done.there, done.points) == (0, 6, 0)
    assert everything(stores) == before


def test_what_was_changed_here_is_left_alone(stores: Stores, database: MadeByMlflow) -> None:
    take(stores, database)
    run_id = first_run(database)
    stores.runs.log_batch(run_id, tags={"mlflow.runName": "renamed here", "new": "1"})
    assert take(stores, database).there == 6
    assert stores.runs.get_run(run_id).info.run_name == "renamed here"


def test_a_dry_run_writes_nothing(stores: Stores, database: MadeByMlflow) -> None:
    before = everything(stores)
    source = open_source(database.uri, database.artifacts_from)
    shown = Importer(stores, source, Wanted()).preview()
    source.close()
    assert (shown.source.runs, shown.source.points, shown.target.runs) == (6, 316, 0)
    assert everything(stores) == before


def test_one_experiment_by_name_or_id(stores: Stores, database: MadeByMlflow) -> None:
    assert take(stores, database, experiments=["gone"]).new == 1
    assert stores.runs.find_experiment("wine") is None
    assert take(stores, database, experiments=["1"]).new == 5


def test_ids_that_are_taken(stores: Stores, database: MadeByMlflow) -> None:
    """An experiment of another name has the id: a new one is given, and the tag says the old one."""
    mine = stores.runs.create_experiment("mine").experiment_id
    other = stores.runs.create_experiment("gone").experiment_id
    assert (mine, other) == ("1", "2")
    done = take(stores, database)
    wine = stores.runs.find_experiment("wine")
    assert wine is not None
    assert wine.tags["toolkit.import.experiment_id"] == "1"
    assert stores.runs.get_experiment("2").lifecycle_stage is Lifecycle.ACTIVE, "the deleted one goes beside it"
    assert {(name, before) for name, before, _ in done.moved} == {("wine", "1"), ("gone", "2")}
    assert done.failures == []
    before = everything(stores)
    assert take(stores, database).there == 6
    assert everything(stores) == before


def test_into_an_experiment_of_the_same_name(stores: Stores, database: MadeByMlflow) -> None:
    wine = stores.runs.create_experiment("wine", experiment_id="77", tags={"team": "mine"})
    take(stores, database)
    found = stores.runs.find_experiment("wine")
    assert found is not None
    assert found.experiment_id == wine.experiment_id
    assert found.tags == {"team": "mine", "mlflow.note.content": "line\nline"}
    assert stores.runs.get_run(first_run(database)).info.experiment_id == "77"


def test_a_run_that_goes_on_there_is_said_to(stores: Stores, database: MadeByMlflow) -> None:
    take(stores, database)
    runs = [run for one in everything(stores).values() for run in one["runs"].values()]
    assert [run["info"]["reason"] for run in runs if run["info"]["status"] == RunStatus.RUNNING] == [WHILE_RUNNING]
    assert stores.runs.lost_candidates("anywhere") == []


# -- what goes wrong ---------------------------------------------------------------------------------


def change(made: MadeByMlflow, statement: str) -> None:
    connection = sqlite3.connect(made.folder / "mlflow.db")
    with connection:
        connection.execute(statement)
    connection.close()


def test_artifacts_behind_a_server_need_a_folder(
    stores: Stores, database: MadeByMlflow, capsys: pytest.CaptureFixture[str]
) -> None:
    """Nothing is lost by asking: the runs come, and the second time their files."""
    change(
        database, "UPDATE runs SET artifact_uri = replace(artifact_uri, 'file:///srv/mlflow/', 'mlflow-artifacts:/')"
    )
    assert main(["import", database.uri]) == 1
    said = capsys.readouterr().err
    assert "--artifacts-from DIR" in said
    assert stores.runs.get_run(first_run(database)).info.reason == INCOMPLETE
    assert main(["import", database.uri, "--artifacts-from", str(database.folder)]) == 0
    run = stores.runs.get_run(first_run(database))
    assert (run.info.reason, run.info.status) == (None, RunStatus.FINISHED)
    assert len(stores.runs.list_artifacts(run.info.run_id).items) == 3
    database = MadeByMlflow(uri=database.uri, artifacts_from=(), expected=database.expected, folder=database.folder)
    assert as_found(stores) == as_expected(database)


def test_artifacts_that_cannot_be_reached_are_said(stores: Stores, database: MadeByMlflow) -> None:
    change(database, "UPDATE runs SET artifact_uri = 'nowhere://bucket/x'")
    done = take(stores, database)
    assert len(done.failures) == 6
    assert all("nowhere" in failure for failure in done.failures)
    assert done.target.points == 316


def test_values_that_are_too_long_are_cut_and_said(stores: Stores, database: MadeByMlflow) -> None:
    change(database, "UPDATE params SET value = '" + "y" * 7_000 + "' WHERE key = 'long'")
    done = take(stores, database)
    assert done.failures == []
    assert any("were cut" in note and "long of run" in note for note in done.notes)
    assert len(stores.runs.get_run(first_run(database)).data.params["long"]) == 6_000


def test_a_run_that_cannot_be_kept_does_not_stop_the_others(stores: Stores, database: MadeByMlflow) -> None:
    change(database, "UPDATE metrics SET timestamp = -5 WHERE key = 'm'")
    done = take(stores, database)
    assert len(done.failures) == 1
    assert done.target.points == 315


def test_an_older_schema_does(stores: Stores, database: MadeByMlflow) -> None:
    for statement in (
        "DROP TABLE inputs",
        "DROP TABLE datasets",
        "DROP TABLE input_tags",
        "DROP TABLE registered_models",
        "ALTER TABLE experiments DROP COLUMN creation_time",
        "ALTER TABLE experiments DROP COLUMN last_update_time",
        "ALTER TABLE runs DROP COLUMN deleted_time",
    ):
        change(database, statement)
    done = take(stores, database)
    assert done.failures == []
    assert (done.target.runs, done.target.inputs) == (6, 0)


def test_workspaces_are_told_by_their_name(stores: Stores, database: MadeByMlflow) -> None:
    change(database, "UPDATE experiments SET workspace = 'blue' WHERE name = 'wine'")
    take(stores, database)
    assert stores.runs.find_experiment("blue/wine") is not None


def test_what_cannot_be_imported_is_said(
    workdir: Path, stores: Stores, database: MadeByMlflow, capsys: pytest.CaptureFixture[str], toolkit_home: Path
) -> None:
    (workdir / "empty").mkdir()
    (workdir / "text").write_text("hello")
    sqlite3.connect(workdir / "other.db").execute("CREATE TABLE t (x)")
    for uri, words in {
        "nowhere": "there is nothing at",
        "empty": "is no mlruns folder",
        "text": "is no SQLite database",
        "other.db": "is no database of MLflow",
        "sqlite:///nowhere.db": "there is no database",
        "http://localhost:5000": "a server cannot be imported from",
        "mysql://host/db": "only SQLite and PostgreSQL",
        f"sqlite:///{toolkit_home}/toolkit.db": "toolkit export",
    }.items():
        capsys.readouterr()
        assert main(["import", uri]) == 2, uri
        assert words in capsys.readouterr().err, uri
    assert main(["import", database.uri, "-x", "beer"]) == 2
    assert "there are: Default" in capsys.readouterr().err


def test_the_command_shows_both_sides(
    database: MadeByMlflow, stores: Stores, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["import", database.uri, "--artifacts-from", database.artifacts_from[0]]
    assert main([*arguments, "--dry-run"]) == 0
    assert "runs\t6\t0" in capsys.readouterr().out
    assert main([*arguments, "--json"]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert shown["source"] == shown["target"]
    assert main(arguments) == 0
    said = capsys.readouterr()
    assert "runs\t6\t6" in said.out
    assert "schema" in said.err
    assert "1 registered models" in said.err


def test_points_that_stand_twice_in_a_file_are_one(stores: Stores, mlruns: MadeByMlflow) -> None:
    file = next(Path(mlruns.uri).rglob("metrics/same"))
    file.write_text(file.read_text() * 2)
    is_the_same(stores, mlruns, take(stores, mlruns))


def test_a_folder_with_a_broken_run(stores: Stores, mlruns: MadeByMlflow) -> None:
    place = next(Path(mlruns.uri).glob("*/*/tags")).parent
    (place / "meta.yaml").write_text("{")
    (place.with_name(new_run_id()) / "tags").mkdir(parents=True)
    done = take(stores, mlruns)
    assert any("cannot be read and was left out" in note for note in done.notes)
    assert done.target.runs == 5
