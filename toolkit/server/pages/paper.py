"""Whether a PDF only shows something. Browsers' viewers run the script that one carries, and cannot be told not to."""

from __future__ import annotations

import re
import zlib
from typing import BinaryIO

LARGEST = 32 << 20
"""Bytes of a PDF that is looked into; one that is larger is only downloaded."""

_LARGEST_PACKED = 16 << 20  # bytes of a stream of objects, unpacked
_ALL_PACKED = 128 << 20  # of all of them
_ACTIVE = re.compile(rb"/(?:JavaScript|Rendition|RichMedia)(?![A-Za-z0-9])")  # ISO 32000-1, 12.6.4 and 13
_ESCAPED = re.compile(rb"#([0-9A-Fa-f]{2})")  # of a character of a name: 7.3.5
_STREAM = re.compile(rb"(?<!end)stream\r?\n")
_PLAIN_FLATE = re.compile(rb"/Filter\s*\[?\s*/FlateDecode\b")
_DICTIONARY = 4096  # bytes before a stream that say what it is


def is_still(stream: BinaryIO, size: int) -> bool:
    """Tell whether a PDF has nothing that a viewer would run; where that cannot be told, it counts as if it had.

    Args:
        stream: The file.
        size: Its bytes.
    """
    if size > LARGEST:
        return False
    data = stream.read(LARGEST + 1)
    return len(data) <= LARGEST and not _is_active(data) and _packed_is_still(data)


def _is_active(data: bytes) -> bool:
    return _ACTIVE.search(_unescaped(data)) is not None


def _unescaped(data: bytes) -> bytes:
    return _ESCAPED.sub(lambda found: bytes([int(found[1], 16)]), data)


def _packed_is_still(data: bytes) -> bool:
    """Look into the streams that objects are packed in (7.5.7): all else that is packed is only looked at."""
    left = _ALL_PACKED
    for found in _STREAM.finditer(data):
        before = _unescaped(data[max(0, found.start() - _DICTIONARY) : found.start()]).rpartition(b" obj")[2]
        if b"/ObjStm" not in before or b"/Filter" not in before:
            continue  # what is not packed was seen with the rest
        if not _PLAIN_FLATE.search(before) or b"/DecodeParms" in before or b"/DP" in before:
            return False
        unpacking = zlib.decompressobj()
        try:
            objects = unpacking.decompress(data[found.end() :], min(_LARGEST_PACKED, left) + 1)
        except zlib.error:
            return False
        left -= len(objects)
        if len(objects) > _LARGEST_PACKED or left < 0 or not unpacking.eof or _is_active(objects):
            return False
    return True
