"""Steps that deploy: what they are planned as, and what is refused before anything runs."""

from __future__ import annotations

from pathlib import Path

import pytest
from projects import plan

from toolkit.errors import NotYetSupported, ProjectError
from toolkit.flows.export import flow_file
from toolkit.flows.plan import check_runnable, dry_run
from toolkit.spec.graph import dependencies
from toolkit.wiring.request import RunRequest
from toolkit.wiring.runs import plan_project

PROJECT = """
name: wine
entry_points:
  train: {command: "train", outputs: {model: model}, metrics: m.json}
workflows:
  main:
    cache: true
    parameters: {count: {type: int, default: 2}}
    steps:
      train: {}
      promote: {register: {model: wine, from: "${{ steps.train.outputs.model }}"}}
      serve:
        deploy: DEPLOY
"""


def text(deploy: str) -> str:
    return PROJECT.replace("DEPLOY", deploy)


def test_it_is_planned_as_the_command_that_does_it(tmp_path: Path) -> None:
    wanted = (
        '{name: wine, model: "${{ steps.promote.parameters.uri }}", workers: "${{ parameters.count }}", target: docker,'
        " options: {port: 3001, run.user: a b}, config: {timeout: 30}, follow_alias: best, reason: it's better}"
    )
    planned = plan(tmp_path, text(wanted))
    check_runnable(planned)
    assert dry_run(planned)[-1] == (
        "toolkit deployments create --or-update --name wine --model '${{ steps.promote.parameters.uri }}' "
        "--target docker --workers 2 --follow-alias best --reason 'it'\"'\"'s better' --option port=3001 "
        "--option run.user='a b' --config timeout=30 --json > deployment.json"
    )
    step = planned.workflow.steps["serve"]
    assert dependencies(step) == {"promote"}
    assert (step.cache, planned.environment(step)) == (False, None)
    assert planned.entry_points["serve"].outputs == {"deployment": "deployment.json"}


def test_there_is_no_python_for_it_yet(tmp_path: Path) -> None:
    with pytest.raises(NotYetSupported, match="step 'serve' has 'deploy'"):
        flow_file(plan(tmp_path, text("{name: wine, model: wine/1}")), tmp_path / "flow.py")


@pytest.mark.parametrize(
    ("deploy", "told"),
    [
        ("{name: a/b, model: wine/1}", "MLproject:13:17: 'deploy': deployment 'a/b': wanted a name"),
        ("{name: a, model: wine/1, target: moon}", "there is no target 'moon': there are local, docker"),
        ("{name: a, model: wine/1, workers: 0}", "workers is 0: wanted 1 or more"),
    ],
    ids=["name", "target", "workers"],
)
def test_what_can_never_be_deployed_is_refused_before_anything_runs(tmp_path: Path, deploy: str, told: str) -> None:
    (tmp_path / "MLproject").write_text(text(deploy), encoding="utf-8")
    with pytest.raises(ProjectError, match=r"'deploy'") as raised:
        plan_project(RunRequest(uri=str(tmp_path)))
    assert told in str(raised.value)
