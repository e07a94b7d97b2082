"""Processes and threads that change one model at once: numbers are dense, nothing fails, the history holds together."""

from __future__ import annotations

import multiprocessing
import threading
from pathlib import Path

import pytest

from toolkit.db.engine import open_database
from toolkit.registry.history import Action, Author, ChangeQuery
from toolkit.registry.records import NewVersion, Stage
from toolkit.registry.sql import SqlRegistryStore
from toolkit.registry.sql_promotions import SqlPromotionStore

PROCESSES, THREADS, EACH = 4, 8, 2


def _work(url: str, number: int) -> None:
    """Make versions and move an alias and a stage, from several threads; fail with the first error."""
    database = open_database(url, wait=240)
    registry = SqlRegistryStore(database)
    failed: list[BaseException] = []

    def make(thread: int) -> None:
        mine = registry.acting(Author(user=f"user{number}.{thread}"))
        try:
            for _ in range(EACH):
                new = NewVersion(name="wine", source="s3://b/m", location="s3://b/m", tags={"a": "b"})
                made = mine.create_version(new).version
                mine.set_alias("wine", "newest", made)
                mine.set_stage("wine", made, Stage.PRODUCTION, archive_existing=True)
        except BaseException as error:  # noqa: BLE001 - told below
            failed.append(error)

    threads = [threading.Thread(target=make, args=(thread,)) for thread in range(THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    database.close()
    if failed:
        raise failed[0]


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_many_processes_change_one_model(kind: str, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    url = f"sqlite:///{tmp_path}/toolkit.db" if kind == "sqlite" else request.getfixturevalue("postgres_url")
    database = open_database(url)
    registry, promotions = SqlRegistryStore(database), SqlPromotionStore(database)
    registry.create_model("wine")
    context = multiprocessing.get_context("spawn")
    workers = [context.Process(target=_work, args=(url, number)) for number in range(PROCESSES)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert [worker.exitcode for worker in workers] == [0] * PROCESSES
    count = PROCESSES * THREADS * EACH

    def changes(action: Action) -> list[tuple[int | None, str | None, str | None]]:
        page = promotions.history(ChangeQuery(name="wine", actions=(action,), limit=1_000))
        assert page.next_page_token is None
        return [(change.version, change.old, change.new) for change in reversed(page.items)]

    assert [number for number, _, _ in changes(Action.VERSION_CREATED)] == list(range(1, count + 1))
    moves = changes(Action.ALIAS)
    assert len(moves) == count
    assert [old for _, old, _ in moves] == [None, *(new for _, _, new in moves[:-1])]
    held = promotions.held("wine")
    found = registry.get_model("wine")
    assert held.aliases == found.aliases
    assert held.holders(Stage.PRODUCTION) == [
        each.version for each in found.latest_versions if each.stage is Stage.PRODUCTION
    ]
    assert len(held.holders(Stage.PRODUCTION)) == 1
    assert len(held.holders(Stage.ARCHIVED)) == count - 1
    database.close()
