"""What every client of MLflow does since 2.0: experiments, runs, and what runs log."""

import math
import time
from concurrent.futures import ThreadPoolExecutor

import mlflow
from journey_checks import alike, check, client, code, equal, experiment, mine, named
from mlflow.entities import Metric, Param, RunTag, ViewType

MISSING = "RESOURCE_DOES_NOT_EXIST"
INVALID = "INVALID_PARAMETER_VALUE"


# -- experiments ---------------------------------------------------------------------------------------
@check
def an_experiment_is_made_once_and_found_by_name_and_id():
    name = named("core once")
    first = mlflow.set_experiment(name)
    again = mlflow.set_experiment(name)
    equal(again.experiment_id, first.experiment_id)
    equal(mlflow.get_experiment(first.experiment_id).name, name)
    equal(mlflow.get_experiment_by_name(name).experiment_id, first.experiment_id)
    equal((first.lifecycle_stage, first.experiment_id.isdigit()), ("active", True))
    assert abs(first.creation_time - time.time() * 1000) < 60_000, first.creation_time


@check
def an_experiment_that_is_not_there_is_none_by_name():
    equal(mlflow.get_experiment_by_name(named("core nowhere")), None)


@check
def an_experiment_has_tags():
    made = mlflow.create_experiment(named("core tags"), tags={"team": "a", "empty": ""})
    client().set_experiment_tag(made, "owner", "Zoë")
    experiment("core tags")
    mlflow.set_experiment_tag("level", "1")
    mlflow.set_experiment_tags({"level": "2", "more": "x"})
    wanted = {"team": "a", "empty": "", "owner": "Zoë", "level": "2", "more": "x"}
    equal(mine(mlflow.get_experiment(made).tags), wanted)


@check
def an_experiment_is_renamed_deleted_and_restored_with_its_runs():
    made = mlflow.create_experiment(named("core before"))
    name = named("core after")
    client().rename_experiment(made, name)
    with mlflow.start_run(experiment_id=made) as run:
        pass
    mlflow.delete_experiment(made)
    equal(mlflow.get_experiment(made).lifecycle_stage, "deleted")
    equal(mlflow.get_run(run.info.run_id).info.lifecycle_stage, "deleted")
    equal(code(mlflow.set_experiment, name), INVALID)
    client().restore_experiment(made)
    found = mlflow.get_experiment(made)
    equal((found.lifecycle_stage, found.name), ("active", name))
    equal(mlflow.get_run(run.info.run_id).info.lifecycle_stage, "active")


@check
def experiments_are_searched():
    end = named("sea")
    made = {
        name: mlflow.create_experiment(f"{name} {end}", tags={"sea": team})
        for name, team in [("core 1", "a"), ("core 2", "b"), ("CORE 3", "a")]
    }

    def names(text, **more):
        text = f"{text} AND name LIKE '%{end}'"
        found = mlflow.search_experiments(filter_string=text, order_by=["name ASC"], **more)
        return [one.name.removesuffix(f" {end}") for one in found]

    equal(names(f"name = 'core 1 {end}'"), ["core 1"])
    equal(names(f"name != 'core 1 {end}'"), ["CORE 3", "core 2"])
    equal(names("name LIKE 'core %'"), ["core 1", "core 2"])
    equal(names("name ILIKE 'core %'"), ["CORE 3", "core 1", "core 2"])
    equal(names("tags.sea = 'a'"), ["CORE 3", "core 1"])
    equal(names("tags.sea != 'a'"), ["core 2"])
    equal(names("tags.sea ILIKE 'A' AND name LIKE 'c%'"), ["core 1"])
    equal(names("tags.sea LIKE 'A'"), [])
    equal(names("creation_time > 0 and last_update_time >= 0"), ["CORE 3", "core 1", "core 2"])
    mlflow.delete_experiment(made["core 2"])
    equal(names("name LIKE 'core %'"), ["core 1"])
    equal(names("name LIKE 'core %'", view_type=ViewType.DELETED_ONLY), ["core 2"])
    equal(names("name LIKE 'core %'", view_type=ViewType.ALL), ["core 1", "core 2"])


@check
def experiments_come_in_pages():
    end = named("page")
    for number in range(7):
        mlflow.create_experiment(f"{number} {end}")
    found, token = [], None
    for _ in range(3):
        page = client().search_experiments(
            filter_string=f"name LIKE '%{end}'", max_results=3, order_by=["name DESC"], page_token=token
        )
        found.append([one.name[0] for one in page])
        token = page.token
    equal((found, bool(token)), ([["6", "5", "4"], ["3", "2", "1"], ["0"]], False))


# -- runs ----------------------------------------------------------------------------------------------
@check
def a_run_ends_finished_with_its_times_and_source():
    made = experiment("core runs")
    with mlflow.start_run(run_name="first", description="what it is", tags={"a": "1"}) as run:
        equal(mlflow.active_run().info.run_id, run.info.run_id)
        equal(mlflow.get_run(run.info.run_id).info.status, "RUNNING")
    equal(mlflow.active_run(), None)
    found = mlflow.get_run(run.info.run_id)
    equal((found.info.status, found.info.run_name, found.info.experiment_id), ("FINISHED", "first", made))
    assert found.info.start_time <= found.info.end_time, found.info
    tags = found.data.tags
    equal((tags["mlflow.runName"], tags["mlflow.note.content"], tags["a"]), ("first", "what it is", "1"))
    equal((tags["mlflow.source.type"], bool(tags["mlflow.user"])), ("LOCAL", True))
    equal(mlflow.last_active_run().info.run_id, run.info.run_id)


@check
def a_run_without_a_name_gets_one():
    experiment("core runs")
    with mlflow.start_run() as run:
        pass
    name = mlflow.get_run(run.info.run_id).info.run_name
    equal(len(name.split("-")), 3)


@check
def a_run_whose_block_raises_is_failed():
    experiment("core runs")
    try:
        with mlflow.start_run() as run:
            raise KeyError("x")
    except KeyError:
        equal(mlflow.get_run(run.info.run_id).info.status, "FAILED")


@check
def a_run_ends_as_it_is_told():
    experiment("core runs")
    run = mlflow.start_run()
    mlflow.end_run("KILLED")
    equal(mlflow.get_run(run.info.run_id).info.status, "KILLED")


@check
def runs_nest():
    made = experiment("core nested")
    with mlflow.start_run(run_name="parent") as parent:
        for name in ("one", "two"):
            with mlflow.start_run(run_name=name, nested=True):
                mlflow.log_param("name", name)
    text = f"tags.mlflow.parentRunId = '{parent.info.run_id}'"
    children = mlflow.search_runs([made], text, order_by=["attributes.run_name"], output_format="list")
    equal([one.data.params for one in children], [{"name": "one"}, {"name": "two"}])


@check
def a_run_is_resumed():
    experiment("core runs")
    with mlflow.start_run() as run:
        mlflow.log_metric("m", 1.0, step=0)
    with mlflow.start_run(run_id=run.info.run_id) as again:
        equal(mlflow.get_run(run.info.run_id).info.status, "RUNNING")
        mlflow.log_metric("m", 2.0, step=1)
    equal(again.info.run_id, run.info.run_id)
    found = mlflow.get_run(run.info.run_id)
    equal((found.info.status, found.data.metrics), ("FINISHED", {"m": 2.0}))


@check
def runs_are_deleted_and_restored():
    made = experiment("core deleted")
    with mlflow.start_run() as run:
        pass
    mlflow.delete_run(run.info.run_id)
    equal(mlflow.get_run(run.info.run_id).info.lifecycle_stage, "deleted")
    equal(len(mlflow.search_runs([made])), 0)
    equal(len(mlflow.search_runs([made], run_view_type=ViewType.DELETED_ONLY)), 1)
    equal(code(client().log_param, run.info.run_id, "a", 1), INVALID)
    client().restore_run(run.info.run_id)
    equal(len(mlflow.search_runs([made])), 1)
    client().log_param(run.info.run_id, "a", 1)


@check
def a_run_is_made_and_ended_by_hand():
    made = experiment("core by hand")
    run = client().create_run(made, start_time=1_000, tags={"k": "v"}, run_name="hand")
    client().set_terminated(run.info.run_id, status="FAILED", end_time=2_500)
    client().update_run(run.info.run_id, name="other")
    info = client().get_run(run.info.run_id).info
    equal((info.status, info.start_time, info.end_time, info.run_name), ("FAILED", 1_000, 2_500, "other"))
    client().update_run(run.info.run_id, status="RUNNING")
    equal(client().get_run(run.info.run_id).info.status, "RUNNING")


@check
def the_name_of_a_run_is_its_tag():
    experiment("core names")
    with mlflow.start_run(run_name="before") as run:
        mlflow.set_tag("mlflow.runName", "after")
    found = mlflow.get_run(run.info.run_id)
    equal((found.info.run_name, found.data.tags["mlflow.runName"]), ("after", "after"))


# -- parameters, metrics, tags -------------------------------------------------------------------------
@check
def parameters_are_text_and_never_change():
    experiment("core params")
    with mlflow.start_run() as run:
        mlflow.log_param("text", "a")
        mlflow.log_param("text", "a")
        mlflow.log_params({"whole": 1, "real": 0.5, "none": None, "list": [1, 2], "true": True, "empty": "", "ü": "é→"})
        equal(code(mlflow.log_param, "text", "b"), INVALID)
        equal(code(mlflow.log_params, {"new": 1, "whole": 2}), INVALID)
    found = mlflow.get_run(run.info.run_id).data.params
    wanted = {"text": "a", "whole": "1", "real": "0.5", "none": "None", "list": "[1, 2]", "true": "True", "empty": ""}
    equal(found, {**wanted, "ü": "é→"})


@check
def metrics_have_steps_and_times():
    experiment("core metrics")
    with mlflow.start_run() as run:
        for step in (0, 10, 5):
            mlflow.log_metric("loss", step / 4, step=step)
        mlflow.log_metrics({"loss": 9.0, "rate": 1}, step=-1)
        mlflow.log_metric("bare", 3)
        client().log_metric(run.info.run_id, "timed", 1.5, timestamp=123_456, step=7)
    equal(mlflow.get_run(run.info.run_id).data.metrics, {"loss": 2.5, "rate": 1.0, "bare": 3.0, "timed": 1.5})
    points = client().get_metric_history(run.info.run_id, "loss")
    equal(sorted((one.step, one.value) for one in points), [(-1, 9.0), (0, 0.0), (5, 1.25), (10, 2.5)])
    times = [one.timestamp for one in points]
    equal(times, sorted(times))
    (timed,) = client().get_metric_history(run.info.run_id, "timed")
    equal((timed.timestamp, timed.step, timed.key), (123_456, 7, "timed"))
    equal(client().get_metric_history(run.info.run_id, "nope"), [])


@check
def of_a_metric_the_last_is_the_one_with_the_greatest_step_then_time_then_value():
    experiment("core metrics")
    with mlflow.start_run() as run:
        for step, timestamp, value in [(2, 10, 1.0), (1, 99, 5.0), (2, 30, 2.0), (2, 30, 1.5), (2, 20, 9.0)]:
            client().log_metric(run.info.run_id, "m", value, timestamp=timestamp, step=step)
    equal(mlflow.get_run(run.info.run_id).data.metrics["m"], 2.0)


@check
def a_point_that_is_sent_twice_is_there_once():
    experiment("core metrics")
    with mlflow.start_run() as run:
        for _ in range(3):
            client().log_metric(run.info.run_id, "m", 1.0, timestamp=5, step=1)
    equal(len(client().get_metric_history(run.info.run_id, "m")), 1)


@check
def nan_is_a_number_like_others():
    experiment("core metrics")
    with mlflow.start_run() as run:
        mlflow.log_metric("nan", float("nan"))
        mlflow.log_metrics({"tiny": 5e-324, "huge": 1.7976931348623157e308, "minus": -0.1}, step=3)
    found = mlflow.get_run(run.info.run_id).data.metrics
    alike([found["nan"], found["tiny"], found["huge"]], [math.nan, 5e-324, 1.7976931348623157e308])
    alike([one.value for one in client().get_metric_history(run.info.run_id, "nan")], [math.nan])


@check
def infinities_come_back_as_large_as_they_can_be():
    experiment("core metrics")
    with mlflow.start_run() as run:
        mlflow.log_metric("plus", float("inf"))
        mlflow.log_metrics({"minus": float("-inf")})
    found = mlflow.get_run(run.info.run_id).data.metrics  # MLflow's own store keeps the largest number instead
    assert found["plus"] >= 1.7976931348623157e308, found
    assert found["minus"] <= -1.7976931348623157e308, found


@check
def tags_change_and_go():
    experiment("core tags of runs")
    with mlflow.start_run() as run:
        mlflow.set_tag("a", 1)
        mlflow.set_tags({"a": "2", "b": "x y", "c": "", "long": "z" * 4000})
        mlflow.delete_tag("b")
        equal(code(mlflow.delete_tag, "b"), MISSING)
        client().set_tag(run.info.run_id, "note", "line\nline\t\"'`%_\\ 日本")
    wanted = {"a": "2", "c": "", "long": "z" * 4000, "note": "line\nline\t\"'`%_\\ 日本"}
    equal(mine(mlflow.get_run(run.info.run_id).data.tags), wanted)


@check
def keys_may_have_slashes_spaces_dots_and_dashes():
    experiment("core keys")
    with mlflow.start_run() as run:
        mlflow.log_metric("a/b c.d-e_f", 1.0)
        mlflow.log_param("system/x y", "1")
        mlflow.set_tag("deep/er tag", "1")
    data = mlflow.get_run(run.info.run_id).data
    equal((data.metrics, data.params, data.tags["deep/er tag"]), ({"a/b c.d-e_f": 1.0}, {"system/x y": "1"}, "1"))


@check
def a_batch_of_a_thousand_arrives_whole():
    made = experiment("core batch")
    run = client().create_run(made)
    points = [Metric("m", step / 8, 1_000 + step, step) for step in range(800)]
    client().log_batch(
        run.info.run_id,
        metrics=points,
        params=[Param(f"p{number}", str(number)) for number in range(100)],
        tags=[RunTag(f"t{number}", str(number)) for number in range(100)],
    )
    found = client().get_run(run.info.run_id).data
    equal((len(found.params), len(mine(found.tags)), found.metrics), (100, 100, {"m": 799 / 8}))
    history = client().get_metric_history(run.info.run_id, "m")
    equal([(one.step, one.value) for one in history], [(one.step, one.value) for one in points])


@check
def what_eight_threads_log_at_once_is_all_there():
    made = experiment("core threads")
    shared = client().create_run(made).info.run_id

    def work(number):
        run = client().create_run(made, run_name=f"thread {number}").info.run_id
        for step in range(10):
            client().log_metric(run, "own", step, step=step)
            client().log_metric(shared, f"of {number}", step, step=step)
            client().log_metric(shared, "together", number, step=step)
        client().log_param(shared, f"p{number}", number)
        client().set_tag(shared, f"t{number}", number)
        client().set_terminated(run)
        return run

    with ThreadPoolExecutor(8) as pool:
        runs = list(pool.map(work, range(8)))
    for run in runs:
        equal([one.value for one in client().get_metric_history(run, "own")], [float(step) for step in range(10)])
    found = client().get_run(shared).data
    equal(len(client().get_metric_history(shared, "together")), 80)
    equal([len(client().get_metric_history(shared, f"of {number}")) for number in range(8)], [10] * 8)
    equal((len(found.params), len(mine(found.tags))), (8, 8))
    equal({one.info.status for one in client().search_runs([made], "attributes.status = 'FINISHED'")}, {"FINISHED"})


# -- errors --------------------------------------------------------------------------------------------
@check
def mistakes_have_the_codes_that_clients_steer_by():
    made = experiment("core mistakes")
    run = client().create_run(made).info.run_id
    nobody = "f" * 32
    calls = {
        "experiment by id": (client().get_experiment, "987654"),
        "experiment again": (client().create_experiment, named("core mistakes")),
        "run": (client().get_run, nobody),
        "run to log to": (client().log_metric, nobody, "a", 1),
        "key": (client().log_metric, run, "a$b", 1),
        "filter": (client().search_runs, [made], "metrics.a > 'x'"),
        "unknown kind": (client().search_runs, [made], "nothing.a = 'x'"),
        "unknown attribute": (client().search_runs, [made], "attributes.nope = 'x'"),
        "order": (client().search_runs, [made], "", 1, 10, ["nothing.a"]),
        "too many": (client().search_runs, [made], "", 1, 60_000),
        "token": (client().search_runs, [made], "", 1, 10, None, "nonsense"),
        "or": (client().search_experiments, ViewType.ALL, 10, "name = a"),
    }
    wanted = dict.fromkeys(calls, INVALID)
    wanted.update({"experiment by id": MISSING, "experiment again": "RESOURCE_ALREADY_EXISTS"})
    wanted.update({"run": MISSING, "run to log to": MISSING})
    equal({name: code(*call) for name, call in calls.items()}, wanted)
