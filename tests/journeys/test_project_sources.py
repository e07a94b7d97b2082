"""Projects from elsewhere, run: Git over the web and over git's own protocol, archives, a tree with changes."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from machine import Done, Machine
from repositories import PROJECT, Repository, Served, git_daemon, make_repository, web_server

NO_PROXY = {"no_proxy": "127.0.0.1", "GIT_CONFIG_GLOBAL": "/dev/null", "GIT_CONFIG_NOSYSTEM": "1"}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Repository:
    return make_repository(tmp_path_factory.mktemp("made") / "demo")


@pytest.fixture(scope="module")
def web(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with web_server(tmp_path_factory.mktemp("web")) as served:
        yield served


def run(machine: Machine, *arguments: str, cwd: Path) -> tuple[Done, Any, str]:
    """Run a project; return what was said, the run, and what its step printed."""
    done = machine.toolkit("run", *arguments, "--json", cwd=cwd, **NO_PROXY)
    assert done.code == 0, done.err
    shown = machine.show(done.json["run_id"])
    (step,) = shown["children"]
    log = machine.toolkit("artifacts", "get", step["run_id"], "logs/output.log", "-d", str(cwd / "got"), cwd=cwd)
    assert log.code == 0, log.err
    (file,) = (cwd / "got").rglob("output.log")
    text = file.read_text()
    file.unlink()
    return done, shown, text


def test_a_repository_behind_a_web_server(machine: Machine, web: Served, made: Repository, tmp_path: Path) -> None:
    web.login = "ada:s3cret"
    url = web.publish(made.work, "demo.git")
    secret = url.replace("//", "//ada:s3cret@")
    done, shown, text = run(machine, secret, "-v", "v1", "-P", "word=a b", cwd=tmp_path)
    assert text == "version 2\nsaid a b\n"
    tags = shown["tags"]
    assert tags["mlflow.source.git.commit"] == made.second
    assert tags["mlflow.source.git.repoURL"] == tags["mlflow.source.name"] == url
    assert tags["toolkit.source.version"] == "v1"
    assert "mlflow.source.git.branch" not in tags
    assert shown["artifacts"] == [], "a commit says it all"
    assert "s3cret" not in done.err + done.out + str(shown)
    web.login = "nobody:knows"
    _, again, _ = run(machine, url, "-v", made.second, cwd=tmp_path)
    assert again["tags"]["toolkit.code_digest"] == tags["toolkit.code_digest"], "known commits need no network"
    away = machine.toolkit("run", url, "-v", "v1", cwd=tmp_path, **NO_PROXY)
    assert (away.code, away.err.count("\n")) == (2, 1)
    assert "it wants a login" in away.err
    assert not list((machine.home / "copies").glob("[a-z]*")), "copies are removed"
    dry = machine.toolkit("run", f"{url}#parts/train.d", "-v", made.second, "--dry-run", cwd=tmp_path)
    assert dry.out == "cat version.txt; echo said none\n"


def test_a_branch_and_a_sub_directory_behind_git_daemon(machine: Machine, made: Repository, tmp_path: Path) -> None:
    with git_daemon(tmp_path / "served") as daemon:
        url = daemon.publish(made.work, "demo.git")
        _, shown, text = run(machine, f"{url}#parts/train.d", "-v", "feature/side", cwd=tmp_path)
        assert text == "part\nsaid none\n"
        assert shown["tags"]["mlflow.source.git.branch"] == "feature/side"
        assert shown["tags"]["mlflow.source.git.commit"] == made.side
        assert shown["tags"]["mlflow.source.name"] == f"{url}#parts/train.d"
    away = machine.toolkit("run", url, "-v", "feature/side", cwd=tmp_path, **NO_PROXY)
    assert away.code == 1
    assert away.err.count("\n") == 1
    assert f"run it with -v {made.side}" in away.err


def test_an_archive_from_the_web_leaves_its_files_with_the_run(machine: Machine, web: Served, tmp_path: Path) -> None:
    web.login = None
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w") as opened:
        opened.writestr("demo-1/MLproject", PROJECT.format(name="zipped"))
        opened.writestr("demo-1/version.txt", "archived\n")
        opened.writestr("demo-1/leave.sh", "echo x > left.txt\n")
    web.bodies["/demo.zip"] = target.getvalue()
    url = f"{web.url}/demo.zip"
    _, shown, text = run(machine, url, cwd=tmp_path)
    assert text == "archived\nsaid none\n"
    assert shown["tags"]["mlflow.source.name"] == url
    assert shown["tags"]["toolkit.source.archive"]
    assert [entry["path"] for entry in shown["artifacts"]] == ["source/snapshot.zip"]
    left = machine.toolkit("run", url, "-e", "leave.sh", cwd=tmp_path, **NO_PROXY)
    assert left.code == 0, left.err
    (line,) = [line for line in left.err.splitlines() if "beside its code" in line]
    assert "the run left left.txt beside its code; kept in" in line
    assert (Path(line.rpartition(" kept in ")[2]) / "left.txt").read_text() == "x\n"


def test_a_tree_with_changes_leaves_them_with_the_run(machine: Machine, tmp_path: Path) -> None:
    made = make_repository(tmp_path / "demo")
    (made.work / "version.txt").write_text("mine\n")
    _, shown, text = run(machine, "demo", cwd=tmp_path)
    assert text.startswith("mine\n")
    assert (shown["tags"]["mlflow.source.git.commit"], shown["tags"]["mlflow.source.git.dirty"]) == (
        made.newest,
        "True",
    )
    assert [entry["path"] for entry in shown["artifacts"]] == ["source/changes.diff", "source/snapshot.zip"]
    assert made.work.joinpath("version.txt").read_text() == "mine\n"
