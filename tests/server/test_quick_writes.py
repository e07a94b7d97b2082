"""Small writes on the event loop: it never waits for anybody, and what cannot be written at once is written after."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from collections.abc import Callable
from pathlib import Path

from server import Server, eventually
from sqlalchemy import event

from toolkit.db.engine import open_database
from toolkit.server.protocol import OneWrite

POINT = {"key": "loss", "value": 0.5, "timestamp": 1, "step": 1}


def log(server: Server, run_id: str, step: int = 1) -> int:
    return server.call("POST", "/api/2.0/mlflow/runs/log-metric", {"run_id": run_id, **POINT, "step": step}).status


def steps(server: Server, run_id: str) -> list[int]:
    return [point.step for point in server.stores.runs.metric_history(run_id, "loss").items]


def statements(server: Server) -> tuple[list[str], list[str]]:
    """Return what is run from now on by threads, and by the event loop."""
    assert server.stores.database is not None
    hasty = server.stores.database.hasty()
    assert hasty is not None
    by_threads: list[str] = []
    by_loop: list[str] = []

    def noting(seen: list[str]) -> Callable[..., None]:
        def note(_connection: object, _cursor: object, statement: str, *_rest: object) -> None:
            seen.append(statement)

        return note

    event.listen(server.stores.database.engine, "before_cursor_execute", noting(by_threads))
    event.listen(hasty.engine, "before_cursor_execute", noting(by_loop))
    return by_threads, by_loop


def test_a_small_write_needs_no_thread(server: Server) -> None:
    run_id = server.new_run()
    by_threads, by_loop = statements(server)
    assert log(server, run_id) == 200
    assert by_loop
    assert not by_threads
    assert steps(server, run_id) == [1]


def test_a_large_one_is_for_a_thread(server: Server) -> None:
    run_id = server.new_run()
    by_threads, by_loop = statements(server)
    metrics = [{**POINT, "step": step} for step in range(1000)]
    server.api("POST", "runs/log-batch", {"run_id": run_id, "metrics": metrics})
    assert by_threads
    assert not by_loop


def test_the_server_answers_others_while_a_write_waits(server: Server) -> None:
    """Another process has the lock: the write is answered when it lets go, and was done once."""
    run_id = server.new_run()
    other = sqlite3.connect(server.home / "toolkit.db", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    answers: list[int] = []
    writers = [threading.Thread(target=lambda step=step: answers.append(log(server, run_id, step))) for step in (1, 2)]
    for writer in writers:
        writer.start()
    for _ in range(20):
        assert server.call("GET", "/health").status == 200
    assert answers == []
    other.execute("ROLLBACK")
    other.close()
    for writer in writers:
        writer.join()
    assert answers == [200, 200]
    assert steps(server, run_id) == [1, 2]


def test_an_error_of_the_client_is_told_at_once(server: Server) -> None:
    answer = server.call("POST", "/api/2.0/mlflow/runs/log-metric", {"run_id": "0" * 32, **POINT})
    assert answer.status == 404
    assert answer.json["error_code"] == "RESOURCE_DOES_NOT_EXIST"


def test_the_log_of_the_database_stays_short(server: Server) -> None:
    """What the event loop writes is moved to the file by threads: else the log grows for as long as somebody writes."""
    run_id = server.new_run()
    wal = server.home / "toolkit.db-wal"
    text = "x" * 5_000
    largest = 0
    for step in range(2_000):
        tag = {"run_id": run_id, "key": f"note-{step % 300}", "value": f"{step} {text}"}
        assert server.call("POST", "/api/2.0/mlflow/runs/set-tag", tag).status == 200
        largest = max(largest, wal.stat().st_size)
    assert largest < 32_000_000  # 80 MB were written


def test_where_writes_wait_for_the_disk_threads_do_them(tmp_path: Path) -> None:
    database = open_database(f"sqlite:///{tmp_path}/runs.db", durability="full")
    assert database.hasty() is None
    database.close()


class Wire(asyncio.Transport):
    def __init__(self) -> None:
        super().__init__()
        self.writes: list[bytes] = []
        self.closed = False

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.writes.append(bytes(data))

    def close(self) -> None:
        self.closed = True


HEAD = b"HTTP/1.1 200 OK\r\n\r\n"


def test_head_and_body_are_one_write() -> None:
    async def answers() -> None:
        wire = Wire()
        one = OneWrite(wire, asyncio.get_running_loop())
        one.write(HEAD)
        one.write(b"{}")
        assert wire.writes == [HEAD + b"{}"]
        one.write(HEAD)
        await asyncio.sleep(0)  # a body that comes later, as that of a stream
        assert wire.writes[1:] == [HEAD]
        one.write(b"later")
        one.write(memoryview(b"HTTP/1.1 in a body"))
        one.write(b"!")
        assert b"".join(wire.writes[2:]) == b"laterHTTP/1.1 in a body!"

    asyncio.run(answers())


def test_what_is_kept_is_sent_before_the_end() -> None:
    async def answers() -> None:
        wire = Wire()
        one = OneWrite(wire, asyncio.get_running_loop())
        one.write(HEAD)
        one.close()
        assert wire.writes == [HEAD]
        assert wire.closed
        large = b"x" * 100_000
        one.write(HEAD)
        one.write(large)
        assert wire.writes[1:] == [HEAD, large]  # not copied

    asyncio.run(answers())


def test_a_checkpoint_waits_for_nobody_who_serves(server: Server) -> None:
    """While the log is moved, writes are for threads: they wait for it, and the event loop does not."""
    run_id = server.new_run()
    assert server.stores.database is not None
    with server.stores.database.write():
        answers: list[int] = []
        writer = threading.Thread(target=lambda: answers.append(log(server, run_id)))
        writer.start()
        assert server.call("GET", "/health").status == 200
        assert answers == []
    writer.join()
    assert answers == [200]
    assert eventually(lambda: steps(server, run_id) == [1])
