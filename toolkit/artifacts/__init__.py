"""Files that runs leave behind: the store contract, digests, atomic put.

For scripts it hands out ``download_artifacts``, ``list_artifacts``, ``load_text``, ``load_dict`` and ``load_image``
(`toolkit.names`).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from toolkit.names import handed_out


def __getattr__(name: str) -> Callable[..., Any]:
    verb: Callable[..., Any] = handed_out(__name__, name)
    return verb
