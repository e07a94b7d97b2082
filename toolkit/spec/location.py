"""Parameters of type ``path`` and ``uri``: where the data of a command are."""

from __future__ import annotations

import os.path
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote, urlsplit

from toolkit.errors import InvalidParameter
from toolkit.spec.project import EntryPoint, Parameter
from toolkit.spec.scope import OutputRef


def locate(
    entry: EntryPoint,
    values: Mapping[str, object],
    *,
    caller: Path,
    project: Path,
    fetch: Callable[[str], Path] | None,
    given: Collection[str] | None = None,
) -> tuple[dict[str, object], list[str]]:
    """Turn paths and URIs into what the command gets.

    A ``path`` becomes an absolute path that exists: relative ones are relative to the caller's directory, a default
    also to the project's; a remote one, and an output of a step whatever the type, is fetched. A ``uri`` must have a
    scheme and stays as it is.

    Args:
        entry: The entry point.
        values: A value for each parameter, as `bind` gives them.
        caller: The directory that the user is in.
        project: The project's directory.
        fetch: Downloads what a URI names and returns where it is; ``None``: nothing can be fetched.
        given: Names of the values that were given; default: those that differ from the declared default.

    Returns:
        The values to render, and warnings.

    Raises:
        InvalidParameter: A path does not exist, a URI has no scheme, or something is to be fetched and cannot be.
    """
    places = _Places(caller=caller, project=project, fetch=fetch)
    located: dict[str, object] = {}
    warnings: list[str] = []
    for name, value in values.items():
        parameter = entry.parameters.get(name, Parameter(name=name))
        default = name not in given if given is not None else value == parameter.default
        located[name] = places.located(parameter, value, default=default, warnings=warnings)
    return located, warnings


@dataclass(frozen=True, kw_only=True, slots=True)
class _Places:
    caller: Path
    project: Path
    fetch: Callable[[str], Path] | None

    def located(self, parameter: Parameter, value: object, *, default: bool, warnings: list[str]) -> object:
        if isinstance(value, list | tuple) and any(isinstance(item, OutputRef) for item in value):
            return [self.located(parameter, item, default=default, warnings=warnings) for item in value]
        if parameter.type == "uri":
            return self._uri(parameter, str(value))
        if isinstance(value, OutputRef):
            return self._fetched(parameter, str(value))
        if parameter.type == "path":
            return self._path(parameter, str(value), default=default, warnings=warnings)
        return value

    def _uri(self, parameter: Parameter, text: str) -> str:
        if not _scheme(text):
            raise InvalidParameter(
                f"Expected URI for parameter {parameter.name} but got {text}; write one with a scheme, such as"
                " https:// or file://, or declare the parameter as 'path'",
                mark=parameter.mark,
            )
        return text

    def _fetched(self, parameter: Parameter, uri: str) -> str:
        if self.fetch is None:
            raise InvalidParameter(
                f"parameter {parameter.name!r} is {uri}, which has to be downloaded, and nothing can be downloaded"
                " here; give the path of a local file",
                mark=parameter.mark,
            )
        return str(self.fetch(uri))

    def _path(self, parameter: Parameter, text: str, *, default: bool, warnings: list[str]) -> str:
        local = _local(text)
        if local is None:
            return self._fetched(parameter, text)
        path = _absolute(self.caller, local)
        if local and os.path.lexists(path):
            return path
        other = _absolute(self.project, local)
        if default and local and os.path.lexists(other):
            warnings.append(
                f"parameter {parameter.name!r}: its default {text!r} is not in {self.caller}; the one in the project's"
                " directory is used"
            )
            return other
        raise InvalidParameter(
            f"parameter {parameter.name!r} wants a path, and there is no {text!r} in {self.caller}"
            + (f" nor in {self.project}" if default and self.project != self.caller else ""),
            mark=parameter.mark,
        )


def _absolute(directory: Path, text: str) -> str:
    """Return an absolute path without ``.`` and ``..``; links stay what they are."""
    return os.path.abspath(directory / text)  # noqa: PTH100 - resolve() would follow links


def _scheme(text: str) -> str:
    try:
        return urlsplit(text).scheme
    except ValueError:  # brackets that look like a broken IPv6 host
        return text.partition(":")[0] if "://" in text else ""


def _local(text: str) -> str | None:
    """Return the local path that a text names, or ``None`` where it is the URI of something remote."""
    scheme = _scheme(text)
    if not scheme:
        return text
    if scheme != "file":
        return None
    parts = urlsplit(text)
    return unquote(parts.path) if parts.netloc in {"", "localhost"} else None
