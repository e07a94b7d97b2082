"""Garbage: what was deleted goes for good, what is needed stays, and whoever dies in the middle can go on."""

from __future__ import annotations

import contextlib
import io
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from toolkit import settings
from toolkit.artifacts.store import StoredFile
from toolkit.cli.main import main
from toolkit.errors import AlreadyExists, ArtifactError, InvalidValue, NotFound
from toolkit.recording.run import RecordedRun
from toolkit.recording.stores import Stores
from toolkit.registry.records import ModelVersion
from toolkit.testing.registry_store import new_version
from toolkit.testing.runs import add_run
from toolkit.tracking.logged_models import LoggedModel, NewLoggedModel
from toolkit.tracking.records import Lifecycle, Metric, RunQuery, RunStatus
from toolkit.upkeep import collector
from toolkit.upkeep.collector import Collector
from toolkit.upkeep.garbage import Collection, Found, read_age
from toolkit.wiring.opened import open_stores
from toolkit.wiring.registry import open_catalog
from toolkit.wiring.upkeep import collect_garbage

HOUR = 3_600_000


@pytest.fixture
def stores() -> Iterator[Stores]:
    opened = open_stores(settings.load())
    yield opened
    opened.close()


def run_with_files(stores: Stores, *names: str, experiment_id: str = "0") -> str:
    run = RecordedRun(stores, add_run(stores.runs, experiment_id=experiment_id))
    for name in names:
        run.log_text(f"content of {name}", name)
    stores.runs.update_run(run.run_id, status=RunStatus.FINISHED)
    return run.run_id


def delete(stores: Stores, run_id: str) -> str:
    stores.runs.update_run(run_id, lifecycle=Lifecycle.DELETED)
    return run_id


def collect(stores: Stores, **wanted: object) -> Found:
    return Collector(stores, Collection(**{"remove": True, "lease_ms": 0, **wanted})).collect()  # type: ignore[arg-type]


def files(stores: Stores) -> list[str]:
    return [file.key for file in stores.artifacts.list()]


def gone(stores: Stores, run_id: str) -> bool:
    try:
        stores.runs.get_run(run_id)
    except NotFound:
        return True
    return False


# -- what was deleted --------------------------------------------------------------------------------


def test_a_deleted_run_goes_with_its_files_and_nothing_else_does(stores: Stores) -> None:
    kept, dead = run_with_files(stores, "a *.txt", "d/b"), delete(stores, run_with_files(stores, "a *.txt", "d/%2e?"))
    before = [key for key in files(stores) if kept in key]
    found = collect(stores)
    assert (found.runs.count, found.artifacts.count, found.failures) == (1, 2, [])
    assert found.artifacts.size == len("content of a *.txt") + len("content of d/%2e?")
    assert gone(stores, dead)
    assert files(stores) == before
    assert len(stores.runs.list_artifacts(kept).items) == 2
    assert collect(stores) == Found(), "doing it again finds nothing"


def test_nothing_is_removed_unless_it_is_said(stores: Stores) -> None:
    dead = delete(stores, run_with_files(stores, "a"))
    experiment = stores.runs.create_experiment("wine").experiment_id
    stores.runs.update_experiment(experiment, lifecycle=Lifecycle.DELETED)
    orphan = f"0/{run_with_files(stores)}/artifacts/torn"
    stores.artifacts.put_file(orphan, Path(__file__))
    time.sleep(0.002)
    found = collect(stores, remove=False)
    assert (found.runs.count, found.experiments.count, found.artifacts.count, found.orphans.count) == (1, 1, 1, 1)
    assert not gone(stores, dead)
    assert len(files(stores)) == 2
    assert stores.runs.get_experiment(experiment)


def test_writers_wait_for_a_bounded_number_of_points(stores: Stores, monkeypatch: pytest.MonkeyPatch) -> None:
    """A transaction holds all others up: many points go in several."""
    monkeypatch.setattr(collector, "_POINTS", 25)
    for _ in range(6):
        run_id = run_with_files(stores)
        points = [Metric(key="m", value=1.0, timestamp=1, step=step) for step in range(10)]
        stores.runs.log_batch(run_id, metrics=points)
        delete(stores, run_id)
    lots: list[int] = []
    purge = stores.runs.purge

    def counted(*, run_ids: Sequence[str] = (), experiment_ids: Sequence[str] = ()) -> Sequence[str]:
        lots.append(len(run_ids))
        return purge(run_ids=run_ids, experiment_ids=experiment_ids)

    monkeypatch.setattr(stores.runs, "purge", counted)
    assert collect(stores).runs.count == 6
    assert lots == [2, 2, 2]


def test_the_name_of_an_experiment_is_free_when_it_is_deleted_and_when_it_is_gone(stores: Stores) -> None:
    first = stores.runs.create_experiment("wine").experiment_id
    dead = run_with_files(stores, "a", experiment_id=first)
    stores.runs.update_experiment(first, lifecycle=Lifecycle.DELETED)
    second = stores.runs.create_experiment("wine").experiment_id
    found = collect(stores)
    assert (found.experiments.count, found.runs.count, found.kept) == (1, 1, [])
    assert gone(stores, dead)
    stores.runs.update_experiment(second, lifecycle=Lifecycle.DELETED)
    collect(stores)
    assert stores.runs.find_experiment("wine") is None
    assert stores.runs.create_experiment("wine").experiment_id not in (first, second)


def test_what_was_deleted_lately_is_kept(stores: Stores) -> None:
    dead = delete(stores, run_with_files(stores, "a"))
    assert collect(stores, older_than_ms=HOUR).runs.count == 0
    assert collect(stores, older_than_ms=HOUR, run_ids=[dead]).failures == [
        f"run {dead}: was deleted later than --older-than allows"
    ]
    assert not gone(stores, dead)


def test_only_what_is_named(stores: Stores) -> None:
    experiment = stores.runs.create_experiment("wine").experiment_id
    inside = run_with_files(stores, "a", experiment_id=experiment)
    stores.runs.update_experiment(experiment, lifecycle=Lifecycle.DELETED)
    one, other = (delete(stores, run_with_files(stores, "a")) for _ in range(2))
    active = run_with_files(stores, "a")
    found = collect(stores, run_ids=[one, active, "f" * 32])
    assert found.runs.count == 1
    assert [failure.partition(":")[0] for failure in found.failures] == [f"run {active}", f"run {'f' * 32}"]
    assert gone(stores, one)
    assert not gone(stores, other)
    found = collect(stores, experiment_ids=[experiment, "0"])
    assert (found.runs.count, found.experiments.count) == (1, 1)
    assert gone(stores, inside)
    assert not gone(stores, other)


def test_what_a_registered_version_needs_stays(stores: Stores) -> None:
    experiment = stores.runs.create_experiment("wine").experiment_id
    needed, other = (run_with_files(stores, "model", experiment_id=experiment) for _ in range(2))
    stores.runs.update_experiment(experiment, lifecycle=Lifecycle.DELETED)

    def versions(run_id: str) -> str | None:
        return "version 3 of model wine" if run_id == needed else None

    for remove in (False, True):
        found = Collector(stores, Collection(remove=remove, lease_ms=0), needed=versions).collect()
        assert (found.runs.count, found.experiments.count) == (1, 0)
        assert f"run {needed}: needed by version 3 of model wine" in found.kept
    assert gone(stores, other)
    assert [key for key in files(stores) if needed in key]


def test_artifacts_elsewhere_are_never_deleted(stores: Stores, tmp_path: Path) -> None:
    (tmp_path / "model").write_text("somebody's")
    run = add_run(stores.runs, artifact_uri=tmp_path.as_uri())
    delete(stores, run.info.run_id)
    found = collect(stores)
    assert (found.runs.count, found.outside.count, found.failures) == (1, 1, [])
    assert (tmp_path / "model").read_text() == "somebody's"


def test_a_missing_file_is_no_matter(stores: Stores) -> None:
    dead = delete(stores, run_with_files(stores, "a", "b"))
    stores.artifacts.delete(f"0/{dead}/artifacts/a")
    found = collect(stores)
    assert (found.runs.count, found.failures) == (1, [])
    assert gone(stores, dead)


class BrokenArtifacts:
    """An artifact store that cannot delete one run's files: its bucket's policy forbids it."""

    def __init__(self, stores: Stores, run_id: str) -> None:
        self._inner = stores.artifacts
        self._run_id = run_id

    def __getattr__(self, name: str) -> object:
        return getattr(self._inner, name)

    def delete(self, key: str) -> None:
        if self._run_id in key:
            raise ArtifactError(f"{key} cannot be deleted: access denied")
        self._inner.delete(key)


def test_it_goes_on_after_a_failure_and_keeps_the_row(stores: Stores) -> None:
    runs = [delete(stores, run_with_files(stores, "a")) for _ in range(3)]
    broken = replace(stores, artifacts=BrokenArtifacts(stores, runs[1]))  # type: ignore[arg-type]
    found = collect(broken)
    assert found.runs.count == 2
    assert [
        failure for failure in found.failures if runs[1] in failure and "access denied" in failure
    ] == found.failures
    assert [gone(stores, run_id) for run_id in runs] == [True, False, True]
    assert collect(stores).runs.count == 1
    assert files(stores) == []


# -- what nobody lists -------------------------------------------------------------------------------


def put(stores: Stores, key: str, tmp_path: Path) -> StoredFile:
    source = tmp_path / "source"
    source.write_text("x")
    return stores.artifacts.put_file(key, source)


def test_orphans_go_when_they_are_old(stores: Stores, tmp_path: Path) -> None:
    run_id = run_with_files(stores, "listed")
    put(stores, f"0/{run_id}/artifacts/torn", tmp_path)
    time.sleep(0.002)
    assert collect(stores, lease_ms=HOUR).orphans.count == 0
    assert collect(stores).orphans.count == 1
    assert files(stores) == [f"0/{run_id}/artifacts/listed"]


def test_a_run_that_goes_on_may_list_its_files_later(stores: Stores, tmp_path: Path) -> None:
    run_id = add_run(stores.runs).info.run_id
    put(stores, f"0/{run_id}/artifacts/on its way", tmp_path)
    time.sleep(0.002)
    assert collect(stores).orphans.count == 0
    assert len(files(stores)) == 1


def test_files_of_runs_that_are_not_known_need_a_word(stores: Stores, tmp_path: Path) -> None:
    """They may be those of another store, with which the folder is shared."""
    put(stores, f"4/{'a' * 32}/artifacts/x", tmp_path)
    put(stores, "notes/readme.txt", tmp_path)
    put(stores, f"4/models/m-{'a' * 32}/artifacts/MLmodel", tmp_path)
    time.sleep(0.002)
    found = collect(stores)
    assert (found.unknown.count, found.foreign.count) == (1, 2)
    assert len(files(stores)) == 3
    assert collect(stores, unknown_runs=True).unknown.count == 1
    assert len(files(stores)) == 2


def test_uploads_that_were_broken_off_and_leftovers_of_steps(stores: Stores, toolkit_home: Path) -> None:
    staging = toolkit_home / "artifacts" / ".staging"
    (staging / "torn").write_text("half")
    ended, running = run_with_files(stores), add_run(stores.runs).info.run_id
    for name in (ended, running, "another store's"):
        (toolkit_home / "work" / name).mkdir(parents=True)
        (toolkit_home / "work" / name / "scratch").write_text("12345")
    for name in ("source-of a run", "left-1"):
        (toolkit_home / "copies" / name).mkdir(parents=True)
    (toolkit_home / "copies" / "left-1" / "model").write_text("123")
    assert collect(stores, lease_ms=HOUR) == Found()
    shown = collect(stores, remove=False)
    assert (shown.staging.count, shown.leftovers.count, shown.leftovers.size) == (1, 2, 8)
    assert collect(stores).leftovers.count == 2
    assert not list(staging.iterdir())
    assert [path.name for path in (toolkit_home / "copies").iterdir()] == ["source-of a run"]
    assert sorted(path.name for path in (toolkit_home / "work").iterdir()) == sorted([running, "another store's"])


@pytest.mark.parametrize(
    ("text", "milliseconds"), [("30d", 2_592_000_000), ("1d2h3m4s", 93_784_000), ("0.5h", 1_800_000), ("0d", 0)]
)
def test_ages(text: str, milliseconds: int) -> None:
    assert read_age(text) == milliseconds


@pytest.mark.parametrize("text", ["", "30", "d", "1s2d", "1..2d", "-1d", "1w"])
def test_ages_of_another_form(text: str) -> None:
    with pytest.raises(InvalidValue, match="is no age"):
        read_age(text)


# -- the command -------------------------------------------------------------------------------------


def test_the_command_shows_first_and_removes_when_told(stores: Stores, capsys: pytest.CaptureFixture[str]) -> None:
    dead = delete(stores, run_with_files(stores, "a"))
    assert main(["gc"]) == 0
    shown = capsys.readouterr().out
    assert "deleted runs\t1\t\tto be removed" in shown
    assert "--yes" in shown
    assert not gone(stores, dead)
    assert main(["gc", "--yes", "--older-than", "1h"]) == 0
    assert not gone(stores, dead)
    assert main(["gc", "--yes", "--json"]) == 0
    assert '"removed": true' in capsys.readouterr().out
    assert gone(stores, dead)


def test_the_command_lists_what_failed(stores: Stores, capsys: pytest.CaptureFixture[str]) -> None:
    active = run_with_files(stores, "a")
    assert main(["gc", "--yes", "--run-ids", f"{active},nope"]) == 1
    said = capsys.readouterr().err
    assert f"not removed: run {active}: is not deleted: delete it first" in said
    assert "not removed: run nope" in said
    assert main(["gc", "--older-than", "soon"]) == 2


# -- kill -9 -----------------------------------------------------------------------------------------


def test_killed_anywhere_it_can_go_on(stores: Stores) -> None:
    seed = int(os.environ.get("SEED", random.randrange(1 << 32)))
    print(f"SEED={seed}")
    chance = random.Random(seed)
    kept = [run_with_files(stores, "a", "b") for _ in range(3)]
    dead = [delete(stores, run_with_files(stores, *"abcdefgh")) for _ in range(60)]
    expected = [key for key in files(stores) if any(run_id in key for run_id in kept)]
    for _ in range(3):
        command = [sys.executable, "-m", "toolkit", "gc", "--yes"]
        with subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL) as process:
            assert process.stderr
            process.stderr.readline()  # it has begun
            time.sleep(chance.uniform(0, 0.15))
            process.send_signal(signal.SIGKILL)
    collect(stores)
    assert all(gone(stores, run_id) for run_id in dead)
    assert files(stores) == expected
    assert {run.info.run_id for run in stores.runs.list_runs(RunQuery(lifecycle=None)).items} == set(kept)
    assert all(len(stores.runs.list_artifacts(run_id).items) == 2 for run_id in kept)


# -- models -------------------------------------------------------------------------------------------------------


def logged_model(stores: Stores, *, experiment_id: str = "0", run_id: str | None = None) -> LoggedModel:
    """Make a logged model with a file."""
    new = NewLoggedModel(experiment_id=experiment_id, name="m", source_run_id=run_id)
    model = open_catalog(stores).logged.create_model(new)
    stores.artifacts.put_stream(
        f"{experiment_id}/models/{model.model_id}/artifacts/MLmodel", io.BytesIO(b"flavors: {}")
    )
    return model


def register(stores: Stores, **source: str) -> ModelVersion:
    """Register a version of the model ``wine``."""
    registry = open_catalog(stores).registered
    with contextlib.suppress(AlreadyExists):
        registry.create_model("wine")
    return registry.create_version(new_version(**source))


def gc(stores: Stores, **wanted: object) -> Found:
    """Collect as the command does."""
    return collect_garbage(stores, Collection(**{"remove": True, "lease_ms": 0, **wanted}), lambda _: None)  # type: ignore[arg-type]


def test_what_a_version_needs_stays_until_the_version_goes(stores: Stores) -> None:
    """The run that it names, the run whose folder its files are in, and its logged model."""
    named, holding = (delete(stores, run_with_files(stores, "model/MLmodel")) for _ in range(2))
    model = logged_model(stores)
    place = stores.runs.get_run(holding).info.artifact_uri
    register(stores, run_id=named)
    register(stores, location=f"{place}/model")
    register(stores, location=model.artifact_uri, model_id=model.model_id)
    open_catalog(stores).logged.delete_model(model.model_id)
    before = files(stores)
    for remove in (False, True):
        found = gc(stores, remove=remove)
        assert (found.runs.count, found.models.count, found.artifacts.count) == (0, 0, 0)
        why = sorted(line.rpartition("needed by ")[2] for line in found.kept)
        assert why == [f"version {number} of model wine" for number in (1, 2, 3)]
        assert files(stores) == before
    for number in (1, 2, 3):
        open_catalog(stores).registered.delete_version("wine", number)
    found = gc(stores)
    assert (found.runs.count, found.models.count, found.artifacts.count) == (2, 1, 3)
    assert files(stores) == []
    assert gone(stores, named)
    with pytest.raises(NotFound):
        open_catalog(stores).logged.get_model(model.model_id, allow_deleted=True)


def test_active_models_are_nobodys_garbage(stores: Stores) -> None:
    """Also when the run that made them is removed, and though no list names their files."""
    run_id = run_with_files(stores, "a.txt")
    model = logged_model(stores, run_id=run_id)
    delete(stores, run_id)
    found = gc(stores)
    assert (found.runs.count, found.models.count, found.foreign.count, found.unknown.count) == (1, 0, 0, 0)
    assert files(stores) == [f"0/models/{model.model_id}/artifacts/MLmodel"]
    open_catalog(stores).logged.delete_model(model.model_id)
    young = gc(stores, older_than_ms=HOUR)
    assert young.models.count == 0
    assert gc(stores, remove=False).models.count == 1
    assert gc(stores).models.count == 1
    assert files(stores) == []


def test_models_go_with_their_experiment(stores: Stores) -> None:
    """But for one that a version needs, which keeps the experiment too."""
    experiment_id = stores.runs.create_experiment("e").experiment_id
    kept, lost = (logged_model(stores, experiment_id=experiment_id) for _ in range(2))
    register(stores, location=kept.artifact_uri, model_id=kept.model_id)
    stores.runs.update_experiment(experiment_id, lifecycle=Lifecycle.DELETED)
    assert gc(stores, remove=False).experiments.count == 0
    found = gc(stores)
    assert (found.experiments.count, found.models.count) == (0, 1)
    assert files(stores) == [f"{experiment_id}/models/{kept.model_id}/artifacts/MLmodel"]
    assert lost.model_id not in files(stores)[0]
    open_catalog(stores).registered.delete_model("wine")
    found = gc(stores, experiment_ids=[experiment_id])
    assert (found.experiments.count, found.models.count) == (1, 1)
    assert files(stores) == []
