"""What a run has written on its terminal: its last lines, or those that hold a text."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterator, Sequence
from typing import BinaryIO

from markupsafe import Markup, escape
from starlette.responses import Response

from toolkit.server.artifacts.files import Files
from toolkit.server.pages.asked import Asked
from toolkit.server.pages.render import page
from toolkit.server.pages.run import head

FOLDER = "logs"
LINES = 1_000
_LONGEST = 2_000
_ESCAPE = re.compile(r"\x1b\[([0-9;]*)m|\x1b\[[0-9;?]*[A-Za-ln-z]|\x1b\][^\x07]*\x07|[\x00-\x08\x0b-\x1f\x7f]")
_COLOURS = {"31": "bad", "91": "bad", "32": "good", "92": "good", "33": "waiting", "93": "waiting", "34": "running"}


def show(asked: Asked) -> Response:
    """Return the page."""
    run = asked.stores.runs.get_run(asked.path["run_id"])
    found = asked.stores.runs.list_artifacts(run.info.run_id, prefix=FOLDER, limit=200).items
    paths = [entry.path for entry in found]
    wanted = asked.query.get("file", paths[0] if paths else "")
    text = asked.query.get("find", "")
    lines: Sequence[tuple[int, Markup]] = ()
    total = 0
    if wanted in paths:
        files = Files(asked.stores, asked.catalog)
        with files.open(files.of_run(run.info.run_id, wanted)).stream as stream:
            lines, total = last_lines(stream, text)
    return page(
        asked,
        "run_logs.html",
        **head(asked, run, "logs"),
        paths=paths,
        file=wanted,
        find=text,
        lines=lines,
        total=total,
    )


def last_lines(stream: BinaryIO, text: str = "", most: int = LINES) -> tuple[Sequence[tuple[int, Markup]], int]:
    """Return the last lines of a log with their numbers, and how many there are of these.

    Args:
        stream: The log.
        text: Only lines that hold this, whatever the case.
        most: How many lines at most.
    """
    kept: deque[tuple[int, str]] = deque(maxlen=most)
    wanted = text.lower()
    total = 0
    for number, line in enumerate(_lines(stream), 1):
        if wanted and wanted not in line.lower():
            continue
        total += 1
        kept.append((number, line))
    return [(number, coloured(line)) for number, line in kept], total


def _lines(stream: BinaryIO) -> Iterator[str]:
    for line in iter(lambda: stream.readline(1 << 16), b""):
        told = line.decode(errors="replace").rstrip("\r\n")
        yield told.rpartition("\r")[2][:_LONGEST]  # what a bar of progress has written over is gone


def coloured(line: str) -> Markup:
    """Return a line of a terminal as HTML: colours become classes, other commands to the terminal go."""
    parts: list[Markup] = []
    place, tone = 0, ""
    for match in _ESCAPE.finditer(line):
        parts.append(_piece(line[place : match.start()], tone))
        place = match.end()
        if match.group(1) is not None:
            codes = match.group(1).split(";")
            tone = next((_COLOURS[code] for code in codes if code in _COLOURS), "")
    parts.append(_piece(line[place:], tone))
    return Markup("").join(parts)


def _piece(text: str, tone: str) -> Markup:
    return Markup('<span class="s-{}">{}</span>').format(tone, text) if tone and text else escape(text)


PAGES = [("GET", "/runs/{run_id}/logs", show)]
