"""The logged models of a toolkit server.

What a caller gives is checked here as every store checks it; the server checks again. A call is repeated when the
server does not answer if doing it twice is harmless: a model has an id that its client makes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict

from toolkit.errors import NotFound
from toolkit.ids import is_run_id
from toolkit.tracking import limits
from toolkit.tracking import logged_models_codec as codec
from toolkit.tracking.http_calls import Calls, part, run_path, understood
from toolkit.tracking.http_codec import artifact_in, page_in
from toolkit.tracking.logged_models import (
    LoggedModel,
    LoggedModelQuery,
    ModelMetric,
    ModelOutput,
    ModelStatus,
    NewLoggedModel,
    RunModels,
)
from toolkit.tracking.logged_models_limits import check_new_model, check_tags, is_model_id
from toolkit.tracking.records import ArtifactEntry, Page
from toolkit.transport.client import HttpClient


class HttpLoggedModelStore:
    """A `LoggedModelStore` that is a server's. It is safe with threads and forks.

    Args:
        client: What speaks to the server; `close` leaves it open.
    """

    def __init__(self, client: HttpClient) -> None:
        self._calls = Calls(client)

    @understood
    def create_model(self, new: NewLoggedModel) -> LoggedModel:
        """See `LoggedModelStore.create_model`."""
        check_new_model(new)
        return codec.logged_model_in(self._calls.write("/logged-models", codec.new_model_out(new)))

    @understood
    def get_model(self, model_id: str, *, allow_deleted: bool = False) -> LoggedModel:
        """See `LoggedModelStore.get_model`."""
        deleted = "true" if allow_deleted else None
        return codec.logged_model_in(self._calls.get(_model(model_id), allow_deleted=deleted))

    @understood
    def search_models(self, query: LoggedModelQuery) -> Page[LoggedModel]:
        """See `LoggedModelStore.search_models`."""
        return page_in(self._calls.look("/logged-models/search", asdict(query)), "models", codec.logged_model_in)

    @understood
    def finish_model(self, model_id: str, status: ModelStatus, message: str | None = None) -> LoggedModel:
        """See `LoggedModelStore.finish_model`."""
        if message is not None:
            limits.check_text(message, "status_message", limits.REASON_LENGTH)
        body = {"status": status, "message": message}
        return codec.logged_model_in(self._calls.write(_model(model_id), body, method="PATCH"))

    def tag_model(self, model_id: str, tags: Mapping[str, str | None]) -> None:
        """See `LoggedModelStore.tag_model`."""
        check_tags(tags)
        removes = None in tags.values()  # what was removed is missed the second time
        self._calls.write(f"{_model(model_id)}/tags", {"tags": dict(tags)}, repeat=not removes)

    def log_params(self, model_id: str, params: Mapping[str, str]) -> None:
        """See `LoggedModelStore.log_params`."""
        limits.check_params(params)
        self._calls.write(f"{_model(model_id)}/params", {"params": dict(params)})

    def log_metrics(self, points: Sequence[ModelMetric]) -> None:
        """See `LoggedModelStore.log_metrics`."""
        limits.check_points([point.metric for point in points])
        if points:
            self._calls.write("/logged-models/metrics", {"metrics": [codec.measured_out(point) for point in points]})

    def record_files(self, model_id: str, files: Sequence[ArtifactEntry]) -> None:
        """See `LoggedModelStore.record_files`."""
        limits.check_artifacts(files)
        self._calls.write(f"{_model(model_id)}/files", {"files": [asdict(file) for file in files]})

    def forget_files(self, model_id: str, paths: Sequence[str]) -> None:
        """See `LoggedModelStore.forget_files`."""
        self._calls.write(f"{_model(model_id)}/files/forget", {"paths": list(paths)})

    @understood
    def files_of(self, model_id: str) -> Sequence[ArtifactEntry]:
        """See `LoggedModelStore.files_of`."""
        return [artifact_in(each) for each in self._calls.get(f"{_model(model_id)}/files")["files"]]

    def delete_model(self, model_id: str) -> None:
        """See `LoggedModelStore.delete_model`."""
        self._calls.write(_model(model_id), {}, method="DELETE", repeat=False)

    def log_inputs(self, run_id: str, model_ids: Sequence[str]) -> None:
        """See `LoggedModelStore.log_inputs`."""
        self._calls.write(f"{run_path(run_id)}/models/inputs", {"model_ids": list(model_ids)})

    def log_outputs(self, run_id: str, outputs: Sequence[ModelOutput]) -> None:
        """See `LoggedModelStore.log_outputs`."""
        self._calls.write(f"{run_path(run_id)}/models/outputs", {"models": codec.outputs_out(outputs)})

    @understood
    def models_of(self, run_ids: Sequence[str]) -> Mapping[str, RunModels]:
        """See `LoggedModelStore.models_of`."""
        told = self._calls.look("/logged-models/find", {"run_ids": [each for each in run_ids if is_run_id(each)]})
        return {run_id: codec.used_in(each) for run_id, each in told["runs"].items()}

    @understood
    def purge(self, model_ids: Sequence[str]) -> Sequence[str]:
        """See `LoggedModelStore.purge`."""
        body = {"model_ids": [each for each in model_ids if is_model_id(each)]}
        return list(self._calls.write("/logged-models/purge", body, repeat=False)["removed"])

    def close(self) -> None:
        """Leave the client to who made it."""


def _model(model_id: str) -> str:
    """Return the path of a logged model. What cannot be the id of one is none's."""
    if not is_model_id(model_id):
        raise NotFound(f"Logged model with ID '{model_id}' not found.")
    return f"/logged-models/{part(model_id)}"
