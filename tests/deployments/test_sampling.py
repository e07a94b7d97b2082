"""The sample of a service: what is kept can be read again, and nothing that it does reaches an answer."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from toolkit.deployments.serving import sample_files, sampled_rows, sampling
from toolkit.deployments.serving.sample_files import SampleFiles
from toolkit.deployments.serving.sampling import Sampler


def lines_in(folder: Path, ending: str = "*") -> list[dict[str, Any]]:
    """Return the rows of all files in a folder."""
    return [
        json.loads(line) for file in sorted(folder.glob(f"*.jsonl{ending}")) for line in file.read_text().splitlines()
    ]


FRAME = pd.DataFrame({"x": [1.5, None], "s": ["a", "b" * 3_000], "when": pd.to_datetime(["2024-01-01", None])})
CUT = "b" * 1_000 + "…"


@pytest.mark.parametrize(
    ("data", "names", "expected"),
    [
        (FRAME, None, [{"x": 1.5, "s": "a", "when": "2024-01-01T00:00:00"}, {"x": None, "s": CUT, "when": None}]),
        (np.array([[1, 2], [3, 4]]), ["a", "b"], [{"a": 1, "b": 2}, {"a": 3, "b": 4}]),
        (np.array([[1, 2]]), None, [{"0": 1, "1": 2}]),
        (np.array([1.0, np.nan]), ["a"], [{"a": 1.0}, {"a": None}]),
        (np.zeros((1, 64, 64)), None, [{"0": {"shape": [64, 64]}}]),
        ({"a": np.array([1, 2]), "b": [True, False]}, None, [{"a": 1, "b": True}, {"a": 2, "b": False}]),
        ({"prompt": "hello", "n": 3}, None, [{"prompt": "hello", "n": 3}]),
        ([{"a": 1}, {"b": b"\xff"}], None, [{"a": 1}, {"b": {"bytes": 1}}]),
        (["one", "two"], ["text"], [{"text": "one"}, {"text": "two"}]),
        ("hello", None, [{"0": "hello"}]),
    ],
    ids=["table", "named", "matrix", "vector", "images", "columns", "object", "objects", "texts", "text"],
)
def test_data_of_any_kind_are_rows(data: Any, names: Sequence[str] | None, expected: list[dict[str, Any]]) -> None:  # noqa: ANN401
    told = sampled_rows.inputs_of(data, names)
    assert json.loads(json.dumps(told)) == expected
    assert len(told) == sampled_rows.length_of(data)


@pytest.mark.parametrize(
    ("prediction", "rows", "expected"),
    [
        (np.array([1.0, 2.0]), 2, [1.0, 2.0]),
        (np.array([[0.1, 0.9]]), 1, [[0.1, 0.9]]),
        (pd.DataFrame({"p": [1, 2]}), 2, [{"p": 1}, {"p": 2}]),
        (pd.Series(["a", "b"]), 2, ["a", "b"]),
        ({"p": [1, 2]}, 2, [{"p": 1}, {"p": 2}]),
        ("all well", 2, ["all well", None]),
        (None, 2, [None, None]),
    ],
    ids=["array", "matrix", "table", "column", "columns", "one for all", "nothing"],
)
def test_predictions_of_any_kind_stand_with_their_rows(prediction: object, rows: int, expected: list[object]) -> None:
    assert sampled_rows.outputs_of(prediction, rows) == expected


def test_what_is_kept_can_be_read_again(tmp_path: Path) -> None:
    sampler = Sampler(1.0, SampleFiles(tmp_path / "samples"))
    for number in range(5):
        sampler.keep(pd.DataFrame({"x": [number, number]}), np.array([number * 2, number * 2]))
    sampler.close()
    rows = lines_in(tmp_path / "samples", "")
    assert [row["inputs"]["x"] * 2 for row in rows] == [row["output"] for row in rows]
    assert len({row["request"] for row in rows}) == 5
    assert [row["row"] for row in rows] == [0, 1] * 5
    assert (sampler.kept, sampler.dropped) == (10, 0)
    sampler.keep(pd.DataFrame({"x": [1]}), [1])
    assert len(lines_in(tmp_path / "samples")) == 10


@pytest.mark.parametrize(("rate", "least", "most"), [(0.0, 0, 0), (0.5, 350, 650), (1.0, 1_000, 1_000)])
def test_the_rate_is_a_share_of_requests(rate: float, least: int, most: int, tmp_path: Path) -> None:
    sampler = Sampler(rate, SampleFiles(tmp_path))
    for _ in range(1_000):
        sampler.keep([1.0], [2.0])
    sampler.close(60)
    assert least <= sampler.kept + sampler.dropped <= most
    assert len(lines_in(tmp_path)) == sampler.kept


def test_of_a_large_request_some_rows_are_kept(tmp_path: Path) -> None:
    sampler = Sampler(1.0, SampleFiles(tmp_path))
    sampler.keep(pd.DataFrame({"x": range(100_000)}), np.arange(100_000) + 1)
    sampler.close(60)
    rows = lines_in(tmp_path)
    assert len(rows) == sampling.REQUEST_ROWS
    assert all(row["inputs"]["x"] == row["row"] == row["output"] - 1 for row in rows)
    assert rows[-1]["row"] > 1_000, "not the first ones"


def test_what_waits_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Sampler, "_run", lambda _: None)  # a thread that never comes to it
    sampler = Sampler(1.0, SampleFiles(tmp_path))
    for _ in range(10_000):
        sampler.keep([1.0], [2.0])
    assert sampler.dropped == 10_000 - sampling.MOST_ROWS
    heavy = Sampler(1.0, SampleFiles(tmp_path))
    for _ in range(50):
        heavy.keep(np.zeros((1, 1_000, 1_000)), [2.0])
    assert heavy.dropped >= 46


class _Odd:
    @property
    def shape(self) -> tuple[int, ...]:
        raise RuntimeError("not today")


def test_odd_data_and_a_broken_disk_reach_nobody(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    sampler = Sampler(1.0, SampleFiles(tmp_path / "file" / "below"))
    sampler.keep([1.0], [2.0])
    sampler.keep(_Odd(), [2.0])
    sampler.close(60)
    assert (sampler.kept, sampler.dropped) == (0, 2)
    good = Sampler(1.0, SampleFiles(tmp_path / "good"))
    good.keep([object()], [2.0])
    good.keep([1.0], [2.0])
    good.close(60)
    assert [row["inputs"] for row in lines_in(tmp_path / "good")] == [{"0": 1.0}]


def test_files_are_finished_at_a_size_and_the_oldest_go(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sample_files, "FILE_BYTES", 200)
    monkeypatch.setattr(sample_files, "MOST_FILES", 3)
    files = SampleFiles(tmp_path)
    for number in range(10):
        files.write([{"n": number, "text": "x" * 300}])
    assert [row["n"] for row in lines_in(tmp_path)] == [7, 8, 9]
    files.write([{"n": 10}])
    assert [file.name.endswith(sample_files.OPEN) for file in sorted(tmp_path.iterdir())].count(True) == 1
    assert files.patience() is not None
    monkeypatch.setattr(sample_files, "FILE_SECONDS", 0)
    files.close()
    files.write([{"n": 11}])
    assert not list(tmp_path.glob(f"*{sample_files.OPEN}"))


def test_what_is_written_is_there_before_the_file_is_finished(tmp_path: Path) -> None:
    files = SampleFiles(tmp_path)
    files.write([{"n": 1}])
    assert lines_in(tmp_path, ".open") == [{"n": 1}]
    assert str(os.getpid()) in next(tmp_path.iterdir()).name
    files.close()
    assert lines_in(tmp_path, "") == [{"n": 1}]
