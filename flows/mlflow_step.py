"""Steps whose code does ``import mlflow``: what tells them apart, and what they are told."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from urllib.parse import urlsplit

from toolkit.errors import NotFound
from toolkit.recording.context import HOST, PARENT, PROJECT_BACKEND
from toolkit.recording.run import RecordedRun
from toolkit.settings import environment
from toolkit.tracking.records import Run, RunStatus, SearchQuery
from toolkit.tracking.step_token import step_token
from toolkit.tracking.store import RunStore

_MLFLOW = re.compile(r"(?mi)^\s*mlflow(-skinny|-tracing)?\s*(\[|[=<>!~@;#]|$)")
_LOGINS = tuple(
    f"{whose}_TRACKING_{name}"
    for whose in ("MLFLOW", "TOOLKIT")
    for name in ("USERNAME", "PASSWORD", "TOKEN", "AUTH", "AWS_SIGV4")
)
_STEP, _FLOW_RUN = "toolkit.step", "prefect.flow_run_id"
_ELSEWHERE = ("databricks", "kubernetes")
_PROXIES = ("http_proxy", "all_proxy")


def step_tags(step: str, flow_run_id: str) -> dict[str, str]:
    """Return what runs are to say that a step's code makes besides the step's own."""
    return {_STEP: step, _FLOW_RUN: flow_run_id}


def names_mlflow(lines: str | Iterable[str]) -> bool:
    """Tell whether a client of MLflow's is among requirements, or among the lines of an environment's lock."""
    return _MLFLOW.search(lines if isinstance(lines, str) else "\n".join(lines)) is not None


def mlflow_variables(server: str, recorded: RecordedRun, tags: Mapping[str, str]) -> dict[str, str | None]:
    """Return the variables by which MLflow's clients log to a step's own run.

    Args:
        server: Address of a server that has the run.
        recorded: The step's run.
        tags: What runs are to have besides that the code makes; they are parts of the step's run unless it says else.
    """
    own = {PARENT: recorded.run_id, **tags}
    return {
        "MLFLOW_TRACKING_URI": server,
        "MLFLOW_REGISTRY_URI": server,
        "MLFLOW_RUN_ID": recorded.run_id,
        "MLFLOW_EXPERIMENT_ID": recorded.info.experiment_id,
        "MLFLOW_EXPERIMENT_NAME": None,  # the user's would contradict the id; with both, `mlflow run` refuses to start
        "MLFLOW_RUN_CONTEXT": json.dumps(own | _said_already()),
        **_which_step(own),
        **_who_asks(),
        **_past_proxies(urlsplit(server).hostname or ""),
    }


def end_left_open(runs: RunStore, run_id: str, status: RunStatus, tags: Mapping[str, str]) -> None:
    """End what MLflow's clients have left open below a step that has ended; for MLflow such runs go on for ever.

    Runs of toolkit's own are watched by who made them, and a project that was sent to other machines may go on there.

    Args:
        runs: Where they are.
        run_id: The step's run.
        status: Its final state, which is theirs.
        tags: What `step_tags` says of them.
    """
    marks = " AND ".join(f"tags.\"{name}\" = '{value}'" for name, value in tags.items() if "'" not in value)
    query = SearchQuery(
        filter=f"attributes.status = 'RUNNING' AND {marks}", fields=(f"tags.{HOST}", f"tags.{PROJECT_BACKEND}")
    )
    for run in runs.search_runs(query).items:
        watched = HOST in run.data.tags or run.data.tags.get(PROJECT_BACKEND) in _ELSEWHERE
        if not watched and _is_below(runs, run, run_id):
            runs.update_run(run.info.run_id, status=status, reason="left open by the step's code")


def _is_below(runs: RunStore, run: Run, above: str) -> bool:
    seen = set()
    parent = run.info.parent_run_id
    while parent is not None and parent != above and parent not in seen:
        seen.add(parent)
        try:
            parent = runs.get_run(parent).info.parent_run_id
        except NotFound:
            return False
    return parent == above


def _who_asks() -> dict[str, str]:
    """Return in MLflow's names what says in ours how a server is reached."""
    said = environment()
    names = ("USERNAME", "PASSWORD", "TOKEN", "INSECURE_TLS", "SERVER_CERT_PATH", "CLIENT_CERT_PATH")
    ours = {f"MLFLOW_TRACKING_{name}": said.get(f"TOOLKIT_TRACKING_{name}") for name in names}
    return {name: value for name, value in ours.items() if value}


def _which_step(tags: Mapping[str, str]) -> dict[str, str]:
    """Return what tells a server which step asks, where nobody logs in: `mlflow.run` does not look at the context."""
    token = None if any(environment().get(name) for name in _LOGINS) else step_token(tags)
    return {} if token is None else {"MLFLOW_TRACKING_TOKEN": token}


def _said_already() -> dict[str, str]:
    """Return the tags that the user wants on runs of MLflow's clients."""
    try:
        said = json.loads(environment().get("MLFLOW_RUN_CONTEXT") or "{}")
    except ValueError:
        return {}
    return said if isinstance(said, dict) else {}


def _past_proxies(host: str) -> dict[str, str | None]:
    """Return variables that keep requests to this machine from a proxy that is meant for others."""
    now = {name.lower(): value for name, value in environment().items() if name.lower() in (*_PROXIES, "no_proxy")}
    if host != "127.0.0.1" or not any(now.get(name) for name in _PROXIES):
        return {}
    past = [name for name in now.get("no_proxy", "").split(",") if name]
    if host in past or "*" in past:
        return {}
    value = ",".join([*past, host])
    return {"no_proxy": value, "NO_PROXY": value}
