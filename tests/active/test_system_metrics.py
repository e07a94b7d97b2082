"""The machine's load beside a run: MLflow's keys, as long as the run is open, and never in its way."""

from __future__ import annotations

import os
import stat
import threading
import time
from pathlib import Path

import pytest

import toolkit
from toolkit.active.system_metrics import gpu_metrics, means
from toolkit.entities import Run

KEYS = {
    "cpu_utilization_percentage",
    "system_memory_usage_megabytes",
    "system_memory_usage_percentage",
    "disk_usage_percentage",
    "disk_usage_megabytes",
    "disk_available_megabytes",
    "network_receive_megabytes",
    "network_transmit_megabytes",
}


@pytest.fixture(autouse=True)
def often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TOOLKIT_SYSTEM_METRICS_SAMPLING_INTERVAL", "0.05")


def with_points(run_id: str, step: int) -> Run:
    """Return a run once it has system metrics up to a step."""
    until = time.monotonic() + 30
    while time.monotonic() < until:
        run = toolkit.get_run(run_id)
        if any(point.step >= step for key, point in run.data.latest.items() if key.startswith("system/")):
            return run
        time.sleep(0.05)
    raise AssertionError("no system metrics in 30 seconds")


def watchers() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "toolkit-system-metrics"]


def test_a_run_may_ask_for_it() -> None:
    with toolkit.start_run(log_system_metrics=True) as run:
        found = with_points(run.info.run_id, 1)
    assert {key.removeprefix("system/") for key in found.data.metrics if "gpu" not in key} == KEYS
    assert 0 <= found.data.metrics["system/system_memory_usage_percentage"] <= 100
    assert watchers() == []
    last = max(point.step for point in toolkit.get_run(run.info.run_id).data.latest.values())
    with toolkit.start_run(run_id=run.info.run_id, log_system_metrics=True):
        with_points(run.info.run_id, last + 1)
    history = toolkit.Client().get_metric_history(run.info.run_id, "system/cpu_utilization_percentage")
    assert [point.step for point in history] == list(range(len(history)))


def test_the_settings_may_ask_for_it(monkeypatch: pytest.MonkeyPatch) -> None:
    with toolkit.start_run() as run:
        assert watchers() == []
    monkeypatch.setenv("MLFLOW_ENABLE_SYSTEM_METRICS_LOGGING", "true")
    monkeypatch.setenv("MLFLOW_SYSTEM_METRICS_NODE_ID", "node-3")
    with toolkit.start_run(log_system_metrics=False):
        assert watchers() == []
    with toolkit.start_run() as run:
        found = with_points(run.info.run_id, 0)
    assert "system/node-3/cpu_utilization_percentage" in found.data.metrics


def test_the_verbs_ask_for_it(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("ENABLE_SYSTEM_METRICS_LOGGING", "SYSTEM_METRICS_SAMPLES_BEFORE_LOGGING", "SYSTEM_METRICS_NODE_ID"):
        monkeypatch.setenv(f"TOOLKIT_{name}", "")
    toolkit.enable_system_metrics_logging()
    toolkit.set_system_metrics_sampling_interval(0.02)
    toolkit.set_system_metrics_samples_before_logging(3)
    toolkit.set_system_metrics_node_id("here")
    with toolkit.start_run() as run:
        with_points(run.info.run_id, 0)
    toolkit.disable_system_metrics_logging()
    with toolkit.start_run():
        assert watchers() == []


def test_what_cannot_be_measured_is_left_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "nvidia-smi"
    program.write_text("#!/bin/sh\nexit 9\n")
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    with toolkit.start_run(log_system_metrics=True) as run:
        found = with_points(run.info.run_id, 0)
    assert not any("gpu" in key for key in found.data.metrics)


def test_gpus(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "nvidia-smi"
    program.write_text("#!/bin/sh\necho '0, 1024, 4096, 37, 65.00, 260.00'\necho '1, 0, 4096, [N/A], [N/A], [N/A]'\n")
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    with toolkit.start_run(log_system_metrics=True) as run:
        metrics = with_points(run.info.run_id, 0).data.metrics
    assert {key.removeprefix("system/"): value for key, value in metrics.items() if "gpu" in key} == {
        "gpu_0_memory_usage_megabytes": 1073.7,
        "gpu_0_memory_usage_percentage": 25.0,
        "gpu_0_utilization_percentage": 37.0,
        "gpu_0_power_usage_watts": 65.0,
        "gpu_0_power_usage_percentage": 25.0,
        "gpu_1_memory_usage_megabytes": 0.0,
        "gpu_1_memory_usage_percentage": 0.0,
    }


def test_reports_of_other_kinds_are_no_metrics() -> None:
    assert gpu_metrics("") == {}
    assert gpu_metrics("No devices were found\n") == {}


def test_several_samples_make_one_point() -> None:
    samples = [{"a": 1.0, "network_receive_megabytes": 1.0}, {"a": 2.0, "b": 4.0, "network_receive_megabytes": 5.0}]
    assert means(samples, "system/") == {"system/a": 1.5, "system/b": 4.0, "system/network_receive_megabytes": 5.0}
