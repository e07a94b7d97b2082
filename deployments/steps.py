"""The steps of a release: what was done when, how long it took, and what was found; kept in the release's row.

A release is built, started, checked and switched to. The row is written at each of these ends anyway: so who looks
while it goes on sees where it is.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace

from toolkit.ids import now_ms

KEY = "steps"
"""Under which they stand among what a release's row holds for its target."""
BUILD, START, CHECK, SWITCH = "build", "start", "check", "switch"

_SHOWN = 500  # characters of what was found

Steps = tuple["Step", ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Step:
    """One step.

    Attributes:
        name: ``build``, ``start``, ``check`` or ``switch``.
        began: When, in milliseconds since 1970.
        ended: When; None while it goes on.
        said: What was found, in one line; empty where there is nothing to say.
        failed: Whether it is where the release was refused.
    """

    name: str
    began: int
    ended: int | None = None
    said: str = ""
    failed: bool = False


def begun(steps: Steps, name: str) -> Steps:
    """Return steps with one more, which begins now."""
    return (*steps, Step(name=name, began=now_ms()))


def ended(steps: Steps, said: str = "", *, failed: bool = False) -> Steps:
    """Return steps whose last has ended now; where none goes on, they stay as they are."""
    if not steps or steps[-1].ended is not None:
        return steps
    return (*steps[:-1], replace(steps[-1], ended=now_ms(), said=said[:_SHOWN], failed=failed))


def told(steps: Steps) -> list[dict[str, object]]:
    """Return steps as a row holds them."""
    return [asdict(each) for each in steps]


def read(instance: Mapping[str, object]) -> Steps:
    """Return the steps that a release's row holds; those that cannot be understood are passed over."""
    kept = instance.get(KEY)
    found = (_step(each) for each in kept) if isinstance(kept, Sequence) and not isinstance(kept, str) else ()
    return tuple(each for each in found if each is not None)


def _step(kept: object) -> Step | None:
    if not isinstance(kept, Mapping):
        return None
    name, began, ended_at = kept.get("name"), kept.get("began"), kept.get("ended")
    if not isinstance(name, str) or not isinstance(began, int) or not isinstance(ended_at, int | None):
        return None
    return Step(name=name, began=began, ended=ended_at, said=str(kept.get("said", "")), failed=bool(kept.get("failed")))
