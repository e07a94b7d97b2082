"""The types of logged models in our API, as its OpenAPI document describes them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated

from pydantic import Field

from toolkit.server.v1.records import Artifact, Asked, Integer, Number, Text, Told
from toolkit.tracking.logged_models import MOST_DATASETS, ModelStatus
from toolkit.tracking.records import Lifecycle

_MANY = 100_000


class DatasetNamed(Asked):
    """Data that something was measured on. Without a digest: any of this name."""

    name: Text
    digest: Text | None = None


class Measured(Asked):
    """A point of a metric that a run measured of a model. ``timestamp`` in milliseconds since 1970 UTC."""

    key: Text
    value: Number
    timestamp: Integer
    step: Integer = 0
    model_id: Text
    run_id: Text
    dataset: DatasetNamed | None = None


class LoggedModelAsked(Asked):
    """A model to be made: the same id twice gives the first one back."""

    model_id: Text
    experiment_id: Text
    name: Text
    model_type: Text | None = None
    source_run_id: Text | None = None
    params: Mapping[Text, Text] = {}
    tags: Mapping[Text, Text] = {}


class LoggedModelTold(Told):
    """A model that a run logged. Times in milliseconds since 1970 UTC."""

    model_id: str
    experiment_id: str
    name: str
    artifact_uri: str
    status: ModelStatus
    status_message: str | None
    model_type: str | None
    source_run_id: str | None
    creation_time: int
    last_update_time: int
    lifecycle_stage: Lifecycle
    params: dict[str, str]
    tags: dict[str, str]
    metrics: list[Measured]


class LoggedModelPage(Told):
    """A part of a list of models, and the token that gives the next part."""

    models: list[LoggedModelTold]
    next_page_token: str | None


class ModelOrdering(Asked):
    """A key of an order: an attribute, or a metric as ``metrics.rmse``, on all data or on some."""

    field: Text
    descending: bool = False
    dataset: DatasetNamed | None = None


class LoggedModelSearch(Asked):
    """Which models to search for, and how to order them."""

    experiment_ids: Sequence[Text] = ()
    filter: Text = ""
    datasets: Annotated[Sequence[DatasetNamed], Field(max_length=MOST_DATASETS)] = ()
    order_by: Sequence[ModelOrdering] = ()
    lifecycle: Lifecycle | None = Lifecycle.ACTIVE
    limit: Integer = 50
    page_token: Text | None = None


class ModelFinished(Asked):
    """Whether the files of a model are all there, and why not."""

    status: ModelStatus
    message: Text | None = None


class ModelTags(Asked):
    """Tags; one that is ``null`` is removed."""

    tags: Mapping[Text, Text | None]


class ModelParams(Asked):
    """Parameters."""

    params: Mapping[Text, Text]


class ModelMetrics(Asked):
    """Points of models, all or none of which are written."""

    metrics: Sequence[Measured]


class ModelFiles(Asked):
    """Files of a model, with paths below its artifacts."""

    files: Sequence[Artifact]


class ModelFilesTold(Told):
    """Files of a model, by path."""

    files: list[Artifact]


class ModelIds(Asked):
    """Some models."""

    model_ids: Annotated[Sequence[Text], Field(max_length=_MANY)]


class OutputBody(Asked):
    """A model that a run made, and the step at which it did."""

    model_id: Text
    step: Integer = 0


class Outputs(Asked):
    """Models that a run made."""

    models: Annotated[Sequence[OutputBody], Field(max_length=_MANY)]


class UsedTold(Told):
    """The models that a run used and made."""

    inputs: list[str]
    outputs: list[OutputBody]


class ModelsOfRuns(Told):
    """The models of runs, by the runs' ids; a run without any is left out."""

    runs: dict[str, UsedTold]
