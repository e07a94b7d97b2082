"""Graphs of workflows that are kept before they run."""

from __future__ import annotations

import random
from dataclasses import replace
from pathlib import Path

import pytest
from projects import CHAIN, plan

from toolkit.errors import TooLarge
from toolkit.flows.published_graph import (
    Published,
    PublishedDeployment,
    change,
    key_of,
    of_plan,
    publish,
    published_in,
    publishing,
    read,
    withdraw,
)
from toolkit.flows.recorded_graph import PlannedStep, graph_text, read_graph
from toolkit.tracking.limits import EXPERIMENT_TAG_VALUE_LENGTH
from toolkit.tracking.memory import MemoryRunStore
from toolkit.tracking.records import Experiment

NIGHTLY = PublishedDeployment(id="d1", name="wine/nightly", schedule="cron 0 2 * * *", timezone="UTC", pool="toolkit")


class Shelf:
    """A store, and what is published in its first experiment."""

    def __init__(self) -> None:
        self.runs = MemoryRunStore()

    @property
    def experiment(self) -> Experiment:
        return self.runs.get_experiment("0")

    @property
    def all(self) -> list[Published]:
        return list(published_in(self.experiment.tags))


@pytest.fixture
def shelf() -> Shelf:
    return Shelf()


def test_a_plan_is_read_back_as_the_project_declares_it_without_given_values(tmp_path: Path, shelf: Shelf) -> None:
    made = plan(tmp_path, CHAIN, parameters={"report": "false"})
    publish(shelf.runs, shelf.experiment, of_plan(made, now=5))
    (found,) = shelf.all
    assert found.steps == read_graph(graph_text(made))
    assert found.name == "wine"
    assert (found.time, found.uri, found.code) == (5, str(tmp_path), "files that are in no commit")
    assert {name: (one.type, one.default) for name, one in found.parameters.items()} == {
        "alphas": ("list", "[0.1, 0.5]"),
        "report": ("bool", "true"),
    }
    assert [one.experiment_id for one in publishing(shelf.runs)] == ["0"]


def test_what_is_deployed_stays_until_its_deployments_are_gone(shelf: Shelf) -> None:
    made = Published(name="wine", steps=[PlannedStep(name="a")])
    publish(shelf.runs, shelf.experiment, made, NIGHTLY)
    publish(shelf.runs, shelf.experiment, made, replace(NIGHTLY, id="d2", name="wine/weekly"))
    publish(shelf.runs, shelf.experiment, made, replace(NIGHTLY, id="d3"))  # deployed again
    assert [(one.id, one.name) for one in shelf.all[0].deployments] == [("d2", "wine/weekly"), ("d3", "wine/nightly")]
    change(shelf.runs, "d3", paused=True)
    assert [one.paused for one in shelf.all[0].deployments] == [False, True]
    withdraw(shelf.runs, "d2")
    assert [one.id for one in shelf.all[0].deployments] == ["d3"]
    withdraw(shelf.runs, "d3")
    assert shelf.all == []


def test_what_was_published_for_itself_outlives_its_deployments(shelf: Shelf) -> None:
    made = Published(name="wine", steps=[PlannedStep(name="a")])
    publish(shelf.runs, shelf.experiment, made, NIGHTLY)
    publish(shelf.runs, shelf.experiment, made)
    assert [one.id for one in shelf.all[0].deployments] == ["d1"]
    withdraw(shelf.runs, "d1")
    assert [(one.name, list(one.deployments)) for one in shelf.all] == [("wine", [])]


def test_a_large_graph_is_packed_and_one_that_is_too_large_refused(shelf: Shelf) -> None:
    steps = [PlannedStep(name=f"step-{n}", needs={f"step-{n - 1}": []} if n else {}) for n in range(1_000)]
    publish(shelf.runs, shelf.experiment, Published(name="large", steps=steps))
    (value,) = (text for key, text in shelf.experiment.tags.items() if key == key_of("large"))
    assert len(value) <= EXPERIMENT_TAG_VALUE_LENGTH
    assert [one.name for one in shelf.all[0].steps] == [one.name for one in steps]
    chance = random.Random(1)
    odd = [PlannedStep(name=f"{chance.random()}") for _ in range(5_000)]
    with pytest.raises(TooLarge, match="it has 5,000 steps"):
        publish(shelf.runs, shelf.experiment, Published(name="odd", steps=odd))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "x",
        "[]",
        "{}",
        "zlib:x",
        "zlib:eJwDAAAAAAE=",
        '{"schema": 2}',
        '{"schema": 1, "name": 3, "steps": []}',
        '{"schema": 1, "name": "a", "steps": [{"name": 1}]}',
        '{"schema": 1, "name": "a", "steps": [], "time": "x"}',
        '{"schema": 1, "name": "a", "steps": [], "deployments": [{"id": "1"}]}',
        "[" * 9_999,
        '{"schema": 1, "name": "", "steps": []}',
        '{"schema": 1, "name": "a\\u0000b", "steps": []}',
        '{"schema": 1, "name": "a\\ud800", "steps": []}',
        f'{{"schema": 1, "name": "{"n" * 501}", "steps": []}}',
        f'{{"schema": 1, "name": "a", "steps": [], "time": 1{"0" * 400}}}',
        '{"schema": 1, "name": "a", "steps": [], "description": "\\ud800"}',
        '{"schema": 1, "name": "a", "steps": [{"name": "s", "timeout": Infinity}]}',
        '{"schema": 1, "name": "a", "steps": [{"name": "s", "timeout": NaN}]}',
        f'{{"schema": 1, "name": "a", "steps": [{{"name": "s", "retries": 1{"0" * 400}}}]}}',
    ],
    ids=lambda text: str(len(text)),
)
def test_what_somebody_else_wrote_is_nothing(text: str) -> None:
    assert read(text) is None


def test_a_workflow_is_read_from_its_own_key_alone(shelf: Shelf) -> None:
    """What another tag tells could be neither looked at nor forgotten by its name."""
    text = '{"schema": 1, "name": "a", "steps": []}'
    shelf.runs.update_experiment("0", tags={"toolkit.published.x": text})
    assert shelf.all == []
    shelf.runs.update_experiment("0", tags={key_of("a"): text})
    assert [one.name for one in shelf.all] == ["a"]


def test_a_name_that_is_too_long_to_be_read_is_refused(shelf: Shelf) -> None:
    publish(shelf.runs, shelf.experiment, Published(name="n" * 500, steps=[]))
    assert len(shelf.all) == 1
    with pytest.raises(TooLarge, match="has 501 characters"):
        publish(shelf.runs, shelf.experiment, Published(name="n" * 501, steps=[]))
