"""Uploads in parts through MLflow's proxy: by hand, and by MLflow's own client."""

from __future__ import annotations

import hashlib
import os
import signal
import subprocess
import threading
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

import pytest
from peer import NO_MLFLOW, mlflow_python
from process import server_process
from s3 import boto
from server import PROXY, Answer, Server, serving

from toolkit.server.artifacts import parts
from toolkit.server.artifacts.files import Limits
from toolkit.settings import environment

MPU = "/api/2.0/mlflow-artifacts/mpu"
DECLINED = "Multipart upload is not supported for the current artifact repository"


class Upload:
    """An upload of a file ``d/big.bin`` of a new run, as a client makes it."""

    def __init__(self, server: Server, count: int, run: str | None = None) -> None:
        self.server = server
        self.run = run or server.new_run()
        self.folder = f"0/{self.run}/artifacts/d"
        made = self.ask("create", num_parts=count)
        assert made.status == 200, made.body
        self.id = made.json["upload_id"]
        self.credentials: list[dict[str, Any]] = made.json["credentials"]
        self.sent: list[dict[str, Any]] = []

    def ask(self, verb: str, headers: Mapping[str, str] | None = None, /, **fields: object) -> Answer:
        body = {"path": "/home/me/big.bin", **fields}
        return self.server.call("POST", f"{MPU}/{verb}/{self.folder}", body, headers)

    def send(self, number: int, content: bytes) -> Answer:
        url = urlsplit(self.credentials[number - 1]["url"])
        assert url.netloc == f"127.0.0.1:{self.server.port}"
        answer = self.server.call("PUT", url.path.removeprefix(self.server.prefix), content)
        if answer.status == 200:
            self.sent.append({"part_number": number, "etag": answer.headers["etag"], "url": url.geturl()})
        return answer

    def complete(self, sent: list[dict[str, Any]] | None = None) -> Answer:
        return self.ask("complete", upload_id=self.id, parts=self.sent if sent is None else sent)

    def abort(self) -> Answer:
        return self.ask("abort", upload_id=self.id)

    def got(self) -> Answer:
        return self.server.call("GET", f"{PROXY}/{self.folder}/big.bin")


def left(server: Server) -> list[str]:
    """Return the files of parts that are there, without the marks of uploads."""
    folder = server.home / "uploads"
    marks = ("upload", "done")
    files = [path for path in folder.rglob("*") if path.is_file() and path.parent.name != "turns"]
    return [path.name for path in files if path.name not in marks]


def refused(answer: Answer, status: int, code: str, says: str) -> None:
    assert (answer.status, answer.json["error_code"]) == (status, code), answer.body
    assert says in answer.json["message"]


@pytest.mark.parametrize("prefix", ["", "/ml"])
def test_parts_in_any_order_become_one_file_with_its_digest(tmp_path: Path, prefix: str) -> None:
    with serving(tmp_path / "home", prefix=prefix) as server:
        upload = Upload(server, 3)
        content = [os.urandom(2_500_000), os.urandom(2_500_000), b"rest"]

        for number in (3, 1, 2):
            assert upload.send(number, content[number - 1]).status == 200
        assert upload.got().status == 404
        assert upload.complete().json == {}

        whole = b"".join(content)
        assert upload.got().body == whole
        (entry,) = server.stores.runs.list_artifacts(upload.run).items
        assert (entry.path, entry.size, entry.sha256) == ("d/big.bin", len(whole), hashlib.sha256(whole).hexdigest())
        assert left(server) == []


def test_a_client_that_asks_again_gets_the_same_answer(server: Server) -> None:
    upload = Upload(server, 1)
    upload.send(1, b"one")
    assert upload.complete().json == {}
    server.call("PUT", f"{PROXY}/{upload.folder}/big.bin", b"newer")

    assert upload.complete().json == {}
    assert upload.abort().json == {}
    assert upload.got().body == b"newer"
    refused(upload.send(1, b"late"), 404, "RESOURCE_DOES_NOT_EXIST", "it has ended")


def test_a_part_may_be_sent_again(server: Server) -> None:
    upload = Upload(server, 1)
    upload.send(1, b"first")
    upload.send(1, b"second")

    first, second = upload.sent
    refused(upload.complete([first]), 400, "INVALID_PARAMETER_VALUE", "part 1 is not the one that has this etag")
    assert upload.got().status == 404
    assert upload.complete([second]).status == 200
    assert upload.got().body == b"second"


def test_an_upload_that_is_given_up_leaves_nothing(server: Server) -> None:
    upload = Upload(server, 2)
    upload.send(1, b"x" * 2_000_000)

    assert upload.abort().json == {}
    assert upload.abort().json == {}
    assert left(server) == []
    refused(upload.complete(), 404, "RESOURCE_DOES_NOT_EXIST", "there is no upload")
    refused(upload.send(2, b"x"), 404, "RESOURCE_DOES_NOT_EXIST", "there is no upload")


def test_a_part_has_a_number(server: Server) -> None:
    upload = Upload(server, 2)
    for number in ("9" * 5_000, "٣", "-1", "x", "1%0d%0a"):
        address = f"{MPU}/parts/{upload.id}/{quote(number, safe='%')}"
        assert server.call("PUT", address, b"x").status in (400, 404), number
    assert upload.send(1, b"x").status == 200


def test_what_is_not_whole_is_not_stored(server: Server) -> None:
    upload = Upload(server, 2)
    upload.send(2, b"two")
    (two,) = upload.sent
    one = {"part_number": 1, "etag": f'"{hashlib.sha256(b"one").hexdigest()}"'}

    for sent, says in (
        ([one, two], "part 1 did not come"),
        ([two], "2 is out of order"),
        ([two, two], "2 is out of order"),
        ([], "has no parts"),
        ([{"part_number": 1, "etag": ""}], "part 1 did not come"),
    ):
        refused(upload.complete(sent), 400, "INVALID_PARAMETER_VALUE", says)
    upload.send(1, b"one")
    refused(upload.complete([{**one, "etag": "abc"}, two]), 400, "INVALID_PARAMETER_VALUE", "part 1 has no etag")
    assert upload.got().status == 404
    assert upload.complete([one, two]).status == 200
    assert upload.got().body == b"onetwo"


@pytest.mark.parametrize(
    ("path", "fields", "status", "says"),
    [
        ("0/{run}/artifacts", {"num_parts": 0}, 400, "wanted 1 to 10000"),
        ("0/{run}/artifacts", {"num_parts": 10_001}, 400, "wanted 1 to 10000"),
        ("0/{run}/artifacts", {"num_parts": "many"}, 400, "num_parts"),
        ("0/{run}/artifacts", {"path": ""}, 400, "'path'"),
        ("0/{run}/artifacts", {"path": "a/"}, 400, "names no file"),
        ("0/{run}/artifacts", {"path": ".."}, 400, ".."),
        ("0/{run}/artifacts/..", {}, 400, ".."),
        ("0/{run}/artifacts/%2e%2e", {}, 400, ".."),
        ("0/{run}", {}, 403, "is no place"),
        ("1/{run}/artifacts", {}, 403, "is not where"),
        (f"0/{'f' * 32}/artifacts", {}, 404, "not found"),
    ],
    ids=["none", "many", "words", "nameless", "folder", "dots", "up", "encoded", "no-place", "elsewhere", "no-run"],
)
def test_what_cannot_be_begun(server: Server, path: str, fields: dict[str, object], status: int, says: str) -> None:
    run = server.new_run()

    answer = server.call("POST", f"{MPU}/create/{path.format(run=run)}", {"path": "a.bin", "num_parts": 1, **fields})

    assert answer.status == status
    assert says in answer.json["message"]
    assert not (server.home / "uploads").exists()


def test_an_upload_is_for_one_file(server: Server) -> None:
    upload = Upload(server, 1)
    upload.send(1, b"x")
    other = Upload(server, 1)

    answer = other.ask("complete", upload_id=upload.id, parts=upload.sent)
    refused(answer, 404, "RESOURCE_DOES_NOT_EXIST", "of this file")
    assert other.ask("abort", upload_id=upload.id).status == 200
    for name in ("../" + "a" * 29, "A" * 32, "", "turns"):
        assert other.ask("complete", upload_id=name, parts=upload.sent).status in (400, 404)
    assert upload.complete().status == 200


def test_parts_are_counted_against_the_limits(tmp_path: Path) -> None:
    with serving(tmp_path / "home", limits=Limits(size=1000)) as server:
        upload = Upload(server, 2)
        assert upload.send(1, b"x" * 900).status == 200
        assert upload.send(2, b"x" * 101).status == 413
        assert upload.send(2, b"x" * 1001).status == 413
        assert server.call("PUT", f"{MPU}/parts/{upload.id}/3", b"x").status == 400
        assert upload.send(2, b"x" * 100).status == 200
        assert upload.complete().status == 200
        assert len(upload.got().body) == 1000
    with serving(tmp_path / "full", limits=Limits(reserve=1 << 60)) as server:
        assert Upload(server, 1).send(1, b"x").status == 507


def test_a_deleted_run_takes_no_parts(server: Server) -> None:
    run = server.new_run()
    server.api("POST", "runs/delete", {"run_id": run})

    answer = server.call("POST", f"{MPU}/create/0/{run}/artifacts", {"path": "a", "num_parts": 1})

    refused(answer, 400, "INVALID_PARAMETER_VALUE", "must be in the 'active' state")


def test_uploads_that_nobody_ended_are_removed_and_bounded(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    old = Upload(server, 1)
    old.send(1, b"x")
    folder = server.home / "uploads" / old.id
    os.utime(folder, (time.time() - parts.KEPT - 1,) * 2)
    monkeypatch.setattr(parts, "MOST_OPEN", 1)

    new = Upload(server, 1)

    assert not folder.exists()
    answer = new.ask("create", num_parts=1)
    assert (answer.status, "under way already" in answer.json["message"]) == (507, True)
    new.send(1, b"x")
    new.complete()
    assert new.ask("create", num_parts=1).status == 200


@pytest.mark.parametrize(
    "headers",
    [{"Authorization": "Bearer x"}, {"X-Forwarded-For": "10.0.0.1"}, {"Via": "1.1 proxy"}],
    ids=["token", "forwarded", "via"],
)
def test_who_could_not_send_parts_is_told_to_send_the_file_in_one(server: Server, headers: dict[str, str]) -> None:
    run = server.new_run()

    answer = server.call("POST", f"{MPU}/create/0/{run}/artifacts", {"path": "a", "num_parts": 1}, headers)

    assert answer.status == 501
    assert answer.json == {"error_code": "NOT_IMPLEMENTED", "message": DECLINED}


def test_many_clients_complete_one_upload(server: Server) -> None:
    upload = Upload(server, 4)
    for number in range(1, 5):
        upload.send(number, bytes([number]) * 1_000_000)
    answers: list[int] = []
    threads = [threading.Thread(target=lambda: answers.append(upload.complete().status)) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert answers == [200] * 6
    assert len(upload.got().body) == 4_000_000


def test_an_upload_outlives_a_server_that_is_killed(tmp_path: Path) -> None:
    content = [os.urandom(1_500_000), b"rest"]
    with serving(tmp_path / "home") as server:
        upload = Upload(server, 2)
        upload.send(1, content[0])
        upload.send(2, content[1])
    folder = tmp_path / "home" / "uploads"
    torn = folder / ".staging" / "torn"
    torn.write_bytes(b"half a part")
    os.utime(torn, (time.time() - parts.KEPT - 1,) * 2)

    with server_process(tmp_path / "home") as killed:
        before = killed.call("POST", f"{MPU}/create/{upload.folder}", {"path": "other", "num_parts": 1})
        killed.stop(signal.SIGKILL)
    with serving(tmp_path / "home") as server:
        upload.server = server
        assert upload.complete().json == {}
        assert upload.got().body == b"".join(content)

    assert before[0] == 200
    assert not torn.exists()


@pytest.fixture
def on_s3(tmp_path: Path, aws: str, bucket: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.setenv("TOOLKIT_S3_ENDPOINT_URL", aws)
    with serving(tmp_path / "home", artifact_root=f"s3://{bucket}/root") as server:
        yield server


def test_parts_become_an_object_on_s3(on_s3: Server, aws: str, bucket: str) -> None:
    upload = Upload(on_s3, 3)
    content = [os.urandom(6 << 20) for _ in range(3)]
    for number in (2, 3, 1):
        upload.send(number, content[number - 1])

    assert upload.complete().status == 200

    assert upload.got().body == b"".join(content)
    client = boto(aws)
    keys = [found["Key"] for found in client.list_objects_v2(Bucket=bucket)["Contents"]]
    assert keys == [f"root/{upload.folder}/big.bin"]
    assert "Uploads" not in client.list_multipart_uploads(Bucket=bucket)


# -- MLflow's client -----------------------------------------------------------------------------------

SCRIPT = """
import hashlib, mlflow, os, pathlib, sys
folder = pathlib.Path(sys.argv[1])
big = folder / "big one.bin"
big.write_bytes(os.urandom(3_300_000))
with mlflow.start_run() as run:
    mlflow.log_artifact(str(big), "d")
    mlflow.log_artifact(str(big))
got = mlflow.artifacts.download_artifacts(run_id=run.info.run_id, artifact_path="d", dst_path=str(folder / "got"))
assert pathlib.Path(got, "big one.bin").read_bytes() == big.read_bytes()
print(run.info.run_id, hashlib.sha256(big.read_bytes()).hexdigest())
"""


@pytest.mark.skipif(mlflow_python() is None, reason=NO_MLFLOW)
@pytest.mark.parametrize("token", [None, "secret"], ids=["parts", "declined"])
def test_mlflows_client_sends_large_files_in_parts(tmp_path: Path, token: str | None) -> None:
    with server_process(tmp_path / "home", "--workers", "2", "--access-log") as server:
        variables = {
            "MLFLOW_TRACKING_URI": server.url,
            "MLFLOW_ENABLE_PROXY_MULTIPART_UPLOAD": "true",
            "MLFLOW_ENABLE_PROXY_MULTIPART_DOWNLOAD": "true",
            "MLFLOW_MULTIPART_UPLOAD_MINIMUM_FILE_SIZE": "1",
            "MLFLOW_MULTIPART_UPLOAD_CHUNK_SIZE": "1000000",
            "MLFLOW_DISABLE_TELEMETRY": "true",
        } | ({"MLFLOW_TRACKING_TOKEN": token} if token else {})
        done = subprocess.run(
            [str(mlflow_python()), "-c", SCRIPT, str(tmp_path)],
            env=environment(**variables),
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        run, sha256 = done.stdout.splitlines()[-1].split()
        listed = server.call("GET", f"/api/v1/runs/{run}/artifacts")[1]
        server.stop()

    assert listed.count(sha256) == 2
    put = [line for line in server.said if '"PUT"' in line]
    assert len(put) == (2 if token else 8)
    assert sum("/mpu/parts/" in line for line in put) == (0 if token else 8)
