"""What the newest client has besides: logging that does not wait, tables, images of steps, measures of the machine."""

import io
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import mlflow
import numpy as np
import pandas as pd
from journey_checks import (
    SkipCheck,
    alike,
    check,
    client,
    code,
    differs,
    equal,
    eventually,
    experiment,
    message,
    mine,
    named,
)
from mlflow.entities import Metric


@check
def what_is_logged_without_waiting_arrives():
    experiment("fluent async")
    with mlflow.start_run() as run:
        waiting = [mlflow.log_metric("m", step / 2, step=step, synchronous=False) for step in range(50)]
        waiting.append(mlflow.log_metrics({"a": 1.0, "b": 2.0}, step=3, synchronous=False))
        waiting.append(mlflow.log_param("p", "1", synchronous=False))
        waiting.append(mlflow.log_params({"q": "2", "r": "3"}, synchronous=False))
        waiting.append(mlflow.set_tag("t", "4", synchronous=False))
        waiting.append(mlflow.set_tags({"u": "5"}, synchronous=False))
        for one in waiting:
            one.wait()
    data = mlflow.get_run(run.info.run_id).data
    equal((data.metrics, data.params), ({"m": 24.5, "a": 1.0, "b": 2.0}, {"p": "1", "q": "2", "r": "3"}))
    equal(mine(data.tags), {"t": "4", "u": "5"})
    equal(len(client().get_metric_history(run.info.run_id, "m")), 50)


@check
def a_refusal_of_what_does_not_wait_is_told_when_it_is_waited_for():
    experiment("fluent async")
    with mlflow.start_run():
        mlflow.log_param("p", "1")
        said = message(mlflow.log_param("p", "2", synchronous=False).wait)
        assert "Changing param values is not allowed" in said, said


@check
def logging_never_waits_where_it_is_told_so():
    experiment("fluent async")
    mlflow.config.enable_async_logging(True)
    try:
        with mlflow.start_run() as run:
            for step in range(30):
                mlflow.log_metric("m", step, step=step)
            mlflow.log_params({"p": 1})
        mlflow.flush_async_logging()
    finally:
        mlflow.config.enable_async_logging(False)
    data = eventually(lambda: (found := mlflow.get_run(run.info.run_id).data).params and found)
    equal((data.metrics, data.params), ({"m": 29.0}, {"p": "1"}))


@check
def metrics_have_the_time_that_they_are_given_in_whatever_run():
    experiment("fluent metrics")
    with mlflow.start_run() as other:
        pass
    with mlflow.start_run() as run:
        mlflow.log_metric("m", 1.0, step=2, timestamp=1_234)
        mlflow.log_metrics({"m": 2.0, "n": 3.0}, step=3, timestamp=5_678)
        mlflow.log_metric("m", 9.0, run_id=other.info.run_id)
        mlflow.log_params({"p": "other"}, run_id=other.info.run_id)
    points = client().get_metric_history(run.info.run_id, "m")
    equal([(one.value, one.step, one.timestamp) for one in points], [(1.0, 2, 1_234), (2.0, 3, 5_678)])
    data = mlflow.get_run(other.info.run_id).data
    equal((data.metrics, data.params), ({"m": 9.0}, {"p": "other"}))


@check
def a_history_is_ordered_by_time():
    experiment("fluent metrics")
    with mlflow.start_run() as run:
        for step, timestamp, value in [(1, 50, 0.5), (2, 30, 0.25), (0, 40, 1.0), (5, 40, 0.125)]:
            mlflow.log_metric("m", value, step=step, timestamp=timestamp)
    points = client().get_metric_history(run.info.run_id, "m")
    equal([(one.timestamp, one.step) for one in points], [(30, 2), (40, 0), (40, 5), (50, 1)])


@check
def a_long_history_comes_in_pages():
    run = client().create_run(experiment("fluent history")).info.run_id
    for start in range(0, 26_000, 1_000):
        client().log_batch(run, [Metric("m", float(step), 1_000 + step, step) for step in range(start, start + 1_000)])
    points = client().get_metric_history(run, "m")  # the client asks for pages of 25,000
    equal([one.step for one in points] == list(range(26_000)), True)
    page = client()._tracking_client.store.get_metric_history(run, "m", max_results=10)
    equal((len(page), bool(page.token)), (10, True))
    page = client()._tracking_client.store.get_metric_history(run, "m", max_results=10, page_token=page.token)
    equal([one.step for one in page], list(range(10, 20)))


@differs("an infinity is kept as one; MLflow keeps the largest number")
def infinities_are_infinite():
    experiment("fluent metrics")
    with mlflow.start_run() as run:
        for step, value in enumerate([float("inf"), float("-inf"), float("nan")]):
            mlflow.log_metric("m", value, step=step)
    found = [one.value for one in client().get_metric_history(run.info.run_id, "m")]
    alike(found, [float("inf"), float("-inf"), float("nan")])


@check
def a_batch_with_a_changed_parameter_is_refused_whole():
    experiment("fluent params")
    with mlflow.start_run() as run:
        mlflow.log_param("kept", "1")
        equal(code(mlflow.log_params, {"new": 1, "kept": 2}), "INVALID_PARAMETER_VALUE")
    equal(mlflow.get_run(run.info.run_id).data.params, {"kept": "1"})


@check
def many_parameters_are_sent_in_parts():
    experiment("fluent params")
    with mlflow.start_run() as run:
        mlflow.log_params({f"p{number}": number for number in range(250)})
        mlflow.log_metrics({f"m{number}": number for number in range(1_100)})
        mlflow.set_tags({f"t{number}": number for number in range(120)})
    data = mlflow.get_run(run.info.run_id).data
    equal((len(data.params), len(data.metrics), len(mine(data.tags))), (250, 1_100, 120))


@check
def long_values_are_cut_by_the_client():
    experiment("fluent params")
    with mlflow.start_run() as run:
        mlflow.log_param("long", "x" * 7_000)
        mlflow.set_tag("long", "y" * 9_000)
    data = mlflow.get_run(run.info.run_id).data
    equal((len(data.params["long"]), len(data.tags["long"])), (6_000, 8_000))


@check
def a_child_finds_its_parent():
    experiment("fluent nested")
    with (
        mlflow.start_run(run_name="parent") as parent,
        mlflow.start_run(nested=True) as child,
        mlflow.start_run(nested=True) as grandchild,
    ):
        pass
    with mlflow.start_run(parent_run_id=child.info.run_id) as late:
        pass
    equal(mlflow.get_parent_run(child.info.run_id).info.run_id, parent.info.run_id)
    equal(mlflow.get_parent_run(grandchild.info.run_id).info.run_id, child.info.run_id)
    equal(client().get_parent_run(late.info.run_id).info.run_id, child.info.run_id)
    equal(mlflow.get_parent_run(parent.info.run_id), None)


@check
def runs_and_experiments_are_restored():
    made = experiment("fluent restored")
    with mlflow.start_run() as run:
        pass
    mlflow.delete_run(run.info.run_id)
    mlflow.restore_run(run.info.run_id)
    equal(mlflow.get_run(run.info.run_id).info.lifecycle_stage, "active")
    mlflow.delete_experiment(made)
    mlflow.restore_experiment(made)
    equal(mlflow.get_experiment(made).lifecycle_stage, "active")
    equal(len(mlflow.search_runs([made])), 1)


@check
def a_tag_of_an_experiment_goes():
    made = experiment("fluent tags")
    mlflow.set_experiment_tags({"kept": "1", "gone": "2"})
    mlflow.delete_experiment_tag("gone")
    equal(mine(mlflow.get_experiment(made).tags), {"kept": "1"})
    equal(code(client().delete_experiment_tag, made, "gone"), "RESOURCE_DOES_NOT_EXIST")


@check
def the_last_active_run_is_the_last():
    experiment("fluent last")
    for name in ("one", "two"):
        with mlflow.start_run(run_name=name):
            mlflow.log_metric("m", 1.0)
    found = mlflow.last_active_run()
    equal((found.info.run_name, found.info.status, found.data.metrics), ("two", "FINISHED", {"m": 1.0}))


@check
def tables_are_logged_grow_and_are_loaded():
    made = experiment("fluent tables")
    with mlflow.start_run() as run:
        mlflow.log_table({"question": ["a", "b"], "answer": [1, 2]}, "answers.json")
        mlflow.log_table(pd.DataFrame({"question": ["c"], "answer": [3]}), "answers.json")
        equal(mlflow.get_run(run.info.run_id).data.tags["mlflow.loggedArtifacts"].count("answers.json"), 1)
    with mlflow.start_run() as other:
        mlflow.log_table({"question": ["d"], "answer": [4]}, "answers.json")
    found = mlflow.load_table("answers.json", run_ids=[run.info.run_id], extra_columns=["run_id"])
    equal((list(found["question"]), list(found["answer"])), (["a", "b", "c"], [1, 2, 3]))
    equal(set(found["run_id"]), {run.info.run_id})
    equal(sorted(mlflow.load_table("answers.json")["question"]), ["a", "b", "c", "d"])
    equal(len({made, other.info.experiment_id}), 1)


@check
def images_of_steps_are_logged():
    experiment("fluent images")
    with mlflow.start_run() as run:
        for step in range(2):
            image = np.full((8, 8, 3), 100 * step, dtype=np.uint8)
            mlflow.log_image(image, key="dogs and/or cats", step=step, timestamp=5, synchronous=True)
        mlflow.log_image(mlflow.Image(np.zeros((3, 5, 3), dtype=np.uint8)), "one.png")
    files = [one.path for one in client().list_artifacts(run.info.run_id, "images")]
    equal(
        (len(files), sum(one.endswith(".png") for one in files), sum(one.endswith(".webp") for one in files)), (4, 2, 2)
    )
    got = [mlflow.artifacts.load_image(f"{run.info.artifact_uri}/{one}").size for one in files if one.endswith(".png")]
    equal(got, [(8, 8)] * 2)
    equal(mlflow.get_run(run.info.run_id).data.tags["mlflow.loggedImages"], "True")


@check
def a_stream_is_logged():
    experiment("fluent streams")
    with mlflow.start_run() as run:
        mlflow.log_stream(io.BytesIO(b"abc" * 1_000), "deep/stream.bin")
    equal(Path(client().download_artifacts(run.info.run_id, "deep/stream.bin")).read_bytes(), b"abc" * 1_000)


@check
def artifacts_are_logged_to_another_run_and_listed_by_address():
    experiment("fluent artifacts")
    with mlflow.start_run() as run:
        pass
    mlflow.log_text("x", "a/b.txt", run_id=run.info.run_id)
    mlflow.log_dict({"a": 1}, "a/d.json", run_id=run.info.run_id)
    Path("fluent.txt").write_text("y")
    mlflow.log_artifact("fluent.txt", "c", run_id=run.info.run_id)
    uri = f"runs:/{run.info.run_id}/a"
    equal([one.path for one in mlflow.artifacts.list_artifacts(artifact_uri=uri)], ["a/b.txt", "a/d.json"])
    equal([one.path for one in mlflow.artifacts.list_artifacts(run_id=run.info.run_id)], ["a", "c"])
    equal(mlflow.artifacts.load_text(f"{uri}/b.txt"), "x")
    equal(mlflow.artifacts.load_dict(f"{uri}/d.json"), {"a": 1})
    got = Path(mlflow.artifacts.download_artifacts(artifact_uri=f"{run.info.artifact_uri}/a"))
    equal(sorted(one.name for one in got.iterdir()), ["b.txt", "d.json"])


@check
def eight_threads_have_a_run_each_and_lose_nothing():
    made = experiment("fluent threads")

    def work(number):
        with mlflow.start_run(run_name=f"thread {number}", nested=True) as run:
            for step in range(15):
                mlflow.log_metric("m", number * step, step=step)
                mlflow.log_metrics({"a": step, "b": -step}, step=step)
            mlflow.log_params({f"p{n}": n for n in range(5)})
            mlflow.log_text(str(number), "number.txt")
        return run.info.run_id

    with ThreadPoolExecutor(8) as pool:
        runs = list(pool.map(work, range(8)))
    for number, run in enumerate(runs):
        equal(
            [one.value for one in client().get_metric_history(run, "m")], [float(number * step) for step in range(15)]
        )
        equal(mlflow.artifacts.load_text(f"runs:/{run}/number.txt"), str(number))
    found = mlflow.search_runs([made], "attributes.status = 'FINISHED'")
    equal((len(found), set(found["metrics.b"]), set(found["params.p4"])), (8, {-14.0}, {"4"}))


@check
def the_machine_is_measured():
    try:
        import psutil  # noqa: F401
    except ImportError:
        raise SkipCheck("the interpreter that has MLflow has no psutil") from None
    experiment("fluent machine")
    mlflow.set_system_metrics_sampling_interval(0.2)
    mlflow.set_system_metrics_samples_before_logging(2)
    mlflow.set_system_metrics_node_id("here")
    try:
        with mlflow.start_run(log_system_metrics=True) as run:
            eventually(lambda: mlflow.get_run(run.info.run_id).data.metrics)
            time.sleep(0.5)
    finally:
        mlflow.set_system_metrics_sampling_interval(None)
        mlflow.set_system_metrics_samples_before_logging(None)
        mlflow.set_system_metrics_node_id(None)
    found = set(mlflow.get_run(run.info.run_id).data.metrics)
    wanted = {"cpu_utilization_percentage", "system_memory_usage_megabytes", "network_receive_megabytes"}
    equal({f"system/here/{name}" for name in wanted} - found, set())
    assert client().get_metric_history(run.info.run_id, "system/here/cpu_utilization_percentage")


@check
def the_experiment_and_the_run_come_from_the_environment():
    import os
    import subprocess
    import sys

    name = named("fluent environment")
    made = client().create_experiment(name)
    run = client().create_run(made).info.run_id
    script = "import mlflow; mlflow.log_metric('m', 1); print(mlflow.active_run().info.run_id)"
    variables = {**os.environ, "MLFLOW_RUN_ID": run, "MLFLOW_EXPERIMENT_NAME": name}
    done = subprocess.run([sys.executable, "-c", script], env=variables, capture_output=True, text=True, check=False)
    equal((done.returncode, run in done.stdout), (0, True))
    found = client().get_run(run)
    equal((found.data.metrics, found.info.status), ({"m": 1.0}, "FINISHED"))
