"""Sizes and digests of what is read once."""

from __future__ import annotations

import hashlib
from typing import BinaryIO

_CHUNK = 1 << 20


def digest_of(stream: BinaryIO) -> tuple[int, str]:
    """Return the number of bytes that a stream gives until its end, and their SHA-256."""
    digest = hashlib.sha256()
    size = 0
    while chunk := stream.read(_CHUNK):
        digest.update(chunk)
        size += len(chunk)
    return size, digest.hexdigest()
