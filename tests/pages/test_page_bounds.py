"""Pages stay up whatever somebody wrote into tags, and read no more than they show: without a browser."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
from server import Server, serving

from toolkit.flows.published_graph import MARK, Published, key_of, publish
from toolkit.tracking.records import NewRun


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server with a home of its own."""
    with serving(tmp_path_factory.mktemp("bounds") / "home") as found:
        yield found


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
    last = NewRun(
        experiment_id=found.experiment_id,
        run_id="a" * 32,
        run_name="its run",
        user_id="ann",
        start_time=1,
        tags={"toolkit.workflow": names[-1]},
    )
    runs.create_run(last)
    text = _text(server, "/workflows")
    assert all(name[:3] in text for name in names)
