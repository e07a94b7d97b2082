"""Artifacts through MLflow's proxy: stored, listed, given out and removed, as its clients ask for it."""

from __future__ import annotations

import base64
import hashlib
import http.client
import os
import threading
from pathlib import Path
from urllib.parse import quote

import pytest
from process import server_process
from server import PROXY, Server, eventually, serving

from toolkit.server.artifacts.files import Limits

ODD_NAMES = [
    "a b.txt",
    "*",
    "a?b",
    "model[1].bin",
    "100%.txt",
    "a%20b",
    "a%2e%2e",
    "a+b.txt",
    "a#b",
    "a;b&c=d",
    "größe.txt",
    "模型.bin",
    "‥",
    "．．",
    "~user",
    "-rf",
    "{a,b}",
    "CON",
    "'\"",
    "e\u0301",
    "\u00e9",
    "a\u202eb",
]


def place(run_id: str, path: str) -> str:
    return f"{PROXY}/0/{run_id}/artifacts/{quote(path)}"


def names(server: Server, run_id: str, folder: str = "") -> list[str]:
    key = f"0/{run_id}/artifacts/{folder}".rstrip("/")
    return [item["path"] for item in server.call("GET", PROXY, path=key).json.get("files", [])]


def test_what_is_stored_is_listed_with_its_digest_and_given_out_again(server: Server) -> None:
    run = server.new_run()
    content = os.urandom(3_000_000)

    stored = server.call("PUT", place(run, "models/model.pkl"), content, {"Content-Type": "text/plain"})
    got = server.call("GET", place(run, "models/model.pkl"))

    assert (stored.status, stored.json) == (200, {})
    assert got.body == content
    entry = server.stores.runs.list_artifacts(run).items[0]
    assert (entry.path, entry.size, entry.sha256) == (
        "models/model.pkl",
        len(content),
        hashlib.sha256(content).hexdigest(),
    )
    assert got.headers["etag"] == f'"{entry.sha256}"'
    assert got.headers["content-digest"] == f"sha-256=:{base64.b64encode(bytes.fromhex(entry.sha256)).decode()}:"


def test_the_same_under_the_path_of_pages(server: Server) -> None:
    run = server.new_run()
    server.call("PUT", place(run, "a.txt"), b"1")

    assert server.call("GET", place(run, "a.txt").replace("/api/", "/ajax-api/")).body == b"1"


def test_lists_are_of_one_folder(server: Server) -> None:
    run = server.new_run()
    for path in ("b.txt", "a/1.txt", "a/sub/2.txt", "a.txt"):
        server.call("PUT", place(run, path), b"1234")

    root = server.call("GET", PROXY, path=f"0/{run}/artifacts").json["files"]
    wire = server.api("GET", "artifacts/list", run_id=run, path="a")

    assert root == [
        {"path": "a", "is_dir": True},
        {"path": "a.txt", "is_dir": False, "file_size": 4},
        {"path": "b.txt", "is_dir": False, "file_size": 4},
    ]
    assert names(server, run, "a") == ["1.txt", "sub"]
    assert wire["root_uri"] == f"mlflow-artifacts:/0/{run}/artifacts"
    assert wire["files"] == [
        {"path": "a/1.txt", "is_dir": False, "file_size": 4},
        {"path": "a/sub", "is_dir": True},
    ]


def test_a_missing_folder_and_a_file_are_empty_folders(server: Server) -> None:
    run = server.new_run()
    server.call("PUT", place(run, "a.txt"), b"1")

    for path in ("nope", "a.txt"):
        answer = server.call("GET", PROXY, path=f"0/{run}/artifacts/{path}")
        assert (answer.status, answer.json) == (200, {})
        assert "files" not in server.api("GET", "artifacts/list", run_id=run, path=path)


def test_a_missing_file_is_not_found_in_mlflows_words(server: Server) -> None:
    run = server.new_run()

    answer = server.call("GET", place(run, "nope.txt"))

    assert answer.status == 404
    assert answer.json["error_code"] == "RESOURCE_DOES_NOT_EXIST"
    assert answer.json["message"] == f"No such artifact: '0/{run}/artifacts/nope.txt'"


def test_odd_names_are_each_their_own_file(server: Server) -> None:
    run = server.new_run()
    for name in ODD_NAMES:
        assert server.call("PUT", place(run, f"d/{name}"), name.encode()).status == 200, name

    assert sorted(names(server, run, "d")) == sorted(ODD_NAMES)
    for name in ODD_NAMES:
        assert server.call("GET", place(run, f"d/{name}")).body == name.encode(), name

    assert server.call("DELETE", place(run, "d/*")).status == 200
    assert sorted(names(server, run, "d")) == sorted(set(ODD_NAMES) - {"*"})


def test_a_question_mark_that_was_not_encoded_belongs_to_the_name(server: Server) -> None:
    run = server.new_run()

    server.call("PUT", f"{PROXY}/0/{run}/artifacts/what?.txt", b"1")

    assert names(server, run) == ["what?.txt"]
    assert server.call("GET", f"{PROXY}/0/{run}/artifacts/what?.txt").body == b"1"


def test_encoded_slashes_are_slashes(server: Server) -> None:
    run = server.new_run()

    server.call("PUT", f"{PROXY}/0%2F{run}%2Fartifacts%2Fa%2Fb.txt", b"1")

    assert names(server, run, "a") == ["b.txt"]


def test_what_is_deleted_is_not_listed(server: Server) -> None:
    run = server.new_run()
    for path in ("a/1", "a/2", "b"):
        server.call("PUT", place(run, path), b"1")

    assert server.call("DELETE", place(run, "a")).json == {}
    assert names(server, run) == ["b"]
    assert not (server.artifacts / "0" / run / "artifacts" / "a").exists()
    assert server.call("DELETE", place(run, "a")).status == 404


def test_a_file_that_is_stored_again_is_replaced(server: Server) -> None:
    run = server.new_run()
    server.call("PUT", place(run, "a"), b"first")
    server.call("PUT", place(run, "a"), b"second!")

    assert server.call("GET", place(run, "a")).body == b"second!"
    assert [entry.size for entry in server.stores.runs.list_artifacts(run).items] == [7]


def test_two_who_store_under_one_name_leave_one_of_both_whole(server: Server) -> None:
    run = server.new_run()
    contents = [bytes([65 + number]) * 2_500_000 for number in range(4)]

    for _ in range(3):
        threads = [threading.Thread(target=server.call, args=("PUT", place(run, "a"), content)) for content in contents]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

        got = server.call("GET", place(run, "a"))
        assert got.body in contents
        assert got.headers["etag"] == f'"{hashlib.sha256(got.body).hexdigest()}"'


def test_a_file_that_is_replaced_all_the_time_is_always_one_of_both(server: Server) -> None:
    run = server.new_run()
    contents = [b"a" * 1000, b"b" * 1000, b"c" * 999]
    server.call("PUT", place(run, "a"), contents[0])
    stop = threading.Event()

    def replace() -> None:
        while not stop.is_set():
            for content in contents:
                server.call("PUT", place(run, "a"), content)

    replacing = threading.Thread(target=replace)
    replacing.start()
    try:
        for _ in range(150):
            got = server.call("GET", place(run, "a"))
            assert got.body in contents
            assert got.headers["etag"] == f'"{hashlib.sha256(got.body).hexdigest()}"'
    finally:
        stop.set()
        replacing.join()


def test_workers_take_turns_at_a_name(tmp_path: Path) -> None:
    with server_process(tmp_path / "home", "--workers", "3") as process:
        run = process.api("runs/create", {"experiment_id": "0"})["run"]["info"]["run_id"]

        def put(content: bytes) -> None:
            connection = http.client.HTTPConnection("127.0.0.1", process.port, timeout=300)
            connection.request("PUT", place(run, "a"), content)
            assert connection.getresponse().read() == b"{}"
            connection.close()

        contents = [bytes([65 + number]) * 300_000 for number in range(6)]
        for _ in range(8):
            threads = [threading.Thread(target=put, args=(content,)) for content in contents]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            status, body = process.call("GET", place(run, "a"))
            assert (status, body.encode() in contents) == (200, True)


def test_empty_files(server: Server) -> None:
    run = server.new_run()

    assert server.call("PUT", place(run, "empty"), b"").status == 200
    got = server.call("GET", place(run, "empty"))
    assert (got.status, got.body, got.headers["content-length"]) == (200, b"", "0")


def test_a_body_in_chunks_of_unknown_length(server: Server) -> None:
    run = server.new_run()
    pieces = b"".join(b"%x\r\n%s\r\n" % (len(piece), piece) for piece in [b"a" * 70_000] * 40)

    got = server.raw(
        _head("PUT", place(run, "c"), server, b"Transfer-Encoding: chunked") + pieces + b"0\r\n\r\n", wait=2
    )

    assert got.startswith(b"HTTP/1.1 200")
    assert server.call("GET", place(run, "c")).body == b"a" * 2_800_000


@pytest.mark.parametrize("sent", [0, 10, 3_000_000], ids=["nothing", "a little", "much"])
def test_a_cut_upload_leaves_nothing(server: Server, sent: int) -> None:
    run = server.new_run()
    server.call("PUT", place(run, "old"), b"old")

    for name in ("new", "old"):
        server.raw(_head("PUT", place(run, name), server, b"Content-Length: 5000000") + b"x" * sent, end=True, wait=5)

    assert names(server, run) == ["old"]
    assert server.call("GET", place(run, "old")).body == b"old"
    assert eventually(lambda: [path.name for path in server.artifacts.rglob("*") if path.is_file()] == ["old"])


def test_more_bytes_than_announced_are_no_part_of_the_file(server: Server) -> None:
    run = server.new_run()

    server.raw(_head("PUT", place(run, "a"), server, b"Content-Length: 3") + b"abcdef", wait=1)

    assert server.call("GET", place(run, "a")).body == b"abc"


def test_a_wrong_digest_is_refused(server: Server) -> None:
    run = server.new_run()
    right = base64.b64encode(hashlib.sha256(b"right").digest()).decode()

    for content in (b"wrong", b"wrong" * 500_000):
        answer = server.call("PUT", place(run, "a"), content, {"Content-Digest": f"sha-256=:{right}:"})
        assert answer.status == 400
    assert names(server, run) == []
    assert server.call("PUT", place(run, "a"), b"right", {"Repr-Digest": f"sha-256=:{right}:"}).status == 200


def test_parts_of_a_file(server: Server) -> None:
    run = server.new_run()
    content = bytes(range(256)) * 10_000
    server.call("PUT", place(run, "a"), content)

    def part(header: str) -> tuple[int, bytes, str | None]:
        got = server.call("GET", place(run, "a"), None, {"Range": header})
        return got.status, got.body, got.headers.get("content-range")

    size = len(content)
    assert part("bytes=0-9") == (206, content[:10], f"bytes 0-9/{size}")
    assert part("bytes=2000000-") == (206, content[2_000_000:], f"bytes 2000000-{size - 1}/{size}")
    assert part("bytes=-5") == (206, content[-5:], f"bytes {size - 5}-{size - 1}/{size}")
    assert part("bytes=0-99999999") == (206, content, f"bytes 0-{size - 1}/{size}")
    assert part(f"bytes={size}-") == (416, b"", f"bytes */{size}")
    assert part("bytes=-0")[0] == 416
    for whole in ("bytes=0-1,3-4", "bytes=5-2", "items=0-1", "bytes=-", "bytes=" + "0-," * 5000):
        assert part(whole)[:2] == (200, content), whole


def test_a_part_only_of_the_same_file(server: Server) -> None:
    run = server.new_run()
    server.call("PUT", place(run, "a"), b"0123456789")
    etag = server.call("HEAD", place(run, "a")).headers["etag"]

    same = server.call("GET", place(run, "a"), None, {"Range": "bytes=0-1", "If-Range": etag})
    other = server.call("GET", place(run, "a"), None, {"Range": "bytes=0-1", "If-Range": '"other"'})
    known = server.call("GET", place(run, "a"), None, {"If-None-Match": etag})

    assert (same.status, same.body) == (206, b"01")
    assert (other.status, other.body) == (200, b"0123456789")
    assert (known.status, known.body) == (304, b"")


def test_head_tells_the_size(server: Server) -> None:
    run = server.new_run()
    server.call("PUT", place(run, "a"), b"12345")

    got = server.call("HEAD", place(run, "a"))

    assert (got.status, got.body, got.headers["content-length"]) == (200, b"", "5")


def test_a_file_that_was_changed_behind_our_back_is_not_given_out_as_whole(server: Server) -> None:
    run = server.new_run()
    for name, size in (("small", 10), ("large", 3_000_000)):
        server.call("PUT", place(run, name), b"x" * size)
        file = server.artifacts / "0" / run / "artifacts" / name
        file.chmod(0o600)
        file.write_bytes(b"x" * (size - 1) + b"y")

        got = server.raw(_head("GET", place(run, name), server), wait=5)
        if name == "small":  # it is looked through before anything is sent
            assert got.startswith(b"HTTP/1.1 409")
            assert b"does not match its recorded SHA-256" in got
        else:
            assert len(got.partition(b"\r\n\r\n")[2]) < size

        file.write_bytes(b"x" * (size - 1))
        assert server.call("GET", place(run, name)).status == 409


def test_too_large_an_upload_is_refused_before_it_is_read(tmp_path: Path) -> None:
    with serving(tmp_path / "home", limits=Limits(size=1000)) as server:
        run = server.new_run()

        announced = server.raw(_head("PUT", place(run, "a"), server, b"Content-Length: 1001"), wait=5)
        chunked = server.raw(
            _head("PUT", place(run, "a"), server, b"Transfer-Encoding: chunked") + b"400\r\n" + b"x" * 1024 + b"\r\n",
            wait=2,
        )

        assert announced.startswith(b"HTTP/1.1 413")
        assert chunked.startswith(b"HTTP/1.1 413")
        assert server.call("PUT", place(run, "a"), b"x" * 1000).status == 200
        assert names(server, run) == ["a"]


def test_the_reserve_of_the_disk_is_left_free(tmp_path: Path) -> None:
    with serving(tmp_path / "home", limits=Limits(reserve=1 << 60)) as server:
        run = server.new_run()

        answer = server.call("PUT", place(run, "a"), b"x")

        assert (answer.status, answer.json["error_code"]) == (507, "RESOURCE_EXHAUSTED")
        assert names(server, run) == []


def test_a_file_in_the_way_of_a_folder(server: Server) -> None:
    run = server.new_run()
    server.call("PUT", place(run, "a"), b"1")

    assert server.call("PUT", place(run, "a/b"), b"1").status == 400
    assert server.call("PUT", place(run, "a/b"), b"1" * 3_000_000).status == 400
    assert names(server, run) == ["a"]


def test_only_runs_that_there_are_take_files(server: Server) -> None:
    run = server.new_run()
    answer = server.call("PUT", place("0" * 32, "a"), b"1")
    assert (answer.status, answer.json["message"]) == (404, f"Run with id={'0' * 32} not found")

    assert server.call("PUT", f"{PROXY}/1/{run}/artifacts/a", b"1").status == 403  # another experiment's
    for outside in ("a", f"0/{run}/a", "artifacts/a", ".staging/a", f"0/{run}/artifacts"):
        assert server.call("PUT", f"{PROXY}/{outside}", b"1").status in (400, 403), outside
    assert [path for path in server.artifacts.rglob("*") if path.is_file()] == []


def test_a_deleted_run_takes_no_files(server: Server) -> None:
    run = server.new_run()
    server.api("POST", "runs/delete", {"run_id": run})

    answer = server.call("PUT", place(run, "a"), b"1")

    assert answer.status == 400
    assert answer.json["message"] == f"The run {run} must be in the 'active' state. Current state is deleted."


def test_get_artifact_by_run(server: Server) -> None:
    run = server.new_run()
    server.call("PUT", place(run, "a/b.html"), b"<script>alert(1)</script>")

    got = server.call("GET", "/get-artifact", run_uuid=run, path="a/b.html")

    assert got.body == b"<script>alert(1)</script>"
    assert got.headers["content-type"] == "text/plain; charset=utf-8"
    assert got.headers["content-disposition"].startswith('attachment; filename="b.html"')
    assert got.headers["content-security-policy"] == "sandbox; default-src 'none'"
    assert got.headers["x-content-type-options"] == "nosniff"


def test_no_serve_artifacts(tmp_path: Path) -> None:
    with serving(tmp_path / "home", serve_artifacts=False) as server:
        run = server.new_run()

        info = server.api("GET", "runs/get", run_id=run)["run"]["info"]
        answer = server.call("PUT", place(run, "a"), b"1")

        assert info["artifact_uri"].startswith("file://")
        assert answer.status == 403
        assert "--no-serve-artifacts" in answer.json["message"]


def test_signed_addresses_are_declined_in_the_words_that_clients_wait_for(server: Server) -> None:
    answer = server.call("GET", "/api/2.0/mlflow-artifacts/presigned/0/r/artifacts/a")

    assert answer.status == 501
    assert answer.json["message"] == "Multipart download is not supported for the current artifact repository"


def test_a_location_that_a_client_chose_behind_the_proxy(server: Server) -> None:
    made = server.api("POST", "experiments/create", {"name": "e", "artifact_location": "mlflow-artifacts:/team/a"})
    run = server.new_run(made["experiment_id"])

    assert server.call("PUT", f"{PROXY}/team/a/{run}/artifacts/x", b"1").status == 200
    assert server.call("GET", f"{PROXY}/team/a/{run}/artifacts/x").body == b"1"


def _head(method: str, path: str, server: Server, *more: bytes) -> bytes:
    lines = [
        f"{method} {path} HTTP/1.1".encode(),
        f"Host: 127.0.0.1:{server.port}".encode(),
        b"Connection: close",
        *more,
    ]
    return b"\r\n".join(lines) + b"\r\n\r\n"


# -- models ------------------------------------------------------------------------------------------


def new_model(server: Server, run: str) -> str:
    made = server.api("POST", "logged-models", {"experiment_id": "0", "name": "model", "source_run_id": run})
    return str(made["model"]["info"]["model_id"])


def test_files_of_a_logged_model(server: Server) -> None:
    model = new_model(server, server.new_run())
    base = f"0/models/{model}/artifacts"
    for path in ("MLmodel", "code/a.py"):
        assert server.call("PUT", f"{PROXY}/{base}/{path}", path.encode()).status == 200

    listed = server.call("GET", PROXY, path=base).json["files"]
    by_model = f"/ajax-api/2.0/mlflow/logged-models/{model}/artifacts/files"

    assert [(item["path"], item["is_dir"]) for item in listed] == [("MLmodel", False), ("code", True)]
    assert server.call("GET", f"{PROXY}/{base}/code/a.py").body == b"code/a.py"
    assert server.call("GET", by_model, artifact_file_path="MLmodel").body == b"MLmodel"
    assert server.call("DELETE", f"{PROXY}/{base}/code").status == 200
    assert [item["path"] for item in server.call("GET", PROXY, path=base).json["files"]] == ["MLmodel"]


def test_only_models_that_there_are_take_files(server: Server) -> None:
    model = new_model(server, server.new_run())

    assert server.call("PUT", f"{PROXY}/0/models/m-{'0' * 32}/artifacts/a", b"1").status == 404
    assert server.call("PUT", f"{PROXY}/1/models/{model}/artifacts/a", b"1").status == 403
    assert server.call("PUT", f"{PROXY}/0/models/{model}/artifacts", b"1").status == 403
    assert [path for path in server.artifacts.rglob("*") if path.is_file()] == []


def test_files_of_a_registered_version(server: Server) -> None:
    run = server.new_run()
    server.call("PUT", place(run, "model/MLmodel"), b"flavors")
    server.api("POST", "registered-models/create", {"name": "m"})
    source = f"mlflow-artifacts:/0/{run}/artifacts/model"
    server.api("POST", "model-versions/create", {"name": "m", "source": source, "run_id": run})

    got = server.call("GET", "/model-versions/get-artifact", name="m", version="1", path="MLmodel")

    assert (got.status, got.body) == (200, b"flavors")
    for path in ("../../../secret", "/etc/passwd"):
        assert server.call("GET", "/model-versions/get-artifact", name="m", version="1", path=path).status == 400
