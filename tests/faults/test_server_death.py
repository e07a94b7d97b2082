"""`kill -9` of the server while clients write: every acknowledged request is whole, every other whole or absent."""

from __future__ import annotations

import random
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import scene
import server_load
from victim import Victim, victim

from toolkit.db.check import check
from toolkit.db.engine import open_database

LONGEST = 0.5
"""Seconds of load before a kill, at most; the machine decides what they mean."""


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "postgresql":
        return str(request.getfixturevalue("postgres_url"))
    return f"sqlite:///{tmp_path}/store.db"


@pytest.fixture
def draws() -> random.Random:
    return scene.chance()


@pytest.fixture
def alone(tmp_path: Path, database_url: str) -> Iterator[Victim]:
    """A server of one process."""
    with victim(tmp_path / "home", "--backend-store-uri", database_url) as found:
        yield found


@pytest.fixture
def shared(tmp_path: Path, database_url: str) -> Iterator[Victim]:
    """A server of two processes, and the one that looks after them."""
    with victim(tmp_path / "home", "--backend-store-uri", database_url, "--workers", "2") as found:
        yield found


def under_load(server: Victim, draws: random.Random, *, comes_back: bool = False) -> server_load.Load:
    """Let clients write; return when each was heard."""
    writers = server_load.all_writers(draws.randrange(2**32))
    line = server_load.Line(server.port)
    for writer in writers:
        writer.prepare(line)
    line.close()
    load = server_load.Load(writers, server.port, comes_back=comes_back)
    load.start()
    load.until_more(1)
    time.sleep(draws.uniform(0, LONGEST))
    return load


def is_sound(server: Victim, url: str) -> None:
    """Check the database, and that no client and no log saw a traceback."""
    database = open_database(url)
    try:
        assert list(check(database).problems) == []
    finally:
        database.close()
    assert "Traceback" not in server.said


def test_kill_9_of_the_server_loses_nothing_acknowledged(
    alone: Victim, database_url: str, draws: random.Random
) -> None:
    """G1, G2, G3, G7. The next one to start finds each request whole or not at all; repeated ones are there once."""
    loads = []
    for _ in range(scene.rounds(2)):
        load = under_load(alone, draws)
        alone.kill()
        load.end()
        alone.start()
        server_load.check_all(load.writers, alone.port, repeat=True)
        loads.append(load)
    for load in loads[-10:]:  # what was there stays
        server_load.check_all(load.writers, alone.port, repeat=False)
    assert alone.stop() == 0
    is_sound(alone, database_url)


def test_kill_9_of_a_worker_is_no_more_than_a_lost_connection(
    shared: Victim, database_url: str, draws: random.Random
) -> None:
    """G1, G3, G12. The others go on and no lock stays; whoever was cut off sends it again."""
    for _ in range(scene.rounds(1)):
        load = under_load(shared, draws, comes_back=True)
        draws.choice(shared.workers()).kill()
        load.until_more(3)
        load.until(lambda: len(shared.workers()) == 2)
        load.end()
        server_load.check_all(load.writers, shared.port, repeat=True)
    assert shared.stop() == 0
    is_sound(shared, database_url)


def test_kill_9_of_the_process_that_looks_after_workers_loses_nothing(
    shared: Victim, database_url: str, draws: random.Random
) -> None:
    """G1, G2. The workers end with it, and the port is free for the next one."""
    for _ in range(scene.rounds(1)):
        load = under_load(shared, draws)
        shared.kill()
        load.end()
        shared.start()
        server_load.check_all(load.writers, shared.port, repeat=True)
    assert shared.stop() == 0
    is_sound(shared, database_url)
