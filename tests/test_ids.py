"""Identifiers."""

from __future__ import annotations

import re
import time

import pytest

from toolkit.errors import InvalidValue
from toolkit.ids import check_run_id, is_run_id, new_run_id, now_ms, random_run_name


def test_run_ids_are_mlflows_and_never_the_same() -> None:
    ids = {new_run_id() for _ in range(1000)}
    assert len(ids) == 1000
    assert all(re.fullmatch("[0-9a-f]{32}", run_id) for run_id in ids)


@pytest.mark.parametrize("text", ["a" * 32, "A-b_9", "x" * 256])
def test_what_may_be_a_run_id(text: str) -> None:
    assert is_run_id(text)
    assert check_run_id(text) == text


@pytest.mark.parametrize("text", ["", "-a", "../x", "a/b", "a b", "a\n", "x" * 257])
def test_what_may_not(text: str) -> None:
    assert not is_run_id(text)
    with pytest.raises(InvalidValue):
        check_run_id(text)


def test_made_up_names_can_be_read_aloud() -> None:
    names = {random_run_name() for _ in range(200)}
    assert len(names) > 150
    assert all(re.fullmatch(r"[a-z]+-[a-z]+-\d{1,3}", name) for name in names)


def test_time_is_in_milliseconds() -> None:
    assert abs(now_ms() - time.time() * 1000) < 60_000
