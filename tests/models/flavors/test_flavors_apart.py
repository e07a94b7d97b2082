"""What holds for each flavor of a library: signatures are enforced, nothing is imported early, what misses is named."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import zoo

from toolkit.errors import InvalidValue, SchemaMismatch
from toolkit.models.folder import load_model, load_native, save_model
from toolkit.models.infer import infer_signature
from toolkit.models.lookup import flavor_named
from toolkit.models.trust import Trust

FLAVORS = ["xgboost", "lightgbm", "catboost", "statsmodels", "onnx"]
TABLES = [name for name in zoo.ANIMALS if name not in ("statsmodels.series",)]


@pytest.mark.parametrize("name", TABLES)
def test_the_signature_is_enforced(tmp_path: Path, name: str) -> None:
    save_model(zoo.ANIMALS[name](), tmp_path / "m", signature=infer_signature(zoo.frame()))
    model = load_model(tmp_path / "m", trust=Trust.all())
    expected = zoo.answered(model.predict(zoo.frame()))

    turned = zoo.frame().assign(other="x")[["other", "b", "a"]]
    assert zoo.answered(model.predict(turned)) == expected
    assert zoo.answered(model.predict(zoo.frame().to_dict("list"))) == expected
    with pytest.raises(SchemaMismatch, match=r"\bb\b"):
        model.predict(zoo.frame()[["a"]])
    with pytest.raises(SchemaMismatch, match=r"\ba\b"):
        model.predict(zoo.frame().assign(a="text"))


@pytest.mark.parametrize(
    ("name", "params"),
    [
        pytest.param("xgboost.booster", {"output_margin": True}, id="xgboost.booster"),
        pytest.param("xgboost.classifier", {"output_margin": True}, id="xgboost.classifier"),
        pytest.param("lightgbm.booster", {"raw_score": True}, id="lightgbm.booster"),
        pytest.param("lightgbm.classifier", {"raw_score": True}, id="lightgbm.classifier"),
        pytest.param("catboost.classifier", {"prediction_type": "RawFormulaVal"}, id="catboost.classifier"),
    ],
)
def test_params_of_the_signature_reach_the_library(tmp_path: Path, name: str, params: dict[str, object]) -> None:
    save_model(zoo.ANIMALS[name](), tmp_path / "m", signature=infer_signature(zoo.frame(), None, params))
    model = load_model(tmp_path / "m")

    margins = np.asarray(model.predict(zoo.frame(), params))

    assert margins.dtype.kind == "f"
    assert margins.min() < 0


@pytest.mark.parametrize("name", ["xgboost.classifier", "lightgbm.classifier", "catboost.classifier", "onnx.graph"])
def test_an_example_gives_the_signature(tmp_path: Path, name: str) -> None:
    metadata = save_model(zoo.ANIMALS[name](), tmp_path / "m", input_example=zoo.frame().head(3))

    assert metadata.signature is not None
    assert metadata.signature.inputs is not None
    assert metadata.signature.outputs is not None
    said = json.loads(metadata.signature.inputs.to_json())
    assert [(each["name"], each["type"]) for each in said] == [("a", "double"), ("b", "double")]
    assert len(load_model(tmp_path / "m").predict(zoo.frame())) == zoo.ROWS


def test_what_a_model_needs_is_pinned(tmp_path: Path) -> None:
    for name in ("xgboost.classifier", "lightgbm.classifier", "onnx.graph"):
        save_model(zoo.ANIMALS[name](), tmp_path / name)
    lines = {path.name: (path / "requirements.txt").read_text().splitlines() for path in tmp_path.iterdir()}
    found = {name: {line.partition("==")[0] for line in each} for name, each in lines.items()}

    assert {"xgboost-cpu", "scikit-learn"} <= found["xgboost.classifier"]
    assert {"lightgbm", "scikit-learn", "skops"} <= found["lightgbm.classifier"]
    assert {"onnx", "onnxruntime"} <= found["onnx.graph"]


def test_asking_the_flavors_imports_no_library() -> None:
    program = (
        "import sys, json\n"
        "from toolkit.models.lookup import flavor_named\n"
        f"flavors = {FLAVORS}\n"
        "assert not any(flavor_named(each).takes(object()) for each in flavors)\n"
        "print(json.dumps(sorted({*flavors, 'sklearn', 'pandas', 'numpy', 'skops'} & set(sys.modules))))\n"
    )

    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=120)

    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == []


@pytest.mark.parametrize("name", FLAVORS)
def test_a_missing_library_is_named_with_what_installs_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    animal = next(each for each in zoo.ANIMALS if each.startswith(name))
    model = zoo.ANIMALS[animal]()
    save_model(model, tmp_path / "m")
    monkeypatch.setitem(sys.modules, name, None)

    with pytest.raises(InvalidValue, match=rf"needs {name}.*pip install 'toolkit\[{name}\]'"):
        load_native(tmp_path / "m", name, trust=Trust.all())
    with pytest.raises(InvalidValue, match=rf"needs {name}"):
        save_model(model, tmp_path / "n")
    assert not (tmp_path / "n").exists()
    assert flavor_named(name).name == name


def test_onnx_predicts_by_another_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    save_model(zoo.onnx_graph(), tmp_path / "m")
    monkeypatch.setitem(sys.modules, "onnxruntime", None)

    load_native(tmp_path / "m", "onnx")
    with pytest.raises(InvalidValue, match=r"needs onnxruntime.*'toolkit\[onnx\]'"):
        load_model(tmp_path / "m")
