"""What a deployment says of its project, schedules, and task runners, as texts: nothing runs here."""

from __future__ import annotations

import sys
from dataclasses import replace

import pytest

from toolkit.errors import InvalidValue
from toolkit.flows.deployed import Code, Deployed, read_step
from toolkit.flows.deployments import make_schedule
from toolkit.flows.task_runner import Runner, read_runner
from toolkit.transport.address import has_password

PROJECT = Deployed(
    uri="https://example.org/wine.git",
    code=Code(url="https://example.org/wine.git", commit="c" * 40, subdir="train"),
    workflow="main",
    extra={"word": "x"},
    variables={"TOOLKIT_TRACKING_URI": "https://tracking.example.org"},
    name="nightly",
)


def test_a_deployment_says_what_it_runs_and_is_read_back() -> None:
    assert read_step([PROJECT.as_step()]) == PROJECT
    snapshot = replace(PROJECT, code=Code(digest="d" * 64, run_id="r"))
    assert read_step([{"prefect.deployments.steps.set_working_directory": {}}, snapshot.as_step()]) == snapshot
    assert read_step(None) is None
    assert read_step([{"prefect.deployments.steps.git_clone": {"repository": "x"}}]) is None
    assert str(PROJECT.code) == "https://example.org/wine.git#train at cccccccccccc"
    assert str(snapshot.code) == "snapshot dddddddddddd"


@pytest.mark.parametrize(
    "change", [{"format": 2}, {"project": {"uri": "x"}}, {"project": None}], ids=["format", "code", "nothing"]
)
def test_a_deployment_of_another_version_is_told(change: dict[str, object]) -> None:
    ((name, inputs),) = PROJECT.as_step().items()
    assert isinstance(inputs, dict)
    with pytest.raises(InvalidValue, match="deploy the project again"):
        read_step([{name: {**inputs, **change}}])


def test_schedules_are_read() -> None:
    assert make_schedule() is None
    assert make_schedule(interval="90m").interval.total_seconds() == 5400  # type: ignore[union-attr]
    assert make_schedule(interval="30").interval.total_seconds() == 30  # type: ignore[union-attr]
    berlin = make_schedule(cron="0 6 * * 1-5", timezone="Europe/Berlin")
    assert (berlin.cron, berlin.timezone) == ("0 6 * * 1-5", "Europe/Berlin")  # type: ignore[union-attr]
    assert make_schedule(rrule="FREQ=MONTHLY;BYDAY=-1FR").rrule == "FREQ=MONTHLY;BYDAY=-1FR"  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"cron": "often"}, "--cron 'often' is no schedule"),
        ({"cron": "0 6 * * *", "timezone": "Mars/Base"}, "Mars/Base"),
        ({"rrule": "NEVER"}, "--rrule 'NEVER' is no schedule"),
        ({"interval": "soon"}, "--interval is 'soon'"),
        ({"interval": "0"}, "--interval is '0'"),
        ({"interval": "5m", "cron": "0 6 * * *"}, "has one schedule"),
        ({"timezone": "UTC"}, "without a schedule"),
    ],
    ids=["cron", "zone", "rrule", "interval", "zero", "two", "none"],
)
def test_what_is_no_schedule_is_refused(given: dict[str, str], said: str) -> None:
    with pytest.raises(InvalidValue) as error:
        make_schedule(**given)
    assert said in str(error.value)
    assert "\n" not in str(error.value)


def test_task_runners_are_read() -> None:
    assert read_runner(None) == read_runner("threads") == Runner()
    assert read_runner("dask=tcp://10.0.0.5:8786") == Runner(kind="dask", address="tcp://10.0.0.5:8786")
    assert str(read_runner("dask=tcp://10.0.0.5:8786")) == "dask=tcp://10.0.0.5:8786"
    assert [read_runner(kind).elsewhere for kind in ("threads", "processes", "dask")] == [False, True, True]


@pytest.mark.parametrize(
    ("text", "said"),
    [("dusk", "did you mean dask"), ("", "wanted threads"), ("threads=4", "no address"), ("dask=here", "tcp://")],
    ids=["close", "empty", "threads", "address"],
)
def test_what_is_no_task_runner_is_refused(text: str, said: str) -> None:
    with pytest.raises(InvalidValue, match="--task-runner is") as error:
        read_runner(text)
    assert said in str(error.value)


def test_a_cluster_whose_package_is_missing_names_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "prefect_ray", None)
    with pytest.raises(InvalidValue, match=r"pip install 'toolkit\[ray\]'"):
        read_runner("ray")


def test_addresses_with_secrets_are_not_deployed() -> None:
    assert not has_password("https://tracking.example.org")
    assert not has_password("sqlite:////home/x.db?timeout=3")
    assert has_password("postgresql://me:secret@db/runs")
    assert has_password("https://tracking.example.org/?token=x")
