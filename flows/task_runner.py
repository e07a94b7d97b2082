"""What starts the steps of a flow: threads or processes here, or a Dask or Ray cluster that is there already."""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from importlib import import_module
from typing import Any

from toolkit.errors import InvalidValue

THREADS = "threads"
KINDS = (THREADS, "processes", "dask", "ray")
_SETS = {
    "dask": ("prefect_dask", "DaskTaskRunner", "tcp://10.0.0.5:8786"),
    "ray": ("prefect_ray", "RayTaskRunner", "ray://10.0.0.5:10001"),
}
"""Of each cluster: the package that reaches it, its task runner, and what an address looks like."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Runner:
    """What starts steps.

    Attributes:
        kind: One of `KINDS`.
        address: Of a cluster; ``None``: one of this machine's own, for the length of the run.
    """

    kind: str = THREADS
    address: str | None = None

    @property
    def elsewhere(self) -> bool:
        """Whether steps are started by other processes, maybe on other machines."""
        return self.kind != THREADS

    def __str__(self) -> str:
        """Return it as it is written."""
        return f"{self.kind}={self.address}" if self.address else self.kind


def read_runner(text: str | None) -> Runner:
    """Return what a text such as ``threads`` or ``dask=tcp://10.0.0.5:8786`` names.

    Raises:
        InvalidValue: It names none, or what reaches the cluster is not installed.
    """
    if text is None:
        return Runner()
    kind, _, address = text.partition("=")
    if kind not in KINDS:
        close = difflib.get_close_matches(kind, KINDS, n=1)
        meant = f"did you mean {close[0]}?" if close else f"wanted {', '.join(KINDS[:-1])} or {KINDS[-1]}"
        raise InvalidValue(
            f"--task-runner is {text!r}: {meant}, of a cluster with its address (dask=tcp://10.0.0.5:8786)"
        )
    if address and kind not in _SETS:
        raise InvalidValue(f"--task-runner is {text!r}: {kind} are started here and have no address")
    if kind in _SETS:
        package, _, example = _SETS[kind]
        if address and "://" not in address and address != "auto":
            raise InvalidValue(f"--task-runner is {text!r}: wanted an address such as {kind}={example}")
        try:
            import_module(package)
        except ImportError as error:
            raise InvalidValue(
                f"--task-runner {kind} needs {package.replace('_', '-')} ({error}): pip install 'toolkit[{kind}]'"
            ) from None
    return Runner(kind=kind, address=address or None)


def make_runner(runner: Runner, *, max_parallel: int) -> Any:  # noqa: ANN401 - task runners share no type that is open
    """Return Prefect's task runner.

    Args:
        runner: Which.
        max_parallel: How many steps may run at the same time.
    """
    from prefect.task_runners import ProcessPoolTaskRunner, ThreadPoolTaskRunner  # noqa: PLC0415 - imports Prefect

    if runner.kind == THREADS:
        return ThreadPoolTaskRunner(max_workers=max_parallel)
    if runner.kind == "processes":
        return ProcessPoolTaskRunner(max_workers=max_parallel)
    package, name, _ = _SETS[runner.kind]
    made = getattr(import_module(package), name)
    return made(address=runner.address) if runner.address else made()
