"""One step: a tracked run around a command, from its parameters to its outputs."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TextIO

from toolkit.errors import InvalidValue, NotFound, StepFailed, StoreError
from toolkit.flows.container_step import CONTAINER_TAG, ContainerStep
from toolkit.flows.context import RunContext
from toolkit.flows.environments.prepared import PreparedEnvironment
from toolkit.flows.input_record import INPUTS, INPUTS_PATH, InputRecord, as_datasets, as_text, fits_a_tag
from toolkit.flows.mlflow_environment import stand_in
from toolkit.flows.mlflow_step import end_left_open, mlflow_variables, step_tags
from toolkit.flows.plan import Plan
from toolkit.flows.process import CommandProcess, CommandSpec, Exit
from toolkit.flows.registration import Registered, register_for, registered_result, told
from toolkit.flows.workspace import Workspace
from toolkit.recording import context as tag
from toolkit.recording.growing import Growing
from toolkit.recording.lease import PROCESS_TAG, process_tag
from toolkit.recording.run import RecordedRun
from toolkit.settings import environment
from toolkit.spec.command import command_argv
from toolkit.spec.expression import OutputRef, StepResult
from toolkit.spec.location import locate
from toolkit.spec.project import EntryPoint, Step
from toolkit.tracking.records import ArtifactEntry, RunStatus

LOG_PATH = "logs/output.log"
LOCK_PATH = "environment/requirements.lock"
DOCKER_IMAGE = "mlflow.docker.image.uri"
DOCKER_IMAGE_ID = "mlflow.docker.image.id"
_MLFLOW = ("MLFLOW_TRACKING_URI", "MLFLOW_REGISTRY_URI")


@dataclass(frozen=True, kw_only=True, slots=True)
class Invocation:
    """One run of a step that is to be made.

    Attributes:
        step: The step.
        label: Name with what tells it from its siblings.
        values: The entry point's parameters.
        before: Labels of the runs before it, by step.
        tags: What its run says besides: of a trial of a search.
        registers: What it registers after its command; ``None``: nothing.
    """

    step: Step
    label: str
    values: Mapping[str, object]
    before: Mapping[str, Sequence[str]] = field(default_factory=dict)
    tags: Mapping[str, str] = field(default_factory=dict)
    registers: Mapping[str, object] | None = None


class StepStopped(StepFailed):
    """The step was ended because the run is to stop."""


class StepRunner:
    """Runs one invocation of a step, once.

    Args:
        run_context: What all steps of the workflow run share.
        invocation: What to run.
        log: Takes a line for Prefect's log.
    """

    def __init__(self, run_context: RunContext, invocation: Invocation, *, log: Callable[[str], None]) -> None:
        self._context = run_context
        self._plan: Plan = run_context.plan
        self._invocation = invocation
        self._step = invocation.step
        self._entry: EntryPoint = self._plan.entry_points[invocation.step.name]
        self._log = log
        self._stop = run_context.stop_of(invocation.label)

    def run(self, *, attempt: int = 1) -> StepResult:
        """Open the step's run, execute its command, collect what it leaves, and give the run its final state.

        Args:
            attempt: The how-manieth try this is.

        Raises:
            StepFailed: The command failed, took too long, or did not leave what it declares.
            StepStopped: The run is to stop.
        """
        recorded = self._open(attempt)
        folder = self._context.work / recorded.run_id
        folder.mkdir(parents=True)
        try:
            result = self._execute(recorded, folder)
        except StepStopped as error:
            self._end(recorded, RunStatus.KILLED, str(error))
            raise
        except BaseException as error:
            with suppress(StoreError):  # where to look is worth less than the run's own end
                recorded.set_tags({"toolkit.workspace": folder})
            self._end(recorded, RunStatus.FAILED, str(error)[:1000] or type(error).__name__)
            raise
        self._end(recorded, RunStatus.FINISHED)
        return result

    # -- the run -----------------------------------------------------------------------------------

    def _open(self, attempt: int) -> RecordedRun:
        context = self._context
        tags = {
            **context.source_tags,
            tag.ENTRY_POINT: self._entry.name,
            tag.PROJECT_BACKEND: "prefect",
            "toolkit.step": self._step.name,
            "toolkit.attempt": str(attempt),
            **self._invocation.tags,
            **(context.cache.tags(self._invocation) if context.cache else {}),
        }
        prepared = context.environment(self._step)
        if prepared.kind != "local":
            tags[tag.PROJECT_ENV] = prepared.kind
        tags["toolkit.environment"] = prepared.key
        if prepared.python:
            tags[tag.PYTHON] = prepared.python
        if prepared.container is not None:
            tags |= {DOCKER_IMAGE: prepared.container.image, DOCKER_IMAGE_ID: prepared.container.image_id}
        parameters = {**self._invocation.values, **self._plan.extra}
        recorded = RecordedRun.start(
            context.stores,
            context.leases,
            experiment_id=context.parent.info.experiment_id,
            name=self._invocation.label,
            parent_run_id=context.parent.run_id,
            tags=tags,
            params={name: "" if value is None else _plain(value) for name, value in parameters.items()},
        )
        if context.tracking_server is not None:  # MLflow's clients end the runs that they resume
            context.leases.keep_open(recorded.run_id)
        context.opened(self._invocation.label, recorded.run_id)
        return recorded

    def _execute(self, recorded: RecordedRun, folder: Path) -> StepResult:
        if self._step.deploy is not None and not self._plan.registers:
            return self._not_again(recorded, folder)
        if self._step.entry_point is None and self._step.deploy is None:
            recorded.log_text(self._context.environment(self._step).lock, LOCK_PATH)
            done = self._register(recorded, self._invocation.values, {})
            shutil.rmtree(folder, ignore_errors=True)
            return registered_result(self._step, done, self._invocation.values, recorded.run_id)
        prepared = self._context.environment(self._step)
        inside = self._inside(prepared, folder)
        workspace = inside.workspace if inside else self._workspace(folder)
        workspace.make()
        command, inputs = self._command(folder, inside)
        inputs.begin()
        output = folder / "output.log"
        following = Growing(recorded, output, LOG_PATH)
        with output.open("w", encoding="utf-8", errors="surrogateescape") as log, following:
            recorded.set_tags({"toolkit.command": command[:8000]})
            if inside is not None:
                ended = self._run_inside(inside, recorded, command, log)
            else:
                ended = self._run_here(recorded, command, workspace.directory, log)
        recorded.log_text(prepared.lock, LOCK_PATH)
        recorded.log_file(output, LOG_PATH)
        following.forget()
        self._record_end(recorded, ended)
        self._check_end(ended, command)
        self._record_inputs(recorded, inputs)
        metrics = self._log_metrics(recorded, workspace)
        outputs = self._log_outputs(recorded, workspace)
        if self._invocation.registers is not None:
            self._register(recorded, self._invocation.registers, outputs)
        self._clean(recorded, workspace, folder)
        return StepResult(
            name=self._step.name,
            run_id=recorded.run_id,
            status=RunStatus.FINISHED,
            parameters=dict(self._invocation.values),
            metrics=metrics or dict(recorded.read().data.metrics),
            outputs=outputs,
        )

    def _register(
        self, recorded: RecordedRun, values: Mapping[str, object], outputs: Mapping[str, OutputRef]
    ) -> Registered | None:
        """Register what the step is to register, and say so; ``None``: an earlier run is made again."""
        if not self._plan.registers:
            return None
        by = f"{self._context.parent.run_id} {self._invocation.label}"
        done = register_for(self._step, values, recorded, self._context.stores, by=by, outputs=outputs)
        self._context.reporter.note(f"{self._invocation.label}: {told(done)}")
        self._log(told(done))
        return done

    def _not_again(self, recorded: RecordedRun, folder: Path) -> StepResult:
        """Leave out what a run that is made again does not do once more: nothing is deployed."""
        self._log("an earlier run is made again: nothing is deployed")
        shutil.rmtree(folder, ignore_errors=True)
        values = dict(self._invocation.values)
        return StepResult(name=self._step.name, run_id=recorded.run_id, status=RunStatus.FINISHED, parameters=values)

    def _workspace(self, folder: Path) -> Workspace:
        return Workspace(project=self._plan.project.directory, entry_point=self._entry, folder=folder / "workspace")

    def _inside(self, prepared: PreparedEnvironment, folder: Path) -> ContainerStep | None:
        if prepared.container is None:
            return None
        return ContainerStep(
            prepared.container,
            self._entry,
            project=self._plan.project.directory,
            folder=folder,
            home=self._context.stores.home,
        )

    def _run_here(self, recorded: RecordedRun, command: str, directory: Path, log: TextIO) -> Exit:
        running = CommandProcess(
            CommandSpec(
                argv=command_argv(self._entry, command),
                directory=directory,
                environment=environment(**self._variables(recorded, directory)),
                timeout=self._step.timeout,
                grace=self._context.grace,
            ),
            on_line=lambda line: self._on_line(line, log),
            stop=self._stop,
        )
        with running as process:
            owner = process.start()
            recorded.set_tags({PROCESS_TAG: process_tag(owner)})
            return process.wait()

    def _run_inside(self, inside: ContainerStep, recorded: RecordedRun, command: str, log: TextIO) -> Exit:
        return inside.run(
            command,
            self._variables(recorded, inside.workspace.directory),
            server=self._context.tracking_server,
            run_id=recorded.run_id,
            timeout=self._step.timeout,
            grace=self._context.grace,
            on_line=lambda line: self._on_line(line, log),
            stop=self._stop,
            started=lambda container: recorded.set_tags({CONTAINER_TAG: container}),
        )

    # -- the command -------------------------------------------------------------------------------

    def _command(self, folder: Path, inside: ContainerStep | None = None) -> tuple[str, InputRecord]:
        """Return the command, and what keeps a record of the data that it is given."""
        plan = self._plan
        located, warnings = locate(
            self._entry,
            self._invocation.values,
            given=plan.given_here,
            caller=plan.caller,
            project=plan.project.directory,
            fetch=lambda uri: self._fetch(uri, folder / "inputs"),
        )
        for warning in warnings:
            self._context.reporter.note(f"{self._invocation.label}: {warning}")
        inputs = InputRecord(
            self._entry,
            self._invocation.values,
            located,
            runs=self._context.stores.runs,
            directory=plan.project.directory,
            digests=self._context.digests,
        )
        if inside is not None:
            located = inside.located(self._invocation.values, located)
        return plan.command(self._step, located), inputs

    def _fetch(self, uri: str, folder: Path) -> Path:
        """Give an artifact of an earlier run a local path: where it lies, if that is on this machine, else a copy."""
        if not uri.startswith("runs:/"):
            raise InvalidValue(f"{uri} cannot be fetched yet: wanted a local path or runs:/<run id>/<path>")
        run_id, _, path = uri.removeprefix("runs:/").partition("/")
        run = self._context.stores.runs.get_run(run_id)
        source = RecordedRun(self._context.stores, run)
        local = source.local_path(path)
        if local is not None and local.exists():
            if self._context.cache:
                self._context.cache.check(run_id, path)
            return local
        entries = self._context.stores.runs.list_artifacts(run_id, prefix=path).items
        if not entries:
            raise NotFound(f"run {run_id} has no artifact {path!r}")
        target = folder / run_id
        for entry in entries:
            source.fetch(entry, target / entry.path)
        return target / path

    def _variables(self, recorded: RecordedRun, directory: Path) -> dict[str, str | None]:
        """Return what the command is told: variables to set, and those to remove, without a value."""
        prepared = self._context.environment(self._step)
        changes: dict[str, str | None] = dict.fromkeys(prepared.unset)
        changes |= {**self._context.variables, **prepared.variables}
        changes |= {
            "TOOLKIT_RUN_ID": recorded.run_id,
            "TOOLKIT_PARENT_RUN_ID": self._context.parent.run_id,
            "TOOLKIT_EXPERIMENT_ID": recorded.info.experiment_id,
            "PWD": str(directory),
            "PYTHONUNBUFFERED": "1",
        }
        if self._step.deploy is not None:  # our own command, which reads the store itself
            return {**changes, **dict.fromkeys(_MLFLOW)}
        if self._context.tracking_server is not None:
            changes |= mlflow_variables(self._context.tracking_server, recorded, self._marks)
            ref = self._plan.environment(self._step)
            changes |= stand_in(self._context.stores.home, self._plan.project, ref, prepared)
        return changes

    def _on_line(self, line: str, log: TextIO) -> None:
        log.write(line + "\n")
        log.flush()
        self._context.reporter.output(self._invocation.label, line)
        self._log(line)

    # -- the end -----------------------------------------------------------------------------------

    def _end(self, recorded: RecordedRun, status: RunStatus, reason: str | None = None) -> None:
        """Give the run its final state: ours, whatever a library has said that resumed the run and ended it."""
        with suppress(StoreError):  # the end itself says what is wrong
            if self._context.tracking_server is not None and recorded.read().info.status.terminal:
                self._context.stores.runs.update_run(recorded.run_id, status=RunStatus.RUNNING)
        recorded.end(status, reason)
        with suppress(StoreError):  # the step has ended, whatever is below it
            if self._context.tracking_server is not None:
                end_left_open(self._context.stores.runs, recorded.run_id, status, self._marks)

    @property
    def _marks(self) -> dict[str, str]:
        """What runs say that the command makes besides the step's own."""
        return step_tags(self._step.name, self._context.flow_run_id)

    def _record_end(self, recorded: RecordedRun, ended: Exit) -> None:
        recorded.set_tags({"toolkit.exit_code": ended.code, PROCESS_TAG: None})
        used = {}
        if ended.cpu_seconds is not None:
            used["system/cpu_seconds"] = round(ended.cpu_seconds, 3)
        if ended.peak_memory is not None:
            used["system/peak_memory_megabytes"] = round(ended.peak_memory / 1e6, 1)
        if used:
            recorded.log_metrics(used)

    def _record_inputs(self, recorded: RecordedRun, inputs: InputRecord) -> None:
        """Keep the digests of what the step was given."""
        found = inputs.end()
        if not found:
            return
        data = as_datasets(found)
        if data:
            recorded.log_inputs(data)
        text = as_text(found)
        if fits_a_tag(text):
            recorded.set_tags({INPUTS: text})
        else:
            recorded.log_text(text, INPUTS_PATH)

    def _check_end(self, ended: Exit, command: str) -> None:
        if ended.stopped:
            reason = self._stop.reason or self._context.stop.reason
            raise StepStopped(f"step {self._invocation.label!r} was stopped: {reason}")
        if ended.timed_out:
            raise StepFailed(
                f"step {self._invocation.label!r} took longer than its timeout of {self._step.timeout:g} s"
            )
        if ended.code != 0:
            how = f"exited with {ended.code}" if ended.code > 0 else f"was ended by signal {-ended.code}"
            raise StepFailed(f"step {self._invocation.label!r} {how}: {_short(command)}", mark=self._entry.mark)

    def _log_metrics(self, recorded: RecordedRun, workspace: Workspace) -> dict[str, float]:
        values: dict[str, float] = {}
        for name in self._entry.metrics:
            values |= _read_metrics(workspace.file(name), name, self._entry)
        if values:
            recorded.log_metrics(values)
            return dict(recorded.read().data.metrics)
        return values

    def _log_outputs(self, recorded: RecordedRun, workspace: Workspace) -> dict[str, OutputRef]:
        outputs = {}
        for name, path in self._entry.outputs.items():
            file = workspace.file(path)
            if not file.exists():
                raise StepFailed(
                    f"step {self._invocation.label!r} did not leave its output {name!r}: there is no {path} in its "
                    "directory after the command",
                    mark=self._entry.mark,
                )
            entries = recorded.log_path(file, path)
            outputs[name] = OutputRef(run_id=recorded.run_id, path=path, sha256=_digest(entries))
        return outputs

    def _clean(self, recorded: RecordedRun, workspace: Workspace, folder: Path) -> None:
        """Remove what nobody needs; keep, and say where, what the command left without declaring it."""
        left = workspace.leftovers()
        if left:
            names = ", ".join(path.name for path in left[:5]) + (", …" if len(left) > 5 else "")
            recorded.set_tags({"toolkit.workspace": workspace.directory})
            self._context.reporter.note(
                f"{self._invocation.label}: {names} not declared as outputs; kept in {workspace.directory}"
            )
            (folder / "output.log").unlink()
        else:
            shutil.rmtree(folder, ignore_errors=True)


def _plain(value: object) -> object:
    """Return a value as the run records it: artifacts in lists by their URIs, too."""
    if isinstance(value, list | tuple) and any(isinstance(each, OutputRef) for each in value):
        return f"[{', '.join(map(str, value))}]"
    return value


def _digest(entries: list[ArtifactEntry]) -> str:
    """Return one digest for what was stored: the file's, or one over all of a folder."""
    if len(entries) == 1:
        return entries[0].sha256
    text = "\n".join(f"{entry.sha256} {entry.path}" for entry in entries)
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()


def _read_metrics(file: Path, name: str, entry: EntryPoint) -> dict[str, float]:
    """Read a JSON file of flat numbers.

    Raises:
        StepFailed: It is missing or is something else.
    """
    wanted = f"entry point {entry.name!r} declares `metrics: {name}`: wanted a JSON file of names and numbers"
    try:
        values = json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise StepFailed(f"{wanted}, and the command left none", mark=entry.mark) from None
    except (ValueError, OSError) as error:
        raise StepFailed(f"{wanted}, but {error}", mark=entry.mark) from None
    if not isinstance(values, dict):
        raise StepFailed(f"{wanted}, but it holds a {type(values).__name__}", mark=entry.mark)
    for key, value in values.items():
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise StepFailed(f"{wanted}, but {key!r} is {value!r}", mark=entry.mark)
    return {key: float(value) for key, value in values.items()}


def _short(command: str) -> str:
    first, *rest = command.strip().splitlines() or [""]
    text = first + (" …" if rest else "")
    return text if len(text) <= 160 else text[:159] + "…"
