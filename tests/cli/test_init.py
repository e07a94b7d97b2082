"""`toolkit init`: projects that lint well and say what they would run. That they run is a journey's matter."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest
from calls import Cli

from toolkit.templates import TEMPLATES


@pytest.mark.parametrize("template", TEMPLATES)
def test_a_new_project_is_well(cli: Cli, workdir: Path, template: str, toolkit_home: Path) -> None:
    made = cli("init", "my wine", "--template", template)
    assert made.code == 0, made.err
    assert "toolkit run 'my wine'" in made.err
    assert cli("lint", "my wine").code == 0
    assert cli("compile", "my wine").out.startswith("my-wine")
    commands = cli("run", "my wine", "--dry-run")
    assert commands.code == 0
    assert commands.out.startswith("python ")
    assert "@@" not in "".join(path.read_text() for path in (workdir / "my wine").iterdir())
    assert stat.S_IMODE((workdir / "my wine" / "MLproject").stat().st_mode) & 0o600 == 0o600
    assert not (toolkit_home / "toolkit.db").exists()


@pytest.mark.parametrize("template", ["single", "workflow"])
def test_a_project_with_an_environment_has_nothing_to_be_said_about(cli: Cli, workdir: Path, template: str) -> None:
    assert cli("init", "wine", "-t", template).code == 0
    assert (cli("lint", "wine").out, cli("lint", "wine").code) == ("", 0)


def test_nothing_is_overwritten(cli: Cli, workdir: Path) -> None:
    (workdir / "train.py").write_text("mine")
    answer = cli("init", "--template", "single")
    assert answer.is_one_clear_error()
    assert "train.py" in answer.err
    assert [path.name for path in workdir.iterdir()] == ["train.py"]
    (workdir / "train.py").rename(workdir / "mlProject")
    assert "mlProject" in cli("init", "--template", "single").err
    (workdir / "mlProject").unlink()
    (workdir / "notes.txt").write_text("mine")
    assert cli("init", "--template", "single", "--name", "other").code == 0
    assert (workdir / "notes.txt").read_text() == "mine"
    assert (workdir / "MLproject").read_text().startswith("name: other\n")
    assert cli("init", "--template", "single").is_one_clear_error()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--template", "singel"], ["'singel'", "single, workflow, python"]),
        (["--name", 'a"b'], ["--name"]),
        (["file"], ["file"]),
        (["file/below"], ["file"]),
    ],
)
def test_a_mistake_is_one_clear_line(cli: Cli, workdir: Path, arguments: list[str], words: list[str]) -> None:
    (workdir / "file").write_text("")
    answer = cli("init", *arguments)
    assert answer.is_one_clear_error(), answer
    for word in words:
        assert word in answer.err


def test_the_templates_are_listed(cli: Cli, workdir: Path) -> None:
    assert [line.partition("\t")[0] for line in cli("init", "--list").out.splitlines()] == list(TEMPLATES)
    assert list(workdir.iterdir()) == []
    made = cli("init", "new", "--json").json
    assert made["files"] == sorted(path.name for path in (workdir / "new").iterdir())
