"""Models that runs logged, in our API."""

from __future__ import annotations

from dataclasses import asdict

from fastapi import APIRouter, Response

from toolkit.server.v1 import model_records as models
from toolkit.server.v1 import records
from toolkit.server.v1.context import Context, Given, Here, answer, paged
from toolkit.tracking.http_codec import Json
from toolkit.tracking.logged_models import (
    DatasetRef,
    LoggedModel,
    LoggedModelQuery,
    ModelMetric,
    ModelOrder,
    ModelOutput,
    NewLoggedModel,
)
from toolkit.tracking.logged_models_codec import logged_model_out, used_out
from toolkit.tracking.records import ArtifactEntry, Metric

router = APIRouter(tags=["logged models"])


@router.post("/logged-models", response_model=models.LoggedModelTold)
def create_logged_model(here: Here, body: Given[models.LoggedModelAsked]) -> Response:
    """Make a model, pending. The same id again returns the one that is there."""
    return answer(_told(here, here.catalog.logged.create_model(NewLoggedModel(**dict(body)))))


@router.post("/logged-models/search", response_model=models.LoggedModelPage)
def search_logged_models(here: Here, body: Given[models.LoggedModelSearch]) -> Response:
    """Search by name, parameters, tags and metrics, on all data or on some."""
    query = LoggedModelQuery(
        experiment_ids=body.experiment_ids,
        filter=body.filter,
        datasets=[DatasetRef(name=each.name, digest=each.digest) for each in body.datasets],
        order_by=[
            ModelOrder(field=each.field, descending=each.descending, dataset=_dataset(each.dataset))
            for each in body.order_by
        ],
        lifecycle=body.lifecycle,
        limit=body.limit,
        page_token=body.page_token,
    )
    return paged("models", here.catalog.logged.search_models(query), lambda record: _told(here, record))


@router.post("/logged-models/metrics", response_model=records.Done)
def log_model_metrics(here: Here, body: Given[models.ModelMetrics]) -> Response:
    """Add points that were measured of models, all or none of them; those that are there are passed over."""
    here.catalog.logged.log_metrics([_measured(each) for each in body.metrics])
    return answer({})


@router.post("/logged-models/find", response_model=models.ModelsOfRuns)
def models_of_runs(here: Here, body: Given[records.RunIds]) -> Response:
    """Return the models that runs used and made; a run without any is left out."""
    found = here.catalog.logged.models_of(body.run_ids)
    return answer({"runs": {run_id: used_out(used) for run_id, used in found.items()}})


@router.post("/logged-models/purge", response_model=records.Removed)
def purge_logged_models(here: Here, body: Given[models.ModelIds]) -> Response:
    """Remove deleted models for good. Others, and those that a registered version needs, are passed over."""
    return answer({"removed": list(here.catalog.logged.purge(body.model_ids))})


@router.get("/logged-models/{model_id}", response_model=models.LoggedModelTold)
def get_logged_model(here: Here, model_id: str, allow_deleted: bool = False) -> Response:
    """Return a model with everything that is known of it."""
    return answer(_told(here, here.catalog.logged.get_model(model_id, allow_deleted=allow_deleted)))


@router.patch("/logged-models/{model_id}", response_model=models.LoggedModelTold)
def finish_logged_model(here: Here, model_id: str, body: Given[models.ModelFinished]) -> Response:
    """Say whether the files of a model are all there."""
    return answer(_told(here, here.catalog.logged.finish_model(model_id, body.status, body.message)))


@router.delete("/logged-models/{model_id}", response_model=records.Done)
def delete_logged_model(here: Here, model_id: str) -> Response:
    """Delete a model: its files stay until they are collected."""
    here.catalog.logged.delete_model(model_id)
    return answer({})


@router.post("/logged-models/{model_id}/tags", response_model=records.Done)
def tag_logged_model(here: Here, model_id: str, body: Given[models.ModelTags]) -> Response:
    """Set tags; ``null`` removes one, which must be there."""
    here.catalog.logged.tag_model(model_id, body.tags)
    return answer({})


@router.post("/logged-models/{model_id}/params", response_model=records.Done)
def log_model_params(here: Here, model_id: str, body: Given[models.ModelParams]) -> Response:
    """Add parameters; one that is there must have the same value."""
    here.catalog.logged.log_params(model_id, body.params)
    return answer({})


@router.get("/logged-models/{model_id}/files", response_model=models.ModelFilesTold)
def files_of_logged_model(here: Here, model_id: str) -> Response:
    """Return the files of a model that are listed, with their digests, by path."""
    return answer({"files": [asdict(file) for file in here.catalog.logged.files_of(model_id)]})


@router.post("/logged-models/{model_id}/files", response_model=records.Done)
def record_model_files(here: Here, model_id: str, body: Given[models.ModelFiles]) -> Response:
    """List files of a model; one that is listed already takes the new size and digest."""
    here.catalog.logged.record_files(model_id, [ArtifactEntry(**dict(each)) for each in body.files])
    return answer({})


@router.post("/logged-models/{model_id}/files/forget", response_model=records.Done)
def forget_model_files(here: Here, model_id: str, body: Given[records.Paths]) -> Response:
    """Take files off a model's list."""
    here.catalog.logged.forget_files(model_id, body.paths)
    return answer({})


@router.post("/runs/{run_id}/models/inputs", response_model=records.Done)
def log_model_inputs(here: Here, run_id: str, body: Given[models.ModelIds]) -> Response:
    """Note models that a run uses."""
    here.catalog.logged.log_inputs(run_id, body.model_ids)
    return answer({})


@router.post("/runs/{run_id}/models/outputs", response_model=records.Done)
def log_model_outputs(here: Here, run_id: str, body: Given[models.Outputs]) -> Response:
    """Note models that a run made."""
    outputs = [ModelOutput(model_id=each.model_id, step=each.step) for each in body.models]
    here.catalog.logged.log_outputs(run_id, outputs)
    return answer({})


def _told(here: Context, record: LoggedModel) -> Json:
    return logged_model_out(record, here.locate)


def _dataset(given: models.DatasetNamed | None) -> DatasetRef | None:
    return DatasetRef(name=given.name, digest=given.digest) if given is not None else None


def _measured(given: models.Measured) -> ModelMetric:
    metric = Metric(key=given.key, value=float(given.value), timestamp=given.timestamp, step=given.step)
    return ModelMetric(metric=metric, model_id=given.model_id, run_id=given.run_id, dataset=_dataset(given.dataset))
