"""Every kind of search that a filter and an order can make: what `benchmarks/search.py` looks for the slowest among."""

from __future__ import annotations

from collections.abc import Iterator

from toolkit.tracking.records import Lifecycle, SearchQuery

EXAMPLE = "metrics.rmse < 0.3 AND params.alpha = '0.5'"

ORDERS = (
    *("run_id", "run_name", "status", "artifact_uri", "user_id", "start_time", "end_time"),
    *("experiment_id", "parent_run_id", "reason"),
    *("metrics.rmse", "metrics.epochs", "metrics.diverged", "metrics.none"),
    *("params.alpha", "params.seed", "params.none"),
    *("tags.team", "tags.stage", "tags.`mlflow.note.content`", "tags.none"),
)

FILTERS = (
    # metrics: common, rare, none
    *("metrics.rmse < 0.3", "metrics.rmse < 0.9", "metrics.rmse < 0.0005", "metrics.rmse < -1", "metrics.rmse != 2"),
    *("metrics.epochs = 3", "metrics.epochs IN (1, 2)", "metrics.rmse BETWEEN 0.2 AND 0.21", "metrics.none > 0"),
    *("metrics.diverged IS NULL", "metrics.diverged IS NOT NULL", "metrics.none IS NULL", "metrics.rmse NOT IN (1)"),
    # parameters and tags
    *("params.alpha = '0.5'", "params.alpha != '0.5'", "params.alpha = 'none'", "params.seed = 'none'"),
    *("params.optimizer = 'adam'", "params.optimizer IN ('adam', 'none')", "params.alpha BETWEEN '0.2' AND '0.4'"),
    *("params.param_3 LIKE '%99'", "params.param_3 LIKE '9%'", "params.param_3 LIKE '%none%'"),
    *("params.param_3 ILIKE '%9%'", "params.seed ILIKE '%NONE%'", "params.seed ILIKE '%é%'"),
    *("params.param_3 REGEXP '9$'", "params.seed REGEXP 'none'", "params.seed NOT REGEXP '.'"),
    *("params.seed REGEXP '^abc'", "params.none IS NULL", "params.alpha IS NULL", "params.alpha IS NOT NULL"),
    *("tags.team = 'team-3'", "tags.stage = 'candidate'", "tags.stage IS NULL", "tags.stage IS NOT NULL"),
    *("tags.stage != 'candidate'", "tags.team LIKE '%m-9'", "tags.`mlflow.note.content` LIKE '%note 5000 %'"),
    # attributes
    *("status = 'FINISHED'", "status = 'FAILED'", "status = 'RUNNING'", "status = 'none'", "status != 'FINISHED'"),
    *("status IN ('FAILED', 'KILLED')", "user_id = 'alan'", "user_id = 'none'", "user_id LIKE '%x%'"),
    *("run_name = 'run-7'", "run_name LIKE 'run-99%'", "run_name LIKE '%none%'", "run_name REGEXP 'none'"),
    *("run_id = 'none'", "run_id LIKE 'abc%'", "run_id LIKE '%abcd%'", "run_id IN ('a', 'b')"),
    *("artifact_uri LIKE '%/none/%'", "artifact_uri ILIKE '%NONE%'", "experiment_id = '3'", "experiment_id = '77'"),
    *("start_time > 1700000099000", "start_time < 1700000000500", "start_time BETWEEN 5 AND 6"),
    *("end_time IS NULL", "end_time > 1700000000000", "end_time < 0", "end_time IS NOT NULL"),
    *("parent_run_id IS NULL", "parent_run_id IS NOT NULL", "parent_run_id = 'none'"),
    *("reason IS NOT NULL", "reason = 'heartbeat_lost'", "reason = 'none'", "reason LIKE '%time%'"),
    # several
    EXAMPLE,
    "metrics.rmse < 0.9 AND metrics.accuracy < 0.9",
    "metrics.rmse < 0.5 AND metrics.accuracy < 0.5 AND metrics.metric_1 < 0.5 AND metrics.metric_2 < 0.5",
    "metrics.rmse < 0.3 AND metrics.rmse > 0.31",
    "params.alpha = '0.5' AND params.alpha = '0.6'",
    "params.alpha = '0.5' AND params.optimizer = 'none'",
    "params.alpha = '0.5' AND params.optimizer = 'adam' AND tags.team = 'team-3'",
    "metrics.rmse < 0.01 AND metrics.accuracy > 0.99",
    "status = 'FAILED' AND metrics.rmse < 0.3",
    "status = 'FINISHED' AND params.alpha = '0.5'",
    "status = 'RUNNING' AND user_id = 'alan' AND params.alpha = '0.5'",
    "params.alpha = '0.5' OR metrics.rmse < 0.01",
    "params.alpha = '0.5' OR status = 'RUNNING'",
    "metrics.rmse < 0.001 OR metrics.accuracy < 0.001 OR params.seed = 'none'",
    "NOT (metrics.rmse < 0.3)",
    "NOT (params.alpha = '0.5' OR params.optimizer = 'adam')",
    "NOT (metrics.rmse < 2)",
    "(params.alpha = '0.5' OR params.alpha = '0.6') AND NOT (tags.team = 'team-3' AND status = 'FINISHED')",
    "params.param_3 REGEXP '^9' AND metrics.rmse < 0.3",
    "params.seed REGEXP 'none' AND metrics.rmse < 0.3",
    "params.seed REGEXP 'none' OR tags.team REGEXP 'none'",
    "params.param_3 LIKE '%none%' AND params.param_4 LIKE '%none%'",
)
_ONE = ["0"]


def kinds() -> Iterator[tuple[str, SearchQuery]]:
    """Yield searches, each with what it is called."""
    for field in ORDERS:
        for order in (field, f"{field} DESC"):
            for said, there in (("", []), ("in 0, ", _ONE)):
                yield f"{said}all by {order}", SearchQuery(order_by=[order], experiment_ids=there)
            for text in (EXAMPLE, "metrics.rmse < 0.9", "status = 'FINISHED'", "metrics.rmse < 0.0005"):
                yield f"{text} by {order}", SearchQuery(filter=text, order_by=[order])
    for text in FILTERS:
        for order in ("start_time DESC", "metrics.accuracy", "params.seed DESC", "end_time DESC"):
            yield f"{text} by {order}", SearchQuery(filter=text, order_by=[order])
        yield f"in 0, {text}", SearchQuery(filter=text, experiment_ids=_ONE)
    yield from (
        ("deleted", SearchQuery(lifecycle=Lifecycle.DELETED)),
        ("deleted by rmse", SearchQuery(lifecycle=Lifecycle.DELETED, order_by=["metrics.rmse"])),
        ("deleted by end_time", SearchQuery(lifecycle=Lifecycle.DELETED, order_by=["end_time"])),
        ("deleted in 0 by status", SearchQuery(lifecycle=Lifecycle.DELETED, order_by=["status"], experiment_ids=_ONE)),
        ("deleted, example", SearchQuery(lifecycle=Lifecycle.DELETED, filter=EXAMPLE)),
        ("deleted and active", SearchQuery(lifecycle=None)),
        ("deleted and active by rmse", SearchQuery(lifecycle=None, order_by=["metrics.rmse"])),
        ("small experiment", SearchQuery(experiment_ids=["2"])),
        ("small experiment by rmse", SearchQuery(experiment_ids=["2"], order_by=["metrics.rmse"])),
        ("small experiment, example", SearchQuery(experiment_ids=["2"], filter=EXAMPLE)),
        ("three experiments", SearchQuery(experiment_ids=["0", "2", "3"])),
        ("three experiments by rmse", SearchQuery(experiment_ids=["0", "2", "3"], order_by=["metrics.rmse"])),
        ("three experiments, example", SearchQuery(experiment_ids=["0", "2", "3"], filter=EXAMPLE)),
        ("three small experiments", SearchQuery(experiment_ids=["1", "2", "3"])),
        (
            "three small experiments by params.seed",
            SearchQuery(experiment_ids=["1", "2", "3"], order_by=["params.seed"]),
        ),
        ("three small experiments, example", SearchQuery(experiment_ids=["1", "2", "3"], filter=EXAMPLE)),
        ("no such experiment", SearchQuery(experiment_ids=["99"], order_by=["metrics.rmse"])),
        ("two keys", SearchQuery(order_by=["metrics.epochs", "metrics.rmse DESC"])),
        ("three keys", SearchQuery(order_by=["status", "params.alpha", "metrics.rmse DESC"])),
        ("two texts", SearchQuery(order_by=["params.optimizer", "params.seed"], filter="metrics.rmse < 0.5")),
    )
