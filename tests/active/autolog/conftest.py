"""Autolog is off again after each test, and what was logged is read from the store."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

import toolkit


@pytest.fixture(autouse=True)
def autolog_is_off() -> Iterator[None]:
    yield
    toolkit.autolog(disable=True)
