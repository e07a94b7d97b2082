"""The texts that a run keeps: its own, those of the run that it is a part of, and those of models that it made."""

from __future__ import annotations

import io
import lzma
import struct
import zipfile
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import IO

from toolkit.errors import NotFound, ToolkitError
from toolkit.server.artifacts.files import Files
from toolkit.server.pages.asked import Asked
from toolkit.tracking.records import ArtifactEntry, Run
from toolkit.wiring.registry import files_of

LARGEST = 512 * 1024
"""Bytes of a text that are looked at."""

MOST = 20_000
"""Files of a run that are looked at."""

_ARCHIVE = 64 << 20
_MEMBERS = 10_000
_DAMAGED = (
    *(zipfile.BadZipFile, zlib.error, lzma.LZMAError, struct.error, OSError, EOFError),
    *(NotImplementedError, RuntimeError, ValueError),
)
"""What `zipfile` raises of a file that is damaged, is encrypted, or is packed in a way that it does not know."""

_PARENTS = 3
_MODELS = 5

ENDS = (
    *".txt .lock .yaml .yml .toml .json .py .diff .patch .cfg .ini .md .rst .sh .sql .r .ipynb .csv .tsv .html".split(),
    *".xml .env .log .jsonl .conf .zip mlproject mlmodel dockerfile makefile".split(),
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Kept:
    """A file that a run keeps.

    Attributes:
        owner: The id of the run, or of the model, that has it.
        is_model: Whether that is a model.
        entry: The file there.
    """

    owner: str
    is_model: bool
    entry: ArtifactEntry


@dataclass(frozen=True, kw_only=True, slots=True)
class Text:
    """A file's text.

    Attributes:
        text: What it says; empty where it is no text.
        fault: Why it cannot be shown, or not all of it; empty where it can.
    """

    text: str = ""
    fault: str = ""


def lineage_of(asked: Asked, run: Run) -> Sequence[Run]:
    """Return a run and the runs that it is a part of, the nearest first."""
    found = [run]
    while (parent := found[-1].info.parent_run_id) and len(found) <= _PARENTS:
        try:
            found.append(asked.stores.runs.get_run(parent))
        except NotFound:  # it was removed for good
            break
    return found


def kept_by(asked: Asked, runs: Sequence[Run]) -> Mapping[str, Kept]:
    """Return the texts that a run keeps, by path: its own come before those of the runs that it is a part of.

    Args:
        asked: The request.
        runs: The run, and the runs that it is a part of.
    """
    found: dict[str, Kept] = {}
    ids = [run.info.run_id for run in runs]
    files = files_of(asked.stores, ids, ends=ENDS, limit=MOST)
    for run_id in ids:
        for entry in files.get(run_id, ()):
            found.setdefault(entry.path, Kept(owner=run_id, is_model=False, entry=entry))
    made = asked.catalog.logged.models_of(ids[:1]).get(ids[0])
    for output in (made.outputs if made else ())[-_MODELS:]:
        try:
            name = asked.catalog.logged.get_model(output.model_id).name
        except NotFound:  # it was deleted
            continue
        for entry in asked.catalog.logged.files_of(output.model_id):
            if entry.path.lower().endswith(ENDS):
                found[f"{name}/{entry.path}"] = Kept(owner=output.model_id, is_model=True, entry=entry)
    return found


def text_of(asked: Asked, kept: Kept | None) -> Text:
    """Return what a file says; a file that is not there says nothing."""
    if kept is None:
        return Text()
    try:
        with _opened(asked, kept) as stream:
            return as_text(stream.read(LARGEST + 1))
    except ToolkitError as error:
        return Text(fault=error.message)


def as_text(content: bytes) -> Text:
    """Return what bytes say; of what is long the beginning."""
    if b"\0" in content[:LARGEST]:
        return Text(fault="it is no text")
    text = content[:LARGEST].decode(errors="replace")
    return Text(text=text, fault=f"only its first {LARGEST // 1024} KiB are shown" if len(content) > LARGEST else "")


def _opened(asked: Asked, kept: Kept) -> IO[bytes]:
    files = Files(asked.stores, asked.catalog)
    of = files.of_model if kept.is_model else files.of_run
    return files.open(of(kept.owner, kept.entry.path)).stream


class Archive:
    """The files of a zip file that a run keeps.

    Args:
        asked: The request.
        kept: The zip file.

    Raises:
        ToolkitError: It cannot be read, or is larger than is looked at.
    """

    def __init__(self, asked: Asked, kept: Kept) -> None:
        if kept.entry.size > _ARCHIVE:
            raise ToolkitError(f"{kept.entry.path} has {kept.entry.size} bytes: more than are looked at")
        with _opened(asked, kept) as stream:
            content = io.BytesIO(stream.read(_ARCHIVE))
        try:
            self._zip = zipfile.ZipFile(content)
        except _DAMAGED:
            raise ToolkitError(f"{kept.entry.path} is no zip file") from None
        members = [info for info in self._zip.infolist() if not info.is_dir()][:_MEMBERS]
        self._members = {info.filename: info for info in members}

    @property
    def digests(self) -> Mapping[str, tuple[int, int]]:
        """What tells each file's content from another's: its size and its checksum."""
        return {name: (info.file_size, info.CRC) for name, info in self._members.items()}

    def text(self, name: str) -> Text:
        """Return what a file says; one that is not there says nothing."""
        info = self._members.get(name)
        if info is None:
            return Text()
        try:
            with self._zip.open(info) as stream:
                return as_text(stream.read(LARGEST + 1))
        except _DAMAGED:
            return Text(fault="it cannot be unpacked")
