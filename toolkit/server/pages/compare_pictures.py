"""Pictures of compared runs side by side: those of the same name, at the same step."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from toolkit.server.pages import numbers
from toolkit.server.pages.asked import Asked
from toolkit.server.pages.compared import Compared
from toolkit.tracking.records import ArtifactEntry
from toolkit.wiring.registry import files_of

ENDS = (".png", ".jpg", ".jpeg", ".gif", ".webp", ".svg")
MOST = 50_000
"""Files that are looked at, of all runs together."""

_CHOICES = 500
_LOGGED = re.compile(
    r"images/(?P<key>.+?)([+%])step\2(?P<step>\d{1,18})\2timestamp\2(?P<time>\d+)\2.*?(?P<small>\2compressed)?\.\w+"
)
_NUMBER = re.compile(r"\d{1,18}(?=\D*$)")

Taken = dict[str, tuple[str, str]]
"""By the id of a run: the path of its picture, and of a small copy, or the same."""


@dataclass(slots=True)
class Series:
    """Pictures of one name.

    Attributes:
        steps: By the step, or by ``None`` where there are none: whose there are.
    """

    steps: dict[int | None, Taken] = field(default_factory=dict)

    @property
    def runs(self) -> set[str]:
        """The ids of the runs that have any."""
        return {run_id for taken in self.steps.values() for run_id in taken}

    @property
    def order(self) -> Sequence[int | None]:
        """The steps in their order."""
        return sorted(self.steps, key=lambda step: -1 if step is None else step)


def pictures(asked: Asked, found: Compared) -> Mapping[str, Any]:
    """Return what the page shows: what there is to choose, and each run's picture of what is chosen, if it has one."""
    files = files_of(asked.stores, [run.info.run_id for run in found.runs], ends=ENDS, limit=MOST)
    series = series_of(files)
    order = sorted(series, key=lambda name: (-len(series[name].runs), name))
    wanted = asked.query.get("picture", "")
    name = wanted if wanted in series else next(iter(order), "")
    steps = series[name].order if name else ()
    at = _place(asked.query.get("at", ""), len(steps))
    taken = series[name].steps[steps[at]] if name else {}
    shown = sorted({*order[:_CHOICES], *([name] if name else [])})
    return {
        "choices": [(each, len(series[each].runs)) for each in shown],
        "choices_count": len(series),
        "picture": name,
        "gone": wanted if wanted and wanted != name else "",
        "steps": steps,
        "at": at,
        "step": steps[at] if name else None,
        "cards": [(run, taken.get(run.info.run_id)) for run in found.runs],
        "has": len(taken),
        "large": asked.query.get("size") == "large",
        "cut": sum(map(len, files.values())) >= MOST,
        "most": MOST,
    }


def _place(text: str, count: int) -> int:
    return max(0, min(numbers.whole(text) or 0, count - 1))


def series_of(files: Mapping[str, Sequence[ArtifactEntry]]) -> Mapping[str, Series]:
    """Return the pictures of runs by what they show.

    What was logged with a key and a step is told by these; of other files the last number of the name counts as a
    step, if there are several of them: ``epoch_01.png`` and ``epoch_02.png`` become ``epoch_*.png``.

    Args:
        files: The pictures of each run.
    """
    found: dict[str, Series] = {}
    numbered: dict[str, dict[int, dict[str, str]]] = {}
    for run_id, entries in files.items():
        for entry in sorted(entries, key=lambda each: each.created):
            logged = _LOGGED.fullmatch(entry.path)
            if logged:
                _add_logged(found, run_id, entry.path, logged)
                continue
            folder, slash, name = entry.path.rpartition("/")
            number = _NUMBER.search(name)
            if number is None:
                _add(found, entry.path, None, run_id, entry.path)
            else:
                pattern = f"{folder}{slash}{name[: number.start()]}*{name[number.end() :]}"
                numbered.setdefault(pattern, {}).setdefault(int(number[0]), {})[run_id] = entry.path
    for pattern, steps in numbered.items():
        for step, paths in steps.items():
            for run_id, path in paths.items():
                if len(steps) > 1:
                    _add(found, pattern, step, run_id, path)
                else:
                    _add(found, path, None, run_id, path)
    return found


def _add(found: dict[str, Series], name: str, step: int | None, run_id: str, path: str) -> None:
    found.setdefault(name, Series()).steps.setdefault(step, {})[run_id] = (path, path)


def _add_logged(found: dict[str, Series], run_id: str, path: str, logged: re.Match[str]) -> None:
    name = logged["key"].replace("~", "/").replace("#", "/")
    taken = found.setdefault(name, Series()).steps.setdefault(int(logged["step"]), {})
    whole, small = taken.get(run_id, ("", ""))
    if logged["small"]:
        taken[run_id] = (whole or path, path)
    else:
        taken[run_id] = (path, small if small and _stem(small) == _stem(path) else path)


def _stem(path: str) -> str:
    return path.rpartition(".")[0].removesuffix("+compressed").removesuffix("%compressed")
