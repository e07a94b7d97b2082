"""Environment files."""

from pathlib import Path
from typing import Literal

import pytest

from toolkit.errors import Mark, ProjectError
from toolkit.spec.environment import read_environment
from toolkit.spec.project import EnvironmentRef, Project, PythonEnv

Kind = Literal["python_env", "conda_env", "requirements", "pyproject", "docker_env"]
NAMES = {"python_env": "python_env.yaml", "conda_env": "conda.yaml", "pyproject": "pyproject.toml"}


def read(directory: Path, kind: Kind, text: str) -> PythonEnv:
    (directory / NAMES[kind]).write_text(text)
    return read_environment(Project(directory=directory), EnvironmentRef(kind=kind, path=NAMES[kind]))


def error(directory: Path, kind: Kind, text: str) -> str:
    with pytest.raises(ProjectError) as caught:
        read(directory, kind, text)
    assert "\n" not in str(caught.value)
    return str(caught.value).replace(f"{directory}/", "")


def test_python_env(tmp_path: Path) -> None:
    env = read(
        tmp_path,
        "python_env",
        'python: "3.10"\nbuild_dependencies: [pip==22.2.2, wheel]\ndependencies:\n'
        "  - -r requirements.txt\n  - numpy>=1; python_version > '3'\n  - a @ https://host/a.whl\n",
    )
    assert env == PythonEnv(
        source="python_env",
        file=tmp_path / "python_env.yaml",
        python="3.10",
        build_dependencies=("pip==22.2.2", "wheel"),
        dependencies=("-r requirements.txt", "numpy>=1; python_version > '3'", "a @ https://host/a.whl"),
    )


@pytest.mark.parametrize(
    ("python", "wanted"),
    [
        ("3.10", "3.10"),
        ("3.8", "3.8"),
        ("3", "3"),
        ('"3.11.7"', "3.11.7"),
        ('">=3.10,<3.13"', ">=3.10,<3.13"),
        ("", None),
    ],
)
def test_the_python_is_read_as_written(tmp_path: Path, python: str, wanted: str | None) -> None:
    assert read(tmp_path, "python_env", f"python: {python}\n").python == wanted


def test_an_empty_file_is_the_running_python(tmp_path: Path) -> None:
    assert read(tmp_path, "python_env", "") == PythonEnv(source="python_env", file=tmp_path / "python_env.yaml")
    assert read(tmp_path, "python_env", "dependencies:\nbuild_dependencies:\n").dependencies == ()
    assert read(tmp_path, "conda_env", "name: x\n") == PythonEnv(source="conda_env", file=tmp_path / "conda.yaml")


def test_other_keys_are_warnings(tmp_path: Path) -> None:
    warnings = read(tmp_path, "python_env", "name: x\ndependencys: []\n").warnings
    assert [(warning.mark.line if warning.mark else 0, warning.message) for warning in warnings] == [
        (1, "the file has the unknown key 'name', which is ignored"),
        (2, "the file has the unknown key 'dependencys', which is ignored; did you mean 'dependencies'?"),
    ]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("- a", "python_env.yaml:1:1: a python_env file must be a mapping"),
        ("python: three", "python_env.yaml:1:9: 'three' is no version of Python: write one such as \"3.11\""),
        ("python: [3]", "'python' must be a text, not a list"),
        ("dependencies: numpy", "python_env.yaml:1:15: 'dependencies' must be a list, not 'numpy'"),
        ("dependencies:\n  - [a]", "python_env.yaml:2:5: an item of 'dependencies' must be a text, not a list"),
        ("dependencies:\n  - pip: [a]", "has a 'pip:' list, as conda files do: name the file under conda_env"),
        ("dependencies:\n  - ", "an item of 'dependencies' must be a text, not empty"),
        ("a: [", "not valid YAML"),
    ],
)
def test_a_wrong_python_env_is_said_with_its_place(tmp_path: Path, text: str, message: str) -> None:
    assert message in error(tmp_path, "python_env", text)


def test_conda_env(tmp_path: Path) -> None:
    env = read(
        tmp_path,
        "conda_env",
        """\
name: x
channels: [conda-forge]
dependencies:
  - python=3.8.2
  - pip
  - conda-forge::setuptools=60
  - wheel>=0.30
  - numpy=1.20
  - conda-forge::cudatoolkit
  - pip:
      - mlflow>=1.0
      - -r requirements.txt
""",
    )
    assert env == PythonEnv(
        source="conda_env",
        file=tmp_path / "conda.yaml",
        python="3.8.2",
        build_dependencies=("pip", "setuptools==60", "wheel>=0.30"),
        dependencies=("mlflow>=1.0", "-r requirements.txt"),
        unmet=("numpy=1.20", "conda-forge::cudatoolkit"),
    )


@pytest.mark.parametrize(
    ("line", "wanted"),
    [
        ("python=3.10", "3.10"), ("python==3.10.1", "3.10.1"), ("python=3.10.*", "3.10"), ("python 3.9", "3.9"),
        ("python=3.9.1=h1234", "3.9.1"), ("python>=3.8", ">=3.8"), ("python <= 3.9", "<=3.9"), ("python~=3.9", "~=3.9"),
        ("python>=3.8,<3.11", ">=3.8,<3.11"), ("Python = 3.8", "3.8"), ("defaults::python=3.8", "3.8"),
    ],
)  # fmt: skip
def test_the_python_of_a_conda_file(tmp_path: Path, line: str, wanted: str) -> None:
    assert read(tmp_path, "conda_env", f"dependencies: ['{line}', python=2]\n").python == wanted


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("dependencies:\n  - python\n", "conda.yaml:2:5: 'python' names no version: pin it, such as python=3.11"),
        ("dependencies:\n  - python<3.9\n", "conda.yaml:2:5: 'python<3.9' does not say which Python to take"),
        ("dependencies: ['python>3.9']", "does not say which Python to take"),
        ("dependencies: ['python!=3.9']", "does not say which Python to take"),
        ("dependencies: ['python=abc']", "'abc' is no version of Python"),
        ("dependencies: ['=3']", "'=3' is no requirement of conda"),
        ("dependencies:\n  - poetry: [a]", "must be a text or 'pip:' with a list, not a mapping with 'poetry'"),
        ("dependencies:\n  - {}", "not a mapping with nothing in it"),
        ("dependencies:\n  - pip: a", "conda.yaml:2:10: 'pip' must be a list, not 'a'"),
        ("dependencies:\n  - pip:\n    - [a]", "an item of 'pip' must be a text, not a list"),
        ("dependencies: x", "'dependencies' must be a list"),
        ("[a]", "a conda_env file must be a mapping"),
    ],
)
def test_a_wrong_conda_env_is_said_with_its_place(tmp_path: Path, text: str, message: str) -> None:
    assert message in error(tmp_path, "conda_env", text)


def test_requirements(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "requirements.txt").write_text("numpy\n")
    env = read_environment(
        Project(directory=tmp_path), EnvironmentRef(kind="requirements", path="sub/requirements.txt")
    )
    assert env.dependencies == ("-r sub/requirements.txt",)
    assert env.file == tmp_path / "sub" / "requirements.txt"


def test_pyproject(tmp_path: Path) -> None:
    env = read(tmp_path, "pyproject", "[project]\nname='x'\nrequires-python='>=3.10'\ndependencies=['numpy>=1', 'a']\n")
    assert (env.python, env.dependencies, env.source) == (">=3.10", ("numpy>=1", "a"), "pyproject")
    assert read(tmp_path, "pyproject", "[project]\nname='x'\n").dependencies == ()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[project\n", "pyproject.toml is not valid TOML: "),
        ("[tool.x]\n", "pyproject.toml has no [project] table"),
        ("[project]\ndynamic=['dependencies']\n", "leaves its dependencies to a build"),
        ("[project]\ndependencies='a'\n", "'dependencies' in pyproject.toml must be a list of texts"),
        ("[project]\ndependencies=[1]\n", "must be a list of texts"),
        ("[project]\nrequires-python=3\n", "'requires-python' in pyproject.toml must be a text"),
    ],
)
def test_a_wrong_pyproject_is_said(tmp_path: Path, text: str, message: str) -> None:
    assert message in error(tmp_path, "pyproject", text)


def test_a_file_that_is_gone_and_a_container_are_no_requirements(tmp_path: Path) -> None:
    project = Project(directory=tmp_path)
    mark = Mark(file="MLproject", line=2)
    with pytest.raises(ProjectError, match=r"^MLproject:2: the environment file 'x' is not in "):
        read_environment(project, EnvironmentRef(kind="python_env", path="x", mark=mark))
    with pytest.raises(ProjectError, match="docker_env names a container"):
        read_environment(project, EnvironmentRef(kind="docker_env", mark=mark))
