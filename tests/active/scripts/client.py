"""A client beside no run at all: explicit ids, batches, pages, tags, ends."""

import json
import time

from mlflow import MlflowClient
from mlflow.entities import Dataset, DatasetInput, InputTag, Metric, Param, RunStatus, RunTag, ViewType
from mlflow.exceptions import MlflowException

client = MlflowClient()
experiment_id = client.create_experiment("by client", tags={"team": "red"})
refused = []


def refuse(call):
    """Call what must be refused."""
    try:
        call()
        refused.append("")
    except MlflowException as error:
        refused.append(str(error).splitlines()[0])


runs = []
for number in range(5):
    run = client.create_run(
        experiment_id, run_name=f"run {number}", tags={"n": number}, start_time=1700000000000 + number
    )
    run_id = run.info.run_id
    now = int(time.time() * 1000)
    client.log_batch(
        run_id,
        metrics=[Metric("loss", 1 / (step + 1), now, step) for step in range(1500 if number == 0 else 3)],
        params=[Param("alpha", str(number / 10))],
        tags=[RunTag("kind", "batch")],
    )
    client.log_metric(run_id, "acc", number, step=1)
    client.log_param(run_id, "beta", [1, 2])
    client.set_tag(run_id, "gone", "x")
    client.delete_tag(run_id, "gone")
    client.log_text(run_id, "hi", "a/b.txt")
    client.log_inputs(run_id, [DatasetInput(Dataset("d", "abc", "local", '{"uri": "x"}'), [InputTag("k", "v")])])
    client.set_terminated(run_id, RunStatus.to_string(RunStatus.FAILED if number == 3 else RunStatus.FINISHED))
    runs.append(run_id)

refuse(lambda: client.log_param(runs[0], "alpha", "other"))
refuse(lambda: client.get_run("0" * 32))
refuse(lambda: client.get_experiment("4711"))
refuse(lambda: client.create_experiment("by client"))
refuse(lambda: client.log_metric(runs[0], "../bad", 1.0))
refuse(lambda: client.log_batch(runs[0], params=[Param("p", "1"), Param("p", "1")]))
client.delete_run(runs[4])
client.rename_experiment(experiment_id, "renamed")
client.set_experiment_tag(experiment_id, "stage", 2)
client.update_run(runs[1], name="better")

seen, token = [], None
while True:
    page = client.search_runs([experiment_id], order_by=["attributes.start_time ASC"], max_results=2, page_token=token)
    seen.append([run.info.run_name for run in page])
    token = page.token
    if not token:
        break
experiment = client.get_experiment(experiment_id)
first = client.get_run(runs[0])
path = client.download_artifacts(runs[0], "a/b.txt")
print(
    json.dumps(
        {
            "pages": seen,
            "deleted": [run.info.run_name for run in client.search_runs([experiment_id], "", ViewType.DELETED_ONLY)],
            "failed": len(client.search_runs([experiment_id], "attributes.status = 'FAILED'")),
            "with_data": len(client.search_runs([experiment_id], "dataset.name = 'd' AND metrics.acc > 0")),
            "experiment": [experiment.name, experiment.tags, experiment.lifecycle_stage],
            "history": len(client.get_metric_history(runs[0], "loss")),
            "metrics": first.data.metrics,
            "params": first.data.params,
            "tags": {key: value for key, value in first.data.tags.items() if not key.startswith("mlflow.user")},
            "inputs": [each.dataset.name for each in first.inputs.dataset_inputs],
            "files": [(each.path, each.is_dir, each.file_size) for each in client.list_artifacts(runs[0], "a")],
            "text": open(path).read(),
            "refused": [bool(each) for each in refused],
            "named": client.get_experiment_by_name("renamed").experiment_id == experiment_id,
            "none": client.get_experiment_by_name("by client"),
            "found": [each.name for each in client.search_experiments(filter_string="tags.team = 'red'")],
        },
        sort_keys=True,
    )
)
