"""Pages stay up whatever somebody wrote into tags, and read no more than they show: without a browser."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from itertools import count
from typing import Any

import pytest
from server import Server, serving

from toolkit.flows.published_graph import MARK, Published, key_of, publish
from toolkit.flows.recorded_graph import GRAPH
from toolkit.server.pages import compare_tables
from toolkit.server.pages.compare_tables import Value
from toolkit.tracking.records import Metric, NewRun, Run, RunStatus, SearchQuery


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server with a home of its own."""
    with serving(tmp_path_factory.mktemp("bounds") / "home") as found:
        yield found


_numbers = count(1)


def _add(
    server: Server,
    name: str,
    experiment_id: str = "0",
    *,
    parent: str | None = None,
    tags: Mapping[str, str] | None = None,
    params: Mapping[str, str] | None = None,
    status: RunStatus = RunStatus.RUNNING,
) -> str:
    """Add a run; return its id."""
    number = next(_numbers)
    run = NewRun(
        experiment_id=experiment_id,
        run_id=f"{number:032x}",
        run_name=name,
        user_id="ann",
        start_time=1_700_000_000_000 + number,
        parent_run_id=parent,
        tags=tags or {},
        params=params or {},
    )
    server.stores.runs.create_run(run)
    if status is not RunStatus.RUNNING:
        server.stores.runs.update_run(run.run_id, status=status, end_time=run.start_time + 1)
    return run.run_id


def _text(server: Server, path: str) -> str:
    answer = server.call("GET", path)
    assert answer.status == 200, answer.body[:500]
    return answer.body.decode()


@pytest.mark.parametrize(
    "told",
    [
        {"name": "\0"},
        {"name": "\ud800"},
        {"name": "n" * 19_000},
        {"name": "late", "time": 10**400},
        {"name": "endless", "steps": [{"name": "s", "timeout": float("inf")}]},
    ],
    ids=["nul", "half", "long", "time", "timeout"],
)
def test_no_tag_takes_the_workflows_away(server: Server, told: dict[str, object]) -> None:
    runs = server.stores.runs
    name = str(told["name"]).encode(errors="replace").decode()
    value = json.dumps({"schema": 1, "steps": [], **told})
    runs.update_experiment("0", tags={MARK: "1", "toolkit.published.x": value, key_of(name): value})
    publish(runs, runs.get_experiment("0"), Published(name="sound", steps=[]))
    assert "sound" in _text(server, "/workflows")


def test_many_long_names_are_looked_up_some_at_a_time(server: Server) -> None:
    runs = server.stores.runs
    names = [f"{n:03}" + "'" * 490 for n in range(120)]
    found = runs.create_experiment("long names")
    for name in names:
        publish(runs, found, Published(name=name, steps=[]))
    _add(server, "its run", found.experiment_id, tags={"toolkit.workflow": names[-1]})
    text = _text(server, "/workflows")
    assert all(name[:3] in text for name in names)


@pytest.fixture(scope="module")
def workflow(server: Server) -> str:
    """A workflow that goes on, with a step that failed for the first time and will be tried again."""
    steps = [{"name": "prepare"}, {"name": "train", "needs": {"prepare": []}, "retries": 2}, {"name": "ship"}]
    tags = {"toolkit.workflow": "wine", GRAPH: json.dumps({"schema": 1, "steps": steps})}
    whole = _add(server, "wine", tags=tags)
    _add(server, "prepare", parent=whole, tags={"toolkit.step": "prepare"}, status=RunStatus.FINISHED)
    tags = {"toolkit.step": "train", "toolkit.attempt": "1"}
    failed = _add(server, "train", parent=whole, tags=tags, params={"alpha": "0.5"}, status=RunStatus.FAILED)
    server.stores.runs.log_batch(failed, metrics=[Metric(key="rmse", value=0.5, timestamp=1, step=1)])
    return whole


def test_home_reads_of_a_workflows_steps_only_how_they_stand(
    server: Server, workflow: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs, seen = server.stores.runs, list[Run]()
    for name in ("list_runs", "search_runs"):
        told = getattr(runs, name)

        def asked(query: Any, told: Any = told) -> Any:  # noqa: ANN401 - as the store has it
            page = told(query)
            seen.extend(run for run in page.items if run.info.parent_run_id == workflow)
            return page

        monkeypatch.setattr(runs, name, asked)
    text = " ".join(_text(server, "/").split())
    assert "1/3 steps" in text
    assert {run.info.run_name for run in seen} == {"prepare", "train"}
    assert not any(run.data.metrics or run.data.params for run in seen)


@pytest.mark.parametrize("attempt", ["\u00b2", "1" * 5_000, "-1", ""], ids=["superscript", "long", "negative", "empty"])
def test_an_attempt_that_is_no_number_takes_no_page_away(server: Server, workflow: str, attempt: str) -> None:
    tags = {"toolkit.step": "ship", "toolkit.attempt": attempt, "toolkit.trial": attempt}
    for number in range(2):
        run_id = _add(server, f"ship {number}", parent=workflow, tags=tags, status=RunStatus.FAILED)
        tags = {**tags, "toolkit.trial": "1"}
    for path in ("/", "/workflows", f"/workflows/{workflow}", f"/workflows/{workflow}?step=ship", f"/runs/{run_id}"):
        assert _text(server, path)


@pytest.mark.parametrize("depth", ["\u00b2", "0", "1" * 5_000], ids=["superscript", "zero", "long"])
def test_a_depth_that_is_none_is_told(server: Server, workflow: str, depth: str) -> None:
    answer = server.call("GET", f"/runs/{workflow}/lineage", depth=depth)
    assert answer.status == 400, answer.body


@pytest.fixture
def asked(server: Server, monkeypatch: pytest.MonkeyPatch) -> list[SearchQuery]:
    """What is searched for from now on."""
    runs, seen = server.stores.runs, list[SearchQuery]()
    search = runs.search_runs

    def noted(query: SearchQuery) -> Any:  # noqa: ANN401 - as the store has it
        seen.append(query)
        return search(query)

    monkeypatch.setattr(runs, "search_runs", noted)
    return seen


def test_an_export_of_very_many_columns_reads_few_runs_at_a_time(server: Server, asked: list[SearchQuery]) -> None:
    wide = server.stores.runs.create_experiment("wide").experiment_id
    _add(server, "wide", wide, params={f"p{n:04}": f"{n}" for n in range(5_000)})
    text = _text(server, f"/experiments/{wide}/runs.csv")
    assert text.splitlines()[1].endswith(",4998,4999")
    assert asked
    assert max(query.limit for query in asked) <= 50


def test_an_export_has_the_columns_of_all_of_a_thousand_runs(server: Server, asked: list[SearchQuery]) -> None:
    found = server.stores.runs.create_experiment("many").experiment_id
    for number in range(120):
        _add(server, f"run-{number}", found, params={"first" if number == 0 else "alpha": f"{number}"})
    rows = json.loads(_text(server, f"/experiments/{found}/runs.json"))
    assert (len(rows), rows[0]["p:alpha"], rows[-1]["p:first"]) == (120, "119", "0")
    assert len(asked) == 4  # three looks at 50 runs, then all rows


def test_a_comparison_makes_cells_of_shown_metrics_alone(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    ids = []
    for number in range(9):  # so many that each metric is a column
        run_id = _add(server, f"compared {number}")
        values = {**{f"differs/{n:03}": n + number / 10 for n in range(400)}, "same": 7.25, "nan": math.nan}
        metrics = [Metric(key=key, value=value, timestamp=1, step=1) for key, value in values.items()]
        server.stores.runs.log_batch(run_id, metrics=metrics)
        ids.append(run_id)
    made = list[Value]()

    def value(**told: Any) -> Value:  # noqa: ANN401 - as it is made
        made.append(Value(**told))
        return made[-1]

    monkeypatch.setattr(compare_tables, "Value", value)
    text = " ".join(_text(server, f"/compare?runs={','.join(ids)}").split())
    assert "40 of 400 metrics that differ are shown" in text
    assert "2 metrics are the same in all" in text
    assert "<dt>same</dt><dd>7.250</dd>" in text
    assert len(made) == 40 * 9 + 2
