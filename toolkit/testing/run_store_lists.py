"""What every run store promises about lists: runs and artifacts, filtered and paged."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from toolkit.errors import Conflict, InvalidValue, NotFound
from toolkit.testing.runs import START, add_run, properties
from toolkit.tracking.records import ArtifactEntry, Lifecycle, Metric, RunQuery, RunStatus
from toolkit.tracking.store import RunStore

_DIGEST = "0f" * 32


def _ids(store: RunStore, query: RunQuery) -> list[str]:
    """Return the ids of all pages."""
    seen = []
    while True:
        page = store.list_runs(query)
        assert len(page.items) <= query.limit
        seen += [run.info.run_id for run in page.items]
        if page.next_page_token is None:
            return seen
        query = replace(query, page_token=page.next_page_token)


def _token(*parts: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(parts).encode()).decode().rstrip("=")


def _entry(path: str, size: int = 3) -> ArtifactEntry:
    return ArtifactEntry(path=path, size=size, sha256=_DIGEST, created=START)


class ListContract:
    """Lists of runs and of artifacts."""

    def test_runs_are_listed_newest_first(self, store: RunStore) -> None:
        """By start, ties by run id, with all that they logged, in pages of any size."""
        made = [
            add_run(store, run_id=f"r{n}", start_time=START + n // 3, params={"n": str(n)}) for n in (3, 1, 4, 0, 2)
        ]
        store.log_batch("r4", metrics=[Metric(key="m", value=1.5, timestamp=1, step=2)])
        wanted = ["r3", "r4", "r0", "r1", "r2"]
        page = store.list_runs(RunQuery())
        assert [run.info.run_id for run in page.items] == wanted
        assert page.next_page_token is None
        for run in page.items:
            assert run == store.get_run(run.info.run_id)
        assert len(made) == len(wanted)
        for limit in (1, 2, 4, 5, 50_000):
            assert _ids(store, RunQuery(limit=limit)) == wanted

    def test_pages_stand_still_while_runs_are_made(self, store: RunStore) -> None:
        """What was there is given once, whatever is added meanwhile."""
        for number in range(4):
            add_run(store, run_id=f"r{number}", start_time=START)
        first = store.list_runs(RunQuery(limit=2))
        add_run(store, run_id="r00", start_time=START)
        add_run(store, run_id="new", start_time=START + 9)
        rest = store.list_runs(RunQuery(limit=2, page_token=first.next_page_token))
        assert [run.info.run_id for run in [*first.items, *rest.items]] == ["r0", "r1", "r2", "r3"]

    def test_filters(self, store: RunStore) -> None:
        """Each alone, and together."""
        wine = store.create_experiment("wine").experiment_id
        beer = store.create_experiment("beer").experiment_id
        add_run(store, run_id="aa1", experiment_id=wine, run_name="x")
        add_run(store, run_id="aa2", experiment_id=wine, parent_run_id="aa1")
        add_run(store, run_id="ab1", experiment_id=beer)
        add_run(store, run_id="b_1", run_name="x")
        store.update_run("ab1", status=RunStatus.FAILED)
        store.update_run("b_1", lifecycle=Lifecycle.DELETED)
        both = [RunStatus.FAILED, RunStatus.KILLED]
        cases: list[tuple[RunQuery, list[str]]] = [
            (RunQuery(), ["aa1", "aa2", "ab1"]),
            (RunQuery(lifecycle=None), ["aa1", "aa2", "ab1", "b_1"]),
            (RunQuery(lifecycle=Lifecycle.DELETED), ["b_1"]),
            (RunQuery(experiment_ids=[wine]), ["aa1", "aa2"]),
            (RunQuery(experiment_ids=[wine, beer, "77", "nope"]), ["aa1", "aa2", "ab1"]),
            (RunQuery(experiment_ids=["nope"]), []),
            (RunQuery(experiment_ids=["0"], lifecycle=None), ["b_1"]),
            (RunQuery(parent_run_id="aa1"), ["aa2"]),
            (RunQuery(parent_run_id="nope"), []),
            (RunQuery(top_level=True), ["aa1", "ab1"]),
            (RunQuery(status=both), ["ab1"]),
            (RunQuery(run_id_prefix="aa"), ["aa1", "aa2"]),
            (RunQuery(run_id_prefix="a"), ["aa1", "aa2", "ab1"]),
            (RunQuery(run_id_prefix="a%"), []),
            (RunQuery(run_id_prefix="a_"), []),
            (RunQuery(run_id_prefix="A"), []),
            (RunQuery(run_id_prefix="a\U0010ffff"), []),
            (RunQuery(run_id_prefix="a\ud7ff"), []),
            (RunQuery(run_name="x"), ["aa1"]),
            (RunQuery(run_name="x", lifecycle=None), ["aa1", "b_1"]),
            (RunQuery(experiment_ids=[wine], top_level=True, run_name="x", status=[RunStatus.RUNNING]), ["aa1"]),
        ]
        for query, wanted in cases:
            assert _ids(store, query) == wanted, query
            assert _ids(store, replace(query, limit=1)) == wanted, query

    def test_bad_queries_are_refused(self, store: RunStore) -> None:
        """Texts that are no text, and pages that are too large."""
        for query in (
            RunQuery(limit=0),
            RunQuery(limit=50_001),
            RunQuery(run_name="\ud800"),
            RunQuery(run_id_prefix="\0"),
            RunQuery(parent_run_id="\ud800"),
        ):
            with pytest.raises(InvalidValue):
                store.list_runs(query)

    @pytest.mark.parametrize(
        "token",
        [
            "",
            "nonsense",
            "%%%",
            "é",
            "\ud800",
            "A" * 10_000,
            _token("runs"),
            _token("runs", 1),
            _token("runs", "1", "a"),
            _token("runs", 1.5, "a"),
            _token("runs", True, "a"),
            _token("runs", 2**63, "a"),
            _token("runs", 1, "\ud800"),
            _token("history", 1, 1, "nan", 0),
            _token("history", 1, 1, "1" * 400, 0),
            _token("history", 1, 1, "0x1p0", 0, 0),
            _token("experiments", None, 1),
            _token("artifacts", 1),
            _token(),
            base64.urlsafe_b64encode(b"{}").decode(),
            base64.urlsafe_b64encode(b"[" * 6_000).decode(),
        ],
    )
    def test_bad_page_tokens_are_refused(self, store: RunStore, token: str) -> None:
        """Whatever a client sends that is no token of this list."""
        run_id = add_run(store).info.run_id
        store.log_batch(run_id, metrics=[Metric(key="m", value=1.0, timestamp=0)])
        calls: list[Callable[[], object]] = [
            lambda: store.list_runs(RunQuery(page_token=token)),
            lambda: store.list_experiments(page_token=token),
            lambda: store.metric_history(run_id, "m", page_token=token),
            lambda: store.list_artifacts(run_id, page_token=token),
        ]
        for call in calls:
            with pytest.raises(InvalidValue, match="page_token"):
                call()

    def test_artifacts_are_listed(self, store: RunStore) -> None:
        """By path, below a path, in pages; recorded again they are changed."""
        run_id = add_run(store).info.run_id
        other = add_run(store).info.run_id
        paths = ["a", "model/MLmodel", "model/data/x", "model-old/x", "model.txt", "m*[1]?/é %2e"]
        store.record_artifacts(run_id, [_entry(path) for path in paths])
        store.record_artifacts(other, [_entry("elsewhere")])
        store.record_artifacts(run_id, [_entry("a", 1), _entry("a", 9)])
        store.record_artifacts(run_id, [])
        found = store.list_artifacts(run_id).items
        assert [entry.path for entry in found] == sorted(paths)
        assert found[0] == _entry("a", 9)
        below = {
            "model": ["model/MLmodel", "model/data/x"],
            "model/data": ["model/data/x"],
            "model.txt": ["model.txt"],
            "mod": [],
            "m*[1]?": ["m*[1]?/é %2e"],
            "%": [],
        }
        for prefix, wanted in below.items():
            assert [entry.path for entry in store.list_artifacts(run_id, prefix=prefix).items] == wanted, prefix
        seen: list[str] = []
        token = None
        while True:
            page = store.list_artifacts(run_id, limit=2, page_token=token)
            seen += [entry.path for entry in page.items]
            token = page.next_page_token
            if token is None:
                break
        assert seen == sorted(paths)

    @pytest.mark.parametrize(
        "path", ["", "/a", "a//b", "../a", "a/..", ".", "a\\b", "a\0", "a\nb", "\ud800", "x" * 1_025]
    )
    def test_bad_artifact_paths_are_refused(self, store: RunStore, path: str) -> None:
        """Only clean relative paths, and nothing of a list that has another."""
        run_id = add_run(store).info.run_id
        with pytest.raises(InvalidValue):
            store.record_artifacts(run_id, [_entry("fine"), _entry(path)])
        if path:
            with pytest.raises(InvalidValue):
                store.list_artifacts(run_id, prefix=path)
        assert not store.list_artifacts(run_id).items

    def test_artifacts_are_forgotten(self, store: RunStore) -> None:
        """Those that are named and no others; unknown ones are passed over, a deleted run loses none."""
        run_id, other = (add_run(store).info.run_id for _ in range(2))
        paths = ["a", "a%", "a_", "dir/x", "dirx"]
        for each in (run_id, other):
            store.record_artifacts(each, [_entry(path) for path in paths])
        assert list(store.forget_artifacts(run_id, ["dir/x", "a_", "nope", "a_"])) == ["a_", "dir/x"]
        assert list(store.forget_artifacts(run_id, ["a_"])) == []
        assert [entry.path for entry in store.list_artifacts(run_id).items] == ["a", "a%", "dirx"]
        assert [entry.path for entry in store.list_artifacts(other).items] == sorted(paths)
        with pytest.raises(InvalidValue):
            store.forget_artifacts(run_id, ["a", "../a"])
        store.update_run(run_id, lifecycle=Lifecycle.DELETED)
        with pytest.raises(Conflict):
            store.forget_artifacts(run_id, ["a"])
        with pytest.raises(NotFound):
            store.forget_artifacts("f" * 32, ["a"])
        assert [entry.path for entry in store.list_artifacts(run_id).items] == ["a", "a%", "dirx"]

    def test_bad_artifact_entries_are_refused(self, store: RunStore) -> None:
        """Sizes and digests; and a deleted run takes none."""
        run_id = add_run(store).info.run_id
        for changes in ({"size": -1}, {"size": 2**63}, {"sha256": "x"}, {"sha256": _DIGEST.upper()}, {"created": -1}):
            with pytest.raises(InvalidValue):
                store.record_artifacts(run_id, [replace(_entry("a"), **changes)])
        store.update_run(run_id, lifecycle=Lifecycle.DELETED)
        with pytest.raises(Conflict):
            store.record_artifacts(run_id, [_entry("a")])

    @properties
    @given(
        parts=st.lists(
            st.text(
                st.characters(exclude_categories=["Cs", "Cc"], exclude_characters="/\\"), min_size=1, max_size=8
            ).filter(lambda part: part not in (".", "..")),
            min_size=1,
            max_size=4,
        )
    )
    def test_artifact_paths_round_trip(self, store: RunStore, parts: list[str]) -> None:
        """Any Unicode is a name."""
        run_id = add_run(store).info.run_id
        path = "/".join(parts)
        store.record_artifacts(run_id, [_entry(path)])
        assert list(store.list_artifacts(run_id, prefix=parts[0]).items) == [_entry(path)]
