"""What an import or a quick command must not load: heavy libraries make every call of the command slow."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

HEAVY = {"alembic", "bentoml", "docker", "fastapi", "httpx", "pandas", "prefect", "pydantic", "rich", "s3fs"} | {
    "sqlalchemy",
    "typer",
    "yaml",
}

REPORT = """
import json, sys, threading
before = set(sys.modules)
{work}
loaded = {{name.partition(".")[0] for name in set(sys.modules) - before}}
print(json.dumps({{"loaded": sorted(loaded), "threads": threading.active_count()}}), file=sys.stderr)
"""


def loaded_by(work: str) -> tuple[set[str], int, str]:
    """Run code in a fresh interpreter; return the packages it loads, its threads, and what it printed."""
    done = subprocess.run(
        [sys.executable, "-c", REPORT.format(work=work)], capture_output=True, text=True, check=True, timeout=60
    )
    *noise, report = done.stderr.splitlines()
    found = json.loads(report)
    return set(found["loaded"]), found["threads"], done.stdout + "\n".join(noise)


def test_import_toolkit_loads_nothing_heavy_and_does_nothing() -> None:
    loaded, threads, printed = loaded_by("import toolkit")
    assert loaded & HEAVY == set()
    assert threads == 1
    assert printed == ""


def test_help_loads_typer_alone() -> None:
    loaded, _, printed = loaded_by("from toolkit.cli.main import main; main(['--help'])")
    assert "Usage: toolkit" in printed
    assert loaded & (HEAVY - {"typer", "rich"}) == set()


@pytest.mark.parametrize("arguments", ["['runs', 'list']", "['runs', 'list', '--json']", "['experiments', 'list']"])
def test_reading_commands_need_no_prefect(arguments: str) -> None:
    loaded, threads, _ = loaded_by(f"from toolkit.cli.main import main; main({arguments})")
    assert "sqlalchemy" in loaded
    assert loaded & {"prefect", "fastapi", "pandas", "bentoml", "httpx", "docker"} == set()
    assert threads == 1


def test_a_store_that_is_up_to_date_needs_no_migrations() -> None:
    loaded_by("from toolkit.cli.main import main; main(['runs', 'list'])")
    loaded, _, _ = loaded_by("from toolkit.cli.main import main; main(['runs', 'list'])")
    assert "alembic" not in loaded


def test_logging_from_a_script_needs_no_prefect() -> None:
    loaded, _, printed = loaded_by("import toolkit; toolkit.log_metric('m', 1); toolkit.end_run()")
    assert loaded & {"prefect", "fastapi", "pandas", "bentoml", "typer", "alembic"} - {"alembic"} == set()
    assert printed == ""


def test_looking_at_a_project_needs_no_prefect_and_no_database() -> None:
    loaded, _, printed = loaded_by("from toolkit.cli.main import main; main(['compile', 'examples/wine-quality'])")
    assert "evaluate" in printed
    assert loaded & {"prefect", "sqlalchemy", "fastapi", "alembic"} == set()
