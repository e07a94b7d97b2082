"""Values of other stores as ours keep them: what is too long is cut, and said."""

from __future__ import annotations

from collections.abc import Mapping


def fitted(values: Mapping[str, str], length: int) -> tuple[dict[str, str], list[str]]:
    """Return values of at most ``length`` characters, without NUL, and the keys of those that were changed."""
    kept, changed = {}, []
    for key, value in values.items():
        fit = value.replace("\0", "�")
        if len(fit) > length:
            fit = fit[: length - 1] + "…"
        if fit != value:
            changed.append(key)
        kept[key] = fit
    return kept, changed
