"""Files in the artifact root that no run lists: mark and sweep, run by run, in the order of their keys."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable, Iterator
from typing import Literal

from toolkit.artifacts.store import StoredFile
from toolkit.errors import NotFound
from toolkit.tracking.logged_models import LoggedModelStore
from toolkit.tracking.records import RunStatus
from toolkit.tracking.store import RunStore
from toolkit.upkeep.garbage import Needed

Kind = Literal["orphan", "unknown", "foreign"]
"""``orphan``: of a run that does not list it; ``unknown``: of a run not known here; ``foreign``: of no run at all."""

# What we write has this form. Anything else below the root is somebody else's, and stays.
_OURS = re.compile(r"(?:0|[1-9][0-9]*)/(?:([0-9a-f]{32})|models/(m-[0-9a-f]{32}))/artifacts/(.+)", re.DOTALL)


class Orphans:
    """Tells orphans from what is needed.

    Args:
        runs: The store that lists files.
        oldest: Only what was stored before this time counts, in milliseconds since 1970 UTC: an upload stores the bytes
            first and lists them after that.
        needed: Says what needs a run's files.
        models: The logged models that are known; ``None``: their files are somebody else's.
    """

    def __init__(self, runs: RunStore, *, oldest: int, needed: Needed, models: LoggedModelStore | None = None) -> None:
        self._runs = runs
        self._models = models
        self._oldest = oldest
        self._needed = needed

    def among(self, files: Iterable[StoredFile]) -> Iterator[tuple[Kind, StoredFile]]:
        """Give the files that no run lists.

        Args:
            files: All files of the root, ordered by key.
        """
        for owner, group in itertools.groupby(files, key=_owner_of):
            if owner is None or (owner.startswith("m-") and self._models is None):
                for file in group:
                    yield "foreign", file
                continue
            old = [file for file in group if 0 < file.modified < self._oldest]
            if old:
                yield from self._of_model(owner, old) if owner.startswith("m-") else self._of_run(owner, old)

    def _of_model(self, model_id: str, files: list[StoredFile]) -> Iterator[tuple[Kind, StoredFile]]:
        """Give the files of a model that is not known; those of a known one are its own, for nothing lists them."""
        if self._models is None or self._needed(model_id) is not None:
            return
        try:
            self._models.get_model(model_id, allow_deleted=True)
        except NotFound:
            for file in files:
                yield "unknown", file

    def _of_run(self, run_id: str, files: list[StoredFile]) -> Iterator[tuple[Kind, StoredFile]]:
        if self._needed(run_id) is not None:
            return
        try:
            status = self._runs.get_run(run_id).info.status
        except NotFound:
            for file in files:
                yield "unknown", file
            return
        if status in (RunStatus.RUNNING, RunStatus.SCHEDULED):  # what it stores may be listed later, from its journal
            return
        listed = self._listed(run_id)
        for file in files:
            if _path_of(file) not in listed:
                yield "orphan", file

    def _listed(self, run_id: str) -> set[str]:
        paths: set[str] = set()
        token = None
        while True:
            page = self._runs.list_artifacts(run_id, page_token=token)
            paths.update(entry.path for entry in page.items)
            token = page.next_page_token
            if token is None:
                return paths


def _owner_of(file: StoredFile) -> str | None:
    found = _OURS.fullmatch(file.key)
    return (found[1] or found[2]) if found else None


def _path_of(file: StoredFile) -> str:
    found = _OURS.fullmatch(file.key)
    return found[3] if found else ""
