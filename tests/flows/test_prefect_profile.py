"""Which Prefect server the user has named."""

from __future__ import annotations

from pathlib import Path

import pytest

from toolkit.errors import ServiceError
from toolkit.flows.prefect_profile import named_server

URL = "http://prefect.example:4200/api"


@pytest.fixture
def home(tmp_path: Path) -> Path:
    folder = tmp_path / "prefect-home"
    folder.mkdir()
    (folder / "profiles.toml").write_text(
        f'active = "team"\n[profiles.team]\nPREFECT_API_URL = "{URL}/"\n[profiles.alone]\nPREFECT_HOME = "x"\n'
    )
    return folder


def test_nothing_is_named(tmp_path: Path) -> None:
    assert named_server({"PREFECT_HOME": str(tmp_path), "PREFECT_API_URL": ""}, tmp_path) is None


def test_the_environment_comes_first(tmp_path: Path, home: Path) -> None:
    environ = {"PREFECT_HOME": str(home), "PREFECT_API_URL": "http://other.example/api"}
    assert named_server(environ, tmp_path) == (
        "http://other.example/api",
        "the environment variable PREFECT_API_URL",
    )


def test_the_active_profile(tmp_path: Path, home: Path) -> None:
    named = named_server({"PREFECT_HOME": str(home)}, tmp_path)
    assert named == (URL, f"the profile team in {home / 'profiles.toml'}")
    assert named_server({"PREFECT_HOME": str(home), "PREFECT_PROFILE": "alone"}, tmp_path) is None
    assert named_server({"PREFECT_HOME": str(home), "PREFECT_PROFILE": "unknown"}, tmp_path) is None
    environ = {"PREFECT_HOME": "/nowhere", "PREFECT_PROFILES_PATH": str(home / "profiles.toml")}
    assert named_server(environ, tmp_path) == named


def test_the_home_is_found_without_being_named(tmp_path: Path, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    home.rename(tmp_path / ".prefect")
    named = named_server({}, tmp_path)
    assert named is not None
    assert named[0] == URL


@pytest.mark.parametrize(
    ("file", "text"),
    [
        (".env", f"# mine\nOTHER=1\nexport PREFECT_API_URL='{URL}' # here\n"),
        ("prefect.toml", f'[api]\nurl = "{URL}"\n'),
        ("pyproject.toml", f'[project]\nname = "p"\n[tool.prefect.api]\nurl = "{URL}"\n'),
    ],
)
def test_files_of_the_working_directory(tmp_path: Path, file: str, text: str) -> None:
    work = tmp_path / "work"
    work.mkdir()
    (work / file).write_text(text)
    environ = {"PREFECT_HOME": str(tmp_path)}
    assert named_server(environ, work) == (URL, str(work / file))
    assert named_server(environ, tmp_path) is None
    (work / file).write_text(text.replace(URL, ""))
    assert named_server(environ, work) is None


def test_a_file_that_is_not_toml_is_named(tmp_path: Path) -> None:
    (tmp_path / "prefect.toml").write_text("[api\n")
    with pytest.raises(ServiceError, match=r"prefect\.toml, which configures Prefect, is not valid TOML"):
        named_server({"PREFECT_HOME": str(tmp_path)}, tmp_path)
