"""The first page: what is going on, what needs somebody, and whether all services are well."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from markupsafe import Markup
from starlette.responses import Response

from toolkit.errors import NotFound
from toolkit.registry.promotion import RequestQuery, RequestState
from toolkit.server.pages import times
from toolkit.server.pages.asked import Asked
from toolkit.server.pages.experiment import PRIMARY
from toolkit.server.pages.models import deployed, stages_of
from toolkit.server.pages.render import page
from toolkit.server.pages.run_strip import DAYS, FLOW_RUN, bars_of, days_of, strip
from toolkit.server.pages.sparkline import sparkline
from toolkit.server.pages.states import FIELDS
from toolkit.server.pages.workflow_steps import WORKFLOW, read_standing
from toolkit.tracking.records import SYSTEM, Experiment, Run, RunQuery, RunStatus, SearchQuery

if TYPE_CHECKING:
    from toolkit.deployments.records import Deployment
    from toolkit.registry.records import RegisteredModel

_DAY = 86_400_000
_RUNNING, _FAILED, _EXPERIMENTS, _REQUESTS, _MODELS = 20, 200, 10, 20, 10
_NEWEST = 500  # runs, from which the strip, the days and the last of each experiment are
_TABLE = 10
_LOOKED_INTO = 8  # running runs whose steps or course are read
_POINTS = 40
_SHOWN_OF_GROUP = 3
_AT_ONCE, _PATIENCE = 0.25, 1.0  # seconds to wait for services: with the page, and in a part of its own


@dataclass(frozen=True, kw_only=True, slots=True)
class Failure:
    """Runs that failed with the same error.

    Attributes:
        reason: The error's line; empty where a run does not say why.
        runs: They, the newest first.
    """

    reason: str
    runs: Sequence[Run]

    @property
    def shown(self) -> Sequence[Run]:
        """Those that are named."""
        return self.runs[:_SHOWN_OF_GROUP]


@dataclass(frozen=True, kw_only=True, slots=True)
class Progress:
    """How far a run is.

    Attributes:
        done: Steps that have ended, of a workflow.
        steps: How many it has; 0: it is none.
        now: What runs now.
        line: The course of a metric.
        metric: Its name.
        value: Its last value.
    """

    done: int = 0
    steps: int = 0
    now: str = ""
    line: Markup | str = ""
    metric: str = ""
    value: float = 0.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Standing:
    """A model, with what of it is in use.

    Attributes:
        model: The model.
        stages: Which version is in which stage.
        serving: The deployments that serve one of its versions, with that version.
    """

    model: RegisteredModel
    stages: Mapping[str, int]
    serving: Sequence[tuple[Deployment, int]]


def show(asked: Asked) -> Response:
    """Return the page, or a part of it."""
    if asked.is_part and asked.query.get("part") == "services":
        return page(asked, "home_services.html", services=asked.site.health.look(wait=_PATIENCE))
    runs = asked.stores.runs
    now = times.now()
    newest = runs.search_runs(
        SearchQuery(
            filter="parent_run_id IS NULL",
            limit=_NEWEST,
            fields=[f"tags.{FLOW_RUN}", f"tags.{WORKFLOW}", *FIELDS],
        )
    ).items
    running = runs.list_runs(RunQuery(status=[RunStatus.RUNNING], top_level=True, limit=_RUNNING + 1)).items
    failed = runs.search_runs(
        SearchQuery(
            filter=f"status = 'FAILED' AND start_time > {now - _DAY} AND parent_run_id IS NULL",
            limit=_FAILED,
            fields=[],
        )
    ).items
    experiments = runs.search_experiments(SearchQuery(order_by=["last_update_time DESC"], limit=_EXPERIMENTS)).items
    known = {each.experiment_id: each for each in experiments}
    for run in (*running, *failed, *newest[:_TABLE]):
        if run.info.experiment_id not in known:
            known[run.info.experiment_id] = runs.get_experiment(run.info.experiment_id)
    flows = [run for run in newest if FLOW_RUN in run.data.tags]
    bars = bars_of(asked, flows or newest, now)
    values: dict[str, Any] = {
        "running": running[:_RUNNING],
        "more_run": len(running) > _RUNNING,
        "progress": {run.info.run_id: _progress(asked, run, known) for run in running[:_LOOKED_INTO]},
        "failed": failures(failed),
        "failed_runs": len(failed),
        "most_failed": _FAILED,
        "experiments": experiments,
        "days": days_of(newest, now),
        "last": {run.info.experiment_id: run for run in reversed(newest)},
        "is_all": len(newest) < _NEWEST or newest[-1].info.start_time < now - DAYS * _DAY,
        "newest_of": len(newest),
        "requests": asked.catalog.promotions.requests(RequestQuery(state=RequestState.PENDING, limit=_REQUESTS)).items,
        "models": _models(asked),
        "known": known,
        "recent": newest[:_TABLE],
        "strip": strip(bars),
        "bars": bars,
        "of_flows": bool(flows),
        "page_of": page_of,
        "at": now,
        "nothing": not newest,
    }
    if asked.is_part:
        return page(asked, "home_parts.html", **values)
    return page(asked, "home.html", services=asked.site.health.look(wait=_AT_ONCE), **values)


def page_of(asked: Asked, run: Run) -> str:
    """Return the address of the page of a run: of a workflow its graph."""
    return asked.url("workflows" if WORKFLOW in run.data.tags else "runs", run.info.run_id)


def failures(runs: Sequence[Run]) -> Sequence[Failure]:
    """Return runs that failed by what went wrong, the most frequent first.

    Args:
        runs: They, the newest first.
    """
    by_line: dict[str, list[Run]] = {}
    for run in runs:
        line = next((line.strip() for line in (run.info.reason or "").splitlines() if line.strip()), "")
        by_line.setdefault(line, []).append(run)
    return [Failure(reason=line, runs=found) for line, found in sorted(by_line.items(), key=lambda each: -len(each[1]))]


def _progress(asked: Asked, run: Run, known: Mapping[str, Experiment]) -> Progress:
    """Return how far a run is, as far as that can be told from what it has logged."""
    try:
        return _of_steps(asked, run) if WORKFLOW in run.data.tags else _of_course(asked, run, known)
    except (NotFound, ValueError):  # deleted meanwhile; or somebody wrote what says nothing: the page stays
        return Progress()


def _of_steps(asked: Asked, run: Run) -> Progress:
    steps = read_standing(asked, run)
    states = Counter(step.state for step in steps)
    now = ", ".join(step.name for step in steps if step.state in ("RUNNING", "RETRYING"))
    waiting = states["RUNNING"] + states["RETRYING"] + states["WAITING"] + states["SCHEDULED"]
    return Progress(done=len(steps) - waiting, steps=len(steps), now=now)


def _of_course(asked: Asked, run: Run, known: Mapping[str, Experiment]) -> Progress:
    logged = [key for key in sorted(run.data.metrics) if not key.startswith(SYSTEM)]
    primary = known[run.info.experiment_id].tags.get(PRIMARY)
    key = primary if primary in logged else next(iter(logged), None)
    if key is None:
        return Progress()
    points = asked.stores.runs.sample_history(run.info.run_id, key, points=_POINTS)
    line = sparkline([point.value for point in points], label=f"course of {key}")
    return Progress(line=line, metric=key, value=run.data.metrics[key])


def _models(asked: Asked) -> Sequence[Standing]:
    """Return models, those that serve or are in production first."""
    found = asked.catalog.registered.search_models(
        SearchQuery(order_by=["last_updated_timestamp DESC"], limit=_MODELS)
    ).items
    serving: dict[str, list[tuple[Deployment, int]]] = {}
    for deployment, release in deployed(asked):
        serving.setdefault(release.model, []).append((deployment, release.version))
    missing = [name for name in serving if name not in {each.name for each in found}]
    found = [*found, *(model for name in missing if (model := _model(asked, name)) is not None)]
    told = [Standing(model=model, stages=stages_of(model), serving=serving.get(model.name, ())) for model in found]
    return sorted(told, key=lambda each: (not each.serving, "Production" not in each.stages))[:_MODELS]


def _model(asked: Asked, name: str) -> RegisteredModel | None:
    try:
        return asked.catalog.registered.get_model(name)
    except NotFound:
        return None


PAGES = [("GET", "/", show)]
