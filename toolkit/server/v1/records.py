"""The types of our API, as its OpenAPI document describes them.

What is asked is read into these; what is answered is written by `toolkit.tracking.http_codec`, which the client reads,
and the tests hold it against these.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, StrictBool, StrictInt, StrictStr

from toolkit.tracking.records import Lifecycle, RunStatus

Text = StrictStr
Integer = Annotated[StrictInt, Field(ge=-(2**63), le=2**63 - 1)]
Number = float | Literal["NaN", "Infinity", "-Infinity"]
"""A 64-bit floating-point number; NaN and the infinities as text."""


class Asked(BaseModel):
    """What a client says; a field that is not known is refused, for it was meant to do something."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Told(BaseModel):
    """What a client is told."""

    model_config = ConfigDict(frozen=True)


# -- experiments -------------------------------------------------------------------------------------


class NewExperiment(Asked):
    """An experiment to be made. An id and a time are given by imports only."""

    name: Text
    artifact_location: Text | None = None
    tags: Mapping[Text, Text] = {}
    experiment_id: Text | None = None
    creation_time: Integer | None = None


class ExperimentName(Asked):
    """An experiment by its name."""

    name: Text


class ExperimentChange(Asked):
    """What shall be different; ``null`` leaves a field as it is, and removes a tag."""

    name: Text | None = None
    tags: Mapping[Text, Text | None] = {}
    lifecycle: Lifecycle | None = None


class ExperimentTold(Told):
    """An experiment. Times in milliseconds since 1970 UTC."""

    experiment_id: str
    name: str
    artifact_location: str
    lifecycle_stage: Lifecycle
    creation_time: int
    last_update_time: int
    tags: dict[str, str]


class ExperimentFound(Told):
    """The active experiment of a name, else the deleted one, else none."""

    experiment: ExperimentTold | None


class ExperimentPage(Told):
    """A part of a list of experiments, and the token that gives the next part."""

    experiments: list[ExperimentTold]
    next_page_token: str | None


# -- runs --------------------------------------------------------------------------------------------


class OwnerAsked(Asked):
    """The process that answers for a run."""

    host: Text
    pid: Integer
    started: Integer


class RunAsked(Asked):
    """A run to be made: the same id twice gives the first run back. Times in milliseconds since 1970 UTC."""

    run_id: Text
    experiment_id: Text = "0"
    run_name: Text
    user_id: Text = ""
    start_time: Integer
    parent_run_id: Text | None = None
    tags: Mapping[Text, Text] = {}
    params: Mapping[Text, Text] = {}
    owner: OwnerAsked | None = None
    lease_ms: Annotated[Integer, Field(ge=0, lt=2**53)] = 0
    artifact_uri: Text | None = None
    reason: Text | None = None


class RunChanged(Asked):
    """What shall be different; ``null`` leaves a field as it is."""

    status: RunStatus | None = None
    end_time: Integer | None = None
    reason: Text | None = None
    run_name: Text | None = None
    lifecycle: Lifecycle | None = None


class Latest(Told):
    """The latest point of a metric."""

    value: Number
    timestamp: int
    step: int


class DatasetBody(Asked):
    """Data that runs use, known in an experiment by name and digest."""

    name: Text
    digest: Text
    source_type: Text
    source: Text
    schema_: Text | None = Field(default=None, alias="schema")
    profile: Text | None = None


class InputBody(Asked):
    """A dataset as a run's input."""

    dataset: DatasetBody
    tags: Mapping[Text, Text] = {}


class RunTold(Told):
    """A run and what it logged. Inputs come with a single run only. Times in milliseconds since 1970 UTC."""

    run_id: str
    experiment_id: str
    run_name: str
    user_id: str
    status: RunStatus
    start_time: int
    end_time: int | None
    artifact_uri: str
    lifecycle_stage: Lifecycle
    parent_run_id: str | None
    reason: str | None
    metrics: dict[str, Latest]
    params: dict[str, str]
    tags: dict[str, str]
    inputs: list[InputBody]


class RunPage(Told):
    """A part of a list of runs, and the token that gives the next part."""

    runs: list[RunTold]
    next_page_token: str | None


class RunList(Asked):
    """Which runs to list, newest first."""

    experiment_ids: Sequence[Text] = ()
    parent_run_id: Text | None = None
    top_level: StrictBool = False
    status: Sequence[RunStatus] = ()
    run_id_prefix: Text | None = None
    run_name: Text | None = None
    lifecycle: Lifecycle | None = Lifecycle.ACTIVE
    deleted_before: Integer | None = None
    limit: Integer = 1000
    page_token: Text | None = None


class Search(Asked):
    """What to search for, how to order it, and which metrics, parameters and tags to load."""

    experiment_ids: Sequence[Text] = ()
    filter: Text = ""
    order_by: Sequence[Text] = ()
    lifecycle: Lifecycle | None = Lifecycle.ACTIVE
    limit: Integer = 1000
    page_token: Text | None = None
    fields: Sequence[Text] | None = None


class Count(Told):
    """How many there are."""

    count: int


class RunIds(Asked):
    """Some runs."""

    run_ids: Annotated[Sequence[Text], Field(max_length=100_000)]


class Size(Told):
    """How much a run has logged."""

    params: int
    tags: int
    points: int
    artifacts: int
    inputs: int


class Sizes(Told):
    """How much runs have logged, by their ids."""

    sizes: dict[str, Size]


class ToPurge(Asked):
    """What to remove for good, of what is deleted."""

    run_ids: Sequence[Text] = ()
    experiment_ids: Sequence[Text] = ()


class Removed(Told):
    """The ids of what was removed."""

    removed: list[str]


class Ancestors(Told):
    """The runs that a run is a part of, the nearest first."""

    runs: list[RunTold]


# -- what runs log -----------------------------------------------------------------------------------


class Point(Asked):
    """A point of a metric. ``timestamp`` in milliseconds since 1970 UTC."""

    key: Text
    value: Number
    timestamp: Integer
    step: Integer = 0


class PointColumns(Asked):
    """Points of metrics as columns of one length: far less to write and read than one object a point."""

    keys: Sequence[Text] = ()
    steps: Sequence[Integer] = ()
    timestamps: Sequence[Integer] = ()
    values: Sequence[Number] = ()


class Batch(Asked):
    """Values to be logged, all or none of them; a tag that is ``null`` is removed."""

    metrics: Sequence[Point] = ()
    columns: PointColumns = PointColumns()
    params: Mapping[Text, Text] = {}
    tags: Mapping[Text, Text | None] = {}


class Inputs(Asked):
    """Datasets that a run uses."""

    inputs: Sequence[InputBody]


class History(Told):
    """Points of a metric as columns, ordered by step, timestamp and value."""

    steps: list[int]
    timestamps: list[int]
    values: list[Number]


class HistoryPage(History):
    """A part of a history, and the token that gives the next part."""

    next_page_token: str | None


class SeriesAsked(Asked):
    """Which metrics of which runs to draw, by at most so many points each."""

    run_ids: Annotated[Sequence[Text], Field(max_length=1_000)]
    keys: Annotated[Sequence[Text], Field(max_length=100)]
    points: Annotated[Integer, Field(ge=8, le=10_000)] = 320
    start_step: Integer | None = None
    end_step: Integer | None = None
    smooth: Annotated[float, Field(ge=0, lt=1)] = 0.0


class Series(History):
    """A metric of a run, for a chart: how many points it has, some of them, and the smoothed line at these.

    ``rough``: the smoothed line is made of these alone, as all points are too many.
    """

    run_id: str
    key: str
    total: int
    smoothed: list[Number] | None
    rough: bool


class SeriesTold(Told):
    """Metrics of runs, for a chart; runs and metrics that are not there are left out."""

    series: list[Series]


class Artifact(Asked):
    """A file of a run: its path below the run's artifacts, size in bytes, SHA-256, time in ms since 1970 UTC."""

    path: Text
    size: Integer
    sha256: Text
    created: Integer = 0


class Artifacts(Asked):
    """Files of a run."""

    artifacts: Sequence[Artifact]


class ArtifactPage(Told):
    """A part of a list of files, and the token that gives the next part."""

    artifacts: list[Artifact]
    next_page_token: str | None


class Paths(Asked):
    """Paths of files."""

    paths: Sequence[Text]


class PathsTold(Told):
    """Paths of files."""

    paths: list[str]


class Refused(Told):
    """An entry that can never be written: its place in what was sent, and why."""

    index: int
    code: str
    message: str


class Applied(Told):
    """How far a journal was taken, and which of its entries never will be."""

    position: int
    rejections: list[Refused]


# -- keys of steps -----------------------------------------------------------------------------------


class StepKeyBody(Asked):
    """What the results of a step's run depend on. ``components`` is JSON; ``created`` in ms since 1970 UTC."""

    run_id: Text
    key: Text
    family: Text
    reusable: StrictBool
    created: Integer
    components: Text


class StepKeySearch(Asked):
    """Which keys of steps to find, newest first."""

    key: Text | None = None
    family: Text | None = None
    run_ids: Annotated[Sequence[Text], Field(max_length=100_000)] = ()
    reusable: StrictBool = False
    before: Integer | None = None
    limit: Integer = 100


class StepKeysTold(Told):
    """Keys of steps, newest first."""

    step_keys: list[StepKeyBody]


class RunIdsTold(Told):
    """The ids of runs."""

    run_ids: list[str]


# -- lineage -----------------------------------------------------------------------------------------


class ThingTold(Told):
    """What a thing is called: a dataset by its digest, a run or logged model by its id, a version as name/number."""

    kind: Literal["dataset", "run", "model", "version"]
    id: str


class NodeTold(ThingTold):
    """A thing. ``state`` is a run's status, a logged model's status or a version's stage."""

    name: str
    state: str


class EdgeTold(Told):
    """How two things hang together; data flows from the source to the target."""

    source: ThingTold
    target: ThingTold
    relation: Literal["used", "made", "registered", "contains", "gave"]
    detail: str


class LineageTold(Told):
    """A graph: its nodes by their distance from the start. ``whole`` is false where some were left out."""

    start: ThingTold
    nodes: list[NodeTold]
    edges: list[EdgeTold]
    whole: bool


# -- leases, pictures, the server --------------------------------------------------------------------


class Renewal(Asked):
    """Who says that which runs are alive, and for how long."""

    owner: OwnerAsked
    run_ids: Annotated[Sequence[Text], Field(max_length=100_000)]
    lease_ms: Annotated[Integer, Field(ge=0, lt=2**53)]


class Renewed(Told):
    """Those of the runs that still run."""

    run_ids: list[str]


class Host(Asked):
    """A machine."""

    host: Text


class Candidate(Told):
    """A run that may be lost, who answers for it, and whether its lease is over."""

    run_id: str
    owner: OwnerAsked | None
    expired: bool


class Candidates(Told):
    """Runs that may be lost."""

    candidates: list[Candidate]


class Loss(Asked):
    """Why a run counts as lost, and what its candidate said."""

    reason: Text
    owner: OwnerAsked | None = None
    expired: StrictBool


class Lost(Told):
    """Whether the run was made FAILED."""

    lost: bool


class PictureTold(Told):
    """The name of a picture, for the header ``Toolkit-Picture`` of requests that read it."""

    picture: str


class Done(Told):
    """It was done."""


class About(Told):
    """What this server is.

    ``artifacts`` is ``proxy`` where clients read and write artifacts through it, and ``direct`` where they do that at
    ``artifact_root`` themselves.
    """

    server: Literal["toolkit"]
    version: str
    api: int
    artifacts: Literal["proxy", "direct"]
    artifact_root: str


class Service(Told):
    """How a service is: one that is ``absent`` was not started, one that is ``unknown`` has not answered yet."""

    name: str
    state: Literal["ok", "degraded", "down", "unknown", "absent"]
    note: str
    url: str | None


class Services(Told):
    """The services that a server works with, and whether somebody should look at one of them."""

    well: bool
    services: Sequence[Service]


class Fault(Told):
    """What went wrong."""

    code: str
    message: str
