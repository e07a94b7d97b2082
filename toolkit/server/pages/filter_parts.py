"""The parts of a filter that must all be true, as they were written: what is shown one by one, and taken away alone."""

from __future__ import annotations

import re
from collections.abc import Sequence

from toolkit.errors import InvalidValue
from toolkit.tracking.filter import parse
from toolkit.tracking.filter_fields import RUNS

_TOKEN = re.compile(r"""'(?:[^']|'')*'|"(?:[^"]|"")*"|`(?:[^`]|``)*`|[()]|[\w.]+|\s+|.""", re.DOTALL)


def parts(text: str) -> Sequence[str]:
    """Return the parts of a filter between the ANDs that are in no brackets; none where nothing is written.

    A filter that is an OR, or cannot be taken apart, is one part. Joined by AND the parts mean what the filter means.
    """
    if not text.strip():
        return []
    found, depth, between = [""], 0, False
    for token in _TOKEN.findall(text):
        word = token.upper()
        depth += {"(": 1, ")": -1}.get(token, 0)
        if depth == 0 and word == "OR":
            return [text.strip()]
        if depth == 0 and word == "AND" and not between:
            found.append("")
            continue
        between = depth == 0 and (word == "BETWEEN" or (between and word != "AND"))
        found[-1] += token
    told = [part.strip() for part in found]
    return told if all(map(_is_readable, told)) else [text.strip()]


def _is_readable(text: str) -> bool:
    try:
        parse(text, RUNS)
    except InvalidValue:
        return False
    return bool(text)
