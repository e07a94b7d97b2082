"""Large files over the server: constant memory, full disks, other stores, clients that stop in the middle."""

from __future__ import annotations

import contextlib
import hashlib
import http.client
import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
import small_disk
from process import server_process
from s3 import Boto, boto
from server import PROXY, Server, eventually, serving

from toolkit.server.artifacts.files import Limits

MEBIBYTE = 1 << 20


class Repeated:
    """A large file that takes no memory."""

    def __init__(self, piece: bytes, times: int) -> None:
        self._piece, self._left = piece, times

    def read(self, size: int = -1) -> bytes:  # noqa: ARG002 - the form of a file
        if self._left == 0:
            return b""
        self._left -= 1
        return self._piece


def place(run: str, path: str) -> str:
    return f"{PROXY}/0/{run}/artifacts/{path}"


def peak(pid: int) -> int:
    """Return the most memory that a process has had, in bytes."""
    (line,) = [line for line in Path(f"/proc/{pid}/status").read_text().splitlines() if line.startswith("VmHWM")]
    return int(line.split()[1]) * 1024


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="the system does not tell a process's memory")
def test_a_gigabyte_up_and_down_in_constant_memory(tmp_path: Path) -> None:
    piece, times = os.urandom(MEBIBYTE), 1024
    with server_process(tmp_path / "home") as server:
        run = server.api("runs/create", {"experiment_id": "0"})["run"]["info"]["run_id"]
        connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=300)
        connection.request("PUT", place(run, "small"), b"1")
        connection.getresponse().read()
        before = peak(server.process.pid)

        connection.request("PUT", place(run, "big"), Repeated(piece, times), {"Content-Length": str(times * MEBIBYTE)})
        assert connection.getresponse().read() == b"{}"
        connection.request("GET", place(run, "big"))
        answer, digest, size = connection.getresponse(), hashlib.sha256(), 0
        while chunk := answer.read(MEBIBYTE):
            digest.update(chunk)
            size += len(chunk)
        after = peak(server.process.pid)
        connection.close()

    assert (size, answer.headers["etag"]) == (times * MEBIBYTE, f'"{digest.hexdigest()}"')
    assert after - before < 64 * MEBIBYTE


@pytest.fixture
def full_disk(tmp_path: Path) -> Iterator[small_disk.SmallDisk]:
    if reason := small_disk.why_not():
        pytest.skip(reason)
    with small_disk.small_disk(tmp_path / "disk", "6m") as disk:
        yield disk


def test_a_full_disk(tmp_path: Path, full_disk: small_disk.SmallDisk) -> None:
    root = str(full_disk.view / "artifacts")
    with serving(tmp_path / "home", artifact_root=root, limits=Limits(reserve=0)) as server:
        run = server.new_run()
        old = b"o" * MEBIBYTE
        assert server.call("PUT", place(run, "a"), old).status == 200

        announced = server.call("PUT", place(run, "a"), b"n" * 8 * MEBIBYTE)
        connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=300)
        connection.request("PUT", place(run, "a"), Repeated(b"n" * MEBIBYTE, 8), encode_chunked=True)
        unannounced = connection.getresponse()

        assert (announced.status, unannounced.status) == (507, 507)
        assert b"no space left" in unannounced.read() or b"not enough space" in announced.body
        connection.close()
        assert server.call("GET", place(run, "a")).body == old
        assert server.call("PUT", place(run, "b"), b"1" * MEBIBYTE).status == 200  # what was broken off took nothing


def test_slow_uploads_do_not_keep_others_waiting(tmp_path: Path) -> None:
    with serving(tmp_path / "home") as server, contextlib.ExitStack() as stack:
        run = server.new_run()
        for number in range(60):
            slow = stack.enter_context(socket.create_connection(("127.0.0.1", server.port), timeout=30))
            head = f"PUT {place(run, f'slow{number}')} HTTP/1.1\r\nHost: localhost:{server.port}\r\n"
            slow.sendall(f"{head}Content-Length: 100000000\r\n\r\n".encode())
            slow.sendall(b"x" * 2 * MEBIBYTE)

        assert server.call("PUT", place(run, "fast"), b"1").status == 200
        assert server.call("GET", place(run, "fast")).body == b"1"
        assert server.new_run() != run


def test_a_stop_in_the_middle_of_an_upload(tmp_path: Path) -> None:
    with server_process(tmp_path / "home", TOOLKIT_GRACE="1") as process:
        run = process.api("runs/create", {"experiment_id": "0"})["run"]["info"]["run_id"]
        with socket.create_connection(("127.0.0.1", process.port), timeout=30) as connection:
            head = (
                f"PUT {place(run, 'a')} HTTP/1.1\r\nHost: localhost:{process.port}\r\nContent-Length: 10000000\r\n\r\n"
            )
            connection.sendall(head.encode() + b"x" * 3 * MEBIBYTE)
            staging = tmp_path / "home" / "artifacts" / ".staging"
            assert eventually(lambda: any(staging.iterdir()))

            assert process.stop() == 0

    assert [path for path in (tmp_path / "home" / "artifacts").rglob("*") if path.is_file()] == []


def test_who_stops_sending_is_given_up(tmp_path: Path) -> None:
    with serving(tmp_path / "home", limits=Limits(pause=0.5)) as server:
        run = server.new_run()
        for sent in (b"", b"x" * 3 * MEBIBYTE):
            head = (
                f"PUT {place(run, 'a')} HTTP/1.1\r\nHost: localhost:{server.port}\r\nContent-Length: 10000000\r\n\r\n"
            )
            answer = server.raw(head.encode() + sent)
            assert answer.startswith(b"HTTP/1.1 408"), answer[:100]
        assert list(server.stores.runs.list_artifacts(run).items) == []


# -- S3 ----------------------------------------------------------------------------------------------


@pytest.fixture
def s3_server(
    tmp_path: Path, aws: str, bucket: str, monkeypatch: pytest.MonkeyPatch
) -> Iterator[tuple[Server, Boto, str]]:
    monkeypatch.setenv("TOOLKIT_S3_ENDPOINT_URL", aws)
    with serving(tmp_path / "home", artifact_root=f"s3://{bucket}/root") as server:
        yield server, boto(aws), bucket


def test_s3_behind_the_server(s3_server: tuple[Server, Boto, str]) -> None:
    server, client, bucket = s3_server
    run = server.new_run()
    content = os.urandom(20 * MEBIBYTE + 17)

    assert server.call("PUT", place(run, "d/big%20one.bin"), content).status == 200
    assert server.call("PUT", place(run, "d/*"), b"star").status == 200

    assert server.call("GET", place(run, "d/big%20one.bin")).body == content
    part = server.call("GET", place(run, "d/big%20one.bin"), None, {"Range": "bytes=15000000-15000999"})
    assert (part.status, part.body) == (206, content[15_000_000:15_001_000])
    listed = server.call("GET", PROXY, path=f"0/{run}/artifacts/d").json["files"]
    assert [(item["path"], item["file_size"]) for item in listed] == [("*", 4), ("big one.bin", len(content))]
    assert server.call("DELETE", place(run, "d/*")).status == 200
    keys = [found["Key"] for found in client.list_objects_v2(Bucket=bucket)["Contents"]]
    assert keys == [f"root/0/{run}/artifacts/d/big one.bin"]


def test_a_cut_upload_leaves_nothing_on_s3(s3_server: tuple[Server, Boto, str]) -> None:
    server, client, bucket = s3_server
    run = server.new_run()
    head = f"PUT {place(run, 'a')} HTTP/1.1\r\nHost: localhost:{server.port}\r\nContent-Length: 50000000\r\n\r\n"

    server.raw(head.encode() + b"x" * 20 * MEBIBYTE, end=True, wait=10)

    assert server.call("GET", place(run, "a")).status == 404
    assert "Contents" not in client.list_objects_v2(Bucket=bucket)
    assert eventually(lambda: "Uploads" not in client.list_multipart_uploads(Bucket=bucket))
