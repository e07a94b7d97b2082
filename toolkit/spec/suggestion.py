"""What a message says about a name that is not there: what is, and what was perhaps meant."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


def listing(names: Iterable[str]) -> str:
    """Return ``'a', 'b'``, the way that names stand in messages."""
    return ", ".join(repr(name) for name in names)


def hint(name: str, known: Iterable[str], *, nothing: str = "there are none") -> str:
    """Return what to say after an unknown name.

    Args:
        name: What was given.
        known: What would have been right.
        nothing: What to say where nothing would have been right.

    Returns:
        ``did you mean 'train'?`` where a known name is close, else ``there are 'prepare', 'train'``.
    """
    names = list(known)
    close = difflib.get_close_matches(name, names, n=1, cutoff=0.6)
    if not close:
        close = [other for other in names if other.casefold() == name.casefold()]
    if close:
        return f"did you mean {close[0]!r}?"
    if not names:
        return nothing
    return f"there is only {names[0]!r}" if len(names) == 1 else f"there are {listing(names)}"
