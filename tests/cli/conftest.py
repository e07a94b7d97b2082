"""The command line in this process, and a store with something in it."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest
from calls import Answer, Cli
from s3 import aws, bucket, s3_endpoint

from toolkit import settings
from toolkit.cli.main import main
from toolkit.recording.lease import Leases
from toolkit.recording.run import RecordedRun
from toolkit.recording.stores import Stores
from toolkit.wiring.opened import open_stores

__all__ = ["aws", "bucket", "s3_endpoint"]


@pytest.fixture
def cli(capsys: pytest.CaptureFixture[str]) -> Cli:
    def call(*arguments: str) -> Answer:
        capsys.readouterr()
        code = main(list(arguments))
        said = capsys.readouterr()
        return Answer(code=code, out=said.out, err=said.err)

    return call


@pytest.fixture
def stores() -> Iterator[Stores]:
    opened = open_stores(settings.load())
    yield opened
    opened.close()


@pytest.fixture
def leases(stores: Stores) -> Leases:
    return Leases(stores.runs, lease_ms=60_000)


@pytest.fixture
def tree(stores: Stores, leases: Leases) -> list[RecordedRun]:
    """A run with two steps, all ended, the first with what a run can have."""
    experiment = stores.runs.ensure_experiment("wine")
    whole = RecordedRun.start(
        stores,
        leases,
        experiment_id=experiment.experiment_id,
        name="whole",
        tags={"team": "red"},
        params={"alpha": "0.5", "long": "first line\nsecond line"},
    )
    steps = []
    for name in ("prepare", "train"):
        time.sleep(0.002)  # runs of one millisecond have no order
        step = RecordedRun.start(
            stores, leases, experiment_id=experiment.experiment_id, name=name, parent_run_id=whole.run_id
        )
        steps.append(step)
    steps[1].log_metrics({"rmse": 0.123456789, "system/cpu_seconds": 1.0, "bad": float("nan")})
    whole.log_text("notes\n", "notes.txt")
    whole.log_text("model\n", "model/weights.txt")
    for run in reversed([whole, *steps]):
        run.end()
    return [whole, *steps]
