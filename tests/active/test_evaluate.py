"""``toolkit.evaluate``: what is measured is logged, onto the run and onto the model, before a threshold says no."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.svm import SVC

import toolkit
from toolkit import settings
from toolkit.errors import InvalidValue, ModelFailed, NotFound, ThresholdFailed
from toolkit.models.evaluation.result import EvaluationResult
from toolkit.wiring.opened import open_stores
from toolkit.wiring.registry import open_catalog

DATA = pd.DataFrame({"x": np.arange(60) % 10 / 2.0, "z": np.arange(60) % 7, "site": ["east", "west", "north"] * 20})
DATA["good"] = np.where(DATA["x"] + DATA["z"] / 3 > 3, "yes", "no")
DATA["size"] = DATA["x"] * 3 + DATA["z"] - (DATA["site"] == "west")
FEATURES = DATA[["x", "z"]]


def fitted(answers: str = "good") -> Any:  # noqa: ANN401 - an estimator
    model = LogisticRegression() if answers == "good" else LinearRegression()
    return model.fit(FEATURES, DATA[answers])


def run_of(result: EvaluationResult) -> toolkit.entities.Run:
    assert result.run_id is not None
    toolkit.flush()
    return toolkit.get_run(result.run_id)


def test_a_logged_model_is_measured_onto_the_run_and_onto_the_model() -> None:
    with toolkit.start_run() as training:
        info = toolkit.log_model(fitted(), name="wine", input_example=FEATURES.head(2))
    result = toolkit.evaluate(
        info.model_uri, DATA.drop(columns="size"), "good", slices="site", name="holdout", thresholds=["accuracy>=0.5"]
    )
    run = run_of(result)
    assert result.run_id != training.info.run_id, "without an active run it has one of its own"
    assert run.info.status == "FINISHED"
    assert run.data.metrics == dict(result.metrics)
    assert (
        result.metrics["accuracy_score"]
        == run.data.metrics["slices/site/west/accuracy_score"]
        == pytest.approx(1, abs=0.2)
    )
    (used,) = run.inputs.dataset_inputs
    assert (used.dataset.name, used.dataset.digest) == ("holdout", result.dataset_digest)
    assert [(tag.key, tag.value) for tag in used.tags] == [("mlflow.data.context", "evaluation")]
    names = {file.path for file in toolkit.artifacts.list_artifacts(run_id=result.run_id)}
    assert names >= {
        "roc_curve_plot.png", "precision_recall_curve_plot.png", "lift_curve_plot.png", "calibration_curve_plot.png",
        "confusion_matrix.png", "roc_curve.csv", "slices.csv", "eval_results_table.json", "evaluation.json",
    }  # fmt: skip
    picture = Path(toolkit.artifacts.download_artifacts(result.artifacts["roc_curve_plot"]))
    assert picture.read_bytes().startswith(b"\x89PNG")
    table = toolkit.load_table("eval_results_table.json", run_ids=[str(result.run_id)])
    assert list(table.columns) == ["x", "z", "site", "good", "outputs"]
    assert len(table) == 60
    with_stores = open_stores(settings.load())
    model = open_catalog(with_stores).logged.get_model(str(info.model_id))
    on_it = {each.metric.key: each for each in model.metrics}
    with_stores.close()
    assert {key: each.metric.value for key, each in on_it.items()} == dict(result.metrics)
    point = on_it["accuracy_score"]
    assert point.dataset is not None
    assert (point.run_id, point.dataset.name, point.dataset.digest) == (result.run_id, "holdout", result.dataset_digest)


def test_it_logs_into_the_active_run_with_a_prefix() -> None:
    with toolkit.start_run() as run:
        result = toolkit.evaluate(fitted("size"), DATA, "size", metric_prefix="val_")
        assert result.run_id == run.info.run_id
        assert toolkit.active_run() is not None
    assert result.model_type == "regressor"
    assert run_of(result).data.metrics["val_r2_score"] == pytest.approx(1, abs=0.2)
    assert set(result.artifacts) >= {"residuals_plot", "predicted_plot"}
    assert result.artifacts["residuals_plot"] == f"runs:/{result.run_id}/val_residuals_plot.png"


def test_a_threshold_that_is_not_met_raises_after_all_is_logged() -> None:
    weak, strong = LogisticRegression(C=1e-6).fit(FEATURES, DATA["good"]), fitted()  # the weak one says always the same
    with pytest.raises(ThresholdFailed) as told:
        toolkit.evaluate(
            weak, DATA, "good", thresholds={"accuracy": {"min": 0.99, "better_than_baseline_by": 0.01}}, baseline=strong
        )
    said = str(told.value)
    assert said.startswith("the model misses 2 thresholds: accuracy_score is 0.")
    assert "wanted at least 0.99 (0." in said
    assert "0.01 better than the baseline's" in said
    assert "\n" not in said
    result = told.value.result
    run = run_of(result)
    assert run.info.status == "FINISHED", "the measurement went well"
    assert run.data.metrics["accuracy_score"] == result.metrics["accuracy_score"]
    saved = toolkit.artifacts.load_dict(f"runs:/{result.run_id}/evaluation.json")
    assert saved["passed"] is False
    assert [check["passed"] for check in saved["checks"]] == [False, False]
    assert saved["baseline_metrics"]["accuracy_score"] > saved["metrics"]["accuracy_score"]


def test_thresholds_can_be_about_slices() -> None:
    with pytest.raises(ThresholdFailed, match="a threshold: slices/west/mean_absolute_error is"):
        toolkit.evaluate(
            fitted("size"),
            DATA,
            "size",
            slices={"west": "site == 'west'"},
            thresholds=["r2>=0.5", "slices/west/mean_absolute_error<=0.01"],
            log=False,
        )


def test_nothing_is_logged_when_that_is_wanted() -> None:
    result = toolkit.evaluate(fitted(), DATA, "good", log=False)
    assert (result.run_id, dict(result.artifacts)) == (None, {})
    assert toolkit.search_runs(search_all_experiments=True, output_format="list") == []
    assert result.figure("roc_curve_plot").axes[0].get_title() == "ROC curve"


def test_functions_predictions_arrays_and_datasets_are_taken() -> None:
    exact = toolkit.evaluate(lambda table: table["x"] * 3, DATA.assign(three=DATA["x"] * 3), "three", log=False)
    assert (exact.model_type, exact.metrics["mean_absolute_error"]) == ("regressor", 0.0)
    said = DATA.assign(said=["yes"] * 60)
    given = toolkit.evaluate(data=said, targets="good", predictions="said", log=False)
    assert given.metrics["recall_score"] == 1.0
    rows, answers = FEATURES.to_numpy(), DATA["size"].to_numpy()
    arrays = toolkit.evaluate(LinearRegression().fit(rows, answers), rows, answers, log=False)
    dataset = toolkit.data.from_pandas(DATA, targets="good", name="wine", source="wine.csv")
    of_dataset = toolkit.evaluate(fitted(), dataset, log=False)
    assert arrays.metrics["r2_score"] == pytest.approx(1, abs=0.2)
    assert (of_dataset.dataset_name, of_dataset.dataset_digest) == ("wine", dataset.digest)


def test_arrays_of_more_dimensions_reach_the_model_as_they_are() -> None:
    pictures = np.random.default_rng(5).random((30, 4, 4)).astype("float32")
    bright = np.where(pictures.mean(axis=(1, 2)) > 0.5, 1, 0)

    def network(batch: Any) -> Any:  # noqa: ANN401 - an array
        assert batch.shape == (30, 4, 4)
        light = batch.mean(axis=(1, 2))
        return np.column_stack([1 - light, light])

    result = toolkit.evaluate(network, pictures, bright, model_type="classifier", name="pictures")
    assert result.metrics["accuracy_score"] == result.metrics["roc_auc"] == 1.0
    (used,) = run_of(result).inputs.dataset_inputs
    assert (used.dataset.name, used.dataset.digest) == ("pictures", result.dataset_digest)
    assert list(result.tables["eval_results_table"].columns) == ["target", "outputs"]


def test_what_json_has_no_number_for_is_null_there() -> None:
    result = toolkit.evaluate(fitted(), DATA, "good", extra_metrics={"odd": lambda *_: float("inf")})
    assert result.metrics["odd"] == float("inf")
    text = toolkit.artifacts.load_text(f"runs:/{result.run_id}/evaluation.json")
    assert "Infinity" not in text
    assert json.loads(text)["metrics"]["odd"] is None


def test_a_slice_whose_rows_do_not_count_has_no_metrics() -> None:
    weighted = DATA.assign(weight=(DATA["site"] != "west") * 1.0)
    result = toolkit.evaluate(fitted(), weighted, "good", sample_weights="weight", slices="site", log=False)
    assert result.metrics["slices/site/west/example_count"] == 20.0
    assert "slices/site/west/accuracy_score" not in result.metrics
    assert "slices/site/east/accuracy_score" in result.metrics


def test_a_classifier_without_probabilities_has_no_curves() -> None:
    result = toolkit.evaluate(SVC().fit(FEATURES, DATA["good"]), DATA, "good", log=False)
    assert "roc_auc" not in result.metrics
    assert list(result.figures) == ["confusion_matrix"]


def test_own_metrics_count_for_thresholds() -> None:
    def shares(truth: Any, predicted: Any) -> float:  # noqa: ANN401 - arrays
        return float((predicted == "yes").mean())

    with pytest.raises(ThresholdFailed, match=r"shares is 0\..+: wanted at most 0\.1"):
        toolkit.evaluate(fitted(), DATA, "good", extra_metrics=[shares], thresholds=["shares<=0.1"], log=False)
    with pytest.raises(InvalidValue, match="the metric 'bad' returned 'x': wanted a number"):
        toolkit.evaluate(fitted(), DATA, "good", extra_metrics={"bad": lambda *_: "x"}, log=False)  # type: ignore[dict-item]  # that is the point


def test_mlflows_options_and_verb_are_understood() -> None:
    config = {"pos_label": "no", "metric_prefix": "p_", "log_model_explainability": False}
    result = toolkit.evaluate(fitted(), DATA, targets="good", evaluator_config=config, log=False)
    plain = toolkit.evaluate(fitted(), DATA, targets="good", log=False)
    assert result.metrics["p_true_positives"] == plain.metrics["true_negatives"]
    toolkit.validate_evaluation_results({"accuracy_score": 0.5}, plain)
    with pytest.raises(ThresholdFailed, match="accuracy_score is"):
        toolkit.validate_evaluation_results({"accuracy_score": {"better_than_baseline_by": 0.1}}, plain, plain)


def broken(table: pd.DataFrame) -> object:
    raise RuntimeError("no\nluck")


@pytest.mark.parametrize(
    ("arguments", "kind", "said"),
    [
        ({"model": "models:/none/1"}, NotFound, "none"),
        ({"model": 7}, InvalidValue, "int is no model: wanted a URI"),
        ({"model": None}, InvalidValue, "neither a model nor predictions"),
        ({"data": None}, InvalidValue, "no data"),
        ({"targets": "colour"}, InvalidValue, "targets is 'colour': the data have no such column, but x, z, site"),
        ({"model_type": "ranker"}, InvalidValue, "model_type is 'ranker': wanted classifier or regressor"),
        ({"thresholds": ["f1>=baseline"]}, InvalidValue, "compares with a baseline"),
        ({"evaluator_config": {"x": 1}}, InvalidValue, "evaluator_config has 'x'"),
        ({"model": broken}, ModelFailed, "the model failed: RuntimeError: no"),
        ({"average": "mean"}, InvalidValue, "average is 'mean': wanted one of weighted, macro, micro"),
    ],
    ids="uri number none data targets type baseline config failing average".split(),
)
def test_wrong_calls_are_told_in_one_line_and_log_nothing(
    arguments: dict[str, Any], kind: type[Exception], said: str
) -> None:
    with pytest.raises(kind, match=said) as told:
        toolkit.evaluate(**{"model": fitted(), "data": DATA, "targets": "good", **arguments})
    assert "\n" not in str(told.value)
    assert toolkit.search_runs(search_all_experiments=True, output_format="list") == []


def test_results_are_saved_into_a_folder(tmp_path: Path) -> None:
    toolkit.evaluate(fitted(), DATA, "good", slices="site", log=False).save(tmp_path / "out")
    assert json.loads((tmp_path / "out" / "metrics.json").read_text())["example_count"] == 60
    assert {"slices.csv", "roc_curve_plot.png", "evaluation.json"} <= {
        path.name for path in (tmp_path / "out").iterdir()
    }
