"""A run being written: what is logged can be read, and its end is decided once, by who answers for it."""

from __future__ import annotations

import hashlib
import json
import math
import sys
from pathlib import Path

import pytest

from toolkit.errors import ArtifactCorrupt, Conflict, InvalidValue, NotFound
from toolkit.recording.context import script_tags
from toolkit.recording.lease import Leases
from toolkit.recording.run import PARAM_LIMIT, TAG_LIMIT, RecordedRun
from toolkit.recording.stores import Stores
from toolkit.tracking.records import RunStatus


def paths(run: RecordedRun) -> list[str]:
    return [entry.path for entry in run.stores.runs.list_artifacts(run.run_id).items]


def text(run: RecordedRun, path: str) -> str:
    local = run.local_path(path)
    assert local is not None
    return local.read_text()


def test_a_new_run_is_running_and_answered_for(run: RecordedRun) -> None:
    assert run.read().info.status == RunStatus.RUNNING
    assert run.owned


def test_what_is_logged_can_be_read(run: RecordedRun) -> None:
    run.log_params({"alpha": 0.5, "flag": True, "text": "x"})
    run.log_metrics({"rmse": 0.7}, step=3)
    run.log_metrics({"rmse": 0.6, "nan": math.nan}, step=4)
    run.set_tags({"stage": "one", "gone": "x"})
    run.set_tags({"gone": None})
    data = run.read().data
    assert dict(data.params) == {"alpha": "0.5", "flag": "True", "text": "x"}
    assert data.metrics["rmse"] == 0.6
    assert math.isnan(data.metrics["nan"])
    assert data.tags["stage"] == "one"
    assert "gone" not in data.tags


def test_a_parameter_cannot_be_changed(run: RecordedRun) -> None:
    run.log_params({"alpha": 1})
    run.log_params({"alpha": 1})
    with pytest.raises(Conflict, match="alpha"):
        run.log_params({"beta": 1, "alpha": 2})
    assert dict(run.read().data.params) == {"alpha": "1"}


@pytest.mark.parametrize("value", [True, "0.5x", None, [1], 1j])
def test_a_metric_is_a_number(run: RecordedRun, value: float) -> None:
    with pytest.raises(InvalidValue, match=r"'rmse'.*wanted a number"):
        run.log_metrics({"rmse": value})


def test_whatever_is_like_a_number_is_one(run: RecordedRun) -> None:
    class Scalar:
        def __float__(self) -> float:
            return 1.5

    run.log_metrics({"scalar": Scalar()})  # type: ignore[dict-item]
    assert run.read().data.metrics["scalar"] == 1.5


def test_long_first_tags_and_parameters_are_cut_and_not_refused(stores: Stores, leases: Leases) -> None:
    run = RecordedRun.start(
        stores, leases, experiment_id="0", tags={"t": "x" * 20_000}, params={"p": "y" * 20_000, "n": 1}
    )
    data = run.read().data
    assert len(data.tags["t"]) == TAG_LIMIT
    assert len(data.params["p"]) == PARAM_LIMIT
    assert data.params["p"].endswith("…")
    run.end()


def test_a_name_is_made_up_where_none_is_given(stores: Stores, leases: Leases) -> None:
    run = RecordedRun.start(stores, leases, experiment_id="0")
    run.end()
    assert len(run.info.run_name.split("-")) == 3


def test_files_folders_and_text_become_artifacts(run: RecordedRun, tmp_path: Path) -> None:
    (tmp_path / "model" / "deep").mkdir(parents=True)
    (tmp_path / "model" / "deep" / "w.bin").write_bytes(b"w")
    (tmp_path / "model" / "a.txt").write_text("a")
    (tmp_path / "one.txt").write_text("one")
    run.log_path(tmp_path / "model", "model")
    run.log_path(tmp_path / "one.txt", "sub/one.txt")
    run.log_folder(tmp_path / "model")
    run.log_text("grüße", "notes.txt")
    run.log_json({"a": [1, Path("x")]}, "value.json")
    assert paths(run) == [
        "a.txt",
        "deep/w.bin",
        "model/a.txt",
        "model/deep/w.bin",
        "notes.txt",
        "sub/one.txt",
        "value.json",
    ]
    assert text(run, "notes.txt") == "grüße"
    assert json.loads(text(run, "value.json")) == {"a": [1, "x"]}


def test_an_artifacts_digest_is_that_of_its_content(run: RecordedRun) -> None:
    entry = run.log_bytes(b"content", "x.bin")
    assert (entry.size, entry.sha256) == (7, hashlib.sha256(b"content").hexdigest())


def test_a_damaged_artifact_is_not_handed_out(run: RecordedRun, tmp_path: Path) -> None:
    entry = run.log_bytes(b"content", "x.bin")
    run.fetch(entry, tmp_path / "copy.bin")
    assert (tmp_path / "copy.bin").read_bytes() == b"content"
    stored = run.local_path("x.bin")
    assert stored is not None
    stored.chmod(0o644)
    stored.write_bytes(b"Content")
    with pytest.raises(ArtifactCorrupt):
        run.fetch(entry, tmp_path / "other.bin")
    assert not (tmp_path / "other.bin").exists()


def test_nothing_there_to_log_is_said(run: RecordedRun, tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="nowhere"):
        run.log_path(tmp_path / "nowhere", "x")


@pytest.mark.parametrize("path", ["../x", "/etc/x", "a/../../x", ""])
def test_an_artifact_cannot_leave_its_run(run: RecordedRun, path: str) -> None:
    with pytest.raises(InvalidValue):
        run.log_text("x", path)


def test_the_first_end_counts(run: RecordedRun) -> None:
    run.end(RunStatus.FAILED, "broke")
    run.end(RunStatus.FINISHED)
    info = run.read().info
    assert (info.status, info.reason) == (RunStatus.FAILED, "broke")
    assert not run.owned


def test_a_run_of_another_process_is_not_ended(run: RecordedRun) -> None:
    guest = RecordedRun(run.stores, run.read())
    guest.log_metrics({"m": 1})
    guest.end(RunStatus.FAILED)
    assert run.read().info.status == RunStatus.RUNNING


@pytest.mark.parametrize(
    ("given", "kept"), [("a\ud800b", r"a\ud800b"), ("a\0b", r"a\x00b"), ("x" * 3_000, "x" * 1_999 + "…"), ("né", "né")]
)
def test_any_text_can_be_the_reason_of_an_end(stores: Stores, leases: Leases, given: str, kept: str) -> None:
    run = RecordedRun.start(stores, leases, experiment_id="0")
    run.end(RunStatus.FAILED, given)
    info = run.read().info
    assert (info.status, info.reason) == (RunStatus.FAILED, kept)


def test_what_is_logged_without_being_asked_for_is_plain_text(
    stores: Stores, leases: Leases, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys.modules["__main__"], "__file__", "/a/\udce9.py", raising=False)
    monkeypatch.setenv("LOGNAME", "jos\udce9")
    run = RecordedRun.start(stores, leases, experiment_id="0", tags=script_tags())
    assert run.read().data.tags["mlflow.source.name"] == r"/a/\udce9.py"
    assert run.read().info.user_id == r"jos\udce9"
    run.end()
