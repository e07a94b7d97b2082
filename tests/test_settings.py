"""What the user has configured: where it may stand, and what wins."""

from __future__ import annotations

from pathlib import Path

import pytest

from toolkit.errors import InvalidSetting
from toolkit.settings import environment, load


def test_everything_has_a_default(toolkit_home: Path, workdir: Path) -> None:
    settings = load()
    assert settings.home == toolkit_home
    assert settings.database_url == f"sqlite:///{toolkit_home}/toolkit.db"
    assert settings.artifact_uri == f"file://{toolkit_home}/artifacts"
    assert (settings.lease_ms, settings.grace, settings.max_parallel_steps) == (60_000, 5, 16)


def test_the_home_is_in_the_users_home_by_default(monkeypatch: pytest.MonkeyPatch, workdir: Path) -> None:
    monkeypatch.delenv("TOOLKIT_HOME")
    monkeypatch.setenv("HOME", str(workdir))
    assert load().home == workdir / ".toolkit"


def test_a_relative_home_is_made_absolute(monkeypatch: pytest.MonkeyPatch, workdir: Path) -> None:
    monkeypatch.setenv("TOOLKIT_HOME", "here")
    assert load().home == workdir / "here"


@pytest.mark.parametrize(
    ("ours", "mlflows", "name"),
    [
        ("TOOLKIT_TRACKING_URI", "MLFLOW_TRACKING_URI", "tracking_uri"),
        ("TOOLKIT_EXPERIMENT_NAME", "MLFLOW_EXPERIMENT_NAME", "experiment_name"),
        ("TOOLKIT_EXPERIMENT_ID", "MLFLOW_EXPERIMENT_ID", "experiment_id"),
        ("TOOLKIT_RUN_ID", "MLFLOW_RUN_ID", "run_id"),
    ],
)
def test_our_variable_wins_over_mlflows_and_that_over_a_file(
    monkeypatch: pytest.MonkeyPatch, workdir: Path, ours: str, mlflows: str, name: str
) -> None:
    (workdir / "toolkit.toml").write_text(f'{name} = "file"\n')
    assert getattr(load(), name) == "file"
    monkeypatch.setenv(mlflows, "mlflow")
    assert getattr(load(), name) == "mlflow"
    monkeypatch.setenv(ours, "toolkit")
    assert getattr(load(), name) == "toolkit"


def test_the_nearest_file_counts_alone(workdir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (workdir / "pyproject.toml").write_text("[tool.toolkit]\ngrace = 7\nlease = 70\n")
    below = workdir / "a" / "b"
    below.mkdir(parents=True)
    assert load(below).grace == 7
    (workdir / "a" / "toolkit.toml").write_text("grace = 8\n")
    assert (load(below).grace, load(below).lease) == (8, 60)
    (below / "pyproject.toml").write_text("[project]\nname = 'x'\n")
    assert load(below).grace == 8


def test_an_empty_variable_is_one_that_is_not_set(monkeypatch: pytest.MonkeyPatch, toolkit_home: Path) -> None:
    monkeypatch.setenv("TOOLKIT_TRACKING_URI", "")
    monkeypatch.setenv("TOOLKIT_RUN_ID", "")
    assert load().run_id is None
    assert load().database_url == f"sqlite:///{toolkit_home}/toolkit.db"


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("TOOLKIT_GRACE", "soon"),
        ("TOOLKIT_LEASE", "0"),
        ("TOOLKIT_MAX_PARALLEL_STEPS", "0"),
        ("TOOLKIT_ENV_MANAGER", "pyenv"),
        ("TOOLKIT_DURABILITY", "some"),
    ],
)
def test_a_wrong_variable_is_named_with_its_value(monkeypatch: pytest.MonkeyPatch, variable: str, value: str) -> None:
    monkeypatch.setenv(variable, value)
    with pytest.raises(InvalidSetting, match=variable) as caught:
        load()
    assert repr(value) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_wrong_file_is_named(workdir: Path) -> None:
    file = workdir / "toolkit.toml"
    file.write_text("grace = \n")
    with pytest.raises(InvalidSetting, match=r"toolkit\.toml is not valid TOML"):
        load()
    file.write_text("grace = 'soon'\n")
    with pytest.raises(InvalidSetting, match=r"'soon'"):
        load()


def test_an_unknown_setting_of_a_file_is_refused_with_a_guess(workdir: Path) -> None:
    (workdir / "toolkit.toml").write_text("grase = 1\n")
    with pytest.raises(InvalidSetting, match=r"toolkit\.toml.*'grase'.*'grace'"):
        load()


def test_settings_cannot_be_changed() -> None:
    with pytest.raises(ValueError, match="frozen"):
        load().grace = 1  # type: ignore[misc]  # that it cannot be set is the test


def test_the_environment_of_a_child_can_be_changed_without_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GOES", "x")
    child = environment(GOES=None, COMES="y")
    assert "GOES" not in child
    assert child["COMES"] == "y"
    assert environment()["GOES"] == "x"


def test_steps_are_told_how_s3_is_reached(workdir: Path) -> None:
    """Their working directory is another one, where the configuration file is not found."""
    (workdir / "toolkit.toml").write_text(
        's3_endpoint_url = "http://127.0.0.1:9000"\nartifact_timeout = 7\n'
        '[s3_upload_extra_args]\nServerSideEncryption = "AES256"\n'
    )
    assert load().artifact_variables == {
        "TOOLKIT_ARTIFACT_TIMEOUT": "7",
        "TOOLKIT_S3_ENDPOINT_URL": "http://127.0.0.1:9000",
        "TOOLKIT_S3_UPLOAD_EXTRA_ARGS": '{"ServerSideEncryption": "AES256"}',
    }
