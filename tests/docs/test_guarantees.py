"""The page of promises names tests that are there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
NAMED = sorted(set(re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", (ROOT / "docs/reference/guarantees.md").read_text())))


@pytest.mark.parametrize(("file", "name"), NAMED)
def test_a_promise_names_a_test(file: str, name: str) -> None:
    assert f"def {name}(" in (ROOT / file).read_text()


def test_every_fault_is_a_promise() -> None:
    """A test of faults that no promise needs is one that nobody will understand."""
    named = {name for _, name in NAMED}
    for file in sorted((ROOT / "tests/faults").glob("test_*.py")):
        if file.name != "test_oracle.py":
            there = set(re.findall(r"^def (test_\w+)\(", file.read_text(), re.MULTILINE))
            assert there - named == set(), file.name
