"""What a Bento's image installs: what the model says that it needs, what the service needs, and what those need.

All of it is written with versions. Those of the model are the model's. Those of its requirements' own requirements are
the ones that are installed here, if what is installed here is what the model wants: it was seen to work with them, and
the image of next year is the image of today. Nothing is asked of an index while a Bento is built.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from urllib.parse import urlsplit

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

from toolkit.deployments.carried_source import PACKAGE, needed_modules
from toolkit.errors import InvalidValue
from toolkit.models.metadata import ModelMetadata
from toolkit.models.requirements import REQUIREMENTS, distributions

_INDEX_OPTIONS = ("--index-url", "--extra-index-url", "--find-links", "--no-index", "--pre", "--only-binary")
_SHORT = {"-i": "--index-url", "-f": "--find-links"}
_FILES = {"-r": "-r", "--requirement": "-r", "-c": "-c", "--constraint": "-c"}
_PYTHON = re.compile(r"3\.(\d{1,2})(\.\d{1,3})?[a-z0-9.+]*")
_OLDEST = 9  # BentoML 1.4 runs on Python 3.9 and newer


@dataclass(frozen=True, kw_only=True, slots=True)
class BentoRequirements:
    """What is installed in an image.

    Attributes:
        python: The version of Python, ``3.11``.
        lines: Those of a requirements file.
        exact: Whether they name everything that will be installed.
        from_source: Whether one is fetched with git, so that the image needs that and a compiler.
    """

    python: str
    lines: Sequence[str]
    exact: bool
    from_source: bool


def requirements_of(folder: Path) -> BentoRequirements:
    """Return what a model's image installs.

    Args:
        folder: The model's.

    Raises:
        InvalidValue: The model asks for what cannot be installed elsewhere: files of a machine, another Python.
    """
    python = _python_of(ModelMetadata.read(folder))
    options, wanted, bounds = _model_lines(folder)
    named = {canonicalize_name(each.name) for each in wanted}
    ours = [each for each in _of_service() if canonicalize_name(each.name) not in named]
    direct = [*wanted, *ours]
    more = _installed_for(direct) if _same_python(python) else None
    known = {canonicalize_name(each.name) for each in direct} | {name.partition("==")[0] for name in more or ()}
    rest = [str(each) for each in bounds if canonicalize_name(each.name) not in known]
    lines = [*options, *sorted({str(each) for each in direct}, key=str.lower), *(more or ()), *sorted(rest)]
    return BentoRequirements(
        python=python,
        lines=lines,
        exact=more is not None,
        from_source=any((each.url or "").startswith("git+") for each in wanted),
    )


def _python_of(model: ModelMetadata) -> str:
    said = str(model.flavor("python_function").get("python_version") or ".".join(map(str, sys.version_info[:3])))
    found = _PYTHON.fullmatch(said)
    if found is None or int(found[1]) < _OLDEST:
        raise InvalidValue(
            f"the model's MLmodel asks for Python {said[:50]!r}: wanted 3.{_OLDEST} or newer, as in 3.11.4"
        )
    return f"3.{found[1]}"


def _same_python(version: str) -> bool:
    return sys.platform == "linux" and version == f"{sys.version_info[0]}.{sys.version_info[1]}"


# -- what the model says -----------------------------------------------------------------------------


def _model_lines(folder: Path) -> tuple[list[str], list[Requirement], list[Requirement]]:
    """Return the options, the requirements and the constraints of a model's ``requirements.txt``."""
    file = folder / REQUIREMENTS
    options: list[str] = []
    wanted: list[Requirement] = []
    bounds: list[Requirement] = []
    if file.is_file():
        _read(file, folder, options, wanted, bounds)
    limits = {canonicalize_name(each.name): each for each in bounds}
    for each in wanted:
        limit = limits.get(canonicalize_name(each.name))
        if limit is not None and not each.url:
            each.specifier &= limit.specifier
    return options, wanted, bounds


def _read(file: Path, folder: Path, options: list[str], wanted: list[Requirement], into: list[Requirement]) -> None:
    for line in _lines(file):
        key, _, value = re.sub(r"[=\s]+", " ", line, count=1).partition(" ") if line.startswith("-") else ("", "", "")
        if key in _FILES:
            other = (folder / value.strip()).resolve()
            if not other.is_relative_to(folder.resolve()) or not other.is_file() or other == file.resolve():
                raise _refused(file, line, "a file that is in the model's folder")
            _read(other, folder, options, into if _FILES[key] == "-c" else wanted, into)
        elif _SHORT.get(key, key) in _INDEX_OPTIONS:
            options.append(_option(_SHORT.get(key, key), value.strip(), file, line))
        elif key:
            raise _refused(file, line, f"one of {', '.join(_INDEX_OPTIONS)}")
        else:
            requirement = _requirement(file, line)
            if canonicalize_name(requirement.name) != PACKAGE:  # the Bento carries what it needs of it
                wanted.append(requirement)


def _lines(file: Path) -> list[str]:
    try:
        text = file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidValue(f"the model's {file.name} cannot be read: {error}") from None
    joined = re.sub(r"\\\r?\n", " ", text)
    return [line for each in joined.splitlines() if (line := re.sub(r"(^|\s)#.*$", "", each).strip())]


def _requirement(file: Path, line: str) -> Requirement:
    bare = re.split(r"\s--hash[=\s]", line, maxsplit=1)[0]  # hashes of some lines only would make pip refuse the others
    try:
        found = Requirement(bare)
    except InvalidRequirement:
        raise _refused(file, line, "such as scikit-learn==1.7.2") from None
    if found.url and urlsplit(found.url).scheme.removeprefix("git+") not in ("https", "http", "ssh"):
        raise _refused(file, line, "an address that others can reach")
    return found


def _option(key: str, value: str, file: Path, line: str) -> str:
    if key in ("--no-index", "--pre"):
        return key
    if key == "--only-binary":
        if not re.fullmatch(r":all:|:none:|[A-Za-z0-9._,-]+", value):
            raise _refused(file, line, "names of distributions, or :all:")
    elif urlsplit(value).scheme not in ("https", "http") or re.search(r"\s", value):
        raise _refused(file, line, "the address of an index, https://…")
    return f"{key} {value}"


def _refused(file: Path, line: str, wanted: str) -> InvalidValue:
    return InvalidValue(
        f"the model's {file.name} says {line[:200]!r}, which an image cannot install: wanted {wanted}; log the model "
        "again with pip_requirements"
    )


# -- what is installed here --------------------------------------------------------------------------


def _of_service() -> list[Requirement]:
    """Return what the service needs, each with the version that is installed here."""
    names: set[str] = {"bentoml"}
    for module in needed_modules():
        names.update(distributions([module]) or [module])  # what is not here is called like its module
    return [Requirement(f"{name}=={version}" if (version := _version(name)) else name) for name in sorted(names)]


def _installed_for(direct: Iterable[Requirement]) -> list[str] | None:
    """Return what requirements need besides themselves, with the versions that are installed here; sorted.

    Returns:
        ``None`` where something else than what they want is installed here.
    """
    waiting: list[Requirement] = []
    roots: set[str] = set()
    for each in direct:
        if each.marker is not None and not each.marker.evaluate():
            continue
        version = _version(each.name)
        if each.url or version is None or not each.specifier.contains(version, prereleases=True):
            return None
        roots.add(canonicalize_name(each.name))
        waiting.append(each)
    pins: dict[str, str] = {}
    seen: set[tuple[str, frozenset[str]]] = set()
    while waiting:
        requirement = waiting.pop()
        name, extras = canonicalize_name(requirement.name), frozenset(requirement.extras)
        version = _version(name)
        if version is None or (name, extras) in seen:
            continue
        seen.add((name, extras))
        if name not in roots:
            pins[name] = version
        for text in metadata.requires(name) or ():
            needed = Requirement(text)
            if _wanted(needed, extras):
                waiting.append(needed)
    return [f"{name}=={version}" for name, version in sorted(pins.items())]


def _wanted(requirement: Requirement, extras: frozenset[str]) -> bool:
    marker = requirement.marker
    return marker is None or any(marker.evaluate({"extra": extra}) for extra in (*extras, ""))


def _version(name: str) -> str | None:
    try:
        return metadata.version(name).partition("+")[0]  # builds such as 2.13.0+cpu are on nobody else's index
    except metadata.PackageNotFoundError:
        return None
