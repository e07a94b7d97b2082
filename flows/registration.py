"""Steps that register a model: ``register:`` of a workflow's step, on its own or after a command.

A step that only registers is planned as any other: its entry point is the command that would do the same, its
parameters are what it registers. So conditions, keys of results and the dry run know nothing of it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from toolkit.errors import AlreadyExists, ApprovalNeeded, InvalidValue, ProjectError, StepFailed, ToolkitError
from toolkit.recording.run import RecordedRun
from toolkit.recording.stores import Stores
from toolkit.registry import names
from toolkit.registry.catalog import Catalog, catalog_of
from toolkit.registry.history import Author
from toolkit.registry.promotion import MOST_REQUESTS, NewRequest, Request, RequestQuery, RequestState, Target
from toolkit.registry.records import ModelVersion, Stage
from toolkit.registry.registering import Registration as Wanted
from toolkit.registry.registering import register
from toolkit.registry.store import PromotionStore, RegistryStore
from toolkit.spec.expression import OutputRef, Scope, StepResult, Template
from toolkit.spec.project import EntryPoint, Parameter, Registration, Step, Value
from toolkit.tracking.records import RunStatus, SearchQuery

REGISTERED = "toolkit.registered_version"
"""Tag of a step's run: the version that it made, as ``name/number``."""

REQUESTED = "toolkit.transition_requests"
"""Tag of a step's run: the numbers of the requests that it made, where others must approve."""

MADE_BY = "toolkit.registered_by"
"""Tag of a version: the workflow's run and the step that made it, so that a step tried again makes no second one."""

_OPTIONS = (("alias", "--alias"), ("stage", "--stage"), ("description", "--description"))


@dataclass(frozen=True, kw_only=True, slots=True)
class Registered:
    """What a step has registered.

    Attributes:
        version: The version.
        requests: What it asks for, where others must approve.
    """

    version: ModelVersion
    requests: Sequence[Request] = ()


def registering_entry(step: Step) -> EntryPoint:
    """Return the entry point of a step that only registers: the command that would do the same."""
    wanted = _wanted(step)
    command = "toolkit registry register {from} {model}"
    fixed: dict[str, Value] = {"model": wanted.model, "alias": wanted.alias, "stage": wanted.stage}
    fixed |= {"archive_existing": wanted.archive_existing or None}
    given = [name for name, _ in templates_of(wanted)]
    command += "".join(f" {option} {{{name}}}" for name, option in _OPTIONS if fixed.get(name) or name in given)
    command += " --archive-existing" if wanted.archive_existing else ""
    parameters = {name: Parameter(name=name, default=value) for name, value in fixed.items() if value is not None}
    parameters |= {name: Parameter(name=name, type="dict" if name == "tags" else "string") for name in given}
    return EntryPoint(
        name=step.name,
        command=command,
        parameters=parameters,
        inputs=(),
        closed=True,
        description=f"Register a version of {wanted.model}.",
        mark=wanted.mark or step.mark,
    )


def called_entry(step: Step) -> EntryPoint:
    """Return the same of a step of a flow in Python: each of its calls says what is registered."""
    entry = registering_entry(step)
    more = {
        "description": Parameter(name="description", default=""),
        "tags": Parameter(name="tags", type="dict", default={}),
    }
    return replace(entry, parameters={**entry.parameters, **more})


def templates_of(wanted: Registration) -> list[tuple[str, Template]]:
    """Return what of a registration may hold expressions, by the names of the parameters that it becomes."""
    found = [("from", wanted.source)]
    if wanted.description is not None:
        found.append(("description", wanted.description))
    if wanted.tags is not None:
        found.append(("tags", wanted.tags))
    return found


def planned(step: Step) -> Step:
    """Return a step that registers as it is planned: its expressions are parameters, and nobody takes it over.

    Raises:
        ProjectError: What it asks for cannot be: a name, an alias or a stage.
    """
    wanted = _wanted(step)
    try:
        names.check_name(wanted.model, "model")
        if wanted.alias is not None:
            names.check_alias(wanted.alias)
        if wanted.stage is not None:
            stage = Stage.read(wanted.stage)
            if wanted.archive_existing and not stage.active:
                raise InvalidValue(f"archive_existing goes with Staging and Production, not with {stage.value}")
        elif wanted.archive_existing:
            raise InvalidValue("archive_existing says what becomes of others in a stage, and there is no stage")
    except InvalidValue as error:
        raise ProjectError(
            f"'register' of step {step.name!r}: {error.message}", mark=wanted.mark or step.mark
        ) from None
    if step.entry_point is not None:
        return replace(step, cache=False)
    return replace(step, cache=False, parameters=dict(templates_of(wanted)))


def registered_values(step: Step, scope: Scope) -> Mapping[str, object] | None:
    """Return what a step registers after its command; ``None``: nothing.

    Raises:
        ProjectError: An expression cannot be evaluated.
    """
    if step.register is None or step.entry_point is None:
        return None
    return {name: template.evaluate(scope) for name, template in templates_of(step.register)}


def register_for(
    step: Step,
    values: Mapping[str, object],
    recorded: RecordedRun,
    stores: Stores,
    *,
    by: str,
    outputs: Mapping[str, OutputRef] | None = None,
) -> Registered:
    """Register what a step's run is to register; the version that an earlier try made is taken.

    Args:
        step: The step.
        values: What is registered: ``from``, and what else it says.
        recorded: The step's run.
        stores: Where runs and models are.
        by: The workflow's run and the step, which make one version together.
        outputs: What the step's own command has left.

    Raises:
        StepFailed: It cannot be registered, or may not take the alias or the stage.
    """
    wanted = _wanted(step)
    try:
        reason = f"step {recorded.info.run_name} of run {recorded.info.parent_run_id}"
        catalog = catalog_of(stores)
        catalog = catalog.acting(Author(user=recorded.info.user_id or None, reason=reason))
        version = _made(catalog.registered, str(values.get("model") or wanted.model), by)
        if version is None:
            tags = values.get("tags")
            given = Wanted(
                uri=_uri(values["from"], step, outputs or {}),
                name=str(values.get("model") or wanted.model),
                description=_text(values.get("description") or None),
                tags={**{str(k): str(v) for k, v in tags.items()}, MADE_BY: by}
                if isinstance(tags, Mapping)
                else {MADE_BY: by},
                user_id=recorded.info.user_id or None,
            )
            version = register(given, stores, catalog)
        recorded.set_tags({REGISTERED: f"{version.name}/{version.version}"})
        made = _moved(catalog, version, values, wanted)
        if made.requests:
            recorded.set_tags({REQUESTED: " ".join(str(request.id) for request in made.requests)})
        return made
    except StepFailed:
        raise
    except ToolkitError as error:
        raise StepFailed(f"step {recorded.info.run_name!r}: {error}", mark=wanted.mark) from error


def registered_result(step: Step, done: Registered | None, values: Mapping[str, object], run_id: str) -> StepResult:
    """Return what a step that only registers leaves to others: the version among its parameters."""
    made = {} if done is None else left({REGISTERED: f"{done.version.name}/{done.version.version}"})
    return StepResult(name=step.name, run_id=run_id, status=RunStatus.FINISHED, parameters={**values, **made})


def left(tags: Mapping[str, str]) -> dict[str, object]:
    """Return what the tags of a step's run say of the version that it made, as others may use it."""
    named = tags.get(REGISTERED)
    return {} if named is None else {"version": int(named.rpartition("/")[2]), "uri": f"models:/{named}"}


def told(done: Registered) -> str:
    """Return in words what was registered."""
    version = done.version
    held = [f"@{alias}" for alias in version.aliases]
    held += [version.stage.value] if version.stage is not Stage.NONE else []
    asked = "".join(f"; request {request.id} asks for {request.target}" for request in done.requests)
    return f"registered {version.name}/{version.version}" + (f" ({', '.join(held)})" if held else "") + asked


def _wanted(step: Step) -> Registration:
    assert step.register is not None
    return step.register


def _made(registry: RegistryStore, name: str, by: str) -> ModelVersion | None:
    """Return the version that an earlier try of the step has made."""
    quoted = {text: text.replace("'", "''") for text in (name, by)}
    text = f"name = '{quoted[name]}' AND tags.`{MADE_BY}` = '{quoted[by]}'"
    found = registry.search_versions(SearchQuery(filter=text, limit=1)).items
    return registry.get_version(found[0].name, found[0].version) if found else None


def _uri(source: object, step: Step, outputs: Mapping[str, OutputRef]) -> str:
    text = str(source)
    if text in outputs:
        return str(outputs[text])
    if isinstance(source, OutputRef) or text.startswith(("runs:/", "models:/")) or "://" in text:
        return text
    known = f", or one of its outputs: {', '.join(outputs)}" if outputs else ""
    raise StepFailed(
        f"step {step.name!r} registers {text[:200]!r}, which is no model: wanted an output of a step, such as "
        f"${{{{ steps.train.outputs.model }}}}, a URI{known}",
        mark=_wanted(step).mark,
    )


def _moved(catalog: Catalog, version: ModelVersion, values: Mapping[str, object], wanted: Registration) -> Registered:
    """Give a version its alias and its stage, or ask for them, and return it as it is then."""
    alias, stage = _text(values.get("alias", wanted.alias)), _text(values.get("stage", wanted.stage))
    targets = [Target(alias=alias)] if alias is not None and alias not in version.aliases else []
    if stage is not None and Stage.read(stage) is not version.stage:
        targets.append(Target(stage=Stage.read(stage)))
    asked = []
    for target in targets:
        try:
            _take(catalog.registered, version, target, wanted)
        except ApprovalNeeded:
            if not wanted.request:
                raise
            asked.append(_ask(catalog.promotions, version, target, wanted))
    return Registered(version=catalog.registered.get_version(version.name, version.version), requests=asked)


def _take(registry: RegistryStore, version: ModelVersion, target: Target, wanted: Registration) -> None:
    if target.alias is not None:
        registry.set_alias(version.name, target.alias, version.version)
    elif target.stage is not None:
        registry.set_stage(version.name, version.version, target.stage, archive_existing=wanted.archive_existing)


def _ask(promotions: PromotionStore, version: ModelVersion, target: Target, wanted: Registration) -> Request:
    """Ask that a version takes a target; what an earlier try has asked is not asked again."""
    archive = wanted.archive_existing and target.stage is not None
    new = NewRequest(name=version.name, version=version.version, target=target, archive_existing=archive)
    try:
        return promotions.request(new)
    except AlreadyExists:
        query = RequestQuery(name=version.name, state=RequestState.PENDING, limit=MOST_REQUESTS)
        for request in promotions.requests(query).items:
            if (request.version, request.target) == (version.version, target):
                return request
        raise


def _text(value: object) -> str | None:
    return None if value is None else str(value)
