"""A server for each test that asks for one."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from s3 import aws, bucket, s3_endpoint
from server import Server, serving

__all__ = ["aws", "bucket", "s3_endpoint"]


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    """A server with a home of its own."""
    with serving(tmp_path / "home") as found:
        yield found
