"""Models scored by Spark, and pipelines of Spark ML to and fro between toolkit and MLflow."""

from __future__ import annotations

import json
import sys
import warnings
from pathlib import Path

warnings.simplefilter("ignore")

import mlflow  # noqa: E402
import numpy as np  # noqa: E402
import pandas as pd  # noqa: E402
from pyspark.errors import PythonException  # noqa: E402
from pyspark.ml import Pipeline  # noqa: E402
from pyspark.ml.feature import VectorAssembler  # noqa: E402
from pyspark.ml.regression import LinearRegression as SparkRegression  # noqa: E402
from pyspark.sql import SparkSession  # noqa: E402
from pyspark.sql.functions import array, struct  # noqa: E402
from sklearn.linear_model import LinearRegression, LogisticRegression  # noqa: E402

import toolkit  # noqa: E402
from toolkit.errors import InvalidValue, NotFound, NotYetSupported, UntrustedModel  # noqa: E402

ROOM = Path(sys.argv[1])
ROWS = pd.DataFrame({"a": [1.0, 2.0, 3.0, 4.0], "b": [2.0, 1.0, 0.0, 5.0]})
TARGET = ROWS.a + 2 * ROWS.b
SPARK = (
    SparkSession.builder.master("local[1]")
    .config("spark.ui.enabled", "false")
    .config("spark.driver.extraJavaOptions", "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC")  # short work, on few cores
    .config("spark.sql.codegen.wholeStage", "false")
    .config("spark.sql.adaptive.enabled", "false")
    .config("spark.sql.shuffle.partitions", "1")
    .config("spark.ui.showConsoleProgress", "false")
    .getOrCreate()
)
SPARK.sparkContext.setLogLevel("OFF")
FRAME = SPARK.createDataFrame(ROWS.assign(y=TARGET)).coalesce(1)


def refused(kind: type[Exception], call: object, *words: str) -> None:
    try:
        call()
    except kind as error:
        text = str(error)
        assert all(word in text for word in words), text
        assert kind is PythonException or "\n" not in text, text
    else:
        raise AssertionError(f"it was not refused: wanted {kind.__name__} with {words}")


def columns() -> None:
    """Of a model that takes columns: by position, by name, by the signature; numbers, texts, arrays, structs; SQL."""
    logged = toolkit.log_model(LinearRegression().fit(ROWS, TARGET), name="line", input_example=ROWS)
    line = toolkit.models.spark_udf(SPARK, logged.model_uri)
    kinds = LogisticRegression().fit(ROWS, ["low", "low", "high", "high"])
    toolkit.sklearn.save_model(kinds, ROOM / "kinds", input_example=ROWS)
    toolkit.sklearn.save_model(kinds, ROOM / "odds", input_example=ROWS, pyfunc_predict_fn="predict_proba")
    odds = toolkit.load_model(ROOM / "odds").predict(ROWS)
    SPARK.udf.register("line", line)
    FRAME.createOrReplaceTempView("rows")
    found = FRAME.select(
        "a",
        "y",
        line("a", "b").alias("placed"),
        line(struct("b", "a", "y")).alias("named"),
        line().alias("bare"),
        toolkit.models.spark_udf(SPARK, ROOM / "kinds", "string")("a", "b").alias("text"),
        toolkit.pyfunc.spark_udf(SPARK, ROOM / "odds", "array<double>")("a", "b").alias("odds"),
        toolkit.pyfunc.spark_udf(SPARK, ROOM / "odds", "high double, low float")("a", "b").alias("both"),
    ).toPandas()
    found = found.sort_values("a").reset_index(drop=True)
    for name in ("placed", "named", "bare"):
        np.testing.assert_allclose(found[name], TARGET)
    assert list(found["text"]) == ["low", "low", "high", "high"]
    np.testing.assert_allclose(np.array(found["odds"].tolist()), odds)
    assert [set(each) for each in found["both"]] == [{"high", "low"}] * 4
    np.testing.assert_allclose([each["high"] for each in found["both"]], np.asarray(odds)[:, 0])
    assert [row.p for row in SPARK.sql("select line(a, b) as p from rows where a > 10").collect()] == []
    np.testing.assert_allclose(
        [row.p for row in SPARK.sql("select line(a, b) as p from rows order by a").collect()], TARGET
    )


def tensors() -> None:
    """Of a model that takes an array: an array column, or its numbers as columns."""
    model = LinearRegression().fit(ROWS.to_numpy(), TARGET)
    toolkit.sklearn.save_model(model, ROOM / "array", input_example=ROWS.to_numpy())
    score = toolkit.models.spark_udf(SPARK, str(ROOM / "array"))
    found = FRAME.select("y", score("a", "b").alias("placed"), score(array("a", "b")).alias("whole")).toPandas()
    np.testing.assert_allclose(found["placed"], found["y"])
    np.testing.assert_allclose(found["whole"], found["y"])


def refusals() -> None:
    model = ROOM / "kinds"
    refused(InvalidValue, lambda: toolkit.models.spark_udf(SPARK, model, "doubel"), "doubel")
    refused(InvalidValue, lambda: toolkit.models.spark_udf(None, model), "SparkSession")
    refused(NotFound, lambda: toolkit.models.spark_udf(SPARK, "models:/nobody/1"), "nobody")
    refused(NotYetSupported, lambda: toolkit.models.spark_udf(SPARK, model, env_manager="conda"), "env_manager")
    refused(InvalidValue, lambda: toolkit.models.spark_udf(SPARK, model, "string")("a", "b", "y"), "a, b", "3 were")
    toolkit.sklearn.save_model(LinearRegression().fit(ROWS, TARGET), ROOM / "pickle", serialization_format="pickle")
    refused(UntrustedModel, lambda: toolkit.models.spark_udf(SPARK, ROOM / "pickle"), "pickle", "trust")
    score = toolkit.models.spark_udf(SPARK, ROOM / "pickle", trust=True)
    np.testing.assert_allclose([row[0] for row in FRAME.orderBy("a").select(score(struct("a", "b"))).collect()], TARGET)
    wrong = toolkit.models.spark_udf(SPARK, model, "int")
    refused(PythonException, FRAME.select(wrong("a", "b")).collect, "wanted int; name another result_type")


def pipelines() -> None:
    stages = [VectorAssembler(inputCols=["a", "b"], outputCol="features"), SparkRegression(labelCol="y")]
    model = Pipeline(stages=stages).fit(FRAME)
    logged = toolkit.log_model(model, name="pipeline", input_example=ROWS)
    assert "spark" in logged.flavors
    ours = toolkit.load_model(logged.model_uri)
    np.testing.assert_allclose(ours.predict(ROWS), TARGET)
    assert "prediction" in ours.native.transform(FRAME).columns
    refused(InvalidValue, lambda: toolkit.models.spark_udf(SPARK, logged.model_uri), "toolkit.spark.load_model")

    toolkit.spark.save_model(spark_model=model.stages[1], path=ROOM / "stage")
    vectors = pd.DataFrame({"features": ROWS.to_numpy().tolist()})
    np.testing.assert_allclose(toolkit.load_model(ROOM / "stage").predict(vectors), TARGET)
    np.testing.assert_allclose(mlflow.pyfunc.load_model(str(ROOM / "stage")).predict(vectors), TARGET)
    mlflow.spark.save_model(model, str(ROOM / "theirs"), pip_requirements=["pyspark"])
    np.testing.assert_allclose(toolkit.load_model(ROOM / "theirs").predict(ROWS), TARGET)
    for file in (ROOM / "theirs/sparkml/stages").glob("0_*/metadata/*part-*"):
        if file.name.startswith("."):
            file.unlink()  # Hadoop's check sum
        else:
            file.write_text(file.read_text().replace("org.apache.spark.ml.feature", "org.somebody"))
    refused(UntrustedModel, lambda: toolkit.load_model(ROOM / "theirs"), "org.somebody", "trust")
    refused(InvalidValue, lambda: toolkit.save_model(SparkRegression(), ROOM / "no"), "LinearRegression", "Spark ML")


for part in (columns, tensors, refusals, pipelines):
    part()
    print(json.dumps({"done": part.__name__}), flush=True)
SPARK.stop()
