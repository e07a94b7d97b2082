"""The server's store is locked, restarted, or full: clients are told in time, and nothing acknowledged is lost."""

from __future__ import annotations

import contextlib
import json
import random
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import peer
import postgres
import pytest
import scene
import server_load
import small_disk
from victim import Victim, victim

from toolkit.db.check import check
from toolkit.db.engine import open_database
from toolkit.tracking.http_codec import JOURNAL_TYPE

AWAY = frozenset((503, 507))


@pytest.fixture(scope="module")
def own_postgres() -> Iterator[postgres.Server]:
    """A PostgreSQL that may be stopped."""
    if reason := postgres.why_not():
        pytest.skip(reason)
    with postgres.running() as server:
        yield server


def under_load(server: Victim, draws: random.Random) -> server_load.Load:
    writers = server_load.all_writers(draws.randrange(2**32))
    line = server_load.Line(server.port)
    for writer in writers:
        writer.prepare(line)
    line.close()
    load = server_load.Load(writers, server.port, comes_back=True, refused=AWAY)
    load.start()
    load.until_more(1)
    return load


def nothing_is_lost(server: Victim, load: server_load.Load) -> None:
    """Let the load go on for a while, end it, and compare."""
    load.until_more(2)
    load.end()
    assert all(answer.is_told for answer in load.refusals), load.refusals[:3]
    server_load.check_all(load.writers, server.port, repeat=True)
    assert "Traceback" not in server.said


def is_sound(url: str) -> None:
    database = open_database(url)
    try:
        assert list(check(database).problems) == []
    finally:
        database.close()


# -- locked ------------------------------------------------------------------------------------------


@contextlib.contextmanager
def locked(file: Path, statement: str) -> Iterator[None]:
    """Hold the lock of an SQLite file for a block, as another program does."""
    other = sqlite3.connect(file, isolation_level=None, timeout=60)
    try:
        other.execute(statement)
        yield
        other.execute("COMMIT")
    finally:
        other.close()


def test_a_locked_database_is_told_and_nothing_acknowledged_is_lost(tmp_path: Path) -> None:
    """G12. For longer than the wait: 503 with Retry-After; meanwhile reading goes on."""
    draws = scene.chance()
    file = tmp_path / "store.db"
    options = ("--backend-store-uri", f"sqlite:///{file}", "--workers", "2")
    with victim(tmp_path / "home", *options, TOOLKIT_BUSY_TIMEOUT="0.3") as server:
        load = under_load(server, draws)
        with locked(file, "BEGIN IMMEDIATE"):
            before = len(load.refusals)
            load.until(lambda: len(load.refusals) >= before + 2 * len(load.writers))
            line = server_load.Line(server.port)
            for _ in range(5):
                assert line.read(f"{server_load.WIRE}experiments/get", experiment_id="0")
            line.close()
        assert {answer.status for answer in load.refusals} == {503}
        nothing_is_lost(server, load)
        assert server.stop() == 0
    is_sound(f"sqlite:///{file}")


def test_many_that_wait_for_a_lock_keep_nobody_from_reading(tmp_path: Path) -> None:
    """G12, G19. More than there are threads: none of them has its answer when those have theirs who read."""
    file = tmp_path / "store.db"
    uri = f"sqlite:///{file}"
    with victim(tmp_path / "home", "--backend-store-uri", uri, TOOLKIT_BUSY_TIMEOUT="60") as server:
        line = server_load.Line(server.port)
        made = line.told(server_load.as_json(f"{server_load.WIRE}runs/create", {"experiment_id": "0"}))["run"]["info"]
        run_id = made["run_id"]
        folder = made["artifact_uri"].removeprefix("mlflow-artifacts:/")
        kinds = [
            server_load.as_json(f"{server_load.WIRE}runs/set-tag", {"run_id": run_id, "key": "k", "value": "v"}),
            server_load.as_json(f"{server_load.OURS}runs/{run_id}/batch", {"tags": {"k": "v"}}),
            server_load.Request(method="PUT", path=f"{server_load.FILES}{folder}/a.txt", body=b"a"),
            server_load.Request(
                method="PUT",
                path=f"{server_load.OURS}journal/j/entries?first=0",
                headers={"Content-Type": JOURNAL_TYPE},
                body=bytes(4),
            ),
        ]

        def status_of(request: server_load.Request) -> int:
            with contextlib.closing(server_load.Line(server.port)) as own:
                return own.ask(request)[0]

        with ThreadPoolExecutor(180) as pool, locked(file, "BEGIN IMMEDIATE"):
            waiting = [pool.submit(status_of, kind) for kind in kinds for _ in range(45)]
            time.sleep(1)  # so that they do wait; the less they do, the less is tried
            for read in kinds_of_reads(run_id) * 3:
                assert line.told(read)
            assert not any(each.done() for each in waiting)
        assert {each.result() for each in waiting} == {200}
        line.close()


def kinds_of_reads(run_id: str) -> list[server_load.Request]:
    return [
        server_load.Request(method="GET", path=f"{server_load.WIRE}runs/get?run_id={run_id}"),
        server_load.as_json(f"{server_load.WIRE}runs/search", {"experiment_ids": ["0"]}),
        server_load.Request(method="GET", path=f"{server_load.OURS}runs/{run_id}"),
        server_load.as_json(f"{server_load.OURS}runs/search", {"experiment_ids": ["0"]}),
        server_load.Request(method="GET", path=f"{server_load.WIRE}artifacts/list?run_id={run_id}"),
    ]


# -- restarted ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", ["fast", "immediate"])
def test_a_database_that_is_restarted_loses_nothing_acknowledged(
    own_postgres: postgres.Server, tmp_path: Path, mode: str
) -> None:
    """G15. Away for longer than the wait, in order and as after a crash; the server goes on by itself."""
    draws = scene.chance()
    url = own_postgres.url(own_postgres.new_database())
    with victim(tmp_path / "home", "--backend-store-uri", url, TOOLKIT_BUSY_TIMEOUT="0.5") as server:
        load = under_load(server, draws)
        own_postgres.stop(mode)
        try:
            before = len(load.refusals)
            load.until(lambda: len(load.refusals) >= before + 2 * len(load.writers))
        finally:
            own_postgres.start()
        assert {answer.status for answer in load.refusals} == {503}
        assert not any(postgres.PASSWORD.encode() in answer.body for answer in load.refusals)
        nothing_is_lost(server, load)
        assert server.stop() == 0
        assert postgres.PASSWORD not in server.said
    is_sound(url)


def test_a_restart_within_the_wait_is_hardly_noticed(own_postgres: postgres.Server, tmp_path: Path) -> None:
    """G15. What may be done twice without harm is tried again by the server, within its wait."""
    draws = scene.chance()
    url = own_postgres.url(own_postgres.new_database())
    with victim(tmp_path / "home", "--backend-store-uri", url) as server:
        load = under_load(server, draws)
        for _ in range(scene.rounds(1)):
            own_postgres.stop("fast")
            own_postgres.start()
            load.until_more(2)
        assert len(load.refusals) <= scene.rounds(1) * len(load.writers)  # only what was being committed
        nothing_is_lost(server, load)


OURS = """
import pathlib, time, toolkit
with toolkit.start_run(run_name="steadfast"):
    for number in range(200):
        toolkit.log_metric("m", number, step=number)
        if number == 20: pathlib.Path("begun").touch()
        time.sleep(0.005)
    toolkit.log_text("whole", "a.txt")
"""

THEIRS = """
import pathlib, mlflow
mlflow.set_tracking_uri({url!r})
with mlflow.start_run(run_name="steadfast"):
    for number in range(60):
        mlflow.log_metric("m", number, step=number)
        if number == 20: pathlib.Path("begun").touch()
    mlflow.log_text("whole", "a.txt")
"""


@pytest.mark.parametrize("client", ["ours", "stock"])
def test_clients_do_not_notice_a_lock_and_a_death(tmp_path: Path, client: str) -> None:
    """G1, G4, G12. A script logs on while the database is locked and the server is killed and comes back."""
    python = sys.executable if client == "ours" else peer.mlflow_python()
    if python is None:
        pytest.skip(peer.NO_MLFLOW)
    file = tmp_path / "store.db"
    with victim(tmp_path / "home", "--backend-store-uri", f"sqlite:///{file}", TOOLKIT_BUSY_TIMEOUT="0.3") as server:
        url = f"http://127.0.0.1:{server.port}"
        text = OURS if client == "ours" else THEIRS.format(url=url)
        mine = scene.Scene(folder=tmp_path / "mine", url=url)
        mine.folder.mkdir()
        with subprocess.Popen(
            [python, "-c", text],
            cwd=mine.folder,
            env=mine.variables() | {"MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR": "1"},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        ) as script:
            scene.until((mine.folder / "begun").exists, script)
            with locked(file, "BEGIN IMMEDIATE"):
                line = server_load.Line(server.port)
                body = {"run_id": "0" * 32, "key": "k", "value": "v"}
                status, told = line.ask(server_load.as_json(f"{server_load.WIRE}runs/set-tag", body))
                assert (status, json.loads(told)["error_code"]) in (
                    (503, "TEMPORARILY_UNAVAILABLE"),
                    (404, "RESOURCE_DOES_NOT_EXIST"),
                )
                line.close()
            server.kill()
            server.start()
            _, said = script.communicate(timeout=scene.PATIENCE)
        assert script.returncode == 0, said
        line = server_load.Line(server.port)
        search = server_load.as_json(f"{server_load.WIRE}runs/search", {"experiment_ids": ["0"]})
        (run,) = line.told(search)["runs"]
        run_id = run["info"]["run_id"]
        points = line.read(f"{server_load.WIRE}metrics/get-history", run_id=run_id, metric_key="m")["metrics"]
        count = 200 if client == "ours" else 60
        assert [point["step"] for point in points] == list(range(count))
        assert run["info"]["status"] == "FINISHED"
        assert line.ask(server_load.Request(method="GET", path=f"/get-artifact?run_id={run_id}&path=a.txt")) == (
            200,
            b"whole",
        )
        line.close()


# -- full --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("what", ["database", "artifacts", "home"])
def test_a_full_disk_is_told_and_nothing_acknowledged_is_lost(tmp_path: Path, what: str) -> None:
    """G14. Also what was begun when the space ran out; there is no restart when there is some again."""
    if reason := small_disk.why_not():
        pytest.skip(reason)
    draws = scene.chance()
    folder = tmp_path / "home" if what == "home" else tmp_path / what
    store = (
        folder / "store.db" if what == "database" else tmp_path / ("home" if what == "home" else "data") / "store.db"
    )
    options = ["--backend-store-uri", f"sqlite:///{store}"]
    options += ["--artifacts-destination", str(folder if what == "artifacts" else tmp_path / "home" / "artifacts")]
    with small_disk.small_disk(folder, "64m") as disk:
        settings = {"TOOLKIT_UPLOAD_RESERVE": "0", "TOOLKIT_BUSY_TIMEOUT": "5"}
        with victim(tmp_path / "home", *options, prefix=disk.prefix, **settings) as server:
            load = under_load(server, draws)
            disk.fill()
            refusing = 2 if what == "artifacts" else 2 * len(load.writers)
            before = len(load.refusals)
            load.until(lambda: len(load.refusals) >= before + refusing)
            line = server_load.Line(server.port)
            assert line.read(f"{server_load.WIRE}experiments/get", experiment_id="0")
            line.close()
            disk.free()
            if what == "artifacts":
                assert {answer.status for answer in load.refusals} == {507}
            load.until_more(2)
            load.end()
            assert all(answer.is_told for answer in load.refusals), load.refusals[:3]
            assert any(b"space" in answer.body for answer in load.refusals), load.refusals[:3]
            server_load.check_all(load.writers, server.port, repeat=True)
            assert "Traceback" not in server.said
            assert server.stop() == 0
        disk.copy(folder)
    is_sound(f"sqlite:///{store}")
