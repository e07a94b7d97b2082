"""Requirement lines: what they include, what they are when toolkit itself is among them, and their fingerprint.

A line is what may stand in a requirements file. As in pip and uv, ``-r`` and ``-c`` in a file are relative to that
file, and paths of packages are relative to the working directory, which is the project's.
"""

from __future__ import annotations

import hashlib
import json
import re
import shlex
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from toolkit.errors import EnvironmentBuildError
from toolkit.flows import codebase
from toolkit.flows.environments.prepared import canonical

_OWN_NAME = "toolkit"
_INCLUDE = re.compile(r"(?P<option>-r|-c|--requirements?|--constraints?)(?:\s*=\s*|\s+|(?<=-[rc]))(?P<path>\S.*)")
_EDITABLE = re.compile(r"(?:-e|--editable)(?:\s*=\s*|\s+)(?P<target>\S.*)")
_NAMED = re.compile(r"(?P<name>[A-Za-z0-9][A-Za-z0-9._-]*)\s*(?P<extras>\[[^\]]*\])?\s*(?P<rest>.*)")
_COMMENT = re.compile(r"(^|\s)#.*$")
_BUILD_FILES = ("pyproject.toml", "setup.py", "setup.cfg")
_ARCHIVES = (".whl", ".zip", ".tar.gz", ".tgz")


@dataclass(frozen=True, kw_only=True, slots=True)
class Requirements:
    """Requirement lines with everything that they draw in.

    Attributes:
        lines: Lines to install, with toolkit's own place put in; ``-r`` and ``-c`` are relative to the project.
        count: Number of requirements, those of included files among them.
        inputs: Name and SHA-256 of each file that has a say in the result, sorted.
    """

    lines: tuple[str, ...]
    count: int
    inputs: tuple[tuple[str, str], ...]


@dataclass(kw_only=True, slots=True)
class _Reading:
    """What is collected while lines and the files they include are read."""

    project: Path
    source: Path
    count: int = 0
    own: int = 0
    inputs: dict[str, str] = field(default_factory=dict)
    open_files: list[Path] = field(default_factory=list)


def read(lines: Sequence[str], *, project: Path, source: Path) -> Requirements:
    """Follow requirement lines into the files that they include.

    Args:
        lines: Requirement lines, as declared.
        project: The project's directory.
        source: The file that declared them, for messages.

    Raises:
        EnvironmentBuildError: A file that a line includes or installs is not there, or includes itself.
    """
    reading = _Reading(project=project, source=source)
    result = list(_read_lines(lines, project, reading))
    for name in ("uv.toml", "pyproject.toml"):
        _note_uv_settings(project / name, reading)
    return Requirements(lines=tuple(result), count=reading.count, inputs=tuple(sorted(reading.inputs.items())))


def _read_lines(lines: Iterable[str], base: Path, reading: _Reading) -> Iterator[str]:
    for line in lines:
        text = _COMMENT.sub("", line).strip()
        if not text:
            continue
        if match := _INCLUDE.fullmatch(text):
            yield from _include(match, base, reading)
        elif match := _EDITABLE.fullmatch(text):
            reading.count += 1
            _note_local(match["target"], reading, editable=True)
            yield text
        elif text.startswith("-"):
            yield text
        else:
            reading.count += 1
            yield _own_place(text, reading) or text
            _note_local(text, reading, editable=False)


def _include(match: re.Match[str], base: Path, reading: _Reading) -> Iterator[str]:
    """Read an included file; its lines take its place only where toolkit is among them."""
    option, named = match["option"], shlex.split(match["path"])[0]
    if "://" in named and not named.startswith("file://"):
        yield f"{option} {named}"
        return
    file = (base / (unquote(urlsplit(named).path) if named.startswith("file://") else named)).resolve()
    if file in reading.open_files:
        raise EnvironmentBuildError(f"{file} includes itself")
    try:
        text = file.read_text(encoding="utf-8")
    except FileNotFoundError:
        including = reading.open_files[-1] if reading.open_files else reading.source
        raise EnvironmentBuildError(f"{including} includes {named}, but there is no file {file}") from None
    except (OSError, UnicodeDecodeError) as error:
        raise EnvironmentBuildError(f"{file} cannot be read: {error}") from None
    reading.inputs[_relative(file, reading)] = hashlib.sha256(text.encode()).hexdigest()
    given = re.sub(r"\\\r?\n", "", text).splitlines()
    reading.open_files.append(file)
    counted, own = reading.count, reading.own
    found = list(_read_lines(given, file.parent, reading))
    reading.open_files.pop()
    if option.startswith(("-c", "--c")):
        reading.count = counted
        yield f"-c {shlex.quote(str(file))}"
    elif reading.own > own:
        yield from found  # a file that names toolkit cannot be handed to uv as it is
    else:
        yield f"-r {shlex.quote(str(file))}"


def _relative(file: Path, reading: _Reading) -> str:
    """Return a name for a file that is the same wherever the project lies, where that can be had."""
    return str(file.relative_to(reading.project)) if file.is_relative_to(reading.project) else str(file)


# -- packages from local places ----------------------------------------------------------------------


def _note_local(text: str, reading: _Reading, *, editable: bool) -> None:
    """Note the files that decide what a requirement on a local directory or archive installs."""
    target = _local_target(text)
    if target is None:
        return
    place = (reading.project / target).resolve()
    if place.is_file():
        with place.open("rb") as opened:
            reading.inputs[_relative(place, reading)] = hashlib.file_digest(opened, "sha256").hexdigest()
    elif not place.is_dir():
        raise EnvironmentBuildError(f"{reading.source} asks for {text}, but there is no {place}")
    elif editable:
        reading.inputs["editable " + str(place)] = ""
        for file in (place / name for name in _BUILD_FILES):
            if file.is_file():
                reading.inputs[_relative(file, reading)] = hashlib.sha256(file.read_bytes()).hexdigest()
    else:  # its code is copied into the environment
        reading.inputs[_relative(place, reading) + "/"] = codebase.digest(place, codebase.list_files(place, every=True))


def _local_target(text: str) -> str | None:
    """Return the path that a requirement installs from; ``None`` where it comes from elsewhere."""
    text = text.partition(";")[0].strip()
    match = _NAMED.fullmatch(text)
    if match and match["rest"].startswith("@"):
        text = match["rest"][1:].strip()
        if not text.startswith("file:"):
            return None
    if text.startswith("file:"):
        return unquote(urlsplit(text).path)
    path = re.sub(r"\[[^\]]*\]$", "", text).strip()
    if path.startswith((".", "/", "~")) or (path.endswith(_ARCHIVES) and "://" not in path):
        return str(Path(path).expanduser())
    return path if "/" in path and "://" not in path and "@" not in path else None


def _note_uv_settings(file: Path, reading: _Reading) -> None:
    """Note what a project tells uv: indexes, sources and overrides change the result."""
    try:
        content = file.read_bytes()
    except OSError:
        return
    if file.name == "uv.toml":
        reading.inputs["uv.toml"] = hashlib.sha256(content).hexdigest()
    elif b"tool.uv" in content:
        tables = re.findall(rb"(?ms)^\s*\[+tool\.uv[^\]]*\]+.*?(?=^\s*\[|\Z)", content)
        reading.inputs["pyproject.toml [tool.uv]"] = hashlib.sha256(b"".join(tables)).hexdigest()


# -- toolkit among them ------------------------------------------------------------------------------


def _names_toolkit(line: str) -> bool:
    match = _NAMED.fullmatch(_COMMENT.sub("", line).strip())
    return match is not None and canonical(match["name"]) == _OWN_NAME and not match["rest"].startswith("@")


def _own_place(text: str, reading: _Reading) -> str | None:
    """Return a requirement on toolkit with the place that the running one came from; ``None`` for any other.

    No index has this toolkit, and one of the same name there would be somebody else's.
    """
    if not _names_toolkit(text):
        return None
    match = _NAMED.fullmatch(text)
    assert match is not None
    _, semicolon, marker = text.partition(";")
    extras = match["extras"] or ""
    distribution = metadata.distribution(_OWN_NAME)
    tail = f" {semicolon}{marker}" if semicolon else ""
    origin = json.loads(distribution.read_text("direct_url.json") or "{}")
    place = _origin(origin)
    reading.own += 1
    reading.inputs["toolkit"] = hashlib.sha256(f"{distribution.version} {place}".encode()).hexdigest()
    if place is None:
        return f"{_OWN_NAME}{extras}=={distribution.version}{tail}"
    if origin.get("dir_info", {}).get("editable"):
        return f"-e {shlex.quote(unquote(urlsplit(place).path))}{extras}"
    return f"{_OWN_NAME}{extras} @ {place}{tail}"


def _origin(record: dict[str, Any]) -> str | None:
    """Return the URL that PEP 610 recorded for an installation, if it can still be installed from."""
    url = str(record.get("url", ""))
    if not url:
        return None
    if url.startswith("file:") and not Path(unquote(urlsplit(url).path)).exists():
        return None
    version_control = record.get("vcs_info")
    if version_control:
        return f"{version_control['vcs']}+{url}@{version_control['commit_id']}"
    return url
