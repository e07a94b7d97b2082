"""What is recorded of a run that ``toolkit run`` made: what was asked for, and what each of its steps ran with."""

from __future__ import annotations

import re
import tempfile
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from toolkit.errors import Conflict, InvalidValue, NotFound, ToolkitError
from toolkit.flows.children import children
from toolkit.flows.comparison import Results
from toolkit.flows.environments.recorded import RecordedEnvironment
from toolkit.flows.fingerprint import artifacts
from toolkit.flows.input_record import INPUTS, INPUTS_PATH, Input, of_text
from toolkit.flows.resume import REQUEST, REQUEST_PATH, STEP, Asked, asked
from toolkit.flows.step import LOCK_PATH
from toolkit.flows.taking import CACHED_FROM
from toolkit.recording import context as tag
from toolkit.recording.run import RecordedRun
from toolkit.recording.stores import Stores
from toolkit.tracking.records import ArtifactEntry, Run, RunStatus

_ENVIRONMENT = "toolkit.environment"
_WORKFLOW = "toolkit.workflow"
_OWN = re.compile(r"[0-9a-f]{32}|(?<![\w.])/\S*")
"""What a run alone has in its parameters: ids, and absolute paths."""


@dataclass(frozen=True, kw_only=True, slots=True)
class RecordedStep:
    """A run of a step that FINISHED.

    Attributes:
        run: The run.
        environment: What it ran in; ``None`` where its lock is missing.
        inputs: The data that it was given; ``None`` where that was not recorded.
        files: Its files.
    """

    run: Run
    environment: RecordedEnvironment | None
    inputs: Sequence[Input] | None
    files: Sequence[ArtifactEntry]

    @property
    def step(self) -> str:
        """Name of the step."""
        return self.run.data.tags[STEP]

    @property
    def label(self) -> str:
        """Name with what tells it from its siblings."""
        return self.run.info.run_name


@dataclass(frozen=True, kw_only=True, slots=True)
class RecordedFlow:
    """A run of a workflow, or one step of it.

    Attributes:
        whole: The workflow's run.
        part: The run of the one step that is meant; ``None``: the whole is.
        asked: What the workflow was asked to do.
        steps: The runs that are meant, in the order in which they began.
        run_ids: Ids of all runs of its steps.
    """

    whole: Run
    part: Run | None
    asked: Asked
    steps: Sequence[RecordedStep]
    run_ids: frozenset[str]

    @property
    def run(self) -> Run:
        """The run that is meant."""
        return self.part or self.whole


def read_flow(stores: Stores, run: Run) -> RecordedFlow:
    """Return what is recorded of a run: a workflow's or an entry point's, or that of a step.

    Raises:
        Conflict: It has not FINISHED.
        InvalidValue: It is no such run, or does not say what was asked for.
        NotFound: It is a step's, and the workflow's run is gone.
    """
    tags, run_id = run.data.tags, run.info.run_id
    if _WORKFLOW not in tags and STEP not in tags:
        raise InvalidValue(
            f"run {run_id} was not made by toolkit run (it has no tag {_WORKFLOW!r}): nothing says which command to run"
        )
    _check_finished(run)
    whole = run
    if STEP in tags:
        if run.info.parent_run_id is None:
            raise InvalidValue(f"run {run_id} is a step's, and does not say of which workflow")
        whole = stores.runs.get_run(run.info.parent_run_id)
    try:
        told = asked(whole, _long_request(stores, whole))
    except InvalidValue:
        raise InvalidValue(
            f"run {whole.info.run_id} does not say what it was asked to do (it has no tag 'toolkit.request' that can be"
            " read): it was made by a flow written in Python, or by an older version"
        ) from None
    part = run if whole is not run and told.entry_point is None else None
    parts = steps_of(stores, whole.info.run_id)
    meant = [one for one in parts if one.info.status is RunStatus.FINISHED] if part is None else [part]
    locks = _Locks(stores)
    return RecordedFlow(
        whole=whole,
        part=part,
        asked=told,
        steps=[_step(stores, one, locks) for one in meant],
        run_ids=frozenset(one.info.run_id for one in parts),
    )


def results_of(stores: Stores, runs: Iterable[Run]) -> list[Results]:
    """Return what runs of steps left that FINISHED, and the runs that their commands made below them."""
    return [
        found
        for run in runs
        if run.info.status is RunStatus.FINISHED
        for found in _left(stores, run, run.info.run_name)
    ]


def _left(stores: Stores, run: Run, label: str) -> Iterator[Results]:
    run_id = run.info.run_id
    yield Results(label=label, run_id=run_id, metrics=run.data.metrics, files=artifacts(stores.runs, run_id))
    numbers: Counter[str] = Counter()
    for below in sorted(children(stores.runs, run_id), key=_likeness):
        name = _name(below)
        numbers[name] += 1
        number = f" #{numbers[name]}" if numbers[name] > 1 else ""
        yield from _left(stores, below, f"{label} > {name}{number}")


def _name(run: Run) -> str:
    """Return what a run below a step's is called here: its own name is often a random one."""
    tags = run.data.tags
    return run.info.run_name if STEP in tags else tags.get(_WORKFLOW) or tags.get(tag.ENTRY_POINT) or "run"


def _likeness(run: Run) -> tuple[str, list[tuple[str, str]]]:
    """Return by what runs below a step's are told apart: what they are, and their parameters, but for ids and paths."""
    params = {name: _OWN.sub("", value) for name, value in run.data.params.items()}
    return _name(run), sorted(params.items())


def steps_of(stores: Stores, run_id: str) -> list[Run]:
    """Return the runs of a workflow's steps: the step that began first, and its runs by their names."""
    found = [run for run in children(stores.runs, run_id) if STEP in run.data.tags]
    steps = list(dict.fromkeys(run.data.tags[STEP] for run in found))
    return sorted(found, key=lambda run: (steps.index(run.data.tags[STEP]), run.info.run_name))


def _long_request(stores: Stores, run: Run) -> str | None:
    """Return what a run was asked to do where no tag says it; ``None`` where a tag does, or nothing."""
    if REQUEST in run.data.tags:
        return None
    listed = {file.path: file for file in stores.runs.list_artifacts(run.info.run_id, prefix=REQUEST_PATH).items}
    return _text(stores, run, listed[REQUEST_PATH]) if REQUEST_PATH in listed else None


def _check_finished(run: Run) -> None:
    info = run.info
    if not info.status.terminal:
        raise Conflict(f"run {info.run_id} is {info.status}: wait until it has ended")
    if info.status is not RunStatus.FINISHED:
        raise Conflict(
            f"run {info.run_id} has {info.status}, and there is no result to come to again: give a run that FINISHED,"
            f" or one of its steps that did (toolkit runs show {info.run_id[:8]})"
        )


def _step(stores: Stores, run: Run, locks: _Locks) -> RecordedStep:
    files = artifacts(stores.runs, run.info.run_id)
    listed = {file.path: file for file in files}
    maker = run
    if (origin := run.data.tags.get(CACHED_FROM)) is not None:  # what it was made of, the run says that made it
        try:
            maker = stores.runs.get_run(origin)
        except NotFound:
            maker = run
    lock = locks.text(run, listed.get(LOCK_PATH))
    tags = maker.data.tags
    environment = None
    if lock is not None:
        kind = tags.get(tag.PROJECT_ENV) or ("docker" if lock.startswith("# image ") else "local")
        environment = RecordedEnvironment(kind=kind, key=tags.get(_ENVIRONMENT, ""), lock=lock)
    return RecordedStep(run=run, environment=environment, inputs=_inputs(stores, run, tags, listed), files=files)


class _Locks:
    """Locks of steps, each read once however many steps have it."""

    def __init__(self, stores: Stores) -> None:
        self._stores = stores
        self._known: dict[str, str] = {}

    def text(self, run: Run, entry: ArtifactEntry | None) -> str | None:
        """Return the text of a lock; ``None`` where it is gone."""
        if entry is None:
            return None
        if entry.sha256 not in self._known:
            text = _text(self._stores, run, entry)
            if text is None:
                return None
            self._known[entry.sha256] = text
        return self._known[entry.sha256]


def _text(stores: Stores, run: Run, entry: ArtifactEntry) -> str | None:
    with tempfile.TemporaryDirectory(prefix="toolkit-") as folder:
        target = Path(folder, "artifact")
        try:
            RecordedRun(stores, run).fetch(entry, target)
        except ToolkitError:
            return None
        return target.read_text(encoding="utf-8", errors="surrogateescape")


def _inputs(
    stores: Stores, run: Run, tags: Mapping[str, str], listed: Mapping[str, ArtifactEntry]
) -> Sequence[Input] | None:
    text = tags.get(INPUTS)
    if text is None and INPUTS_PATH in listed:
        text = _text(stores, run, listed[INPUTS_PATH])
    try:
        return None if text is None else of_text(text)
    except ValueError:
        return None
