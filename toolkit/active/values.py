"""What a script logs, in the form that the stores keep: numbers of any library, texts cut to MLflow's limits."""

from __future__ import annotations

import warnings
from collections.abc import Mapping

from toolkit.errors import InvalidValue
from toolkit.settings import load
from toolkit.tracking.limits import PARAM_VALUE_LENGTH, TAG_VALUE_LENGTH


def param_texts(params: Mapping[str, object]) -> dict[str, str]:
    """Return parameters as text.

    Raises:
        InvalidValue: One is too long, and long values are not to be cut.
    """
    return {key: _fitting(str(value), PARAM_VALUE_LENGTH, f"param {key!r}") for key, value in params.items()}


def tag_texts(tags: Mapping[str, object]) -> dict[str, str]:
    """Return tags as text.

    Raises:
        InvalidValue: One is too long, and long values are not to be cut.
    """
    return {key: _fitting(str(value), TAG_VALUE_LENGTH, f"tag {key!r}") for key, value in tags.items()}


def scalar(value: object) -> float:
    """Return a metric's value: what a tensor or an array of one element holds, anything else as it is.

    Raises:
        InvalidValue: It is text, though it may look like a number.
    """
    if type(value) is float or type(value) is int:
        return value
    if isinstance(value, str | bytes):
        raise InvalidValue(
            f"a metric's value is the text {value[:100]!r}: wanted a number; log text as a parameter or a tag"
        )
    item = getattr(value, "item", None)
    size = getattr(value, "size", None)
    count = size if isinstance(size, int) else getattr(value, "numel", lambda: None)()
    return item() if callable(item) and count == 1 else value  # type: ignore[return-value]  # checked later


def _fitting(text: str, limit: int, what: str) -> str:
    """Cut a text that is too long, and say so; or refuse it, as the user has set."""
    if len(text) <= limit:
        return text
    said = f"the value of {what} has {len(text)} characters: at most {limit} can be kept"
    if not load().truncate_long_values:
        raise InvalidValue(f"{said}; shorten it, or log it with log_text (TOOLKIT_TRUNCATE_LONG_VALUES is false)")
    warnings.warn(f"{said}; the rest is cut off", stacklevel=4)
    return text[:limit]
