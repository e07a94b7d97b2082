"""What MLflow saved loads here, and what is saved here loads in MLflow: with the real package."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import peer
import pytest
import yaml
import zoo

from toolkit.models.flavor import SaveRequest
from toolkit.models.folder import load_model, load_native, save_model
from toolkit.models.lookup import flavor_of
from toolkit.models.trust import Trust

HERE = Path(__file__).parent
NAMES = sorted(zoo.ANIMALS)
pytestmark = pytest.mark.skipif(peer.mlflow_python() is None, reason=peer.NO_MLFLOW)


def _mlflow(script: str, folder: Path) -> Any:  # noqa: ANN401 - JSON
    python = peer.mlflow_python()
    assert python is not None
    environment = {**os.environ, "PYTHONPATH": str(HERE.parents[1] / "support"), "PYTHONWARNINGS": "ignore"}
    environment["OMP_NUM_THREADS"] = "1"  # threads that wait for each other take the most of a busy machine
    command = [python, str(HERE / "scripts" / script), str(folder)]
    done = subprocess.run(command, env=environment, cwd=folder, capture_output=True, text=True, timeout=170)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


@pytest.fixture(scope="module")
def theirs(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, list[Any]]]:
    """Models that MLflow saved, and what it predicts with them."""
    folder = tmp_path_factory.mktemp("theirs")
    return folder, _mlflow("mlflow_saves.py", folder)


@pytest.fixture(scope="module")
def ours(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, dict[str, Any]]]:
    """Models that were saved here, and what MLflow makes of them."""
    folder = tmp_path_factory.mktemp("ours")
    for name, make in zoo.ANIMALS.items():
        save_model(make(), folder / name)
    return folder, _mlflow("mlflow_loads.py", folder)


@pytest.mark.parametrize("name", NAMES)
def test_what_mlflow_saved_predicts_the_same_here(theirs: tuple[Path, dict[str, list[Any]]], name: str) -> None:
    folder, expected = theirs
    trust = Trust.all() if name.startswith("statsmodels") else None

    model = load_model(folder / name, trust=trust)

    assert zoo.answered(model.predict(zoo.asked(name))) == pytest.approx(expected[name])
    native = load_native(folder / name, name.partition(".")[0], trust=trust)
    assert type(native).__name__ == type(zoo.ANIMALS[name]()).__name__


@pytest.mark.parametrize("name", NAMES)
def test_what_is_saved_here_predicts_the_same_in_mlflow(
    ours: tuple[Path, dict[str, dict[str, Any]]], name: str
) -> None:
    folder, found = ours
    trust = Trust.all() if name.startswith("statsmodels") else None
    expected = zoo.answered(load_model(folder / name, trust=trust).predict(zoo.asked(name)))

    assert found[name]["predictions"] == pytest.approx(expected)
    assert found[name]["class"] == type(zoo.ANIMALS[name]()).__name__


@pytest.mark.parametrize("name", NAMES)
def test_the_same_keys_and_files_are_written(
    theirs: tuple[Path, dict[str, list[Any]]], tmp_path: Path, name: str
) -> None:
    flavor, model = name.partition(".")[0], zoo.ANIMALS[name]()
    written = yaml.safe_load((theirs[0] / name / "MLmodel").read_text())["flavors"]

    saved = flavor_of(model).save(model, tmp_path, SaveRequest())

    assert sorted({**saved.block, "code": None}) == sorted(written[flavor])
    assert saved.pyfunc == {key: written["python_function"][key] for key in ("data",)}
    assert [file.name for file in tmp_path.iterdir()] == [saved.block["data"]]
    versions = {key for key in saved.block if key.endswith("_version")} | {"skops_trusted_types"}
    assert {key: saved.block[key] for key in saved.block.keys() - versions} == {
        key: value for key, value in written[flavor].items() if key not in versions and key != "code"
    }
