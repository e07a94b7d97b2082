"""The load of the machine as metrics of a run: processor, memory, disk, network, and NVIDIA's GPUs.

A thread samples as long as the run is open. What it cannot measure it leaves out; it never fails the run.
"""

from __future__ import annotations

import csv
import logging
import os
import shutil
import subprocess
import threading
from collections.abc import Callable, Mapping, Sequence

from toolkit.errors import ToolkitError
from toolkit.recording.run import RecordedRun
from toolkit.settings import Settings
from toolkit.tracking.records import SYSTEM

logger = logging.getLogger(__name__)

_MEGA = 1e6
_MEBI = 1024 * 1024 / 1e6  # nvidia-smi says MiB, the keys say megabytes
_GPU_FIELDS = ("index", "memory.used", "memory.total", "utilization.gpu", "power.draw", "power.limit")
_GPU_WAIT = 5.0
_JOIN = 2.0

Sample = dict[str, float]


class SystemMetrics:
    """Samples the load for one run.

    Args:
        run: The run; it is written to until `stop`.
        interval: Seconds between two samples.
        samples: How many make one point, their mean.
        node_id: Name of this machine in the keys.
    """

    def __init__(self, run: RecordedRun, *, interval: float, samples: int, node_id: str | None) -> None:
        self._run = run
        self._interval = interval
        self._samples = samples
        self._prefix = f"{SYSTEM}{node_id}/" if node_id else SYSTEM
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="toolkit-system-metrics", daemon=True)

    @classmethod
    def of(cls, run: RecordedRun, settings: Settings) -> SystemMetrics:
        """Return what samples for a run as the settings say."""
        return cls(
            run,
            interval=settings.system_metrics_sampling_interval,
            samples=settings.system_metrics_samples_before_logging,
            node_id=settings.system_metrics_node_id,
        )

    def start(self) -> None:
        """Begin to sample."""
        self._thread.start()

    def stop(self) -> None:
        """Stop. What was sampled since the last point is not logged."""
        self._stopped.set()
        if self._thread.is_alive() and self._thread is not threading.current_thread():
            self._thread.join(_JOIN)

    def _watch(self) -> None:
        try:
            probes = [_load, _disk, _network()]
            if shutil.which("nvidia-smi"):
                probes.append(_gpus)
            step = self._first_step()
            while not self._stopped.is_set():
                taken: list[Sample] = []
                while len(taken) < self._samples and not self._stopped.is_set():
                    taken.append(_sample(probes))
                    self._stopped.wait(self._interval)
                if not self._stopped.is_set():
                    self._run.log_metrics(means(taken, self._prefix), step=step)
                    step += 1
        except Exception as error:  # noqa: BLE001 - a thread beside training: whatever it meets must not reach the user
            logger.warning("the machine's load is no longer logged with run %s: %s", self._run.run_id, error)

    def _first_step(self) -> int:
        """Return the step after the last one: a run that goes on has points already."""
        try:
            latest = self._run.read().data.latest
        except ToolkitError:
            return 0
        return max((point.step + 1 for key, point in latest.items() if key.startswith(self._prefix)), default=0)


def means(samples: Sequence[Sample], prefix: str) -> Sample:
    """Return the mean of each metric over those samples that have it; of what only grows, the last value."""
    keys = dict.fromkeys(key for sample in samples for key in sample)
    result = {}
    for key in keys:
        values = [sample[key] for sample in samples if key in sample]
        result[prefix + key] = values[-1] if key.startswith("network_") else round(sum(values) / len(values), 1)
    return result


def gpu_metrics(report: str) -> Sample:
    """Return what ``nvidia-smi --format=csv,noheader,nounits`` says of each GPU; what it does not know is left out."""
    found: Sample = {}
    for row in csv.reader(report.splitlines(), skipinitialspace=True):
        told = dict(zip(_GPU_FIELDS, row, strict=False))
        values = {name: number for name, text in told.items() if (number := _number(text)) is not None}
        if "index" not in values:
            continue
        start = f"gpu_{int(values['index'])}_"
        if "memory.used" in values:
            found[f"{start}memory_usage_megabytes"] = values["memory.used"] * _MEBI
            if values.get("memory.total"):
                found[f"{start}memory_usage_percentage"] = values["memory.used"] / values["memory.total"] * 100
        if "utilization.gpu" in values:
            found[f"{start}utilization_percentage"] = values["utilization.gpu"]
        if "power.draw" in values:
            found[f"{start}power_usage_watts"] = values["power.draw"]
            if values.get("power.limit"):
                found[f"{start}power_usage_percentage"] = values["power.draw"] / values["power.limit"] * 100
    return found


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:  # [N/A], [Not Supported]
        return None


def _sample(probes: Sequence[Callable[[], Mapping[str, float]]]) -> Sample:
    sample: Sample = {}
    for probe in probes:
        try:
            sample.update(probe())
        except Exception as error:  # noqa: BLE001 - containers and drivers refuse in many ways; the others go on
            logger.debug("a part of the machine's load cannot be measured: %s", error)
    return sample


def _load() -> Sample:
    import psutil  # noqa: PLC0415 - with the first sample only

    memory = psutil.virtual_memory()
    return {
        "cpu_utilization_percentage": psutil.cpu_percent(),
        "system_memory_usage_megabytes": memory.used / _MEGA,
        "system_memory_usage_percentage": memory.used / memory.total * 100,
    }


def _disk() -> Sample:
    import psutil  # noqa: PLC0415 - with the first sample only

    usage = psutil.disk_usage(os.sep)
    return {
        "disk_usage_percentage": usage.percent,
        "disk_usage_megabytes": usage.used / _MEGA,
        "disk_available_megabytes": usage.free / _MEGA,
    }


def _network() -> Callable[[], Sample]:
    """Return what tells how much went over the network since now."""
    import psutil  # noqa: PLC0415 - with the first sample only

    begun = psutil.net_io_counters()

    def since() -> Sample:
        now = psutil.net_io_counters()
        return {
            "network_receive_megabytes": (now.bytes_recv - begun.bytes_recv) / _MEGA,
            "network_transmit_megabytes": (now.bytes_sent - begun.bytes_sent) / _MEGA,
        }

    return since


def _gpus() -> Sample:
    command = ["nvidia-smi", f"--query-gpu={','.join(_GPU_FIELDS)}", "--format=csv,noheader,nounits"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=_GPU_WAIT, check=True)
    return gpu_metrics(done.stdout)
