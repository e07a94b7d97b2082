"""A run is done again, from what it has recorded."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal, cast

from toolkit.settings import Settings, load
from toolkit.wiring.opened import open_stores
from toolkit.wiring.request import RunRequest
from toolkit.wiring.runs import run_plan

if TYPE_CHECKING:
    from toolkit.flows.comparison import Tolerance
    from toolkit.flows.report import Reporter
    from toolkit.flows.reproduced import Reproduced
    from toolkit.flows.reproduction import Reproduction
    from toolkit.flows.source import Fetching


@dataclass(frozen=True, kw_only=True, slots=True)
class ReproduceRequest:
    """What `reproduce_run` is to do.

    Attributes:
        run_id: The run.
        tolerance: How far metrics may be apart.
        outputs: Whether the digests of files count, too.
        allow: What may be different: ``environment``, ``inputs``, ``platform``.
        inputs: Where data are now that a parameter names, by parameter.
        keep: Whether the copy of the code stays.
        check: Whether only to find out if it can be made again.
    """

    run_id: str
    tolerance: Tolerance
    outputs: bool = False
    allow: frozenset[str] = frozenset()
    inputs: Mapping[str, Path] = field(default_factory=dict)
    keep: bool = False
    check: bool = False


def reproduce_run(request: ReproduceRequest, reporter: Reporter) -> Reproduced:
    """Make an earlier run again, and put what came of it beside what it had left.

    Raises:
        NotReproducible: Something is missing that it needs; nothing was recorded.
        EnvironmentBuildError: An environment of it cannot be had; nothing was recorded.
        ServiceError: Prefect's server cannot be used; nothing was recorded.
    """
    from toolkit.flows.reproduced import Reproduced, conclude  # noqa: PLC0415 - rare
    from toolkit.flows.reproduction import Wish, reproduction  # noqa: PLC0415 - rare

    settings = load()
    stores = open_stores(settings)
    try:
        run = stores.runs.get_run(request.run_id)
        wish = Wish(allow=request.allow, inputs=request.inputs, keep=request.keep)
        with reproduction(
            stores, run, wish, fetching=_fetching(settings, reporter), home=settings.home, report=reporter.note
        ) as again:
            if request.check:
                return Reproduced.unrun(again)
            outcome = run_plan(
                again.plan,
                _asked_again(again),
                reporter,
                recorded=again.environments,
                tags=again.tags(request.allow),
            )
            return conclude(stores, again, outcome, request.tolerance, outputs=request.outputs)
    finally:
        stores.close()


def _fetching(settings: Settings, reporter: Reporter) -> Fetching:
    from toolkit.flows.source import Fetching  # noqa: PLC0415 - what a run needs, when there is one

    return Fetching(root=settings.home / "sources", limit=settings.source_limit, report=reporter.note)


def _asked_again(again: Reproduction) -> RunRequest:
    """Return how a run is to be made again: as it was, in its experiment, with nothing from the cache."""
    told, info = again.flow.asked, again.flow.run.info
    manager = told.env_manager if told.env_manager in ("uv", "conda", "local") else None
    return RunRequest(
        uri=told.uri,
        experiment_id=info.experiment_id,
        run_name=f"{info.run_name} again",
        env_manager=cast(Literal["uv", "conda", "local"] | None, manager),
        docker_args=tuple(told.docker_args or ()),
        build_image=bool(told.build_image),
        no_cache=True,
    )
