"""The part of toolkit that goes into a Bento: small, and whole."""

from __future__ import annotations

from toolkit.deployments.carried_source import carried_modules, carried_source, needed_modules

BESIDE_MODELS = {
    "toolkit",
    "toolkit.artifacts",
    "toolkit.artifacts.digest",
    "toolkit.artifacts.key",
    "toolkit.deployments",
    "toolkit.deployments.config",
    "toolkit.errors",
    "toolkit.names",
}


def test_it_is_what_loads_models_and_what_serves_them() -> None:
    found = {
        name
        for name in carried_modules()
        if not name.startswith(("toolkit.models.", "toolkit.deployments.serving")) and name != "toolkit.models"
    }
    assert found == BESIDE_MODELS
    assert not any(name.startswith(("toolkit.models.evaluation", "toolkit.models.rows")) for name in carried_modules())


def test_it_has_its_own_pyfunc_which_needs_nothing_that_records() -> None:
    files = carried_source()
    assert "wiring" not in files["toolkit/pyfunc.py"]
    assert "toolkit/models/loading.py" in files
    assert "toolkit/models/__init__.py" in files
    assert sum(map(len, files.values())) < 700_000


def test_what_it_needs_of_others_is_what_serves() -> None:
    found = needed_modules()
    assert {"bentoml", "numpy", "orjson", "pandas", "pyarrow", "yaml"} <= found
    assert found & {"prefect", "fastapi", "sqlalchemy", "s3fs", "typer", "docker", "sklearn", "torch"} == set()
