"""Which flavor a model is of; flavors of other packages."""

from __future__ import annotations

import sys
from importlib.metadata import entry_points
from pathlib import Path

import pytest
from sklearn.linear_model import LinearRegression

from toolkit.errors import InvalidValue
from toolkit.models.folder import load_model, load_native, save_model
from toolkit.models.lookup import BUILT_IN, GROUP, flavor_named, flavor_of, flavor_with_loader, names
from toolkit.models.trust import Trust

OTHER = """
from pathlib import Path
from toolkit.models.flavor import SavedFlavor, class_modules

class Scale:
    def __init__(self, by):
        self.by = by

class Predictor:
    def __init__(self, native):
        self.native = native
    def predict(self, data, params=None):
        return [each * self.native.by for each in data]

class ScalesFlavor:
    name, package, modules, loader_module = "scales", "scales", ("scales_of_ours",), "scales_of_ours.mlflow"
    def takes(self, model):
        return "scales_of_ours" in class_modules(model)
    def save(self, model, folder, request):
        (folder / "scale").write_text(str(model.by))
        return SavedFlavor(block={"data": "scale"}, pyfunc={"data": "scale"})
    def load(self, folder, block, context):
        return Scale(int((folder / block["data"]).read_text()))
    def predictor(self, folder, metadata, context):
        return Predictor(self.load(folder, metadata.flavor("scales"), context))

FLAVOR = ScalesFlavor()
"""


def test_what_is_built_in_registers_as_others_do() -> None:
    found = {each.name: each for each in entry_points(group=GROUP)}

    assert set(found) >= set(BUILT_IN)
    for name in BUILT_IN:
        flavor = found[name].load()
        assert flavor is flavor_named(name)
        assert flavor.name == name
        assert set(BUILT_IN[name]) >= set(flavor.modules)
        assert flavor_with_loader(flavor.loader_module) is flavor


def test_a_flavor_of_another_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    site = tmp_path / "site"
    (site / "scales-1.0.dist-info").mkdir(parents=True)
    (site / "scales_of_ours.py").write_text(OTHER, encoding="utf-8")
    (site / "scales-1.0.dist-info" / "METADATA").write_text("Metadata-Version: 2.1\nName: scales\nVersion: 1.0\n")
    entry = "[toolkit.flavors]\nscales = scales_of_ours:FLAVOR\n"
    (site / "scales-1.0.dist-info" / "entry_points.txt").write_text(entry)
    monkeypatch.syspath_prepend(str(site))
    model = __import__("scales_of_ours").Scale(3)

    assert "scales" in names()
    assert flavor_of(model).name == "scales"
    save_model(model, tmp_path / "m")
    assert load_model(tmp_path / "m").predict([1, 2]) == [3, 6]
    assert load_native(tmp_path / "m", "scales").by == 3
    sys.modules.pop("scales_of_ours")


def test_the_nearest_class_decides() -> None:
    class Own(LinearRegression):  # type: ignore[misc]  # scikit-learn has no types
        pass

    assert flavor_of(Own()).name == "sklearn"
    assert flavor_of(lambda rows: rows).name == "python_function"
    with pytest.raises(InvalidValue, match=r"no flavor saves a builtins\.dict.*toolkit\.pyfunc\.PythonModel"):
        flavor_of({})
    assert flavor_with_loader("somebody.elses") is None
    assert not Trust().allows(Path(__file__))
