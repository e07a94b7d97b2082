"""Runs, metrics, parameters and tags: records, the store contract and its kinds.

For scripts it hands out ``MlflowClient`` and where this process logs (`toolkit.names`).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from toolkit.names import handed_out


def __getattr__(name: str) -> Callable[..., Any]:
    found: Callable[..., Any] = handed_out(__name__, name)
    return found
