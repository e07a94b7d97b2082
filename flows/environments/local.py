"""The interpreter that runs us, as an environment for steps."""

from __future__ import annotations

import os
import platform
import sys
import time
from collections.abc import Iterator
from email.parser import HeaderParser
from pathlib import Path

from toolkit import settings
from toolkit.flows.environments.prepared import PreparedEnvironment, canonical, write_lock


def prepare() -> PreparedEnvironment:
    """Return the running interpreter as an environment: ``python`` resolves to it, and its scripts are found."""
    started = time.perf_counter()
    environment = settings.environment()
    programs = Path(sys.executable).parent
    in_virtual = sys.prefix != sys.base_prefix
    variables = {"PATH": first_on_path(programs, environment.get("PATH"))}
    if in_virtual:
        variables["VIRTUAL_ENV"] = sys.prefix
    return PreparedEnvironment(
        kind="local",
        key="local",
        directory=Path(sys.prefix) if in_virtual else None,
        python=platform.python_version(),
        lock=write_lock(platform.python_version(), _installed()),
        variables=variables,
        unset=() if in_virtual else ("VIRTUAL_ENV",),
        reused=True,
        seconds=time.perf_counter() - started,
    )


def first_on_path(programs: Path, path: str | None) -> str:
    """Return a ``PATH`` that finds the programs of a directory before all others."""
    rest = [entry for entry in (path or os.defpath).split(os.pathsep) if entry and entry != str(programs)]
    return os.pathsep.join([str(programs), *rest])


def _installed() -> list[str]:
    """Return every installed distribution, ``name==version``.

    Read from the names of the metadata folders: opening each folder's file, as importlib.metadata does, takes 50 times
    as long in a large environment.
    """
    found: dict[str, str] = {}
    for entry in sys.path:
        if Path(entry).name in ("site-packages", "dist-packages"):
            for name, version in distributions(entry):
                found.setdefault(name, version)
    return [f"{name}=={version}" for name, version in found.items()]


def distributions(folder: str) -> Iterator[tuple[str, str]]:
    """Yield name and version of each distribution in a folder of packages, by the names of its metadata."""
    try:
        with os.scandir(folder) as scan:
            entries = sorted(entry.name for entry in scan)
    except OSError:
        return
    for entry in entries:
        stem, dot, kind = entry.rpartition(".")
        if not dot or kind not in ("dist-info", "egg-info"):
            continue
        name, _, version = stem.partition("-")
        if kind == "egg-info" and not version:
            version = _version_inside(Path(folder, entry))
        if version:
            yield canonical(name), version.partition("-py")[0] if kind == "egg-info" else version


def _version_inside(place: Path) -> str:
    """Return the version that an egg-info without one in its name holds; empty where it has none."""
    file = place / "PKG-INFO" if place.is_dir() else place
    try:
        return str(HeaderParser().parsestr(file.read_text(encoding="utf-8", errors="replace")).get("Version", ""))
    except OSError:
        return ""
