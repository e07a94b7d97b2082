"""Making an earlier run again: with its code, its environments, its parameters and its data, or not at all.

What is missing is found before anything runs, all of it, and said. Nothing is put in its place.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal, TypeAlias, get_args
from urllib.parse import unquote, urlsplit

from toolkit.errors import Conflict, InvalidValue, NotReproducible, ProjectError, ToolkitError
from toolkit.flows.code_state import Digests
from toolkit.flows.environments.prepared import machine
from toolkit.flows.environments.recorded import RecordedEnvironment, RecordedEnvironments, is_here
from toolkit.flows.input_record import ARTIFACT, Input
from toolkit.flows.plan import Plan, Target, make_plan
from toolkit.flows.recorded_code import CodeGone, RecordedCode
from toolkit.flows.recorded_run import RecordedFlow, RecordedStep, read_flow
from toolkit.flows.source import Fetching, Source
from toolkit.flows.taking import Gone, look_over
from toolkit.flows.trial import SEARCH_SEED
from toolkit.recording.run import PARAM_LIMIT
from toolkit.recording.stores import Stores
from toolkit.spec.expression import OutputRef
from toolkit.spec.project import EntryPoint, EnvironmentRef, Project
from toolkit.spec.reader import entry_point, read_project
from toolkit.tracking.records import Run

REPRODUCED_FROM = "toolkit.reproduced_from"
"""Tag of a run, and of its steps: the run that it makes again."""
ALLOWED = "toolkit.reproduction_allowed"
"""Tag of such a run: what was allowed to be different."""
VERDICT = "toolkit.reproduction"
"""Tag of such a run: ``same`` or ``different``."""
REPORT_PATH = "reproduction/report.json"
"""Artifact of such a run: the table."""

Allowance: TypeAlias = Literal["environment", "inputs", "platform"]
ALLOWANCES: tuple[str, ...] = get_args(Allowance)

_RUN_ID = re.compile(r"[0-9a-f]{32}")


@dataclass(frozen=True, kw_only=True, slots=True)
class Problem:
    """Something without which a run cannot be made again.

    Attributes:
        kind: What it is about: ``run``, ``code``, ``environment``, ``inputs`` (not the same, or not known), ``data``
            (missing), ``platform``.
        text: What is missing, and where it was looked for.
    """

    kind: str
    text: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Wish:
    """What the user says about a reproduction.

    Attributes:
        allow: What may be different.
        inputs: Where data are now that a parameter names, by parameter.
        keep: Whether the copy of the code stays.
    """

    allow: frozenset[str] = frozenset()
    inputs: Mapping[str, Path] = field(default_factory=dict)
    keep: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class Reproduction:
    """A run that can be made again.

    Attributes:
        flow: What is recorded.
        plan: What runs.
        environments: What it runs in; ``None``: what the project declares, resolved now.
        notes: What is different, by the user's leave.
    """

    flow: RecordedFlow
    plan: Plan
    environments: RecordedEnvironments | None
    notes: Sequence[str]

    def tags(self, allowed: Iterable[str]) -> dict[str, str]:
        """Return the tags of the new run: which one it makes again, and what may be different."""
        found = {REPRODUCED_FROM: self.flow.run.info.run_id}
        return found | ({ALLOWED: ", ".join(sorted(allowed))} if allowed else {})


@contextmanager
def reproduction(
    stores: Stores, run: Run, wish: Wish, *, fetching: Fetching, home: Path, report: Callable[[str], None]
) -> Iterator[Reproduction]:
    """Give all that is needed to make a run again; what was fetched for it goes in the end.

    Args:
        stores: Where it is recorded.
        run: The run.
        wish: What the user says.
        fetching: How code is fetched.
        home: Toolkit's home.
        report: Told what is going on.

    Raises:
        NotReproducible: Something is missing; all of it is listed.
    """
    with ExitStack() as stack:
        yield _Examination(stores, wish, fetching, home, report).examine(run, stack)


class _Examination:
    """Finds what there is of an earlier run, and what is missing."""

    def __init__(
        self, stores: Stores, wish: Wish, fetching: Fetching, home: Path, report: Callable[[str], None]
    ) -> None:
        self._stores = stores
        self._wish = wish
        self._fetching = fetching
        self._home = home
        self._report = report
        self._digests = Digests()
        self._problems: list[Problem] = []
        self._notes: list[str] = []
        self._brought: list[Path] = []

    def examine(self, run: Run, stack: ExitStack) -> Reproduction:
        """Return the reproduction."""
        try:
            flow = read_flow(self._stores, run)
        except (Conflict, InvalidValue, ToolkitError) as error:
            raise NotReproducible(str(error), problems=[Problem(kind="run", text=str(error))]) from None
        self._check_environments(flow)
        self._check_artifacts(flow)
        source = self._code(flow, stack)
        stack.callback(self._take_away)
        if source is None:
            self._check_elsewhere(flow)
        else:
            self._check_paths(flow, source.directory)
        missing = any(one.kind == "data" for one in self._problems)  # then no plan can be made
        plan = None if source is None or missing else self._plan(flow, source)
        if plan is not None:
            self._check_unrecorded(flow, plan)
        locked = None if plan is None or "environment" in self._wish.allow else self._locked(flow, plan)
        if self._problems or plan is None:
            raise NotReproducible(_listed(flow.run, self._problems), problems=self._problems)
        if any(step.deploy is not None for step in plan.workflow.steps.values()):
            self._notes.append("what the run deployed is not deployed again")
        if any(step.register is not None for step in plan.workflow.steps.values()):
            self._notes.append("what the run registered is not registered again")
        plan = replace(plan, registers=False)
        return Reproduction(flow=flow, plan=plan, environments=locked, notes=self._notes)

    def _take_away(self) -> None:
        """Remove what was put beside the code: the run has not made it."""
        if not self._wish.keep:
            for place in self._brought:
                place.unlink(missing_ok=True)

    def _say(self, kind: str, text: str) -> None:
        """Note a problem once; one that is allowed is only told."""
        if kind in self._wish.allow:
            if text not in self._notes:
                self._notes.append(text)
        elif (problem := Problem(kind=kind, text=text)) not in self._problems:
            self._problems.append(problem)

    # -- environments ------------------------------------------------------------------------------

    def _check_environments(self, flow: RecordedFlow) -> None:
        for step in flow.steps:
            if step.environment is None:
                self._say(
                    "environment",
                    f"the environment of step {step.label!r} is not known: its run {step.run.info.run_id[:8]} has no"
                    " environment/requirements.lock that can be read",
                )
            elif not is_here(step.environment):
                self._say(
                    "platform",
                    f"it ran on {step.environment.platform}, and this is {machine()}: --allow platform installs the"
                    " same versions here",
                )

    def _locked(self, flow: RecordedFlow, plan: Plan) -> RecordedEnvironments:
        by_ref: dict[EnvironmentRef | None, RecordedEnvironment] = {}
        steps = {name: name for name in plan.workflow.steps}
        for one in flow.steps:
            name = next(iter(steps)) if flow.part is not None else one.step
            if one.environment is None or name not in plan.workflow.steps:
                continue
            ref = plan.environment(plan.workflow.steps[name])
            if by_ref.setdefault(ref, one.environment).lock != one.environment.lock:
                self._say(
                    "environment",
                    f"step {one.label!r} ran in another environment than others that declare the same one: it was taken"
                    " over from an earlier run; reproduce its run alone",
                )
        return RecordedEnvironments(by_ref=by_ref, directory=_path(flow.asked.directory))

    # -- code --------------------------------------------------------------------------------------

    def _code(self, flow: RecordedFlow, stack: ExitStack) -> Source | None:
        folder = self._home / "reproductions" / flow.run.info.run_id
        folder.mkdir(parents=True, exist_ok=True)
        stack.callback(shutil.rmtree, folder, ignore_errors=True)
        code = RecordedCode(
            stores=self._stores,
            run=flow.whole,
            fetching=self._fetching,
            folder=folder,
            copies=self._home / "copies",
            keep=self._wish.keep,
            directory=_path(flow.asked.directory),
            report=self._report,
        )
        try:
            return code.open(stack)
        except CodeGone as error:
            self._say("code", str(error))
            return None

    # -- the plan ----------------------------------------------------------------------------------

    def _plan(self, flow: RecordedFlow, source: Source) -> Plan | None:
        """Read the project and bind the recorded values."""
        try:
            project = read_project(source.directory)
            if flow.part is None:
                plan = _seeded(make_plan(source, self._target(flow, project)), flow.steps)
            else:
                plan = self._one_step(flow, project, source)
            self._check_names(flow, plan)
            return plan
        except ToolkitError as error:
            self._say("run", f"its project cannot be read as it was: {error}")
            return None

    def _check_names(self, flow: RecordedFlow, plan: Plan) -> None:
        known = {name for name, one in plan.workflow.parameters.items() if one.type == "path"}
        known |= {one.parameter for step in flow.steps for one in step.inputs or () if one.project is not None}
        for name in sorted(self._wish.inputs.keys() - known):
            there = ", ".join(sorted(known)) or "none"
            self._say("run", f"--input names {name!r}, and the data that can be given are: {there}")

    def _target(self, flow: RecordedFlow, project: Project) -> Target:
        """Return what was asked for, with paths as they are now."""
        told = flow.asked
        if told.workflow is not None and told.workflow in project.workflows:
            parameters = project.workflows[told.workflow].parameters
        else:
            parameters = entry_point(project, told.entry_point or "main").parameters
        values = dict(told.parameters)
        for name, path in self._wish.inputs.items():
            if name in parameters:
                values[name] = str(path)
        for name, value in values.items():
            if name not in self._wish.inputs and name in parameters and parameters[name].type == "path":
                values[name] = self._moved(flow, value, project.directory)
        return Target(entry_point=told.entry_point, workflow=told.workflow, parameters=values, caller=project.directory)

    def _moved(self, flow: RecordedFlow, value: object, project: Path) -> object:
        """Return where a path is now that was in the project's directory; another one made absolute."""
        local = _local(value)
        if local is None:
            return value
        caller, directory = _path(flow.asked.caller), _path(flow.asked.directory)
        path = local if local.is_absolute() or caller is None else caller / local
        if directory is not None and path.is_relative_to(directory):
            return str(project / path.relative_to(directory))
        return str(path)

    def _one_step(self, flow: RecordedFlow, project: Project, source: Source) -> Plan:
        """Return the plan of one step, with the values that it had."""
        (recorded,) = flow.steps
        workflow = project.workflows.get(flow.asked.workflow or "main")
        step = None if workflow is None else workflow.steps.get(recorded.step)
        if step is None or step.entry_point is None:
            raise ProjectError(f"it has no step {recorded.step!r}")
        entry = entry_point(project, step.entry_point)
        target = Target(
            entry_point=entry.name, parameters=self._own_values(flow, recorded, entry, source), caller=source.directory
        )
        plan = make_plan(source, target)
        one = replace(plan.workflow.steps[entry.name], environment=step.environment, timeout=step.timeout)
        return replace(plan, workflow=replace(plan.workflow, steps={entry.name: one}))

    def _own_values(
        self, flow: RecordedFlow, recorded: RecordedStep, entry: EntryPoint, source: Source
    ) -> dict[str, object]:
        values: dict[str, object] = {}
        given = {name: [one for one in recorded.inputs or () if one.parameter == name] for name in entry.parameters}
        for name, parameter in entry.parameters.items():
            text = recorded.run.data.params.get(name)
            found = [_output(one) for one in given[name] if one.artifact is not None]
            if text is None:
                continue
            if name in self._wish.inputs:
                values[name] = str(self._wish.inputs[name])
            elif found:
                values[name] = found[0] if text.startswith(ARTIFACT) else found
            elif given[name] and given[name][0].path is not None:
                inside = given[name][0].project
                values[name] = given[name][0].path if inside is None else str(source.directory / inside)
            elif parameter.type == "path":
                values[name] = self._moved(flow, text, source.directory)
            elif len(text) >= PARAM_LIMIT:
                self._say("run", f"its parameter {name!r} was longer than {PARAM_LIMIT} characters, and was cut")
            else:
                values[name] = text
        return values

    # -- data --------------------------------------------------------------------------------------

    def _check_artifacts(self, flow: RecordedFlow) -> None:
        """Look for what other runs left that steps were given."""
        for step in flow.steps:
            for one in step.inputs or ():
                text = step.run.data.params.get(one.parameter, "")
                inner = flow.part is None and set(_RUN_ID.findall(text)) & flow.run_ids
                if one.artifact is not None and not inner:
                    self._check_artifact(step, one)

    def _check_artifact(self, step: RecordedStep, one: Input) -> None:
        assert one.artifact is not None
        run_id, _, path = one.artifact.removeprefix(ARTIFACT).partition("/")
        where = f"{one.parameter!r} of step {step.label!r}, {one.artifact}"
        if one.sha256 is None:
            self._say("inputs", f"what {where} held was not recorded, so it cannot be told whether it is the same")
            return
        try:
            run = self._stores.runs.get_run(run_id)
            look_over(self._stores, run, {one.parameter: path}, {one.parameter: one.sha256})
        except Gone as error:
            kind = "inputs" if "changed" in str(error) else "data"
            self._say(kind, f"{where}, is not as it was: {str(error).removeprefix('its ')}")
        except ToolkitError as error:
            self._say("data", f"{where}, cannot be had: {error}")

    def _check_elsewhere(self, flow: RecordedFlow) -> None:
        """Look for data outside of the project, where the project itself is not to be had."""
        for step in flow.steps:
            for one in step.inputs or ():
                if one.path is not None and one.project is None:
                    self._check_path(step, one, self._wish.inputs.get(one.parameter, Path(one.path)))

    def _check_paths(self, flow: RecordedFlow, project: Path) -> None:
        """Look for the data that steps were given as paths, and bring what was in the project and is none of it."""
        copied = any(one.environment is not None and one.environment.kind == "docker" for one in flow.steps)
        replaced = self._replaced(flow)
        for step in flow.steps:
            for one in step.inputs or ():
                if one.path is None:
                    continue
                if (other := replaced.get(one.path) or self._own(flow, one)) is not None:
                    self._check_path(step, one, other)
                elif one.project is not None:
                    origin = self._wish.inputs.get(one.parameter, Path(one.path))
                    self._bring(step, one, origin, project / one.project, copied=copied)
                else:
                    self._check_path(step, one, Path(one.path))

    def _own(self, flow: RecordedFlow, one: Input) -> Path | None:
        return self._wish.inputs.get(one.parameter) if flow.part is not None else None

    def _replaced(self, flow: RecordedFlow) -> dict[str, Path]:
        """Return where data are by what the user says, by where they were."""
        found = {}
        for name, path in self._wish.inputs.items():
            local = _local(flow.asked.parameters.get(name))
            caller = _path(flow.asked.caller)
            if local is not None and flow.part is None:
                found[str((local if local.is_absolute() or caller is None else caller / local).resolve())] = path
        return found

    def _check_unrecorded(self, flow: RecordedFlow, plan: Plan) -> None:
        """Name the data of steps that have no record of them."""
        for step in flow.steps:
            name = next(iter(plan.workflow.steps)) if flow.part is not None else step.step
            if step.inputs is None and name in plan.entry_points:
                self._check_unrecorded_step(step, plan.entry_points[name])

    def _check_unrecorded_step(self, step: RecordedStep, entry: EntryPoint) -> None:
        for name in (name for name, one in entry.parameters.items() if one.type == "path"):
            if not step.run.data.params.get(name, "").startswith(ARTIFACT):
                self._say(
                    "inputs",
                    f"what {name!r} of step {step.label!r} held was not recorded, so it cannot be told whether it is"
                    " the same (it was run by an older version)",
                )

    def _check_path(self, step: RecordedStep, one: Input, place: Path) -> bool:
        """Tell whether data are as they were; say what is wrong."""
        where = f"{one.parameter!r} of step {step.label!r}"
        if not place.exists():
            self._say(
                "data",
                f"{where} is missing: there is no {place} any more"
                + (
                    f"; say where it is now: --input {one.parameter}=PATH"
                    if one.parameter not in self._wish.inputs
                    else ""
                ),
            )
            return False
        if one.sha256 is None:
            self._say(
                "inputs",
                f"what {where}, {place}, held is not known: it changed while the step ran, or was not readable",
            )
            return True
        if (now := self._digest(place)) != one.sha256:
            self._say(
                "inputs",
                f"{where} is not as it was: {place} has the digest {(now or 'unreadable')[:12]}, and"
                f" {one.sha256[:12]} is recorded",
            )
        return True

    def _digest(self, place: Path) -> str | None:
        try:
            return self._digests.of_path(place)
        except ToolkitError:
            return None

    def _bring(self, step: RecordedStep, one: Input, origin: Path, target: Path, *, copied: bool) -> None:
        """Put data beside the code that were there and are none of it, such as what Git ignores."""
        if target.exists() and (one.sha256 is None or self._digest(target) == one.sha256):
            return
        if not self._check_path(step, one, origin if origin.exists() or not target.exists() else target):
            return
        if target.is_file():
            return
        for file, place in _pairs(origin, target):
            if not place.exists() and not place.is_symlink():
                place.parent.mkdir(parents=True, exist_ok=True)
                if copied:  # a container sees the copy of the project, and not what it links to
                    shutil.copy2(file, place)
                else:
                    place.symlink_to(file.absolute())
                self._brought.append(place)
        if one.sha256 is not None and self._digest(target) not in (one.sha256, self._digest(origin)):
            self._check_path(step, one, target)


def _pairs(origin: Path, target: Path) -> Iterable[tuple[Path, Path]]:
    if not origin.is_dir():
        return [(origin, target)]
    return [(file, target / file.relative_to(origin)) for file in sorted(origin.rglob("*")) if file.is_file()]


def _seeded(plan: Plan, recorded: Sequence[RecordedStep]) -> Plan:
    """Return a plan whose searches begin with what chance began with then, so that they try the same."""
    told = {one.step: one.run.data.tags.get(SEARCH_SEED, "") for one in recorded}
    seeds = {name: int(text) for name, text in told.items() if text.isdigit()}
    steps = dict(plan.workflow.steps)
    for name, seed in seeds.items():
        search = steps[name].search if name in steps else None
        if search is not None and isinstance(search.template.source, dict):
            template = replace(search.template, source={**search.template.source, "seed": seed})
            steps[name] = replace(steps[name], search=replace(search, template=template))
    return replace(plan, workflow=replace(plan.workflow, steps=steps))


def _output(one: Input) -> OutputRef:
    assert one.artifact is not None
    run_id, _, path = one.artifact.removeprefix(ARTIFACT).partition("/")
    return OutputRef(run_id=run_id, path=path, sha256=one.sha256 or "")


def _local(value: object) -> Path | None:
    """Return the path on this machine that a value names; ``None`` for what is elsewhere."""
    text = str(value or "")
    if not text or text.startswith(ARTIFACT):
        return None
    if text.startswith("file:"):
        return Path(unquote(urlsplit(text).path))
    return None if "://" in text else Path(text)


def _path(text: str | None) -> Path | None:
    return None if text is None else Path(text)


def _listed(run: Run, problems: Sequence[Problem]) -> str:
    head = f"run {run.info.run_id} cannot be reproduced"
    if len(problems) == 1:
        return f"{head}: {problems[0].text}"
    return "\n".join([f"{head}, for {len(problems)} reasons:", *(f"  - {one.text}" for one in problems)])
