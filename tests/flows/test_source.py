"""Where a project's code comes from, and what is known about its version."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import zipfile
from pathlib import Path

import pytest

from toolkit.errors import ProjectError, ProjectNotFound
from toolkit.flows import repository
from toolkit.flows.codebase import MANIFEST
from toolkit.flows.source import Source, code_digest, fetch, project_files, snapshot

GIT = ("git", "-c", "user.name=Ada", "-c", "user.email=ada@example.org", "-c", "init.defaultBranch=main")


def git(directory: Path, *arguments: str) -> str:
    done = subprocess.run([*GIT, "-C", str(directory), *arguments], check=True, capture_output=True, text=True)
    return done.stdout.strip()


@pytest.fixture(autouse=True)
def _no_git_settings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", "/dev/null")
    monkeypatch.setenv("GIT_CONFIG_NOSYSTEM", "1")
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))


@pytest.fixture
def project(tmp_path: Path) -> Path:
    directory = tmp_path / "project"
    (directory / "src").mkdir(parents=True)
    (directory / "MLproject").write_text("name: demo\n")
    (directory / "src" / "train.py").write_text("print('train')\n")
    (directory / "run.sh").write_text("echo run\n")
    (directory / "run.sh").chmod(0o755)
    return directory


@pytest.fixture
def clone(project: Path) -> Path:
    git(project, "init", "-q")
    git(project, "add", ".")
    git(project, "commit", "-qm", "first")
    return project


def here(directory: Path, uri: str = ".") -> Source:
    return fetch(uri, caller=directory)


# -- what was typed ----------------------------------------------------------------------------------


def test_a_directory_in_every_spelling(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(project.parent))
    spellings = [
        str(project),
        "project",
        "./project/",
        "~/project",
        project.as_uri(),
        "file:project",
        f"file://localhost{project}",
        f"'{project}'",
        f'"{project}"',
        "'\"project\"'",
        "project#",
    ]
    for spelling in spellings:
        source = fetch(spelling, caller=project.parent)
        assert (source.directory, source.root, source.subdir) == (project, project, None), spelling


def test_a_sub_directory(project: Path) -> None:
    (project / "v1.0" / "train").mkdir(parents=True)
    for uri in ("project#v1.0/train", f"{project.as_uri()}#v1.0/train", "project#/v1.0/train/"):
        source = fetch(uri, caller=project.parent)
        assert source.directory == project / "v1.0" / "train"
        assert source.root == project


@pytest.mark.parametrize("subdir", ["..", "src/..", "./src", "src/../../project", ".", "src\\.."])
def test_a_sub_directory_must_lie_below(project: Path, subdir: str) -> None:
    with pytest.raises(ProjectNotFound, match="must name a directory below the project"):
        fetch(f"project#{subdir}", caller=project.parent)


def test_a_directory_whose_own_name_has_a_number_sign_wins(project: Path, tmp_path: Path) -> None:
    odd = tmp_path / "project#src"
    (odd / "inner").mkdir(parents=True)
    assert fetch("project#src", caller=tmp_path).directory == odd
    assert fetch("project#src#inner", caller=tmp_path).directory == odd / "inner"
    assert fetch(odd.as_uri(), caller=tmp_path).directory == odd  # %23
    odd.rename(tmp_path / "gone")
    assert fetch("project#src", caller=tmp_path).directory == project / "src"


@pytest.mark.parametrize(
    ("uri", "says"),
    [
        ("nowhere", "there is no directory .*nowhere"),
        ("nowhere#sub", "there is no directory .*nowhere:"),
        ("project#nowhere", "there is no directory nowhere in .*project"),
        ("project#run.sh", "is a file"),
        ("project/run.sh", "project/run.sh is a file: give the directory"),
        ("project/MLproject", "give the directory that it is in, .*project$"),
        ("", "is empty"),
        ("''", "is empty"),
        ("a\0b", "zero byte"),
        ("x" * 5000, "there is no directory"),
        ("file://otherhost/project", "on another machine"),
        ("~nobody-here-of-this-name/project", "there is no directory"),
        ("github.com/mlflow/mlflow-example#sub", r"did you mean https://github.com/mlflow/mlflow-example#sub\?$"),
    ],
)
def test_what_is_no_directory_is_said_clearly(project: Path, uri: str, says: str) -> None:
    with pytest.raises(ProjectNotFound, match=says):
        fetch(uri, caller=project.parent)


@pytest.mark.parametrize(
    "uri",
    [
        "https://user:secret@example.org/team/project.git",
        "git@example.org:team/project.git#sub",
        "ssh://git@example.org/team/project",
        "https://example.org/project.zip",
        "archive.zip",
    ],
)
def test_what_is_elsewhere_is_refused_where_nothing_is_fetched_without_showing_secrets(project: Path, uri: str) -> None:
    (project.parent / "archive.zip").write_bytes(b"PK")
    with pytest.raises(ProjectError, match="nothing is fetched here") as caught:
        fetch(uri, caller=project.parent)
    assert "secret" not in str(caught.value)


# -- what Git knows ----------------------------------------------------------------------------------


def test_a_clean_repository(clone: Path) -> None:
    source = here(clone)
    assert source.commit == git(clone, "rev-parse", "HEAD")
    assert (source.branch, source.repo_url, source.dirty, source.warnings) == ("main", None, False, ())
    assert source.name == f"file://{clone}"


def test_a_project_in_a_sub_directory_minds_its_own_changes_only(clone: Path) -> None:
    (clone / "run.sh").write_text("echo changed\n")
    source = fetch("project#src", caller=clone.parent)
    assert (source.dirty, source.name) == (False, f"file://{clone}#src")
    assert [file.path for file in project_files(source)] == ["train.py"]
    (clone / "src" / "train.py").write_text("changed\n")
    assert fetch("project#src", caller=clone.parent).dirty
    assert here(clone / "src").name == f"file://{clone}#src"


@pytest.mark.parametrize("change", ["edit", "add", "delete", "stage", "mode"])
def test_a_dirty_tree(clone: Path, change: str) -> None:
    before = here(clone)
    file = clone / "src" / "train.py"
    if change == "edit":
        file.write_text("other\n")
    elif change == "add":
        (clone / "new file.py").write_text("new\n")
    elif change == "delete":
        file.unlink()
    elif change == "stage":
        file.write_text("other\n")
        git(clone, "add", ".")
    else:
        file.chmod(0o755)
    after = here(clone)
    assert after.dirty
    assert after.digest != before.digest


def test_what_a_run_leaves_behind_does_not_make_a_tree_dirty(clone: Path) -> None:
    before = here(clone)
    (clone / "mlruns" / "0").mkdir(parents=True)
    (clone / "mlruns" / "0" / "meta.yaml").write_text("x: 1\n")
    (clone / "src" / "__pycache__").mkdir()
    (clone / "src" / "__pycache__" / "train.cpython-311.pyc").write_bytes(b"0")
    (clone / "env").mkdir()
    (clone / "env" / "pyvenv.cfg").write_text("home = /usr/bin\n")
    after = here(clone)
    assert not after.dirty
    assert after.digest == before.digest


def test_a_detached_head_and_a_worktree(clone: Path, tmp_path: Path) -> None:
    tree = tmp_path / "tree"
    git(clone, "worktree", "add", "-q", "--detach", str(tree))
    source = here(tree)
    assert (source.branch, source.commit) == (None, git(clone, "rev-parse", "HEAD"))
    assert source.name == f"file://{tree}"
    assert not source.dirty


def test_a_repository_without_commits(project: Path) -> None:
    git(project, "init", "-q")
    source = here(project)
    assert (source.commit, source.branch, source.dirty) == (None, "main", True)


def test_the_remote_without_credentials(clone: Path) -> None:
    git(clone, "remote", "add", "upstream", "https://example.org/only.git")
    assert here(clone).repo_url == "https://example.org/only.git"
    git(clone, "remote", "add", "origin", "https://ada:token@example.org/origin.git")
    assert here(clone).repo_url == "https://example.org/origin.git"
    git(clone, "config", "branch.main.remote", "upstream")
    assert here(clone).repo_url == "https://example.org/only.git"


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("https://token@example.org:8443/a.git", "https://example.org:8443/a.git"),
        ("ssh://git:pw@example.org/a.git", "ssh://git@example.org/a.git"),
        ("git@example.org:a.git", "git@example.org:a.git"),
        ("/srv/git/a.git", "/srv/git/a.git"),
        ("https://u:p@[broken/a.git", "[broken/a.git"),
    ],
)
def test_credentials_are_taken_out(url: str, shown: str) -> None:
    assert repository.without_credentials(url) == shown


def test_the_variables_of_a_hook_do_not_mislead(clone: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    other = tmp_path / "other"
    git(tmp_path, "init", "-q", str(other))
    monkeypatch.setenv("GIT_DIR", str(other / ".git"))
    monkeypatch.setenv("GIT_INDEX_FILE", str(other / ".git" / "index"))
    assert here(clone).name == f"file://{clone}"
    assert not here(clone).dirty


def test_looking_runs_nothing_of_the_repository(clone: Path) -> None:
    trap = clone.parent / "trap"
    git(clone, "config", "core.fsmonitor", f"touch {trap}; false")
    hook = clone / ".git" / "hooks" / "post-index-change"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text(f"#!/bin/sh\ntouch {trap}\n")
    hook.chmod(0o755)
    os.utime(clone / "run.sh")  # makes git look at the content
    here(clone)
    assert not trap.exists()


@pytest.mark.parametrize("trouble", ["owner", "broken"])
def test_a_repository_that_git_refuses_is_a_plain_directory_with_a_warning(
    clone: Path, monkeypatch: pytest.MonkeyPatch, trouble: str
) -> None:
    expected = here(clone).digest
    if trouble == "owner":
        monkeypatch.setenv("GIT_TEST_ASSUME_DIFFERENT_OWNER", "1")
    else:
        (clone / ".git" / "config").write_text("[core\n")
    source = here(clone)
    assert (source.commit, source.name, source.digest) == (None, str(clone), expected)
    assert "cannot be read, so no commit is recorded" in source.warnings[0]


def test_without_git_installed(clone: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    expected = here(clone).digest
    monkeypatch.setenv("PATH", str(tmp_path))
    source = here(clone)
    assert (source.commit, source.digest, source.warnings) == (None, expected, ())


# -- its files ---------------------------------------------------------------------------------------


def test_what_belongs_to_a_project(clone: Path) -> None:
    (clone / ".gitignore").write_text("data/\n*.log\n")
    (clone / "data").mkdir()
    (clone / "data" / "big.csv").write_text("1\n")
    (clone / "a.log").write_text("log\n")
    (clone / "tëst ü.py").write_text("new\n")
    (clone / "src" / "train.py").unlink()
    paths = [file.path for file in project_files(here(clone))]
    assert paths == [".gitignore", "MLproject", "run.sh", "tëst ü.py"]


def test_a_plain_directory_leaves_out_what_is_made(project: Path) -> None:
    for name in (".git", "node_modules", "mlruns", "__pycache__", ".venv", "src/.mypy_cache"):
        (project / name).mkdir(parents=True)
        (project / name / "file").write_text("x")
    (project / "weird-env").mkdir()
    (project / "weird-env" / "pyvenv.cfg").write_text("home = /usr\n")
    (project / "weird-env" / "lib.py").write_text("x")
    os.mkfifo(project / "pipe")
    assert [file.path for file in project_files(here(project))] == ["MLproject", "run.sh", "src/train.py"]


def test_a_repository_within_belongs_to_it(clone: Path) -> None:
    inner = clone / "vendored"
    git(clone, "init", "-q", str(inner))
    (inner / "lib.py").write_text("lib\n")
    assert "vendored/lib.py" in [file.path for file in project_files(here(clone))]


def test_the_same_files_have_the_same_digest_in_git_and_out_of_it(clone: Path, tmp_path: Path) -> None:
    (clone / "link").symlink_to("src/train.py")
    git(clone, "add", ".")
    git(clone, "commit", "-qm", "link")
    source = here(clone)
    copy = tmp_path / "copy"
    shutil.copytree(clone, copy, symlinks=True, ignore=shutil.ignore_patterns(".git"))
    assert here(copy).digest == source.digest == code_digest(source)
    (copy / "run.sh").chmod(0o644)
    assert here(copy).digest != source.digest


def test_large_files_are_hashed_too(project: Path) -> None:
    large = project / "data.bin"
    large.write_bytes(b"\0" * 12_000_000)
    before = here(project).digest
    with large.open("r+b") as file:
        file.seek(6_000_000)
        file.write(b"\1")
    assert here(project).digest != before


# -- a snapshot --------------------------------------------------------------------------------------


def test_a_snapshot_depends_on_the_files_alone(project: Path, tmp_path: Path) -> None:
    summary = snapshot(here(project), tmp_path / "out" / "one.zip")
    copy = tmp_path / "copy"
    shutil.copytree(project, copy)
    os.utime(copy / "run.sh", (1, 1))
    snapshot(here(copy), tmp_path / "two.zip")
    assert (tmp_path / "out" / "one.zip").read_bytes() == (tmp_path / "two.zip").read_bytes()
    assert (summary.files, summary.left_out) == (3, ())
    with zipfile.ZipFile(summary.path) as archive:
        assert archive.namelist() == ["MLproject", "run.sh", "src/train.py", MANIFEST]
        assert archive.getinfo("run.sh").external_attr >> 16 == 0o100755
        assert archive.read("src/train.py") == b"print('train')\n"
    assert [entry.name for entry in (tmp_path / "out").iterdir()] == ["one.zip"]


def test_a_snapshot_leaves_out_and_names_what_is_large_secret_or_elsewhere(project: Path, tmp_path: Path) -> None:
    (tmp_path / "outside").write_text("secret of somebody else")
    (project / "big.bin").write_bytes(b"\0" * 10_000_001)
    (project / ".env").write_text("TOKEN=1\n")
    (project / "out").symlink_to("../outside")
    (project / "absolute").symlink_to(project / "run.sh")
    (project / "inside").symlink_to("src/train.py")
    summary = snapshot(here(project), tmp_path / "one.zip")
    reasons = {item.path: item.reason for item in summary.left_out}
    assert reasons == {
        "big.bin": "larger than 10 MB",
        ".env": "may hold secrets",
        "out": "a link that leads out of the project: ../outside",
        "absolute": f"a link that leads out of the project: {project / 'run.sh'}",
    }
    with zipfile.ZipFile(summary.path) as archive:
        manifest = json.loads(archive.read(MANIFEST))
        assert archive.read("inside") == b"src/train.py"
        assert b"somebody" not in b"".join(archive.read(name) for name in archive.namelist())
    assert {item["path"] for item in manifest["left_out"]} == set(reasons)


def test_a_snapshot_keeps_the_code_when_data_fills_it(project: Path, tmp_path: Path) -> None:
    for number in range(7):
        (project / f"data{number}.bin").write_bytes(b"\0" * 9_000_000)
    summary = snapshot(here(project), tmp_path / "one.zip")
    assert [item.path for item in summary.left_out] == ["data5.bin", "data6.bin"]
    assert summary.files == 8


def test_a_file_that_goes_while_we_look_is_named(
    project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = here(project)
    files = project_files(source)
    (project / "run.sh").unlink()
    monkeypatch.setattr("toolkit.flows.codebase.list_files", lambda *_: files)
    with pytest.raises(ProjectError, match=r"run\.sh cannot be read"):
        code_digest(source)
    with pytest.raises(ProjectError, match=r"run\.sh cannot be read"):
        snapshot(source, tmp_path / "one.zip")
    assert not list(tmp_path.glob("*one.zip*"))
