"""The code of an earlier run, as it was: from where it came, from the run's snapshot, or from a commit and the diff.

Which of them it is does not matter: the digest over the project's files, which every run records, says whether they are
the same. Nothing else is taken for the same.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

from toolkit.errors import ArtifactError, NotFound, ToolkitError
from toolkit.flows import codebase, snapshot
from toolkit.flows.git import Git, GitFailed, GitMissing
from toolkit.flows.provenance import DIFF_PATH, SNAPSHOT_PATH, Provenance, read_provenance
from toolkit.flows.source import Fetching, Source, code_digest, fetch
from toolkit.flows.working_copy import working_copy
from toolkit.recording.run import RecordedRun
from toolkit.recording.stores import Stores
from toolkit.tracking.records import ArtifactEntry, Run

_CUT = b"# toolkit: cut at "


class CodeGone(Exception):
    """The code cannot be had as it was; the message says why. Raised and caught in this package only."""


@dataclass(kw_only=True)
class RecordedCode:
    """Gets the code of a run.

    Attributes:
        stores: Where the run is recorded.
        run: The run: the workflow's.
        fetching: How code is fetched.
        folder: Where to keep what is downloaded; nobody else's.
        copies: Where copies are made to run in.
        keep: Whether the copy stays afterwards.
        directory: Where the code was then, if that is known: what the snapshot left out may still be there.
        report: Told what is going on.
    """

    stores: Stores
    run: Run
    fetching: Fetching
    folder: Path
    copies: Path
    keep: bool = False
    directory: Path | None = None
    report: Callable[[str], None] = field(default=lambda _: None)

    def open(self, stack: ExitStack) -> Source:
        """Return the code, in a copy that the run may write into and that ends with ``stack``.

        Raises:
            CodeGone: It cannot be had.
        """
        provenance = read_provenance(self.run.data.tags)
        if provenance.code_digest is None:
            raise CodeGone("it does not say which code it ran (it has no tag toolkit.code_digest)")
        reasons: list[str] = []
        for attempt in self._attempts(provenance):
            with ExitStack() as own:
                try:
                    source = attempt(own)
                    digest = code_digest(source)
                except (CodeGone, ToolkitError) as error:
                    reasons.append(str(error))
                    continue
                if digest == provenance.code_digest:
                    stack.push(own.pop_all())
                    return replace(source, digest=digest)
                reasons.append(
                    f"{source.name} has files with the digest {digest[:12]}, and {provenance.code_digest[:12]} is"
                    " recorded"
                )
        raise CodeGone(self._explained(provenance, reasons))

    def _explained(self, provenance: Provenance, reasons: Sequence[str]) -> str:
        what = f"commit {provenance.commit[:12]}" if provenance.commit else "its code"
        if provenance.dirty:
            what += " with changes that were not committed"
        return f"{what} is nowhere to be had: {'; '.join(dict.fromkeys(reasons)) or 'no place is recorded'}"

    # -- where it may be ---------------------------------------------------------------------------

    def _attempts(self, provenance: Provenance) -> Iterator[Callable[[ExitStack], Source]]:
        for uri, version in provenance.places:
            yield partial(self._from_place, uri, version)
        files = {entry.path: entry for entry in self._files()}
        kept = files.get(SNAPSHOT_PATH) or files.get(f"{snapshot.RUN_FOLDER}/{provenance.code_digest}.zip")
        if kept is not None:
            yield partial(self._from_snapshot, kept)
        elif not provenance.places:
            yield lambda _: self._refuse(f"the run has no {SNAPSHOT_PATH}")
        if provenance.commit is not None and provenance.dirty:
            clean = replace(provenance, dirty=False)
            for uri, version in clean.places:
                yield partial(self._with_diff, uri, version, files.get(DIFF_PATH))

    def _from_place(self, uri: str, version: str, stack: ExitStack) -> Source:
        return self._copy(self._fetch(uri, version), stack)

    def _refuse(self, why: str) -> Source:
        raise CodeGone(why)

    def _files(self) -> Sequence[ArtifactEntry]:
        return self.stores.runs.list_artifacts(self.run.info.run_id, prefix=snapshot.RUN_FOLDER).items

    def _fetch(self, uri: str, version: str) -> Source:
        return fetch(uri, caller=self.folder, version=version, fetching=self.fetching)

    def _copy(self, source: Source, stack: ExitStack) -> Source:
        return stack.enter_context(working_copy(source, self.copies, self.report, keep=self.keep))

    def _download(self, entry: ArtifactEntry) -> Path:
        target = self.folder / entry.path.rpartition("/")[2]
        try:
            RecordedRun(self.stores, self.run).fetch(entry, target)
        except (ArtifactError, NotFound) as error:
            raise CodeGone(f"its {entry.path} cannot be read: {error}") from None
        return target

    def _from_snapshot(self, entry: ArtifactEntry, stack: ExitStack) -> Source:
        """Unpack the snapshot; what it left out is taken from where it was, if it is still there."""
        archive = self._download(entry)
        left_out = snapshot.left_out(archive)
        source = self._copy(snapshot.open_snapshot(archive, self.fetching), stack)
        missing = [item.path for item in left_out if not self._bring(item.path, source.directory, stack)]
        if missing:
            names = ", ".join(missing[:5]) + (", …" if len(missing) > 5 else "")
            raise CodeGone(f"its snapshot left out {names} ({left_out[0].reason}), which is not there any more")
        known = codebase.every_path(source.directory)
        return replace(source, known_files=known) if left_out else source

    def _bring(self, path: str, target: Path, stack: ExitStack) -> bool:
        """Copy a file from where the project was; it goes before the copy of the code, unless that is to stay."""
        if self.directory is None or not (self.directory / path).is_file():
            return False
        (target / path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(self.directory / path, target / path)
        if not self.keep:
            stack.callback((target / path).unlink, missing_ok=True)
        return True

    def _with_diff(self, uri: str, version: str, entry: ArtifactEntry | None, stack: ExitStack) -> Source:
        """Apply the recorded diff to the commit; files that Git did not track are in no diff, and the digest tells."""
        if entry is None:
            raise CodeGone(f"the run has no {DIFF_PATH}")
        patch = self._download(entry)
        if patch.read_bytes().rpartition(b"\n")[0].rpartition(b"\n")[2].startswith(_CUT):
            raise CodeGone(f"its {DIFF_PATH} was cut, because it is longer than what is kept")
        copy = self._copy(self._fetch(uri, version), stack)
        inside = [f"--directory={copy.subdir}"] if copy.subdir else []
        try:
            Git().run("apply", "--whitespace=nowarn", *inside, "--", str(patch), directory=copy.root)
        except (GitFailed, GitMissing) as error:
            raise CodeGone(f"its {DIFF_PATH} does not fit the commit: {error or 'git is not installed'}") from None
        now = fetch(str(copy.directory), caller=self.folder)
        return replace(copy, dirty=True, known_files=now.known_files)
