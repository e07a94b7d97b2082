"""Gates that need a model's files, with real models: what is found, and that no server runs what it is sent."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

import toolkit
from toolkit.errors import GateFailed
from toolkit.recording import current
from toolkit.registry.catalog import Catalog, catalog_of
from toolkit.registry.gates import read_gate
from toolkit.registry.history import Author
from toolkit.registry.promotion import NewRequest, Policy, Target

pytest.importorskip("sklearn", reason="scikit-learn is not installed")

CHAMPION = Target(alias="champion")
GATES = Policy(target=CHAMPION, gates=(read_gate("signature"), read_gate("example")))


@pytest.fixture
def catalog(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Catalog:
    monkeypatch.chdir(tmp_path)
    toolkit.set_tracking_uri(f"sqlite:///{tmp_path}/toolkit.db")
    return catalog_of(current.stores())


def log(columns: tuple[str, ...] = ("a", "b"), *, example: bool = True) -> None:
    """Log a linear model of some columns as the next version of wine."""
    import pandas as pd
    from sklearn.linear_model import LinearRegression

    data = pd.DataFrame({name: [0.0, 1.0, 2.0] for name in columns})
    model = LinearRegression().fit(data, [0.0, 1.0, 2.0])
    with toolkit.start_run():
        toolkit.log_model(model, name="model", input_example=data if example else None, registered_model_name="wine")


def test_what_files_say(catalog: Catalog) -> None:
    log()
    log(example=False)
    log(("a", "b", "c"))
    catalog.promotions.set_policies("wine", [GATES])
    first = catalog.promotions.check("wine", 1, CHAMPION)
    assert [(line.passed, line.found) for line in first.lines] == [
        (True, "it has one, and no other version holds it"),
        (True, "it answers 3 predictions"),
    ]
    second = catalog.promotions.check("wine", 2, CHAMPION)
    assert [(line.passed, line.found) for line in second.lines] == [
        (False, "it has no signature"),
        (False, "it has no input example: log it with input_example"),
    ]
    catalog.promotions.set_policies("wine", [replace(GATES, gates=GATES.gates[:1])])
    catalog.registered.set_alias("wine", "champion", 1)
    with pytest.raises(GateFailed, match="unlike version 1: it needs the column 'c', which is not given now"):
        catalog.registered.set_alias("wine", "champion", 3)
    with pytest.raises(GateFailed, match="it has no signature"):
        catalog.promotions.acting(Author(user="ada")).request(NewRequest(name="wine", version=2, target=CHAMPION))
    folder = Path(catalog.registered.get_version("wine", 3).location.removeprefix("file://"))
    (folder / "MLmodel").write_text("flavors: {}\n")
    catalog.promotions.set_policies("wine", [GATES])
    changed = catalog.promotions.check("wine", 3, CHAMPION)
    assert [line.passed for line in changed.lines] == [False, False]
    assert "SHA-256" in changed.lines[1].found


def test_a_model_that_raises_is_told_and_no_server_loads_it(catalog: Catalog) -> None:
    import pandas as pd

    def broken(model_input: pd.DataFrame) -> pd.DataFrame:
        if len(model_input) == 1:
            raise RuntimeError("no such oven")
        return model_input

    with toolkit.start_run():
        toolkit.pyfunc.log_model(
            name="model",
            python_model=broken,
            input_example=pd.DataFrame({"a": [1.0]}),
            registered_model_name="wine",
        )
    catalog.promotions.set_policies("wine", [Policy(target=CHAMPION, gates=(read_gate("example"),))])
    told = catalog.promotions.check("wine", 1, CHAMPION).failures()
    assert "no such oven" in told
    served = catalog_of(current.stores(), pickles=False).promotions.check("wine", 1, CHAMPION).failures()
    assert "can run any code when it is loaded" in served
    assert "oven" not in served
