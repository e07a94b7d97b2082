"""What the tracking stores keep: frozen records, the same for every kind of store."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Generic, TypeVar

SYSTEM = "system/"
"""How the names of metrics begin that are measured of the machine, not by the run."""


class RunStatus(StrEnum):
    """The state of a run; MLflow's names."""

    RUNNING = "RUNNING"
    SCHEDULED = "SCHEDULED"
    FINISHED = "FINISHED"
    FAILED = "FAILED"
    KILLED = "KILLED"

    @property
    def terminal(self) -> bool:
        """Whether the run has ended."""
        return self in (RunStatus.FINISHED, RunStatus.FAILED, RunStatus.KILLED)


class Lifecycle(StrEnum):
    """Whether a thing is there or was deleted (and can be restored)."""

    ACTIVE = "active"
    DELETED = "deleted"


@dataclass(frozen=True, kw_only=True, slots=True)
class Metric:
    """One point of a metric.

    Attributes:
        key: Name, at most 250 characters.
        value: Value; NaN and infinities are values.
        timestamp: When it was measured, in milliseconds since 1970 UTC.
        step: Where in the training it was measured.
    """

    key: str
    value: float
    timestamp: int
    step: int = 0

    def __init__(self, *, key: str, value: float, timestamp: int, step: int = 0) -> None:
        # Thousands are made for one answer: the one that dataclasses writes takes twice as long.
        _set_key(self, key)
        _set_value(self, value)
        _set_timestamp(self, timestamp)
        _set_step(self, step)


_set_key, _set_value, _set_timestamp, _set_step = (vars(Metric)[name].__set__ for name in Metric.__slots__)


@dataclass(frozen=True, kw_only=True, slots=True)
class Experiment:
    """A named group of runs. Times in milliseconds since 1970 UTC."""

    experiment_id: str
    name: str
    artifact_location: str
    lifecycle_stage: Lifecycle = Lifecycle.ACTIVE
    creation_time: int = 0
    last_update_time: int = 0
    tags: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True, slots=True)
class RunInfo:
    """What a run is, without what it logged. Times in milliseconds since 1970 UTC.

    Attributes:
        run_id: 32 hexadecimal digits.
        experiment_id: The experiment that it belongs to.
        run_name: Its name; the tag ``mlflow.runName`` says the same.
        user_id: Who started it.
        status: Its state.
        start_time: When it began.
        end_time: When it ended; ``None`` while it runs.
        artifact_uri: Where its artifacts are.
        lifecycle_stage: Whether it was deleted.
        parent_run_id: The run that it is a part of.
        reason: Why it has its state, where there is more to say (``heartbeat_lost``, ``timeout after 600 s``).
    """

    run_id: str
    experiment_id: str
    run_name: str
    user_id: str
    status: RunStatus
    start_time: int
    end_time: int | None = None
    artifact_uri: str = ""
    lifecycle_stage: Lifecycle = Lifecycle.ACTIVE
    parent_run_id: str | None = None
    reason: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class RunData:
    """What a run logged: the latest value of each metric (greatest step, then timestamp, then value), params, tags."""

    metrics: Mapping[str, float] = field(default_factory=dict)
    params: Mapping[str, str] = field(default_factory=dict)
    tags: Mapping[str, str] = field(default_factory=dict)
    latest: Mapping[str, Metric] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True, slots=True)
class Dataset:
    """Data that runs use, known in an experiment by its name and digest.

    Attributes:
        name: Its name, at most 500 characters.
        digest: Short digest of its content, at most 36 characters.
        source_type: Kind of place that it comes from, such as ``local`` or ``s3``.
        source: That place, as JSON.
        schema: Its columns, as JSON.
        profile: What is in it, such as its number of rows, as JSON.
    """

    name: str
    digest: str
    source_type: str
    source: str
    schema: str | None = None
    profile: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class DatasetInput:
    """A dataset as a run's input; the tag ``mlflow.data.context`` says what for (``training``)."""

    dataset: Dataset
    tags: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True, slots=True)
class UsedDataset:
    """A dataset that runs of an experiment use, and what for.

    Attributes:
        experiment_id: The experiment.
        name: The dataset's name.
        digest: What tells its contents from others of that name.
        context: What it is used for, such as ``training``; ``None`` where that is not said.
    """

    experiment_id: str
    name: str
    digest: str
    context: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Run:
    """A run: what it is, and what it logged. Its inputs are loaded with a single run only, not in lists."""

    info: RunInfo
    data: RunData = field(default_factory=RunData)
    inputs: Sequence[DatasetInput] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class Owner:
    """The process that answers for a run: if it dies without a word, the run is lost.

    Attributes:
        host: Name of the machine.
        pid: Process id there.
        started: When that process began, in milliseconds since the machine's start (tells it from a later one with its
            id).
    """

    host: str
    pid: int
    started: int


@dataclass(frozen=True, kw_only=True, slots=True)
class NewRun:
    """A run to be made.

    Attributes:
        experiment_id: Where it belongs.
        run_id: Its id, made by the caller: making the same run twice gives the first one back.
        run_name: Its name.
        user_id: Who starts it.
        start_time: When it began, milliseconds since 1970 UTC.
        parent_run_id: The run that it is a part of.
        tags: Its first tags.
        params: Its first parameters.
        owner: The process that answers for it; ``None`` for a run that nobody watches (a remote client's).
        lease_ms: How long it may be silent before it counts as lost; 0: for ever.
        artifact_uri: Where its artifacts are, if elsewhere than below its experiment's location: an imported run's.
        reason: Why it has its state, where there is more to say: that it is being imported.
    """

    experiment_id: str
    run_id: str
    run_name: str
    user_id: str
    start_time: int
    parent_run_id: str | None = None
    tags: Mapping[str, str] = field(default_factory=dict)
    params: Mapping[str, str] = field(default_factory=dict)
    owner: Owner | None = None
    lease_ms: int = 0
    artifact_uri: str | None = None
    reason: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class ArtifactEntry:
    """A file of a run, as the database lists it.

    Attributes:
        path: Relative to the run's artifact root, ``/`` between its parts.
        size: In bytes.
        sha256: Digest of the content, 64 hexadecimal digits.
        created: When it was stored, milliseconds since 1970 UTC.
    """

    path: str
    size: int
    sha256: str
    created: int = 0


@dataclass(frozen=True, kw_only=True, slots=True)
class RunQuery:
    """Which runs to list, newest first.

    Attributes:
        experiment_ids: Of these experiments; empty: of all.
        parent_run_id: Only the children of this run.
        top_level: Only runs without a parent.
        status: Only runs in one of these states; empty: any.
        run_id_prefix: Only runs whose id begins so.
        run_name: Only runs of this name.
        lifecycle: Only those active or deleted; ``None``: both.
        deleted_before: Only those that were deleted before this time, in milliseconds since 1970 UTC.
        limit: At most this many, 1 to 50,000.
        page_token: Where the previous page ended.
    """

    experiment_ids: Sequence[str] = ()
    parent_run_id: str | None = None
    top_level: bool = False
    status: Sequence[RunStatus] = ()
    run_id_prefix: str | None = None
    run_name: str | None = None
    lifecycle: Lifecycle | None = Lifecycle.ACTIVE
    deleted_before: int | None = None
    limit: int = 1000
    page_token: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class RunSize:
    """How much a run has logged: the number of its parameters, tags, metric points, artifacts and inputs."""

    params: int = 0
    tags: int = 0
    points: int = 0
    artifacts: int = 0
    inputs: int = 0


@dataclass(frozen=True, kw_only=True, slots=True)
class SearchQuery:
    """What to search for, and how to give it. MLflow's filters and orders, and more (`toolkit.tracking.filter`).

    Attributes:
        experiment_ids: In these experiments; empty: in all.
        filter: Such as ``metrics.rmse < 0.3 AND (params.alpha = '0.5' OR tags.team IS NULL)``; empty: everything.
        order_by: Such as ``metrics.rmse DESC``; ties and the default: newest start first, then by run id.
        lifecycle: Only those active or deleted; ``None``: both.
        limit: At most this many, 1 to 50,000.
        page_token: Where the previous page of the same search ended.
        fields: Load only these metrics, parameters and tags (``metrics.rmse``, ``params.*``); ``None``: all. What a run
            is (`RunInfo`) is always loaded. Of experiments everything is.
    """

    experiment_ids: Sequence[str] = ()
    filter: str = ""
    order_by: Sequence[str] = ()
    lifecycle: Lifecycle | None = Lifecycle.ACTIVE
    limit: int = 1000
    page_token: str | None = None
    fields: Sequence[str] | None = None


T = TypeVar("T")


@dataclass(frozen=True, kw_only=True, slots=True)
class Page(Generic[T]):
    """A part of a list, and the token that gives the next part; ``None`` on the last one."""

    items: Sequence[T]
    next_page_token: str | None = None
