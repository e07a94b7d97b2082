"""Runs found again: each operator of each kind, orders, pages, tables; by every client since 2.0."""

from functools import cache

import mlflow
from journey_checks import check, client, code, differs, equal, experiment, named
from mlflow.entities import Metric, ViewType


@cache
def cellar():
    """Make an experiment with six runs, named a to f; return its id."""
    made = experiment("search cellar")
    rows = [
        ("a", {"m": 1.0, "x y": 1.0}, {"p": "red", "my param": "1"}, {"t": "Wine"}, "FINISHED"),
        ("b", {"m": 2.0}, {"p": "Red"}, {"t": "wine", "a.b/c d": "odd"}, "FAILED"),
        ("c", {"m": float("nan")}, {"p": "white"}, {"t": "100%"}, "FINISHED"),
        ("d", {"m": -1.0}, {"p": "it's"}, {}, "KILLED"),
        ("e", {}, {}, {"t": "a_b"}, "FINISHED"),
        ("f", {"m": 2.0, "n": 0.0}, {"p": ""}, {"t": "axb"}, "RUNNING"),
    ]
    for number, (name, metrics, params, tags, status) in enumerate(rows):
        run = client().create_run(made, start_time=1_000 + number, tags=tags, run_name=name).info.run_id
        for key, value in params.items():
            client().log_param(run, key, value)
        client().log_batch(run, metrics=[Metric(key, value, 5, 0) for key, value in metrics.items()])
        if status != "RUNNING":
            client().set_terminated(run, status, end_time=2_000 + number)
    return made


def found(text="", order_by=("attributes.start_time ASC",), **more):
    """Return the names of the runs that a filter finds."""
    runs = client().search_runs([cellar()], text, order_by=list(order_by), **more)
    return "".join(one.info.run_name for one in runs)


def each(**wanted):
    """Compare what filters find with what they must."""
    equal({text: found(text) for text in wanted}, wanted)


@check
def metrics_by_each_operator():
    each(
        **{
            "metrics.m = 2": "bf",
            "metrics.m != 2": "acd",
            "metrics.m > 1": "bf",
            "metrics.m >= 1": "abf",
            "metrics.m < 1": "d",
            "metrics.m <= 1.0": "ad",
            "metric.m = -1": "d",
            "metrics.m > 0.5e0": "abf",
        }
    )


@check
def nan_is_only_unequal():
    each(**{"metrics.m != 7": "abcdf", "metrics.m > -100": "abdf", "metrics.m <= 100": "abdf"})


@check
def parameters_by_each_operator():
    each(
        **{
            "params.p = 'red'": "a",
            "param.p != 'red'": "bcdf",
            "params.p LIKE 're%'": "a",
            "params.p ILIKE 're%'": "ab",
            "parameters.p LIKE '_ed'": "ab",
            'params.p = "it\'s"': "d",
            "params.p = ''": "f",
        }
    )


@check
def tags_by_each_operator():
    each(
        **{
            "tags.t = 'wine'": "b",
            "tag.t != 'wine'": "acef",
            "tags.t LIKE 'W%'": "a",
            "tags.t ILIKE 'w%'": "ab",
            "tags.t LIKE 'a_b'": "ef",
            "tags.t LIKE '100%'": "c",
            "tags.t ilike '%WINE%'": "ab",
        }
    )


@check
def keys_in_quotes():
    each(
        **{
            "params.`my param` = '1'": "a",
            "params.\"my param\" = '1'": "a",
            "tags.`a.b/c d` = 'odd'": "b",
            "tags.\"a.b/c d\" LIKE 'o%'": "b",
            "metrics.`x y` = 1": "a",
        }
    )


@check
def text_attributes_by_each_operator():
    each(
        **{
            "attributes.status = 'FINISHED'": "ace",
            "attribute.status != 'FINISHED'": "bdf",
            "status = 'RUNNING'": "f",
            "run_name = 'b'": "b",
            "attributes.run_name != 'b'": "acdef",
            "run_name LIKE 'B'": "",
            "attr.run_name ILIKE 'B'": "b",
            "attributes.`Run name` = 'c'": "c",
            "tags.mlflow.runName = 'd'": "d",
            "tags.`mlflow.runName` = 'd'": "d",
            "attributes.artifact_uri LIKE '%artifacts'": "abcdef",
            "run.user_id != 'nobody at all'": "abcdef",
        }
    )


@check
def times_by_each_operator():
    each(
        **{
            "attributes.start_time = 1001": "b",
            "attributes.start_time != 1001": "acdef",
            "start_time > 1003": "ef",
            "start_time >= 1003": "def",
            "attributes.start_time < 1001": "a",
            "attributes.start_time <= 1001": "ab",
            "attributes.end_time > 2002": "de",
            "attributes.created = 1001": "b",
        }
    )


@check
def run_ids_by_each_operator():
    ids = {one.info.run_name: one.info.run_id for one in client().search_runs([cellar()])}
    two = f"('{ids['a']}', '{ids['c']}')"
    equal(found(f"attributes.run_id = '{ids['b']}'"), "b")
    equal(found(f"attributes.run_id != '{ids['b']}'"), "acdef")
    equal(found(f"attributes.run_id IN {two}"), "ac")
    equal(found(f"run_id NOT IN {two}"), "bdef")
    equal(found(f"attributes.run_id LIKE '{ids['d'][:20]}%'"), "d")
    equal(found(f"attributes.run_id IN {two} and metrics.m = 1"), "a")


@check
def conditions_together():
    each(
        **{
            "metrics.m > 0 and params.p ILIKE 'red' AND tags.t = 'wine'": "b",
            "  metrics.m > 0   And attributes.status = 'FINISHED'": "a",
            "metrics.m = 1 and metrics.m = 2": "",
            "metrics.m > 0 and metrics.n = 0": "f",
        }
    )


@check
def orders():
    for text, wanted in {
        "metrics.m ASC": "dafbce",
        "metrics.m DESC": "fbadce",
        "metrics.`m`": "dafbce",
        "params.p ASC": "fbdace",
        "tags.t DESC": "bfeac",
        "attributes.start_time DESC": "fedcba",
        "start_time": "abcdef",
        "attributes.end_time DESC": "edcba",
        "attributes.run_name DESC": "fedcba",
        "attributes.status ASC": "beca",
    }.items():
        equal((text, found(order_by=[text])[: len(wanted)]), (text, wanted))
    equal(found(order_by=[]), "fedcba")
    equal(found(order_by=["params.p DESC", "start_time ASC"])[:1], "c")
    equal(found(order_by=["metrics.m ASC", "start_time ASC"]), "dabfce")


@differs("a mistake of the client's is not the server's: with a 5xx it would be sent again for minutes")
def an_order_by_one_key_twice_is_refused():
    equal(code(found, order_by=["start_time", "start_time DESC"]), "INVALID_PARAMETER_VALUE")
    equal(code(found, "metrics.m > 1 and"), "INVALID_PARAMETER_VALUE")


@check
def filters_that_cannot_be_are_refused():
    wrong = [
        "metrics.m = 'x'",
        "metrics.m LIKE 'x'",
        "params.p = 1",
        "params.p > 'a'",
        "attributes.start_time = '5'",
        "attributes.status > 'a'",
        "attributes.run_id IN ()",
        "nothing.p = 'a'",
        "attributes.nope = 'a'",
        "metrics.m",
        "metrics.m >",
    ]
    equal({text: code(found, text) for text in wrong}, dict.fromkeys(wrong, "INVALID_PARAMETER_VALUE"))


@check
def deleted_runs_are_found_where_they_are_wanted():
    made = experiment("search deleted")
    kept, gone = (client().create_run(made).info.run_id for _ in range(2))
    client().delete_run(gone)
    views = (ViewType.ACTIVE_ONLY, ViewType.DELETED_ONLY, ViewType.ALL)
    ids = [{one.info.run_id for one in client().search_runs([made], run_view_type=view)} for view in views]
    equal(ids, [{kept}, {gone}, {kept, gone}])


@check
def runs_come_in_pages():
    for order in (["metrics.m DESC"], ["params.p"], ["start_time"], []):
        names, token, sizes = "", None, []
        while True:
            page = client().search_runs([cellar()], max_results=4, order_by=order, page_token=token)
            names, sizes, token = names + "".join(one.info.run_name for one in page), [*sizes, len(page)], page.token
            if not token:
                break
        equal((order, names, sizes), (order, found(order_by=order), [4, 2]))


@check
def many_runs_are_one_table():
    made = experiment("search many")
    for number in range(70):
        client().create_run(made, start_time=1 + number, tags={"n": str(number)})
    table = mlflow.search_runs([made], max_results=65, order_by=["start_time ASC"])
    equal((len(table), list(table["tags.n"][:3]), table["tags.n"].iloc[-1]), (65, ["0", "1", "2"], "64"))
    pages, token = [], None
    while True:
        page = client().search_runs([made], max_results=30, page_token=token)
        pages.append([int(one.data.tags["n"]) for one in page])
        if not (token := page.token):
            break
    equal(
        ([len(one) for one in pages], [number for page in pages for number in page]),
        ([30, 30, 10], list(range(69, -1, -1))),
    )


@check
def a_table_has_a_column_for_each_key():
    table = mlflow.search_runs([cellar()], order_by=["attributes.start_time ASC"]).set_index("tags.mlflow.runName")
    columns = {"metrics.m", "metrics.n", "metrics.x y", "params.p", "params.my param", "tags.t", "status", "end_time"}
    equal(columns - set(table.columns), set())
    equal((table.loc["a", "metrics.m"], table.loc["a", "params.p"], table.loc["d", "params.p"]), (1.0, "red", "it's"))
    equal(str(table.loc["a", "start_time"]), "1970-01-01 00:00:01+00:00")
    equal(list(table.index[table["metrics.m"].isna()]), ["c", "e"])
    equal(list(table.index[table["params.p"].isna()]), ["e"])


@check
def experiments_are_searched_by_name_and_all_at_once():
    cellar()
    other = experiment("search other")
    client().create_run(other, run_name="z")
    names = mlflow.search_runs(experiment_names=[named("search cellar"), named("search other")], output_format="list")
    equal(len(names), 7)
    text = "metrics.`x y` = 1 and tags.t = 'Wine'"
    whole = mlflow.search_runs(search_all_experiments=True, filter_string=text, output_format="list")
    assert cellar() in {one.info.experiment_id for one in whole}, whole
    equal(len(mlflow.search_runs(experiment_names=[named("search nowhere")], output_format="list")), 0)
