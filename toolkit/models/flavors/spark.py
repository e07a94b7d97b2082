"""Spark ML: pipelines that were fitted, as Spark writes them."""

from __future__ import annotations

import json
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from toolkit.errors import InvalidValue
from toolkit.models.flavor import LoadContext, SavedFlavor, SaveRequest, class_modules, imported, part_of
from toolkit.models.messages import first_line
from toolkit.models.metadata import ModelMetadata

_DATA = "sparkml"
_DFS = "/tmp/mlflow"  # noqa: S108 - of the cluster's file system, where MLflow puts them, too
_OWN = ("pyspark.ml.", "org.apache.spark.ml.")


class SparkFlavor:
    """Transformers and models of Spark ML."""

    name = "spark"
    package = "pyspark"
    modules = ("pyspark",)
    loader_module = "mlflow.spark"

    def takes(self, model: object) -> bool:
        """Tell whether a class of the model's is Spark's."""
        return "pyspark" in class_modules(model)

    def save(self, model: Any, folder: Path, request: SaveRequest) -> SavedFlavor:  # noqa: ANN401 - a transformer
        """Write the model as a pipeline.

        On a cluster Spark writes to ``dfs_tmpdir`` of the cluster's file system, and the files are fetched from there.

        Raises:
            InvalidValue: It is nothing that Spark can write, or Spark cannot write it.
        """
        dfs = request.read(dfs_tmpdir=_DFS)["dfs_tmpdir"]
        pyspark = imported("pyspark", self.package, "spark")
        ml, util = imported("pyspark.ml", self.package, "spark"), imported("pyspark.ml.util", self.package, "spark")
        if not isinstance(model, ml.Transformer) or not isinstance(model, util.MLWritable):
            raise InvalidValue(
                f"a {type(model).__name__} is no model of Spark ML: wanted a fitted model or a transformer, which can "
                "be written"
            )
        made = f"{type(model).__module__}.{type(model).__qualname__}"
        pipeline = model if isinstance(model, ml.PipelineModel) else ml.PipelineModel([model])
        _Files(_session(), str(dfs)).fetch(pipeline, folder / _DATA)
        return SavedFlavor(
            block={"pyspark_version": pyspark.__version__, "model_data": _DATA, "model_class": made},
            pyfunc={"data": _DATA},
            requirements=("pyspark",),
        )

    def load(self, folder: Path, block: Mapping[str, Any], context: LoadContext) -> Any:  # noqa: ANN401 - a pipeline
        """Return the pipeline, in the session that there is, else in one on this machine.

        Raises:
            UntrustedModel: A stage of it is of other code than Spark's.
            InvalidValue: Spark is not installed, or cannot read the files.
        """
        imported("pyspark", self.package, "spark")
        path = part_of(folder, block.get("model_data") or _DATA)
        if not context.trust.allows(path) and (found := _foreign(path)):
            context.trust.require(path, f"a pipeline with a stage of other code than Spark's ({found})")
        return _Files(_session(), str(context.config.get("dfs_tmpdir") or _DFS)).read(path)

    def predictor(self, folder: Path, metadata: ModelMetadata, context: LoadContext) -> SparkPredictor:
        """Return what gives rows to the pipeline, and gets its predictions."""
        return SparkPredictor(self.load(folder, metadata.flavor(self.name), context), _session())


class SparkPredictor:
    """A pipeline that is given frames of pandas, or of Spark."""

    def __init__(self, native: Any, spark: Any) -> None:  # noqa: ANN401 - Spark's
        self.native = native
        self._spark = spark

    def predict(self, data: Any, params: Mapping[str, Any] | None = None) -> Any:  # noqa: ANN401 - frames
        """Return the predictions as a list; of a frame of Spark's a frame with all that the pipeline adds.

        Columns of lists that a stage takes as features become vectors.

        Raises:
            InvalidValue: The data are no frame, or the pipeline does not take them; there are no ``params``.
        """
        if params:
            raise InvalidValue(f"a Spark model takes no params: {', '.join(params)} came")
        if hasattr(data, "sparkSession"):
            return self.native.transform(self._with_vectors(data))
        if not hasattr(data, "iloc"):
            raise InvalidValue(f"a Spark model is given a {type(data).__name__}: wanted a DataFrame")
        try:
            frame = self._with_vectors(self._spark.createDataFrame(data))
            done = self.native.transform(frame).select(self._answer())
        except (imported("pyspark.errors", "pyspark", "spark").PySparkException, TypeError, ValueError) as error:
            raise InvalidValue(f"the Spark model does not take such data: {first_line(error)}") from error
        return [row[0] for row in done.collect()]

    def _answer(self) -> str:
        """Return the column that the last stage predicts into, or writes."""
        last = self.native.stages[-1]
        for name in ("predictionCol", "outputCol"):
            if last.hasParam(name):
                return str(last.getOrDefault(name))
        return "prediction"

    def _with_vectors(self, frame: Any) -> Any:  # noqa: ANN401 - a frame of Spark's
        functions = imported("pyspark.ml.functions", "pyspark", "spark")
        kinds = dict(frame.dtypes)
        for stage in self.native.stages:
            name = stage.getOrDefault("featuresCol") if stage.hasParam("featuresCol") else None
            if str(kinds.get(name, "")).startswith("array<"):
                frame = frame.withColumn(name, functions.array_to_vector(name))
                kinds[name] = "vector"
        return frame


class _Files:
    """Spark's files and this machine's: on a cluster they are not the same.

    Args:
        spark: The session.
        dfs: A folder of the cluster's file system for what is on its way.
    """

    def __init__(self, spark: Any, dfs: str) -> None:  # noqa: ANN401 - a session
        self._spark = spark
        self._local = str(spark.conf.get("spark.master", "")).startswith("local")
        self._there = f"{dfs}/{uuid.uuid4().hex}"

    def fetch(self, pipeline: Any, path: Path) -> None:  # noqa: ANN401 - a pipeline
        """Have Spark write a pipeline into a folder of this machine.

        Raises:
            InvalidValue: Spark cannot.
        """
        try:
            if self._local:
                pipeline.save(path.absolute().as_uri())
                return
            pipeline.save(self._there)
            files, there = self._hadoop()
            files.copyToLocalFile(True, there, self._path(path))
        except (
            imported("pyspark.errors", "pyspark", "spark").PySparkException,
            ValueError,
            NotImplementedError,
        ) as error:
            raise InvalidValue(f"Spark cannot write this model: {first_line(error)}") from error

    def read(self, path: Path) -> Any:  # noqa: ANN401 - a pipeline
        """Have Spark read a pipeline from a folder of this machine.

        Raises:
            InvalidValue: Spark cannot.
        """
        load = imported("pyspark.ml", "pyspark", "spark").PipelineModel.load
        try:
            if self._local:
                return load(path.absolute().as_uri())
            files, there = self._hadoop()
            files.copyFromLocalFile(False, True, self._path(path), there)
            return load(self._there)
        except (
            imported("pyspark.errors", "pyspark", "spark").PySparkException,
            ValueError,
            ImportError,
            AttributeError,
        ) as error:
            raise InvalidValue(f"Spark cannot read {path}: {first_line(error)}") from error

    def _path(self, path: Path | str) -> Any:  # noqa: ANN401 - Java's
        text = path.absolute().as_uri() if isinstance(path, Path) else path
        return self._spark._jvm.org.apache.hadoop.fs.Path(text)

    def _hadoop(self) -> tuple[Any, Any]:
        there = self._path(self._there)
        return there.getFileSystem(self._spark._jsc.hadoopConfiguration()), there


def _session() -> Any:  # noqa: ANN401 - a session
    """Return the session that there is, else one on this machine with one thread."""
    session = imported("pyspark.sql", "pyspark", "spark").SparkSession
    found = session.getActiveSession()
    if found is not None:
        return found
    try:
        return session.builder.master("local[1]").config("spark.ui.enabled", "false").getOrCreate()
    except (RuntimeError, OSError) as error:
        raise InvalidValue(f"Spark cannot be started here, it takes Java 17 or newer: {first_line(error)}") from error


def _foreign(path: Path) -> str | None:
    """Return a class that a saved pipeline names and that is not Spark's: to read it, Spark would import it."""
    found = [file for file in path.rglob("part-*") if file.parent.name == "metadata"]
    if not found:
        return "it does not say which"
    for file in found:
        try:
            for line in file.read_text(encoding="utf-8").splitlines():
                name = str(json.loads(line)["class"])
                if not name.startswith(_OWN):
                    return name
        except (UnicodeDecodeError, ValueError, KeyError, TypeError):
            return f"{file.relative_to(path)} cannot be looked through"
    return None


FLAVOR = SparkFlavor()
