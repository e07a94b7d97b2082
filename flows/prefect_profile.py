"""The Prefect server that the user has named, read as Prefect reads it but without its import, which takes a second.

Prefect's order: the environment, ``.env``, ``prefect.toml`` and ``pyproject.toml`` of the working directory, then the
active profile.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from pathlib import Path

from toolkit.errors import ServiceError

_VARIABLE = "PREFECT_API_URL"
_ENV_LINE = re.compile(rf"(?m)^[ \t]*(?:export[ \t]+)?{_VARIABLE}[ \t]*=[ \t]*(['\"]?)([^'\"\s#]+)\1")


def named_server(environ: Mapping[str, str], directory: Path) -> tuple[str, str] | None:
    """Return the API address that the user's configuration names.

    Args:
        environ: The environment variables.
        directory: The working directory.

    Returns:
        The address, without a slash at its end, and what names it; ``None`` where nothing does.

    Raises:
        ServiceError: A configuration file of Prefect is not valid TOML.
    """
    if environ.get(_VARIABLE):
        return _clean(environ[_VARIABLE]), f"the environment variable {_VARIABLE}"
    file = directory / ".env"
    if match := _ENV_LINE.search(_text(file)):
        return _clean(match[2]), str(file)
    for file, path in (
        (directory / "prefect.toml", ("api", "url")),
        (directory / "pyproject.toml", ("tool", "prefect", "api", "url")),
    ):
        if "prefect" in file.name or "tool.prefect" in _text(file):
            url = _dig(_toml(file), *path)
            if isinstance(url, str) and url:
                return _clean(url), str(file)
    return _from_profile(environ)


def _from_profile(environ: Mapping[str, str]) -> tuple[str, str] | None:
    """Return the address that the active profile names."""
    home = Path(environ.get("PREFECT_HOME") or "~/.prefect").expanduser()
    given = environ.get("PREFECT_PROFILES_PATH")
    file = Path(given).expanduser() if given else home / "profiles.toml"
    profiles = _toml(file)
    active = environ.get("PREFECT_PROFILE") or profiles.get("active")
    url = _dig(profiles, "profiles", str(active), _VARIABLE)
    return (_clean(url), f"the profile {active} in {file}") if isinstance(url, str) and url else None


def _clean(url: str) -> str:
    return url.strip().rstrip("/")


def _text(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""


def _toml(file: Path) -> dict[str, object]:
    try:
        return tomllib.loads(_text(file))
    except tomllib.TOMLDecodeError as error:
        raise ServiceError(f"{file}, which configures Prefect, is not valid TOML: {error}") from None


def _dig(table: object, *path: str) -> object:
    """Return what stands at a path of nested tables; ``None`` where there is nothing."""
    for key in path:
        table = table.get(key) if isinstance(table, dict) else None
    return table
