"""Memory and processor time as they are written for clusters, and what they are elsewhere."""

from __future__ import annotations

import re

from toolkit.errors import InvalidValue


def memory_bytes(text: str) -> int:
    """Return bytes of a quantity as Kubernetes writes it: ``512Mi``, ``2G``, ``1.5Gi``.

    Raises:
        InvalidValue: It is none.
    """
    found = re.fullmatch(r"(\d+(?:\.\d+)?)([KMGT]i?)?B?", text.strip())
    if found is None or not float(found[1]):
        raise InvalidValue(f"memory is {text[:50]!r}: wanted such as 512Mi or 2G")
    unit = found[2] or ""
    power = "KMGT".find(unit[:1]) + 1 if unit else 0
    return int(float(found[1]) * (1024 if unit.endswith("i") else 1000) ** power)


def cpu_cores(text: str) -> float:
    """Return cores of a quantity as Kubernetes writes it: ``2``, ``0.5``, ``500m``.

    Raises:
        InvalidValue: It is none.
    """
    found = re.fullmatch(r"(\d+(?:\.\d+)?)(m?)", text.strip())
    if found is None or not float(found[1]):
        raise InvalidValue(f"cpu is {text[:50]!r}: wanted such as 2, 0.5 or 500m")
    return float(found[1]) / (1000 if found[2] else 1)
