"""XGBoost, LightGBM and CatBoost: what is kept, what is refused, and how each predicts."""

from __future__ import annotations

import sys
from collections.abc import Callable
from importlib import import_module
from io import StringIO
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml
import zoo

from toolkit.artifacts.digest import file_digest
from toolkit.errors import InvalidValue, NotFound, UntrustedModel
from toolkit.models.folder import load_model, load_native, save_model
from toolkit.models.lookup import flavor_of
from toolkit.models.trust import Trust

TREES = [name for name in zoo.ANIMALS if name.startswith(("xgboost", "lightgbm", "catboost"))]


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[Any, Path]]:
    """Each model, and the folder that it is saved in."""
    folder = tmp_path_factory.mktemp("trees")
    found = {}
    for name in TREES:
        model = zoo.ANIMALS[name]()
        save_model(model, folder / name)
        found[name] = (model, folder / name)
    return found


def _rewritten(folder: Path, flavor: str, **keys: object) -> None:
    """Change keys of a flavor in the MLmodel of a folder."""
    path = folder / "MLmodel"
    values = yaml.safe_load(path.read_text())
    values["flavors"][flavor].update(keys)
    path.write_text(yaml.safe_dump(values))


@pytest.mark.parametrize("name", TREES)
def test_the_flavor_is_found_and_the_model_comes_back(saved: dict[str, tuple[Any, Path]], name: str) -> None:
    model, folder = saved[name]
    flavor = name.partition(".")[0]

    native = load_native(folder, flavor)

    assert flavor_of(model).name == flavor
    assert type(native) is type(model)
    given = import_module("xgboost").DMatrix(zoo.frame()) if name == "xgboost.booster" else zoo.frame()
    assert zoo.answered(native.predict(given)) == zoo.answered(model.predict(given))


@pytest.mark.filterwarnings("ignore:X does not have valid feature names")  # scikit-learn's, to whoever gives an array
@pytest.mark.parametrize("name", TREES)
def test_frames_and_arrays_predict_the_same(saved: dict[str, tuple[Any, Path]], name: str) -> None:
    model = load_model(saved[name][1])

    of_frame = model.predict(zoo.frame())

    assert isinstance(of_frame, np.ndarray)
    assert zoo.answered(model.predict(zoo.frame().to_numpy())) == zoo.answered(of_frame)


def test_classifiers_give_classes_and_a_booster_probabilities(saved: dict[str, tuple[Any, Path]]) -> None:
    assert set(load_model(saved["lightgbm.classifier"][1]).predict(zoo.frame())) == {"no", "yes"}
    assert set(load_model(saved["catboost.classifier"][1]).predict(zoo.frame())) == {"no", "yes"}
    assert set(load_model(saved["xgboost.classifier"][1]).predict(zoo.frame())) == {0, 1}
    assert 0 < load_model(saved["xgboost.booster"][1]).predict(zoo.frame()).min() < 0.5


@pytest.mark.parametrize("kind", ["ubj", "json"])
def test_xgboost_in_each_of_its_formats(tmp_path: Path, kind: str) -> None:
    model = zoo.xgboost_classifier()

    save_model(model, tmp_path / "m", options={"model_format": kind})

    assert (tmp_path / "m" / f"model.{kind}").exists()
    assert zoo.answered(load_model(tmp_path / "m").predict(zoo.frame())) == zoo.answered(model.predict(zoo.frame()))


def _categories() -> pd.DataFrame:
    """Return texts and numbers as categories, one of which is always the same."""
    up = np.where(zoo.classes(), "up", "down")
    data = zoo.frame().assign(word=up, number=np.where(zoo.classes(), 30, 10), same="x")
    return data.astype({"word": "category", "number": "category", "same": "category"})


def _with_categories(kind: str) -> Any:  # noqa: ANN401 - a model
    data, classes, module = _categories(), zoo.classes(), import_module(kind.partition(".")[0])
    if kind == "xgboost.booster":
        return module.train({"max_depth": 1}, module.DMatrix(data, classes, enable_categorical=True), 5)
    if kind == "lightgbm.booster":
        options = {"verbosity": -1, "objective": "binary", "min_data_in_leaf": 2, "min_data_per_group": 1}
        return module.train({**options, "num_threads": 1}, module.Dataset(data, classes), 5)
    if kind == "xgboost.classifier":
        return module.XGBClassifier(n_estimators=5, n_jobs=1, enable_categorical=True).fit(data, classes)
    options = {"n_estimators": 5, "verbosity": -1, "min_child_samples": 2, "min_data_per_group": 1, "n_jobs": 1}
    return module.LGBMClassifier(**options).fit(data, classes)


@pytest.mark.parametrize("kind", ["xgboost.booster", "xgboost.classifier", "lightgbm.booster", "lightgbm.classifier"])
def test_categories_are_known_by_their_names_also_in_rows_of_json(tmp_path: Path, kind: str) -> None:
    data = _categories()
    save_model(_with_categories(kind), tmp_path / "m", input_example=data.head(8))
    model = load_model(tmp_path / "m")

    expected = model.predict(data)

    assert np.corrcoef(expected, zoo.classes())[0, 1] == pytest.approx(1)
    plain = pd.read_json(StringIO(data.to_json(orient="records")))
    assert set(map(str, plain.dtypes)) & {"category"} == set()
    assert zoo.answered(model.predict(plain)) == zoo.answered(expected)
    ups = plain[plain["word"] == "up"]  # of each column one category: its number is not the one of the training
    assert zoo.answered(model.predict(ups)) == zoo.answered(expected[zoo.classes() == 1])


def test_catboost_as_json(tmp_path: Path) -> None:
    model = zoo.catboost_classifier()

    save_model(model, tmp_path / "m", options={"format": "json"})

    assert yaml.safe_load((tmp_path / "m" / "MLmodel").read_text())["flavors"]["catboost"]["save_format"] == "json"
    assert zoo.answered(load_model(tmp_path / "m").predict(zoo.frame())) == zoo.answered(model.predict(zoo.frame()))


@pytest.mark.parametrize("kind", ["pickle", "cloudpickle"])
def test_a_pickle_is_loaded_only_where_it_is_trusted(tmp_path: Path, kind: str) -> None:
    model, folder = zoo.lightgbm_classifier(), tmp_path / "m"
    save_model(model, folder, options={"serialization_format": kind})
    expected = zoo.answered(model.predict(zoo.frame()))

    with pytest.raises(UntrustedModel, match=r"model\.pkl.*pickle.*trust=True"):
        load_model(folder)
    with pytest.raises(UntrustedModel):
        load_native(folder, "lightgbm", trust=Trust(digests=frozenset({"0" * 64})))

    recorded = Trust(digests=frozenset({file_digest(folder / "model.pkl")}))
    assert zoo.answered(load_model(folder, trust=recorded).predict(zoo.frame())) == expected
    assert zoo.answered(load_model(folder, trust=Trust.all()).predict(zoo.frame())) == expected


def objective(truth: Any, predicted: Any) -> tuple[Any, Any]:  # noqa: ANN401 - arrays
    return predicted - truth, np.ones_like(truth, dtype=float)


def test_a_model_with_a_function_of_the_users_has_to_be_trusted(tmp_path: Path) -> None:
    regressor = import_module("lightgbm").LGBMRegressor
    made = regressor(n_estimators=2, verbosity=-1, min_child_samples=2, n_jobs=1, objective=objective)
    model = made.fit(zoo.frame(), zoo.values())
    save_model(model, tmp_path / "m")

    with pytest.raises(UntrustedModel, match=rf"{__name__}\.objective"):
        load_model(tmp_path / "m")

    named = Trust(types=frozenset({f"{__name__}.objective"}))
    assert zoo.answered(load_model(tmp_path / "m", trust=named).predict(zoo.frame())) == pytest.approx(
        zoo.answered(model.predict(zoo.frame()))
    )


def test_the_types_that_a_model_says_to_trust_are_not_trusted(tmp_path: Path) -> None:
    model = import_module("lightgbm").LGBMRegressor(
        objective=objective, n_estimators=2, verbosity=-1, min_child_samples=2
    )
    save_model(model.fit(zoo.frame(), zoo.values()), tmp_path / "m")
    written = yaml.safe_load((tmp_path / "m" / "MLmodel").read_text())["flavors"]["lightgbm"]["skops_trusted_types"]

    assert f"{__name__}.objective" in written  # for MLflow, which would not load it otherwise
    with pytest.raises(UntrustedModel):
        load_model(tmp_path / "m")


@pytest.mark.filterwarnings("ignore:X does not have valid feature names")  # scikit-learn's: the scaler gives an array
@pytest.mark.parametrize("kind", ["xgboost.XGBClassifier", "lightgbm.LGBMClassifier", "catboost.CatBoostClassifier"])
def test_a_pipeline_with_trees_is_safe_to_load(tmp_path: Path, kind: str) -> None:
    module, _, name = kind.partition(".")
    trees = getattr(import_module(module), name)(n_estimators=2)
    pipeline = import_module("sklearn.pipeline").make_pipeline(
        import_module("sklearn.preprocessing").StandardScaler(), trees
    )
    quiet = {"catboostclassifier__verbose": 0, "catboostclassifier__allow_writing_files": False}
    pipeline.set_params(**(quiet if module == "catboost" else {})).fit(zoo.frame(), zoo.classes())

    save_model(pipeline, tmp_path / "m")

    loaded = load_model(tmp_path / "m")
    assert list(loaded.metadata.flavors) == ["python_function", "sklearn"]
    assert zoo.answered(loaded.predict(zoo.frame())) == zoo.answered(pipeline.predict(zoo.frame()))


def test_a_lambda_cannot_be_kept_by_skops_but_by_cloudpickle(tmp_path: Path) -> None:
    made = import_module("lightgbm").LGBMRegressor(
        n_estimators=2, verbosity=-1, min_child_samples=2, objective=lambda t, p: objective(t, p)
    )
    model = made.fit(zoo.frame(), zoo.values())

    for options, said in (({}, "cloudpickle"), ({"serialization_format": "pickle"}, "cannot be pickled")):
        with pytest.raises(InvalidValue, match=said):
            save_model(model, tmp_path / "m", options=options)
        assert not (tmp_path / "m").exists()

    save_model(model, tmp_path / "m", options={"serialization_format": "cloudpickle"})
    assert len(load_model(tmp_path / "m", trust=Trust.all()).predict(zoo.frame())) == zoo.ROWS


@pytest.mark.parametrize(
    ("make", "options", "said"),
    [
        pytest.param(lambda: import_module("xgboost").XGBClassifier(), {}, "need to call fit", id="xgboost-unfitted"),
        pytest.param(lambda: import_module("xgboost").Booster(), {}, "0 feature is supplied", id="booster-unfitted"),
        pytest.param(lambda: import_module("lightgbm").LGBMClassifier(), {}, "not fitted", id="lightgbm-unfitted"),
        pytest.param(
            lambda: import_module("catboost").CatBoostClassifier(), {}, "no trained model", id="catboost-unfitted"
        ),
        pytest.param(zoo.xgboost_classifier, {"model_format": "exe"}, "ubj, json, xgb", id="xgboost-format"),
        pytest.param(zoo.lightgbm_classifier, {"serialization_format": "dill"}, "skops, clou", id="lightgbm-format"),
        pytest.param(zoo.catboost_classifier, {"format": "onnx"}, "cbm, json", id="catboost-format"),
        pytest.param(zoo.xgboost_classifier, {"serialization_format": "pickle"}, "model_format", id="foreign-option"),
        pytest.param(lambda: import_module("lightgbm").CVBooster(), {}, "CVBooster is no model", id="no-model"),
    ],
)
def test_what_cannot_be_kept_is_refused_in_one_line_and_leaves_nothing(
    tmp_path: Path, make: Callable[[], Any], options: dict[str, object], said: str
) -> None:
    with pytest.raises(InvalidValue, match=said) as refused:
        save_model(make(), tmp_path / "m", options=options)

    assert "\n" not in str(refused.value)
    assert not (tmp_path / "m").exists()


@pytest.mark.parametrize(
    ("flavor", "make", "file"),
    [
        pytest.param("xgboost", zoo.xgboost_booster, "model.ubj", id="xgboost"),
        pytest.param("lightgbm", zoo.lightgbm_booster, "model.lgb", id="lightgbm"),
        pytest.param("lightgbm", zoo.lightgbm_classifier, "model.skops", id="lightgbm-estimator"),
        pytest.param("catboost", zoo.catboost_classifier, "model.cb", id="catboost"),
    ],
)
def test_a_broken_or_missing_file_is_one_line(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], flavor: str, make: Callable[[], Any], file: str
) -> None:
    folder = tmp_path / "m"
    save_model(make(), folder)
    (folder / file).write_text("hello")

    with pytest.raises(InvalidValue, match=file) as refused:
        load_native(folder, flavor)
    assert "\n" not in str(refused.value)

    (folder / file).unlink()
    with pytest.raises(NotFound, match=file):
        load_native(folder, flavor)
    _rewritten(folder, flavor, data="../../etc/passwd")
    with pytest.raises(InvalidValue, match="inside of the model's folder"):
        load_native(folder, flavor)


def test_a_class_of_other_code_is_imported_only_where_that_is_trusted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, trap = tmp_path / "m", tmp_path / "trap_for_xgboost.py"
    trap.write_text("from xgboost import XGBClassifier\n\n\nclass Mine(XGBClassifier):\n    pass\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    save_model(zoo.xgboost_classifier(), folder)
    _rewritten(folder, "xgboost", model_class="trap_for_xgboost.Mine")

    with pytest.raises(UntrustedModel, match=r"trap_for_xgboost\.Mine"):
        load_native(folder, "xgboost")
    assert "trap_for_xgboost" not in sys.modules

    assert type(load_native(folder, "xgboost", trust=Trust.all())).__name__ == "Mine"


@pytest.mark.parametrize(
    "name", ["xgboost.tracker.RabitTracker", "xgboost.build_info", "xgboost.nothing.There", "Name"]
)
def test_a_class_that_is_no_model_is_refused(tmp_path: Path, name: str) -> None:
    save_model(zoo.xgboost_classifier(), tmp_path / "m")
    _rewritten(tmp_path / "m", "xgboost", model_class=name)

    with pytest.raises(InvalidValue, match=name):
        load_native(tmp_path / "m", "xgboost", trust=Trust.all())


def test_a_derived_class_is_saved_by_the_flavor_of_its_base(tmp_path: Path) -> None:
    mine = type("Mine", (import_module("catboost").CatBoostRegressor,), {})
    model = mine(iterations=2, verbose=0, allow_writing_files=False).fit(zoo.frame(), zoo.values())

    save_model(model, tmp_path / "m")

    assert type(load_native(tmp_path / "m", "catboost")).__name__ == "CatBoostRegressor"  # MLflow loads no other


def test_what_old_versions_of_mlflow_left_out_of_the_keys(saved: dict[str, tuple[Any, Path]], tmp_path: Path) -> None:
    save_model(zoo.xgboost_booster(), tmp_path / "x")
    save_model(zoo.lightgbm_booster(), tmp_path / "l")
    for folder, flavor in (("x", "xgboost"), ("l", "lightgbm")):
        path = tmp_path / folder / "MLmodel"
        values = yaml.safe_load(path.read_text())
        kept = {"data": values["flavors"][flavor]["data"]}
        path.write_text(yaml.safe_dump({**values, "flavors": {**values["flavors"], flavor: kept}}))

        assert type(load_native(tmp_path / folder, flavor)).__name__ == "Booster"
