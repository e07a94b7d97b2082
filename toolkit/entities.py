"""What the verbs of `toolkit` give and take, in the shape that MLflow's scripts read: ``run.info.run_id``.

Inside, the stores' frozen records (`toolkit.tracking.records`) are the only form; these are made from them, or turned
into them, where a script's code begins. Constructors take their arguments by position as MLflow's do.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, fields
from enum import IntEnum

from toolkit.tracking import records
from toolkit.tracking.logged_models import RunModels

__all__ = [
    "Dataset",
    "DatasetInput",
    "Experiment",
    "ExperimentTag",
    "FileInfo",
    "InputTag",
    "LifecycleStage",
    "LoggedModelInput",
    "LoggedModelOutput",
    "Metric",
    "Param",
    "Run",
    "RunData",
    "RunInfo",
    "RunInputs",
    "RunOutputs",
    "RunStatus",
    "RunTag",
    "SourceType",
    "ViewType",
]


class RunStatus(IntEnum):
    """The states of a run by MLflow's numbers; ``run.info.status`` holds their names."""

    RUNNING = 1
    SCHEDULED = 2
    FINISHED = 3
    FAILED = 4
    KILLED = 5

    @staticmethod
    def from_string(status_str: str) -> RunStatus:
        """Return the state of a name."""
        return RunStatus[status_str]

    @staticmethod
    def to_string(status: int) -> str:
        """Return the name of a state."""
        return RunStatus(status).name

    @staticmethod
    def is_terminated(status: int) -> bool:
        """Tell whether a state is an end."""
        return RunStatus(status) not in (RunStatus.RUNNING, RunStatus.SCHEDULED)

    @staticmethod
    def all_status() -> list[RunStatus]:
        """Return all states."""
        return list(RunStatus)


class ViewType(IntEnum):
    """Whether active things are searched, deleted ones, or both; by MLflow's numbers."""

    ACTIVE_ONLY = 1
    DELETED_ONLY = 2
    ALL = 3

    @staticmethod
    def from_string(view_str: str) -> ViewType:
        """Return the view of a name."""
        return ViewType[view_str.upper()]

    @staticmethod
    def to_string(view_type: int) -> str:
        """Return the name of a view, in lower case as MLflow does."""
        return ViewType(view_type).name.lower()


class SourceType(IntEnum):
    """What started a run; by MLflow's numbers."""

    NOTEBOOK = 1
    JOB = 2
    PROJECT = 3
    LOCAL = 4
    UNKNOWN = 1000

    @staticmethod
    def from_string(status_str: str) -> SourceType:
        """Return the kind of a name."""
        return SourceType[status_str]

    @staticmethod
    def to_string(status: int) -> str:
        """Return the name of a kind."""
        return SourceType(status).name


class LifecycleStage:
    """Whether a thing is there or was deleted; what ``lifecycle_stage`` holds."""

    ACTIVE = "active"
    DELETED = "deleted"


class _Entity:
    """What all entities can do: ``dict(entity)`` and ``to_dictionary``."""

    def __iter__(self) -> Iterator[tuple[str, object]]:
        return ((each.name, getattr(self, each.name)) for each in fields(self))  # type: ignore[arg-type]  # dataclasses

    def to_dictionary(self) -> dict[str, object]:
        """Return the fields by their names, down to plain values."""
        return {name: _plain(value) for name, value in self}


def _plain(value: object) -> object:
    if isinstance(value, _Entity):
        return value.to_dictionary()
    if isinstance(value, list):
        return [_plain(each) for each in value]
    if isinstance(value, dict):
        return {key: _plain(each) for key, each in value.items()}
    return value


@dataclass(frozen=True)
class Metric(_Entity):
    """One point of a metric; ``timestamp`` in milliseconds since 1970 UTC."""

    key: str
    value: float
    timestamp: int
    step: int = 0


@dataclass(frozen=True)
class Param(_Entity):
    """A parameter."""

    key: str
    value: str


@dataclass(frozen=True)
class RunTag(_Entity):
    """A tag of a run."""

    key: str
    value: str


@dataclass(frozen=True)
class ExperimentTag(_Entity):
    """A tag of an experiment."""

    key: str
    value: str


@dataclass(frozen=True)
class InputTag(_Entity):
    """A tag of a run's input."""

    key: str
    value: str


@dataclass(frozen=True)
class Dataset(_Entity):
    """Data that runs use; ``source``, ``schema`` and ``profile`` are JSON."""

    name: str
    digest: str
    source_type: str
    source: str
    schema: str | None = None
    profile: str | None = None


@dataclass(frozen=True)
class DatasetInput(_Entity):
    """A dataset as a run's input."""

    dataset: Dataset
    tags: list[InputTag] = field(default_factory=list)


@dataclass(frozen=True)
class LoggedModelInput(_Entity):
    """A logged model that a run used."""

    model_id: str


@dataclass(frozen=True)
class LoggedModelOutput(_Entity):
    """A logged model that a run made, and at which step of its training."""

    model_id: str
    step: int


@dataclass(frozen=True)
class RunInputs(_Entity):
    """What a run used."""

    dataset_inputs: list[DatasetInput] = field(default_factory=list)
    model_inputs: list[LoggedModelInput] = field(default_factory=list)


@dataclass(frozen=True)
class RunOutputs(_Entity):
    """What a run made."""

    model_outputs: list[LoggedModelOutput] = field(default_factory=list)


@dataclass(frozen=True)
class FileInfo(_Entity):
    """A file or folder among a run's artifacts; ``file_size`` in bytes, ``None`` for a folder."""

    path: str
    is_dir: bool
    file_size: int | None


@dataclass(frozen=True)
class Experiment(_Entity):
    """A named group of runs. Times in milliseconds since 1970 UTC."""

    experiment_id: str
    name: str
    artifact_location: str
    lifecycle_stage: str = LifecycleStage.ACTIVE
    tags: dict[str, str] = field(default_factory=dict)
    creation_time: int | None = None
    last_update_time: int | None = None

    @staticmethod
    def of(record: records.Experiment) -> Experiment:
        """Return a record as scripts read it."""
        return Experiment(
            record.experiment_id,
            record.name,
            record.artifact_location,
            record.lifecycle_stage.value,
            dict(record.tags),
            record.creation_time,
            record.last_update_time,
        )


@dataclass(frozen=True)
class RunInfo(_Entity):
    """What a run is. Times in milliseconds since 1970 UTC; ``parent_run_id`` and ``reason`` are ours."""

    run_id: str
    experiment_id: str
    user_id: str
    status: str
    start_time: int
    end_time: int | None
    lifecycle_stage: str
    artifact_uri: str = ""
    run_name: str = ""
    parent_run_id: str | None = None
    reason: str | None = None

    @property
    def run_uuid(self) -> str:
        """The run's id by its older name."""
        return self.run_id

    @staticmethod
    def of(record: records.RunInfo) -> RunInfo:
        """Return a record as scripts read it."""
        return RunInfo(
            record.run_id,
            record.experiment_id,
            record.user_id,
            record.status.value,
            record.start_time,
            record.end_time,
            record.lifecycle_stage.value,
            record.artifact_uri,
            record.run_name,
            record.parent_run_id,
            record.reason,
        )


@dataclass(frozen=True)
class RunData(_Entity):
    """What a run logged: latest values of metrics, parameters and tags; ``latest``, which is ours, has the points."""

    metrics: dict[str, float] = field(default_factory=dict)
    params: dict[str, str] = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)
    latest: dict[str, Metric] = field(default_factory=dict, repr=False)

    @staticmethod
    def of(record: records.RunData) -> RunData:
        """Return a record as scripts read it."""
        latest = {key: metric_of(point) for key, point in record.latest.items()}
        return RunData(dict(record.metrics), dict(record.params), dict(record.tags), latest)


@dataclass(frozen=True)
class Run(_Entity):
    """A run: what it is, what it logged, and, where it was asked for alone, what it used and which models it made."""

    info: RunInfo
    data: RunData = field(default_factory=RunData)
    inputs: RunInputs = field(default_factory=RunInputs)
    outputs: RunOutputs = field(default_factory=RunOutputs)

    @staticmethod
    def of(record: records.Run, models: RunModels | None = None) -> Run:
        """Return a record, and the models that it used and made, as scripts read them."""
        models = models or RunModels()
        inputs = RunInputs(
            [input_of(each) for each in record.inputs], [LoggedModelInput(each) for each in models.inputs]
        )
        outputs = RunOutputs([LoggedModelOutput(each.model_id, each.step) for each in models.outputs])
        return Run(RunInfo.of(record.info), RunData.of(record.data), inputs, outputs)


def metric_of(record: records.Metric) -> Metric:
    """Return a point as scripts read it."""
    return Metric(record.key, record.value, record.timestamp, record.step)


def input_of(record: records.DatasetInput) -> DatasetInput:
    """Return a run's input as scripts read it."""
    data = record.dataset
    dataset = Dataset(data.name, data.digest, data.source_type, data.source, data.schema, data.profile)
    return DatasetInput(dataset, [InputTag(key, value) for key, value in record.tags.items()])


def stage_of(view_type: int) -> records.Lifecycle | None:
    """Return what a view shows; ``None`` for both."""
    view = ViewType(view_type)
    if view is ViewType.ALL:
        return None
    return records.Lifecycle.ACTIVE if view is ViewType.ACTIVE_ONLY else records.Lifecycle.DELETED
