"""What a run has written on its terminal: its end, which is followed; what is around a line; what holds a text."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from typing import TypeVar

from markupsafe import Markup, escape
from starlette.responses import Response, StreamingResponse

from toolkit.errors import ArtifactCorrupt, InvalidValue, NotFound
from toolkit.recording.log_pieces import Piece, joined
from toolkit.server.artifacts.files import Files
from toolkit.server.pages.asked import Asked
from toolkit.server.pages.log_text import Line, LogText
from toolkit.server.pages.render import page
from toolkit.server.pages.run import head
from toolkit.tracking.records import Run

FOLDER = "logs"
OUTPUT = "logs/output.log"
"""Where the steps of ``toolkit run`` leave theirs."""

LINES = 1_000
_AROUND = 300
_LISTED = 10_000
_TRIES = 4
_LONGEST = 2_000
_ESCAPE = re.compile(r"\x1b\[([0-9;]*)m|\x1b\[[0-9;?]*[A-Za-ln-z]|\x1b\][^\x07]*\x07|[\x00-\x08\x0b-\x1f\x7f]")
_COLOURS = {"31": "bad", "91": "bad", "32": "good", "92": "good", "33": "waiting", "93": "waiting", "34": "running"}
_COLOURS |= {"94": "running", "35": "killed", "95": "killed", "36": "running", "96": "running", "90": "quiet"}

_ERROR = re.compile(
    rb"\b(ERROR|CRITICAL|FATAL|SEVERE)\b|^error:|\blevel=(error|fatal)\b"
    rb"|^\s*Traceback \(most recent call last\)|^(\w+\.)*\w*(Error|Exception|Interrupt)\b"
)
_WARNING = re.compile(rb"\bWARN(ING)?\b|\w*Warning:|^warning:|\blevel=warn")
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
        start: Where in the log it begins.
        whole: Whether its end has come.
    """

    number: int
    text: Markup
    level: str = ""
    hit: bool = False
    start: int = 0
    whole: bool = True


@dataclass(frozen=True, kw_only=True, slots=True)
class View:
    """What is shown of a log.

    Attributes:
        rows: The lines.
        total: How many lines there are.
        size: How many bytes.
        found: Of a search or a level: how many lines there are of these.
        at: Of a search: which of them is shown, from 1.
        before: The line before the first that is shown; ``None``: there is none, or only chosen lines are shown.
        after: The line after the last; ``None`` the same.
        next_byte: Where the log goes on: where the last line begins, if its end has not come.
        next_line: The number of the line there.
    """

    rows: Sequence[Row] = ()
    total: int = 0
    size: int = 0
    found: int = 0
    at: int = 0
    before: int | None = None
    after: int | None = None
    next_byte: int = 0
    next_line: int = 1


def show(asked: Asked) -> Response:
    """Return the page."""
    run = asked.stores.runs.get_run(asked.path["run_id"])
    query = asked.query
    paths = list(_logs(asked, run.info.run_id))
    file = query.get("file") or (OUTPUT if OUTPUT in paths or not paths else paths[0])
    level, text = query.get("level", ""), query.get("find", "")
    if level and level not in LEVELS:
        raise InvalidValue(f"there is no level {level[:50]!r}: wanted {' or '.join(LEVELS)}")
    only = bool(level) or bool(text and query.get("only"))
    line, at = _number(query.get("line")), _number(query.get("match"))

    def look(log: LogText) -> View:
        if only:
            return _chosen(log, text, level)
        if text:
            return _found(log, text, at or 1)
        return _window(log, line) if line else _end(log)

    view = read(asked, run.info.run_id, file, look) if file in paths else None
    if view is None and query.get("file"):
        raise InvalidValue(f"this run has no log {file[:300]!r}")
    goes_on = not run.info.status.terminal
    return page(
        asked,
        "run_logs.html",
        **head(asked, run, "logs"),
        paths=paths,
        file=file,
        find=text,
        level=level,
        only=only,
        line=line,
        view=view or View(),
        some=view is not None,
        follows=goes_on and not (only or text or line),
        steps=() if paths else _steps(asked, run),
    )


def more(asked: Asked) -> Response:
    """Return the lines that have come since a page was made, to be put behind those that it shows."""
    run = asked.stores.runs.get_run(asked.path["run_id"])
    file = asked.query.get("file", OUTPUT)
    start, number = _number(asked.query.get("byte")) or 0, _number(asked.query.get("line")) or 1
    ended = run.info.status.terminal  # looked at first: what is read afterwards is all that there will be

    def look(log: LogText) -> View | None:
        if start > log.size:  # it is another log by now
            return _end(log)
        if start == log.size:
            return None
        fresh = list(islice(log.lines(start, number), LINES))
        return _view(log, fresh) if len(fresh) < LINES else _end(log)

    there = file in _logs(asked, run.info.run_id)
    view = read(asked, run.info.run_id, file, look) if there else None
    if view is None and not ended:
        return Response(status_code=204)
    view = view or View(next_byte=start, next_line=number)
    joins = not view.rows or view.rows[0].number == number
    return page(asked, "run_log_more.html", run=run, view=view, joins=joins, ended=ended)


def raw(asked: Asked) -> Response:
    """Return all of a log as it is, also of one that is still written."""
    run_id, file = asked.path["run_id"], asked.query.get("file", OUTPUT)
    pieces = _logs(asked, run_id).get(file)
    if pieces is None:
        raise InvalidValue(f"this run has no log {file[:300]!r}")
    log = _opened(asked, run_id, file, pieces)

    def given() -> object:
        with log:
            yield from log.chunks()

    name = re.sub(r"[^\w.-]", "_", file.rpartition("/")[2])
    return StreamingResponse(
        given(),  # type: ignore[arg-type]  # it gives bytes
        headers={
            "content-disposition": f'attachment; filename="{run_id[:8]}-{name}"',
            "content-security-policy": "sandbox; default-src 'none'",
            "cache-control": "private, no-cache",
            "x-content-type-options": "nosniff",
        },
        media_type="text/plain; charset=utf-8",
    )


def last_of(asked: Asked, run_id: str, most: int) -> Sequence[Row]:
    """Return the last lines that a run wrote on its terminal; nothing if it wrote none.

    Raises:
        ToolkitError: They cannot be read.
    """
    if OUTPUT not in _logs(asked, run_id):
        return ()
    return read(asked, run_id, OUTPUT, lambda log: [_row(line) for line in log.last(most)])


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
    for attempt in range(_TRIES):
        pieces = _logs(asked, run_id).get(path)
        if pieces is None:
            break
        try:
            with _opened(asked, run_id, path, pieces) as log:
                return use(log)
        except (NotFound, ArtifactCorrupt):
            if attempt == _TRIES - 1:
                raise
    raise NotFound(f"run {run_id} has no log {path!r}")


def _logs(asked: Asked, run_id: str) -> dict[str, Sequence[Piece]]:
    return dict(joined(asked.stores.runs.list_artifacts(run_id, prefix=FOLDER, limit=_LISTED).items))


def _opened(asked: Asked, run_id: str, path: str, pieces: Sequence[Piece]) -> LogText:
    files = Files(asked.stores, asked.catalog)
    return LogText(run_id, path, pieces, lambda piece: files.open(files.of_run(run_id, piece.path)).stream)


def _steps(asked: Asked, run: Run) -> Sequence[Run]:
    """Return the runs that are parts of one: their logs may be what is looked for."""
    from toolkit.tracking.records import RunQuery  # noqa: PLC0415 - here alone

    return asked.stores.runs.list_runs(RunQuery(parent_run_id=run.info.run_id, limit=50)).items


def _number(text: str | None) -> int | None:
    return int(text) if text and text.isascii() and text.isdigit() and len(text) < 16 and int(text) else None


# -- what is shown ---------------------------------------------------------------------------------


def _end(log: LogText) -> View:
    return _view(log, log.last(LINES))


def _window(log: LogText, number: int) -> View:
    return _view(log, log.around(number, before=_AROUND, most=LINES), at=number)


def _view(log: LogText, lines: Sequence[Line], *, at: int = 0, text: str = "") -> View:
    """Return what lines look like that follow each other."""
    if not lines:
        return View(size=log.size)
    total, last = log.count(), lines[-1]
    return View(
        rows=[_row(line, text, hit=line.number == at) for line in lines],
        total=total,
        size=log.size,
        before=lines[0].number - 1 or None,
        after=last.number + 1 if last.number < total else None,
        next_byte=log.size if last.whole else last.start,
        next_line=last.number + 1 if last.whole else last.number,
    )


def _found(log: LogText, text: str, at: int) -> View:
    """Return what is around one of the lines that hold a text, and how many of these there are."""
    count, here, end = 0, 0, 0
    for line in log.holding([text.encode().lower()]):
        count += 1
        end = line.number
        if count == at:
            here = line.number
    if not count:
        return View(size=log.size, total=log.count())
    at, here = (at, here) if here else (count, end)
    view = _view(log, log.around(here, before=_AROUND, most=LINES), at=here, text=text)
    return replace(view, found=count, at=at)


def _chosen(log: LogText, text: str, level: str) -> View:
    """Return the last of the lines of a level, or that hold a text, or both."""
    word = text.encode().lower()
    words, marks = LEVELS[level] if level else ((word,), ())

    def accepted(line: bytes) -> bool:
        if text and word not in line.lower():
            return False
        plain = _ESCAPE_BYTES.sub(b"", line)
        return not level or any(mark.search(plain) for mark in marks)

    count = 0
    kept: deque[Line] = deque(maxlen=LINES)
    for line in log.holding(words, accepted):
        count += 1
        kept.append(line)
    return View(rows=[_row(line, text) for line in kept], total=log.count(), size=log.size, found=count)


_ESCAPE_BYTES = re.compile(rb"\x1b\[[0-9;?]*[A-Za-z]")


def _row(line: Line, text: str = "", *, hit: bool = False) -> Row:
    told = line.text.decode(errors="replace")
    told = told.rpartition("\r")[2][:_LONGEST]  # what a bar of progress has written over is gone
    return Row(
        number=line.number,
        text=coloured(told, text),
        level=level_of(line.text),
        hit=hit,
        start=line.start,
        whole=line.whole,
    )


def level_of(line: bytes) -> str:
    """Return how bad a line is: ``error``, ``warning`` or nothing."""
    plain = _ESCAPE_BYTES.sub(b"", line[:_LONGEST])
    if _ERROR.search(plain):
        return "error"
    return "warning" if _WARNING.search(plain) else ""


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


PAGES = [
    ("GET", "/runs/{run_id}/logs", show),
    ("GET", "/runs/{run_id}/logs/more", more),
    ("GET", "/runs/{run_id}/logs/raw", raw),
]
