"""Steps that register: what they are planned as, what they register, and that they do it once."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from projects import plan

from toolkit import settings
from toolkit.errors import ProjectError, StepFailed
from toolkit.flows.export import flow_file
from toolkit.flows.plan import check_runnable, dry_run
from toolkit.flows.registration import MADE_BY, REGISTERED, REQUESTED, register_for
from toolkit.recording.lease import Leases
from toolkit.recording.run import RecordedRun
from toolkit.recording.stores import Stores
from toolkit.registry.catalog import Catalog, catalog_of
from toolkit.registry.gates import read_gate
from toolkit.registry.history import Author
from toolkit.registry.promotion import Policy, RequestQuery, Target
from toolkit.registry.records import Stage
from toolkit.spec.expression import OutputRef
from toolkit.wiring.opened import open_stores

PROJECT = """
name: wine
entry_points:
  train: {{command: "train", outputs: {{model: model}}, metrics: m.json}}
workflows:
  main:
    cache: true
    steps:
      train: {{}}
      promote: {{register: {{model: wine, from: "${{{{ steps.train.outputs.model }}}}"{more}}}}}
"""


def text(more: str = "") -> str:
    return PROJECT.format(more=f", {more}" if more else "")


def test_it_is_planned_as_the_command_that_would_do_the_same(tmp_path: Path) -> None:
    planned = plan(tmp_path, text("alias: best, stage: staging, archive_existing: true, tags: {a: '${{ run.name }}'}"))
    check_runnable(planned)
    assert dry_run(planned) == [
        "train",
        "toolkit registry register '${{ steps.train.outputs.model }}' wine --alias best --stage staging "
        "--archive-existing",
    ]
    step = planned.workflow.steps["promote"]
    assert (step.cache, planned.environment(step)) == (False, None)


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ("alias: latest", "reserved"),
        ("alias: a b", "may only contain"),
        ("stage: best", "Value must be one of None, Staging"),
        ("archive_existing: true", "there is no stage"),
        ("stage: None, archive_existing: true", "goes with Staging and Production"),
        ("archive_existing: 3", "must be true or false"),
        ("tags: 3", "must be a mapping"),
        ("description: '${{ steps.train.metrics. }}'", "this is not an expression"),
        ("tags: {a: '${{ steps.nothing.run_id }}'}", "no such step"),
    ],
)
def test_what_cannot_be_registered_is_said_before_anything_runs(tmp_path: Path, more: str, said: str) -> None:
    with pytest.raises(ProjectError, match=said) as refused:
        plan(tmp_path, text(more))
    assert refused.value.mark is not None


def test_a_search_does_not_register_each_trial(tmp_path: Path) -> None:
    searching = """
name: wine
entry_points:
  train: {parameters: {a: float}, command: "train {a}", outputs: {model: model}, metrics: m.json}
workflows:
  main:
    steps:
      train:
        search: {metric: rmse, direction: minimize, trials: 2, space: {a: [0, 1]}}
        register: {model: wine, from: model}
"""
    with pytest.raises(ProjectError, match=r"from: \"\$\{\{ steps\.train\.best\.outputs\.NAME \}\}\""):
        plan(tmp_path, searching)


def test_it_can_be_written_as_python(tmp_path: Path) -> None:
    written = flow_file(plan(tmp_path, text("alias: best, description: 'of ${{ run.name }}'")), tmp_path / "flow.py")
    assert 'promote = workflow.register("promote", model="wine", alias="best")' in written
    assert '{"from": train_run.outputs["model"]}' in written
    assert 'description=f"of {workflow.run.name}"' in written


# -- what it does ------------------------------------------------------------------------------------


@pytest.fixture
def stores() -> Iterator[Stores]:
    opened = open_stores(settings.load())
    yield opened
    opened.close()


@pytest.fixture
def catalog(stores: Stores) -> Catalog:
    return catalog_of(stores)


@pytest.fixture
def leases(stores: Stores) -> Leases:
    return Leases(stores.runs, lease_ms=60_000)


@pytest.fixture
def model(stores: Stores, leases: Leases, tmp_path: Path) -> OutputRef:
    """A model that a step has left."""
    run = RecordedRun.start(stores, leases, experiment_id="0", name="train")
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "MLmodel").write_text("flavors: {}\n")
    run.log_folder(tmp_path / "model", "model")
    run.log_metrics({"rmse": 0.5})
    run.end()
    return OutputRef(run_id=run.run_id, path="model")


def register(
    stores: Stores, leases: Leases, folder: Path, source: object, more: str, by: str = "r promote"
) -> RecordedRun:
    """Have the step register; return its run."""
    step = plan(folder / "project", text(more)).workflow.steps["promote"]
    run = RecordedRun.start(stores, leases, experiment_id="0", name="promote")
    try:
        register_for(step, {"from": source, "tags": {"n": 3}}, run, stores, by=by)
    finally:
        run.end()
    return run


def test_a_step_that_is_tried_again_makes_no_second_version(
    stores: Stores, leases: Leases, catalog: Catalog, model: OutputRef, tmp_path: Path
) -> None:
    """Another run of the workflow does; both runs show their version."""
    runs = [
        register(stores, leases, tmp_path, model, "alias: best", by)
        for by in ("one promote", "one promote", "two promote")
    ]
    shown = [stores.runs.get_run(run.run_id).data.tags[REGISTERED] for run in runs]
    assert shown == ["wine/1", "wine/1", "wine/2"]
    first, second = (catalog.registered.get_version("wine", number) for number in (1, 2))
    assert (first.run_id, first.tags, first.aliases) == (model.run_id, {"n": "3", MADE_BY: "one promote"}, ())
    assert second.aliases == ("best",)


def test_a_refused_move_fails_the_step_with_its_reason(
    stores: Stores, leases: Leases, catalog: Catalog, model: OutputRef, tmp_path: Path
) -> None:
    """And leaves the version, which a later try takes."""
    catalog.registered.create_model("wine")
    gate = Policy(target=Target(stage=Stage.PRODUCTION), gates=[read_gate("rmse < 0.3")])
    catalog.promotions.set_policies("wine", [gate])
    for _ in range(2):
        with pytest.raises(StepFailed, match=r"step 'promote': .*rmse < 0.3.*0\.5") as failure:
            register(stores, leases, tmp_path, model, "stage: Production")
        assert "\n" not in str(failure.value)
    assert catalog.registered.get_version("wine", 1).stage is Stage.NONE
    assert catalog.registered.create_version is not None
    catalog.promotions.set_policies("wine", [Policy(target=Target(stage=Stage.PRODUCTION))])
    register(stores, leases, tmp_path, model, "stage: Production")
    assert catalog.registered.get_version("wine", 1).stage is Stage.PRODUCTION


def test_where_others_must_approve_it_is_asked_for(
    stores: Stores, leases: Leases, catalog: Catalog, model: OutputRef, tmp_path: Path
) -> None:
    """If the step says so; once, however often it is tried."""
    catalog.registered.create_model("wine")
    catalog.promotions.set_policies("wine", [Policy(target=Target(alias="best"), approvals=1)])
    with pytest.raises(StepFailed, match=r"step 'promote': .*request"):
        register(stores, leases, tmp_path, model, "alias: best")
    runs = [register(stores, leases, tmp_path, model, "alias: best, request: true") for _ in range(2)]
    (asked,) = catalog.promotions.requests(RequestQuery(name="wine")).items
    assert (asked.version, str(asked.target)) == (1, "@best")
    for run in runs:
        assert stores.runs.get_run(run.run_id).data.tags[REQUESTED] == str(asked.id)
    catalog.acting(Author(user="somebody else")).promotions.approve(asked.id)
    assert catalog.registered.find_alias("wine", "best").version == 1


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("nothing", "which is no model: wanted an output of a step"),
        (3.5, "which is no model"),
        ("runs:/" + "f" * 32 + "/model", "Run with id=f+ not found"),
        ("models:/beer/1", "not found"),
    ],
)
def test_what_is_no_model_fails_the_step(
    stores: Stores, leases: Leases, source: object, said: str, tmp_path: Path
) -> None:
    with pytest.raises(StepFailed, match=said):
        register(stores, leases, tmp_path, source, "")
