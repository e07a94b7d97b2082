# mypy: ignore-errors
# ruff: noqa
"""Makes a store with odd values by real MLflow, and what MLflow itself reads from it as expected.json.

Run with an interpreter that has MLflow::

    python make_store.py TRACKING_URI FOLDER

The store that tests read is made by ``python make_fixture.py``.
"""

import math, os, sys, time, random, json
from pathlib import Path

uri, folder = sys.argv[1], Path(sys.argv[2])
os.environ["MLFLOW_ALLOW_FILE_STORE"] = "true"
import mlflow
from mlflow import MlflowClient
from mlflow.entities import Metric, Param, RunTag, DatasetInput, Dataset, InputTag

mlflow.set_tracking_uri(uri)
c = MlflowClient()
T = 1_700_000_000_000


def place(name):
    return None if uri.startswith("file:") else (folder / "artifacts" / name).as_uri()


wine = c.create_experiment(
    "wine", artifact_location=place("wine"), tags={"team": "røde vine 🍷", "mlflow.note.content": "line\nline"}
)
gone = c.create_experiment("gone", artifact_location=place("gone"))
c.create_experiment("empty Ünï/çødé", artifact_location=place("empty"))
run = c.create_run(
    wine,
    start_time=T,
    run_name="first, ünï 🍷",
    tags={"mlflow.user": "ada", "long": "x" * 4000, "mlflow.source.name": "train.py"},
)
r = run.info.run_id
values = [0.1, -0.0, 0.0, 1e-320, 1e308, float("nan"), float("inf"), float("-inf"), 123456789.123456789]
c.log_batch(
    r,
    metrics=[Metric("odd", v, T + n, n) for n, v in enumerate(values)],
    params=[Param("alpha", "0.5"), Param("empty", ""), Param("text", "läng\nzwei 🍷"), Param("long", "p" * 500)],
)
c.log_batch(r, metrics=[Metric("same", v, T, 3) for v in (3.0, 1.0, 2.0)])
c.log_batch(
    r,
    metrics=[Metric("big/steps", 1.0, T, 2**53 + 1), Metric("big/steps", 1.0, T, -5), Metric("a b.c-d_e:f", 2.0, T, 0)]
    if not uri.startswith("file:")
    else [Metric("big/steps", 1.0, T, 2**53 + 1), Metric("big/steps", 1.0, T, -5), Metric("a b.c-d_e", 2.0, T, 0)],
)
c.log_batch(r, metrics=[Metric("many", math.sin(n), T + n, n) for n in range(300)])
c.log_text(r, "hello\n", "notes.txt")
c.log_text(r, "wëird", "sub dir/100% [a]+ü.txt")
c.log_text(r, "", "empty.bin")
c.set_terminated(r, "FINISHED", T + 5000)
data = Dataset("wine.csv", "abc123", "local", json.dumps({"uri": "wine.csv"}), '{"columns": []}', '{"rows": 3}')
c.log_inputs(r, [DatasetInput(data, [InputTag("mlflow.data.context", "training"), InputTag("x", "ü")])])
child = c.create_run(wine, start_time=T + 1, run_name="child", tags={"mlflow.parentRunId": r})
c.log_inputs(
    child.info.run_id,
    [
        DatasetInput(data, []),
        DatasetInput(Dataset("other", "d2", "http", "{}"), [InputTag("mlflow.data.context", "eval")]),
    ],
)
c.set_terminated(child.info.run_id, "FAILED", T + 2)
for status in ("KILLED", "RUNNING"):
    k = c.create_run(wine, start_time=T + 10, run_name=status)
    if status != "RUNNING":
        c.set_terminated(k.info.run_id, status, T + 11)
d = c.create_run(wine, start_time=T + 20, run_name="deleted")
c.log_param(d.info.run_id, "k", "v")
c.set_terminated(d.info.run_id, "FINISHED", T + 21)
c.delete_run(d.info.run_id)
g = c.create_run(gone, start_time=T + 30, run_name="in gone")
c.log_metric(g.info.run_id, "m", 1.5, T, 0)
c.set_terminated(g.info.run_id, "FINISHED", T + 31)
c.delete_experiment(gone)
if not uri.startswith("file:"):
    try:
        c.create_registered_model("wine-model")
    except Exception as e:
        print(e)


def plain(x):
    return "NaN" if x != x else x.hex()


out = {}
for e in c.search_experiments(view_type=3):
    item = {"name": e.name, "tags": dict(e.tags), "stage": e.lifecycle_stage, "created": e.creation_time, "runs": {}}
    out[e.experiment_id] = item
    for x in c.search_runs([e.experiment_id], run_view_type=3):
        x = c.get_run(x.info.run_id)
        item["runs"][x.info.run_id] = {
            "name": x.info.run_name,
            "user": x.info.user_id,
            "status": x.info.status,
            "start": x.info.start_time,
            "end": x.info.end_time,
            "stage": x.info.lifecycle_stage,
            "params": x.data.params,
            "tags": x.data.tags,
            "uri": x.info.artifact_uri,
            "points": {
                k: sorted([m.step, m.timestamp, plain(m.value)] for m in c.get_metric_history(x.info.run_id, k))
                for k in x.data.metrics
            },
            "latest": {k: plain(v) for k, v in x.data.metrics.items()},
            "inputs": sorted(
                [
                    i.dataset.name,
                    i.dataset.digest,
                    i.dataset.source_type,
                    i.dataset.source,
                    i.dataset.schema,
                    i.dataset.profile,
                    sorted([t.key, t.value] for t in i.tags),
                ]
                for i in (x.inputs.dataset_inputs if x.inputs else [])
            ),
        }
(folder / "expected.json").write_text(json.dumps(out, indent=1, sort_keys=True))
