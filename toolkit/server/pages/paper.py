"""Whether a PDF only shows something. Browsers' viewers run the script that one carries, and cannot be told not to.

Script can be packed with other objects in a stream (ISO 32000-1, 7.5.7). Viewers take much that no standard allows, so
each such stream must be of the one plain form that programs write, and be unpacked; else the PDF counts as active.
"""

from __future__ import annotations

import re
import zlib
from bisect import bisect_right
from typing import BinaryIO

LARGEST = 32 << 20
"""Bytes of a PDF that is looked into; one that is larger is only downloaded."""

_LARGEST_PACKED = 16 << 20  # bytes of a stream of objects, unpacked
_ALL_PACKED = 128 << 20  # of all of them
_MOST = 10_000  # places that tell of streams of objects
_NEAR = 1024  # bytes behind such a place that are looked at


def _name(*names: str) -> re.Pattern[bytes]:
    """Return what finds names, whose characters may be escaped (7.3.5), where they end."""
    either = "|".join("".join(f"(?:{letter}|(?i:#{ord(letter):02x}))" for letter in name) for name in names)
    return re.compile(f"/(?:{either})(?![A-Za-z0-9#])".encode())


_ACTIVE = _name("JavaScript", "Rendition", "RichMedia", "XFA")  # 12.6.4, 12.7.8 and 13
_ENCRYPTED = _name("Encrypt")
_OF_OBJECTS = _name("ObjStm", "First")  # some viewers do without the type, none without what says where objects begin
_ESCAPED = re.compile(rb"#([0-9A-Fa-f]{2})")
_PLAIN_STREAM = re.compile(
    rb"[\r\n][ \t]{0,8}\d{1,10}[ \t]{1,4}\d{1,5}[ \t]{1,4}obj\s{0,8}<<([^<>%()]{0,4096})>>\s{0,8}stream\r?\n"
)
"""A stream whose dictionary has no strings, comments or dictionaries, which could hide where it begins or ends."""

_PLAIN_FLATE = re.compile(rb"/Filter\s*(?:/FlateDecode|\[\s*/FlateDecode\s*\])\s*(?=/|$)")
_FILTERED = re.compile(rb"/Filter|/DecodeParms|/DP(?![A-Za-z0-9])|/F(?![A-Za-z0-9])")
_STRINGS = re.compile(rb"\((?:[^()\\]|\\.)*\)", re.DOTALL)
_OUTLINE = re.compile(rb"/First\s+\d+\s+\d+\s+R[^%()]*?>>\s*endobj")


def is_still(stream: BinaryIO, size: int) -> bool:
    """Tell whether a PDF has nothing that a viewer would run; where that cannot be told, it counts as if it had.

    Args:
        stream: The file.
        size: Its bytes.
    """
    if size > LARGEST:
        return False
    data = stream.read(LARGEST + 1)
    if len(data) > LARGEST or _ACTIVE.search(data) or _ENCRYPTED.search(data):
        return False
    return _packed_is_still(data)


def _packed_is_still(data: bytes) -> bool:
    """Look into all streams that objects are packed in; each place that tells of one must belong to one that was."""
    told = [found.start() for _, found in zip(range(_MOST + 1), _OF_OBJECTS.finditer(data), strict=False)]
    if len(told) > _MOST:
        return False
    if not told:
        return True
    plain = [found for found in _PLAIN_STREAM.finditer(data) if _OF_OBJECTS.search(found[1])]
    starts = [found.start(1) for found in plain]
    streams: dict[int, re.Match[bytes]] = {}
    for place in told:
        index = bisect_right(starts, place) - 1
        if index >= 0 and place < plain[index].end(1):
            streams[index] = plain[index]
        elif not _is_outline(data, place):
            return False
    return _unpacked_are_still(data, list(streams.values()))


def _is_outline(data: bytes, place: int) -> bool:
    """Tell whether what names a first object is an outline, whose object ends without a stream."""
    near = _STRINGS.sub(b"", data[place : place + _NEAR])
    found = _OUTLINE.match(near)
    return found is not None and b"stream" not in found[0]


def _unpacked_are_still(data: bytes, streams: list[re.Match[bytes]]) -> bool:
    left, end = _ALL_PACKED, 0
    view = memoryview(data)
    for found in streams:
        start = found.end()
        if start < end:  # it begins in the one before
            return False
        end = data.find(b"endstream", start)
        if end < 0:
            return False
        dictionary = _ESCAPED.sub(lambda code: bytes([int(code[1], 16)]), found[1])
        filters = _FILTERED.findall(dictionary)
        if not filters:
            continue  # what is not packed was seen with the rest
        if filters != [b"/Filter"] or not _PLAIN_FLATE.search(dictionary):
            return False
        unpacking = zlib.decompressobj()
        try:
            objects = unpacking.decompress(view[start:end], min(_LARGEST_PACKED, left) + 1)
        except zlib.error:
            return False
        left -= len(objects)
        if len(objects) > _LARGEST_PACKED or left < 0 or not unpacking.eof or _ACTIVE.search(objects):
            return False
    return True
