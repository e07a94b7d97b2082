"""A backend for stock MLflow's projects: ``mlflow run -b toolkit URI`` runs the project as a flow of toolkit's.

This module lives in MLflow's environment, whose packages do not fit with ours: it needs Python and MLflow only, and
starts the program ``toolkit`` of another environment. Its entry point is in the group ``mlflow.project_backend``.
"""

from __future__ import annotations

import importlib.util
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import click
from mlflow.entities import RunStatus
from mlflow.exceptions import ExecutionException
from mlflow.projects.backend.abstract_backend import AbstractBackend
from mlflow.projects.submitted_run import SubmittedRun
from mlflow.tracking import MlflowClient
from mlflow.utils.rest_utils import http_request

_RUN = re.compile(r"run (.*) \(([0-9a-f]{32})\)\s*$")
"""The line in which ``toolkit run`` says which run it is."""

_OURS = ("program", "workflow", "env_manager", "tracking_uri", "options")
"""Keys of the backend's configuration."""

_MLFLOWS = ("ENV_MANAGER", "SYNCHRONOUS", "DOCKER_ARGS", "STORAGE_DIR", "build_image", "docker_auth")
"""Keys that MLflow adds to it."""

_MANAGERS = {"local": "local", "uv": "uv", "virtualenv": "uv", "conda": "conda"}


class ToolkitBackend(AbstractBackend):  # type: ignore[misc]  # MLflow is not there where this is checked
    """Runs projects with the program ``toolkit``."""

    def run(
        self,
        project_uri: str,
        entry_point: str,
        params: Mapping[str, object] | None,
        version: str | None,
        backend_config: Mapping[str, Any] | None,
        tracking_uri: str,
        experiment_id: str | None,
    ) -> ToolkitRun:
        """Start a project; arguments as MLflow gives them.

        Raises:
            ExecutionException: There is no program, the configuration is wrong, or the run did not begin.
        """
        config = _checked(backend_config or {})
        ours = _is_ours(tracking_uri)
        command = [*_program(config), "run", project_uri, *_options(config, entry_point, version)]
        for name, value in (params or {}).items():
            command += ["-P", f"{name}={value}"]
        client = MlflowClient()
        variables = dict(os.environ)
        if ours:
            variables["TOOLKIT_TRACKING_URI"] = tracking_uri
            command += ["--experiment-id", str(experiment_id or "0")]
            return _begun(ToolkitRun(command, variables), config)
        for name in [name for name in variables if name.startswith("MLFLOW_")]:
            del variables[name]
        if config.get("tracking_uri"):
            variables["TOOLKIT_TRACKING_URI"] = str(config["tracking_uri"])
        experiment = client.get_experiment(str(experiment_id or "0"))
        command += ["--experiment-name", experiment.name]
        _say(
            f"toolkit: {_shown(tracking_uri)} is no toolkit server, so the steps are recorded in toolkit's own store;"
            " MLflow's run gets the parameters, the metrics and the status of the whole when it ends"
        )
        mirror = _Mirror(client, experiment.experiment_id, _program(config), variables)
        return _begun(ToolkitRun(command, variables, mirror=mirror), config)


class ToolkitRun(SubmittedRun):  # type: ignore[misc]  # MLflow is not there where this is checked
    """A project that runs: the process of ``toolkit run``.

    Args:
        command: What to start.
        variables: Its environment.
        mirror: Keeps a run in MLflow's store, where that is not the one that toolkit records in.
    """

    def __init__(self, command: Sequence[str], variables: Mapping[str, str], mirror: _Mirror | None = None) -> None:
        super().__init__()
        self._mirror = mirror
        self._run_id: str | None = None
        self._last = ""
        self._known = threading.Event()
        try:
            self._process = subprocess.Popen(
                list(command),
                env={**variables, "PYTHONUNBUFFERED": "1"},
                stdin=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                text=True,
                errors="replace",
                start_new_session=True,  # Ctrl-C reaches MLflow, which calls `cancel`
            )
        except OSError as error:
            raise ExecutionException(
                f"{command[0]} cannot be started ({error.strerror}): say in TOOLKIT_PROGRAM how toolkit is called"
            ) from error
        self._reader = threading.Thread(target=self._read, name="toolkit-run")  # MLflow's process waits for its end
        self._reader.start()

    def begun(self) -> None:
        """Wait until the run is there.

        Raises:
            ExecutionException: It did not begin.
        """
        self._known.wait()
        if self._run_id is None:
            self._reader.join()
            raise ExecutionException(
                self._last.removeprefix("error: ")
                or f"toolkit ended with {self._process.returncode} before the run began"
            )

    @property
    def run_id(self) -> str | None:
        """The run, in the store that MLflow's client uses."""
        return self._mirror.run_id if self._mirror is not None else self._run_id

    def wait(self) -> bool:
        """Wait for the end; return whether it ended well."""
        self._reader.join()
        return self._process.wait() == 0

    def get_status(self) -> Any:  # noqa: ANN401 - a number of MLflow's
        """Return where it stands."""
        code = self._process.poll()
        if code is None or self._reader.is_alive():
            return RunStatus.RUNNING
        return RunStatus.FINISHED if code == 0 else RunStatus.FAILED if code in (1, 2) else RunStatus.KILLED

    def cancel(self) -> None:
        """Stop it, and wait for its end."""
        if self._process.poll() is None:
            self._process.terminate()
        self.wait()

    def _read(self) -> None:
        """Pass on what the program says, until it has ended."""
        try:
            assert self._process.stderr is not None
            for line in self._process.stderr:
                sys.stderr.write(line)
                sys.stderr.flush()
                self._last = line.strip() or self._last
                found = None if self._run_id else _RUN.match(line)
                if found:
                    self._run_id = found[2]
                    if self._mirror is not None:
                        self._mirror.begin(found[2], found[1])
                    self._known.set()
            code = self._process.wait()
            if self._mirror is not None and self._run_id:
                self._mirror.end(code)
        finally:
            self._known.set()


def _begun(submitted: ToolkitRun, config: Mapping[str, Any]) -> ToolkitRun:
    """Return a run that has begun.

    MLflow's command line waits for its own backends only, and would say that all is well whatever becomes of the run.

    Raises:
        ExecutionException: It did not begin.
    """
    submitted.begun()
    command = click.get_current_context(silent=True)
    if command is not None and not config.get("SYNCHRONOUS"):
        command.call_on_close(partial(_end_with, submitted))
    return submitted


def _end_with(submitted: ToolkitRun) -> None:
    """Wait for a run, and end the command with 1 if it failed."""
    try:
        well = submitted.wait()
    except KeyboardInterrupt:
        submitted.cancel()
        raise
    if not well:
        sys.exit(1)


class _Mirror:
    """The run in MLflow's own store.

    Args:
        client: Client of the store.
        experiment_id: Its experiment.
        program: The program that knows the run of toolkit's.
        variables: Its environment.
    """

    def __init__(
        self,
        client: Any,  # noqa: ANN401 - MLflow's
        experiment_id: str,
        program: Sequence[str],
        variables: Mapping[str, str],
    ) -> None:
        self._variables = dict(variables)
        self._client = client
        self._experiment_id = experiment_id
        self._program = program
        self._theirs = ""
        self.run_id: str | None = None

    def begin(self, run_id: str, name: str) -> None:
        """Make the run, for one of toolkit's."""
        self._theirs = run_id
        run = self._client.create_run(self._experiment_id, run_name=name, tags={"toolkit.run_id": run_id})
        self.run_id = run.info.run_id

    def end(self, code: int) -> None:
        """Give it what the whole has recorded, and its state."""
        done = subprocess.run(
            [*self._program, "runs", "show", self._theirs, "--json"],
            env=self._variables,
            capture_output=True,
            text=True,
            check=False,
        )
        told = json.loads(done.stdout) if done.returncode == 0 else {}
        for name, value in told.get("params", {}).items():
            self._client.log_param(self.run_id, name, value)
        for name, value in told.get("metrics", {}).items():
            self._client.log_metric(self.run_id, name, float(value))
        for name, value in told.get("tags", {}).items():
            if name.startswith(("mlflow.source.", "mlflow.project.entryPoint", "prefect.")):
                self._client.set_tag(self.run_id, name, value)
        self._client.set_terminated(self.run_id, "FINISHED" if code == 0 else "FAILED" if code in (1, 2) else "KILLED")


def _checked(config: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the configuration.

    Raises:
        ExecutionException: There is an unknown key, or a value that cannot be met.
    """
    unknown = [key for key in config if key not in (*_OURS, *_MLFLOWS)]
    if unknown:
        raise ExecutionException(
            f"the backend's configuration has the unknown key {unknown[0]!r}: there are {', '.join(_OURS)}"
        )
    if config.get("docker_auth"):
        raise ExecutionException("the backend toolkit does not take docker_auth: log in with docker login before")
    return config


def _options(config: Mapping[str, Any], entry_point: str, version: str | None) -> list[str]:
    options: list[str] = []
    if config.get("workflow"):
        options += ["-w", str(config["workflow"])]
    elif entry_point != "main":  # `main` is what MLflow says where the user says nothing: the workflow, if there is one
        options += ["-e", entry_point]
    if version:
        options += ["-v", version]
    manager = config.get("env_manager") or _MANAGERS.get(str(config.get("ENV_MANAGER")))
    if manager:
        options += ["--env-manager", str(manager)]
    for name, value in (config.get("DOCKER_ARGS") or {}).items():
        options += ["-A", name if value is True else f"{name}={value}"]
    if config.get("build_image"):
        options.append("--build-image")
    return options + [str(option) for option in config.get("options") or ()]


def _program(config: Mapping[str, Any]) -> list[str]:
    """Return how toolkit is called: as configured, as TOOLKIT_PROGRAM says, or as it is found on the PATH.

    Raises:
        ExecutionException: It is not found.
    """
    said = config.get("program") or dict(os.environ).get("TOOLKIT_PROGRAM")  # our settings need packages of our own
    if said:
        return shlex.split(said) if isinstance(said, str) else [str(word) for word in said]
    here = Path(sys.prefix).resolve()
    whole = importlib.util.find_spec("typer") is not None and importlib.util.find_spec("prefect") is not None
    for folder in os.environ.get("PATH", os.defpath).split(os.pathsep):
        found = shutil.which("toolkit", path=folder or ".")
        if found and (
            whole or not Path(folder).resolve().is_relative_to(here)
        ):  # ours here has no packages to run with
            return [found]
    raise ExecutionException(
        "the program toolkit is not on the PATH: install it in an environment of its own (uv tool install toolkit), or"
        " say in TOOLKIT_PROGRAM how it is called"
    )


def _is_ours(tracking_uri: str) -> bool:
    """Tell whether a tracking URI names a toolkit server."""
    if not tracking_uri.startswith(("http://", "https://")):
        return False
    from mlflow.tracking._tracking_service.utils import _get_store  # noqa: PLC0415 - its place has changed before

    try:
        answer = http_request(_get_store(tracking_uri).get_host_creds(), "/api/v1/about", "GET", max_retries=0)
        return bool(answer.status_code == 200 and answer.json().get("server") == "toolkit")
    except Exception:  # noqa: BLE001 - whatever MLflow's client raises: the run goes on, and says where it is recorded
        return False


def _shown(uri: str) -> str:
    """Return a URI without a password."""
    return re.sub(r"//[^/@]*@", "//", uri)


def _say(text: str) -> None:
    sys.stderr.write(f"{text}\n")
    sys.stderr.flush()
