"""One home with one Prefect server for all journeys of a test process."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from machine import Machine, processes_of


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.journey)


@pytest.fixture(scope="session")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    machine = Machine(home=tmp_path_factory.mktemp("journeys") / "home")
    up = machine.toolkit("up", cwd=tmp_path_factory.getbasetemp())
    assert up.code == 0, up.err
    yield machine
    down = machine.toolkit("down", cwd=tmp_path_factory.getbasetemp())
    assert down.code == 0, down.err
    _, left = psutil.wait_procs(processes_of(machine.home), timeout=60)
    assert left == [], "processes are left after toolkit down"


@pytest.fixture
def machine(house: Machine) -> Iterator[Machine]:
    """The shared home, with an end for all that the test has started."""
    yield house
    house.clean_up()


@pytest.fixture
def fresh(tmp_path: Path) -> Iterator[Machine]:
    """A home of the test's own, without a server."""
    machine = Machine(home=tmp_path / "fresh-home")
    yield machine
    machine.clean_up()
    if machine.home.exists():
        assert machine.toolkit("down", cwd=tmp_path).code == 0
    machine.clean_up()
    _, left = psutil.wait_procs(processes_of(machine.home), timeout=60)
    assert left == [], "processes are left after toolkit down"
