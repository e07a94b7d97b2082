"""Batch scoring: any format into any other, in chunks, whole or not at all, with the row that is at fault named."""

from __future__ import annotations

import io
import json
import os
import stat
import threading
import tracemalloc
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from numpy.typing import NDArray
from pyarrow import parquet

from toolkit.errors import ModelFailed, ToolkitError
from toolkit.models.datatypes import DataType
from toolkit.models.folder import save_model
from toolkit.models.infer import infer_signature
from toolkit.models.loading import LoadedModel, load_model
from toolkit.models.python_model import PythonModel
from toolkit.models.rows.json_text import rows
from toolkit.models.schema import ColSpec, Schema
from toolkit.models.scoring import Batch, Progress, as_columns, score
from toolkit.models.signature import Signature
from toolkit.models.trust import Trust

Made = Callable[..., LoadedModel]

ROWS = 25
TABLE = pd.DataFrame({"a": np.arange(ROWS) / 2, "b": np.arange(ROWS), "c": [f"row {n}" for n in range(ROWS)]})


def double(frame: pd.DataFrame) -> object:
    return frame["a"] * 2 + frame["b"]


@pytest.fixture
def model(tmp_path: Path) -> Made:
    """Save a function as a model, and load it."""

    def make(function: Callable[..., Any] = double, signature: Signature | None = None) -> LoadedModel:
        folder = tmp_path / f"model-{len(list(tmp_path.glob('model-*')))}"
        save_model(function, folder, flavor="python_function", signature=signature)
        return load_model(folder, trust=Trust.all())

    return make


@pytest.fixture
def known(model: Made) -> LoadedModel:
    """A model that says what it takes: ``a`` as double, ``b`` as long."""
    return model(double, infer_signature(TABLE[["a", "b"]], np.zeros(1)))


WRITE: dict[str, Callable[[Path], Any]] = {
    "t.csv": lambda path: TABLE.to_csv(path, index=False),
    "t.json": lambda path: TABLE.to_json(path, orient="records"),
    "split.json": lambda path: TABLE.to_json(path, orient="split"),
    "dataframe.json": lambda path: path.write_text(
        json.dumps({"dataframe_split": json.loads(TABLE.to_json(orient="split"))})
    ),
    "records.json": lambda path: path.write_text(
        json.dumps({"dataframe_records": json.loads(TABLE.to_json(orient="records"))})
    ),
    "lines.json": lambda path: TABLE.to_json(path, orient="records", lines=True),
    "t.jsonl": lambda path: TABLE.to_json(path, orient="records", lines=True),
    "t.parquet": lambda path: TABLE.to_parquet(path, index=False),
}
READ: dict[str, Callable[[Path], pd.DataFrame]] = {
    "csv": pd.read_csv,
    "json": pd.read_json,
    "split": lambda path: pd.read_json(path, orient="split"),
    "jsonl": lambda path: pd.read_json(path, lines=True),
    "parquet": pd.read_parquet,
}


@pytest.mark.parametrize("signed", [True, False], ids=["signature", "without"])
@pytest.mark.parametrize("source", WRITE)
def test_each_format_is_scored_into_each_other(
    source: str, signed: bool, model: Made, known: LoadedModel, tmp_path: Path
) -> None:
    WRITE[source](tmp_path / source)
    scored = known if signed else model()
    for kind, read in READ.items():
        target = tmp_path / f"out.{kind}"
        batch = Batch(source=str(tmp_path / source), target=str(target), target_format=kind, chunk_rows=4, keep=["c"])
        assert score(scored, batch) == ROWS
        found = read(target)
        assert list(found.columns) == ["c", "prediction"]
        assert found["c"].tolist() == TABLE["c"].tolist(), "the order is the file's"
        assert found["prediction"].tolist() == pytest.approx((TABLE["a"] * 2 + TABLE["b"]).tolist())
    assert not list(tmp_path.glob(".*.part"))


def test_standard_input_and_output(known: LoadedModel) -> None:
    out = io.BytesIO()
    given = io.BytesIO(b'{"a": 1.5, "b": 2}\n{"a": 0, "b": 3}\n')
    assert score(known, Batch(source="-", target="-", source_format="jsonl"), stdin=given, stdout=out) == 2
    assert out.getvalue() == b'{"prediction":5.0}\n{"prediction":3.0}\n'
    assert not given.closed
    table = io.BytesIO()
    TABLE.to_parquet(table)
    table.seek(0)
    score(known, Batch(source="-", target="-", source_format="parquet", target_format="csv"), stdin=table, stdout=out)
    assert out.getvalue().count(b"\n") == 2 + ROWS + 1


def test_progress_tells_rows_and_share(known: LoadedModel, tmp_path: Path) -> None:
    for name in ("t.csv", "t.parquet"):
        WRITE[name](tmp_path / name)
        told: list[Progress] = []
        score(known, Batch(source=str(tmp_path / name), target=str(tmp_path / "o.csv"), chunk_rows=10), told.append)
        assert [each.rows for each in told] == [10, 20, 25]
        assert told[-1].share == 1.0


BAD: dict[str, tuple[str, str | bytes, str]] = {
    "empty": ("e.csv", "", "is empty: wanted a header"),
    "no-rows": ("e.csv", "a,b\n", "has no rows to score"),
    "no-column": ("e.csv", "a,x\n1,2\n", "has no column 'b', which the model wants; it has a, x"),
    "text": ("e.csv", "a,b\n1,2\n\n1,two\n", "e.csv, row 2: column 'b' is 'two': wanted long"),
    "fraction": ("e.csv", "a,b\n1,2\n1,2.5\n", "e.csv, row 2: column 'b' is '2.5': wanted long"),
    "missing": ("e.csv", "a,b\n1,2\n1,\n", "e.csv, row 2: column 'b' is missing: wanted long"),
    "too-many": ("e.csv", "a,b\n1,2\n1,2,3\n", "e.csv, row 2 (line 3): it has 3 values; wanted 2"),
    "too-few": ("e.csv", "a,b\n1,2\n1\n", "e.csv, row 2 (line 3): it has 1 values; wanted 2"),
    "quote": ("e.csv", 'a,b\n1,"2\n', "is no CSV near line"),
    "twice": ("e.csv", "a,b,b\n1,2,3\n", "has the column 'b' more than once"),
    "latin-1": ("e.csv", b"a,b\n1,\xff\n", "is no UTF-8"),
    "cut-json": ("e.json", '[{"a":1,"b":2},', "is no JSON of rows: Expecting value (at character 16)"),
    "other-json": ("e.json", "yes", "is no JSON of rows: wanted a list of records"),
    "trailing": ("e.json", '[{"a":1,"b":2}] 7', "something comes after its end (at character 17)"),
    "record": ("e.json", '[{"a":1,"b":2}, 3]', "e.json, row 2: it is a number; wanted a record"),
    "json-value": ("e.jsonl", '{"a":1,"b":2}\n{"a":"x","b":2}', "e.jsonl, row 2: column 'a' is 'x': wanted double"),
    "width": ("e.json", '{"columns":["a","b"],"data":[[1,2],[1]]}', "e.json, row 2: it has 1 values; wanted 2"),
    "columns-last": (
        "e.json",
        '{"data":[[1,2]],"columns":["a","b"]}',
        "has no column 'a', which the model wants; it has 0, 1",
    ),
    "inputs": ("e.json", '{"inputs":{"a":[1],"b":[2]}}', "has columns by name in inputs: wanted rows"),
    "parquet": ("e.parquet", b"PAR1", "is no Parquet that can be read"),
    "ending": ("e.txt", "a,b\n1,2\n", "e.txt does not end in a known format: give --input-format, one of csv, json"),
}


@pytest.mark.parametrize(("name", "content", "said"), BAD.values(), ids=list(BAD))
def test_bad_files_are_told_in_one_line_and_leave_nothing(
    name: str, content: str | bytes, said: str, known: LoadedModel, tmp_path: Path
) -> None:
    (tmp_path / name).write_bytes(content.encode() if isinstance(content, str) else content)
    target = tmp_path / "out.csv"
    target.write_text("what was there before")
    with pytest.raises(ToolkitError) as told:
        score(known, Batch(source=str(tmp_path / name), target=str(target), chunk_rows=1))
    assert said in str(told.value)
    assert "\n" not in str(told.value)
    assert target.read_text() == "what was there before"
    assert sorted(path.name for path in tmp_path.iterdir() if path.is_file()) == sorted([name, "out.csv"])


def test_the_row_that_a_model_fails_on_is_found(model: Made, tmp_path: Path) -> None:
    def picky(frame: pd.DataFrame) -> object:
        if (frame["b"] == 13).any():
            raise RuntimeError("thirteen\nis too much")
        return frame["b"]

    TABLE.to_csv(tmp_path / "t.csv", index=False)
    out = tmp_path / "o.csv"
    with pytest.raises(ModelFailed, match=r"t\.csv, row 14: the model failed: RuntimeError: thirteen$"):
        score(model(picky), Batch(source=str(tmp_path / "t.csv"), target=str(out), chunk_rows=8))
    assert not out.exists()


@pytest.mark.parametrize(
    ("function", "columns"),
    [
        (lambda frame: frame[["b"]].rename(columns={"b": "size"}), ["size"]),
        (lambda frame: frame["b"].rename("size"), ["size"]),
        (lambda frame: np.column_stack([frame["a"], frame["b"]]), ["prediction_0", "prediction_1"]),
        (lambda frame: frame[["b"]].to_numpy(), ["prediction"]),
        (lambda frame: frame["b"].tolist(), ["prediction"]),
        (lambda frame: [{"x": n, "y": "é"} for n in frame["b"]], ["x", "y"]),
        (lambda frame: {"x": frame["b"].to_numpy(), "y": np.zeros((len(frame), 1))}, ["x", "y"]),
    ],
    ids="frame series matrix column list records dict".split(),
)
def test_columns_are_the_models_own_or_prediction(
    function: Callable[..., Any], columns: list[str], model: Made, tmp_path: Path
) -> None:
    TABLE.to_csv(tmp_path / "t.csv", index=False)
    score(model(function), Batch(source=str(tmp_path / "t.csv"), target=str(tmp_path / "o.csv"), chunk_rows=10))
    found = pd.read_csv(tmp_path / "o.csv")
    assert list(found.columns) == columns
    assert len(found) == ROWS


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        ([1, 2], "gave 2 predictions for 3 rows"),
        (7, "gave one int for all rows"),
        (pd.DataFrame([[1, 2]] * 3, columns=["x", "x"]), "gives two columns 'x'"),
        ({"x": [1, 2, 3], "y": [1]}, "is no table"),
    ],
    ids="fewer scalar twice uneven".split(),
)
def test_answers_that_are_no_row_each_are_refused(answer: object, said: str) -> None:
    with pytest.raises(ToolkitError, match=said):
        as_columns(answer, 3)


def test_values_survive_each_format(model: Made, tmp_path: Path) -> None:
    def answer(frame: pd.DataFrame) -> object:
        return pd.DataFrame(
            {
                "f": [0.1 + 0.2, float("nan"), 1e300],
                "i": [2**53 + 1, -1, 0],
                "t": ["é,\"\n", None, ""],
                "l": [[1, 2], [], None],
                "d": pd.to_datetime(["2026-01-02T03:04:05.5", None, "1999-12-31"], format="ISO8601"),
                "b": [True, False, True],
            }
        )  # fmt: skip

    (tmp_path / "t.csv").write_text("a\n1\n2\n3\n")
    for kind in ("csv", "jsonl", "parquet"):
        score(model(answer), Batch(source=str(tmp_path / "t.csv"), target=str(tmp_path / f"o.{kind}")))
    lines = [json.loads(line) for line in (tmp_path / "o.jsonl").read_text().splitlines()]
    assert lines[0] == {"f": 0.1 + 0.2, "i": 2**53 + 1, "t": 'é,"\n', "l": [1, 2], "d": "2026-01-02T03:04:05.500000", "b": True}  # fmt: skip # noqa: E501
    assert (lines[1]["f"], lines[1]["t"], lines[1]["d"], lines[2]["l"]) == (None, None, None, None)
    table = pd.read_csv(tmp_path / "o.csv")
    assert table["f"][0] == 0.1 + 0.2
    assert table["i"][0] == 2**53 + 1
    assert table["t"][0] == 'é,"\n'
    assert table["l"][0] == "[1,2]"
    assert parquet.read_schema(tmp_path / "o.parquet").field("l").type == pa.list_(pa.int64())


def test_text_that_looks_like_numbers_stays_text_where_text_is_wanted(model: Made, tmp_path: Path) -> None:
    signature = infer_signature(pd.DataFrame({"code": ["007"], "when": pd.to_datetime(["2026-01-01"]), "ok": [True]}))
    (tmp_path / "t.csv").write_text("code,when,ok\n007,2026-01-02T03:04:05,true\nNA,2026-01-03,False\n")

    def tell(frame: pd.DataFrame) -> object:
        return [f"{row.code} {row.when:%d %H} {row.ok is True or row.ok == 1}" for row in frame.itertuples()]

    score(model(tell, signature), Batch(source=str(tmp_path / "t.csv"), target=str(tmp_path / "o.csv")))
    assert pd.read_csv(tmp_path / "o.csv")["prediction"].tolist() == ["007 02 03 True", "NA 03 00 False"]


def test_tensors_come_from_lists_and_tables(model: Made, tmp_path: Path) -> None:
    signature = infer_signature(np.zeros((2, 3), dtype="float32"))

    def total(array: NDArray[Any]) -> object:
        assert array.dtype == "float32"
        return array.sum(axis=1)

    scored = model(total, signature)
    (tmp_path / "t.json").write_text('{"instances": [[1, 2, 3], [4, 5.5, 6]]}')
    (tmp_path / "plain.json").write_text("[[1, 2, 3], [4, 5.5, 6]]")
    for name in ("t.json", "plain.json"):
        score(scored, Batch(source=str(tmp_path / name), target=str(tmp_path / "o.json"), chunk_rows=1))
        assert json.loads((tmp_path / "o.json").read_text()) == [{"prediction": 6.0}, {"prediction": 15.5}]


class Scaled(PythonModel):
    """Multiplies by a parameter."""

    def predict(self, context: Any, model_input: Any, params: dict[str, Any] | None = None) -> Any:  # noqa: ANN401, ARG002 - MLflow's form
        return model_input["b"] * (params or {})["by"]


def test_parameters_reach_the_model_and_unknown_ones_are_refused(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("b\n1\n2\n")
    signature = infer_signature(pd.DataFrame({"b": [1]}), params={"by": 1})
    save_model(Scaled(), tmp_path / "model", signature=signature)
    scaled = load_model(tmp_path / "model", trust=Trust.all())
    batch = Batch(source=str(tmp_path / "t.csv"), target=str(tmp_path / "o.csv"))
    score(scaled, replace(batch, params={"by": 3}))
    assert (tmp_path / "o.csv").read_text() == "b\n3\n6\n"
    with pytest.raises(ToolkitError, match="takes no parameter 'at': it has by"):
        score(scaled, replace(batch, params={"at": 3}))
    with pytest.raises(ToolkitError, match="--chunk-rows is 0"):
        score(scaled, replace(batch, chunk_rows=0))


def test_keeping_columns_that_are_not_there(known: LoadedModel, tmp_path: Path) -> None:
    TABLE.to_csv(tmp_path / "t.csv", index=False)
    batch = Batch(source=str(tmp_path / "t.csv"), target=str(tmp_path / "o.csv"))
    with pytest.raises(ToolkitError, match="no column 'z' to keep; it has a, b, c"):
        score(known, replace(batch, keep=["z"]))
    score(known, replace(batch, keep=["*"]))
    assert list(pd.read_csv(tmp_path / "o.csv").columns) == ["a", "b", "c", "prediction"]


def test_kept_columns_are_as_the_file_has_them(known: LoadedModel, model: Made, tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("id,a,b,note\n007,1.5,2,\n0x1,2.5,3,NA\n")
    for scored in (known, model()):
        score(scored, Batch(source=str(tmp_path / "t.csv"), target=str(tmp_path / "o.csv"), keep=["note", "id"]))
        assert (tmp_path / "o.csv").read_text() == "note,id,prediction\n,007,5.0\nNA,0x1,8.0\n"


def test_devices_links_and_modes_stay_what_they_are(known: LoadedModel, tmp_path: Path) -> None:
    TABLE.to_csv(tmp_path / "t.csv", index=False)
    pipe = tmp_path / "pipe.csv"
    os.mkfifo(pipe)
    reader = threading.Thread(target=lambda: (tmp_path / "read.csv").write_bytes(pipe.read_bytes()))
    reader.start()
    score(known, Batch(source=str(tmp_path / "t.csv"), target=str(pipe)))
    reader.join()
    assert len(pd.read_csv(tmp_path / "read.csv")) == ROWS
    assert pipe.is_fifo()
    real, link = tmp_path / "real.csv", tmp_path / "link.csv"
    real.write_text("old")
    real.chmod(0o640)
    link.symlink_to(real)
    score(known, Batch(source=str(tmp_path / "t.csv"), target=str(link)))
    assert link.is_symlink()
    assert len(pd.read_csv(real)) == ROWS
    assert stat.S_IMODE(real.stat().st_mode) == 0o640
    with pytest.raises(ToolkitError, match="is a folder: wanted the name of a file"):
        score(known, Batch(source=str(tmp_path / "t.csv"), target=str(tmp_path), target_format="csv"))


class Shouts(PythonModel):
    """Takes texts, as its hint says, and no table."""

    def predict(self, context: Any, model_input: Any, params: dict[str, Any] | None = None) -> Any:  # noqa: ANN401, ARG002 - MLflow's form
        assert type(model_input) is list
        return [text.upper() for text in model_input]


def test_models_with_type_hints_get_plain_values(tmp_path: Path) -> None:
    signature = Signature(inputs=Schema([ColSpec(DataType.string)]))
    saved = save_model(Shouts(), tmp_path / "model", signature=signature)
    replace(saved, extra={"is_signature_from_type_hint": True}).write(tmp_path / "model")
    shouts = load_model(tmp_path / "model", trust=Trust.all())
    (tmp_path / "t.json").write_text('["a", "b"]')
    (tmp_path / "t.csv").write_text("text\na\nb\n")
    for name in ("t.json", "t.csv"):
        score(shouts, Batch(source=str(tmp_path / name), target=str(tmp_path / "o.csv")))
        assert (tmp_path / "o.csv").read_text() == "prediction\nA\nB\n"


def test_json_is_read_while_it_comes() -> None:
    class Endless:
        """A list of records without an end."""

        def __init__(self) -> None:
            self.read_so_far = 0

        def read(self, size: int, /) -> str:
            self.read_so_far += size
            return ("[" if self.read_so_far == size else "") + '{"a": [1, {"b": "]"}]},' * (size // 22)

    text = Endless()
    found = rows(text, "endless")
    assert [next(found).value for _ in range(20_000)][-1] == {"a": [1, {"b": "]"}]}
    assert text.read_so_far < 1_000_000


# -- memory ----------------------------------------------------------------------------------------


@pytest.fixture
def arrow_memory() -> Iterator[pa.MemoryPool]:
    """Count what Arrow takes in this test alone, which Python does not know of."""
    before = pa.default_memory_pool()
    pool = pa.proxy_memory_pool(pa.system_memory_pool())
    pa.set_memory_pool(pool)
    yield pool
    pa.set_memory_pool(before)


def peak(call: Callable[[], Any]) -> int:
    """Return the bytes that Python took at most while something was done."""
    tracemalloc.start()
    try:
        call()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("ending", ["csv", "jsonl", "json", "parquet"])
def test_memory_does_not_grow_with_the_file(
    ending: str, model: Made, tmp_path: Path, arrow_memory: pa.MemoryPool
) -> None:
    scored = model()

    def write(count: int) -> Path:
        path = tmp_path / f"{count}.{ending}"
        table = pd.DataFrame({"a": np.arange(count) / 7, "b": np.arange(count), "c": ["some text" * 9] * count})
        if ending == "csv":
            table.to_csv(path, index=False)
        elif ending == "parquet":
            table.to_parquet(path, index=False, row_group_size=2_000)
        else:
            table.to_json(path, orient="records", lines=ending == "jsonl")
        return path

    def score_in_chunks(source: Path) -> Callable[[], int]:
        batch = Batch(source=str(source), target=str(tmp_path / f"out.{ending}"), chunk_rows=500)
        return lambda: score(scored, batch)

    small, large = write(2_000), write(20_000)
    score_in_chunks(small)()  # what is imported and cached on the way is there
    first = peak(score_in_chunks(small)) + arrow_memory.max_memory()
    second = peak(score_in_chunks(large)) + arrow_memory.max_memory()
    assert second < first + 2_000_000, "ten times the rows take the same memory, but for a little"
