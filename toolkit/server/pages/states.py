"""States as people see them: one word, one shape and one colour each, never the colour alone."""

from __future__ import annotations

from typing import NamedTuple

from markupsafe import Markup, escape

from toolkit.recording.lease import was_lost
from toolkit.server.pages import static
from toolkit.tracking.records import Run

CACHED_FROM, PRUNED = "toolkit.cached_from", "toolkit.pruned"
FIELDS = (f"tags.`{CACHED_FROM}`", f"tags.`{PRUNED}`")
"""What must be loaded of a run, so that its state can be told."""


class Look(NamedTuple):
    """How a state looks: its word, its icon, and the class that gives it its colour."""

    word: str
    icon: str
    tone: str


LOOKS = {
    "RUNNING": Look("Running", "loader-circle", "running"),
    "FINISHED": Look("Finished", "circle-check", "good"),
    "FAILED": Look("Failed", "octagon-x", "bad"),
    "LOST": Look("Lost", "octagon-alert", "bad"),
    "KILLED": Look("Killed", "square", "killed"),
    "SCHEDULED": Look("Scheduled", "clock", "waiting"),
    "CACHED": Look("Cached", "rotate-ccw", "quiet"),
    "SKIPPED": Look("Skipped", "circle-dashed", "quiet"),
    "WAITING": Look("Waiting", "clock", "waiting"),
    "RETRYING": Look("Tried again", "refresh-cw", "waiting"),
    "PAUSED": Look("Paused", "pause", "waiting"),
    "DECLARED": Look("Declared", "circle-dashed", "quiet"),
    "PRUNED": Look("Pruned", "circle-dashed", "quiet"),
    # What gates and requests say.
    "PASSED": Look("Passed", "circle-check", "good"),
    "OPEN": Look("Open", "clock", "waiting"),
    "APPROVED": Look("Approved", "circle-check", "good"),
    "REJECTED": Look("Rejected", "octagon-x", "bad"),
    "WITHDRAWN": Look("Withdrawn", "circle-dashed", "quiet"),
    # Deployments and releases.
    "CREATING": Look("Creating", "loader-circle", "running"),
    "SERVING": Look("Serving", "circle-check", "good"),
    "UPDATING": Look("Updating", "loader-circle", "running"),
    "STARTING": Look("Starting", "loader-circle", "running"),
    "REFUSED": Look("Refused", "octagon-x", "bad"),
    "REPLACED": Look("Replaced", "circle-dashed", "quiet"),
    "WRITTEN": Look("Files written", "file", "quiet"),
    "STOPPED": Look("Stopped", "square", "killed"),
    "DELETED": Look("Deleted", "trash-2", "quiet"),
    # Health.
    "READY": Look("Ready", "circle-check", "good"),
    "FAILING": Look("Failing", "triangle-alert", "bad"),
    "GONE": Look("Gone", "circle-dashed", "quiet"),
    "PENDING": Look("Pending", "clock", "waiting"),
    # Services.
    "OK": Look("Well", "circle-check", "good"),
    "DEGRADED": Look("Degraded", "triangle-alert", "waiting"),
    "DOWN": Look("Down", "octagon-x", "bad"),
    "UNKNOWN": Look("Not known yet", "circle-question-mark", "quiet"),
    "ABSENT": Look("Not started", "circle-dashed", "quiet"),
}


def state_of(run: Run) -> str:
    """Return a run's state as people see it: one that was lost, taken from the cache, or pruned, says so.

    Args:
        run: The run, with `FIELDS` of it at least.
    """
    if was_lost(run.info):
        return "LOST"
    if run.data.tags.get(CACHED_FROM):
        return "CACHED"
    if run.data.tags.get(PRUNED):
        return "PRUNED"
    return str(run.info.status)


def look(state: object) -> Look:
    """Return how a state looks; one that is not known is shown by its own word."""
    text = str(state)
    return LOOKS.get(text.upper(), Look(text.capitalize() or "Unknown", "circle-question-mark", "quiet"))


def icon(name: str, label: str = "", *, prefix: str = "") -> Markup:
    """Return a picture of the sprite; without a label it is only decoration.

    Args:
        name: As in ``vendor/icons.txt``.
        label: What it says to who does not see it.
        prefix: What stands in front of each path of the server.
    """
    place = f"{static.base(prefix)}/vendor/lucide-1.62.0/icons.svg#{name}"
    said = Markup('role="img" aria-label="{}"').format(label) if label else Markup('aria-hidden="true"')
    return Markup('<svg class="icon i-{}" width="16" height="16" {}><use href="{}"/></svg>').format(name, said, place)


def badge(state: object, *, small: bool = False, prefix: str = "") -> Markup:
    """Return a state: its icon and its word, or its icon alone, which says the word to who does not see it."""
    seen = look(state)
    if small:
        return Markup('<span class="state s-{}">{}</span>').format(seen.tone, icon(seen.icon, seen.word, prefix=prefix))
    return Markup('<span class="state s-{}">{} {}</span>').format(
        seen.tone, icon(seen.icon, prefix=prefix), escape(seen.word)
    )
