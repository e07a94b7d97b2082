"""The questions that every page and every call asks have an index on PostgreSQL, too."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from sqlalchemy import event

from toolkit.db.engine import Database, open_database
from toolkit.testing.runs import OWNER, START, add_run
from toolkit.tracking.records import ArtifactEntry, Metric, RunQuery
from toolkit.tracking.series import SeriesQuery
from toolkit.tracking.sql import SqlRunStore

_BIG = ("runs", "params", "tags", "metrics", "latest_metrics", "metric_keys", "artifacts", "inputs", "input_tags")


@pytest.fixture
def database(postgres_emptied_url: str) -> Iterator[Database]:
    database = open_database(postgres_emptied_url)
    yield database
    database.close()


@pytest.fixture
def store(database: Database) -> SqlRunStore:
    store = SqlRunStore(database, "file:///artifacts")
    for number in range(5):
        run_id = f"{number:032x}"
        add_run(store, run_id=run_id, start_time=START + number, params={"p": "1"}, owner=OWNER, lease_ms=60_000)
        store.log_batch(run_id, metrics=[Metric(key="m", value=1.0, timestamp=0, step=step) for step in range(5)])
        store.log_batch(run_id, metrics=[Metric(key="long", value=math.nan, timestamp=0, step=n) for n in range(50)])
        store.record_artifacts(run_id, [ArtifactEntry(path="a/b", size=1, sha256="0" * 64, created=0)])
    return store


@pytest.fixture
def scans(database: Database, store: SqlRunStore) -> list[str]:
    """The tables that are read from end to end from now on although the server avoids that where it can."""
    found: list[str] = []

    def look(node: dict[str, Any]) -> None:
        if node["Node Type"] == "Seq Scan" and node["Relation Name"] in _BIG:
            found.append(node["Relation Name"])
        for child in node.get("Plans", ()):
            look(child)

    def explain(_connection: object, cursor: Any, statement: str, parameters: Any, *_rest: object) -> None:  # noqa: ANN401 - psycopg's
        if not statement.lstrip("( ").startswith(("SELECT", "UPDATE", "WITH")) or "pg_" in statement:
            return
        with cursor.connection.cursor() as other:
            other.execute("SET LOCAL enable_seqscan = off")
            other.execute(f"EXPLAIN (FORMAT JSON) {statement}", parameters)
            look(other.fetchone()[0][0]["Plan"])

    event.listen(database.engine, "before_cursor_execute", explain)
    return found


RUN = f"{3:032x}"


@pytest.mark.parametrize(
    "call",
    [
        lambda store: store.get_run(RUN),
        lambda store: store.list_runs(RunQuery(limit=2)),
        lambda store: store.list_runs(RunQuery(limit=2, page_token=store.list_runs(RunQuery(limit=2)).next_page_token)),
        lambda store: store.list_runs(RunQuery(experiment_ids=["0"], limit=2)),
        lambda store: store.list_runs(RunQuery(run_name="brave-owl-1", limit=2)),
        lambda store: store.list_runs(RunQuery(parent_run_id=RUN, limit=2)),
        lambda store: store.list_runs(RunQuery(run_id_prefix=RUN[:8], limit=2)),
        lambda store: store.metric_history(RUN, "m", limit=2),
        lambda store: store.sample_series(SeriesQuery(run_ids=[RUN], keys=["m"], points=8)),
        lambda store: store.sample_series(SeriesQuery(run_ids=[RUN], keys=["long"], points=8)),
        lambda store: store.list_artifacts(RUN, prefix="a"),
        lambda store: store.renew_leases(OWNER, [RUN], lease_ms=60_000),
        lambda store: store.lost_candidates("elsewhere"),
        lambda store: store.log_batch(RUN, params={"q": "1"}, tags={"t": "1"}),
        lambda store: store.run_sizes([RUN]),
    ],
)
def test_no_table_is_read_from_end_to_end(
    store: SqlRunStore, scans: list[str], call: Callable[[SqlRunStore], object]
) -> None:
    call(store)
    assert scans == []


def test_what_has_no_index_is_noticed(database: Database, scans: list[str]) -> None:
    with database.read() as connection:
        connection.exec_driver_sql("SELECT * FROM runs WHERE user_id = %s", ("ada",)).all()
    assert scans == ["runs"]
