"""Runs and what they log, as a client works with them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from toolkit.active import operations
from toolkit.active.connected import Connected, PagedList, whole
from toolkit.active.measured import log_measured, log_used
from toolkit.active.operations import RunOperations
from toolkit.active.values import param_texts, scalar, tag_texts
from toolkit.data.input import recorded
from toolkit.entities import DatasetInput, Metric, Param, Run, RunTag, ViewType, metric_of, stage_of
from toolkit.errors import InvalidValue, NotFound
from toolkit.ids import new_run_id, now_ms, random_run_name
from toolkit.recording.context import RUN_NAME, USER, user_name
from toolkit.tracking import records
from toolkit.tracking.limits import invalid
from toolkit.tracking.logged_models import DatasetRef
from toolkit.tracking.records import Lifecycle, NewRun, RunStatus, SearchQuery
from toolkit.tracking.system_tags import PARENT

_POINTS = 25_000


class RunClient(Connected):
    """The part of `Client` that is about runs."""

    def create_run(
        self,
        experiment_id: str,
        start_time: int | None = None,
        tags: Mapping[str, object] | None = None,
        run_name: str | None = None,
    ) -> Run:
        """Make a run. Nobody watches it: it stays RUNNING until `set_terminated`.

        Args:
            experiment_id: Where it belongs.
            start_time: When it began, milliseconds since 1970 UTC; default: now.
            tags: Its tags; ``mlflow.parentRunId`` makes it a child.
            run_name: Its name; default: a random one.

        Raises:
            InvalidValue: The name and the tag ``mlflow.runName`` differ.
            NotFound: There is no such experiment.
        """
        told = tag_texts(tags or {})
        tagged = told.get(RUN_NAME)
        if run_name and tagged and run_name != tagged:
            raise InvalidValue(
                f"the run's name is {run_name!r}, and its tag {RUN_NAME} says {tagged!r}: give one of them"
            )
        new = NewRun(
            experiment_id=str(experiment_id),
            run_id=new_run_id(),
            run_name=run_name or tagged or random_run_name(),
            user_id=told.get(USER) or user_name(),
            start_time=now_ms() if start_time is None else start_time,
            tags=told,
        )
        return Run.of(self._runs.create_run(new))

    def get_run(self, run_id: str) -> Run:
        """Return a run with all that it logged, used and made.

        Raises:
            NotFound: There is none of this id.
        """
        found = self._runs.get_run(run_id)
        return Run.of(found, self._catalog.logged.models_of([run_id]).get(run_id))

    def get_parent_run(self, run_id: str) -> Run | None:
        """Return the run that a run is a part of; ``None`` if there is none."""
        parent = self._runs.get_run(run_id).data.tags.get(PARENT)
        return self.get_run(parent) if parent else None

    def search_runs(
        self,
        experiment_ids: Sequence[str],
        filter_string: str = "",
        run_view_type: int = ViewType.ACTIVE_ONLY,
        max_results: int = 1000,
        order_by: Sequence[str] | None = None,
        page_token: str | None = None,
        fields: Sequence[str] | None = None,
    ) -> PagedList[Run]:
        """Return a page of runs; default order: newest first.

        Args:
            experiment_ids: In these experiments; without any nothing is found.
            filter_string: Such as ``metrics.rmse < 0.3 AND (params.alpha = '0.5' OR tags.team IS NULL)``.
            run_view_type: Active ones, deleted ones or both (`toolkit.entities.ViewType`).
            max_results: So many at most, up to 50,000.
            order_by: Such as ``["metrics.rmse ASC"]``.
            page_token: The ``token`` of the page before.
            fields: Load only these, such as ``["metrics.rmse", "params.*"]``; default: all.

        Raises:
            InvalidValue: An argument cannot be used; the message shows where.
        """
        page = self.search_page(
            experiment_ids, filter_string, run_view_type, max_results, order_by, page_token, fields=fields
        )
        return PagedList([Run.of(each) for each in page.items], page.next_page_token)

    def search_page(
        self,
        experiment_ids: Sequence[str] | None,
        filter_string: str = "",
        run_view_type: int = ViewType.ACTIVE_ONLY,
        max_results: int = 1000,
        order_by: Sequence[str] | None = None,
        page_token: str | None = None,
        *,
        fields: Sequence[str] | None = None,
    ) -> records.Page[records.Run]:
        """Return a page of runs as records; arguments as in `search_runs`, but ``None`` is all experiments."""
        query = SearchQuery(
            experiment_ids=_scope(experiment_ids),
            filter=filter_string or "",
            order_by=tuple(order_by or ()),
            lifecycle=stage_of(run_view_type),
            limit=max_results,
            page_token=page_token or None,
            fields=fields,
        )
        return self._runs.search_runs(query)

    def update_run(self, run_id: str, status: str | None = None, name: str | None = None) -> None:
        """Change a run's status or name.

        Raises:
            InvalidValue: There is no such status.
        """
        self._runs.update_run(run_id, status=_status(status) if status else None, run_name=name)

    def set_terminated(self, run_id: str, status: str | None = None, end_time: int | None = None) -> None:
        """End a run.

        Args:
            run_id: The run.
            status: ``FINISHED`` (the default), ``FAILED`` or ``KILLED``.
            end_time: When it ended, milliseconds since 1970 UTC; default: now.

        Raises:
            InvalidValue: There is no such status.
        """
        self._runs.update_run(run_id, status=_status(status or "FINISHED"), end_time=end_time)

    def delete_run(self, run_id: str) -> None:
        """Delete a run; `restore_run` brings it back."""
        self._runs.update_run(run_id, lifecycle=Lifecycle.DELETED)

    def restore_run(self, run_id: str) -> None:
        """Bring a deleted run back."""
        self._runs.update_run(run_id, lifecycle=Lifecycle.ACTIVE)

    def log_param(self, run_id: str, key: str, value: object, synchronous: bool | None = None) -> object:
        """Log a parameter; return its value.

        Raises:
            Conflict: It has another value already, or the run is deleted.
        """
        self._runs.log_batch(run_id, params=param_texts({key: value}))
        return value if synchronous is None else operations.answer(synchronous) or value

    def log_metric(
        self,
        run_id: str,
        key: str,
        value: float,
        timestamp: int | None = None,
        step: int | None = None,
        synchronous: bool | None = None,
        dataset_name: str | None = None,
        dataset_digest: str | None = None,
        model_id: str | None = None,
    ) -> RunOperations | None:
        """Log one point of a metric; ``timestamp`` in milliseconds since 1970 UTC, default now.

        With ``model_id`` it is a point of that logged model, too, measured on the data that the last two name.

        Raises:
            Conflict: The run is deleted.
            InvalidValue: The value is no number.
            NotFound: There is no such run or model.
        """
        point = records.Metric(
            key=key, value=scalar(value), timestamp=now_ms() if timestamp is None else timestamp, step=step or 0
        )
        self._runs.log_batch(run_id, metrics=[point])
        if model_id is not None:
            on = DatasetRef(name=dataset_name, digest=dataset_digest) if dataset_name else None
            log_measured(self._stores, run_id, model_id, [point], on)
        return operations.answer(synchronous)

    def log_batch(
        self,
        run_id: str,
        metrics: Sequence[Metric] = (),
        params: Sequence[Param] = (),
        tags: Sequence[RunTag] = (),
        synchronous: bool | None = None,
    ) -> RunOperations | None:
        """Log metrics, parameters and tags, any number of them, all or none.

        Raises:
            Conflict: A parameter has another value already, or the run is deleted.
            InvalidValue: Something is out of bounds, or a parameter is there twice.
        """
        given = {each.key: each.value for each in params}
        if len(given) < len(params):
            keys = sorted({each.key for each in params if sum(other.key == each.key for other in params) > 1})
            raise InvalidValue(invalid("params", keys, "Duplicate parameter keys have been submitted."))
        points = [
            records.Metric(
                key=each.key, value=scalar(each.value), timestamp=each.timestamp, step=getattr(each, "step", 0) or 0
            )
            for each in metrics
        ]
        told = tag_texts({each.key: each.value for each in tags})
        self._runs.log_batch(run_id, metrics=points, params=param_texts(given), tags=told)
        return operations.answer(synchronous)

    def set_tag(self, run_id: str, key: str, value: object, synchronous: bool | None = None) -> RunOperations | None:
        """Set a tag; the last value counts."""
        self._runs.log_batch(run_id, tags=tag_texts({key: value}))
        return operations.answer(synchronous)

    def delete_tag(self, run_id: str, key: str) -> None:
        """Remove a tag.

        Raises:
            NotFound: The run has none of this name.
        """
        if key not in self._runs.get_run(run_id).data.tags:
            raise NotFound(f"No tag with name: {key} in run with id {run_id}")
        self._runs.log_batch(run_id, tags={key: None})

    def log_inputs(
        self, run_id: str, datasets: Sequence[DatasetInput] | None = None, models: Sequence[object] | None = None
    ) -> None:
        """Note that a run uses datasets.

        Args:
            run_id: The run.
            datasets: The datasets with their tags.
            models: Logged models that it uses: their ids, or what has a ``model_id``.
        """
        if models:
            log_used(self._stores, run_id, models)
        inputs = [recorded(each.dataset, tags={tag.key: tag.value for tag in each.tags}) for each in datasets or ()]
        self._runs.log_inputs(run_id, inputs)

    def get_metric_history(self, run_id: str, key: str) -> list[Metric]:
        """Return all points of a metric, ordered by step, timestamp, value."""
        points = whole(
            lambda size, token: self._runs.metric_history(run_id, key, limit=size, page_token=token), None, _POINTS
        )
        return [metric_of(each) for each in points]


def _scope(experiment_ids: Sequence[str] | None) -> tuple[str, ...]:
    """Return experiments as the store wants them: no ids mean everywhere there, while no experiments have no runs."""
    if experiment_ids is None:
        return ()
    given = [experiment_ids] if isinstance(experiment_ids, str | int) else experiment_ids
    return tuple(str(each) for each in given) or ("-",)


def _status(name: str) -> RunStatus:
    try:
        return RunStatus(str(name).upper())
    except ValueError:
        raise InvalidValue(f"{name!r} is no status of a run: wanted one of {', '.join(RunStatus)}") from None
