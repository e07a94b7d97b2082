"""The files of a run: what there is, what a file looks like, and its bytes in a frame that can do nothing."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import BinaryIO

from starlette.responses import Response, StreamingResponse

from toolkit.errors import InvalidValue
from toolkit.recording.log_pieces import whole_of
from toolkit.server.artifacts import span
from toolkit.server.artifacts.files import File, Files
from toolkit.server.pages import previews
from toolkit.server.pages.asked import Asked
from toolkit.server.pages.cells import cut
from toolkit.server.pages.paper import is_still
from toolkit.server.pages.render import page
from toolkit.server.pages.run import head
from toolkit.server.pages.run_pictures import pictures_of
from toolkit.tracking.records import ArtifactEntry

_LISTED = 5_000
_PIECE = 1 << 18
SANDBOX = "sandbox; default-src 'none'; img-src data: 'self'; style-src 'unsafe-inline'; media-src 'self'"
"""What a file may do that is shown as a page of its own: run no script, and load nothing."""

PAPER = "default-src 'none'; object-src 'self'; style-src 'unsafe-inline'"
"""The same for PDF, which browsers show by a viewer of their own, apart from the page, and not in a sandbox.

That viewer runs script whatever is said here: only what has none is given to it (`toolkit.server.pages.paper`).
"""


@dataclass(frozen=True, slots=True)
class Line:
    """A line of the tree of files: its depth, its name, its whole path, and its size if it is a file."""

    depth: int
    name: str
    path: str
    size: int | None


def show(asked: Asked) -> Response:
    """Return the page: the tree, and the file that was chosen."""
    run = asked.stores.runs.get_run(asked.path["run_id"])
    found = asked.stores.runs.list_artifacts(run.info.run_id, limit=_LISTED)
    whole = [entry for entry in found.items if whole_of(entry.path) is None]  # what still grows is among the logs
    paths = [entry.path for entry in whole]
    wanted = asked.query.get("path", "")
    chosen = next((entry for entry in found.items if entry.path == wanted), None)
    if wanted and chosen is None and not any(path.startswith(f"{wanted}/") for path in paths):
        raise InvalidValue(f"this run has no file {wanted[:300]!r}")
    place = paths.index(wanted) if wanted in paths else -1
    return page(
        asked,
        "run_artifacts.html",
        **head(asked, run, "artifacts"),
        lines=tree(whole),
        count=len(whole),
        place=place + 1,
        pictures=len(pictures_of(whole)),
        cut=cut,
        more=found.next_page_token is not None,
        chosen=chosen,
        preview=_preview(asked, run.info.run_id, chosen) if chosen else None,
        before=paths[place - 1] if place > 0 else None,
        after=paths[place + 1] if 0 <= place < len(paths) - 1 else None,
    )


def tree(entries: Sequence[ArtifactEntry]) -> Sequence[Line]:
    """Return the lines of a tree: a folder, then what is in it."""
    lines: list[Line] = []
    open_folders: list[str] = []
    for entry in entries:
        folders = entry.path.split("/")[:-1]
        common = 0
        while common < min(len(folders), len(open_folders)) and folders[common] == open_folders[common]:
            common += 1
        lines += [
            Line(depth, folders[depth], "/".join(folders[: depth + 1]), None) for depth in range(common, len(folders))
        ]
        open_folders = folders
        lines.append(Line(len(folders), entry.path.rpartition("/")[2], entry.path, entry.size))
    return lines


def _preview(asked: Asked, run_id: str, entry: ArtifactEntry) -> previews.Preview:
    with _opened(asked, run_id, entry.path).stream as stream:
        return previews.preview(entry.path, stream, entry.size)


def _opened(asked: Asked, run_id: str, path: str) -> File:
    files = Files(asked.stores, asked.catalog)
    return files.open(files.of_run(run_id, path))


def view(asked: Asked) -> Response:
    """Return the bytes of a file that browsers show by themselves, in a sandbox; or a span of them, as films ask."""
    path = asked.path["path"]
    kind = previews.SHOWN.get(previews.suffix_of(path))
    if kind is None:
        raise InvalidValue("files of this kind are not shown: download it")
    file = _opened(asked, asked.path["run_id"], path)
    if kind == previews.PDF and not is_still(file.stream, file.size):
        file.stream.close()
        raise InvalidValue("this PDF may carry script, which a browser would run: download it")
    headers = {
        "content-security-policy": f"{PAPER if kind == previews.PDF else SANDBOX}; frame-ancestors 'self'",
        "cache-control": "private, no-cache",
        "content-disposition": "inline",
    }
    start, length, status = 0, file.size, 200
    if kind.startswith(("audio/", "video/")):  # they are played from any place
        headers["accept-ranges"] = "bytes"
        try:
            part = span.read(asked.request.headers.get("range", "").encode("latin-1") or None, file.size)
        except span.Unsatisfiable:
            file.stream.close()
            return Response(status_code=416, headers={**headers, "content-range": f"bytes */{file.size}"})
        if part is not None:
            start, length, status = part.start, part.length, 206
            headers["content-range"] = f"bytes {start}-{start + length - 1}/{file.size}"
    headers["content-length"] = str(length)
    return StreamingResponse(_pieces(file.stream, start, length), status, headers, media_type=kind)


def _pieces(stream: BinaryIO, start: int, length: int) -> Iterator[bytes]:
    with stream:
        stream.seek(start)
        while length > 0 and (piece := stream.read(min(_PIECE, length))):
            length -= len(piece)
            yield piece


PAGES = [
    ("GET", "/runs/{run_id}/artifacts", show),
    ("GET", "/runs/{run_id}/view/{path*}", view),
]
