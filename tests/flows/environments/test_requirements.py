"""Requirement lines: what they include, and toolkit among them."""

from __future__ import annotations

import json
from importlib import metadata
from pathlib import Path

import pytest

from toolkit.errors import EnvironmentBuildError
from toolkit.flows.environments import requirements
from toolkit.flows.environments.requirements import Requirements


@pytest.fixture
def project(tmp_path: Path) -> Path:
    directory = tmp_path / "project"
    directory.mkdir()
    return directory


def read(project: Path, *lines: str) -> Requirements:
    return requirements.read(lines, project=project, source=project / "python_env.yaml")


@pytest.mark.parametrize(
    "spelling", ["-r {}", "-r{}", "--requirement {}", "--requirement={}", "-r  '{}'  # why", "-r ./{}"]
)
def test_an_included_file_has_a_say(project: Path, spelling: str) -> None:
    file = project / "base.txt"
    file.write_text("six\n")
    before = read(project, spelling.format("base.txt"))
    assert before.lines == (f"-r {file}",)
    assert (before.count, [name for name, _ in before.inputs]) == (1, ["base.txt"])
    file.write_text("six==1.17.0\n")
    assert read(project, spelling.format("base.txt")).inputs != before.inputs


def test_included_files_are_followed_from_where_they_are(project: Path) -> None:
    (project / "req").mkdir()
    (project / "req" / "all.txt").write_text("-r base.txt\n-c limits.txt\n\n# only\npackaging \\\n  >=20\n")
    (project / "req" / "base.txt").write_text("six\n")
    (project / "req" / "limits.txt").write_text("six<2\n")
    found = read(project, "-r req/all.txt")
    assert [name for name, _ in found.inputs] == ["req/all.txt", "req/base.txt", "req/limits.txt"]
    assert found.count == 2


def test_the_fingerprint_does_not_depend_on_where_the_project_lies(project: Path, tmp_path: Path) -> None:
    (project / "base.txt").write_text("six\n")
    there = project.rename(tmp_path / "elsewhere")
    project.mkdir()
    (project / "base.txt").write_text("six\n")
    assert read(project, "-r base.txt").inputs == read(there, "-r base.txt").inputs


def test_a_file_that_includes_itself(project: Path) -> None:
    (project / "a.txt").write_text("-r b.txt\n")
    (project / "b.txt").write_text("-r a.txt\n")
    with pytest.raises(EnvironmentBuildError, match=r"a\.txt includes itself"):
        read(project, "-r a.txt")


def test_a_missing_file_is_named_with_what_includes_it(project: Path) -> None:
    (project / "a.txt").write_text("-c gone.txt\n")
    with pytest.raises(EnvironmentBuildError, match=r"python_env\.yaml includes nowhere\.txt, but there is no file"):
        read(project, "-r nowhere.txt")
    with pytest.raises(EnvironmentBuildError, match=r"a\.txt includes gone\.txt, but there is no file"):
        read(project, "-r a.txt")


def test_a_local_package_has_a_say(project: Path) -> None:
    package = project / "lib"
    package.mkdir()
    (package / "pyproject.toml").write_text("[project]\nname='lib'\nversion='1'\n")
    code = package / "lib.py"
    code.write_text("one")
    copied, editable = (read(project, line) for line in ("./lib", "-e ./lib"))
    code.write_text("two")
    assert read(project, "./lib").inputs != copied.inputs  # its code is copied into the environment
    assert read(project, "-e ./lib").inputs == editable.inputs  # its code is read where it is
    (package / "pyproject.toml").write_text("[project]\nname='lib'\nversion='2'\n")
    assert read(project, "-e ./lib").inputs != editable.inputs
    for line in (
        "lib @ file://" + str(package),
        str(package),
        "./lib[extra] ; python_version > '3'",
        f"file://{package}",
    ):
        assert read(project, line).inputs == read(project, "./lib").inputs, line
    with pytest.raises(EnvironmentBuildError, match=r"asks for \./gone, but there is no"):
        read(project, "./gone")


def test_a_local_wheel_has_a_say(project: Path) -> None:
    wheel = project / "lib-1-py3-none-any.whl"
    wheel.write_bytes(b"one")
    before = read(project, wheel.name)
    wheel.write_bytes(b"two")
    assert before.inputs
    assert read(project, wheel.name).inputs != before.inputs


@pytest.mark.parametrize(
    "line",
    ["six", "six>=1 ; python_version<'4'", "a[b]==1", "x @ https://example.org/x.whl", "git+https://e.org/x.git"],
)
def test_what_comes_from_elsewhere_goes_through_as_it_is(project: Path, line: str) -> None:
    assert read(project, line, "--index-url https://example.org/simple", "") == Requirements(
        lines=(line, "--index-url https://example.org/simple"), count=1, inputs=()
    )


def test_what_a_project_tells_uv_has_a_say(project: Path) -> None:
    file = project / "pyproject.toml"
    file.write_text("[project]\nname='p'\n[[tool.uv.index]]\nurl='https://a.example'\n[tool.other]\nx=1\n")
    before = read(project, "six").inputs
    file.write_text("[project]\nname='q'\n[[tool.uv.index]]\nurl='https://a.example'\n[tool.other]\nx=2\n")
    assert read(project, "six").inputs == before
    file.write_text("[project]\nname='q'\n[[tool.uv.index]]\nurl='https://b.example'\n")
    assert read(project, "six").inputs != before


class Installed:
    """A distribution of toolkit that says where it came from."""

    version = "0.9"

    def __init__(self, origin: dict[str, object] | None) -> None:
        self._origin = origin

    def read_text(self, name: str) -> str | None:
        assert name == "direct_url.json"
        return None if self._origin is None else json.dumps(self._origin)


@pytest.mark.parametrize(
    ("origin", "line", "wanted"),
    [
        (None, "toolkit>=0.1", "toolkit==0.9"),
        (None, "ToolKit[torch]", "toolkit[torch]==0.9"),
        (None, "toolkit ; python_version > '3'", "toolkit==0.9 ; python_version > '3'"),
        ({"url": "file://{here}", "dir_info": {"editable": True}}, "toolkit[a,b]>=1", "-e {here}[a,b]"),
        ({"url": "file://{here}", "dir_info": {}}, "toolkit", "toolkit @ file://{here}"),
        ({"url": "file://{here}/gone.whl", "archive_info": {}}, "toolkit", "toolkit==0.9"),
        (
            {"url": "https://example.org/t.git", "vcs_info": {"vcs": "git", "commit_id": "abc"}},
            "toolkit[a]",
            "toolkit[a] @ git+https://example.org/t.git@abc",
        ),
        (None, "toolkit @ https://example.org/toolkit.whl", "toolkit @ https://example.org/toolkit.whl"),
        (None, "rich-toolkit", "rich-toolkit"),
    ],
)
def test_toolkit_comes_from_where_the_running_one_came_from(
    project: Path,
    monkeypatch: pytest.MonkeyPatch,
    origin: dict[str, object] | None,
    line: str,
    wanted: str,
) -> None:
    here = str(project)
    if origin is not None:
        origin = origin | {"url": str(origin["url"]).replace("{here}", here)}
    monkeypatch.setattr(metadata, "distribution", lambda _: Installed(origin))
    expected = wanted.replace("{here}", here)
    assert read(project, line).lines == (expected,)


def test_toolkit_in_an_included_file_is_replaced_too(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metadata, "distribution", lambda _: Installed(None))
    (project / "sub").mkdir()
    (project / "sub" / "all.txt").write_text("-r own.txt\n-r other.txt\nsix\n")
    (project / "sub" / "own.txt").write_text("toolkit[a]  # us\n--no-binary six\n")
    (project / "sub" / "other.txt").write_text("packaging\n")
    found = read(project, "-r sub/all.txt")
    assert found.lines == ("toolkit[a]==0.9", "--no-binary six", f"-r {project / 'sub' / 'other.txt'}", "six")
    assert found.count == 3
