"""Packages that a run was to have, as the files say that tools keep them in: each name with what is said of it."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

_PLACES = ("environment/requirements.lock", "requirements.lock", "requirements.txt", "conda.yaml", "conda.yml")
_LINE = re.compile(r"([A-Za-z0-9][A-Za-z0-9._-]*)\s*(?:\[[^\]]*\])?\s*(.*)")
_SPLIT = re.compile(r"[-_.]+")


def place_of(paths: Sequence[str]) -> str | None:
    """Return the file, of those of a run, that says most exactly which packages it had; ``None`` if none does."""
    for place in _PLACES:
        ends = [path for path in paths if path == place or path.endswith(f"/{place}")]
        if ends:
            return min(ends, key=lambda path: (path.count("/"), path))
    return None


def packages(path: str, text: str) -> Mapping[str, str]:
    """Return what a file says of packages, by their names in one form.

    Args:
        path: Its path: ``.yaml`` is conda's, all else a list of requirements.
        text: What it says.
    """
    lines = _of_conda(text) if path.endswith((".yaml", ".yml")) else text.splitlines()
    found = {}
    for line in lines:
        said = line.partition(" #")[0].strip().removesuffix("\\").strip()
        if not said or said.startswith(("#", "-")):
            continue
        match = _LINE.fullmatch(said)
        if match:
            version = match[2].partition(";")[0].partition(" --hash")[0].strip()
            found[_SPLIT.sub("-", match[1]).lower()] = (
                version.lstrip("=").strip() if version.startswith("=") else version
            )
    return found


def _of_conda(text: str) -> list[str]:
    found, is_inside = [], False
    for line in text.splitlines():
        if line[:1] not in (" ", "-", "#", ""):
            is_inside = line.startswith("dependencies:")
        elif is_inside and (said := line.strip().removeprefix("- ").strip("'\"")) and not said.endswith(":"):
            found.append(said.removeprefix("- "))
    return found
