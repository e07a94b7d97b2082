"""Clients that write to a server until it dies, and what must be there afterwards.

Each `Writer` draws requests, notes what was acknowledged and what was not answered, and holds that against what the
server says when it is there again: an acknowledged request is there whole, every other whole or not at all.
"""

from __future__ import annotations

import contextlib
import hashlib
import http.client
import json
import random
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol
from urllib.parse import quote, urlencode

from toolkit.ids import new_run_id
from toolkit.tracking.entries import Begun, Ended, Entry, Logged
from toolkit.tracking.http_codec import JOURNAL_TYPE, entries_out
from toolkit.tracking.records import NewRun, RunStatus

WIRE = "/api/2.0/mlflow/"
OURS = "/api/v1/"
FILES = "/api/2.0/mlflow-artifacts/artifacts/"
_BLOCK = 1 << 16


@dataclass(frozen=True, kw_only=True)
class Request:
    """A request.

    Attributes:
        method: Its method.
        path: With the query.
        body: Its content.
        headers: Besides those of each request.
        pieces: Whether its body is sent in pieces, without saying how long it is.
    """

    method: str
    path: str
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)
    pieces: bool = False


def as_json(path: str, body: object, method: str = "POST") -> Request:
    """Return a request with JSON."""
    return Request(
        method=method, path=path, body=json.dumps(body).encode(), headers={"Content-Type": "application/json"}
    )


class Line:
    """One connection to a server that may die; it is made again when it is needed.

    Args:
        port: The server's, on 127.0.0.1.
    """

    def __init__(self, port: int) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=300)
        self.retry_after: str | None = None
        """What the last answer said."""

    def ask(self, request: Request) -> tuple[int, bytes]:
        """Send a request; return the status and the body.

        Raises:
            OSError: There was no answer.
            http.client.HTTPException: The same.
        """
        try:
            body = _blocks(request.body) if len(request.body) > _BLOCK else request.body
            headers = dict(request.headers)
            if not request.pieces:
                headers["Content-Length"] = str(len(request.body))
            self._connection.request(request.method, request.path, body, headers, encode_chunked=request.pieces)
            answer = self._connection.getresponse()
            self.retry_after = answer.getheader("Retry-After")
            return answer.status, answer.read()
        except BaseException:
            self._connection.close()
            raise

    def told(self, request: Request) -> Any:  # noqa: ANN401 - a JSON document
        """Send a request that must succeed; return its answer."""
        status, body = self.ask(request)
        assert status == 200, (request.method, request.path, status, body[:500])
        return json.loads(body)

    def read(self, path: str, /, **query: object) -> Any:  # noqa: ANN401 - a JSON document
        """Return what is at a path."""
        return self.told(Request(method="GET", path=f"{path}?{urlencode(query)}" if query else path))

    def close(self) -> None:
        """Close it."""
        self._connection.close()


def _blocks(body: bytes) -> Iterator[bytes]:
    for start in range(0, len(body), _BLOCK):
        yield body[start : start + _BLOCK]


class Writer(Protocol):
    """What one client does. Only one request is under way at a time."""

    def prepare(self, line: Line) -> None:
        """Make what it writes to, while the server is well."""

    def draw(self) -> Request:
        """Return the next request."""

    def took(self, body: bytes) -> None:
        """Hear that it was acknowledged."""

    def missed(self) -> None:
        """Hear that there was no answer."""

    def check(self, line: Line) -> None:
        """Hold what is there against what was said."""

    def again(self) -> Request | None:
        """Return the request that had no answer, where it may be sent twice."""


class Numbered:
    """What requests with numbers share."""

    def __init__(self) -> None:
        self._number = 0
        self.done: set[int] = set()
        self.doubtful: set[int] = set()

    def next(self) -> int:
        self._number += 1
        return self._number

    def took(self, body: bytes) -> None:  # noqa: ARG002 - the form of a writer's
        self.done.add(self._number)
        self.doubtful.discard(self._number)

    def missed(self) -> None:
        self.doubtful.add(self._number)

    def again(self) -> Request | None:
        return None

    def hold(self, there: set[int]) -> None:
        """Compare the numbers that are there with those that were acknowledged."""
        assert self.done <= there, f"{type(self).__name__}: acknowledged and not there: {sorted(self.done - there)}"
        strange = there - self.done - self.doubtful
        assert not strange, f"{type(self).__name__}: never sent: {sorted(strange)}"


class Batches(Numbered):
    """MLflow's log-batch: metrics, parameters and tags together."""

    KEYS = tuple(f"m{key}" for key in range(8))

    def prepare(self, line: Line) -> None:
        self._run = str(line.told(as_json(f"{WIRE}runs/create", {"experiment_id": "0"}))["run"]["info"]["run_id"])

    def draw(self) -> Request:
        return self._request(self.next())

    def again(self) -> Request | None:
        return self._request(self._number) if self._number in self.doubtful else None

    def _request(self, number: int) -> Request:
        body = {
            "run_id": self._run,
            "metrics": [{"key": key, "value": number / 2, "timestamp": number, "step": number} for key in self.KEYS],
            "params": [{"key": f"{number}.{part}", "value": "x" * 50} for part in "ab"],
            "tags": [{"key": f"{number}.{part}", "value": "y"} for part in "ab"],
        }
        return as_json(f"{WIRE}runs/log-batch", body)

    def check(self, line: Line) -> None:
        parts: dict[str, list[int]] = {}
        for key in self.KEYS:
            points = line.read(f"{WIRE}metrics/get-history", run_id=self._run, metric_key=key).get("metrics", [])
            assert all(point["value"] == point["step"] / 2 for point in points)
            parts[key] = sorted(point["step"] for point in points)
        data = line.read(f"{WIRE}runs/get", run_id=self._run)["run"]["data"]
        for kind in ("params", "tags"):
            keys = [pair["key"] for pair in data.get(kind, ()) if not pair["key"].startswith("mlflow.")]
            for part in "ab":
                parts[f"{kind} {part}"] = sorted(int(key[:-2]) for key in keys if key.endswith(part))
        assert len({tuple(numbers) for numbers in parts.values()}) == 1, f"half a batch is there: {parts}"
        there = parts["m0"]
        assert len(there) == len(set(there)), f"twice: {there}"
        self.hold(set(there))


class Columns(Numbered):
    """Our columns: hundreds of points in one request."""

    KEYS = ("c0", "c1", "c2", "c3")
    POINTS = 100

    def prepare(self, line: Line) -> None:
        self._run = new_run_id()
        line.told(as_json(f"{OURS}runs", _new_run(self._run)))

    def draw(self) -> Request:
        number = self.next()
        steps = range(number * self.POINTS, (number + 1) * self.POINTS)
        points = [(key, step) for step in steps for key in self.KEYS]
        columns = {
            "keys": [key for key, _ in points],
            "steps": [step for _, step in points],
            "timestamps": [step for _, step in points],
            "values": [float(step) for _, step in points],
        }
        return as_json(f"{OURS}runs/{self._run}/batch", {"columns": columns, "tags": {str(number): "there"}})

    def check(self, line: Line) -> None:
        run = line.read(f"{OURS}runs/{self._run}")
        there = {int(key) for key in run["tags"] if key.isdigit()}
        for key in self.KEYS:
            try:
                told = line.read(f"{OURS}runs/{self._run}/history", key=key, limit=1_000_000)
            except AssertionError:
                assert not there
                continue
            assert told["values"] == [float(step) for step in told["steps"]]
            wanted = [step for number in sorted(there) for step in range(number * 100, number * 100 + 100)]
            assert sorted(told["steps"]) == wanted, f"{key}: points and tags differ"
        self.hold(there)


class Journal(Numbered):
    """Entries of a journal, as our SDK sends them: some may be there and some not, in their order, and each whole."""

    LOGGED = 6

    def prepare(self, line: Line) -> None:  # noqa: ARG002 - the form of a writer's
        self._name = f"load-{new_run_id()}"
        self._runs: dict[int, str] = {}

    def draw(self) -> Request:
        number = self.next()
        self._runs[number] = new_run_id()
        return self._request(number)

    def again(self) -> Request | None:
        return self._request(self._number) if self._number in self.doubtful else None

    def _entries(self, run_id: str) -> list[Entry]:
        entries: list[Entry] = [
            Begun(new=NewRun(run_id=run_id, experiment_id="0", run_name="j", user_id="me", start_time=1))
        ]
        for number in range(self.LOGGED):
            points = [(key, number, 7, 0.5 + number, 0) for key in ("a", "b", "c")]
            entries.append(Logged(run_id=run_id, points=points, params={f"p{number}": "v"}, tags={f"t{number}": "v"}))
        return [*entries, Ended(run_id=run_id, status=RunStatus.FINISHED, end_time=9)]

    def _request(self, number: int) -> Request:
        entries = self._entries(self._runs[number])
        first = (number - 1) * len(entries)
        path = f"{OURS}journal/{self._name}/entries?first={first}"
        return Request(
            method="PUT", path=path, body=b"".join(entries_out(entries)), headers={"Content-Type": JOURNAL_TYPE}
        )

    def took(self, body: bytes) -> None:
        told = json.loads(body)
        assert told["rejections"] == [], told
        assert told["position"] == self._number * (self.LOGGED + 2), told
        super().took(body)

    def check(self, line: Line) -> None:
        there = set()
        for number, run_id in self._runs.items():
            status, body = line.ask(Request(method="GET", path=f"{OURS}runs/{run_id}"))
            if status == 404:
                continue
            assert status == 200, body
            run = json.loads(body)
            logged = [n for n in range(self.LOGGED) if f"p{n}" in run["params"]]
            assert logged == [n for n in range(self.LOGGED) if f"t{n}" in run["tags"]]
            assert logged == list(range(len(logged))), f"not in their order: {logged}"
            for key in ("a", "b", "c") if logged else ():
                told = line.read(f"{OURS}runs/{run_id}/history", key=key)
                assert (told["steps"], told["values"]) == (logged, [0.5 + step for step in logged])
            whole = len(logged) == self.LOGGED and run["status"] == "FINISHED"
            assert whole or number in self.doubtful, f"acknowledged and not whole: {run}"
            there.add(number)
        self.hold(there)


class Creations(Numbered):
    """Runs that MLflow's endpoint makes, with tags: their ids are the server's."""

    def prepare(self, line: Line) -> None:
        made = line.told(as_json(f"{WIRE}experiments/create", {"name": f"made-{new_run_id()}"}))
        self._experiment = str(made["experiment_id"])
        self._ids: dict[int, str] = {}

    def draw(self) -> Request:
        number = self.next()
        tags = [{"key": key, "value": str(number)} for key in ("one", "two", "three")]
        return as_json(
            f"{WIRE}runs/create", {"experiment_id": self._experiment, "run_name": f"r{number}", "tags": tags}
        )

    def took(self, body: bytes) -> None:
        super().took(body)
        self._ids[self._number] = json.loads(body)["run"]["info"]["run_id"]

    def check(self, line: Line) -> None:
        asked = {"experiment_ids": [self._experiment], "max_results": 50_000}
        runs = line.told(as_json(f"{WIRE}runs/search", asked)).get("runs", [])
        there = {}
        for run in runs:
            number = int(run["info"]["run_name"][1:])
            tags = {pair["key"]: pair["value"] for pair in run["data"]["tags"]}
            assert {tags.get(key) for key in ("one", "two", "three")} == {str(number)}, f"half a run: {run}"
            assert number not in there, "made twice"
            there[number] = run["info"]["run_id"]
        assert all(there.get(number) == run_id for number, run_id in self._ids.items())
        self.hold(set(there))


class NamedCreations(Numbered):
    """Runs that our endpoint makes: their ids are the client's, so that one may be asked for twice."""

    def prepare(self, line: Line) -> None:  # noqa: ARG002 - the form of a writer's
        self._runs: dict[int, str] = {}

    def draw(self) -> Request:
        number = self.next()
        self._runs[number] = new_run_id()
        return self._request(number)

    def again(self) -> Request | None:
        return self._request(self._number) if self._number in self.doubtful else None

    def _request(self, number: int) -> Request:
        body = _new_run(self._runs[number]) | {"tags": {"a": "1", "b": "2"}, "params": {"c": "3"}}
        return as_json(f"{OURS}runs", body)

    def check(self, line: Line) -> None:
        there = set()
        for number, run_id in self._runs.items():
            status, body = line.ask(Request(method="GET", path=f"{OURS}runs/{run_id}"))
            assert status in (200, 404), body
            if status == 200:
                run = json.loads(body)
                tags = {key: run["tags"].get(key) for key in ("a", "b")}
                assert (tags, run["params"]) == ({"a": "1", "b": "2"}, {"c": "3"}), f"half a run: {run}"
                there.add(number)
        self.hold(there)


class Uploads(Numbered):
    """Files of all sizes, new ones and one that is replaced again and again."""

    SIZES = (10, 40_000, 900_000, 1_500_000, 3_000_000)

    def __init__(self, seed: int) -> None:
        super().__init__()
        self._random = random.Random(seed)

    def prepare(self, line: Line) -> None:
        made = line.told(as_json(f"{WIRE}experiments/create", {"name": f"files-{new_run_id()}"}))["experiment_id"]
        told = line.told(as_json(f"{WIRE}runs/create", {"experiment_id": made}))["run"]["info"]
        self._run = str(told["run_id"])
        self._folder = f"{FILES}{made}/{self._run}/artifacts/"
        self._digests: dict[int, str] = {}
        self._names: dict[int, str] = {}

    def draw(self) -> Request:
        number = self.next()
        content = self._random.randbytes(self._random.choice(self.SIZES))
        self._names[number] = "same.bin" if number % 3 == 0 else f"new/{number}.bin"
        self._digests[number] = hashlib.sha256(content).hexdigest()
        path = self._folder + quote(self._names[number])
        return Request(method="PUT", path=path, body=content, pieces=self._random.random() < 0.5)

    def check(self, line: Line) -> None:
        listed = [file["path"] for file in self._listed(line)]
        for number, name in self._names.items():
            if name == "same.bin":
                continue
            if number in self.done:
                assert name in listed, f"acknowledged and not there: {name}"
            assert name not in listed or number in self.done | self.doubtful
            if name in listed:
                assert self._digest(line, name) == self._digests[number], f"{name} is not whole"
        self._check_same(line, "same.bin" in listed)

    def _check_same(self, line: Line, is_listed: bool) -> None:
        same = [number for number, name in self._names.items() if name == "same.bin"]
        done = [number for number in same if number in self.done]
        assert is_listed or not done
        if not is_listed:
            return
        may_be = {self._digests[number] for number in same if not done or number >= done[-1]}
        found = self._digest(line, "same.bin")
        if found is None:  # it was replaced, and not yet listed: its recorded digest is the old one's, and that is told
            assert self.doubtful & set(same), "what was acknowledged last cannot be read"
            return
        assert found in may_be, "neither the old nor the new file, whole"

    def _listed(self, line: Line) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = []
        for folder in ("", "new"):
            told = line.read(f"{WIRE}artifacts/list", run_id=self._run, path=folder)
            found += [file for file in told.get("files", ()) if not file["is_dir"]]
        return found

    def _digest(self, line: Line, name: str) -> str | None:
        """Return the digest of a file that is given out; ``None`` where the server says that it is damaged."""
        try:
            status, body = line.ask(Request(method="GET", path=self._folder + quote(name)))
        except http.client.IncompleteRead:
            return None
        assert status in (200, 409), (name, status, body[:300])
        return hashlib.sha256(body).hexdigest() if status == 200 else None


def _new_run(run_id: str) -> dict[str, object]:
    return {"run_id": run_id, "experiment_id": "0", "run_name": "ours", "start_time": 1}


def all_writers(seed: int) -> list[Writer]:
    """Return one of each kind, and a second that writes batches."""
    return [Batches(), Batches(), Columns(), Journal(), Creations(), NamedCreations(), Uploads(seed)]


@dataclass(frozen=True, kw_only=True)
class Refusal:
    """An answer of a server that cannot do it now."""

    status: int
    retry_after: str | None
    body: bytes

    @property
    def is_told(self) -> bool:
        """Whether a client learns why, and when to come again."""
        told = json.loads(self.body)
        return bool(told["message"]) and (self.status != 503 or (self.retry_after or "").isdigit())


@dataclass
class Load:
    """Writers at work, each in a thread.

    Attributes:
        writers: They.
        port: Of the server.
        comes_back: Whether a writer goes on when there was no answer; else it ends.
        refused: Statuses that are no acknowledgement and no fault, such as 503.
        count: How many requests were acknowledged.
        refusals: Those that were answered with such a status.
    """

    writers: Sequence[Writer]
    port: int
    comes_back: bool = False
    refused: frozenset[int] = frozenset()
    count: int = 0
    refusals: list[Refusal] = field(default_factory=list)
    by_writer: dict[int, int] = field(default_factory=dict)
    _faults: list[BaseException] = field(default_factory=list)
    _ended: threading.Event = field(default_factory=threading.Event)
    _threads: list[threading.Thread] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def start(self) -> None:
        """Begin."""
        for number, writer in enumerate(self.writers):
            thread = threading.Thread(target=self._write, args=(number, writer), daemon=True)
            self._threads.append(thread)
            thread.start()

    def end(self) -> None:
        """Wait until all have heard that the server is dead, or tell them to end; raise what went wrong."""
        self._ended.set()
        for thread in self._threads:
            thread.join(90)
            assert not thread.is_alive(), "a request had no end"
        self._raise()

    def _raise(self) -> None:
        if self._faults:
            raise self._faults[0]

    def until(self, look: Callable[[], bool], seconds: float = 60.0) -> None:
        """Wait until something is so, while nothing went wrong."""
        limit = time.monotonic() + seconds
        while not look():
            self._raise()
            assert time.monotonic() < limit, f"still not, after {self.count} requests: {self.refusals[-3:]}"
            time.sleep(0.01)

    def until_more(self, each: int) -> None:
        """Wait until each writer has had so many more acknowledgements."""
        before = dict(self.by_writer)
        goal = [before.get(number, 0) + each for number in range(len(self.writers))]
        self.until(lambda: all(self.by_writer.get(number, 0) >= wanted for number, wanted in enumerate(goal)))

    def _write(self, number: int, writer: Writer) -> None:
        line = Line(self.port)
        try:
            while not self._ended.is_set():
                if not self._one(number, writer, line) and not self.comes_back:
                    return
        except BaseException as fault:  # noqa: BLE001 - raised by `end`, in the test's own thread
            self._faults.append(fault)
        finally:
            line.close()

    def _one(self, number: int, writer: Writer, line: Line) -> bool:
        request = writer.again() or writer.draw()
        try:
            status, body = line.ask(request)
        except (OSError, http.client.HTTPException):
            writer.missed()
            time.sleep(0.02)
            return False
        if status in self.refused:
            writer.missed()
            with self._lock:
                self.refusals.append(Refusal(status=status, retry_after=line.retry_after, body=body))
            time.sleep(0.02)
            return True
        assert status == 200, (request.method, request.path, status, body[:500])
        writer.took(body)
        with self._lock:
            self.count += 1
            self.by_writer[number] = self.by_writer.get(number, 0) + 1
        return True


def check_all(writers: Sequence[Writer], port: int, *, repeat: bool) -> None:
    """Compare; then send again what had no answer and may be sent twice, and compare once more."""
    line = Line(port)
    with contextlib.closing(line):
        for writer in writers:
            writer.check(line)
        for writer in writers if repeat else ():
            if (request := writer.again()) is not None:
                writer.took(json.dumps(line.told(request)).encode())
                writer.check(line)
