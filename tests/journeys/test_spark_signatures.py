"""Signatures of tables of Spark, with the real one."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import peer
import pytest

from toolkit.settings import environment


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.skipif(peer.flavors_python() is None, reason=peer.NO_FLAVORS)
@pytest.mark.skipif(shutil.which("java") is None, reason="there is no Java, which Spark takes")
def test_tables_of_spark_show_and_keep_their_columns(tmp_path: Path) -> None:
    script = Path(__file__).parents[1] / "models" / "scripts" / "spark_signatures.py"
    command = [str(peer.flavors_python()), str(script)]
    variables = environment(PYTHONDONTWRITEBYTECODE=None, PYSPARK_PYTHON=None)
    done = subprocess.run(command, env=variables, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-4000:]
    told = json.loads(done.stdout.splitlines()[-1])
    assert told["ours"] == told["theirs"]
    assert told["vectors"] == told["their vectors"]
    # a map has any names: MLflow tells those that it finds in the data
    assert told["map"] == '[{"type": "map", "values": {"type": "long"}, "name": "m", "required": true}]'
    assert told["all"]
    assert told["taken"] == ["l", "i", "h"]
    assert told["vectors taken"] == ["v", "x"]
    assert told["refused"] == "Failed to enforce schema: Model is missing inputs ['l']."
