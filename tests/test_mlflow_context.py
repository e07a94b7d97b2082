"""What MLflow's own client adds to runs that it makes inside of ours."""

from __future__ import annotations

import json
import subprocess
import sys
from importlib.metadata import entry_points

import pytest
from peer import NO_MLFLOW, mlflow_python

import toolkit
from toolkit.mlflow_context import StepContext
from toolkit.settings import environment


def test_mlflow_finds_it() -> None:
    (entry,) = entry_points(group="mlflow.run_context_provider", name="toolkit")
    assert entry.load() is StepContext


def test_outside_of_a_run_it_adds_nothing() -> None:
    assert not StepContext().in_context()
    assert StepContext().tags() == {}


def test_inside_of_a_tracked_function_runs_are_its_parts() -> None:
    @toolkit.track
    def fit() -> tuple[bool, dict[str, str], str]:
        run = toolkit.active_run()
        assert run is not None
        return StepContext().in_context(), StepContext().tags(), run.info.run_id

    inside, tags, run_id = fit()
    assert inside
    assert tags == {"mlflow.parentRunId": run_id}


def test_in_a_process_of_a_step_runs_are_its_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TOOLKIT_RUN_ID", "abc")
    assert StepContext().tags() == {"mlflow.parentRunId": "abc"}


def test_it_costs_nothing_to_import() -> None:
    code = "import sys; before = set(sys.modules); import toolkit.mlflow_context; print(*set(sys.modules) - before)"
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert not {"pydantic", "sqlalchemy", "toolkit.settings"} & set(said.split())


def test_the_real_client_takes_the_tags_that_a_step_gives_it() -> None:
    """Also where toolkit is not installed: by a variable that MLflow reads itself."""
    python = mlflow_python()
    if python is None:
        pytest.skip(NO_MLFLOW)
    code = (
        "import json; from mlflow.tracking.context.registry import resolve_tags; "
        "print(json.dumps(resolve_tags({'mlflow.runName': 'n'})))"
    )
    variables = environment(MLFLOW_RUN_CONTEXT=json.dumps({"mlflow.parentRunId": "abc"}))
    said = subprocess.run([python, "-c", code], env=variables, capture_output=True, text=True, check=True).stdout
    assert json.loads(said)["mlflow.parentRunId"] == "abc"
