"""What a serving process imports, and what it leaves out."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
from sklearn.linear_model import LinearRegression

import toolkit.sklearn
from toolkit.artifacts.digest import file_digest
from toolkit.models.infer import infer_signature

LEFT_OUT = ("prefect", "sqlalchemy", "fastapi", "typer", "s3fs", "docker", "pytest", "dask", "mlflow")

LOAD = """
import json, sys
from pathlib import Path
from toolkit.deployments.serving import app, openapi, service, template
from toolkit.deployments.serving.scoring import Scoring
from toolkit.deployments.serving.scorer import Asked
import sklearn.utils
before = sklearn.utils.all_estimators
scoring = Scoring(Path(sys.argv[1]), {"trusted": json.loads(sys.argv[2])})
assert sklearn.utils.all_estimators is before
assert not any(type(each).__name__ == "_NoFunctions" for each in sys.meta_path)
(_, answer), = scoring.scorer.answers([Asked(b'{"dataframe_split": {"columns": ["a"], "data": [[2]]}}')])
print(json.dumps({"answer": json.loads(answer.body), "modules": sorted(sys.modules), "example": scoring.example}))
"""


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    table = pd.DataFrame({"a": [0.0, 1.0, 2.0]})
    fitted = LinearRegression().fit(table, table["a"] * 3)
    folder = tmp_path_factory.mktemp("model") / "triple"
    signature = infer_signature(table, fitted.predict(table))
    toolkit.sklearn.save_model(fitted, str(folder), signature=signature, input_example=table.head(1))
    return folder


def run(folder: Path, trusted: list[str]) -> subprocess.CompletedProcess[str]:
    argv = [sys.executable, "-W", "ignore", "-c", LOAD, str(folder), json.dumps(trusted)]
    return subprocess.run(argv, capture_output=True, text=True, check=False, timeout=300)


def test_it_answers_without_what_trains_and_records(model: Path) -> None:
    done = run(model, [file_digest(path) for path in model.rglob("*") if path.is_file()])
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    assert found["answer"] == {"predictions": [pytest.approx(6.0)]}
    assert found["example"] == {"dataframe_split": {"columns": ["a"], "data": [[0.0]]}}
    modules = set(found["modules"])
    assert not modules & set(LEFT_OUT)
    ours = {name for name in modules if name.partition(".")[0] == "toolkit"}
    assert {name.split(".")[1] for name in ours if "." in name} == {
        "artifacts", "deployments", "errors", "models", "names"
    }  # fmt: skip
    assert {name for name in ours if name.startswith("toolkit.artifacts.")} <= {
        "toolkit.artifacts.digest", "toolkit.artifacts.key"
    }  # fmt: skip
    assert {name for name in ours if name.startswith("toolkit.deployments.")} == {
        "toolkit.deployments.config",
        "toolkit.deployments.serving",
        *(
            f"toolkit.deployments.serving.{name}"
            for name in (
                "app", "arrays", "errors", "metrics", "odd_values", "openapi", "page", "quick_skops", "rows",
                "sample_files", "sampled_rows", "sampling", "scorer", "scoring", "service", "template", "worker",
            )
        ),
    }  # fmt: skip
    assert not any(name.startswith("toolkit.models.evaluation") for name in ours)


def test_skops_looks_at_all_that_is_safe_where_nothing_is_trusted(model: Path) -> None:
    """An estimator of scikit-learn itself needs no trust: it is loaded in the long way."""
    done = run(model, [])
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout.splitlines()[-1])["answer"] == {"predictions": [pytest.approx(6.0)]}
