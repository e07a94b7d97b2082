"""Models as functions of Spark's columns: rows come in batches of Arrow, and the model's files go to the executors."""

from __future__ import annotations

import atexit
import functools
import hashlib
import json
import shutil
import sys
import tempfile
import zipfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from toolkit.artifacts.digest import file_digest
from toolkit.errors import InvalidValue, NotFound
from toolkit.models.flavor import imported
from toolkit.models.loading import LoadedModel, load_model
from toolkit.models.messages import first_line
from toolkit.models.metadata import ModelMetadata
from toolkit.models.schema import Schema, TensorSpec
from toolkit.models.trust import Trust

_PACKAGE = "pyspark"
_WHOLE = ("tinyint", "smallint", "int", "bigint")
_KEPT = 4  # models that a process of Spark's holds at once
_shipped: dict[tuple[str, str], str] = {}
_open: dict[tuple[str, str], LoadedModel] = {}


def udf(
    spark: Any,  # noqa: ANN401 - a session
    folder: Path,
    result_type: Any = "double",  # noqa: ANN401 - a text, or a type of Spark's
    *,
    params: Mapping[str, Any] | None = None,
    config: Mapping[str, Any] | None = None,
    trust: Trust | None = None,
) -> Callable[..., Any]:
    """Return a function of Spark's columns that predicts with a model.

    It takes columns by position, in the order of the model's signature; or one struct of columns, by their names; or
    nothing: then it takes the columns that the signature names. ``spark.udf.register`` takes it for SQL.

    Args:
        spark: The session.
        folder: The model's folder, on this machine.
        result_type: What each row's prediction is: ``double``, ``float``, ``bigint``, ``int``, ``boolean``,
            ``string``, an array of such, or ``struct`` fields as in ``label string, score double``.
        params: Parameters for each prediction.
        config: The model's ``model_config``.
        trust: What of the model may run code; executors ask it, too.

    Raises:
        InvalidValue: It is no session, no type of Spark's, or no model for a row at a time.
        UntrustedModel: The model would run code that is not trusted.
        NotFound: The folder has no model that predicts.
    """
    functions = imported("pyspark.sql.functions", _PACKAGE, "spark")
    imported("pyarrow", "pyarrow", "spark")
    metadata = ModelMetadata.read(folder)
    if metadata.flavor("python_function").get("loader_module") == "mlflow.spark":
        raise InvalidValue(
            f"the model in {folder} is one of Spark ML, which works on whole frames: load it with "
            "toolkit.spark.load_model and call its transform"
        )
    kind = _type(spark, result_type)
    load_model(folder, trust=trust, config=config)  # what is wrong with it is said here, and not by each executor
    name = _ship(spark, folder)
    inputs = metadata.signature.inputs if metadata.signature is not None else None
    rows = _Rows(name, inputs, _Answer.of(kind), dict(params or {}), dict(config or {}), trust or Trust())
    made = functions.pandas_udf(_annotated(rows, kind), returnType=kind)
    names = [str(each) for each in inputs.input_names()] if inputs is not None and inputs.has_input_names() else []

    @functools.wraps(made)
    def predict(*columns: Any) -> Any:  # noqa: ANN401 - columns
        if len(columns) > 1 and inputs is not None:
            _check_number(len(columns), inputs)
        if columns:
            return made(*columns)
        if not names:
            raise InvalidValue("the model's signature names no columns: say which ones, as in udf('a', 'b')")
        return made(*names)

    predict.metadata = metadata  # type: ignore[attr-defined]  # MLflow has it there
    return predict


class _Rows:
    """What an executor does with its batches. It is pickled, and so are the names of the modules that it needs."""

    def __init__(
        self,
        name: str,
        inputs: Schema | None,
        answer: _Answer,
        params: dict[str, Any],
        config: dict[str, Any],
        trust: Trust,
    ) -> None:
        self._name = name
        self._inputs = inputs
        self._answer = answer
        self._params = params
        self._config = config
        self._trust = trust

    def __call__(self, columns: Sequence[Any]) -> Any:  # noqa: ANN401 - pandas'
        """Return the predictions of a batch of columns."""
        data = _frame(columns, self._inputs)
        if len(data) == 0:
            return self._answer.nothing()
        model = _loaded(self._name, self._config, self._trust)
        return self._answer.told(model.predict(_tensors(data, self._inputs), self._params or None), len(data))


def _loaded(name: str, config: Mapping[str, Any], trust: Trust) -> LoadedModel:
    """Load a model that was sent here: once in a process, which Spark uses for many tasks."""
    key = (name, json.dumps(config, sort_keys=True, default=str))
    if key not in _open:
        files = imported("pyspark", _PACKAGE, "spark").SparkFiles
        while len(_open) >= _KEPT:
            del _open[next(iter(_open))]
        _open[key] = load_model(Path(files.get(name)), trust=trust, config=config)
    return _open[key]


def _annotated(rows: _Rows, kind: Any) -> Callable[..., Any]:  # noqa: ANN401 - a type of Spark's
    """Return a function whose annotations tell Spark to call it with the columns of a batch.

    Not with an iterator of batches: Spark gives each such function a process of its own, and it is enough that a
    process loads a model once.
    """
    import pandas  # noqa: PLC0415 - Spark hands over its series

    def predict(*columns: Any) -> Any:  # noqa: ANN401 - said below
        return rows(columns)

    answer = pandas.DataFrame if kind.typeName() == "struct" else pandas.Series
    predict.__annotations__ = {"columns": pandas.Series, "return": answer}
    return predict


# -- what goes in -------------------------------------------------------------------------------------


def _frame(columns: Sequence[Any], inputs: Schema | None) -> Any:  # noqa: ANN401 - pandas'
    """Return the columns of a batch as one frame, under the names of the signature.

    Raises:
        InvalidValue: There are not as many as the signature wants.
    """
    import pandas  # noqa: PLC0415 - on executors

    if len(columns) == 1 and isinstance(columns[0], pandas.DataFrame):
        return columns[0]
    names: list[Any] = [str(place) for place in range(len(columns))]
    if inputs is not None and inputs.has_input_names():
        names = inputs.input_names()[: len(columns)]
        _check_number(len(columns), inputs)
    series = [each if isinstance(each, pandas.Series) else pandas.Series(list(each)) for each in columns]
    return pandas.concat([each.reset_index(drop=True) for each in series], axis=1, keys=names)


def _check_number(given: int, inputs: Schema) -> None:
    """Raise `InvalidValue` unless there are as many columns as a signature names."""
    if inputs.has_input_names() and not len(inputs.required_input_names()) <= given <= len(inputs):
        wanted = ", ".join(map(str, inputs.input_names()))
        raise InvalidValue(f"the model takes the columns {wanted}, in this order: {given} were given")


def _tensors(data: Any, inputs: Schema | None) -> Any:  # noqa: ANN401 - pandas' and NumPy's
    """Return a frame as the tensors of a signature; the frame, where it has columns."""
    if inputs is None or not inputs.is_tensor_spec():
        return data
    if not inputs.has_input_names():
        return _tensor(data, inputs.tensors()[0])
    return {spec.name: _tensor(data[[spec.name]], spec) for spec in inputs.tensors()}


def _tensor(frame: Any, spec: TensorSpec) -> Any:  # noqa: ANN401 - pandas' and NumPy's
    """Return a column of lists, or columns of numbers, as an array: Spark has doubles where a model wants floats.

    Raises:
        InvalidValue: They have not the shape that the signature wants.
    """
    import numpy  # noqa: PLC0415 - on executors

    rows = _lists(frame.iloc[:, 0]) if len(frame.columns) == 1 else frame.to_numpy()
    try:
        array = numpy.array(rows)
        if array.dtype.kind in "iufb" and spec.type != "str":
            array = array.astype(spec.type)
        return array if -1 in spec.shape[1:] else array.reshape(len(frame), *spec.shape[1:])
    except ValueError as error:
        raise InvalidValue(f"the columns do not make a tensor of {list(spec.shape)}: {first_line(error)}") from None


def _lists(value: Any) -> Any:  # noqa: ANN401 - Arrow's arrays in arrays
    return (
        [_lists(each) for each in value] if hasattr(value, "__len__") and not isinstance(value, str | bytes) else value
    )


# -- what comes out -----------------------------------------------------------------------------------


class _Answer:
    """Predictions as a type of Spark's has them."""

    def __init__(self, kind: str, fields: tuple[tuple[str, str], ...]) -> None:
        self._kind = kind
        self._fields = fields

    @classmethod
    def of(cls, kind: Any) -> _Answer:  # noqa: ANN401 - a type of Spark's
        """Return what makes a type of predictions; executors need no Spark for it."""
        if kind.typeName() == "struct":
            return cls("struct", tuple((each.name, each.dataType.simpleString()) for each in kind.fields))
        return cls(kind.simpleString(), ())

    def nothing(self) -> Any:  # noqa: ANN401 - pandas'
        """Return the predictions of no rows."""
        import pandas  # noqa: PLC0415 - on executors

        if self._kind == "struct":
            return pandas.DataFrame({name: pandas.Series(dtype="object") for name, _ in self._fields})
        return pandas.Series(dtype="object")

    def told(self, answer: Any, rows: int) -> Any:  # noqa: ANN401 - whatever the model gives
        """Return predictions as a series or, for a struct, a frame.

        Raises:
            InvalidValue: They are no such type, or not one for each row.
        """
        import pandas  # noqa: PLC0415 - on executors

        frame = _columns(answer)
        if len(frame) != rows:
            raise InvalidValue(f"the model gave {len(frame)} predictions for {rows} rows: wanted one for each")
        if self._kind == "struct":
            return pandas.DataFrame({name: self._field(frame, place) for place, (name, _) in enumerate(self._fields)})
        if self._kind.startswith("array<") and not _nested(frame):
            inner = self._kind[len("array<") : -1]
            fitting = [_as(frame[name], inner) for name in frame.columns]
            if all(each is not None for each in fitting):
                return pandas.Series(pandas.concat(fitting, axis=1).to_numpy().tolist())
        else:
            for name in frame.columns:
                if (series := _as(frame[name], self._kind)) is not None:
                    return series.reset_index(drop=True)
        raise self._refused(frame)

    def _field(self, frame: Any, place: int) -> Any:  # noqa: ANN401 - pandas'
        """Return the column of a field: that of its name; where no name is the same, that of its place."""
        name, kind = self._fields[place]
        named = {str(each): each for each in frame.columns}
        if name in named:
            column = frame[named[name]]
        elif len(frame.columns) == len(self._fields) and not set(named) & {each for each, _ in self._fields}:
            column = frame.iloc[:, place]
        else:
            raise InvalidValue(f"the model gives {', '.join(named)}: wanted {name}, a field of the result type")
        series = _as(column, kind)
        if series is None:
            raise self._refused(frame)
        return series.reset_index(drop=True)

    def _refused(self, frame: Any) -> InvalidValue:  # noqa: ANN401 - pandas'
        wanted = self._kind if not self._fields else ", ".join(f"{name} {kind}" for name, kind in self._fields)
        given = ", ".join(str(each) for each in dict.fromkeys(frame.dtypes))
        return InvalidValue(f"the model's predictions are {given}: wanted {wanted}; name another result_type")


def _columns(answer: Any) -> Any:  # noqa: ANN401 - whatever a model gives, and pandas'
    """Return predictions as a frame of pandas."""
    import numpy  # noqa: PLC0415 - on executors
    import pandas  # noqa: PLC0415 - on executors

    if isinstance(answer, pandas.DataFrame):
        return answer.reset_index(drop=True)
    if isinstance(answer, pandas.Series):
        return answer.reset_index(drop=True).to_frame()
    if isinstance(answer, Mapping):
        return pandas.DataFrame({name: list(each) for name, each in answer.items()})
    if isinstance(answer, numpy.ndarray) and answer.ndim > 2:
        answer = answer.tolist()
    if isinstance(answer, list | tuple) and answer and isinstance(answer[0], Mapping):
        return pandas.DataFrame(list(answer))
    if isinstance(answer, list | tuple):
        return pandas.Series(list(answer)).to_frame()
    return pandas.DataFrame(answer)


def _nested(frame: Any) -> bool:  # noqa: ANN401 - pandas'
    """Tell whether a frame's one column holds lists."""
    return len(frame.columns) == 1 and frame.dtypes.iloc[0].kind == "O" and hasattr(frame.iloc[0, 0], "__len__")


def _as(series: Any, kind: str) -> Any:  # noqa: ANN401 - pandas'
    """Return a column as a type of Spark's that it converts to without loss; ``None``: it does not."""
    own = series.dtype.kind
    if kind == "string":
        return series.map(lambda value: value if value is None or isinstance(value, str) else str(value))
    if kind == "boolean":
        return series if own == "b" else None
    if kind in _WHOLE:
        size = {"tinyint": 1, "smallint": 2, "int": 4, "bigint": 8}[kind]
        fits = own in "iu" and (series.dtype.itemsize <= size or int(series.abs().max()) < 2 ** (8 * size - 1))
        return series.astype(f"int{8 * size}") if fits else None
    if kind in ("float", "double"):
        return series.astype("float32" if kind == "float" else "float64") if own in "iuf" else None
    return series if own not in "iufb" else None


# -- Spark --------------------------------------------------------------------------------------------


def _type(spark: Any, given: Any) -> Any:  # noqa: ANN401 - Spark's
    """Return a type of Spark's.

    Raises:
        InvalidValue: It is none, or ``spark`` is no session.
    """
    types = imported("pyspark.sql.types", _PACKAGE, "spark")
    if not hasattr(spark, "sparkContext") or not hasattr(spark, "createDataFrame"):
        raise InvalidValue(
            f"a {type(spark).__name__} is no SparkSession, or one of Spark Connect, which sends no files: wanted a "
            "classic session"
        )
    if isinstance(given, types.DataType):
        return given
    try:
        return types._parse_datatype_string(str(given))
    except Exception as error:  # noqa: BLE001 - Java's parser says no in several ways
        raise InvalidValue(f"Spark has no type {given!r}: wanted one as in 'double' ({first_line(error)})") from None


def _ship(spark: Any, folder: Path) -> str:  # noqa: ANN401 - a session
    """Send a model's files to whoever computes for a session, once; return the name under which they lie there.

    Raises:
        NotFound: The folder is empty.
    """
    context = spark.sparkContext
    if str(context.master).startswith("local") and context.pythonExec == "python3":
        context.pythonExec = sys.executable  # Spark's default is the machine's Python, which has not what we have
    files = sorted(file for file in folder.rglob("*") if file.is_file())
    if not files:
        raise NotFound(f"{folder} has no files")
    digest = hashlib.sha256()
    for file in files:
        digest.update(f"{file.relative_to(folder).as_posix()}\0{file_digest(file)}\n".encode())
    key = (str(context.applicationId), digest.hexdigest())
    if key not in _shipped:
        place = Path(tempfile.mkdtemp(prefix="toolkit-spark-"))
        atexit.register(
            shutil.rmtree, place, ignore_errors=True
        )  # executors may ask for it as long as the session lives
        name = f"toolkit-model-{digest.hexdigest()[:32]}"
        with zipfile.ZipFile(place / f"{name}.zip", "w") as archive:
            for file in files:
                archive.write(file, file.relative_to(folder).as_posix())
        context.addArchive(f"{place / name}.zip#{name}")
        _shipped[key] = name
    return _shipped[key]
