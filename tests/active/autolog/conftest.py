"""Autolog is off again after each test; and the libraries use one thread, for many wait for each other."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from threadpoolctl import threadpool_limits

import toolkit


@pytest.fixture(autouse=True)
def autolog_is_off() -> Iterator[None]:
    with threadpool_limits(1):
        yield
    toolkit.autolog(disable=True)
