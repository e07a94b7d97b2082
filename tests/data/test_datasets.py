"""Datasets: the digests, schemas and profiles that MLflow gives them, in a time that does not grow with the data."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import polars as pl
import pytest

import toolkit
from toolkit.data import digest
from toolkit.entities import Dataset as Entity
from toolkit.errors import InvalidValue, NotFound

FRAME = pd.DataFrame({"x": [1, 2, 3], "y": [1.5, 2, 3], "s": ["a", "b", "c"], "b": [True, False, True]})


def test_a_table_as_mlflow_describes_it() -> None:
    """The values are MLflow 3.17.2's for the same table."""
    dataset = toolkit.data.from_pandas(FRAME, source="/tmp/x.csv", name="wine", targets="y")
    assert (dataset.name, dataset.digest, dataset.targets) == ("wine", "8abd2bff", "y")
    assert dataset.df is FRAME
    told = dataset.to_dict()
    assert told["source_type"] == "local"
    assert json.loads(str(told["source"])) == {"uri": "/tmp/x.csv"}
    profile = json.loads(str(told["profile"]))
    assert {name: profile[name] for name in profile if name != "columns"} == {"num_rows": 3, "num_elements": 12}
    assert json.loads(str(told["schema"])) == {
        "mlflow_colspec": [
            {"type": "long", "name": "x", "required": True},
            {"type": "double", "name": "y", "required": True},
            {"type": "string", "name": "s", "required": True},
            {"type": "boolean", "name": "b", "required": True},
        ]
    }
    assert json.loads(dataset.to_json()) == told


def test_arrays_as_mlflow_describes_them() -> None:
    """The digests are MLflow 3.17.2's."""
    pair = toolkit.data.from_numpy(np.zeros((3, 2)), targets=np.ones(3))
    assert (pair.digest, pair.name, pair.source.kind) == ("68e86a85", "dataset", "code")
    named = toolkit.data.from_numpy({"a": np.zeros((3, 2)), "b": np.arange(3)})
    assert named.digest == "fc538856"
    assert named.profile == {
        "features_shape": {"a": [3, 2], "b": [3]},
        "features_size": {"a": 6, "b": 3},
        "features_nbytes": {"a": 48, "b": 24},
    }


@pytest.mark.parametrize(
    "column",
    [
        pd.Series([1, None, 3], dtype="Int64"),
        pd.Series(["a", None, "c"]),
        pd.Series(["a", 2, None], dtype=object),
        pd.Series(pd.to_datetime(["2024-01-01", "2024-01-02", None])),
        pd.Series(["a", "b", "a"], dtype="category"),
        pd.Series([b"x", b"y", b"z"]),
        pd.Series([[1], [2], [3]]),
        pd.Series([1 + 2j, 3j, 1]),
    ],
)
def test_columns_of_any_type(column: pd.Series) -> None:
    dataset = toolkit.data.from_pandas(pd.DataFrame({"c": column, "n": [1, 2, 3]}))
    assert len(dataset.digest) == 8
    assert dataset.schema is not None


def test_empty_tables() -> None:
    for frame in (pd.DataFrame(), pd.DataFrame({"a": []}), FRAME.head(0)):
        assert len(toolkit.data.from_pandas(frame).digest) == 8
    assert toolkit.data.from_polars(pl.DataFrame()).profile == {"num_rows": 0, "num_elements": 0}


def test_what_is_looked_at_is_bounded() -> None:
    """However long, wide or heavy a table is."""
    assert digest.rows_to_read(4, 32.0) == 10_000
    assert digest.rows_to_read(100_000, 800_000.0) <= 40
    assert digest.rows_to_read(1, 1e9) == 1
    long = pd.DataFrame({"x": np.arange(1_000_000)})
    changed = long.copy()
    changed.loc[999_999, "x"] = -1
    assert toolkit.data.from_pandas(long).digest == toolkit.data.from_pandas(changed).digest
    assert toolkit.data.from_pandas(long).digest != toolkit.data.from_pandas(long.head(999_999)).digest
    wide = pd.DataFrame(np.zeros((50, 20_000)))
    assert toolkit.data.from_pandas(wide).schema is None, "more than a store takes"


def test_polars() -> None:
    frame = pl.DataFrame({"a": [1, 2], "s": ["x", None], "l": [[1], [2]]})
    dataset = toolkit.data.from_polars(frame, source="s3://bucket/x.parquet", predictions="a")
    assert dataset.digest == toolkit.data.from_polars(frame.clone()).digest
    assert dataset.digest != toolkit.data.from_polars(frame.with_columns(a=pl.lit(3))).digest
    assert (dataset.source.kind, dataset.source.uri) == ("s3", "s3://bucket/x.parquet")
    assert dataset.schema == {
        "mlflow_colspec": [
            {"type": "long", "name": "a", "required": True},
            {"type": "string", "name": "s", "required": False},
            {"type": "any", "name": "l", "required": True},
        ]
    }


def test_files_folders_and_urls(tmp_path: Path) -> None:
    (tmp_path / "d").mkdir()
    for name in ("a", "b"):
        (tmp_path / "d" / f"{name}.csv").write_text(name)
    folder = toolkit.data.from_path(tmp_path / "d")
    assert (folder.name, folder.profile) == ("d", {"num_files": 2, "num_bytes": 2})
    before = folder.digest
    (tmp_path / "d" / "b.csv").write_text("c")
    assert toolkit.data.from_path(tmp_path / "d").digest != before
    url = toolkit.data.from_url("https://host/data/train.csv?x=1")
    assert (url.name, url.source.kind, url.source.to_json()) == (
        "train.csv",
        "http",
        '{"url": "https://host/data/train.csv?x=1"}',
    )
    assert toolkit.data.from_url("gs://bucket").name == "bucket"
    assert toolkit.data.get_source(folder).load() == str(tmp_path / "d")
    with pytest.raises(NotFound):
        toolkit.data.from_path(tmp_path / "nope")
    with pytest.raises(InvalidValue):
        toolkit.data.from_url("data.csv")
    with pytest.raises(InvalidValue, match="column 'z'"):
        toolkit.data.from_pandas(FRAME, targets="z")
    with pytest.raises(InvalidValue):
        toolkit.data.from_pandas(FRAME, source=7)
    with pytest.raises(InvalidValue):
        toolkit.data.from_pandas(FRAME).source.load()


class MlflowDataset:
    """What MLflow's own datasets can do."""

    name, digest = "theirs", "abcd1234"
    source = SimpleNamespace(to_dict=lambda: {"uri": "x"}, _get_source_type=lambda: "local")

    def to_dict(self) -> dict[str, str]:
        return {
            "name": self.name,
            "digest": self.digest,
            "source": '{"uri": "x"}',
            "source_type": "local",
            "schema": "{}",
            "profile": "{}",
        }


def test_runs_note_what_they_use(tmp_path: Path) -> None:
    (tmp_path / "train.csv").write_text("a,b\n1,2\n")
    with toolkit.start_run() as run:
        toolkit.log_input(toolkit.data.from_pandas(FRAME, name="wine"), context="training", tags={"fold": "1"})
        toolkit.log_inputs(
            [MlflowDataset(), FRAME, None, str(tmp_path / "train.csv")],
            ["eval", None, None, "raw"],
            [None, {"k": "v"}, None, None],
        )
        toolkit.log_input("https://host/x.csv")
        toolkit.log_input(Entity("entity", "1", "local", "{}"))
        toolkit.log_metric("m", 1, dataset=np.zeros(3))
        with pytest.raises(InvalidValue, match="no dataset"):
            toolkit.log_input(object())
        with pytest.raises(InvalidValue, match="different lengths"):
            toolkit.log_inputs([FRAME, FRAME], ["a"])
        with pytest.raises(InvalidValue):
            toolkit.log_input(toolkit.data.from_pandas(FRAME, name="x" * 501))
    inputs = toolkit.get_run(run.info.run_id).inputs.dataset_inputs
    named = [(each.dataset.name, {tag.key: tag.value for tag in each.tags}) for each in inputs]
    found = sorted(named, key=lambda pair: pair[0])
    assert [name for name, _ in found] == ["dataset", "dataset", "entity", "theirs", "train.csv", "wine", "x.csv"]
    tags = {name: told for name, told in found if name != "dataset"}
    assert tags["wine"] == {"mlflow.data.context": "training", "fold": "1"}
    assert (tags["theirs"], tags["x.csv"]) == ({"mlflow.data.context": "eval"}, {})
    source = toolkit.data.get_source(next(each for each in inputs if each.dataset.name == "train.csv"))
    assert Path(source.load()).read_text() == "a,b\n1,2\n"
    by_context = toolkit.search_runs(filter_string="dataset.context = 'training'", output_format="list")
    assert [each.info.run_id for each in by_context] == [run.info.run_id]
    assert by_context[0].inputs.dataset_inputs == []
