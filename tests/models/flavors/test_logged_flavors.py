"""Models of each flavor, logged into a store and loaded out of it, as a user does it."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path

import pytest
import yaml
import zoo

import toolkit
from toolkit.errors import InvalidValue, NotFound, UntrustedModel

ARGUMENTS: dict[str, tuple[str, dict[str, object]]] = {
    "xgboost.classifier": ("xgb_model", {"model_format": "json"}),
    "lightgbm.classifier": ("lgb_model", {"serialization_format": "cloudpickle"}),
    "catboost.classifier": ("cb_model", {"format": "json"}),
    "statsmodels.linear": ("statsmodels_model", {"remove_data": True}),
    "onnx.graph": ("onnx_model", {"onnx_session_options": {"intra_op_num_threads": 1}}),
}


@pytest.mark.parametrize("name", sorted(ARGUMENTS))
def test_a_logged_model_predicts_the_same(name: str) -> None:
    """A pickle, too: this store has recorded the digest of what was logged."""
    flavor, (argument, options) = name.partition(".")[0], ARGUMENTS[name]
    model = zoo.ANIMALS[name]()
    verbs = import_module(f"toolkit.{flavor}")

    with toolkit.start_run():
        info = verbs.log_model(**{argument: model}, name="model", input_example=zoo.frame().head(2), **options)

    loaded, native = toolkit.load_model(info.model_uri), verbs.load_model(info.model_uri)
    assert sorted(info.flavors) == sorted(["python_function", flavor])
    assert type(native).__name__ == type(model).__name__
    if flavor != "onnx":
        assert zoo.answered(loaded.predict(zoo.frame())) == pytest.approx(zoo.answered(model.predict(zoo.frame())))
    other = "xgboost" if flavor != "xgboost" else "lightgbm"
    with pytest.raises(NotFound, match=rf"{other}.*{flavor}"):
        import_module(f"toolkit.{other}").load_model(info.model_uri)


def test_a_pickle_from_elsewhere_is_not_trusted(tmp_path: Path) -> None:
    toolkit.save_model(zoo.statsmodels_linear(), tmp_path / "m")

    with pytest.raises(UntrustedModel, match=r"model\.statsmodels"):
        toolkit.load_model(tmp_path / "m")
    assert len(toolkit.load_model(tmp_path / "m", trust=True).predict(zoo.frame())) == zoo.ROWS


def test_an_argument_of_another_flavor_is_refused_and_nothing_is_logged() -> None:
    verbs = import_module("toolkit.xgboost")

    with toolkit.start_run() as run, pytest.raises(InvalidValue, match=r"remove_data.*model_format"):
        verbs.log_model(zoo.xgboost_classifier(), name="model", remove_data=True)

    assert toolkit.artifacts.list_artifacts(run_id=run.info.run_id) == []


def test_the_files_of_a_logged_model_say_how_it_was_saved(tmp_path: Path) -> None:
    verbs = import_module("toolkit.onnx")

    with toolkit.start_run():
        info = verbs.log_model(zoo.onnx_graph(columns=1000), name="graph", save_as_external_data=True)
    assert toolkit.load_model(info.model_uri, dst_path=tmp_path).predict(zoo.frame().to_numpy())["y"].shape[1] == 1000

    folder = next(tmp_path.rglob("MLmodel")).parent
    found = {file.name for file in folder.iterdir()}
    assert {"MLmodel", "model.onnx", "model.onnx.data", "requirements.txt", "conda.yaml", "python_env.yaml"} <= found
    assert yaml.safe_load((folder / "MLmodel").read_text())["flavors"]["python_function"]["data"] == "model.onnx"
