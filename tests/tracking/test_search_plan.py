"""Searches are evaluated by indices, and what would take long is given up for another way."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import event

from toolkit.db import effort
from toolkit.db.engine import Database, open_database
from toolkit.testing.runs import START, add_run
from toolkit.tracking.records import Lifecycle, Metric, RunStatus, SearchQuery
from toolkit.tracking.sql import SqlRunStore

_EXAMPLE = "metrics.rmse < 0.3 AND params.alpha = '0.5'"


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    database = open_database(f"sqlite:///{tmp_path}/toolkit.db")
    yield database
    database.close()


@pytest.fixture
def store(database: Database) -> SqlRunStore:
    store = SqlRunStore(database, "file:///artifacts")
    for number in range(12):
        run = add_run(store, start_time=START + number, params={"alpha": "0.5"}, tags={"team": "x"})
        store.log_batch(run.info.run_id, metrics=[Metric(key="rmse", value=number / 100, timestamp=0)])
        store.update_run(run.info.run_id, status=RunStatus.FINISHED, end_time=START + number)
    return store


@pytest.fixture
def plans(database: Database, store: SqlRunStore) -> list[tuple[str, list[str]]]:
    """What each SELECT from now on does: its text and the steps of its plan."""
    seen: list[tuple[str, list[str]]] = []

    def explain(_connection: object, cursor: object, statement: str, parameters: object, *_rest: object) -> None:
        if statement.startswith("SELECT"):
            raw = cursor.connection.execute(f"EXPLAIN QUERY PLAN {statement}", parameters)  # type: ignore[attr-defined]
            seen.append((statement, [row[3] for row in raw.fetchall()]))

    event.listen(database.engine, "before_cursor_execute", explain)
    return seen


def of_runs(plans: Sequence[tuple[str, list[str]]]) -> list[list[str]]:
    return [steps for text, steps in plans if text.startswith("SELECT runs.id")]


@pytest.mark.parametrize(
    ("query", "first", "index"),
    [
        (
            SearchQuery(filter=_EXAMPLE, order_by=["metrics.rmse"]),
            "SEARCH",
            "latest_metrics_by_value (key=? AND value<?)",
        ),
        (
            SearchQuery(filter=_EXAMPLE, order_by=["metrics.rmse DESC"]),
            "SEARCH",
            "latest_metrics_by_value (key=? AND value",
        ),
        (SearchQuery(order_by=["metrics.rmse"], experiment_ids=["0"]), "SEARCH", "latest_metrics_by_value (key=?"),
        (SearchQuery(order_by=["params.alpha"]), "SEARCH", "params_by_value (key=?"),
        (SearchQuery(order_by=["tags.team DESC"]), "SEARCH", "tags_by_value (key=?"),
        (SearchQuery(order_by=["end_time DESC"]), "SEARCH", "runs_by_end (end_time>?)"),
        (SearchQuery(filter=_EXAMPLE, experiment_ids=["0"]), "SEARCH", "runs_of_experiment (experiment=?"),
        (SearchQuery(filter=_EXAMPLE), "S", "runs_by_start"),
        (SearchQuery(filter=_EXAMPLE, experiment_ids=["0", "1"]), "S", "runs_by_start"),
        (SearchQuery(), "S", "runs_by_start"),
        (SearchQuery(experiment_ids=["0"]), "SEARCH", "runs_of_experiment (experiment=?"),
    ],
)
def test_a_page_walks_the_index_of_its_order(
    store: SqlRunStore,
    plans: list[tuple[str, list[str]]],
    query: SearchQuery,
    first: str,
    index: str,
) -> None:
    query = replace(query, limit=2)
    later = replace(query, page_token=store.search_runs(query).next_page_token)
    store.search_runs(later)
    found = of_runs(plans)
    sections = [steps for steps in found if index.partition(" ")[0] in steps[0]]
    assert len(sections) == 2, found
    for steps in sections:
        assert steps[0].startswith(first), steps
        assert not any("ORDER BY" in step and "LAST" not in step and "RIGHT PART" not in step for step in steps), steps
        assert not any(step.startswith("SCAN") and "VIRTUAL" not in step for step in steps[1:]), steps
    assert index in sections[0][0]


@pytest.mark.parametrize(
    ("text", "index"),
    [
        (_EXAMPLE, "params_by_value (key=? AND value=?)"),
        ("params.alpha IN ('0.5', '0.7') AND status != 'x'", "params_by_value (key=? AND value=?)"),
        ("params.alpha != '0.7'", "params_by_value (key=?)"),
        ("params.alpha REGEXP '7'", "params_by_value (key=?)"),
        ("tags.team = 'x'", "tags_by_value (key=? AND value=?)"),
        ("tags.team LIKE '%x'", "tags_by_value (key=?)"),
        ("tags.team IS NULL", "tags_by_value (key=?)"),
        ("metrics.rmse BETWEEN 0 AND 0.05", "latest_metrics_by_value (key=? AND value>? AND value<?)"),
        ("NOT (metrics.rmse = 0.05)", "latest_metrics_by_value (key=? AND value=?"),
        ("metrics.rmse = 0.05 OR params.alpha = '7'", "latest_metrics_by_value (key=? AND value=?"),
    ],
)
def test_all_that_is_found_is_told_by_indices(
    store: SqlRunStore, plans: list[tuple[str, list[str]]], text: str, index: str
) -> None:
    """Each condition reads one stretch of an index, without the table; no run is looked up but those of a page."""
    for call in (
        lambda: store.search_runs(SearchQuery(filter=text, order_by=["status"])),
        lambda: store.count_runs(SearchQuery(filter=text)),
    ):
        plans.clear()
        call()
        assert any(f"USING COVERING INDEX {index}" in step for _, steps in plans for step in steps), plans
        assert not any(
            step.startswith(("SCAN latest", "SCAN params", "SCAN tags")) for _, steps in plans for step in steps
        )


@pytest.mark.parametrize("experiments", [(), ("0",), ("0", "1")])
@pytest.mark.parametrize("lifecycle", [None, Lifecycle.ACTIVE, Lifecycle.DELETED])
def test_counting_reads_no_rows(
    store: SqlRunStore, plans: list[tuple[str, list[str]]], experiments: Sequence[str], lifecycle: Lifecycle | None
) -> None:
    store.count_runs(SearchQuery(experiment_ids=experiments, lifecycle=lifecycle))
    (steps,) = (steps for _, steps in plans)
    assert "USING COVERING INDEX" in steps[0]
    assert not any("runs" in step for step in steps[1:]), "nothing else is looked at"


def test_a_walk_that_takes_long_is_given_up(
    store: SqlRunStore, plans: list[tuple[str, list[str]]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where a page is full soon, the index of the order is walked; else what is found is told first, and taken."""
    query = SearchQuery(filter="NOT (params.alpha = '0.5')", order_by=["metrics.rmse"], limit=1)
    store.search_runs(query)
    assert not any("group_concat" in text for text, _ in plans)
    plans.clear()
    monkeypatch.setattr(effort, "_STEPS", 1)
    store.search_runs(query)
    assert any("group_concat" in text for text, _ in plans)
    assert of_runs(plans)[-1][0].startswith("SEARCH runs USING INTEGER PRIMARY KEY")
    assert store.search_runs(SearchQuery(order_by=["metrics.rmse"])).items, "the connection is as it was"


def test_what_is_not_asked_for_is_not_read(store: SqlRunStore, plans: list[tuple[str, list[str]]]) -> None:
    store.search_runs(SearchQuery(fields=["metrics.rmse"]))
    assert len(plans) == 2
    assert "SEARCH latest_metrics USING PRIMARY KEY (run=? AND key=?)" in plans[1][1]
    plans.clear()
    store.search_runs(SearchQuery(fields=[]))
    assert len(plans) == 1
