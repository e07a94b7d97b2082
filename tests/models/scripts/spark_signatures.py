"""A table of Spark: what MLflow and we infer from it, and what of it a signature lets through."""

import datetime as dt
import json
import warnings

from mlflow.models import infer_signature as mlflow_infers
from pyspark.ml.linalg import Vectors
from pyspark.sql import Row, SparkSession
from pyspark.sql.types import (
    ArrayType,
    BinaryType,
    BooleanType,
    DateType,
    DoubleType,
    FloatType,
    IntegerType,
    LongType,
    MapType,
    ShortType,
    StringType,
    StructField,
    StructType,
    TimestampType,
)

from toolkit.errors import SchemaMismatch
from toolkit.models.contract import Signature
from toolkit.models.enforcement import enforce
from toolkit.models.infer import infer_signature

warnings.simplefilter("ignore")
spark = (
    SparkSession.builder.master("local[1]")
    .config("spark.ui.enabled", "false")
    .config("spark.driver.extraJavaOptions", "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC")  # short work, on few cores
    .config("spark.sql.codegen.wholeStage", "false")
    .config("spark.ui.showConsoleProgress", "false")
    .getOrCreate()
)
nested = StructType([StructField("k", LongType(), False), StructField("z", StringType())])
types = {
    "l": (LongType(), 1),
    "i": (IntegerType(), 2),
    "h": (ShortType(), 3),
    "d": (DoubleType(), 2.5),
    "f": (FloatType(), 0.5),
    "s": (StringType(), "x"),
    "b": (BooleanType(), True),
    "day": (DateType(), dt.date(2020, 1, 2)),
    "at": (TimestampType(), dt.datetime(2020, 1, 2, 3, 4, 5)),
    "bytes": (BinaryType(), bytearray(b"ab")),
    "array": (ArrayType(LongType()), [1, 2]),
    "of": (nested, Row(k=1, z="q")),
}
schema = StructType([StructField(name, kind) for name, (kind, _) in types.items()])
table = spark.createDataFrame([tuple(value for _, value in types.values())], schema)
ours = infer_signature(table)
three = Signature.from_dict({"inputs": json.dumps(json.loads(ours.to_dict()["inputs"])[:3])})
maps = spark.createDataFrame([({"a": 1},)], StructType([StructField("m", MapType(StringType(), LongType()))]))
vectors = spark.createDataFrame([(Vectors.dense([1.0, 2.0]), 1)], ["v", "x"])
told = {
    "ours": ours.to_dict()["inputs"],
    "theirs": mlflow_infers(table).to_dict()["inputs"],
    "taken": enforce(table.select("d", "h", "i", "l"), three).columns,
    "all": enforce(table, ours).columns == table.columns,
    "map": infer_signature(maps).to_dict()["inputs"],
    "vectors": infer_signature(vectors).to_dict()["inputs"],
    "their vectors": mlflow_infers(vectors).to_dict()["inputs"],
    "vectors taken": enforce(vectors, infer_signature(vectors)).columns,
}
try:
    enforce(table.drop("l"), ours)
except SchemaMismatch as error:
    told["refused"] = str(error)
spark.stop()
print(json.dumps(told))
