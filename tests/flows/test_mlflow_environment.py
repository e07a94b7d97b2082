"""What `mlflow.run` of a step's code runs in: names of environments, beside the real MLflow's, and what is there."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest
from peer import NO_MLFLOW, NO_OLD_MLFLOW, mlflow_python, old_mlflow_python

from toolkit.flows.environments.prepared import PreparedEnvironment
from toolkit.flows.mlflow_environment import environment_names, stand_in
from toolkit.spec.environment import read_environment
from toolkit.spec.project import EnvironmentRef, Project

REF = EnvironmentRef(kind="python_env", path="python_env.yaml")
FILES = {
    "plain": "python: '3.11'\nbuild_dependencies: [pip, setuptools==80]\ndependencies: [scikit-learn, 'mlflow>=1.0']\n",
    "no-python": "dependencies:\n  - mlflow==3.17.2  # the client\n  - \"it's; a == 'marker'\"\n",
    "empty": "{}\n",
    "files": "dependencies:\n  - -r requirements.txt\n  - zope\n  - -c limits/all.txt\n",
}
ASK = """
import json, platform, sys
from pathlib import Path
from mlflow.utils.environment import _PythonEnv
from mlflow.utils.virtualenv import _get_virtualenv_name
folders = [Path(folder) for folder in sys.argv[1:]]
names = [_get_virtualenv_name(_PythonEnv.from_yaml(folder / "python_env.yaml"), folder) for folder in folders]
print(json.dumps([platform.python_version(), *names]))
"""


def projects(root: Path) -> list[Project]:
    made = []
    for name, text in FILES.items():
        folder = root / name
        (folder / "limits").mkdir(parents=True)
        (folder / "python_env.yaml").write_text(text)
        (folder / "requirements.txt").write_text("# ours\npandas # tables\n\nnumpy\\\n>=2\n-r limits/more.txt\n")
        (folder / "limits" / "more.txt").write_text("attrs\n")
        (folder / "limits" / "all.txt").write_text("scipy<2\n")
        made.append(Project(directory=folder, name=name))
    return made


@pytest.mark.parametrize("age", [0, 1], ids=["now", "2.0"])
def test_the_names_are_mlflows(age: int, tmp_path: Path) -> None:
    python, reason = ((mlflow_python(), NO_MLFLOW), (old_mlflow_python(), NO_OLD_MLFLOW))[age]
    if python is None:
        pytest.skip(reason)
    made = projects(tmp_path)
    command = [python, "-W", "ignore", "-c", ASK, *(str(project.directory) for project in made)]
    said = subprocess.run(command, capture_output=True, text=True, check=True, timeout=300).stdout
    version, *names = json.loads(said)
    ours = [environment_names(read_environment(project, REF), project.directory, version)[age] for project in made]
    assert ours == names


def prepared(directory: Path | None) -> PreparedEnvironment:
    if directory is not None:
        (directory / "bin").mkdir(parents=True)
        (directory / "bin" / "activate").touch()
    return PreparedEnvironment(kind="uv", key="k", directory=directory, python="3.11.7", lock="")


def test_the_environment_stands_under_the_name_and_follows_a_newer_one(tmp_path: Path) -> None:
    home, project = tmp_path / "home", projects(tmp_path)[0]
    for build in ("first", "second"):
        directory = tmp_path / build
        variables = stand_in(home, project, REF, prepared(directory))
        root = Path(variables["MLFLOW_ENV_ROOT"])
        names = environment_names(read_environment(project, REF), project.directory, "3.11.7")
        assert {path.name for path in root.iterdir()} == set(names)
        assert [(root / name).resolve() for name in names] == [directory, directory]


def test_what_mlflow_has_built_itself_stays(tmp_path: Path) -> None:
    home, project = tmp_path / "home", projects(tmp_path)[0]
    name, _ = environment_names(read_environment(project, REF), project.directory, "3.11.7")
    own = home / "mlflow-envs" / name / "bin"
    own.mkdir(parents=True)
    stand_in(home, project, REF, prepared(tmp_path / "env"))
    assert not own.parent.is_symlink()
    assert own.is_dir()


def test_nothing_is_done_where_it_would_not_help(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home, project = tmp_path / "home", projects(tmp_path)[0]
    conda = EnvironmentRef(kind="conda_env", path="python_env.yaml")
    ready = prepared(tmp_path / "env")
    assert stand_in(home, project, None, ready) == {}
    assert stand_in(home, project, conda, ready) == {}
    assert stand_in(home, project, REF, prepared(None)) == {}
    monkeypatch.setenv("MLFLOW_ENV_ROOT", "/mine")
    assert stand_in(home, project, REF, ready) == {}
    assert not home.exists()
