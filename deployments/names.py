"""How deployments are named."""

from __future__ import annotations

import re

from toolkit.errors import InvalidValue

_NAME = re.compile(r"[a-z]([a-z0-9-]{0,48}[a-z0-9])?")


def check_deployment_name(name: str) -> str:
    """Return a name if a deployment may have it: containers, services and endpoints of all targets are named after it.

    Raises:
        InvalidValue: It may not.
    """
    if _NAME.fullmatch(name):
        return name
    raise InvalidValue(
        f"a deployment cannot be called {name[:100]!r}: wanted small letters, digits and '-', a letter first and no '-' "
        "last, at most 50 of them, such as wine-quality"
    )
