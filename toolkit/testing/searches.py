"""Random runs and random searches over them, for comparing one kind of store with another."""

from __future__ import annotations

import math
from collections.abc import Sequence
from random import Random

from hypothesis import strategies as st

from toolkit.testing.runs import START, new_run
from toolkit.tracking.records import Dataset, DatasetInput, Lifecycle, Metric, RunStatus, SearchQuery
from toolkit.tracking.store import RunStore

NUMBERS = (0.0, -0.0, 1.0, 1.5, -2.0, 0.1, 1e300, 5e-324, math.inf, -math.inf, math.nan, 1e16)
LONG = "long " * 60
TEXTS = (
    "",
    "a",
    "A",
    "ab",
    "aB",
    "a%b",
    "a_b",
    "a[b",
    "[ab]",
    "*",
    "?",
    "ä",
    "Ä",
    "ǅ",
    "it's",
    'say "x"',
    "`",
    "\\",
    "日本",
    "\U0001f600",
)
KEYS = ("a", "b", "a b", "and.x/y:-z")
PATTERNS = (
    "%",
    "_",
    "a%",
    "%b",
    "A%b",
    "%a%b%",
    "a_b",
    "[ab]",
    "*",
    "?",
    "",
    "ä%",
    "Ä_",
    "\\%",
    "%\U0001f600",
    "__",
    "LONG%",
)
EXPRESSIONS = ("a", "^a", "b$", "(?i)A", "[a-z]+", "^$", "ä|日", r"\d", ".{3}", r"\[")
ATTRIBUTES = ("run_id", "run_name", "status", "artifact_uri", "user_id", "experiment_id", "parent_run_id", "reason")
TIMES = ("start_time", "end_time")


def fill(store: RunStore, seed: int, runs: int = 40) -> None:
    """Make random runs, the same in every store for the same seed."""
    random = Random(seed)  # noqa: S311 - test data
    experiments = ["0", store.create_experiment("wine", tags={"a": "x"}).experiment_id]
    for number in range(runs):
        run_id = f"{random.choice('abAB')}{number}"
        new = new_run(
            run_id=run_id,
            experiment_id=random.choice(experiments),
            run_name=random.choice(TEXTS[1:]),
            user_id=random.choice(("ada", "Ada", "")),
            start_time=START + random.randrange(5),
            parent_run_id=random.choice((None, "a0")),
            params=_some(random, (*TEXTS, LONG)),
            tags=_some(random, (*TEXTS, LONG + "b")) if number % 3 else {},
        )
        store.create_run(new)
        metrics = [
            Metric(key=key, value=random.choice(NUMBERS), timestamp=random.randrange(3), step=random.randrange(3))
            for key in KEYS[:3]
            for _ in range(random.randrange(4))
        ]
        store.log_batch(run_id, metrics=metrics)
        if random.random() < 0.6:
            status = random.choice((RunStatus.FINISHED, RunStatus.FAILED))
            reason = random.choice((None, "a", "timeout"))
            store.update_run(run_id, status=status, end_time=START + random.randrange(5), reason=reason)
        _use(store, run_id, random)
        if random.random() < 0.1:
            store.update_run(run_id, lifecycle=Lifecycle.DELETED)


def _use(store: RunStore, run_id: str, random: Random) -> None:
    """Let a run use some datasets, with or without a context."""
    used = [
        DatasetInput(
            dataset=Dataset(name=random.choice(TEXTS[1:]), digest=random.choice("ab"), source_type="code", source="{}"),
            tags={"mlflow.data.context": random.choice(TEXTS)} if random.random() < 0.5 else {},
        )
        for _ in range(random.randrange(3))
    ]
    store.log_inputs(run_id, used)


def _some(random: Random, values: Sequence[str]) -> dict[str, str]:
    return {key: random.choice(values) for key in KEYS if random.random() < 0.6}


def quoted(text: str) -> str:
    """Return text as a filter has it."""
    return "'" + text.replace("'", "''") + "'"


def _key(key: str) -> str:
    return "`" + key.replace("`", "``") + "`"


_metric = st.sampled_from(KEYS).map(lambda key: f"metrics.{_key(key)}")
_named = st.tuples(st.sampled_from(("params", "tags")), st.sampled_from(KEYS)).map(
    lambda pair: f"{pair[0]}.{_key(pair[1])}"
)
_datasets = st.sampled_from(("dataset.name", "datasets.digest", "dataset.context"))
_texts = st.one_of(_named, st.sampled_from(ATTRIBUTES), _datasets)
_numbers = st.one_of(_metric, st.sampled_from(TIMES))
_number = st.one_of(
    st.sampled_from(["0", "-0.0", "1", "1.5", "-2", "0.1", "1e300", "1e999", "-1e999", "5e-324"]),
    st.integers(START - 1, START + 5).map(str),
)
_text = st.sampled_from([*TEXTS, LONG, "ada", "FINISHED", "RUNNING", "0", "1", "a0"]).map(quoted)
_no = st.sampled_from(("", "NOT "))
_patterns = st.one_of(
    st.tuples(st.sampled_from(("LIKE", "ILIKE", "like")), st.sampled_from(PATTERNS)),
    st.tuples(st.just("REGEXP"), st.sampled_from(EXPRESSIONS)),
)


def _listed(values: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    return st.lists(values, min_size=1, max_size=3).map(lambda each: f"({', '.join(each)})")


_leaf = st.one_of(
    st.tuples(_numbers, st.sampled_from(("=", "!=", "<", "<=", ">", ">=")), _number).map(" ".join),
    st.tuples(_texts, st.sampled_from(("=", "!=")), _text).map(" ".join),
    st.tuples(_texts, _no, _patterns).map(lambda each: f"{each[0]} {each[1]}{each[2][0]} {quoted(each[2][1])}"),
    st.tuples(_numbers, _no, _listed(_number)).map(lambda each: f"{each[0]} {each[1]}IN {each[2]}"),
    st.tuples(_texts, _no, _listed(_text)).map(lambda each: f"{each[0]} {each[1]}in {each[2]}"),
    st.tuples(_numbers, _no, _number, _number).map(lambda each: "{} {}BETWEEN {} AND {}".format(*each)),
    st.tuples(_texts, _no, _text, _text).map(lambda each: "{} {}BETWEEN {} AND {}".format(*each)),
    st.tuples(st.one_of(_texts, _numbers), _no).map(lambda each: f"{each[0]} IS {each[1]}NULL"),
)

filters: st.SearchStrategy[str] = st.one_of(
    st.just(""),
    st.recursive(
        _leaf,
        lambda inner: st.one_of(
            st.lists(inner, min_size=2, max_size=3).map(" AND ".join),
            st.lists(inner, min_size=2, max_size=3).map(lambda each: f"({' OR '.join(each)})"),
            inner.map(lambda each: f"NOT ({each})"),
        ),
        max_leaves=5,
    ),
)
"""Filters of runs, valid ones."""

orders: st.SearchStrategy[list[str]] = st.lists(
    st.tuples(
        st.one_of(_metric, _named, st.sampled_from((*ATTRIBUTES, *TIMES))), st.sampled_from(("", " ASC", " DESC"))
    ),
    max_size=3,
    unique_by=lambda each: each[0],
).map(lambda each: ["".join(key) for key in each])
"""Orders of runs, valid ones."""

queries: st.SearchStrategy[SearchQuery] = st.builds(
    SearchQuery,
    experiment_ids=st.sampled_from(((), ("0",), ("1",), ("0", "1"), ("7",))),
    filter=filters,
    order_by=orders,
    lifecycle=st.sampled_from((Lifecycle.ACTIVE, Lifecycle.ACTIVE, Lifecycle.DELETED, None)),
    limit=st.sampled_from((1, 3, 10, 1000)),
    fields=st.sampled_from((None, (), ("metrics.a", "params.*"), ('tags."a b"', "metrics.*", "start_time"))),
)
"""Searches over runs, valid ones."""
