"""JSON with its parts on lines of their own, where that does not make it much longer."""

from __future__ import annotations

import json

MOST = 1 << 20
"""Letters of JSON with its parts on lines of their own; what would have more is shown as it came."""


def indented(text: str) -> str:
    """Return JSON with its parts on lines of their own; as it is where it is no JSON, or would become too long.

    What is deep in other parts gets many blanks in front: a few kilobytes could become a page of many megabytes.

    Args:
        text: The JSON.
    """
    pieces: list[str] = []
    size = 0
    try:
        for piece in json.JSONEncoder(indent=2, ensure_ascii=False).iterencode(json.loads(text)):
            pieces.append(piece)
            size += len(piece)
            if size > MOST:
                return text
    except (ValueError, RecursionError):
        return text
    return "".join(pieces)
