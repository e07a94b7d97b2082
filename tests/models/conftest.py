"""What the tests of models share."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from peer import NO_MLFLOW, mlflow_python

Ask = Callable[..., Any]


@pytest.fixture(scope="session")
def mlflow_says() -> Iterator[Ask]:
    """Stock MLflow, to be asked about signatures: what it answers, or its error as the text of a `RuntimeError`."""
    python = mlflow_python()
    if python is None:
        pytest.skip(NO_MLFLOW)
    script = Path(__file__).parent / "scripts" / "mlflow_signatures.py"
    support = Path(__file__).parents[1] / "support"
    with subprocess.Popen(
        [python, str(script)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env={**os.environ, "PYTHONPATH": str(support)},
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        to, of = process.stdin, process.stdout

        def ask(do: str, **request: object) -> Any:  # noqa: ANN401 - whatever MLflow says
            to.write(json.dumps({"do": do, **request}) + "\n")
            to.flush()
            said = json.loads(of.readline())
            if "error" in said:
                raise RuntimeError(said["error"])
            return said["ok"]

        yield ask
        to.close()
