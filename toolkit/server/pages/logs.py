"""What a run has written on its terminal: its end, which is followed; what is around a line; what holds a text."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice

from starlette.responses import Response, StreamingResponse

from toolkit.errors import ArtifactCorrupt, InvalidValue, NotFound
from toolkit.server.pages.asked import Asked
from toolkit.server.pages.log_lines import LEVELS, LONGEST, OUTPUT, TRIES, Row, logs_of, opened, plain, read, row_of
from toolkit.server.pages.log_text import Line, LogText
from toolkit.server.pages.render import page
from toolkit.server.pages.run import head
from toolkit.tracking.records import Run

LINES = 1_000
_AROUND = 300


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
    paths = list(logs_of(asked, run.info.run_id))
    file = query.get("file") or (OUTPUT if OUTPUT in paths or not paths else paths[0])
    level, text = query.get("level", ""), query.get("find", "").partition("\n")[0]
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

    there = file in logs_of(asked, run.info.run_id)
    view = read(asked, run.info.run_id, file, look) if there else None
    if view is None and not ended:
        return Response(status_code=204)
    view = view or View(next_byte=start, next_line=number)
    joins = not view.rows or view.rows[0].number == number
    return page(asked, "run_log_more.html", run=run, view=view, joins=joins, ended=ended)


def raw(asked: Asked) -> Response:
    """Return all of a log as it is, also of one that is still written."""
    run_id, file = asked.path["run_id"], asked.query.get("file", OUTPUT)
    if file not in logs_of(asked, run_id):
        raise InvalidValue(f"this run has no log {file[:300]!r}")
    name = re.sub(r"[^\w.-]", "_", file.rpartition("/")[2])
    return StreamingResponse(
        _whole(asked, run_id, file),
        headers={
            "content-disposition": f'attachment; filename="{run_id[:8]}-{name}"',
            "content-security-policy": "sandbox; default-src 'none'",
            "cache-control": "private, no-cache",
            "x-content-type-options": "nosniff",
        },
        media_type="text/plain; charset=utf-8",
    )


def _whole(asked: Asked, run_id: str, path: str) -> Iterator[bytes]:
    """Give all of a log. Its pieces may become others meanwhile: what they hold does not, so it goes on from there."""
    place = failed = 0
    while True:
        pieces = logs_of(asked, run_id).get(path, ())
        try:
            if not pieces or pieces[-1].end < place:
                raise NotFound(f"run {run_id} has no log {path!r} any more")
            with opened(asked, run_id, path, pieces) as log:
                for data in log.chunks(place):
                    place, failed = place + len(data), 0
                    yield data
            return
        except (NotFound, ArtifactCorrupt):
            failed += 1
            if failed == TRIES:
                raise


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
        rows=[row_of(line, text, hit=line.number == at) for line in lines],
        total=total,
        size=log.size,
        before=lines[0].number - 1 or None,
        after=last.number + 1 if last.number < total else None,
        next_byte=log.size if last.whole else last.start,
        next_line=last.number + 1 if last.whole else last.number,
    )


def _found(log: LogText, text: str, at: int) -> View:
    """Return what is around one of the lines that hold a text, and how many of these there are."""
    count, here = log.find(text.encode().lower(), at)
    if not count:
        return View(size=log.size, total=log.count())
    at = min(at, count)
    view = _view(log, log.around(here, before=_AROUND, most=LINES), at=here, text=text)
    return replace(view, found=count, at=at)


def _chosen(log: LogText, text: str, level: str) -> View:
    """Return the last of the lines of a level, or that hold a text, or both."""
    word = text.encode().lower()
    words, marks = LEVELS[level] if level else ((word,), ())

    def accepted(line: bytes) -> bool:
        if text and word not in line.lower():
            return False
        told = plain(line[:LONGEST])
        return not level or any(mark.search(told) for mark in marks)

    count = 0
    kept: deque[Line] = deque(maxlen=LINES)
    for line in log.holding(words, accepted):
        count += 1
        kept.append(line)
    return View(rows=[row_of(line, text) for line in kept], total=log.count(), size=log.size, found=count)


PAGES = [
    ("GET", "/runs/{run_id}/logs", show),
    ("GET", "/runs/{run_id}/logs/more", more),
    ("GET", "/runs/{run_id}/logs/raw", raw),
]
