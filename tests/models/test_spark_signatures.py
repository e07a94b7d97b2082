"""Signatures of tables of Spark, with the real one."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import peer
import pytest


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.skipif(peer.flavors_python() is None, reason=peer.NO_FLAVORS)
def test_tables_of_spark_show_and_keep_their_columns() -> None:
    script = Path(__file__).parent / "scripts" / "spark_signatures.py"
    done = subprocess.run([str(peer.flavors_python()), str(script)], capture_output=True, text=True, check=False)
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
