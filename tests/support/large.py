"""Scripts with the largest libraries of models, in the environment that ``make flavors`` makes."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import pytest
from peer import NO_FLAVORS, flavors_python

from toolkit.settings import environment

SCRIPTS = Path(__file__).resolve().parents[1] / "journeys" / "scripts"


def run_script(name: str, room: Path, *modules: str) -> list[str]:
    """Run a script of ``tests/journeys/scripts`` and return which of its parts were done.

    The test is skipped where there is no such environment, or one without a module.
    """
    python = flavors_python()
    if python is None:
        pytest.skip(NO_FLAVORS)
    look = f"import importlib.util as u; print(*[m for m in {modules!r} if u.find_spec(m) is None])"
    missing = subprocess.run([python, "-c", look], capture_output=True, text=True, check=True).stdout.split()
    if missing:
        pytest.skip(f"the environment of make flavors has no {', '.join(missing)}: it could not be installed here")
    if "pyspark" in modules and shutil.which("java") is None:
        pytest.skip("there is no Java, which Spark takes: install a runtime of Java 17")
    variables = environment(
        TOOLKIT_HOME=str(room / "home"),
        TOOLKIT_TRACKING_URI=None,
        MLFLOW_TRACKING_URI=None,
        HF_HUB_OFFLINE="1",
        PYTHONDONTWRITEBYTECODE=None,  # Spark's processes would compile everything again
        PYTHONWARNINGS=None,
        PYSPARK_PYTHON=None,
    )
    command = [python, str(SCRIPTS / f"{name}.py"), str(room)]
    done = subprocess.run(command, env=variables, cwd=room, capture_output=True, text=True, timeout=1100)
    assert done.returncode == 0, f"{done.stdout[-2000:]}\n{done.stderr[-4000:]}"
    return [json.loads(line)["done"] for line in done.stdout.splitlines() if line.startswith('{"done"')]
