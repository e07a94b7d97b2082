"""Models that runs logged: what they are, and the contract of a store of them.

A logged model is a folder of files of an experiment, with an id (``m-`` and 32 hexadecimal digits), parameters, tags,
and what was measured of it. Every kind of store passes the suite in ``toolkit.testing.logged_model_store``.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol

from toolkit.tracking.records import ArtifactEntry, Lifecycle, Metric, Page


class ModelStatus(StrEnum):
    """The state of a logged model; MLflow's names."""

    PENDING = "PENDING"
    READY = "READY"
    FAILED = "FAILED"


def new_model_id() -> str:
    """Return a fresh id of a logged model, as MLflow's."""
    return f"m-{uuid.uuid4().hex}"


@dataclass(frozen=True, kw_only=True, slots=True)
class DatasetRef:
    """Data that something was measured on. Without a digest: any of this name."""

    name: str
    digest: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class ModelMetric:
    """A point that was measured of a model.

    Attributes:
        metric: The point.
        model_id: The model.
        run_id: The run that measured it.
        dataset: The data that it was measured on, where that is known.
    """

    metric: Metric
    model_id: str
    run_id: str
    dataset: DatasetRef | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class NewLoggedModel:
    """A logged model to be made.

    Attributes:
        experiment_id: Where it belongs.
        name: Its name; several may have the same one.
        model_id: Its id, made by the caller: making the same model twice gives the first one back.
        model_type: What kind of model it is, in the caller's words.
        source_run_id: The run that makes it.
        params: Its first parameters.
        tags: Its first tags.
    """

    experiment_id: str
    name: str
    model_id: str = field(default_factory=new_model_id)
    model_type: str | None = None
    source_run_id: str | None = None
    params: Mapping[str, str] = field(default_factory=dict)
    tags: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True, slots=True)
class LoggedModel:
    """A model that a run logged. Times in milliseconds since 1970 UTC.

    Attributes:
        model_id: ``m-`` and 32 hexadecimal digits.
        experiment_id: The experiment that it belongs to.
        name: Its name.
        artifact_uri: Where its files are.
        status: Whether its files are all there.
        status_message: Why it has its state, where there is more to say.
        model_type: What kind of model it is, in the caller's words.
        source_run_id: The run that made it.
        creation_time: When it was made.
        last_update_time: When it was changed.
        lifecycle_stage: Whether it was deleted.
        params: Its parameters.
        tags: Its tags.
        metrics: What was measured of it.
    """

    model_id: str
    experiment_id: str
    name: str
    artifact_uri: str
    status: ModelStatus = ModelStatus.PENDING
    status_message: str | None = None
    model_type: str | None = None
    source_run_id: str | None = None
    creation_time: int = 0
    last_update_time: int = 0
    lifecycle_stage: Lifecycle = Lifecycle.ACTIVE
    params: Mapping[str, str] = field(default_factory=dict)
    tags: Mapping[str, str] = field(default_factory=dict)
    metrics: Sequence[ModelMetric] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class ModelOutput:
    """A model that a run made, and the step at which it did."""

    model_id: str
    step: int = 0


@dataclass(frozen=True, kw_only=True, slots=True)
class RunModels:
    """The models that a run used and made."""

    inputs: Sequence[str] = ()
    outputs: Sequence[ModelOutput] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class ModelOrder:
    """One key of an order of logged models.

    Attributes:
        field: An attribute, or a metric as ``metrics.rmse``: its latest value by time.
        descending: Whether the greatest is first.
        dataset: Only what was measured on this data.
    """

    field: str
    descending: bool = False
    dataset: DatasetRef | None = None


MOST_DATASETS = 200
"""Data that a search names."""


@dataclass(frozen=True, kw_only=True, slots=True)
class LoggedModelQuery:
    """Which logged models to search for.

    Attributes:
        experiment_ids: In these experiments; empty: in all.
        filter: Such as ``name = 'model' AND metrics.rmse < 0.3``: true of a metric if it is of any of its points.
        datasets: Only what was measured on these data counts; without a metric in the filter: something was. At most
            `MOST_DATASETS`.
        order_by: Its keys; ties and the default: the newest first, then by id.
        lifecycle: Only those active or deleted; ``None``: both.
        limit: At most this many, 1 to 50,000.
        page_token: Where the previous page of the same search ended.
    """

    experiment_ids: Sequence[str] = ()
    filter: str = ""
    datasets: Sequence[DatasetRef] = ()
    order_by: Sequence[ModelOrder] = ()
    lifecycle: Lifecycle | None = Lifecycle.ACTIVE
    limit: int = 50
    page_token: str | None = None


class LoggedModelStore(Protocol):
    """Logged models, and which runs use and make them.

    Every method is atomic and may be called from any thread. Unknown ids raise `NotFound`, and so do deleted models
    except where it is said otherwise; values of a wrong form raise `InvalidValue`; a change that contradicts what is
    recorded raises `Conflict`; a store that cannot be used raises `StoreError`.
    """

    def create_model(self, new: NewLoggedModel) -> LoggedModel:
        """Make a model, pending, in an active experiment. The same id again returns the one that is there.

        Its files belong at ``<artifact location of the experiment>/models/<model id>/artifacts``.
        """
        ...

    def get_model(self, model_id: str, *, allow_deleted: bool = False) -> LoggedModel:
        """Return a model with everything that is known of it."""
        ...

    def search_models(self, query: LoggedModelQuery) -> Page[LoggedModel]:
        """Return the models that a query finds, in its order.

        Raises:
            InvalidValue: The filter, the order, the page token or the page size cannot be used.
        """
        ...

    def finish_model(self, model_id: str, status: ModelStatus, message: str | None = None) -> LoggedModel:
        """Say whether a model's files are all there."""
        ...

    def tag_model(self, model_id: str, tags: Mapping[str, str | None]) -> None:
        """Set tags; ``None`` removes one, which must be there.

        The tag ``mlflow.modelVersions`` lists each version once, however often clients name it.
        """
        ...

    def log_params(self, model_id: str, params: Mapping[str, str]) -> None:
        """Add parameters. The same value again is fine, another one raises `Conflict`."""
        ...

    def log_metrics(self, points: Sequence[ModelMetric]) -> None:
        """Add points; those that are there already are passed over."""
        ...

    def record_files(self, model_id: str, files: Sequence[ArtifactEntry]) -> None:
        """List files of a model; a path that is listed already takes the new size, digest and time."""
        ...

    def forget_files(self, model_id: str, paths: Sequence[str]) -> None:
        """Take files off a model's list; what is not on it is passed over."""
        ...

    def files_of(self, model_id: str) -> Sequence[ArtifactEntry]:
        """Return the files of a model that are listed, with their digests, by path.

        What came by a way that knows no digests, such as straight to an object store, is not among them.
        """
        ...

    def delete_model(self, model_id: str) -> None:
        """Delete a model: it is found no more, and its files stay until they are collected."""
        ...

    def log_inputs(self, run_id: str, model_ids: Sequence[str]) -> None:
        """Note models that an active run uses; a repeated one is no second one."""
        ...

    def log_outputs(self, run_id: str, outputs: Sequence[ModelOutput]) -> None:
        """Note models that an active run made; a repeated one is no second one."""
        ...

    def models_of(self, run_ids: Sequence[str]) -> Mapping[str, RunModels]:
        """Return what runs used and made; a run without any is left out."""
        ...

    def purge(self, model_ids: Sequence[str]) -> Sequence[str]:
        """Remove models for good that were deleted, or whose experiment was; return their ids.

        Those that a registered version needs stay. Files are not its business.
        """
        ...

    def close(self) -> None:
        """Release what the store holds."""
        ...
