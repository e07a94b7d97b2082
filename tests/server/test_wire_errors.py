"""What cannot be done, in the status, the code and the words that MLflow's clients know; held against MLflow itself."""

from __future__ import annotations

import http.client
import json
import os
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from peer import NO_MLFLOW, mlflow_python
from server import API, serving

from toolkit.errors import ArtifactUnavailable, StoreError, ToolkitError, UserError
from toolkit.server.wire.errors import answer

INVALID, EXISTS, ABSENT = "INVALID_PARAMETER_VALUE", "RESOURCE_ALREADY_EXISTS", "RESOURCE_DOES_NOT_EXIST"
REQUIRED = "Missing value for required parameter '{}'. See the API docs for more information about request parameters."
NOBODY = "f" * 32


@dataclass(frozen=True, kw_only=True)
class Case:
    """A request that is refused.

    Attributes:
        name: What is wrong with it.
        method: Its method.
        path: Its path below the API, or the whole of it; ``{run}`` and others are put in.
        body: Its JSON.
        status: Of the answer.
        code: MLflow's word for it.
        says: How its message begins.
        peer: Whether MLflow answers the same; else why not.
    """

    name: str
    method: str
    path: str
    body: Any = None
    status: int = 400
    code: str = INVALID
    says: str = ""
    peer: bool | str = True


def post(name: str, path: str, body: Any, says: str = "", **more: Any) -> Case:  # noqa: ANN401 - JSON
    return Case(name=name, method="POST", path=path, body=body, says=says, **more)


def get(name: str, path: str, says: str = "", **more: Any) -> Case:  # noqa: ANN401 - fields of Case
    return Case(name=name, method="GET", path=path, says=says, **more)


ALL_NONE: dict[str, Any] = {"status": 404, "code": ABSENT}
METRIC = {"run_id": "{run}", "key": "m", "value": 1.0, "timestamp": 1, "step": 0}

CASES = (
    # experiments
    get(
        "no experiment of a name",
        "experiments/get-by-name?experiment_name=x",
        "Could not find experiment with name 'x'",
        **ALL_NONE,
    ),
    get(
        "no experiment of an id", "experiments/get?experiment_id=9999", "No Experiment with id=9999 exists", **ALL_NONE
    ),
    get("an experiment without id", "experiments/get", REQUIRED.format("experiment_id")),
    post(
        "an experiment again", "experiments/create", {"name": "e1"}, "Experiment(name=e1) already exists.", code=EXISTS
    ),
    post("an experiment without name", "experiments/create", {}, REQUIRED.format("name")),
    post(
        "an experiment with a number as name",
        "experiments/create",
        {"name": 1},
        "Invalid value 1 for parameter 'name' supplied:  Hint: Value was of type 'int'.",
    ),
    post("an experiment with a long name", "experiments/create", {"name": "x" * 501}),
    post(
        "an experiment to be deleted",
        "experiments/delete",
        {"experiment_id": "9999"},
        "No Experiment with id=9999 exists",
        **ALL_NONE,
    ),
    post(
        "an experiment to be restored",
        "experiments/restore",
        {"experiment_id": "9999"},
        "No Experiment with id=9999 exists",
        **ALL_NONE,
    ),
    post(
        "an experiment named as another",
        "experiments/update",
        {"experiment_id": "{experiment}", "new_name": "Default"},
        code=EXISTS,
        peer="answers BAD_REQUEST with its SQL",
    ),
    post(
        "no tag of an experiment",
        "experiments/delete-experiment-tag",
        {"experiment_id": "{experiment}", "key": "k"},
        "No tag with name: k in experiment with id {experiment}",
        **ALL_NONE,
    ),
    post(
        "too many experiments",
        "experiments/search",
        {"max_results": 60_000},
        "Invalid value 60000 for parameter 'max_results' supplied",
    ),
    post("experiments by what they have not", "experiments/search", {"filter": "size > 1"}),
    # runs
    get("no run", f"runs/get?run_id={NOBODY}", f"Run with id={NOBODY} not found", **ALL_NONE),
    get("a run without id", "runs/get", REQUIRED.format("run_id")),
    post(
        "a run in no experiment",
        "runs/create",
        {"experiment_id": "9999"},
        "No Experiment with id=9999 exists",
        **ALL_NONE,
    ),
    post(
        "a run with two names",
        "runs/create",
        {"experiment_id": "0", "run_name": "a", "tags": [{"key": "mlflow.runName", "value": "b"}]},
        "Both 'run_name' argument and 'mlflow.runName' tag are specified, but with different values",
    ),
    post(
        "a run of a number",
        "runs/create",
        {"experiment_id": 0},
        "Invalid value 0 for parameter 'experiment_id' supplied:  Hint: Value was of type 'int'.",
    ),
    post("an unknown state", "runs/update", {"run_id": "{run}", "status": "GONE"}, peer="answers without a code"),
    post(
        "a deleted run to be ended",
        "runs/update",
        {"run_id": "{deleted}", "status": "FINISHED"},
        "The run {deleted} must be in the 'active' state. Current state is deleted.",
    ),
    post("no run to be deleted", "runs/delete", {"run_id": NOBODY}, f"Run with id={NOBODY} not found", **ALL_NONE),
    post(
        "runs of a text",
        "runs/search",
        {"experiment_ids": "1"},
        "Invalid value \"1\" for parameter 'experiment_ids' supplied:  Hint: Value was of type 'str'.",
    ),
    post(
        "too many runs",
        "runs/search",
        {"experiment_ids": ["0"], "max_results": 60_000},
        "Invalid value 60000 for parameter 'max_results' supplied: ",
    ),
    post(
        "runs by a metric that is text",
        "runs/search",
        {"experiment_ids": ["0"], "filter": "metrics.m = 'a'"},
    ),
    post("runs by what they have not", "runs/search", {"experiment_ids": ["0"], "filter": "attributes.size > 1"}),
    post("runs by half a filter", "runs/search", {"experiment_ids": ["0"], "filter": "metrics.m >"}),
    post(
        "runs ordered twice",
        "runs/search",
        {"experiment_ids": ["0"], "order_by": ["metrics.m", "metrics.m DESC"]},
        peer="answers 500, which clients try again",
    ),
    post(
        "runs of an unknown kind",
        "runs/search",
        {"experiment_ids": ["0"], "run_view_type": "SOME"},
        peer="answers without a code",
    ),
    post("runs of no page", "runs/search", {"experiment_ids": ["0"], "page_token": "nonsense"}),
    # what runs log
    post(
        "a metric of no run",
        "runs/log-metric",
        {**METRIC, "run_id": NOBODY},
        f"Run with id={NOBODY} not found",
        **ALL_NONE,
    ),
    post(
        "a metric of a deleted run",
        "runs/log-metric",
        {**METRIC, "run_id": "{deleted}"},
        "The run {deleted} must be in the 'active' state. Current state is deleted.",
    ),
    post("a metric without key", "runs/log-metric", {**METRIC, "key": None}, REQUIRED.format("key")),
    post("a metric without value", "runs/log-metric", {**METRIC, "value": None}, REQUIRED.format("value")),
    post("a metric without time", "runs/log-metric", {**METRIC, "timestamp": None}, REQUIRED.format("timestamp")),
    post("a metric that is text", "runs/log-metric", {**METRIC, "value": "high"}),
    post("a metric that is true", "runs/log-metric", {**METRIC, "value": True}, peer="takes it for 1.0"),
    post("a metric at a fraction of a step", "runs/log-metric", {**METRIC, "step": 1.5}, peer="answers without a code"),
    post(
        "a metric with a bad key",
        "runs/log-metric",
        {**METRIC, "key": "a$b"},
        "Invalid value \"a$b\" for parameter 'name' supplied: Names may only contain alphanumerics, underscores (_), "
        "dashes (-), periods (.), spaces ( ), colon(:) and slashes (/).",
    ),
    post("a metric with a long key", "runs/log-metric", {**METRIC, "key": "k" * 251}),
    post("a metric with a path as key", "runs/log-metric", {**METRIC, "key": "../a"}),
    post(
        "a parameter changed",
        "runs/log-parameter",
        {"run_id": "{run}", "key": "k", "value": "b"},
        "Changing param values is not allowed. Param with key='k' was already logged with value='a' for run "
        "ID='{run}'. Attempted logging new value 'b'.",
    ),
    post(
        "a parameter changed in a batch",
        "runs/log-batch",
        {"run_id": "{run}", "params": [{"key": "k", "value": "b"}]},
        "Changing param values is not allowed. Param",
    ),
    post(
        "a parameter twice in a batch",
        "runs/log-batch",
        {"run_id": "{run}", "params": [{"key": "p", "value": "1"}, {"key": "p", "value": "1"}]},
        "Duplicate parameter keys have been submitted: ['p']. Please ensure the request contains only "
        "one param value per param key.",
    ),
    post(
        "a tag of a deleted run",
        "runs/set-tag",
        {"run_id": "{deleted}", "key": "k", "value": "v"},
        "The run {deleted} must be in the 'active' state. Current state is deleted.",
    ),
    post("a tag without key", "runs/set-tag", {"run_id": "{run}", "value": "v"}, REQUIRED.format("key")),
    post(
        "a tag that is a number",
        "runs/set-tag",
        {"run_id": "{run}", "key": "k", "value": 1},
        "Invalid value 1 for parameter 'value' supplied:  Hint: Value was of type 'int'.",
    ),
    post(
        "no tag of a run",
        "runs/delete-tag",
        {"run_id": "{run}", "key": "k"},
        "No tag with name: k in run with id {run}",
        **ALL_NONE,
    ),
    post(
        "too many metrics in a batch",
        "runs/log-batch",
        {"run_id": "{run}", "metrics": [{"key": "m", "value": 1, "timestamp": 1, "step": n} for n in range(1001)]},
        "A batch logging request can contain at most 1000 metrics. Got 1001 metrics.",
    ),
    post(
        "too many parameters in a batch",
        "runs/log-batch",
        {"run_id": "{run}", "params": [{"key": f"p{n}", "value": "1"} for n in range(101)]},
        "A batch logging request can contain at most 100 params. Got 101 params.",
    ),
    post(
        "too much in a batch",
        "runs/log-batch",
        {
            "run_id": "{run}",
            "metrics": [{"key": "m", "value": 1, "timestamp": 1, "step": n} for n in range(1000)],
            "tags": [{"key": "t", "value": "1"}],
        },
        "A batch logging request can contain at most 1000 metrics, params, and tags. Got 1001 metrics, params, ",
    ),
    post("a batch of texts", "runs/log-batch", {"run_id": "{run}", "metrics": ["m"]}, peer="answers without a code"),
    post(
        "a dataset without name",
        "runs/log-inputs",
        {"run_id": "{run}", "datasets": [{"dataset": {"digest": "d"}}]},
        peer="answers without a code",
    ),
    post("a model without story", "runs/log-model", {"run_id": "{run}", "model_json": "{"}, "Malformed model info."),
    get("a history without key", "metrics/get-history?run_id={run}", REQUIRED.format("metric_key")),
    get("a history of no points", "metrics/get-history?run_id={run}&metric_key=m&max_results=0"),
    get("histories of no runs", "metrics/get-history-bulk-interval?metric_key=m", REQUIRED.format("run_ids")),
    post(
        "datasets of no experiments",
        "experiments/search-datasets",
        {},
        "SearchDatasets request must specify at least one experiment_id.",
        peer="has a slip in its path",
    ),
    # models
    get("no registered model", "registered-models/get?name=x", "Registered Model with name=x not found", **ALL_NONE),
    post(
        "a registered model again",
        "registered-models/create",
        {"name": "m1"},
        "Registered Model (name=m1) already exists.",
        code=EXISTS,
    ),
    post("a registered model with a slash", "registered-models/create", {"name": "a/b"}),
    post("a registered model without name", "registered-models/create", {}, REQUIRED.format("name")),
    post(
        "no registered model to be renamed",
        "registered-models/rename",
        {"name": "x", "new_name": "y"},
        "Registered Model with name=x not found",
        **ALL_NONE,
    ),
    Case(
        name="no registered model to be deleted",
        method="DELETE",
        path="registered-models/delete",
        body={"name": "x"},
        says="Registered Model with name=x not found",
        **ALL_NONE,
    ),
    get("no alias", "registered-models/alias?name=m1&alias=x", "Registered model alias x not found."),
    post("a reserved alias", "registered-models/alias", {"name": "m1", "alias": "latest", "version": "1"}),
    post(
        "an alias of no version",
        "registered-models/alias",
        {"name": "m1", "alias": "a", "version": "9"},
        "Model Version (name=m1, version=9) not found",
        **ALL_NONE,
    ),
    get(
        "no version", "model-versions/get?name=m1&version=9", "Model Version (name=m1, version=9) not found", **ALL_NONE
    ),
    get("a version that is no number", "model-versions/get?name=m1&version=one"),
    post(
        "a version of no model",
        "model-versions/create",
        {"name": "x", "source": "s3://b/m"},
        "Registered Model with name=x not found",
        **ALL_NONE,
    ),
    post("a version of a local file", "model-versions/create", {"name": "m1", "source": "file:///etc/passwd"}),
    post(
        "a version to an unknown stage",
        "model-versions/transition-stage",
        {"name": "m1", "version": "1", "stage": "Gone", "archive_existing_versions": False},
    ),
    post("versions of an unknown stage", "registered-models/get-latest-versions", {"name": "m1", "stages": ["Gone"]}),
    post(
        "a stage that archives nothing",
        "model-versions/transition-stage",
        {"name": "m1", "version": "1", "stage": "None", "archive_existing_versions": True},
        peer="answers 500, which clients try again",
    ),
    get("no logged model", f"logged-models/m-{NOBODY}", **ALL_NONE),
    post("a logged model in no experiment", "logged-models", {"experiment_id": "9999", "name": "m"}, **ALL_NONE),
    post("a logged model with a slash", "logged-models", {"experiment_id": "0", "name": "a/b"}),
    post("logged models of no experiments", "logged-models/search", {}, REQUIRED.format("experiment_ids")),
    # files
    get(
        "no file",
        "/api/2.0/mlflow-artifacts/artifacts/{experiment}/{run}/artifacts/nope.txt",
        "No such artifact: '{experiment}/{run}/artifacts/nope.txt'",
        **ALL_NONE,
    ),
    get(
        "a file that leads out",
        "/api/2.0/mlflow-artifacts/artifacts/{experiment}/{run}/artifacts/%2e%2e/x",
        peer="says that the path is invalid, in other words",
    ),
    get("files of no run", f"artifacts/list?run_id={NOBODY}", f"Run with id={NOBODY} not found", **ALL_NONE),
    # what is deleted, or too long
    post(
        "a run in a deleted experiment",
        "runs/create",
        {"experiment_id": "{gone}"},
        "The experiment {gone} must be in the 'active' state.",
    ),
    post(
        "a deleted experiment to be tagged",
        "experiments/set-experiment-tag",
        {"experiment_id": "{gone}", "key": "k", "value": "v"},
        "The experiment {gone} must be in the 'active' state.",
    ),
    post(
        "a deleted experiment to be renamed",
        "experiments/update",
        {"experiment_id": "{gone}", "new_name": "n"},
        peer="answers 500, which clients try again",
    ),
    post("a deleted run to be renamed", "runs/update", {"run_id": "{deleted}", "run_name": "n"}),
    post("a parameter of a deleted run", "runs/log-parameter", {"run_id": "{deleted}", "key": "k", "value": "v"}),
    post("a batch of a deleted run", "runs/log-batch", {"run_id": "{deleted}", "tags": [{"key": "k", "value": "v"}]}),
    post(
        "an input of a deleted run",
        "runs/log-inputs",
        {
            "run_id": "{deleted}",
            "datasets": [{"dataset": {"name": "d", "digest": "d", "source_type": "s", "source": "s"}}],
        },
    ),
    post(
        "a long tag of an experiment",
        "experiments/set-experiment-tag",
        {"experiment_id": "{experiment}", "key": "k", "value": "x" * 20_001},
        peer="cuts it",
    ),
    post("a metric far from now", "runs/log-metric", {**METRIC, "timestamp": -1}),
    post("a metric beyond 64 bits", "runs/log-metric", {**METRIC, "step": 2**63}, peer="answers without a code"),
    post(
        "a batch of no run",
        "runs/log-batch",
        {"run_id": NOBODY, "tags": [{"key": "k", "value": "v"}]},
        f"Run with id={NOBODY} not found",
        **ALL_NONE,
    ),
    post("inputs of no run", "runs/log-inputs", {"run_id": NOBODY, "datasets": []}, **ALL_NONE),
    post(
        "outputs of no run", "runs/outputs", {"run_id": NOBODY, "models": [{"model_id": "m-1", "step": 0}]}, **ALL_NONE
    ),
    Case(
        name="no model to be described",
        method="PATCH",
        path="registered-models/update",
        body={"name": "x", "description": "d"},
        **ALL_NONE,
    ),
    Case(
        name="no tag of no model",
        method="DELETE",
        path="registered-models/delete-tag",
        body={"name": "x", "key": "k"},
        **ALL_NONE,
    ),
    Case(
        name="no version to be deleted",
        method="DELETE",
        path="model-versions/delete",
        body={"name": "m1", "version": "9"},
        **ALL_NONE,
    ),
    get("files of no version", "model-versions/get-download-uri?name=m1&version=9", **ALL_NONE),
    post("a version named by nothing", "model-versions/set-tag", {"name": "m1", "key": "k", "value": "v"}),
    get("models by what they have not", "registered-models/search?filter=size%3E1"),
    get("versions by what they have not", "model-versions/search?filter=size%3E1"),
    get("too many models", "registered-models/search?max_results=1001"),
    get("too many versions", "model-versions/search?max_results=200001"),
    post(
        "logged models by what they have not", "logged-models/search", {"experiment_ids": ["0"], "filter": "size > 1"}
    ),
    Case(
        name="a logged model in an unknown state",
        method="PATCH",
        path=f"logged-models/m-{NOBODY}",
        body={"status": "GONE"},
        peer="answers without a code",
    ),
    Case(
        name="no logged model to be finished",
        method="PATCH",
        path=f"logged-models/m-{NOBODY}",
        body={"model_id": f"m-{NOBODY}", "status": "LOGGED_MODEL_READY"},
        **ALL_NONE,
    ),
    Case(
        name="no logged model to be tagged",
        method="PATCH",
        path=f"logged-models/m-{NOBODY}/tags",
        body={"tags": [{"key": "k", "value": "v"}]},
        **ALL_NONE,
    ),
    # the request itself
    get(
        "no such endpoint",
        "runs/nope",
        "there is no such endpoint here",
        status=404,
        code="ENDPOINT_NOT_FOUND",
        peer="answers with a page",
    ),
    get(
        "another method",
        "runs/create",
        "there is no such endpoint here",
        status=405,
        code="ENDPOINT_NOT_FOUND",
        peer="answers with a page",
    ),
)


class Known:
    """A server with something to be wrong about.

    Args:
        port: Where it listens.
    """

    def __init__(self, port: int) -> None:
        self._port = port
        self.names = {"experiment": self.make("experiments/create", {"name": "e1"})["experiment_id"]}
        for name in ("run", "deleted"):
            made = self.make("runs/create", {"experiment_id": self.names["experiment"]})
            self.names[name] = made["run"]["info"]["run_id"]
        self.make("runs/log-parameter", {"run_id": self.names["run"], "key": "k", "value": "a"})
        self.make("runs/delete", {"run_id": self.names["deleted"]})
        self.names["gone"] = self.make("experiments/create", {"name": "e2"})["experiment_id"]
        self.make("experiments/delete", {"experiment_id": self.names["gone"]})
        self.make("registered-models/create", {"name": "m1"})
        self.make("model-versions/create", {"name": "m1", "source": "s3://b/m"})

    def make(self, path: str, body: object) -> Any:  # noqa: ANN401 - JSON
        status, text = self.ask("POST", path, body)
        assert status == 200, text
        return json.loads(text)

    def ask(self, method: str, path: str, body: object = None) -> tuple[int, str]:
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=60)
        try:
            headers = {} if body is None else {"Content-Type": "application/json"}
            data = None if body is None else json.dumps(body)
            connection.request(method, path if path.startswith("/") else API + path, data, headers)
            got = connection.getresponse()
            return got.status, got.read().decode()
        finally:
            connection.close()

    def filled(self, value: Any) -> Any:  # noqa: ANN401 - JSON
        """Put in what has no name before there is a server: ``{run}``."""
        if isinstance(value, str):
            for name, text in self.names.items():
                value = value.replace("{" + name + "}", text)
            return value
        if isinstance(value, dict):
            return {key: self.filled(item) for key, item in value.items()}
        return [self.filled(item) for item in value] if isinstance(value, list) else value

    def check(self, case: Case) -> None:
        status, body = self.ask(case.method, self.filled(case.path), self.filled(case.body))
        told = json.loads(body)
        assert (status, told["error_code"]) == (case.status, case.code), told
        assert told["message"].startswith(self.filled(case.says)), told


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def ours(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Known]:
    url = None
    if request.param == "postgresql":
        made = request.getfixturevalue("postgres_server")
        url = made.url(made.new_database(request.getfixturevalue("postgres_template")))
    with serving(tmp_path_factory.mktemp("errors") / "home", tracking_uri=url) as server:
        yield Known(server.port)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_what_cannot_be_done_is_said_as_clients_know_it(ours: Known, case: Case) -> None:
    ours.check(case)


def _free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


@pytest.fixture(scope="module")
def theirs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Known]:
    """MLflow's own server."""
    python, folder, port = mlflow_python(), tmp_path_factory.mktemp("mlflow"), _free_port()
    assert python is not None
    process = subprocess.Popen(
        [python, "-m", "mlflow", "server", "--workers", "1", "--port", str(port)],
        cwd=folder,
        env={
            **os.environ,
            "MLFLOW_BACKEND_STORE_URI": f"sqlite:///{folder}/mlflow.db",
            "MLFLOW_DISABLE_TELEMETRY": "true",
        },
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        yield _waited_for(lambda: Known(port), process)
    finally:
        os.killpg(process.pid, 15)
        process.wait()


def _waited_for(make: Callable[[], Known], process: subprocess.Popen[bytes]) -> Known:
    end = time.monotonic() + 120
    while True:
        try:
            return make()
        except OSError:
            assert process.poll() is None
            assert time.monotonic() < end
            time.sleep(0.2)


# -- each kind of error that we raise ------------------------------------------------------------------

TRIED_AGAIN = {408, 429, 500, 502, 503, 504}


def kinds(base: type[ToolkitError] = ToolkitError) -> list[type[ToolkitError]]:
    """Return all classes of our errors that are at home in the package."""
    found = [base]
    for kind in base.__subclasses__():
        found += [each for each in kinds(kind) if each not in found]
    return [kind for kind in found if kind.__module__.startswith("toolkit.")]


@pytest.mark.parametrize("kind", kinds(), ids=lambda kind: kind.__name__)
def test_only_what_may_work_in_a_moment_is_tried_again(kind: type[ToolkitError]) -> None:
    status, told = answer(kind("why"))

    assert told["message"]
    if issubclass(kind, UserError) and not issubclass(kind, StoreError):
        assert status not in TRIED_AGAIN
        assert 400 <= status < 500
    if issubclass(kind, StoreError | ArtifactUnavailable):
        assert (status, told["error_code"]) == (503, "TEMPORARILY_UNAVAILABLE")


def test_what_is_no_error_of_ours_says_nothing_of_itself() -> None:
    status, told = answer(RuntimeError("password=secret"))

    assert (status, told["error_code"]) == (500, "INTERNAL_ERROR")
    assert "secret" not in json.dumps(told)


@pytest.mark.slow
@pytest.mark.skipif(mlflow_python() is None, reason=NO_MLFLOW)
@pytest.mark.skipif(not os.environ.get("TEST_MLFLOW_SERVER"), reason="asked for by TEST_MLFLOW_SERVER=1")
@pytest.mark.parametrize("case", [case for case in CASES if case.peer is True], ids=lambda case: case.name)
def test_mlflow_says_the_same(theirs: Known, case: Case) -> None:
    theirs.check(case)
