"""`toolkit server` as a process: what it refuses, how it stops, its workers, what it counts and logs."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import socket
import sqlite3
import ssl
import subprocess
import threading
import time
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import psutil
import pytest
from machine import has_ended, until
from process import ServerProcess, refused, server_process

from toolkit.recording.process import this_process
from toolkit.settings import load
from toolkit.tracking.records import NewRun, Owner, RunStatus
from toolkit.wiring.opened import open_stores


def a_run(run_id: str, owner: Owner, lease_ms: int) -> NewRun:
    return NewRun(
        run_id=run_id, experiment_id="0", run_name=run_id, user_id="me", start_time=1, owner=owner, lease_ms=lease_ms
    )


# -- what it refuses ---------------------------------------------------------------------------------


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.7", "toolkit.example"])
def test_another_address_than_the_machines_own_is_refused(tmp_path: Path, host: str) -> None:
    code, said = refused(tmp_path / "home", "--host", host)
    assert code == 2
    assert said.startswith(f"error: --host {host} lets other machines in")
    assert "--insecure-no-auth" in said
    assert said.count("\n") == 1
    assert not (tmp_path / "home").exists()


def test_another_address_is_served_where_that_is_wanted_in_so_many_words(tmp_path: Path) -> None:
    with server_process(tmp_path / "home", "--host", "0.0.0.0", "--insecure-no-auth") as server:
        assert server.call("GET", "/health") == (200, "OK")
        assert server.said[0].startswith("warning: whoever reaches this server can read, change and delete")


def test_a_port_that_is_taken(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        code, said = refused(tmp_path / "home", "--port", str(port))
    assert (code, said) == (
        1,
        f"error: cannot listen on 127.0.0.1 port {port}: another program listens there; choose another with --port\n",
    )


def test_a_store_of_a_newer_version(tmp_path: Path) -> None:
    with server_process(tmp_path / "home") as server:
        server.stop()
    with sqlite3.connect(tmp_path / "home" / "toolkit.db") as database:
        database.execute("UPDATE toolkit_schema SET version_num = '9999'")
    database.close()
    code, said = refused(tmp_path / "home", "--port", "0")
    assert code == 2
    assert "was made by a newer version of toolkit" in said
    assert said.count("\n") == 1


@pytest.mark.parametrize(
    ("options", "code", "message"),
    [
        (("--backend-store-uri", "sqlite:////dev/null/x.db"), 1, "cannot be made"),
        (("--backend-store-uri", "http://localhost:5000"), 2, "wanted --backend-store-uri with a database"),
        (("--artifacts-destination", "/dev/null/files"), 2, "/dev/null/files"),
        (("--artifacts-destination", "/a", "--default-artifact-root", "/b"), 2, "choose one"),
        (("--static-prefix", "mlflow/"), 2, "wanted one that begins with /"),
        (("--static-prefix", "/ml flow?"), 2, "wanted one that begins with /"),
        (("--static-prefix", "/{ml}"), 2, "wanted one that begins with /"),
        (("--backend-store-uri", "mysql://db/x"), 2, "error: --backend-store-uri"),
        (("--host", "127.0.0.1.invalid", "--insecure-no-auth"), 1, "choose another with --host"),
        (("--ssl-keyfile", "/nowhere.pem"), 2, "wanted both, or none"),
        (("--ssl-keyfile", "/nowhere.pem", "--ssl-certfile", "/nowhere.pem"), 2, "there is no file /nowhere.pem"),
        (("--ssl-keyfile", __file__, "--ssl-certfile", __file__), 2, "cannot be used"),
        (("--ssl-keyfile", __file__, "--ssl-certfile", __file__, "--workers", "2"), 2, "cannot be used"),
        (("--artifacts-destination", "nonsense://x", "--workers", "3"), 2, "unknown scheme"),
        (("--workers", "0"), 2, "--workers"),
    ],
)
def test_what_cannot_be_served_is_one_line(tmp_path: Path, options: tuple[str, ...], code: int, message: str) -> None:
    given, said = refused(tmp_path / "home", "--port", "0", *options)
    assert (given, said.count("\n")) == (code, 1), said
    assert said.startswith("error: ")
    assert message in said


# -- what it serves ----------------------------------------------------------------------------------


def test_a_prefix_stands_before_every_path(tmp_path: Path) -> None:
    with server_process(tmp_path / "home", "--static-prefix", "/ml") as server:
        assert server.url.endswith("/ml")
        for path in ("/health", "/version", "/metrics", "/api/2.0/mlflow/experiments/get?experiment_id=0"):
            assert server.call("GET", f"/ml{path}")[0] == 200, path
            assert server.call("GET", path)[0] == 404, path
        status, text = server.call("GET", "/api/2.0/mlflow/experiments/get?experiment_id=0")
        assert (status, json.loads(text)["error_code"]) == (404, "ENDPOINT_NOT_FOUND")


def test_it_speaks_tls(tmp_path: Path) -> None:
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("there is no openssl here, which makes a certificate")
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    making = "req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=127.0.0.1 -addext subjectAltName=IP:127.0.0.1"
    subprocess.run([openssl, *making.split(), "-keyout", key, "-out", certificate], check=True, capture_output=True)
    options = ("--ssl-keyfile", str(key), "--ssl-certfile", str(certificate), "--workers", "2")
    with server_process(tmp_path / "home", *options) as server:
        assert server.url.startswith("https://127.0.0.1:")
        trusting = ssl.create_default_context(cafile=str(certificate))
        with urllib.request.urlopen(f"{server.url}/health", context=trusting, timeout=20) as answer:
            assert answer.read() == b"OK"
        assert server.stop() == 0


def test_artifacts_of_clients_are_told_where_they_are(tmp_path: Path) -> None:
    root = (tmp_path / "shared").as_uri()
    with server_process(tmp_path / "home", "--default-artifact-root", root) as server:
        made = server.api("runs/create", {"experiment_id": "0"})
        assert made["run"]["info"]["artifact_uri"].startswith(root)
    with server_process(tmp_path / "other") as server:
        made = server.api("runs/create", {"experiment_id": "0"})
        assert made["run"]["info"]["artifact_uri"].startswith("mlflow-artifacts:/")


def test_experiments_that_keep_their_artifacts_elsewhere_are_told(tmp_path: Path) -> None:
    for options, told in (((), 0), (("--artifacts-destination", str(tmp_path / "other")), 1)):
        with server_process(tmp_path / "home", *options) as server:
            server.api("runs/create", {"experiment_id": "0"})
            server.stop()
        assert sum("the artifacts of Default stay where they were" in line for line in server.said) == told


def test_mlflows_variables_name_its_stores(tmp_path: Path) -> None:
    """Also where another one names the server that clients are to use: this is not a client."""
    variables = {
        "MLFLOW_TRACKING_URI": "http://localhost:5000",
        "MLFLOW_BACKEND_STORE_URI": f"sqlite:///{tmp_path}/theirs.db",
        "MLFLOW_DEFAULT_ARTIFACT_ROOT": (tmp_path / "shared").as_uri(),
    }
    with server_process(tmp_path / "home", **variables) as server:
        made = server.api("runs/create", {"experiment_id": "0"})
        assert made["run"]["info"]["artifact_uri"].startswith((tmp_path / "shared").as_uri())
    assert (tmp_path / "theirs.db").exists()
    assert not (tmp_path / "home" / "toolkit.db").exists()


def test_what_others_have_left_in_the_home_is_not_touched(tmp_path: Path) -> None:
    """Journals belong to the processes of this machine, and to their store."""
    left = tmp_path / "home" / "journal" / "somebody"
    left.mkdir(parents=True)
    (left / "entries").write_bytes(b"unsent")
    with server_process(tmp_path / "home", "--backend-store-uri", f"sqlite:///{tmp_path}/other.db") as server:
        server.api("runs/create", {"experiment_id": "0"})
        assert server.stop() == 0
    assert (left / "entries").read_bytes() == b"unsent"
    assert sorted(path.name for path in (tmp_path / "home").iterdir()) == ["artifacts", "journal"]


def test_headers_without_end_are_refused(tmp_path: Path) -> None:
    with (
        server_process(tmp_path / "home") as server,
        socket.create_connection(("127.0.0.1", server.port), timeout=20) as connection,
    ):
        connection.sendall(b"GET /health HTTP/1.1\r\nHost: 127.0.0.1\r\n")
        answer = b""
        try:
            for _ in range(200):
                connection.sendall(b"X-Filler: " + b"x" * 4000 + b"\r\n")
        except OSError:
            pass
        try:
            answer = connection.recv(4096)
        except ConnectionError:  # its answer was lost with what it had not read
            answer = b"HTTP/1.1 431 "
        assert answer.startswith(b"HTTP/1.1 431 ")
        assert server.call("GET", "/health") == (200, "OK")


# -- how it stops ------------------------------------------------------------------------------------


@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 0), (signal.SIGINT, 130)])
def test_all_its_processes_end_with_it(tmp_path: Path, workers: int, number: int, code: int) -> None:
    with server_process(tmp_path / "home", "--workers", str(workers)) as server:
        started = [server.process.pid, *server.workers]
        assert len(started) == (1 if workers == 1 else workers + 1)
        assert server.stop(number) == code
        assert server.said == []
        assert all(has_ended(pid) for pid in started)


@pytest.mark.parametrize("workers", [1, 2])
def test_the_second_ctrl_c_ends_it_at_once(tmp_path: Path, workers: int) -> None:
    head = b"POST /api/2.0/mlflow/runs/create HTTP/1.1\r\nHost: localhost:%d\r\nContent-Length: 9\r\n\r\n{"
    with server_process(tmp_path / "home", "--workers", str(workers), TOOLKIT_GRACE="600") as server:
        with socket.create_connection(("127.0.0.1", server.port), timeout=20) as connection:
            connection.sendall(head % server.port)
            time.sleep(0.3)
            server.process.send_signal(signal.SIGINT)
            until(lambda: not accepts(server.port), what="closed to others")
            server.process.send_signal(signal.SIGINT)
            told = connection.recv(4096)
        assert server.process.wait(20) == 130
        assert not told or (b" 503 " in told and b"retry-after: 1" in told)
        assert not [line for line in server.said if "Traceback" in line]


@pytest.mark.parametrize("workers", [1, 2])
def test_what_was_acknowledged_is_there_after_it_was_stopped_under_load(tmp_path: Path, workers: int) -> None:
    home = tmp_path / "home"
    acknowledged: list[int] = []
    refusals: list[str] = []
    begun = threading.Event()
    with server_process(home, "--workers", str(workers)) as server:
        run_id = server.api("runs/create", {"experiment_id": "0"})["run"]["info"]["run_id"]

        def log(first: int) -> None:
            for number in range(first, 1_000_000, 4):
                metric = {"run_id": run_id, "key": "n", "value": number, "step": number, "timestamp": 1}
                try:
                    status, text = server.call("POST", "/api/2.0/mlflow/runs/log-metric", metric)
                except OSError:
                    return
                if status != 200:
                    refusals.append(f"{status} {text}")
                    return
                acknowledged.append(number)
                if number > 40:
                    begun.set()

        with ThreadPoolExecutor(4) as pool:
            clients = [pool.submit(log, first) for first in range(4)]
            assert begun.wait(30)
            assert server.stop() == 0
            for client in clients:
                client.result()
    assert refusals == []
    stores = open_stores(load().model_copy(update={"home": home}))
    kept = {point.step for point in stores.runs.metric_history(run_id, "n", limit=25_000).items}
    stores.close()
    assert set(acknowledged) <= kept
    assert len(kept - set(acknowledged)) <= 4  # each client may have lost the answer to its last one


def test_an_upload_that_was_begun_is_finished(tmp_path: Path) -> None:
    """Nobody else gets in meanwhile."""
    content = b"x" * 300_000
    with server_process(tmp_path / "home") as server:
        run_id = server.api("runs/create", {"experiment_id": "0"})["run"]["info"]["run_id"]
        path = f"/api/2.0/mlflow-artifacts/artifacts/0/{run_id}/artifacts/model.bin"
        with socket.create_connection(("127.0.0.1", server.port), timeout=20) as connection:
            head = f"PUT {path} HTTP/1.1\r\nHost: 127.0.0.1:{server.port}\r\nContent-Length: {len(content)}\r\n\r\n"
            connection.sendall(head.encode() + content[:100_000])
            time.sleep(0.3)
            server.process.send_signal(signal.SIGTERM)
            until(lambda: not accepts(server.port), what="closed to others")
            connection.sendall(content[100_000:])
            assert connection.recv(4096).startswith(b"HTTP/1.1 200")
        assert server.process.wait(20) == 0
    (kept,) = (tmp_path / "home" / "artifacts").rglob("model.bin")
    assert kept.read_bytes() == content


def accepts(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=5).close()
    except ConnectionRefusedError:
        return False
    return True


def test_a_worker_that_dies_is_started_again(tmp_path: Path) -> None:
    with server_process(tmp_path / "home", "--workers", "2") as server:
        until(lambda: "toolkit_workers 2" in server.call("GET", "/metrics")[1], what="both workers there")
        server.api("experiments/create", {"name": "before"})
        made = 'route="/api/2.0/mlflow/experiments/create",status="200"} 1'
        until(lambda: made in server.call("GET", "/metrics")[1], what="the answer counted, which is after it was sent")
        victim, other = server.workers
        os.kill(victim, signal.SIGKILL)
        until(lambda: len(server.workers) == 2 and victim not in server.workers, what="two workers again")
        assert other in server.workers
        for _ in range(10):
            assert server.call("GET", "/api/2.0/mlflow/experiments/get-by-name?experiment_name=before")[0] == 200
        _, counted = server.call("GET", "/metrics")
        assert made in counted  # whoever has served it
        assert server.stop() == 0
        assert re.match(rf"WARNING toolkit.server: worker \d \(pid {victim}\) ended \(signal 9\)", server.said[0])


def has_other_workers(server: ServerProcess, victim: int) -> bool:
    return len(server.workers) == 2 and victim not in server.workers


def test_workers_that_are_killed_again_and_again_are_started_again(tmp_path: Path) -> None:
    """However soon: unlike one that cannot start, it is not to blame."""
    with server_process(tmp_path / "home", "--workers", "2") as server:
        for _ in range(6):
            victim = server.workers[-1]
            os.kill(victim, signal.SIGKILL)
            until(partial(has_other_workers, server, victim), what="two workers again")
        assert server.call("GET", "/health") == (200, "OK")
        assert server.stop() == 0


def test_workers_do_not_outlive_the_process_that_looks_after_them(tmp_path: Path) -> None:
    with server_process(tmp_path / "home", "--workers", "2") as server:
        workers = server.workers
        server.process.kill()
        server.process.wait()
        until(lambda: all(has_ended(pid) for pid in workers), what="the workers' end")


# -- what it notes -----------------------------------------------------------------------------------


def test_requests_are_counted_and_logged(tmp_path: Path) -> None:
    with server_process(tmp_path / "home", "--access-log") as server:
        server.api("experiments/create", {"name": "a"})
        assert server.call("GET", "/api/2.0/mlflow/runs/get?run_id=secret")[0] == 404
        assert server.call("GET", "/nowhere")[0] == 404
        status, text = server.call("GET", "/metrics")
        assert server.stop() == 0
    assert status == 200
    counts = dict(line.rsplit(" ", 1) for line in text.splitlines() if not line.startswith("#"))
    name, kind = "toolkit_http_requests_total", 'method="POST",route="/api/2.0/mlflow/experiments/create"'
    assert counts[f'{name}{{{kind},status="200"}}'] == "1"
    assert counts[f'{name}{{method="GET",route="/api/2.0/mlflow/runs/get",status="404"}}'] == "1"
    assert counts[f'{name}{{method="",route="",status="404"}}'] == "1"
    timed = "toolkit_http_request_duration_seconds"
    assert counts[f'{timed}_bucket{{{kind},le="+Inf"}}'] == counts[f"{timed}_count{{{kind}}}"] == "1"
    assert float(counts[f"{timed}_sum{{{kind}}}"]) > 0
    assert counts["toolkit_store_errors_total"] == "0"
    lines = [json.loads(line) for line in server.said]
    assert [(line["method"], line["path"], line["status"]) for line in lines] == [
        ("POST", "/api/2.0/mlflow/experiments/create", 200),
        ("GET", "/api/2.0/mlflow/runs/get", 404),
        ("GET", "/nowhere", 404),
        ("GET", "/metrics", 200),
    ]
    assert "secret" not in "".join(server.said)
    assert lines[0]["route"] == lines[0]["path"]
    assert lines[2]["route"] is None


def test_nothing_is_logged_unless_it_is_wanted(tmp_path: Path) -> None:
    with server_process(tmp_path / "home") as server:
        server.call("GET", "/health")
        assert server.stop() == 0
        assert server.said == []


def test_runs_of_machines_that_are_gone_are_found(tmp_path: Path) -> None:
    """Those whose lease is over; of this machine those whose process has ended."""
    home = tmp_path / "home"
    stores = open_stores(load().model_copy(update={"home": home}))
    me = this_process()
    stores.runs.create_run(a_run("a" * 32, Owner(host="elsewhere", pid=7, started=1), lease_ms=1))
    stores.runs.create_run(a_run("b" * 32, Owner(host="elsewhere", pid=8, started=1), lease_ms=600_000))
    stores.runs.create_run(a_run("c" * 32, me, lease_ms=1))

    def status(letter: str) -> RunStatus:
        return stores.runs.get_run(letter * 32).info.status

    with server_process(home, "--workers", "2", TOOLKIT_LEASE="1") as server:
        until(lambda: status("a") is RunStatus.FAILED, what="lost")
        assert (status("b"), status("c")) == (RunStatus.RUNNING, RunStatus.RUNNING)
        stores.runs.create_run(a_run("d" * 32, Owner(host="elsewhere", pid=9, started=1), lease_ms=1))
        until(lambda: status("d") is RunStatus.FAILED, what="lost as well")
        assert server.stop() == 0
        lost = [line for line in server.said if "was lost" in line]
        assert len(lost) == 2, server.said  # one process looks, not each
    stores.close()
    assert psutil.pid_exists(me.pid)
