"""Values that are too long on MLflow's wire: its server cuts them, and its clients count on that."""

from __future__ import annotations

import logging
from collections.abc import Iterable

from toolkit.settings import load
from toolkit.tracking.limits import PARAM_VALUE_LENGTH, TAG_VALUE_LENGTH

logger = logging.getLogger("toolkit.server")


def short_params(pairs: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Return parameters, those that are too long cut, unless the settings have them refused."""
    return {key: _fitting(key, value, PARAM_VALUE_LENGTH) for key, value in pairs}


def short_tags(pairs: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Return tags of a run, those that are too long cut, unless the settings have them refused."""
    return {key: _fitting(key, value, TAG_VALUE_LENGTH) for key, value in pairs}


def _fitting(key: str, value: str, limit: int) -> str:
    if len(value) <= limit or not load().truncate_long_values:
        return value
    logger.warning(
        "the value of %r has %d characters: all after the first %d are cut off", key[:250], len(value), limit
    )
    return value[:limit]
