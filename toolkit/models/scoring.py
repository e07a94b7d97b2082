"""Batch scoring: a model's predictions of a file, some rows at a time, in the order of its rows."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING, Any

from toolkit.errors import InvalidValue, ModelFailed, SchemaMismatch, ToolkitError
from toolkit.models.datatypes import Object
from toolkit.models.rows.kinds import Kind, kind_of
from toolkit.models.rows.reader import Chunk, place, reading
from toolkit.models.rows.writer import writing

if TYPE_CHECKING:
    import pandas as pd

    from toolkit.models.loading import LoadedModel
    from toolkit.models.schema import Schema

CHUNK_ROWS = 10_000
PREDICTION = "prediction"
ALL = "*"
"""Stands for all columns of the input, where columns to keep are named."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Batch:
    """What is to be scored, and where to.

    Attributes:
        source: A file of rows, or ``-`` for standard input.
        target: The file for the predictions, or ``-`` for standard output.
        source_format: Its format; default: as its ending says.
        target_format: The same of the target; default: as its ending says, for standard output as the source.
        params: What else the model is given.
        chunk_rows: So many rows at a time.
        keep: Columns of the source to write beside the predictions; ``*``: all.
    """

    source: str
    target: str
    source_format: str | None = None
    target_format: str | None = None
    params: Mapping[str, Any] | None = None
    chunk_rows: int = CHUNK_ROWS
    keep: Sequence[str] = ()

    def kinds(self) -> tuple[Kind, Kind]:
        """Return the kinds of source and target.

        Raises:
            InvalidValue: One is not known, or so many rows at a time cannot be.
        """
        if self.chunk_rows < 1:
            raise InvalidValue(f"--chunk-rows is {self.chunk_rows}: wanted at least 1")
        source = kind_of(self.source, self.source_format, "--input-format")
        if self.target == "-" and self.target_format is None:
            return source, source
        return source, kind_of(self.target, self.target_format, "--output-format")


@dataclass(frozen=True, kw_only=True, slots=True)
class Progress:
    """How far scoring has come.

    Attributes:
        rows: How many rows are done.
        share: Which part of the source, 0 to 1, where that is known.
    """

    rows: int
    share: float | None = None


Report = Callable[[Progress], None]


def score(
    model: LoadedModel,
    batch: Batch,
    report: Report = lambda _: None,
    *,
    stdin: IO[bytes] | None = None,
    stdout: IO[bytes] | None = None,
) -> int:
    """Write a model's predictions of a file's rows into another file, whole or not at all; return how many.

    Args:
        model: The model.
        batch: What to score, and where to.
        report: Called after each chunk.
        stdin: What to read instead of standard input.
        stdout: What to write to instead of standard output.

    Raises:
        InvalidValue: A file cannot be read or written, or a row does not fit; the message names the row.
        NotFound: There is no such file.
        ModelFailed: The model raised an error of its own.
    """
    kind, target = batch.kinds()
    schema = model.metadata.signature.inputs if model.metadata.signature else None
    _check_params(model, batch.params)
    name = "standard input" if batch.source == "-" else batch.source
    count = 0
    columns: list[str] | None = None
    with (
        reading(batch.source, kind, batch.chunk_rows, None if hinted(model) else schema, stdin=stdin) as chunks,
        writing(batch.target, target, stdout=stdout) as writer,
    ):
        for chunk in chunks:
            frame = _predicted(model, chunk, batch, schema, name)
            if columns is not None and list(frame.columns) != columns:
                raise InvalidValue(
                    f"the model gives other columns from row {chunk.first} on: {', '.join(map(str, frame.columns))}; "
                    f"before: {', '.join(columns)}"
                )
            columns = list(frame.columns)
            writer.write(frame)
            count += len(frame)
            report(Progress(rows=count, share=chunk.share))
        if not count:
            raise InvalidValue(f"{name} has no rows to score")
    return count


def _check_params(model: LoadedModel, given: Mapping[str, Any] | None) -> None:
    """Refuse parameters that the model would pass over."""
    if given is None or model.metadata.signature is None:
        return
    schema = model.metadata.signature.params
    known = [spec.name for spec in schema] if schema is not None else []
    if unknown := [name for name in given if name not in known]:
        raise InvalidValue(f"the model takes no parameter {unknown[0]!r}: it has {', '.join(known) or 'none'}")


def _predicted(model: LoadedModel, chunk: Chunk, batch: Batch, schema: Schema | None, name: str) -> pd.DataFrame:
    import pandas as pd  # noqa: PLC0415 - heavy

    kept = _kept(chunk, batch.keep, schema, name)
    features = _plain(chunk.data, schema) if hinted(model) else _features(chunk.data, schema, name)
    answer = _answer(model, features, batch, name=name, first=chunk.first)
    frame = as_columns(answer, chunk.rows)
    if kept is None:
        return frame
    if both := [column for column in frame.columns if column in kept.columns]:
        raise InvalidValue(f"the input and the predictions both have a column {both[0]!r}: keep others")
    return pd.concat([kept, frame], axis=1)


def _answer(model: LoadedModel, data: Any, batch: Batch, *, name: str, first: int) -> Any:  # noqa: ANN401 - rows
    """Return what a model says of rows; a row that it does not take is told by its number in the file.

    Raises:
        InvalidValue: A row does not fit the model's signature.
        ModelFailed: The model raised an error of its own.
    """
    params = dict(batch.params) if batch.params else None
    try:
        return model.predict(data, params)
    except SchemaMismatch as error:
        if error.row is None:
            raise InvalidValue(f"{name}: {error}") from None
        told = f"column {error.column!r}{error.path} has {error.came}: wanted {error.wanted}"
        raise InvalidValue(f"{place(name, first + error.row)}{told}") from None
    except ToolkitError:
        raise
    except Exception as error:  # a model raises what it likes
        row = _first_refused(lambda part: model.predict(part, params), data)
        where = f"{name}, rows {first} to {first + len(data) - 1}: " if row is None else place(name, first + row)
        told = str(error).strip().partition("\n")[0]
        raise ModelFailed(f"{where}the model failed: {type(error).__name__}: {told}") from error


def _first_refused(predict: Callable[[Any], Any], data: Any) -> int | None:  # noqa: ANN401 - rows
    """Return the first row that a model fails on, found by halves; ``None`` if it takes both halves of a part."""
    if isinstance(data, Mapping):
        return None
    first, last = 0, len(data)
    while last - first > 1:
        middle = (first + last) // 2
        for start, end in ((first, middle), (middle, last)):
            if not _takes(predict, data[start:end]):
                first, last = start, end
                break
        else:
            return None
    return first


def _takes(predict: Callable[[Any], Any], rows: Any) -> bool:  # noqa: ANN401 - rows
    try:
        predict(rows)
    except Exception:  # noqa: BLE001 - a model raises what it likes
        return False
    return True


def hinted(model: LoadedModel) -> bool:
    """Tell whether a model takes the values that its type hints name, and no table."""
    return bool(model.metadata.extra.get("is_signature_from_type_hint"))


def _plain(data: pd.DataFrame, schema: Schema | None) -> list[Any]:
    """Return rows as plain values: records, or of a single column its values, where no records are wanted."""
    records = schema is not None and isinstance(schema.inputs[0].type, Object)
    if len(data.columns) == 1 and not records:
        return list(data.iloc[:, 0].tolist())
    return list(data.to_dict("records"))


def _features(data: Any, schema: Schema | None, name: str) -> Any:  # noqa: ANN401 - a table, or arrays
    """Return what the model gets of rows: the columns that its signature names, and no others."""
    columns = getattr(data, "columns", None)
    if schema is None or columns is None or not schema.has_input_names():
        return data
    there = set(columns)
    if missing := [column for column in schema.required_input_names() if column not in there]:
        raise InvalidValue(f"{name} has no column {missing[0]!r}, which the model wants; it has {_listed(columns)}")
    return data[[column for column in schema.input_names() if column in there]]


def _kept(chunk: Chunk, keep: Sequence[str], schema: Schema | None, name: str) -> pd.DataFrame | None:
    """Return the columns to keep; what the model does not know stays the text that it is in the file, such as 007."""
    if not keep:
        return None
    columns = getattr(chunk.data, "columns", None)
    if columns is None:
        raise InvalidValue(f"{name} has no columns to keep")
    known = {str(column): column for column in columns}
    if missing := [column for column in keep if column not in known and column != ALL]:
        raise InvalidValue(f"{name} has no column {missing[0]!r} to keep; it has {_listed(columns)}")
    kept = chunk.data if ALL in keep else chunk.data[[known[column] for column in keep]]
    signed = set(schema.input_names()) if schema is not None else set()
    plain = [column for column in kept.columns if chunk.text is not None and column not in signed]
    return kept.assign(**{column: chunk.text[column] for column in plain}) if chunk.text is not None else kept


def _listed(columns: Sequence[Any]) -> str:
    return ", ".join(str(column) for column in columns[:20]) + (", …" if len(columns) > 20 else "")


def as_columns(answer: Any, rows: int) -> pd.DataFrame:  # noqa: ANN401 - whatever a model gives
    """Return predictions as a table: the model's own columns, or ``prediction``, or ``prediction_0``, … of a matrix.

    Args:
        answer: What the model gave for some rows.
        rows: How many they were.

    Raises:
        InvalidValue: It is not one prediction for each row.
    """
    import pandas as pd  # noqa: PLC0415 - heavy

    frame = _table(answer)
    if len(frame) != rows:
        raise InvalidValue(f"the model gave {len(frame)} predictions for {rows} rows: wanted one a row")
    names = pd.Index([str(name) for name in frame.columns])
    if not names.is_unique:
        raise InvalidValue(f"the model gives two columns {names[names.duplicated()][0]!r}: wanted a name for each")
    return frame.set_axis(names, axis=1).reset_index(drop=True)


def _table(answer: Any) -> pd.DataFrame:  # noqa: ANN401 - whatever a model gives
    import numpy as np  # noqa: PLC0415 - heavy
    import pandas as pd  # noqa: PLC0415 - the same

    if isinstance(answer, pd.DataFrame):
        return answer
    if isinstance(answer, pd.Series):
        return answer.to_frame(PREDICTION if answer.name is None else str(answer.name))
    if callable(to_pandas := getattr(answer, "to_pandas", None)):
        return _table(to_pandas())
    if isinstance(answer, Mapping):
        columns = {str(name): _flat(values) for name, values in answer.items()}
        try:
            return pd.DataFrame(columns)
        except ValueError as error:
            raise InvalidValue(f"the model's answer is no table: {error}") from None
    if callable(detach := getattr(answer, "detach", None)):
        answer = detach().cpu()
    if callable(dense := getattr(answer, "toarray", None)):
        answer = dense()
    if isinstance(answer, list | tuple):
        if answer and all(isinstance(each, Mapping) for each in answer):
            return pd.DataFrame(list(answer))
        return pd.DataFrame({PREDICTION: pd.Series(list(answer), dtype=None if answer else object)})
    array = np.asarray(answer)
    if array.ndim == 2 and array.shape[1] != 1:
        return pd.DataFrame(array, columns=[f"{PREDICTION}_{place}" for place in range(array.shape[1])])
    if array.ndim == 0:
        raise InvalidValue(f"the model gave one {type(answer).__name__} for all rows: wanted one prediction a row")
    return pd.DataFrame({PREDICTION: _flat(array)})


def _flat(values: Any) -> Any:  # noqa: ANN401 - an array or a list
    """Return values as one a row: those of further dimensions as lists."""
    import numpy as np  # noqa: PLC0415 - heavy

    array = values if isinstance(values, list) else np.asarray(values)
    if isinstance(array, list) or array.ndim == 1:
        return array
    return array[:, 0] if array.ndim == 2 and array.shape[1] == 1 else [each.tolist() for each in array]
