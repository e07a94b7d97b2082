"""What a model that ``bentoml serve`` serves survives: killed and hanging workers, more requests than it can answer."""

from __future__ import annotations

import contextlib
import http.client
import ipaddress
import json
import queue
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from served import Answer, Served, Workshop, serving, wait_for

SCRIPT = Path(__file__).parent / "scripts" / "train_gate.py"
HELD = 4

pytestmark = pytest.mark.timeout(900)


@pytest.fixture(scope="module")
def workshop(tmp_path_factory: pytest.TempPathFactory) -> Workshop:
    """Of one model in two versions: ``gate:1`` holds few requests, ``gate:2`` waits for few seconds."""
    found = Workshop(folder=tmp_path_factory.mktemp("survival"))
    found.run(str(SCRIPT))
    build = ("deployments", "build")
    settings = ("--config", f"max_concurrency={HELD}", "--config", "timeout=600", "--config", "sample_rate=1")
    found.toolkit(*build, "gate/1", "--workers", "2", *settings)
    found.toolkit(*build, "gate/2", "--config", "timeout=2")
    return found


@pytest.fixture(scope="module")
def served(workshop: Workshop) -> Iterator[Served]:
    """``gate:1``, by two workers."""
    variables = {"GATE": str(workshop.folder / "gate"), "TOOLKIT_SAMPLES": str(workshop.folder / "samples")}
    with serving(workshop, "gate:1", **variables) as found:
        yield found


def ask(served: Served, word: str) -> Answer:
    return served.score({"dataframe_records": [{"word": word}]})


def answers(served: Served, word: str = "hello") -> bool:
    """Tell whether it answers well; no answer, or one that it cannot give now, is none."""
    with contextlib.suppress(OSError, http.client.HTTPException):
        answer = ask(served, word)
        return answer.status == 200 and bool(answer.json == {"predictions": [word.upper()]})
    return False


def test_it_listens_on_the_loopback_address_only(served: Served) -> None:
    first = psutil.Process(served.process.pid)
    ports = []
    for process in [first, *first.children(recursive=True)]:
        for connection in process.net_connections("inet"):
            if connection.status == psutil.CONN_LISTEN:
                assert ipaddress.ip_address(connection.laddr.ip).is_loopback, connection
                ports.append(connection.laddr.port)
    assert served.port in ports


def test_a_fault_of_the_model_is_a_500_that_says_nothing_of_it(served: Served) -> None:
    answer = ask(served, "fail")
    assert answer.status == 500
    told = answer.json
    assert told["error_code"] == "INTERNAL_ERROR"
    assert "fault of its own" not in answer.body.decode()
    number = told["message"].rpartition(" ")[2].rstrip(".")
    log = served.log.read_text()
    assert number in log, "by which it is found"
    assert "RuntimeError: the model has a fault of its own" in log
    assert answers(served)


def test_a_killed_worker_comes_back(served: Served) -> None:
    before = {worker.pid for worker in served.workers()}
    assert len(before) == 2
    victim = psutil.Process(before.pop())
    victim.kill()
    wait_for(lambda: len({worker.pid for worker in served.workers()} - {victim.pid}) == 2, "two workers", served.log)
    wait_for(lambda: all(answers(served) for _ in range(10)), "ten answers in a row", served.log)


def test_a_request_that_kills_its_worker_does_not_end_the_service(served: Served) -> None:
    before = {worker.pid for worker in served.workers()}
    with pytest.raises((OSError, http.client.HTTPException)):
        ask(served, "die")
    wait_for(lambda: answers(served), "an answer", served.log)
    wait_for(lambda: len(served.workers()) == 2, "two workers", served.log)
    assert len({worker.pid for worker in served.workers()} - before) == 1


def test_overload_is_answered_at_once_and_what_is_held_is_answered_well(served: Served, workshop: Workshop) -> None:
    """No worker takes more than it may hold; whoever is beyond hears so while the others still wait."""
    gate = workshop.folder / "gate"
    many = 2 * HELD + 12
    came: queue.Queue[Answer] = queue.Queue()
    threads = [threading.Thread(target=lambda: came.put(ask(served, "wait"))) for _ in range(many)]
    try:
        for thread in threads:
            thread.start()
        refused = [came.get(timeout=300) for _ in range(many - 2 * HELD)]  # none of the others can come before the gate
        assert {answer.status for answer in refused} == {503}
        for answer in refused:
            assert answer.headers["retry-after"] == "1"
            assert answer.json["error_code"] == "TEMPORARILY_UNAVAILABLE"
    finally:
        gate.touch()
        for thread in threads:
            thread.join(300)
    rest = [came.get_nowait() for _ in range(came.qsize())]
    held = [answer for answer in rest if answer.status == 200]
    assert {answer.status for answer in rest} <= {200, 503}
    assert len(held) >= HELD, "one worker may have got more connections than it may hold, and the other fewer"
    assert all(answer.json == {"predictions": ["WAIT"]} for answer in held)
    assert answers(served)
    gate.unlink()


def test_the_counters_of_all_workers_are_one(served: Served) -> None:
    text = served.call("GET", "/metrics").body.decode()
    for name in ("toolkit_requests_total", "toolkit_request_seconds_bucket", "toolkit_batch_rows_bucket"):
        assert name in text
    assert 'toolkit_requests_total{endpoint="/invocations",status="503"}' in text


def test_an_answer_that_takes_too_long_is_a_504_and_a_hanging_model_is_left(workshop: Workshop) -> None:
    """Each question after it is answered by another thread; and when several hang, by another process."""
    gate = workshop.folder / "another-gate"
    with serving(workshop, "gate:2", GATE=str(gate)) as served:
        before = {worker.pid for worker in served.workers()}
        for _ in range(4):
            with contextlib.suppress(OSError, http.client.HTTPException):  # the process is being replaced
                answer = ask(served, "wait")
                assert answer.status in (503, 504), answer.body
                assert json.loads(answer.body)["error_code"]
                if answer.status == 504:
                    assert answer.headers["content-type"] == "application/json"
                    assert answer.json["error_code"] == "DEADLINE_EXCEEDED"
        wait_for(lambda: answers(served), "an answer", served.log)
        replaced = {worker.pid for worker in served.workers()} != before
        hanging = served.log.read_text().count("has not answered")
        assert hanging, "the log says so"
        assert replaced or hanging < 3


def test_told_to_end_it_answers_what_it_has_begun_and_finishes_its_samples(workshop: Workshop) -> None:
    gate, folder = workshop.folder / "last-gate", workshop.folder / "other-samples"
    with serving(workshop, "gate:1", GATE=str(gate), TOOLKIT_SAMPLES=str(folder)) as served:
        words = [f"word {number}" for number in range(20)]
        assert all(answers(served, word) for word in words)
        came: queue.Queue[Answer] = queue.Queue()
        asking = threading.Thread(target=lambda: came.put(ask(served, "wait")))
        asking.start()
        wait_for(lambda: _held(served) == 1, "a request that is held", served.log)
        served.process.send_signal(signal.SIGTERM)
        time.sleep(0.5)
        gate.touch()
        asking.join(300)
        assert came.get_nowait().json == {"predictions": ["WAIT"]}
        assert served.process.wait(timeout=300) == 0
    files = list(folder.iterdir())
    assert files
    assert all(file.name.endswith(".jsonl") for file in files)
    rows = [json.loads(line) for file in files for line in file.read_text().splitlines()]
    assert sorted(row["output"] for row in rows) == sorted(word.upper() for word in [*words, "wait"])
    assert all(row["inputs"]["word"].upper() == row["output"] for row in rows)


def _held(served: Served) -> int:
    """Return how many connections clients have to the service's workers."""
    return sum(
        connection.status == psutil.CONN_ESTABLISHED and connection.laddr.port == served.port
        for worker in served.workers()
        for connection in worker.net_connections("inet")
    )
