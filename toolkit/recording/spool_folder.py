"""The spool on disk: a folder for each process, with a lock that it holds as long as it lives.

An item is a file ``<number>`` and, once that is whole, ``<number>.json``, which says where it belongs. A folder gets
its name when it is locked, so that nobody takes the folder of a process that begins for one that was left.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import logging
import os
import shutil
import time
import uuid
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from toolkit.artifacts.store import ArtifactStore
from toolkit.errors import (
    ArtifactCorrupt,
    ArtifactError,
    ArtifactUnavailable,
    NotFound,
    StoreError,
    ToolkitError,
    UserError,
)
from toolkit.tracking.journal_file import lock_folder
from toolkit.tracking.records import ArtifactEntry
from toolkit.tracking.store import RunStore

logger = logging.getLogger("toolkit.spool")

REJECTED = "rejected"

_ATTEMPTS = 100
_SHELL_AGE = 60.0  # seconds after which a folder in which nothing was logged counts as left
_PATIENCE = 3  # how many files one after another may fail, before the store counts as away


@dataclass(frozen=True, kw_only=True, slots=True)
class Item:
    """A file to be sent.

    Attributes:
        place: The run store that lists it, without password.
        root: Root of the artifact store, as a URI.
        run_id: Its run.
        key: Its key in the artifact store.
        path: Its path among the run's artifacts.
        size: In bytes.
        sha256: Digest of its content.
        created: When it was logged, milliseconds since 1970 UTC.
    """

    place: str
    root: str
    run_id: str
    key: str
    path: str
    size: int
    sha256: str
    created: int

    @property
    def entry(self) -> ArtifactEntry:
        """The file as it is listed."""
        return ArtifactEntry(path=self.path, size=self.size, sha256=self.sha256, created=self.created)

    def encode(self) -> bytes:
        """Return what `read_item` reads."""
        return json.dumps(asdict(self)).encode()


@dataclass(frozen=True, kw_only=True, slots=True)
class SpoolState:
    """A spool on disk.

    Attributes:
        folder: Where it is.
        items: The files that wait in it, as far as it can be read where they belong.
        in_use: Whether its process still runs, and so sends them by itself.
    """

    folder: Path
    items: Sequence[Item]
    in_use: bool


# -- folders -----------------------------------------------------------------------------------------

_claimed: dict[Path, object] = {}  # folders whose lock this process has, or is about to take


def make_folder(root: Path) -> tuple[Path, int]:
    """Make a folder for this process below ``root``; return it and its lock. Let go of it with `release`.

    Raises:
        OSError: It cannot be made or locked.
    """
    for _ in range(_ATTEMPTS):
        with contextlib.suppress(FileNotFoundError):  # somebody took it for a folder that was left
            made = _make_folder(root)
            if made is not None:
                return made
    raise OSError(errno.EAGAIN, f"no folder can be made in {root} that nobody else takes")


def _make_folder(root: Path) -> tuple[Path, int] | None:
    folder = root / f"{os.getpid()}-{uuid.uuid4().hex[:16]}"
    made = folder.with_suffix(".new")
    made.mkdir(parents=True, mode=0o700)
    _claimed[made] = _claimed[folder] = folder
    lock, ours = None, False
    try:
        lock = lock_folder(made)
        if lock is None:
            return None
        made.rename(folder)
        ours = _holds(folder, lock)
        return (folder, lock) if ours else None
    finally:
        _claimed.pop(made, None)
        if not ours:
            shutil.rmtree(made, ignore_errors=True)
            _claimed.pop(folder, None)
            if lock is not None:
                os.close(lock)


def release(folder: Path, lock: int) -> None:
    """Let go of a folder; without files that wait it is removed."""
    if not numbers(folder):
        shutil.rmtree(folder, ignore_errors=True)
    os.close(lock)
    _claimed.pop(folder, None)


def forget_folders() -> None:
    """Let a forked child see its parent's folders as another process's."""
    _claimed.clear()


def numbers(folder: Path) -> list[int]:
    """Return the numbers of the items in a folder; none if somebody has just removed it."""
    try:
        return sorted(int(path.stem) for path in folder.glob("*.json") if path.stem.isdigit())
    except FileNotFoundError:
        return []


def read_item(folder: Path, number: int) -> Item:
    """Return an item of a folder.

    Raises:
        ArtifactCorrupt: What is there cannot be read.
    """
    manifest = folder / f"{number}.json"
    try:
        return Item(**json.loads(manifest.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError) as error:
        raise ArtifactCorrupt(f"{manifest} does not say where its file belongs ({error})") from error


def spool_states(root: Path) -> list[SpoolState]:
    """Return the spools below ``root`` in which files wait, whosever they are."""
    states = []
    for folder in _folders(root):
        items = []
        for number in numbers(folder):
            with contextlib.suppress(ArtifactCorrupt):
                items.append(read_item(folder, number))
        if items:
            states.append(SpoolState(folder=folder, items=items, in_use=_is_in_use(folder)))
    return states


def _folders(root: Path) -> list[Path]:
    if not root.is_dir():
        return []
    return sorted(folder for folder in root.iterdir() if folder.name != REJECTED and folder.is_dir())


def _holds(folder: Path, lock: int) -> bool:
    """Tell whether a lock is still the one in its folder, and was not removed together with it."""
    try:
        return os.path.samestat(os.fstat(lock), (folder / "lock").stat())
    except FileNotFoundError:
        return False


def _is_in_use(folder: Path) -> bool:
    with _adopted(folder) as ours:
        return not ours and folder.is_dir()


@contextlib.contextmanager
def _adopted(folder: Path) -> Iterator[bool]:
    """Lock a folder for a block; gives whether that was possible."""
    mine = object()
    if _claimed.setdefault(folder, mine) is not mine:  # to close its lock here would let go of it
        yield False
        return
    lock = None
    try:
        with contextlib.suppress(OSError):  # another process has just removed it; or it may not be read
            lock = lock_folder(folder)
        yield lock is not None and _holds(folder, lock)
    finally:
        if lock is not None:
            os.close(lock)
        _claimed.pop(folder, None)


# -- items -------------------------------------------------------------------------------------------


def is_for_good(error: ToolkitError) -> bool:
    """Tell whether what a store or a file says will be the same at the next attempt."""
    return isinstance(error, ArtifactCorrupt) or (isinstance(error, UserError) and not isinstance(error, StoreError))


def send(folder: Path, number: int, item: Item, artifacts: ArtifactStore, runs: RunStore) -> None:
    """Bring an item where it belongs, list it, and remove it from its folder.

    Raises:
        ArtifactCorrupt: Its bytes are not those that were logged; they go nowhere.
        ToolkitError: As the stores.
    """
    data = folder / str(number)
    _check(data, item)
    stored = artifacts.put_file(item.key, data)
    if stored.sha256 != item.sha256:
        raise ArtifactUnavailable(f"{data} arrived as something else: its digest is {stored.sha256}")
    runs.record_artifacts(item.run_id, [item.entry])
    remove(folder, number)


def _check(data: Path, item: Item) -> None:
    try:
        with data.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
    except FileNotFoundError:
        raise ArtifactCorrupt(f"{data} is gone") from None
    except OSError as error:
        raise ArtifactError(f"{data} cannot be read: {error.strerror}") from error
    if digest != item.sha256:
        raise ArtifactCorrupt(f"{data} is not what it was when it was logged: its digest is {digest}")


def remove(folder: Path, number: int) -> None:
    """Remove an item. What says where it belongs goes first: without it the rest is nobody's."""
    (folder / f"{number}.json").unlink(missing_ok=True)
    (folder / str(number)).unlink(missing_ok=True)


def is_replaced(item: Item, runs: RunStore) -> bool:
    """Tell whether the run has a file of the same path that was logged later.

    Raises:
        ToolkitError: As the store.
    """
    try:
        listed = runs.list_artifacts(item.run_id, prefix=item.path, limit=1).items
    except NotFound:
        return False
    return any(entry.path == item.path and entry.created > item.created for entry in listed)


def set_aside(root: Path, folder: Path, number: int) -> None:
    """Keep an item that is refused for good, out of the way."""
    target = root / REJECTED / f"{folder.name}-{number}"
    with contextlib.suppress(OSError):
        target.mkdir(parents=True, exist_ok=True, mode=0o700)
        for name in (str(number), f"{number}.json"):  # broken off in between, it is found and done again
            with contextlib.suppress(FileNotFoundError):
                (folder / name).replace(target / name)


# -- leftovers ---------------------------------------------------------------------------------------


def leftovers(root: Path) -> Generator[tuple[Path, int], None, None]:
    """Give the items that processes which are gone have left; each folder is locked meanwhile.

    A folder is removed when nothing of it is left.
    """
    for folder in _folders(root):
        if not numbers(folder) and _is_young(folder):
            continue
        with _adopted(folder) as ours:
            if ours:
                for number in numbers(folder):
                    yield folder, number
                if not numbers(folder):
                    shutil.rmtree(folder, ignore_errors=True)


def _is_young(folder: Path) -> bool:
    """Tell whether a folder may be one that its process is about to lock."""
    try:
        return time.time() - folder.stat().st_mtime < _SHELL_AGE
    except FileNotFoundError:
        return True


class SpoolLeftovers:
    """Sends what processes that are gone have left for two stores.

    Args:
        root: Folder of all spools.
        artifacts: Where files go.
        runs: Where they are listed.
        place: The run store by name, without password.
        expected: Tells whether a run that is not in the store may still come, by somebody's journal.
    """

    def __init__(
        self,
        root: Path,
        artifacts: ArtifactStore,
        runs: RunStore,
        place: str,
        *,
        expected: Callable[[], bool] = lambda: False,
    ) -> None:
        self._root = root
        self._artifacts = artifacts
        self._runs = runs
        self._place = place
        self._expected = expected
        self._failure: ArtifactError | None = None
        self._failed = 0  # files one after another, because the store was away
        self.sent = 0
        """How many files were sent."""
        self.refused = 0
        """How many are refused for good, or damaged."""

    def send_all(self, until: float | None = None) -> None:
        """Send them. A file that fails keeps none but itself from being sent.

        Args:
            until: When to stop, by the monotonic clock.

        Raises:
            ArtifactError: The artifact store cannot take all of them now; the first reason.
            StoreError: The run store cannot.
        """
        with contextlib.closing(leftovers(self._root)) as found:
            for folder, number in found:
                if self._failed >= _PATIENCE or (until is not None and time.monotonic() >= until):
                    break
                self._send(folder, number)
        if self._failure is not None:
            raise self._failure

    def _send(self, folder: Path, number: int) -> None:
        try:
            item = read_item(folder, number)
            if item.place != self._place or item.root != self._artifacts.root:
                return
            if is_replaced(item, self._runs):
                remove(folder, number)
                return
            send(folder, number, item, self._artifacts, self._runs)
        except (UserError, ArtifactError) as error:
            self._failed_with(error, folder, number)
        else:
            self.sent += 1
            self._failed = 0

    def _failed_with(self, error: UserError | ArtifactError, folder: Path, number: int) -> None:
        if isinstance(error, NotFound) and self._expected():
            logger.info("the file %s of %s waits until its run has begun: %s", number, folder, error)
        elif is_for_good(error):
            logger.warning("the file %s of %s is not stored: %s", number, folder, error)
            set_aside(self._root, folder, number)
            self.refused += 1
        elif isinstance(error, ArtifactError):
            self._failed += isinstance(error, ArtifactUnavailable)
            self._failure = self._failure or error
        else:
            raise error
