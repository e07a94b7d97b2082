"""Where a run's code came from, as tags of the run: written when it begins, read when it is to be run again."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from toolkit.flows.source import Source
from toolkit.recording import context as tag

CODE_DIGEST = "toolkit.code_digest"
URI = "toolkit.source.uri"
VERSION = "toolkit.source.version"
ARCHIVE = "toolkit.source.archive"

SNAPSHOT_PATH = "source/snapshot.zip"
"""Artifact of a run that holds its code, where no commit says it all."""
DIFF_PATH = "source/changes.diff"
"""Artifact of a run with what was not as committed."""
LONGEST_DIFF = 5_000_000
"""Bytes of a diff that are kept."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Provenance:
    """What a run says about where its code came from.

    Attributes:
        uri: What was run, without secrets; with ``version``, it can be given to `source.fetch` again.
        version: The branch, tag, commit or digest that was asked for.
        commit: The commit; ``None`` outside of Git.
        repo_url: Address of the repository.
        dirty: Whether files were not as committed: then the snapshot of the run has them.
        code_digest: SHA-256 over the project's files.
        archive: SHA-256 of the zip file that it came from.
        subdir: The project's directory in the repository, or in the archive.
    """

    uri: str | None
    version: str | None
    commit: str | None
    repo_url: str | None
    dirty: bool
    code_digest: str | None
    archive: str | None
    subdir: str | None = None

    @property
    def exact_version(self) -> str | None:
        """The version that names this very code wherever ``uri`` is fetched from; ``None`` where there is none."""
        if self.archive is not None:
            return f"sha256:{self.archive}"
        return None if self.dirty else self.commit

    @property
    def places(self) -> tuple[tuple[str, str], ...]:
        """What can be given to `source.fetch` to get this very code, as URI and version, the likeliest first.

        The directory of the user's that it was may be gone, or on another machine; the repository's address is not.
        Empty where only a snapshot has the code.
        """
        version = self.exact_version
        if version is None:
            return ()
        found = [self.uri] if self.uri else []
        if self.commit is not None and self.repo_url:
            found.append(f"{self.repo_url}#{self.subdir}" if self.subdir else self.repo_url)
        return tuple((uri, version) for uri in dict.fromkeys(found))


def source_tags(source: Source) -> dict[str, str]:
    """Return the tags that say where code comes from, with MLflow's names where it has one."""
    tags = {
        tag.SOURCE_NAME: source.name,
        tag.SOURCE_TYPE: "PROJECT",
        CODE_DIGEST: source.digest,
        URI: source.uri if source.fetched else _local_uri(source),
    }
    if source.commit:
        tags[tag.GIT_COMMIT] = source.commit
        tags[tag.GIT_DIRTY] = str(source.dirty)
    optional = {
        tag.GIT_BRANCH: source.branch,
        tag.GIT_REPO: source.repo_url,
        VERSION: source.version,
        ARCHIVE: source.archive,
    }
    return tags | {key: value for key, value in optional.items() if value}


def read_provenance(tags: Mapping[str, str]) -> Provenance:
    """Return what the tags of a run say about its code."""
    return Provenance(
        uri=tags.get(URI) or tags.get(tag.SOURCE_NAME),
        version=tags.get(VERSION),
        commit=tags.get(tag.GIT_COMMIT),
        repo_url=tags.get(tag.GIT_REPO),
        dirty=tags.get(tag.GIT_DIRTY) == "True",
        code_digest=tags.get(CODE_DIGEST),
        archive=tags.get(ARCHIVE),
        subdir=tags.get(tag.SOURCE_NAME, "").partition("#")[2] or None,
    )


def _local_uri(source: Source) -> str:
    """Return a directory so that it is found from anywhere on this machine."""
    return f"{source.root}#{source.subdir}" if source.subdir else str(source.root)
