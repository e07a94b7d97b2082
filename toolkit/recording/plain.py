"""Texts that toolkit makes up by itself, so that any store takes them."""

from __future__ import annotations


def plain(text: str, limit: int | None = None) -> str:
    r"""Return a text without what no store keeps: lone surrogates and NUL, which are written as escapes (``\ud800``).

    For what is logged without having been asked for, such as an exception's text or the path of a script: there is
    nobody who could be told to give another one.

    Args:
        text: The text.
        limit: Most characters; what is longer ends with an ellipsis. ``None``: any length.
    """
    clean = text.encode("utf-8", "backslashreplace").decode("utf-8").replace("\0", r"\x00")
    return clean if limit is None or len(clean) <= limit else clean[: limit - 1] + "…"
