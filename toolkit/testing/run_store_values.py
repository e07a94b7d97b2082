"""What every run store promises about what runs log: exact, all or nothing, in MLflow's words."""

from __future__ import annotations

import math
import struct
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import given
from hypothesis import strategies as st

from toolkit.errors import Conflict, InvalidValue
from toolkit.testing.runs import add_run, properties
from toolkit.tracking.records import Metric, Run
from toolkit.tracking.store import RunStore

_texts = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=60)
_int64 = st.integers(-(2**63), 2**63 - 1)
_points = st.builds(
    Metric,
    key=st.sampled_from(["loss", "val/acc", "Ünïcode é", "a b:c"]),
    value=st.floats() | st.sampled_from([math.nan, math.inf, -math.inf, 0.0, -0.0, 5e-324, 1.0]),
    timestamp=st.integers(0, 3) | st.integers(0, 2**63 - 1),
    step=st.integers(-2, 2) | _int64 | st.just(2**53 + 1),
)


def bits(value: float) -> bytes:
    """Return what tells one float from any other, NaN being one."""
    return struct.pack(">d", math.nan if math.isnan(value) else value)


def exact(metric: Metric) -> tuple[str, bytes, int, int]:
    """Return a point in a form that compares exactly."""
    return metric.key, bits(metric.value), metric.timestamp, metric.step


def _rank(metric: Metric) -> tuple[int, int, bool, float, float]:
    """Return what points of a metric are ordered by: step, timestamp, value; NaN last, -0.0 before 0.0."""
    nan = math.isnan(metric.value)
    value = 0.0 if nan else metric.value
    return metric.step, metric.timestamp, nan, value, math.copysign(1.0, value)


class ValueContract:
    """Metrics, parameters and tags."""

    def test_a_batch_is_there_at_once(self, store: RunStore) -> None:
        """Read after write, of all three kinds, and the latest of each metric."""
        run_id = add_run(store, tags={"old": "1", "gone": "1"}).info.run_id
        store.log_batch(
            run_id,
            metrics=[Metric(key="m", value=float(step), timestamp=9 - step, step=step) for step in (0, 2, 1)],
            params={"a": "", "b": "x" * 6_000},
            tags={"old": "2", "gone": None, "never": None, "new": "x" * 8_000},
        )
        data = store.get_run(run_id).data
        assert data.metrics == {"m": 2.0}
        assert data.latest == {"m": Metric(key="m", value=2.0, timestamp=7, step=2)}
        assert data.params == {"a": "", "b": "x" * 6_000}
        assert {key: value for key, value in data.tags.items() if not key.startswith("mlflow.")} == {
            "old": "2",
            "new": "x" * 8_000,
        }
        assert [point.step for point in store.metric_history(run_id, "m").items] == [0, 1, 2]

    @properties
    @given(batches=st.lists(st.lists(_points, max_size=8), max_size=4))
    def test_points_round_trip_exactly(self, store: RunStore, batches: list[list[Metric]]) -> None:
        """NaN, infinities, -0.0, subnormals and steps beyond 2^53; each point once; the greatest is the latest."""
        run_id = add_run(store).info.run_id
        for batch in batches:
            store.log_batch(run_id, metrics=batch)
        logged = {exact(point): point for batch in batches for point in batch}
        data = store.get_run(run_id).data
        assert set(data.latest) == set(data.metrics) == {point.key for point in logged.values()}
        for key, latest in data.latest.items():
            wanted = sorted((point for point in logged.values() if point.key == key), key=_rank)
            found = store.metric_history(run_id, key).items
            assert [exact(point) for point in found] == [exact(point) for point in wanted]
            assert exact(latest) == exact(wanted[-1])
            assert bits(data.metrics[key]) == bits(wanted[-1].value)

    @properties
    @given(name=_texts.filter(bool), value=_texts)
    def test_text_round_trips_exactly(self, store: RunStore, name: str, value: str) -> None:
        """Any Unicode, in values, names and reasons."""
        run = add_run(store, run_name=name, user_id=value, tags={"t": value}, params={"p": value})
        store.log_batch(run.info.run_id, tags={"u": value})
        store.update_run(run.info.run_id, reason=value)
        found = store.get_run(run.info.run_id)
        assert (found.info.run_name, found.info.user_id, found.info.reason) == (name, value, value)
        assert (found.data.tags["t"], found.data.tags["u"], found.data.params["p"]) == (value, value, value)

    def test_history_pages(self, store: RunStore) -> None:
        """Each point once, whatever the page size, also where steps and times are the same."""
        run_id = add_run(store).info.run_id
        values = [math.nan, -math.inf, math.inf, -0.0, 0.0, 1.0, -1.0]
        points = [
            Metric(key="m", value=value, timestamp=t, step=s) for s in (-1, 0) for t in (0, 5) for value in values
        ]
        store.log_batch(run_id, metrics=[*points, Metric(key="n", value=1.0, timestamp=0)])
        whole = [exact(point) for point in store.metric_history(run_id, "m").items]
        assert sorted(whole) == sorted(exact(point) for point in points)
        for limit in (1, 3, 27, 28):
            seen: list[Metric] = []
            token = None
            while True:
                page = store.metric_history(run_id, "m", limit=limit, page_token=token)
                assert len(page.items) <= limit
                seen += page.items
                token = page.next_page_token
                if token is None:
                    break
            assert [exact(point) for point in seen] == whole
        for unknown in ("nope", "", "a$b", "\ud800"):
            page = store.metric_history(run_id, unknown)
            assert (list(page.items), page.next_page_token) == ([], None)
        with pytest.raises(InvalidValue):
            store.metric_history(run_id, "m", limit=0)

    @pytest.mark.parametrize(
        ("changes", "message"),
        [
            (
                {"key": "a$b"},
                "Invalid value \"a$b\" for parameter 'name' supplied: Names may only contain alphanumerics",
            ),
            ({"key": ""}, "A key name must be provided"),
            ({"key": None}, "A key name must be provided"),
            ({"key": "a/../b"}, "must not resolve to other names"),
            ({"key": "/a"}, "must not resolve to other names"),
            ({"key": "."}, "must not resolve to other names"),
            ({"key": "x" * 251}, "'Metric name' exceeds the maximum length of 250 characters"),
            ({"key": "a\n"}, "Names may only contain"),
            ({"value": "1.0"}, "valid double"),
            ({"value": None}, "valid double"),
            ({"value": True}, "valid double"),
            ({"value": 10**400}, "valid double"),
            ({"timestamp": -1}, "Timestamp must be a nonnegative long"),
            ({"timestamp": 2**63}, "Timestamp must be"),
            ({"timestamp": 1.5}, "Timestamp must be"),
            ({"step": 2**63}, "Step must be a valid long"),
            ({"step": -(2**63) - 1}, "Step must be a valid long"),
            ({"step": "1"}, "Step must be a valid long"),
        ],
    )
    def test_bad_points_are_refused_with_all(self, store: RunStore, changes: dict[str, object], message: str) -> None:
        """In MLflow's words, with the place in the batch; nothing of the batch is kept."""
        run = add_run(store)
        good = Metric(key="good", value=1.0, timestamp=0)
        bad = Metric(**{"key": "m", "value": 1.0, "timestamp": 0, **changes})  # type: ignore[arg-type]
        with pytest.raises(InvalidValue) as alone:
            store.log_batch(run.info.run_id, metrics=[bad])
        assert message in str(alone.value)
        with pytest.raises(InvalidValue) as second:
            store.log_batch(run.info.run_id, metrics=[good, bad], params={"p": "1"}, tags={"t": "1"})
        if "exceeds" not in message:
            assert "for parameter 'metrics[1]." in str(second.value)
        assert store.get_run(run.info.run_id) == run

    def test_keys_at_their_limits(self, store: RunStore) -> None:
        """250 characters, and all that MLflow's rule allows."""
        run_id = add_run(store).info.run_id
        keys = ["x" * 250, "a/b c:d-e_f.g", "ключ", "0"]
        values = dict.fromkeys(keys, "v")
        store.log_batch(
            run_id,
            metrics=[Metric(key=key, value=1, timestamp=2**63 - 1, step=-(2**63)) for key in keys],
            params=values,
            tags=values,
        )
        data = store.get_run(run_id).data
        assert data.params == values
        assert set(data.metrics) == set(keys)
        assert set(keys) <= set(data.tags)

    @pytest.mark.parametrize(
        ("values", "message"),
        [
            ({"a": "x" * 6_001}, "'Param value' exceeds the maximum length of 6000 characters"),
            ({"a$": "x"}, "for parameter 'key' supplied: Names may only contain"),
            ({"ok": "1", "a\\b": "x"}, "for parameter 'params[1].key' supplied"),
            ({"a": "\0"}, "NUL"),
            ({"a": "\udfff"}, "surrogates"),
            ({"a": 1}, "Value was of type 'int'"),
        ],
    )
    def test_bad_parameters_are_refused(self, store: RunStore, values: Mapping[str, str], message: str) -> None:
        """Too long is refused, not cut."""
        run = add_run(store)
        with pytest.raises(InvalidValue) as error:
            store.log_batch(run.info.run_id, params=values)
        assert message in str(error.value)
        assert store.get_run(run.info.run_id) == run

    def test_bad_tags_are_refused(self, store: RunStore) -> None:
        """Too long is refused, not cut."""
        run = add_run(store)
        for tags in ({"a": "x" * 8_001}, {"": "x"}, {"a": "\ud800"}, {"..": None}):
            with pytest.raises(InvalidValue):
                store.log_batch(run.info.run_id, tags=tags)
        assert store.get_run(run.info.run_id) == run

    def test_changed_parameters_are_refused_with_all(self, store: RunStore) -> None:
        """The same value again is quiet; another one is MLflow's error, and nothing of the batch is kept."""
        run_id = add_run(store, params={"k": "a", "same": "1"}).info.run_id
        store.log_batch(run_id, params={"k": "a", "same": "1"})
        before = store.get_run(run_id)
        with pytest.raises(Conflict) as single:
            store.log_batch(run_id, params={"k": "b"})
        assert str(single.value) == (
            "Changing param values is not allowed. Param with key='k' was already logged with value='a' for run "
            f"ID='{run_id}'. Attempted logging new value 'b'."
        )
        with pytest.raises(Conflict) as several:
            store.log_batch(
                run_id,
                params={"new": "1", "k": "b", "same": "1"},
                tags={"t": "1"},
                metrics=[Metric(key="m", value=1.0, timestamp=0)],
            )
        assert str(several.value) == (
            "Changing param values is not allowed. Params were already logged='[{'key': 'k', 'old_value': 'a', "
            f"'new_value': 'b'}}]' for run ID='{run_id}'."
        )
        assert store.get_run(run_id) == before

    def test_many_names(self, store: RunStore) -> None:
        """More metrics, parameters and tags than a database takes bound values in one statement."""
        run_id = add_run(store).info.run_id
        names = [f"n{number}" for number in range(1_500)]
        store.log_batch(
            run_id,
            metrics=[Metric(key=name, value=1.0, timestamp=0) for name in names],
            params=dict.fromkeys(names, "1"),
            tags=dict.fromkeys(names, "1"),
        )
        data = store.get_run(run_id).data
        assert (len(data.metrics), len(data.params)) == (1_500, 1_500)
        store.log_batch(run_id, tags=dict.fromkeys(names))
        assert not set(names) & set(store.get_run(run_id).data.tags)

    def test_threads_write_beside_each_other(self, store: RunStore) -> None:
        """16 threads log to one run and to their own: nothing is lost, nobody is told to wait."""
        shared = add_run(store).info.run_id

        def work(thread: int) -> Run:
            own = add_run(store).info.run_id
            for step in range(5):
                point = Metric(key=f"m{thread % 4}", value=float(thread), timestamp=thread, step=step)
                for run_id in (shared, own):
                    store.log_batch(run_id, metrics=[point], params={f"p{thread}": "1"}, tags={"last": str(thread)})
            return store.get_run(own)

        with ThreadPoolExecutor(16) as pool:
            runs = list(pool.map(work, range(16)))
        assert all(run.data.metrics == {f"m{thread % 4}": float(thread)} for thread, run in enumerate(runs))
        assert len(store.get_run(shared).data.params) == 16
        assert [len(store.metric_history(shared, f"m{key}").items) for key in range(4)] == [20] * 4
        assert store.get_run(shared).data.latest["m3"] == Metric(key="m3", value=15.0, timestamp=15, step=4)
