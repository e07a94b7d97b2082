"""``toolkit artifacts``: files of runs are logged, fetched and deleted, here and on S3, and where a run says."""

from __future__ import annotations

from pathlib import Path

import pytest
from calls import Cli
from s3 import boto

from toolkit import settings
from toolkit.recording.run import RecordedRun
from toolkit.recording.stores import Stores
from toolkit.wiring.opened import open_stores


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "a folder"
    for name in ("x.txt", "sub/[1]*.bin", "sub/é %2e", "empty"):
        file = made / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text("" if name == "empty" else f"content of {name}")
    return made


def content(folder: Path) -> dict[str, str]:
    return {file.relative_to(folder).as_posix(): file.read_text() for file in folder.rglob("*") if file.is_file()}


def listed(cli: Cli, *arguments: str) -> list[str]:
    return [entry["path"] for entry in cli("artifacts", "list", *arguments, "--json").json["artifacts"]]


def test_a_folder_goes_there_and_back(cli: Cli, tree: list[RecordedRun], folder: Path, tmp_path: Path) -> None:
    answer = cli("artifacts", "log", "whole", str(folder), "data")
    assert (answer.code, answer.err.split(" of run ")[0]) == (0, "stored 4 files (60 B)")
    assert listed(cli, "whole", "data") == [f"data/{path}" for path in sorted(content(folder))]
    assert cli("artifacts", "get", "whole", "data", "-d", str(tmp_path / "back")).code == 0
    assert content(tmp_path / "back" / "data") == content(folder)


def test_mlflows_commands(cli: Cli, tree: list[RecordedRun], folder: Path, tmp_path: Path) -> None:
    run_id = tree[0].run_id
    assert cli("artifacts", "log-artifact", "-l", str(folder / "x.txt"), "-r", run_id).code == 0
    assert cli("artifacts", "log-artifact", "--local-file", str(folder / "x.txt"), "-r", run_id, "-a", "in").code == 0
    assert cli("artifacts", "log-artifacts", "--local-dir", str(folder), "--run-id", run_id, "-a", "all").code == 0
    assert {"x.txt", "in/x.txt", "all/sub/[1]*.bin"} <= set(listed(cli, "-r", run_id))
    assert listed(cli, "-r", run_id, "-a", "in") == ["in/x.txt"]
    answer = cli("artifacts", "download", "-r", run_id, "-a", "all")
    assert content(Path(answer.out.strip())) == content(folder)
    answer = cli("artifacts", "download", "-u", f"runs:/{run_id}/in/x.txt", "-d", str(tmp_path / "new"))
    assert answer.out.strip() == str(tmp_path / "new" / "in" / "x.txt")
    assert Path(answer.out.strip()).read_text() == "content of x.txt"
    for wrong in (
        ("download", "-u", "s3://bucket/x"),
        ("download",),
        ("download", "-u", "runs:/a/b", "-r", run_id),
        ("log-artifact", "-l", str(folder), "-r", run_id),
        ("log-artifacts", "-l", str(folder / "nope"), "-r", run_id),
        ("list", "whole", "-r", "train"),
    ):
        answer = cli("artifacts", *wrong)
        assert (answer.code, len(answer.err.splitlines())) == (2, 1), wrong


def test_one_artifact_is_deleted(cli: Cli, tree: list[RecordedRun], folder: Path) -> None:
    cli("artifacts", "log", "whole", str(folder), "data")
    assert cli("artifacts", "delete", "whole", "data/sub/[1]*.bin").err.startswith("deleted 1 artifact of run")
    assert listed(cli, "whole", "data") == ["data/empty", "data/sub/é %2e", "data/x.txt"]
    assert "give --recursive" in cli("artifacts", "delete", "whole", "data").err
    assert cli("artifacts", "delete", "whole", "data", "--recursive").code == 0
    assert cli("artifacts", "delete", "whole", "data").code == 2
    assert tree[0].local_path("data") is None


def test_files_that_cannot_be_logged_are_named(cli: Cli, tree: list[RecordedRun], folder: Path) -> None:
    """Nothing is stored where that is seen before."""
    (folder / "sub" / "back").symlink_to(folder)
    assert "back is a link that leads back" in cli("artifacts", "log", "whole", str(folder), "data").err
    (folder / "sub" / "back").unlink()
    (folder / "gone").symlink_to("nowhere")
    assert "gone is a link that leads to nothing" in cli("artifacts", "log", "whole", str(folder), "data").err
    (folder / "gone").unlink()
    (folder / "a\nb").write_text("x")
    assert "control character" in cli("artifacts", "log", "whole", str(folder), "data").err
    assert listed(cli, "whole", "data") == []


def test_a_link_in_the_target_is_not_written_through(
    cli: Cli, tree: list[RecordedRun], folder: Path, tmp_path: Path
) -> None:
    cli("artifacts", "log", "whole", str(folder), "data")
    (tmp_path / "outside").mkdir()
    (tmp_path / "target").mkdir()
    (tmp_path / "target" / "data").symlink_to(tmp_path / "outside")
    answer = cli("artifacts", "get", "whole", "data", "-d", str(tmp_path / "target"))
    assert "data is a link: nothing is written through it" in answer.err
    assert list((tmp_path / "outside").iterdir()) == []


def test_runs_on_s3(
    cli: Cli, bucket: str, aws: str, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A root that is changed is where new runs go; older runs are read where they are."""
    assert cli("runs", "create", "--run-name", "before").code == 0
    assert cli("artifacts", "log", "before", str(folder / "x.txt")).code == 0
    monkeypatch.setenv("TOOLKIT_ARTIFACT_ROOT", f"s3://{bucket}/team")
    monkeypatch.setenv("MLFLOW_S3_ENDPOINT_URL", aws)
    monkeypatch.setenv(
        "MLFLOW_S3_UPLOAD_EXTRA_ARGS", '{"ServerSideEncryption": "AES256", "StorageClass": "STANDARD_IA"}'
    )
    stores = open_stores(settings.load())
    try:
        run = _new_run(stores)
        assert run.info.artifact_uri == f"s3://{bucket}/team/0/{run.run_id}/artifacts"
    finally:
        stores.close()
    assert cli("artifacts", "log", run.run_id, str(folder), "data").code == 0
    found = boto(aws).list_objects_v2(Bucket=bucket)["Contents"]
    assert sorted(each["Key"] for each in found) == [
        f"team/0/{run.run_id}/artifacts/data/{path}" for path in sorted(content(folder))
    ]
    assert {each["StorageClass"] for each in found} == {"STANDARD_IA"}
    assert cli("artifacts", "get", run.run_id, "-d", str(tmp_path / "back")).code == 0
    assert content(tmp_path / "back" / "data") == content(folder)
    assert cli("artifacts", "get", "before", "-d", str(tmp_path / "old")).code == 0
    assert content(tmp_path / "old") == {"x.txt": "content of x.txt"}
    monkeypatch.delenv("TOOLKIT_ARTIFACT_ROOT")
    assert cli("artifacts", "get", run.run_id, "data/x.txt", "-d", str(tmp_path / "again")).code == 0
    assert cli("artifacts", "delete", run.run_id, "data", "-R").code == 0
    assert "Contents" not in boto(aws).list_objects_v2(Bucket=bucket)


def _new_run(stores: Stores) -> RecordedRun:
    from toolkit.recording.lease import Leases

    run = RecordedRun.start(stores, Leases(stores.runs, lease_ms=60_000), experiment_id="0", name="on s3")
    run.end()
    return run


def test_bad_roots_are_told(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    for root, words in (
        ("s3://key:canary@bucket/x", "has credentials in it"),
        ("simplecache::s3://bucket/x", "is a chain of file systems"),
        ("nope://bucket/x", "unknown scheme 'nope'"),
        ("http://host/x", "is no place that files are kept at"),
        ("s3:///x", "names no bucket"),
        ("s3://bucket/../x", "'..' part"),
        ("s3://bucket/x?versionId=1", "has a '?' in it"),
    ):
        monkeypatch.setenv("TOOLKIT_ARTIFACT_ROOT", root)
        answer = cli("runs", "list")
        assert (answer.code, len(answer.err.splitlines())) == (2, 1)
        assert words in answer.err
        assert "canary" not in answer.err
    monkeypatch.setenv("TOOLKIT_ARTIFACT_ROOT", "gs://bucket/x")
    assert "pip install 'toolkit[gcs]'" in cli("runs", "list").err
    monkeypatch.delenv("TOOLKIT_ARTIFACT_ROOT")
    monkeypatch.setenv("TOOLKIT_S3_UPLOAD_EXTRA_ARGS", "{nope")
    assert "wanted a JSON object" in cli("runs", "list").err
