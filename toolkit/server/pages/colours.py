"""The colour of a run: the same on every page, one of eight; ``--s1`` to ``--s8`` of the style sheet."""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence

from toolkit.tracking.records import Run

SLOTS = 8
TAG = "toolkit.colour"
"""The tag of a run that keeps a colour that somebody chose: ``1`` to ``8``."""


def slot(run_id: str) -> int:
    """Return the place of a run's colour, 0 to 7: the same for an id wherever and whenever it is asked for."""
    return zlib.crc32(run_id.encode()) % SLOTS


def slots(run_ids: Sequence[str], chosen: Mapping[str, int] | None = None) -> dict[str, int]:
    """Return the places of the colours of runs that are shown together.

    Each eight of them differ, so that with a stroke for every eight no two of 24 look the same. A run gets
    its own place where it is free, else the next one; a colour that somebody chose is never changed.

    Args:
        run_ids: The runs, in the order in which they are shown.
        chosen: The places that were chosen, of runs where one was.
    """
    kept = chosen or {}
    ids = list(dict.fromkeys(run_ids))
    found: dict[str, int] = {}
    for first in range(0, len(ids), SLOTS):
        few = ids[first : first + SLOTS]
        taken = {kept[run_id] for run_id in few if run_id in kept}
        # Whose own place is free keeps it; only the others move.
        for run_id in few:
            own = kept.get(run_id, slot(run_id))
            if run_id in kept or own not in taken:
                found[run_id] = own
                taken.add(own)
        for run_id in few:
            if run_id not in found:
                own = slot(run_id)
                found[run_id] = next(place % SLOTS for place in range(own, own + SLOTS) if place % SLOTS not in taken)
                taken.add(found[run_id])
    return {run_id: found[run_id] for run_id in ids}


def chosen(tags: Mapping[str, str]) -> int | None:
    """Return the place of the colour that a run's tags choose; ``None`` if they choose none."""
    text = tags.get(TAG, "")
    return int(text) - 1 if len(text) == 1 and text in "12345678" else None


def of(runs: Sequence[Run]) -> dict[str, int]:
    """Return the places of the colours of runs that are shown together, with those that were chosen.

    Args:
        runs: The runs in their order; their tag `TAG` is loaded.
    """
    wanted = {run.info.run_id: place for run in runs if (place := chosen(run.data.tags)) is not None}
    return slots([run.info.run_id for run in runs], wanted)
