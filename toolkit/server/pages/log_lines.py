"""Lines of a run's logs as pages show them: with their colours and their level, marked where a text was found."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from markupsafe import Markup, escape

from toolkit.errors import ArtifactCorrupt, NotFound
from toolkit.recording.log_pieces import Piece, joined
from toolkit.server.artifacts.files import Files
from toolkit.server.pages.asked import Asked
from toolkit.server.pages.log_text import Line, LogText

FOLDER = "logs"
OUTPUT = "logs/output.log"
"""Where the steps of ``toolkit run`` leave theirs."""

_LISTED = 10_000
TRIES = 4
"""How often a log is read that gets other pieces meanwhile."""

LONGEST = 2_000
"""Letters of a line that are shown and looked at for its level."""

_ESCAPE = re.compile(r"\x1b\[([0-9;]*)m|\x1b\[[0-9;?]*[A-Za-ln-z]|\x1b\][^\x07\x1b]*\x07|[\x00-\x08\x0b-\x1f\x7f]")
_COLOURS = {"31": "bad", "91": "bad", "32": "good", "92": "good", "33": "waiting", "93": "waiting", "34": "running"}
_COLOURS |= {"94": "running", "35": "killed", "95": "killed", "36": "running", "96": "running", "90": "quiet"}

_COMMANDS = re.compile(rb"\x1b\[[0-9;?]*[A-Za-z]")
_ERROR = re.compile(
    rb"\b(ERROR|CRITICAL|FATAL|SEVERE)\b|^error:|\blevel=(error|fatal)\b"
    rb"|^\s*Traceback \(most recent call last\)|^(\w+\.)*\w*(Error|Exception|Interrupt)\b"
)
_WARNING = re.compile(rb"\bWARN(ING)?\b|Warning:|^warning:|\blevel=warn")
LEVELS = {
    "error": ((b"error", b"critical", b"fatal", b"severe", b"traceback", b"exception", b"interrupt"), (_ERROR,)),
    "warning": (
        (b"error", b"critical", b"fatal", b"severe", b"traceback", b"exception", b"interrupt", b"warn"),
        (_ERROR, _WARNING),
    ),
}
"""The levels that lines are chosen by: words that such a line holds, and what tells it for sure."""

T = TypeVar("T")


@dataclass(frozen=True, kw_only=True, slots=True)
class Row:
    """A line as it is shown.

    Attributes:
        number: From 1.
        text: As HTML.
        level: ``error``, ``warning`` or nothing.
        hit: Whether it is the line that was asked for.
    """

    number: int
    text: Markup
    level: str = ""
    hit: bool = False


def last_of(asked: Asked, run_id: str, most: int) -> Sequence[Row]:
    """Return the last lines that a run wrote on its terminal; nothing if it wrote none.

    Raises:
        ToolkitError: They cannot be read.
    """
    if OUTPUT not in logs_of(asked, run_id):
        return ()
    return read(asked, run_id, OUTPUT, lambda log: [row_of(line) for line in log.last(most)])


def read(asked: Asked, run_id: str, path: str, use: Callable[[LogText], T]) -> T:
    """Return what a function makes of a log, which may get other pieces while it is read: then it is read again.

    Args:
        asked: The request.
        run_id: The run.
        path: The log's path among its artifacts.
        use: The function.

    Raises:
        ToolkitError: It cannot be read.
    """
    for attempt in range(TRIES):
        pieces = logs_of(asked, run_id).get(path)
        if pieces is None:
            break
        try:
            with opened(asked, run_id, path, pieces) as log:
                return use(log)
        except (NotFound, ArtifactCorrupt):
            if attempt == TRIES - 1:
                raise
    raise NotFound(f"run {run_id} has no log {path!r}")


def logs_of(asked: Asked, run_id: str) -> dict[str, Sequence[Piece]]:
    """Return the logs of a run by their paths, and what each is made of."""
    return dict(joined(asked.stores.runs.list_artifacts(run_id, prefix=FOLDER, limit=_LISTED).items))


def opened(asked: Asked, run_id: str, path: str, pieces: Sequence[Piece]) -> LogText:
    """Return a log that can be read; whoever gets it closes it."""
    files = Files(asked.stores, asked.catalog)
    return LogText(run_id, path, pieces, lambda piece: files.open(files.of_run(run_id, piece.path)).stream)


def row_of(line: Line, text: str = "", *, hit: bool = False) -> Row:
    """Return a line as it is shown.

    Args:
        line: The line.
        text: What is to be marked in it.
        hit: Whether it is the line that was asked for.
    """
    told = line.text.decode(errors="replace")
    told = told.rpartition("\r")[2][:LONGEST]  # what a bar of progress has written over is gone
    return Row(number=line.number, text=coloured(told, text), level=level_of(line.text), hit=hit)


def plain(line: bytes) -> bytes:
    """Return a line without its colours."""
    return _COMMANDS.sub(b"", line)


def level_of(line: bytes) -> str:
    """Return how bad a line is: ``error``, ``warning`` or nothing."""
    told = plain(line[:LONGEST])
    if _ERROR.search(told):
        return "error"
    return "warning" if _WARNING.search(told) else ""


def coloured(line: str, text: str = "") -> Markup:
    """Return a line of a terminal as HTML: colours become classes, other commands to the terminal go.

    Args:
        line: The line.
        text: What is to be marked in it, whatever the case.
    """
    parts: list[Markup] = []
    place, tone = 0, ""
    for match in _ESCAPE.finditer(line):
        parts.append(_piece(line[place : match.start()], tone, text))
        place = match.end()
        if match.group(1) is not None:
            codes = match.group(1).split(";")
            tone = next((_COLOURS[code] for code in codes if code in _COLOURS), "")
    parts.append(_piece(line[place:], tone, text))
    return Markup("").join(parts)


def _piece(said: str, tone: str, text: str) -> Markup:
    told = _marked(said, text) if text else escape(said)
    return Markup('<span class="s-{}">{}</span>').format(tone, told) if tone and said else told


def _marked(said: str, text: str) -> Markup:
    parts = re.split(f"({re.escape(text)})", said, flags=re.IGNORECASE)
    return Markup("").join(
        Markup("<mark>{}</mark>").format(each) if place % 2 else escape(each) for place, each in enumerate(parts)
    )
