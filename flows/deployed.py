"""What a deployment says of the project that it runs: which code, which part of it, and where its runs are recorded.

It is kept with the deployment on Prefect's server, so nothing in it is secret: who runs it brings the credentials.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path

from toolkit.artifacts.proxy import ProxyArtifactStore
from toolkit.errors import InvalidValue
from toolkit.flows import snapshot
from toolkit.flows.address import GitAddress, read_address
from toolkit.flows.source import Fetching, Source, fetch
from toolkit.recording.run import RecordedRun
from toolkit.recording.stores import Stores
from toolkit.tracking.records import RunStatus

PULL_STEP = "toolkit.remote.pull"
"""The pull step of our deployments, whose arguments are what this module reads and writes."""
ENTRYPOINT = "toolkit.remote.run"
"""The flow that our deployments run."""

_FORMAT = 1


@dataclass(frozen=True, kw_only=True, slots=True)
class Code:
    """Code that can be got from another machine.

    Attributes:
        url: Address of a Git repository, without credentials.
        commit: The commit in it; with a snapshot: the one that its files are as committed in, where there is one.
        digest: SHA-256 over the files of a snapshot, instead.
        run_id: Run whose artifacts hold the snapshot, where a server keeps them.
        subdir: The project's directory in the repository.
        branch: The branch that the commit was found on.
        folder: Name of the project's directory: a project without a name is called after it.
    """

    url: str | None = None
    commit: str | None = None
    digest: str | None = None
    run_id: str | None = None
    subdir: str | None = None
    branch: str | None = None
    folder: str | None = None

    def __str__(self) -> str:
        """Return what it is, for people."""
        if self.digest is not None:
            return f"snapshot {self.digest[:12]}"
        return f"{self.url}{f'#{self.subdir}' if self.subdir else ''} at {(self.commit or '')[:12]}"


@dataclass(frozen=True, kw_only=True, slots=True)
class Deployed:
    """A project that is deployed.

    Attributes:
        uri: What the user gave, without secrets; for people.
        code: Where its code is.
        entry_point: Entry point to run.
        workflow: Workflow to run, instead.
        extra: Values of parameters that the entry point does not declare.
        experiment: Experiment of the runs, by name.
        env_manager: What steps run in.
        runner: What steps are started with, as `task_runner.read_runner` takes it.
        variables: Environment variables that say where runs are recorded, for a worker that does not say so itself.
        name: Name of the deployment.
    """

    uri: str
    code: Code
    entry_point: str | None = None
    workflow: str | None = None
    extra: Mapping[str, object] = field(default_factory=dict)
    experiment: str | None = None
    env_manager: str | None = None
    runner: str | None = None
    variables: Mapping[str, str] = field(default_factory=dict)
    name: str = ""

    def as_step(self) -> dict[str, object]:
        """Return the pull step that says it."""
        said = {key: value for key, value in asdict(self).items() if value}
        said["code"] = {key: value for key, value in asdict(self.code).items() if value}
        return {PULL_STEP: {"project": said, "format": _FORMAT}}


def read_step(steps: object) -> Deployed | None:
    """Return what the pull steps of a deployment say; ``None`` for a deployment that is not ours.

    Raises:
        InvalidValue: It is ours, of a version that this one does not know.
    """
    for step in steps if isinstance(steps, list) else ():
        inputs = step.get(PULL_STEP) if isinstance(step, dict) else None
        if inputs is not None:
            return _read(inputs)
    return None


def _read(inputs: Mapping[str, object]) -> Deployed:
    try:
        if inputs.get("format") != _FORMAT:
            raise ValueError("its format is another")
        said = inputs["project"]
        if not isinstance(said, dict):
            raise TypeError("it says nothing of a project")
        known = {one.name for one in fields(Deployed)}
        return Deployed(**{key: said[key] for key in said if key in known and key != "code"}, code=Code(**said["code"]))
    except (KeyError, TypeError, ValueError) as error:
        raise InvalidValue(
            f"the deployment was made by another version of toolkit ({error}): deploy the project again"
        ) from None


def place_code(
    source: Source,
    stores: Stores,
    folder: Path,
    *,
    deployment: str,
    experiment_id: str,
    limit: int,
    report: Callable[[str], None],
) -> Code:
    """Put a project's code where a worker on another machine finds it; return where that is.

    A commit of a repository with an address is found there. Anything else is kept as a snapshot in the artifact store,
    once, however often it is deployed; a server that gives nobody its store keeps it with a run.

    Args:
        source: The project.
        stores: Whose artifact store takes a snapshot.
        folder: Where to write the snapshot first.
        deployment: Name of the deployment, for the run that keeps the snapshot.
        experiment_id: Experiment of that run.
        limit: Bytes that a snapshot's files together may have.
        report: Told what a snapshot lacks.

    Raises:
        ArtifactError: The store fails.
        TooLarge: The files have more bytes than ``limit``.
    """
    address = read_address(source.uri, folder) if source.fetched and source.commit else None
    if isinstance(address, GitAddress) and not address.local and source.repo_url:
        return Code(url=source.repo_url, commit=source.commit, subdir=source.subdir, branch=source.branch)
    packed = snapshot.pack(source, folder, limit=limit)
    for item in packed.left_out:
        report(f"{item.path} is not deployed: {item.reason}")
    commit = source.commit if packed.complete and not source.dirty else None
    code = Code(
        digest=packed.digest,
        commit=commit,
        url=source.repo_url if commit else None,
        branch=source.branch if commit else None,
        folder=source.directory.name,
    )
    if not isinstance(stores.artifacts, ProxyArtifactStore):
        snapshot.store(packed, stores.artifacts)
        return code
    return replace(code, run_id=_store_with_run(packed, stores, deployment, experiment_id))


def _store_with_run(packed: snapshot.Snapshot, stores: Stores, deployment: str, experiment_id: str) -> str:
    from toolkit.recording.lease import Leases  # noqa: PLC0415 - only for servers that keep files to themselves

    run = RecordedRun.start(
        stores,
        Leases(stores.runs, lease_ms=stores.lease_ms),
        experiment_id=experiment_id,
        name=f"deployment {deployment}",
        parent_run_id=None,
        tags={"toolkit.deployment": deployment, "toolkit.code_digest": packed.digest},
        params={},
    )
    try:
        snapshot.store_with_run(packed, run)
    except BaseException:
        run.end(RunStatus.FAILED, "its snapshot was not stored")
        raise
    run.end(RunStatus.FINISHED)
    return run.run_id


def get_code(code: Code, stores: Stores, fetching: Fetching) -> Source:
    """Return the source that a deployment runs, fetching it if it is not here.

    Args:
        code: Where it is.
        stores: Whose artifact store has the snapshot.
        fetching: How to fetch, and where to keep it.

    Raises:
        NotFound: There is no such snapshot in the store.
        ProjectError: It cannot be fetched.
        SourceUnavailable: Where it is does not answer.
    """
    if code.digest is None:
        assert code.url is not None
        uri = f"{code.url}#{code.subdir}" if code.subdir else code.url
        source = fetch(uri, caller=fetching.root, version=code.commit, fetching=fetching)
        return replace(source, branch=source.branch or code.branch)
    kept = fetching.root / "snapshots"
    if code.run_id is None:
        archive = snapshot.obtain(code.digest, stores.artifacts, kept)
    else:
        archive = snapshot.obtain_from_run(code.digest, stores, stores.runs.get_run(code.run_id).info, kept)
    source = snapshot.open_snapshot(_named(archive, code.folder), fetching, digest=code.digest)
    if code.commit is None:
        return source
    return replace(source, commit=code.commit, branch=code.branch, repo_url=code.url)


def _named(archive: Path, name: str | None) -> Path:
    """Return a snapshot under a file name that a project without a name can be called after."""
    if not name:
        return archive
    named = archive.with_suffix("") / f"{name}.zip"
    named.parent.mkdir(exist_ok=True)
    with suppress(FileExistsError):
        os.link(archive, named)
    return named
