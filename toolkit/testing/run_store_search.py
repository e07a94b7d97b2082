"""What every run store promises about search: the meaning of filters, orders, pages, counts and loaded fields."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings

from toolkit.errors import InvalidValue
from toolkit.testing import searches
from toolkit.testing.runs import START, add_run, properties
from toolkit.tracking.memory import MemoryRunStore
from toolkit.tracking.records import Lifecycle, Metric, Run, RunStatus, SearchQuery
from toolkit.tracking.store import RunStore


def all_runs(store: RunStore, query: SearchQuery) -> list[Run]:
    """Return the runs of all pages."""
    seen: list[Run] = []
    while True:
        page = store.search_runs(query)
        assert len(page.items) <= query.limit
        seen += page.items
        if page.next_page_token is None:
            return seen
        query = replace(query, page_token=page.next_page_token)


def ids(store: RunStore, text: str = "", *order_by: str, limit: int = 1000) -> list[str]:
    """Return the ids of the runs that a filter finds."""
    return [run.info.run_id for run in all_runs(store, SearchQuery(filter=text, order_by=order_by, limit=limit))]


def log(store: RunStore, run_id: str, metrics: Mapping[str, float] | None = None, **params: str) -> None:
    """Make a run that logged these values."""
    number = len(ids(store))
    add_run(store, run_id=run_id, start_time=START + number, run_name=f"Run {run_id}", params=params, tags=params)
    points = [Metric(key=key, value=value, timestamp=0) for key, value in (metrics or {}).items()]
    store.log_batch(run_id, metrics=points)


class SearchContract:
    """Search over runs and experiments. A subclass gives the fixture ``store``."""

    @pytest.mark.parametrize("seed", range(2))
    def test_it_finds_what_the_memory_store_finds(self, store: RunStore, seed: int) -> None:
        """Random searches over random runs give the same runs in the same order, and as many as are counted."""
        memory = MemoryRunStore(store.get_experiment("0").artifact_location.removesuffix("/0"))
        for each in (store, memory):
            searches.fill(each, seed)

        @settings(properties, max_examples=60)
        @given(query=searches.queries)
        def agree(query: SearchQuery) -> None:
            here, there = all_runs(store, query), all_runs(memory, query)
            assert [run.info.run_id for run in here] == [run.info.run_id for run in there]
            # repr, because NaN is not equal to itself
            assert [_shown(run) for run in here] == [_shown(run) for run in there]
            assert store.count_runs(query) == len(here)

        agree()

    def test_a_value_that_is_not_there(self, store: RunStore) -> None:
        """Nothing but IS NULL is true of it; and NOT (…) where (…) is false."""
        log(store, "a", {"m": 1.0}, p="x")
        log(store, "b")
        for text in ("params.p != 'y'", "tags.p LIKE '%'", "params.p NOT IN ('y')", "metrics.m != 7", "metrics.m < 7"):
            assert ids(store, text) == ["a"], text
        for text in ("params.p IS NULL", "tags.p is null", "metrics.m IS NULL", "NOT (params.p = 'x')"):
            assert ids(store, text) == ["b"], text
        assert ids(store, "params.p IS NOT NULL AND metrics.m IS NOT NULL AND tags.p IS NOT NULL") == ["a"]
        assert ids(store, "end_time IS NULL AND dataset.name IS NULL AND NOT datasets.digest = 'x'") == ["b", "a"]

    def test_nan_is_just_not_equal(self, store: RunStore) -> None:
        """It satisfies != and nothing else; as with numbers, infinity is one."""
        log(store, "nan", {"m": math.nan})
        log(store, "inf", {"m": math.inf})
        log(store, "one", {"m": 1.0})
        assert ids(store, "metrics.m != 1") == ["inf", "nan"]
        assert ids(store, "metrics.m NOT IN (1, 2)") == ["inf", "nan"]
        assert ids(store, "metrics.m >= 1") == ["one", "inf"]
        assert ids(store, "metrics.m = 1e999") == ["inf"]
        assert ids(store, "metrics.m NOT BETWEEN 5 AND 6") == ["one", "inf"]
        assert ids(store, "metrics.m <= 1e999") == ["one", "inf"]
        assert ids(store, "metrics.m IS NOT NULL") == ["one", "inf", "nan"]

    def test_a_metric_is_its_latest_value(self, store: RunStore) -> None:
        """The one of the greatest step, whatever came last."""
        log(store, "a")
        for step, value in ((1, 5.0), (9, 2.0), (3, 7.0)):
            store.log_batch("a", metrics=[Metric(key="m", value=value, timestamp=0, step=step)])
        assert ids(store, "metrics.m = 2") == ["a"]
        assert ids(store, "metrics.m > 2") == []
        store.log_batch("a", metrics=[Metric(key="m", value=8.0, timestamp=0, step=10)])
        assert ids(store, "metrics.m = 2") == []
        assert ids(store, "metrics.m > 2", "metrics.m") == ["a"]

    def test_case_and_wildcards(self, store: RunStore) -> None:
        """LIKE and = tell cases apart, ILIKE does not; what other programs take for wildcards is text."""
        log(store, "a", p="Train.py")
        log(store, "b", p="train*[x]?")
        log(store, "c", p="MÜLLER")
        cases = {
            "params.p LIKE 'train%'": ["b"],
            "params.p ILIKE 'train%'": ["b", "a"],
            "params.p = 'train.py'": [],
            "params.p LIKE 'T____.py'": ["a"],
            "params.p LIKE '%*[x]?'": ["b"],
            "params.p LIKE '*'": [],
            "params.p ILIKE 'müll%'": ["c"],
            "params.p NOT ILIKE 'T%'": ["c"],
            "params.p REGEXP '^[Tt]rain'": ["b", "a"],
            "params.p REGEXP 'LL'": ["c"],
            "run_name ILIKE 'run A'": ["a"],
            "tags.`mlflow.runName` = 'Run b'": ["b"],
        }
        for text, wanted in cases.items():
            assert ids(store, text) == wanted, text

    def test_expressions_cannot_stop_the_store(self, store: RunStore) -> None:
        """What takes a backtracking engine for ever takes no time."""
        log(store, "a", p="a" * 6_000)
        assert ids(store, "params.p REGEXP '(a+)+$|(a|a)*b'") == ["a"]
        assert ids(store, f"params.p LIKE '{'%a' * 300}b'") == []

    @pytest.mark.parametrize(
        ("key", "ascending", "descending"),
        [
            ("metrics.m", ["one", "two", "inf", "nan", "none", "lacks"], ["inf", "two", "one", "nan", "none", "lacks"]),
            ("params.p", ["nan", "one", "two", "inf", "none", "lacks"], ["two", "one", "nan", "inf", "none", "lacks"]),
            ("tags.p", ["nan", "one", "two", "inf", "none", "lacks"], ["two", "one", "nan", "inf", "none", "lacks"]),
        ],
    )
    def test_orders(self, store: RunStore, key: str, ascending: list[str], descending: list[str]) -> None:
        """NaN after the numbers and what lacks the key last, in both directions; ties by newest start."""
        log(store, "lacks")
        log(store, "none")
        log(store, "nan", {"m": math.nan}, p="A")
        log(store, "inf", {"m": math.inf})
        log(store, "two", {"m": 2.0}, p="b")
        log(store, "one", {"m": 1.0}, p="a")
        for limit in (1, 2, 5, 1000):
            assert ids(store, "", key, limit=limit) == ascending
            assert ids(store, "", f"{key} DESC", limit=limit) == descending
        assert ids(store, f"{key} IS NOT NULL", f"{key} DESC", limit=1) == [
            each for each in descending if each in ids(store, f"{key} IS NOT NULL")
        ]

    def test_long_values_are_found_and_ordered(self, store: RunStore) -> None:
        """Those that no index holds too."""
        log(store, "a", p="x" * 200)
        log(store, "b", p="x" * 199 + "y" * 300)
        log(store, "c", p="x" * 200 + "z")
        assert ids(store, f"params.p = '{'x' * 200}z'") == ["c"]
        assert ids(store, f"params.p IN ('{'x' * 200}', '{'x' * 200}z')") == ["c", "a"]
        assert ids(store, "", "params.p", limit=1) == ["c", "a", "b"], "the first 200 characters, then newest start"
        assert ids(store, "", "params.p DESC", limit=1) == ["b", "c", "a"]

    def test_pages_stand_still_while_runs_are_made(self, store: RunStore) -> None:
        """What was there is given once, whatever is added meanwhile."""
        for number in range(6):
            log(store, f"r{number}", {"m": number // 2})
        query = SearchQuery(order_by=["metrics.m"], limit=2)
        first = store.search_runs(query)
        log(store, "before", {"m": -1.0})
        log(store, "after", {"m": 1.5})
        rest = all_runs(store, replace(query, page_token=first.next_page_token))
        seen = [run.info.run_id for run in [*first.items, *rest]]
        assert seen == ["r1", "r0", "r3", "r2", "after", "r5", "r4"]

    def test_a_token_fits_its_own_search_only(self, store: RunStore) -> None:
        """Filter, order, experiments and lifecycle are bound; the size of a page and the fields are not."""
        for number in range(3):
            log(store, f"r{number}", {"m": number})
        query = SearchQuery(filter="metrics.m >= 0", order_by=["metrics.m"], experiment_ids=["0"], limit=1)
        token = store.search_runs(query).next_page_token
        changes: dict[str, Any]
        for changes in ({"limit": 2}, {"fields": []}, {"filter": " metrics.m >= 0 "}, {"order_by": ["metric.m asc"]}):
            assert store.search_runs(replace(query, page_token=token, **changes)).items
        for changes in (
            {"filter": "metrics.m >= 1"},
            {"order_by": ["metrics.m DESC"]},
            {"experiment_ids": []},
            {"lifecycle": None},
        ):
            with pytest.raises(InvalidValue, match="page_token"):
                store.search_runs(replace(query, page_token=token, **changes))
        with pytest.raises(InvalidValue, match="page_token"):
            store.search_experiments(SearchQuery(page_token=token))

    def test_only_the_fields_asked_for_are_loaded(self, store: RunStore) -> None:
        """What a run is comes always."""
        log(store, "a", {"m": 1.0, "n": 2.0}, p="1", q="2")
        whole = store.get_run("a")

        def loaded(*fields: str) -> tuple[set[str], set[str], set[str]]:
            (run,) = store.search_runs(SearchQuery(fields=fields)).items
            assert run.info == whole.info
            assert set(run.data.latest) == set(run.data.metrics)
            return set(run.data.metrics), set(run.data.params), set(run.data.tags)

        assert store.search_runs(SearchQuery()).items == [whole]
        assert loaded() == (set(), set(), set())
        assert loaded("status", "metrics.m", "params.nope") == ({"m"}, set(), set())
        assert loaded("metrics.*", "params.q", "tags.p") == ({"m", "n"}, {"q"}, {"p"})

    @pytest.mark.parametrize(
        "query",
        [
            SearchQuery(filter="metrics.m <"),
            SearchQuery(filter="nope = 'x'"),
            SearchQuery(filter="params.p REGEXP '('"),
            SearchQuery(filter="params.p = '\0'"),
            SearchQuery(filter="params.p = '\ud800'"),
            SearchQuery(order_by=["metrics.m", "metric.m DESC"]),
            SearchQuery(order_by=["start_time", "Created"]),
            SearchQuery(order_by="metrics.m"),
            SearchQuery(order_by=[f"metrics.m{n}" for n in range(9)]),
            SearchQuery(fields=["nope.*"]),
            SearchQuery(limit=0),
            SearchQuery(limit=50_001),
            SearchQuery(page_token="nope"),  # noqa: S106 - a page's
            SearchQuery(experiment_ids=["\ud800"]),
        ],
    )
    def test_bad_searches_are_refused(self, store: RunStore, query: SearchQuery) -> None:
        """Each with what was wanted; by both calls."""
        for call in (store.search_runs, store.count_runs):
            with pytest.raises(InvalidValue):
                call(query)

    def test_experiments(self, store: RunStore) -> None:
        """By name, time, id and tag; ties by id."""
        for name in ("wine", "Beer", "tea"):
            store.create_experiment(name, tags={"team": name[0], "n": "1"})
        store.update_experiment("3", lifecycle=Lifecycle.DELETED)
        cases: dict[tuple[str, str], list[str]] = {
            ("", "experiment_id"): ["0", "1", "2"],
            ("", "experiment_id DESC"): ["2", "1", "0"],
            ("name LIKE '%e%' AND attributes.name != 'Default'", "name"): ["2", "1"],
            ("name ILIKE 'B%' OR experiment_id = '0'", "name"): ["2", "0"],
            ("experiment_id NOT IN ('0', '2')", "name"): ["1"],
            ("tags.team IS NULL", "name"): ["0"],
            ("tags.team != 'w'", "name"): ["2"],
            ("creation_time > 0 AND last_update_time >= 1.5", "tags.team desc"): ["1", "2", "0"],
            ("creation_time BETWEEN 5 AND 6", "name"): [],
            ("tag.n = '1'", "tag.n, name".split(",")[0]): ["1", "2"],
            ("name REGEXP '^[wt]'", "name"): ["1"],
        }
        for (text, order), wanted in cases.items():
            for limit in (1, 1000):
                query, seen = SearchQuery(filter=text, order_by=[order], limit=limit), []
                while True:
                    page = store.search_experiments(query)
                    seen += [each.experiment_id for each in page.items]
                    if page.next_page_token is None:
                        break
                    query = replace(query, page_token=page.next_page_token)
                if order == "tag.n":
                    seen.sort()
                assert seen == wanted, text
        deleted = store.search_experiments(SearchQuery(lifecycle=Lifecycle.DELETED)).items
        assert deleted == [store.get_experiment("3")]
        assert len(store.search_experiments(SearchQuery(lifecycle=None, experiment_ids=["1", "3", "x"])).items) == 2
        with pytest.raises(InvalidValue, match="experiments have"):
            store.search_experiments(SearchQuery(filter="metrics.m = 1"))

    def test_statuses_and_times(self, store: RunStore) -> None:
        """Attributes by their names and by MLflow's other names."""
        for run_id in ("a", "b"):
            log(store, run_id)
        store.update_run("a", status=RunStatus.FAILED, end_time=START + 50)
        for text in (
            "status = 'FAILED'",
            "attribute.status IN ('FAILED', 'KILLED')",
            f"attr.end_time > {START + 49}",
            f"created <= {START}",
            f'"Created" < {START + 1}',
            "`Run Name` = 'Run a'",
            "run.run_id != 'b'",
            "run_id NOT IN ('b')",
        ):
            assert ids(store, text) == ["a"], text


def _shown(run: Run) -> str:
    data = run.data
    values = (sorted(each.items()) for each in (data.metrics, data.params, data.tags, data.latest))
    return repr((run.info, *values))
