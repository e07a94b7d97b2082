"""Real MLproject files must give the commands that MLflow renders, text for text."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from toolkit.errors import InvalidParameter
from toolkit.spec.binding import bind
from toolkit.spec.command import locate, render
from toolkit.spec.project import Project
from toolkit.spec.reader import read_project

CORPUS = Path(__file__).parents[3] / "shared" / "mlprojects"
EXPECTED: dict[str, Any] = (
    json.loads((CORPUS / "expected.json").read_text()) if (CORPUS / "expected.json").is_file() else {}
)
CASES = [
    pytest.param(name, entry, case, id=f"{name}-{entry}-{number}")
    for name, project in EXPECTED.items()
    for entry, facts in project["entry_points"].items()
    for number, case in enumerate(facts["cases"], 1)
]

pytestmark = pytest.mark.skipif(not EXPECTED, reason=f"the corpus of real MLproject files is not at {CORPUS}")


@pytest.fixture(scope="module")
def projects(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Project]:
    root = tmp_path_factory.mktemp("mlprojects")
    read = {}
    for name, expected in EXPECTED.items():
        shutil.copytree(CORPUS / name, root / name)
        for stub in expected["stubbed_env_files"]:
            (root / name / stub).parent.mkdir(parents=True, exist_ok=True)
            (root / name / stub).touch()
        read[name] = read_project(root / name)
    return read


@pytest.mark.parametrize("name", EXPECTED)
def test_the_file_reads_as_in_mlflow(projects: dict[str, Project], name: str) -> None:
    project, expected = projects[name], EXPECTED[name]
    assert project.name == expected["name"]
    assert set(project.entry_points) == set(expected["entry_points"])
    if expected["env_type"] in {"python_env", "conda_env", "docker_env"} and project.environment:
        assert project.environment.kind == expected["env_type"]
    assert (project.docker.image if project.docker else None) == (expected["docker_env"] or {}).get("image")
    for entry, facts in expected["entry_points"].items():
        read = project.entry_points[entry]
        assert read.command == facts["raw_command"]
        assert {
            parameter.name: {"type": parameter.type, "default": parameter.default}
            for parameter in read.parameters.values()
        } == facts["parameters"]


@pytest.mark.parametrize(("name", "entry", "case"), CASES)
def test_the_command_is_the_one_of_mlflow(
    projects: dict[str, Project], tmp_path: Path, name: str, entry: str, case: dict[str, Any]
) -> None:
    project = projects[name]
    point = project.entry_points[entry]
    here = str(project.directory)
    given = {key: value.replace("<DIR>", here) for key, value in case["given"].items()}
    binding = bind(point.parameters, given, owner=f"entry point {entry!r}", typed=False)

    def rendered() -> str:
        values, _ = locate(
            point, binding.values, caller=tmp_path, project=project.directory, fetch=None, given=binding.given
        )
        return render(point, values, binding.extra)

    if "error" in case:
        with pytest.raises(InvalidParameter, match="Expected URI for parameter uri but got"):
            rendered()
        return
    wanted = case["command"].replace("<DIR>", here).replace("\n --extra", " --extra").rstrip()
    assert rendered() == wanted
