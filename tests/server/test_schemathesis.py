"""Requests drawn from our OpenAPI document, right ones and wrong ones: the answers are those that it describes."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st
from hypothesis.errors import Unsatisfiable
from server import Server, serving

from toolkit.testing.deployment_store import new_deployment, serve
from toolkit.testing.runs import add_run
from toolkit.tracking.records import ArtifactEntry, Metric, RunStatus
from toolkit.wiring.serving import open_deployment_store

EXAMPLES = int(os.environ.get("FAULT_ROUNDS", "5"))
"""Requests to each endpoint, right and wrong ones each."""

SEED = int(os.environ.get("FAULT_SEED", "20261121"))

_drawn = settings(
    max_examples=EXAMPLES,
    deadline=None,
    database=None,
    phases=[Phase.generate],
    suppress_health_check=list(HealthCheck),
)
_WITHIN = 20.0  # seconds for an answer
_TRACES = ("Traceback (most recent", 'File "', "sqlalchemy", "sqlite3", "psycopg")


@pytest.fixture(scope="module")
def described(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Server, Any, dict[str, str]]]:
    """A server, what it says of itself, and names of what is there."""
    print(f"FAULT_SEED={SEED}")
    with serving(tmp_path_factory.mktemp("described") / "home") as server:
        runs = server.stores.runs
        parent = add_run(runs, params={"a": "1"}, tags={"t": "2"}).info.run_id
        runs.log_batch(parent, metrics=[Metric(key="m", value=float(n), timestamp=n, step=n) for n in range(20)])
        runs.log_batch(parent, metrics=[Metric(key="n", value=float("nan"), timestamp=1, step=0)])
        runs.record_artifacts(parent, [ArtifactEntry(path="a/b", size=1, sha256="0" * 64, created=1)])
        runs.update_run(parent, status=RunStatus.FINISHED)
        deployments = open_deployment_store(server.stores)
        made = deployments.create(new_deployment("journal"))
        serve(deployments, made, 1)
        there = {"run_id": parent, "experiment_id": "0", "key": "m", "name": "journal", "prefix": "a"}
        there["deployment_id"] = made.id
        document = server.call("GET", "/api/v1/openapi.json").json
        endless = "/api/v1/registry/events/stream"
        yield server, schemathesis.openapi.from_dict(document).exclude(path=endless), there


def _each(
    described: tuple[Server, Any, dict[str, str]], mode: str, look: Callable[[Any, schemathesis.Response], None]
) -> int:
    """Send drawn requests to each endpoint; look at each answer. Return how many endpoints there were."""
    server, document, there = described
    session = requests.Session()
    session.trust_env = False
    count = 0
    for found in document.get_all_operations():
        operation = found.ok()
        cases = operation.as_strategy(generation_mode=schemathesis.GenerationMode[mode])
        count += 1

        @seed(SEED)
        @_drawn
        @given(case=cases, real=st.sets(st.sampled_from(sorted(there))))
        def ask(case: Any, real: set[str]) -> None:  # noqa: ANN401 - schemathesis' own
            for name in real:  # else hardly any request would be about something that is there
                for values in (case.path_parameters, case.query):
                    if values and name in values:
                        values[name] = there[name]
            answer = case.call(base_url=server.url, session=session, timeout=_WITHIN)
            busy = answer.status_code == 503 and "retry-after" in answer.headers and "pictures" in answer.text
            assert answer.status_code < 500 or busy, (case.as_curl_command(), answer.text)
            assert not any(word in answer.text for word in _TRACES), (case.as_curl_command(), answer.text)
            look(case, answer)

        try:
            ask()
        except Unsatisfiable:  # whatever is sent to it fits the document
            assert mode == "NEGATIVE"
            count -= 1
    session.close()
    assert server.call("GET", "/health").status == 200
    return count


def test_what_fits_the_document_is_answered_as_it_says(described: tuple[Server, Any, dict[str, str]]) -> None:
    """Status, headers, kind and form of each answer."""
    statuses: set[int] = set()

    def fits(case: Any, answer: schemathesis.Response) -> None:  # noqa: ANN401 - as above
        statuses.add(answer.status_code)
        if not answer.headers["content-type"][0].startswith(
            "text/event-stream"
        ):  # a text; schemathesis wants an object
            case.operation.validate_response(answer)
        if answer.status_code != 200:
            assert set(answer.json()) == {"code", "message"}

    assert _each(described, "POSITIVE", fits) > 30
    assert statuses <= {200, 400, 404, 503}


def test_what_does_not_fit_the_document_is_refused(described: tuple[Server, Any, dict[str, str]]) -> None:
    def refuses(case: Any, answer: schemathesis.Response) -> None:  # noqa: ANN401 - as above
        known = {each["name"] for each in case.operation.definition.raw.get("parameters", ()) if each["in"] == "query"}
        if set(case.query or ()) - known:  # what else stands in a query is passed over
            return
        if any(isinstance(value, list | dict) for value in (case.query or {}).values()):  # said twice: the last counts
            return
        assert answer.status_code in (400, 404, 405), (case.as_curl_command(), answer.text)
        assert set(answer.json()) == {"code", "message"}

    assert _each(described, "NEGATIVE", refuses) > 25


def test_methods_that_are_not_in_the_document(described: tuple[Server, Any, dict[str, str]]) -> None:
    server, document, there = described
    paths = document.raw_schema["paths"]
    for path in paths:
        target = re.sub(r"\{(\w+)\}", lambda found: there.get(found[1], "1"), path)
        fitting = [each for each in paths if re.fullmatch(re.sub(r"\{\w+\}", "[^/]+", each), target)]
        known = {method for each in fitting for method in paths[each]}  # a model may be called "search", too
        for method in {"get", "put", "post", "patch", "delete", "trace", "options", "head"} - known:
            answer = server.call(method.upper(), target, b"{}", {"Content-Type": "application/json"})
            assert answer.status in (404, 405), (method, target, answer)
            if method != "head":
                assert set(json.loads(answer.body)) == {"code", "message"}
