"""What runs log, in our API: values, inputs, files, histories, and entries of clients' journals."""

from __future__ import annotations

from typing import Annotated

from anyio.to_thread import run_sync
from fastapi import APIRouter, Query, Request, Response

from toolkit.errors import InvalidValue
from toolkit.server.v1 import records
from toolkit.server.v1.context import Given, Here, Reading, View, answer, packed, paged
from toolkit.server.v1.entries import JOURNAL_BODY, apply, read_entries
from toolkit.server.v1.large import read_body
from toolkit.tracking.http_codec import Json, columns_out, series_out
from toolkit.tracking.http_series import MOST_POINTS, MOST_SERIES
from toolkit.tracking.records import ArtifactEntry, Dataset, DatasetInput, Metric
from toolkit.tracking.series import SeriesQuery

router = APIRouter(tags=["values"])


@router.post("/runs/{run_id}/batch", response_model=records.Done)
def log_batch(here: Here, run_id: str, body: Given[records.Batch]) -> Response:
    """Log metrics (as objects, as columns, or both), parameters and tags, all or none of them."""
    here.stores.runs.log_batch(run_id, metrics=[*map(_point, body.metrics), *_points(body.columns)], **_texts(body))
    return answer({})


def _texts(body: records.Batch) -> Json:
    return {"params": body.params, "tags": body.tags}


def _point(given: records.Point) -> Metric:
    return Metric(key=given.key, value=float(given.value), timestamp=given.timestamp, step=given.step)


def _points(given: records.PointColumns) -> list[Metric]:
    columns = (given.keys, given.steps, given.timestamps, given.values)
    if len({len(column) for column in columns}) != 1:
        raise InvalidValue(f"the columns have {', '.join(str(len(each)) for each in columns)} items: wanted one number")
    return [
        Metric(key=key, value=float(value), timestamp=timestamp, step=step)
        for key, step, timestamp, value in zip(*columns, strict=True)
    ]


@router.put("/journal/{name}/entries", response_model=records.Applied, openapi_extra={"requestBody": JOURNAL_BODY})
async def apply_entries(here: Here, request: Request, name: str, first: int) -> Response:
    """Write the entries of a client's journal, each once: what was written before is passed over.

    ``first`` is the number in the journal of the first entry that is sent. All that an answer names as its position
    is written, but for the rejections, which can never be.
    """
    body = await read_body(request)
    kind = request.headers.get("content-type", "")
    return answer(await run_sync(lambda: apply(here, read_entries(kind, body), name, first), limiter=here.lane))


@router.post("/runs/{run_id}/inputs", response_model=records.Done)
def log_inputs(here: Here, run_id: str, body: Given[records.Inputs]) -> Response:
    """Note the datasets that a run uses."""
    here.stores.runs.log_inputs(run_id, [_input(each) for each in body.inputs])
    return answer({})


def _input(given: records.InputBody) -> DatasetInput:
    return DatasetInput(dataset=Dataset(**given.dataset.model_dump(by_alias=True)), tags=given.tags)


@router.get("/runs/{run_id}/history", response_model=records.HistoryPage)
def metric_history(
    view: Reading, run_id: str, key: str, limit: int = 25_000, page_token: str | None = None
) -> Response:
    """Return all points of a metric, in pages, as columns."""
    page = view.read(lambda store: store.metric_history(run_id, key, limit=limit, page_token=page_token))
    return answer({**columns_out(page.items), "next_page_token": page.next_page_token})


@router.get("/runs/{run_id}/sample", response_model=records.History)
def sample_history(
    view: Reading,
    run_id: str,
    key: str,
    points: int = 320,
    start_step: int | None = None,
    end_step: int | None = None,
) -> Response:
    """Return points of a metric that stand for its history, spread evenly, the first and the last among them."""
    found = view.read(
        lambda store: store.sample_history(run_id, key, points=points, start_step=start_step, end_step=end_step)
    )
    return answer(columns_out(found))


@router.get("/series", response_model=records.SeriesTold)
def read_series(
    view: Reading,
    request: Request,
    run_ids: Annotated[list[str], Query()],
    keys: Annotated[list[str], Query()],
    points: int = 320,
    start_step: int | None = None,
    end_step: int | None = None,
    smooth: float = 0.0,
) -> Response:
    """Return metrics of runs for charts, as ``POST /api/v1/series`` does: what an address can ask for."""
    query = SeriesQuery(
        run_ids=run_ids, keys=keys, points=points, start_step=start_step, end_step=end_step, smooth=smooth
    )
    return _series(view, query, request)


@router.post("/series", response_model=records.SeriesTold)
def sample_series(view: Reading, body: Given[records.SeriesAsked], request: Request) -> Response:
    """Return metrics of runs for charts: at most 1,000 series, and a million points together.

    Of a longer history its steps are cut into stretches, and of each the first, last, least and greatest point are
    told, and the first NaN, +Inf and -Inf. ``smooth`` asks for a moving average beside.
    """
    return _series(view, SeriesQuery(**body.model_dump()), request)


def _series(view: View, query: SeriesQuery, request: Request) -> Response:
    count = len(query.run_ids) * len(query.keys)
    if count > MOST_SERIES or count * query.points > MOST_POINTS:
        raise InvalidValue(
            f"{count} series of {query.points} points were asked for: wanted at most {MOST_SERIES:,} series, and "
            f"{MOST_POINTS:,} points together"
        )
    found = view.read(lambda store: store.sample_series(query))
    return packed(answer({"series": list(map(series_out, found))}), request)


@router.get("/runs/{run_id}/artifacts", response_model=records.ArtifactPage)
def list_artifacts(
    view: Reading, run_id: str, prefix: str = "", limit: int = 10_000, page_token: str | None = None
) -> Response:
    """List the files of a run at or below a path, ordered by path."""
    found = view.read(lambda store: store.list_artifacts(run_id, prefix=prefix, limit=limit, page_token=page_token))
    return paged("artifacts", found, _file)


def _file(entry: ArtifactEntry) -> Json:
    return {"path": entry.path, "size": entry.size, "sha256": entry.sha256, "created": entry.created}


@router.post("/runs/{run_id}/artifacts", response_model=records.Done)
def record_artifacts(here: Here, run_id: str, body: Given[records.Artifacts]) -> Response:
    """List files that were stored; one that is listed already takes the new size and digest."""
    here.stores.runs.record_artifacts(run_id, [ArtifactEntry(**dict(each)) for each in body.artifacts])
    return answer({})


@router.post("/runs/{run_id}/artifacts/forget", response_model=records.PathsTold)
def forget_artifacts(here: Here, run_id: str, body: Given[records.Paths]) -> Response:
    """Take files off a run's list; return those that were on it."""
    return answer({"paths": list(here.stores.runs.forget_artifacts(run_id, body.paths))})
