"""Models by the stock client of MLflow: the script in ``scripts/models.py``, and what it must find."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
from peer import NO_MLFLOW, mlflow_python
from server import Server

from toolkit.settings import environment

SCRIPT = Path(__file__).parent / "scripts" / "models.py"
LINE = [1.0, 2.0, 3.0]


@pytest.fixture
def found(server: Server, tmp_path: Path) -> dict[str, Any]:
    """What the script finds on a server."""
    python = mlflow_python()
    if python is None:
        pytest.skip(NO_MLFLOW)
    if subprocess.run([python, "-c", "import sklearn"], capture_output=True, check=False).returncode:
        pytest.skip("the interpreter that has MLflow has no scikit-learn")
    done = subprocess.run(
        [python, SCRIPT, server.url],
        env={**environment(), "MLFLOW_DISABLE_TELEMETRY": "true", "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1"},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=380,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    result: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return result


@pytest.mark.slow
def test_models_by_the_stock_client(found: dict[str, Any]) -> None:
    """Logged, registered, loaded by every name, staged, copied, searched, refused and deleted."""
    assert found["logged"] == {
        "status": "READY",
        "name": "model",
        "of run": True,
        "params": {"alpha": "0.5"},
        "metrics": [["rmse", 0.25, True]],
        "versions": [{"name": "wine", "version": 1}],
        "output of run": [True],
    }
    assert found["loaded"] == [LINE] * 5
    assert found["second"] == ["2", "READY", True, {"from": "run"}]
    assert found["stages"] == {"1": "Archived", "2": "Production"}
    assert found["production"] == LINE
    assert found["copy"] == ["wine-prod", "1", "models:/wine/1", True, LINE]
    assert found["older"] == [True, LINE]
    assert found["words"] == [
        "red and white",
        {"team": "a"},
        {"champion": "1"},
        "the first",
        {"checked": "yes"},
        ["champion"],
    ]
    assert found["searches"] == {
        "models": ["old", "wine", "wine-prod"],
        "by name": ["wine", "wine-prod"],
        "by tag": ["wine"],
        "descending": ["wine-prod", "wine", "old"],
        "versions": ["1", "2"],
        "of run": ["wine-prod/1", "wine/1", "wine/2"],
        "by version tag": ["1"],
        "logged": 1,
        "none logged": 0,
    }
    assert found["pages"] == [2, 1]
    assert found["by hand"] == ["READY", "agent", {"u": "y"}, "FAILED", 250]
    assert found["autolog"][0] is True
    assert "training_mean_squared_error" in found["autolog"][1]
    assert found["autolog"][2:] == [1, LINE]
    assert found["busy"] is True
    assert found["codes"] == {
        "again": "RESOURCE_ALREADY_EXISTS",
        "no model": "RESOURCE_DOES_NOT_EXIST",
        "no version": "RESOURCE_DOES_NOT_EXIST",
        "no alias": "INVALID_PARAMETER_VALUE",
        "reserved": "INVALID_PARAMETER_VALUE",
        "outside": "INVALID_PARAMETER_VALUE",
        "no logged model": "RESOURCE_DOES_NOT_EXIST",
        "bad filter": "INVALID_PARAMETER_VALUE",
    }
    assert found["gone"] == [
        "RESOURCE_DOES_NOT_EXIST",
        "INVALID_PARAMETER_VALUE",
        "RESOURCE_DOES_NOT_EXIST",
        "RESOURCE_DOES_NOT_EXIST",
        "3",
    ]
