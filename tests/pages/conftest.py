"""A server with what real runs have logged, and a browser."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import browser as chromium
import pytest
from grapes import Ran, grapes
from server import Server, serving
from shown import Shown, fill

if TYPE_CHECKING:
    from playwright.sync_api import Browser


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """A browser for the tests of a module: as long as one is steered, nothing else of the thread may use asyncio."""
    if reason := chromium.why_not():
        pytest.skip(reason)
    with chromium.running() as found:
        yield found


@pytest.fixture(scope="module")
def shown(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Server, Shown]]:
    """A server whose pages show runs that were logged, among them some whose names are script."""
    home = tmp_path_factory.mktemp("shown") / "home"
    with serving(home) as server:
        yield server, fill(server)


@pytest.fixture(scope="package")
def ran(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ran]:
    """A server with a workflow that has failed, and what ran it."""
    with grapes(tmp_path_factory.mktemp("workflows")) as found:
        yield found
