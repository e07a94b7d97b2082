"""Requests against servers that do what servers do on bad days: a real socket on the other end each time."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from server import serving

from toolkit.errors import Conflict, InvalidSetting, NotFound, StoreBusy, StoreError
from toolkit.ids import new_run_id
from toolkit.recording.served import meet
from toolkit.testing.runs import new_run
from toolkit.tracking.entries import Begun
from toolkit.tracking.http import HttpRunStore
from toolkit.tracking.records import SearchQuery
from toolkit.transport.address import Access, read_address
from toolkit.transport.client import Ask, BadAnswer, HttpClient, Unreachable

Reply = Callable[[socket.socket, bytes], bool]
"""Answers a request on a connection; tells whether the connection goes on."""


class Scripted:
    """A server that answers the n-th request as it is told; the last answer is for all that follow."""

    def __init__(self, *replies: bytes | Reply | None) -> None:
        self.replies = list(replies)
        self.requests: list[bytes] = []
        self._listener = socket.socket()
        self._listener.bind(("127.0.0.1", 0))
        self._listener.listen(16)
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            with connection, contextlib.suppress(OSError):
                while (request := _request(connection)) and self._answer(connection, request):
                    pass

    def _answer(self, connection: socket.socket, request: bytes) -> bool:
        if request.startswith(b"STOP"):
            self._listener.close()
            return False
        self.requests.append(request)
        reply = self.replies.pop(0) if len(self.replies) > 1 else self.replies[0]
        if reply is None:
            return False
        if callable(reply):
            return reply(connection, request)
        connection.sendall(reply)
        return True

    def close(self) -> None:
        with contextlib.suppress(OSError), socket.create_connection(self._listener.getsockname(), timeout=5) as last:
            last.sendall(b"STOP / HTTP/1.1\r\n\r\n")
        self._thread.join(10)


def _request(connection: socket.socket) -> bytes:
    got = b""
    while b"\r\n\r\n" not in got:
        if not (piece := connection.recv(65536)):
            return b""
        got += piece
    head, _, body = got.partition(b"\r\n\r\n")
    length = next((int(line[15:]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length:")), 0)
    while len(body) < length and (piece := connection.recv(65536)):
        body += piece
    return head + b"\r\n\r\n" + body


def reply(body: bytes, status: str = "200 OK", kind: str = "application/json", *more: str) -> bytes:
    lines = [f"HTTP/1.1 {status}", f"content-type: {kind}", f"content-length: {len(body)}", *more]
    return ("\r\n".join(lines) + "\r\n\r\n").encode() + body


@pytest.fixture
def scripted() -> Iterator[Callable[..., Scripted]]:
    made: list[Scripted] = []

    def make(*replies: bytes | Reply | None) -> Scripted:
        made.append(Scripted(*replies))
        return made[-1]

    yield make
    for each in made:
        each.close()


@contextlib.contextmanager
def store_of(server: Scripted, *, wait: float = 5.0, timeout: float = 10.0) -> Iterator[HttpRunStore]:
    store = HttpRunStore(HttpClient(server.url, Access(wait=wait, timeout=timeout)))
    yield store
    store.close()


GOOD = reply(b'{"count": 3}')
BUSY = reply(b'{"code": "STORE_BUSY", "message": "locked"}', "503 Busy", "application/json", "retry-after: 0")


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (reply(b"<html>Please log in</html>", kind="text/html"), r"answers with text/html \(HTTP 200\)"),
        (reply(b"<html>gone</html>", "404 Not Found", "text/html"), r"answers with text/html \(HTTP 404\)"),
        (reply(b'{"count": '), r"answers with application/json \(HTTP 200\)"),
        (reply(b"[1, 2]"), "not as a toolkit server does"),
        (reply(b"{}"), "cannot be understood"),
        (reply(b'{"count": null}'), "cannot be understood"),
        (reply(b"", "302 Found", "text/plain", "location: https://sso/"), "sends its clients elsewhere"),
        (reply(b"", "401 Unauthorized"), "does not let you in"),
        (b"SSH-2.0-OpenSSH_9.6\r\n", "not as a web server does"),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nshort", "cut off|cannot be understood|does not answer"),
    ],
)
def test_an_answer_that_is_not_ours_is_one_clear_error(
    scripted: Callable[..., Scripted], answer: bytes, words: str
) -> None:
    def last(connection: socket.socket, _: bytes) -> bool:
        connection.sendall(answer)
        return False

    with store_of(scripted(last), wait=0.2) as store, pytest.raises(StoreError, match=words) as error:
        store.count_runs(SearchQuery())
    assert "\n" not in str(error.value)


def test_what_is_busy_is_asked_again_and_what_is_wrong_is_not(scripted: Callable[..., Scripted]) -> None:
    server = scripted(BUSY, BUSY, None, GOOD)
    with store_of(server) as store:
        assert store.count_runs(SearchQuery()) == 3
    assert len(server.requests) == 4
    wrong = scripted(reply(b'{"code": "CONFLICT", "message": "no"}', "400 Bad Request"))
    with store_of(wrong) as store, pytest.raises(Conflict, match=r"^no$"):
        store.count_runs(SearchQuery())
    assert len(wrong.requests) == 1


def test_it_is_enough_after_the_wait(scripted: Callable[..., Scripted]) -> None:
    with store_of(scripted(BUSY), wait=0.3) as store, pytest.raises(StoreBusy, match=r"^locked$"):
        store.count_runs(SearchQuery())
    told = reply(b'{"code": "STORE_BUSY", "message": "locked"}', "503 Busy", "application/json", "retry-after: 60")
    server = scripted(told)
    with store_of(server) as store, pytest.raises(StoreBusy):
        store.count_runs(SearchQuery())
    assert len(server.requests) == 1  # it asked for more time than there is


def test_what_must_not_be_done_twice_is_sent_once(scripted: Callable[..., Scripted]) -> None:
    server = scripted(None)
    with store_of(server) as store, pytest.raises(StoreError, match="it is not known whether it did what was asked"):
        store.create_experiment("wine")
    assert len(server.requests) == 1


def test_a_new_run_is_asked_for_again(scripted: Callable[..., Scripted]) -> None:
    """Its id is the client's: the second request finds what the first has made."""
    new = new_run()
    told = {
        "run_id": new.run_id,
        "experiment_id": "0",
        "run_name": "r",
        "user_id": "u",
        "status": "RUNNING",
        "start_time": 1,
        "end_time": None,
        "artifact_uri": "",
        "lifecycle_stage": "active",
        "parent_run_id": None,
        "reason": None,
        "metrics": {"m": {"value": "NaN", "timestamp": 1, "step": 2**60}},
        "params": {},
        "tags": {},
        "inputs": [],
    }
    server = scripted(None, reply(json.dumps(told).encode()))
    with store_of(server) as store:
        run = store.create_run(new)
    assert (repr(run.data.metrics["m"]), run.data.latest["m"].step) == ("nan", 2**60)
    assert server.requests[0].partition(b"\r\n\r\n")[2] == server.requests[1].partition(b"\r\n\r\n")[2]


def test_entries_count_as_written_only_if_the_server_says_so(scripted: Callable[..., Scripted]) -> None:
    entries = [Begun(new=new_run()), Begun(new=new_run())]
    for body in (b"{}", b'{"position": 1, "rejections": []}', b'{"position": 2, "rejections": [{"index": 7}]}'):
        with store_of(scripted(reply(body))) as store, pytest.raises(StoreError):
            store.apply(entries, journal="j", first=0)
    with store_of(scripted(reply(b'{"position": 2, "rejections": []}'))) as store:
        assert list(store.apply(entries, journal="j", first=0)) == []


def test_a_connection_that_was_idle_for_too_long_is_no_error(scripted: Callable[..., Scripted]) -> None:
    def once(connection: socket.socket, _: bytes) -> bool:
        connection.sendall(GOOD)
        return False  # as a server does after its keep-alive

    server = scripted(once)
    with store_of(server, wait=0.0) as store:
        assert [store.count_runs(SearchQuery()) for _ in range(5)] == [3] * 5


def test_connections_are_kept(scripted: Callable[..., Scripted]) -> None:
    ports: set[object] = set()

    def noting(connection: socket.socket, _: bytes) -> bool:
        ports.add(connection.getpeername())
        connection.sendall(GOOD)
        return True

    with store_of(scripted(noting)) as store:
        for _ in range(20):
            store.count_runs(SearchQuery())
    assert len(ports) == 1


def test_a_silent_server_is_given_up(scripted: Callable[..., Scripted]) -> None:
    release = threading.Event()

    def silent(connection: socket.socket, _: bytes) -> bool:
        release.wait(20)
        return False

    silence = scripted(silent)
    with store_of(silence, wait=0.0, timeout=0.2) as store, pytest.raises(StoreError, match="no answer in time"):
        store.count_runs(SearchQuery())
    release.set()


def test_an_endless_answer_is_cut(scripted: Callable[..., Scripted]) -> None:
    def endless(connection: socket.socket, _: bytes) -> bool:
        connection.sendall(b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n\r\n")
        while True:
            connection.sendall(b"x" * 65536)

    client = HttpClient(scripted(endless).url, Access(wait=0.0))
    with pytest.raises(BadAnswer, match="longer than 1 MiB"):
        client.ask(Ask(method="GET", path="/", most=1 << 20))
    client.close()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_a_forked_child_has_connections_of_its_own(scripted: Callable[..., Scripted]) -> None:
    def served(connection: socket.socket, _: bytes) -> bool:
        connection.sendall(GOOD)
        return False

    with store_of(scripted(served)) as store:
        assert store.count_runs(SearchQuery()) == 3
        child = os.fork()
        if child == 0:
            os._exit(0 if store.count_runs(SearchQuery()) == 3 else 1)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        assert store.count_runs(SearchQuery()) == 3


def test_credentials_are_sent_and_never_shown(scripted: Callable[..., Scripted]) -> None:
    server = scripted(reply(b"{}"))
    for url, access, header in (
        (server.url, Access(token="sesame"), b"Bearer sesame"),
        (server.url, Access(username="ada", password="sesame"), b"Basic YWRhOnNlc2FtZQ=="),
        (server.url.replace("//", "//ada:sesame@"), Access(), b"Basic YWRhOnNlc2FtZQ=="),
    ):
        client = HttpClient(url, access)
        client.ask(Ask(method="GET", path="/"))
        client.close()
        assert b"Authorization: " + header in server.requests[-1]
        assert "sesame" not in f"{client.place}{client.address!r}{client.access!r}"


@pytest.mark.parametrize("url", ["http://", "http://h:99999", "http://h:x", "ftp://h", "http://h/?a=1", "http://h/ö"])
def test_urls_that_are_none(url: str) -> None:
    with pytest.raises(InvalidSetting):
        read_address(url, Access())


def test_a_server_that_never_answered_is_an_error_at_once() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        client = HttpClient(f"http://127.0.0.1:{taken.getsockname()[1]}", Access(wait=3600))
        with pytest.raises(Unreachable, match="connection refused"):
            client.ask(Ask(method="GET", path="/"))


@pytest.mark.parametrize(
    ("answers", "words"),
    [
        ([reply(b"<html>", "404 Not Found", "text/html"), reply(b"3.17.2", kind="text/plain")], "MLflow's server"),
        ([reply(b"{}", "404 Not Found"), reply(b"<html>", kind="text/html")], "a web server, but not toolkit's"),
        ([reply(b"{}", "401 Unauthorized")], "does not let you in"),
        ([reply(b'{"server": "toolkit", "api": 2, "version": "9"}')], "use toolkit 9"),
    ],
)
def test_another_program_is_told_from_ours(scripted: Callable[..., Scripted], answers: list[bytes], words: str) -> None:
    client = HttpClient(scripted(*answers).url, Access(wait=0.0))
    with pytest.raises(StoreError, match=words):
        meet(client)
    client.close()


def test_many_threads(tmp_path: Path) -> None:
    """Each gets the answer to its own request."""
    with serving(tmp_path) as server:
        store = HttpRunStore(HttpClient(server.url))

        def work(_: int) -> bool:
            run = store.create_run(new_run())
            with contextlib.suppress(NotFound):
                store.get_run(new_run_id())
            return store.get_run(run.info.run_id).info.run_id == run.info.run_id

        with ThreadPoolExecutor(8) as pool:
            assert all(pool.map(work, range(200)))
        store.close()
