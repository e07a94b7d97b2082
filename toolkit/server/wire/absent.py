"""What MLflow serves and this server does not: clients are told so in words, and at once.

MLflow's clients take ``ENDPOINT_NOT_FOUND`` for an older server. They go on with what they can do without, or stop with
one line that has our message in it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import MappingProxyType

ABSENT: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "traces and their assessments": (
            "/api/2.0/mlflow/traces",
            "/api/3.0/mlflow/traces",
            "/api/2.0/mlflow/unified-traces",
            "/api/2.0/mlflow/get-online-trace-details",
            "/api/2.0/mlflow/get-trace-artifact",
            "/api/3.0/mlflow/get-trace-artifact",
            "/v1/traces",
        ),
        "evaluation datasets": ("/api/3.0/mlflow/datasets",),
        "scorers": ("/api/3.0/mlflow/scorers", "/api/3.0/mlflow/scorer", "/api/3.0/mlflow/genai"),
        "label schemas": ("/api/3.0/mlflow/label-schemas",),
        "review queues": ("/api/3.0/mlflow/review-queues",),
        "issues": ("/api/3.0/mlflow/issues",),
        "prompt optimisation": ("/api/3.0/mlflow/prompt-optimization",),
        "the gateway to language models": (
            "/api/3.0/mlflow/gateway",
            "/api/2.0/mlflow/gateway-proxy",
            "/api/2.0/mlflow/runs/create-promptlab-run",
            "/gateway",
        ),
        "jobs": ("/api/3.0/jobs", "/api/3.0/mlflow/jobs"),
        "workspaces": ("/api/3.0/mlflow/workspaces",),
        "the demo of MLflow's pages": ("/api/3.0/mlflow/demo",),
        "the assistant of MLflow's pages": ("/api/3.0/mlflow/assistant",),
        "MCP servers": ("/api/3.0/mlflow/mcp-servers",),
        "webhooks": ("/api/2.0/mlflow/webhooks",),
        "signed addresses of an object store": (
            "/api/2.0/mlflow/artifacts/presigned-upload-url",
            "/api/2.0/mlflow/artifacts/presigned-download-url",
        ),
        "users and permissions of MLflow's basic-auth": (
            "/api/2.0/mlflow/users",
            "/api/2.0/mlflow/experiments/permissions",
            "/api/2.0/mlflow/registered-models/permissions",
        ),
        "GraphQL": ("/graphql",),
        "the telemetry of MLflow's pages": ("/api/3.0/mlflow/ui-telemetry",),
    }
)
"""What is not served, with where MLflow has it: these paths, what is below them, and the same in ``/ajax-api``."""

_SHOWN = 200
_PATHS = {path: name for name, paths in ABSENT.items() for path in paths}


def what(path: str) -> str | None:
    """Return what MLflow has at a path that is not served here; ``None`` where MLflow has nothing that we know of."""
    path = re.sub(r"^/ajax-api/", "/api/", path)
    while path:
        if path in _PATHS:
            return _PATHS[path]
        path = path.rpartition("/")[0]
    return None


def message(method: str, path: str, *, prefix: str = "") -> str:
    """Return what is said of a request that nothing serves."""
    asked = f"{method} {path[:_SHOWN]}"
    name = what(path.removeprefix(prefix))
    if name is None:
        return f"there is no such endpoint here: {asked}"
    return f"this server does not have {name}: there is no {asked}"
