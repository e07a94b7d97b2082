"""Pieces of a file that still grows, such as the log of a step that runs: their names, and how they make a whole.

An artifact appears whole or not at all, and never changes under its name (else its recorded digest would be another's).
So a file that grows is stored in pieces that do not change, each named after the bytes that it holds:
``logs/output.log.from-000000000000-to-000000000812``. Small pieces become larger ones, and at the end the whole file
takes their place. At any moment several of these are there at once; whoever reads takes, from each place on, what
reaches furthest, and so reads each byte once.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from toolkit.tracking.records import ArtifactEntry

_NAME = re.compile(r"(?P<path>.+)\.from-(?P<start>\d{12,15})-to-(?P<end>\d{12,15})")


@dataclass(frozen=True, kw_only=True, slots=True)
class Piece:
    """Bytes of a file, as one artifact.

    Attributes:
        path: The artifact's path.
        start: Where in the file it begins.
        end: Where it ends, without it.
        sha256: Its digest.
    """

    path: str
    start: int
    end: int
    sha256: str = ""


def piece_path(path: str, start: int, end: int) -> str:
    """Return the path of the artifact that holds some bytes of the file ``path``."""
    return f"{path}.from-{start:012d}-to-{end:012d}"


def whole_of(path: str) -> str | None:
    """Return the path of the file that an artifact is a piece of; ``None`` if it is none."""
    found = _NAME.fullmatch(path)
    return found["path"] if found else None


def joined(entries: Sequence[ArtifactEntry]) -> Mapping[str, Sequence[Piece]]:
    """Return the files that artifacts are, or are pieces of: for each path what is to be read, in this order.

    A file whose beginning is not there is left out; what stands behind a gap, too.
    """
    found: dict[str, list[Piece]] = {}
    for entry in entries:
        named = _NAME.fullmatch(entry.path)
        start = int(named["start"]) if named else 0
        piece = Piece(path=entry.path, start=start, end=start + entry.size, sha256=entry.sha256)
        found.setdefault(named["path"] if named else entry.path, []).append(piece)
    whole = {}
    for path, pieces in sorted(found.items()):
        if used := _used(pieces):
            whole[path] = used
    return whole


def _used(pieces: Sequence[Piece]) -> Sequence[Piece]:
    furthest: dict[int, Piece] = {}
    for piece in pieces:
        if piece.start not in furthest or piece.end > furthest[piece.start].end:
            furthest[piece.start] = piece
    used: list[Piece] = []
    place = 0
    while place in furthest:
        piece = furthest.pop(place)
        used.append(piece)
        place = piece.end
    return used
