"""The files that pages load: compressed once, and named after what is in all of them, so that browsers keep them."""

from __future__ import annotations

import gzip
import hashlib
from functools import cache
from pathlib import Path

from starlette.responses import Response

FOLDER = Path(__file__).parent.parent / "static"

_TYPES = {
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
    ".png": "image/png",
}
_FOR_EVER = {"cache-control": "public, max-age=31536000, immutable", "vary": "accept-encoding"}


@cache
def files() -> dict[str, Path]:
    """Return the files that are given out, by their paths below the folder."""
    found = (path for path in FOLDER.rglob("*") if path.suffix in _TYPES and path.name != "charts.entry.js")
    return {path.relative_to(FOLDER).as_posix(): path for path in sorted(found)}


@cache
def digest() -> str:
    """Return what all files together are: a part of their addresses, so that none is ever out of date."""
    whole = hashlib.sha256()
    for name, path in files().items():
        whole.update(name.encode() + b"\0" + path.read_bytes() + b"\0")
    return whole.hexdigest()[:12]


def base(prefix: str = "") -> str:
    """Return where the files are, for addresses.

    Args:
        prefix: What stands in front of each path of the server.
    """
    return f"{prefix}/static/{digest()}"


@cache
def _compressed(name: str) -> bytes:
    return gzip.compress(files()[name].read_bytes(), 9, mtime=0)


def answer(name: str, *, takes_gzip: bool) -> Response | None:
    """Return a file.

    Args:
        name: Its path below the folder.
        takes_gzip: Whether the browser reads it compressed.
    """
    path = files().get(name)
    if path is None:
        return None
    if takes_gzip and path.suffix != ".png":
        headers = {**_FOR_EVER, "content-encoding": "gzip"}
        return Response(_compressed(name), headers=headers, media_type=_TYPES[path.suffix])
    return Response(path.read_bytes(), headers=_FOR_EVER, media_type=_TYPES[path.suffix])
