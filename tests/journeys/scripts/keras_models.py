"""Models of Keras and TensorFlow, to and fro between toolkit and MLflow. Runs where all of them are installed."""

from __future__ import annotations

import json
import os
import sys
import warnings
from pathlib import Path

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
warnings.simplefilter("ignore")

import keras  # noqa: E402
import mlflow  # noqa: E402
import numpy as np  # noqa: E402
import pandas as pd  # noqa: E402
import tensorflow as tf  # noqa: E402

import toolkit  # noqa: E402
from toolkit.errors import InvalidValue, UntrustedModel  # noqa: E402

ROOM = Path(sys.argv[1])
ROWS = np.random.default_rng(7).normal(size=(5, 4)).astype("float32")


class Tripled(tf.Module):
    """A module of TensorFlow's."""

    def __init__(self) -> None:
        self.factor = tf.Variable(3.0)

    @tf.function(input_signature=[tf.TensorSpec([None, 4], tf.float32)])
    def __call__(self, rows: tf.Tensor) -> tf.Tensor:
        return rows * self.factor


class Writer(tf.Module):
    """One that writes a file when it predicts."""

    @tf.function(input_signature=[tf.TensorSpec([None, 4], tf.float32)])
    def __call__(self, rows: tf.Tensor) -> tf.Tensor:
        tf.io.write_file(str(ROOM / "ran"), "x")
        return rows


def same(answer: object, expected: object) -> None:
    np.testing.assert_allclose(np.asarray(answer), np.asarray(expected), rtol=1e-4, atol=1e-5)


def refused(kind: type[Exception], call: object, *words: str) -> None:
    try:
        call()
    except kind as error:
        text = str(error)
        assert "\n" not in text, text
        assert all(word in text for word in words), text
    else:
        raise AssertionError(f"it was not refused: wanted {kind.__name__} with {words}")


def keras_files() -> None:
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(2)])
    expected = model(ROWS)
    logged = toolkit.log_model(model, name="dense", input_example=ROWS)
    assert "keras" in logged.flavors
    ours = toolkit.load_model(logged.model_uri)
    same(ours.predict(ROWS), expected)
    assert isinstance(ours.native, keras.Model)

    table = pd.DataFrame(ROWS, columns=list("wxyz"), index=list("abcde")).astype("float64")
    toolkit.keras.save_model(model, ROOM / "ours", input_example=table)
    answer = toolkit.load_model(ROOM / "ours").predict(table)
    assert list(answer.index) == list("abcde")
    same(answer, expected)
    same(mlflow.keras.load_model(str(ROOM / "ours"))(ROWS), expected)
    same(mlflow.pyfunc.load_model(str(ROOM / "ours")).predict(table), expected)

    mlflow.keras.save_model(model, str(ROOM / "theirs"), pip_requirements=["keras"])
    same(toolkit.load_model(ROOM / "theirs").predict(ROWS), expected)
    same(toolkit.keras.load_model(ROOM / "theirs")(ROWS), expected)
    mlflow.tensorflow.save_model(model, str(ROOM / "by-tensorflow"), pip_requirements=["tensorflow-cpu"])
    same(toolkit.load_model(ROOM / "by-tensorflow").predict(ROWS), expected)
    toolkit.tensorflow.save_model(model, ROOM / "ours-by-tensorflow")
    same(toolkit.load_model(ROOM / "ours-by-tensorflow").predict(ROWS), expected)
    same(mlflow.pyfunc.load_model(str(ROOM / "ours-by-tensorflow")).predict(ROWS), expected)

    toolkit.keras.save_model(model, ROOM / "exported", save_exported_model=True)
    same(toolkit.load_model(ROOM / "exported").predict(ROWS), expected)
    theirs = mlflow.keras.load_model(str(ROOM / "exported"))
    same(theirs.serve(ROWS), expected)


def code_in_files() -> None:
    model = keras.Sequential([keras.Input((4,)), keras.layers.Lambda(lambda rows: rows * 2)])
    toolkit.keras.save_model(model, ROOM / "lambda")
    refused(UntrustedModel, lambda: toolkit.load_model(ROOM / "lambda"), "model.keras", "Lambda", "trust")
    same(toolkit.load_model(ROOM / "lambda", trust=True).predict(ROWS), ROWS * 2)
    (ROOM / "ours/data/model.keras").write_bytes(b"no zip")
    refused(InvalidValue, lambda: toolkit.load_model(ROOM / "ours"), "cannot read", "model.keras")
    refused(InvalidValue, lambda: toolkit.keras.save_model(keras.optimizers.Adam(), ROOM / "no"), "Adam", "keras.Model")
    assert not (ROOM / "no").exists()


def modules_of_tensorflow() -> None:
    model = Tripled()
    toolkit.save_model(model, ROOM / "tripled")
    same(toolkit.load_model(ROOM / "tripled").predict(ROWS), ROWS * 3)
    same(mlflow.pyfunc.load_model(str(ROOM / "tripled")).predict(ROWS), ROWS * 3)
    mlflow.tensorflow.save_model(model, str(ROOM / "their-tripled"), pip_requirements=["tensorflow-cpu"])
    same(toolkit.load_model(ROOM / "their-tripled").predict(ROWS), ROWS * 3)
    toolkit.save_model(Writer(), ROOM / "writer")
    refused(UntrustedModel, lambda: toolkit.load_model(ROOM / "writer"), "WriteFile", "trust")
    assert not (ROOM / "ran").exists()
    toolkit.load_model(ROOM / "writer", trust=True)


for part in (keras_files, code_in_files, modules_of_tensorflow):
    part()
    print(json.dumps({"done": part.__name__}), flush=True)
