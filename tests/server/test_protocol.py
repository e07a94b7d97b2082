"""Connections: how many there may be, and what becomes of those that are too many."""

from __future__ import annotations

import http.client
import socket
import threading

import pytest
from server import Server

from toolkit.server import protocol


def test_idle_connections_keep_nobody_out(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(protocol, "MAX_CONNECTIONS", 20)
    idle = [socket.create_connection(("127.0.0.1", server.port), timeout=10) for _ in range(19)]
    kept = http.client.HTTPConnection("127.0.0.1", server.port, timeout=10)
    try:
        for _ in range(10):
            kept.request("GET", "/health")
            assert kept.getresponse().read() == b"OK"
            idle.append(socket.create_connection(("127.0.0.1", server.port), timeout=10))
        assert [each.recv(1) for each in idle[:5]] == [b""] * 5  # the oldest were closed
        kept.request("GET", "/health")  # the one in use was not
        assert kept.getresponse().read() == b"OK"
    finally:
        kept.close()
        for each in idle:
            each.close()


def test_one_request_too_many_is_told_to_come_again(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    run_id = server.new_run()
    monkeypatch.setattr(protocol, "MAX_REQUESTS", 2)
    assert server.stores.database is not None
    tag = {"run_id": run_id, "key": "k", "value": "x" * 5_000}
    answers: list[int] = []

    def write() -> None:
        status = 503
        while status == 503:  # the question after its health may have had the last place
            status = server.call("POST", "/api/2.0/mlflow/runs/set-tag", tag).status
        answers.append(status)

    writers = [threading.Thread(target=write) for _ in range(2)]
    with server.stores.database.write():
        for writer in writers:
            writer.start()
        refused = server.call("GET", "/health")
        while refused.status == 200:
            refused = server.call("GET", "/health")
        assert refused.status == 503
        assert refused.headers["retry-after"] == "1"
        assert refused.json["error_code"] == "TEMPORARILY_UNAVAILABLE"
    for writer in writers:
        writer.join()
    assert answers == [200, 200]
    assert server.call("GET", "/health").status == 200
