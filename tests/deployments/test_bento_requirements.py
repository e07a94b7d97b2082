"""What an image installs: exactly what the model says and what that needs; nothing that only this machine has."""

from __future__ import annotations

import platform
from importlib.metadata import version
from pathlib import Path

import pytest

from toolkit.deployments.bento_requirements import requirements_of
from toolkit.errors import InvalidValue
from toolkit.models.metadata import ModelMetadata


def folder_of(tmp_path: Path, text: str, *, python: str = "3.11.9", **files: str) -> Path:
    model = ModelMetadata(flavors={"python_function": {"loader_module": "mlflow.sklearn", "python_version": python}})
    model.write(tmp_path)
    (tmp_path / "requirements.txt").write_text(text)
    for name, more in files.items():
        (tmp_path / f"{name}.txt").write_text(more)
    return tmp_path


def test_what_is_installed_here_is_written_down_whole(tmp_path: Path) -> None:
    pinned = f"scikit-learn=={version('scikit-learn')}"
    found = requirements_of(folder_of(tmp_path, f"{pinned}  # the model's\n", python=platform.python_version()))
    assert found.exact
    assert pinned in found.lines
    assert f"scipy=={version('scipy')}" in found.lines  # what scikit-learn needs
    assert f"bentoml=={version('bentoml')}" in found.lines
    assert f"starlette=={version('starlette')}" in found.lines  # what BentoML needs
    assert len({line.partition("==")[0].lower() for line in found.lines}) == len(found.lines)


def test_of_other_versions_than_those_here_only_the_models_are_written_down(tmp_path: Path) -> None:
    found = requirements_of(folder_of(tmp_path, "scikit-learn==1.3.0\nnumpy<2\n"))
    assert not found.exact
    assert "scikit-learn==1.3.0" in found.lines
    assert "numpy<2" in found.lines
    assert not [line for line in found.lines if line.startswith("scipy")]


def test_the_python_is_the_models(tmp_path: Path) -> None:
    found = requirements_of(folder_of(tmp_path, "", python="3.12.1"))
    assert (found.python, found.exact) == ("3.12", False)


def test_constraints_hold_and_options_of_an_index_come_first(tmp_path: Path) -> None:
    text = (
        "--extra-index-url https://download.example/cpu\n-c constraints.txt\n-r more.txt\nsix>=1.15\n"
        "toolkit==0.1.0\nnumpy==2.3.1 \\\n  --hash=sha256:abc\n"
    )
    files = {"constraints": "six<2\nurllib3<3\n", "more": "tomli>=2; python_version < '3.11'\n"}
    found = requirements_of(folder_of(tmp_path, text, python="3.12.1", **files))
    assert found.lines[0] == "--extra-index-url https://download.example/cpu"
    assert {"six<2,>=1.15", "urllib3<3", "numpy==2.3.1", 'tomli>=2; python_version < "3.11"'} <= set(found.lines)
    assert not [line for line in found.lines if line.startswith("toolkit")]  # the Bento carries what it needs of it


def test_what_is_fetched_with_git_needs_more_than_a_slim_image(tmp_path: Path) -> None:
    found = requirements_of(folder_of(tmp_path, "thing @ git+https://git.example/thing@abc\n"))
    assert (found.from_source, "thing @ git+https://git.example/thing@abc" in found.lines) == (True, True)


@pytest.mark.parametrize(
    "line",
    [
        "-e .",
        "./wheels/mine-1.0.whl",
        "/home/me/mine",
        "mine @ file:///home/me/mine",
        "-r ../../other.txt",
        "-r requirements.txt",
        "-c /etc/passwd",
        "--index-url file:///srv/index",
        "--extra-index-url https://a.example/ --trusted-host evil.example",
        "--global-option=--evil",
        "numpy; $(touch broken)",
        "numpy==1.0 && touch broken",
        "numpy`touch broken`",
        "{{ 7 * 7 }}",
        "<< pip_args >>",
    ],
)
def test_what_only_this_machine_has_or_nobody_is_refused_by_its_line(tmp_path: Path, line: str) -> None:
    with pytest.raises(InvalidValue, match=r"requirements.txt says .* which an image cannot install: wanted"):
        requirements_of(folder_of(tmp_path, f"numpy\n{line}\n"))
    assert not (tmp_path / "broken").exists()


@pytest.mark.parametrize("python", ["3.11\nRUN touch /broken", "2.7.18", "latest", "3.11-slim AS x", "3.8.1", "$(id)"])
def test_a_python_that_is_none_does_not_come_near_a_dockerfile(tmp_path: Path, python: str) -> None:
    with pytest.raises(InvalidValue, match="asks for Python"):
        requirements_of(folder_of(tmp_path, "", python=python))
