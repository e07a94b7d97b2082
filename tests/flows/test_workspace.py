"""The directory that a command runs in: the project's files are there, its declared files are its own."""

from __future__ import annotations

from pathlib import Path

import pytest

from toolkit.errors import ProjectError
from toolkit.flows.workspace import Workspace
from toolkit.spec.project import EntryPoint


@pytest.fixture
def project(tmp_path: Path) -> Path:
    folder = tmp_path / "project"
    (folder / "data").mkdir(parents=True)
    (folder / "train.py").write_text("print('code')")
    (folder / "data" / "wine.csv").write_text("1,2")
    return folder


def workspace(project: Path, *, metrics: tuple[str, ...] = (), **outputs: str) -> Workspace:
    entry = EntryPoint(name="train", command="true", outputs=outputs, metrics=metrics)
    return Workspace(project=project, entry_point=entry, folder=project.parent / "work" / "w")


def test_a_command_that_declares_nothing_runs_in_the_project(project: Path) -> None:
    space = workspace(project)
    space.make()
    assert space.directory == project
    (project / "left.txt").touch()
    assert space.leftovers() == []
    space.remove()
    assert (project / "train.py").exists()


def test_the_projects_files_are_there_to_read(project: Path) -> None:
    space = workspace(project, model="model.txt")
    space.make()
    assert (space.directory / "train.py").read_text() == "print('code')"
    assert (space.directory / "data" / "wine.csv").read_text() == "1,2"


@pytest.mark.parametrize("path", ["model.txt", "data/model.txt", "data/deep/er/model.txt", "new/model.txt"])
def test_a_file_of_an_earlier_run_is_not_taken_for_this_ones(project: Path, path: str) -> None:
    stale = project / path
    stale.parent.mkdir(parents=True, exist_ok=True)
    stale.write_text("from last week")
    space = workspace(project, model=path)
    space.make()
    assert not space.file(path).exists()
    space.file(path).write_text("mine")
    assert stale.read_text() == "from last week"
    assert (space.directory / "data" / "wine.csv").read_text() == "1,2"


def test_metrics_files_are_the_steps_own_too(project: Path) -> None:
    (project / "metrics.json").write_text('{"old": 1}')
    space = workspace(project, metrics=("metrics.json",))
    space.make()
    assert not space.file("metrics.json").exists()


def test_a_declared_folder_is_missing_as_a_whole(project: Path) -> None:
    (project / "model").mkdir()
    (project / "model" / "old.bin").touch()
    space = workspace(project, model="model")
    space.make()
    assert not (space.directory / "model").exists()


def test_a_folder_and_a_file_in_it_may_both_be_declared(project: Path) -> None:
    space = workspace(project, all="out", best="out/best.txt")
    space.make()
    assert not space.file("out").exists()
    (space.directory / "out").mkdir()
    space.file("out/best.txt").touch()
    assert space.leftovers() == []


def test_what_was_not_declared_is_found(project: Path) -> None:
    space = workspace(project, model="data/model.txt")
    space.make()
    space.file("data/model.txt").touch()
    (space.directory / "data" / "extra.txt").touch()
    (space.directory / "checkpoints").mkdir()
    (space.directory / "__pycache__").mkdir()
    left = [path.relative_to(space.directory).as_posix() for path in space.leftovers()]
    assert left == ["checkpoints", "data/extra.txt"]


def test_removing_it_takes_nothing_of_the_projects(project: Path) -> None:
    space = workspace(project, model="data/model.txt")
    space.make()
    space.remove()
    assert not space.directory.exists()
    assert (project / "data" / "wine.csv").read_text() == "1,2"


@pytest.mark.parametrize("path", ["/etc/passwd", "../outside.txt", "a/../../b"])
def test_a_declared_file_outside_of_the_directory_is_refused(project: Path, path: str) -> None:
    space = workspace(project, model=path)
    with pytest.raises(ProjectError, match="inside the directory"):
        space.make()
