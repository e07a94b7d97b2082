"""A file that grows while its run goes on, such as a step's log: what is there is stored now and then.

What that costs is bounded. Bytes: each is sent once as it comes, and again each time that eight small pieces become
one, which is done for pieces of up to 8 MB in all and at most four times.
Calls: one look every 2 s at first, every 15 s in the end, and never more than a quarter of the time is spent sending.
Objects: some thirty at a time, and one for each megabyte. All of it happens in a thread of its own and is given up
quietly: the file itself is stored whole at the end by whoever writes it.
"""

from __future__ import annotations

import logging
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

from toolkit.errors import ToolkitError
from toolkit.recording.log_pieces import piece_path
from toolkit.recording.run import RecordedRun

logger = logging.getLogger(__name__)

FIRST_PAUSE, LAST_PAUSE = 2.0, 15.0
"""Seconds between two looks: at first, and in the end."""

MOST = 8 << 20
"""Bytes of a piece, at most."""

TOGETHER = 8
"""So many pieces of one level become one of the next."""

LEVELS = 4
"""How often the bytes of a piece are sent again, at most."""

_SLOWER = (
    60.0  # after so many seconds per second of pause: 2 s in the first two minutes, 15 s after a quarter of an hour
)
_SHARE = 4  # what is sent may take a quarter of the time
_AFTER_FAILURE = 60.0
_PATIENCE = 30.0  # that a step which ends waits for what is being sent


@dataclass(frozen=True, slots=True)
class _Stored:
    start: int
    end: int
    level: int


class Growing:
    """Stores what a file holds so far, as long as the context lasts.

    Args:
        recorded: The run whose artifact it is.
        file: The local file; it may be there later.
        path: The path that the whole of it will have among the artifacts.
        pause: Seconds between two looks at first.
    """

    def __init__(self, recorded: RecordedRun, file: Path, path: str, *, pause: float = FIRST_PAUSE) -> None:
        self._run = recorded
        self._file = file
        self._path = path
        self._pause = pause
        self._stored: list[_Stored] = []
        self._obsolete: list[str] = []
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="toolkit-growing", daemon=True)
        self._failed = 0

    def __enter__(self) -> Growing:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, _: BaseException | None, __: TracebackType | None) -> None:
        """Stop looking; after a failure, nobody may store the whole: what is there now is stored.

        A store that hangs does not hold the step: from then on the thread alone has what was stored, and ends with it.
        """
        self._done.set()
        self._thread.join(_PATIENCE)
        if kind is not None and not self._hangs():
            self.look()

    def forget(self) -> None:
        """Remove the pieces, once the whole file is stored. What cannot be removed does no harm: it is not read."""
        if self._hangs():
            return
        paths = [*self._obsolete, *(piece_path(self._path, each.start, each.end) for each in self._stored)]
        if not paths:
            return
        try:
            self._run.remove(paths)
        except (ToolkitError, OSError) as error:
            logger.info("pieces of %s of run %s stay: %s", self._path, self._run.run_id, error)

    def look(self) -> bool:
        """Store what is new; return whether that went well."""
        try:
            self._store()
        except (ToolkitError, OSError) as error:
            self._failed += 1
            logger.info("%s of run %s is not stored while it grows: %s", self._path, self._run.run_id, error)
            return False
        except Exception:  # what a client library did not expect must not hurt the step
            self._failed += 1
            logger.info("%s of run %s is not stored while it grows", self._path, self._run.run_id, exc_info=True)
            return False
        self._failed = 0
        return True

    def _watch(self) -> None:
        began = time.monotonic()
        pause = self._pause
        while not self._done.wait(pause):
            before = time.monotonic()
            self.look()
            now = time.monotonic()
            pause = max(self._pause, min(LAST_PAUSE, (now - began) / _SLOWER), _SHARE * (now - before))
            if self._failed:
                pause = max(pause, min(_AFTER_FAILURE, self._pause * 2 ** min(self._failed, 9)))

    def _hangs(self) -> bool:
        """Tell whether something is still being sent after what is sent was waited for."""
        if not self._thread.is_alive():
            return False
        logger.info("%s of run %s is still being sent: its pieces stay", self._path, self._run.run_id)
        return True

    @property
    def _ends(self) -> bool:
        """Whether a step waits for the thread that this is: then nothing more is sent."""
        return self._done.is_set() and threading.current_thread() is self._thread

    def _store(self) -> None:
        size = self._file.stat().st_size if self._file.exists() else 0
        place = self._stored[-1].end if self._stored else 0
        while place < size and not self._ends:
            piece = _Stored(place, min(size, place + MOST), 0)
            self._put(piece)
            self._stored.append(piece)
            place = piece.end
            self._merge()
        if self._obsolete and not self._ends:
            self._run.remove(self._obsolete)
            self._obsolete = []

    def _merge(self) -> None:
        """Make larger pieces of small ones, so that they do not become many."""
        while len(self._stored) >= TOGETHER and not self._ends:
            last = self._stored[-TOGETHER:]
            level, whole = last[0].level, _Stored(last[0].start, last[-1].end, last[0].level + 1)
            if level >= LEVELS or any(each.level != level for each in last) or whole.end - whole.start > MOST:
                return
            self._put(whole)
            self._stored[-TOGETHER:] = [whole]
            self._obsolete += [piece_path(self._path, each.start, each.end) for each in last]

    def _put(self, piece: _Stored) -> None:
        with self._file.open("rb") as source:
            source.seek(piece.start)
            content = source.read(piece.end - piece.start)
        self._run.log_bytes(content, piece_path(self._path, piece.start, piece.end))
