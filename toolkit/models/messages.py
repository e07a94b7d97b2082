"""What a library's errors say, in a line of ours."""

from __future__ import annotations


def first_line(error: BaseException) -> str:
    """Return the first line of an error's text that says something, or else its class."""
    return next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)[:300]
