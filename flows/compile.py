"""A plan as a real Prefect flow, with the project's parameters as its own, typed. Nothing runs here."""

from __future__ import annotations

import inspect
import keyword
import re
from collections.abc import Callable, Mapping
from typing import Any

from prefect import Flow

from toolkit.flows.plan import Plan
from toolkit.flows.task_runner import Runner, make_runner
from toolkit.spec.project import Parameter

_TYPES: dict[str, Any] = {
    "float": float,
    "double": float,
    "number": float,
    "int": int,
    "integer": int,
    "long": int,
    "bool": bool,
    "boolean": bool,
    "list": list,
    "dict": dict,
    "mapping": dict,
}


def compile_flow(
    plan: Plan,
    body: Callable[[Mapping[str, object]], object],
    *,
    max_parallel: int,
    run_name: str | None = None,
    runner: Runner | None = None,
) -> Flow[..., Any]:
    """Return the plan's flow.

    Args:
        plan: What to compile.
        body: Called with the parameters' values when the flow runs; returns the flow's final state.
        max_parallel: How many steps may run at the same time.
        run_name: Name of the flow's runs; default: Prefect makes one up.
        runner: What starts the steps; default: threads.
    """
    names = flow_parameter_names(plan)

    def run_workflow(**parameters: object) -> object:
        return body({name: _as_given(plan, name, parameters[flow_name]) for name, flow_name in names.items()})

    run_workflow.__name__ = re.sub(r"\W", "_", plan.flow_name) or "flow"
    run_workflow.__doc__ = plan.workflow.description or f"{plan.flow_name}, compiled from {plan.source.name}."
    run_workflow.__signature__ = _signature(plan, names)  # type: ignore[attr-defined]  # what inspect looks for
    return StaysHere(
        fn=run_workflow,
        name=plan.flow_name,
        flow_run_name=(lambda: run_name) if run_name else None,
        description=plan.workflow.description,
        version=(plan.source.commit or plan.source.digest)[:12] or None,
        task_runner=make_runner(runner or Runner(), max_parallel=max_parallel),
        validate_parameters=True,
        persist_result=False,
    )


class StaysHere(Flow[..., Any]):
    """A flow whose inside cannot be sent to another process: tasks that are sent there get its name alone."""

    def __reduce__(self) -> tuple[Callable[[str], Flow[..., Any]], tuple[str]]:
        """Say how a stand-in is made."""
        return _stand_in, (self.name,)


def _stand_in(name: str) -> Flow[..., Any]:
    return Flow(fn=_nothing, name=name)


def _nothing() -> None:
    """Be the inside of a flow that runs in another process."""


def flow_parameter_names(plan: Plan) -> dict[str, str]:
    """Return the flow's name of each parameter: a Python name, as Prefect wants it (``batch-size``: ``batch_size``)."""
    names: dict[str, str] = {}
    for name in plan.workflow.parameters:
        candidate = re.sub(r"\W", "_", name)
        if not candidate.isidentifier() or keyword.iskeyword(candidate):
            candidate = f"{candidate}_" if candidate[:1].isalpha() else f"p_{candidate}"
        while candidate in names.values():
            candidate += "_"
        names[name] = candidate
    return names


def flow_arguments(plan: Plan) -> dict[str, object]:
    """Return the plan's values under the flow's names, in the flow's types; without those that were not given."""
    names = flow_parameter_names(plan)
    return {
        flow_name: _typed(plan.workflow.parameters[name], plan.parameters[name])
        for name, flow_name in names.items()
        if name in plan.parameters  # of a plan that is only shown, some are not there
    }


def flow_parameter_types(plan: Plan) -> dict[str, tuple[type | None, object]]:
    """Return the type of each of the flow's parameters, ``None`` for any, and its value in this type."""
    found: dict[str, tuple[type | None, object]] = {}
    for name, parameter in plan.workflow.parameters.items():
        value = plan.parameters.get(name)
        annotation = _annotation(parameter, value)
        if annotation is float and isinstance(value, int) and plan.single:
            annotation = Any  # `5` of an old file stays `5`
        known = annotation if isinstance(annotation, type) and annotation is not Any else None
        found[name] = (known, _typed(parameter, value) if known is not None and value is not None else value)
    return found


def _signature(plan: Plan, names: Mapping[str, str]) -> inspect.Signature:
    return inspect.Signature(
        [
            inspect.Parameter(
                flow_name,
                inspect.Parameter.KEYWORD_ONLY,
                annotation=_annotation(plan.workflow.parameters[name], plan.parameters.get(name)),
                default=_default(plan.workflow.parameters[name]),
            )
            for name, flow_name in names.items()
        ]
    )


def _annotation(parameter: Parameter, value: object) -> object:
    """Return the flow's type: the declared one, unless the file's own default does not have it (old files do that)."""
    wanted = _TYPES.get(parameter.type, str)
    fits = all(part is None or isinstance(_typed(parameter, part), wanted) for part in (parameter.default, value))
    return wanted if fits else Any


def _default(parameter: Parameter) -> object:
    return inspect.Parameter.empty if parameter.required else _typed(parameter, parameter.default)


def _typed(parameter: Parameter, value: object) -> object:
    """Return a value in the flow's type; one that does not have it is refused before this, or was never checked."""
    wanted = _TYPES.get(parameter.type, str)
    if isinstance(value, wanted) and not (wanted in (int, float) and isinstance(value, bool)):
        return value
    if wanted is bool:
        return str(value).strip().lower() in ("true", "yes", "on", "1")
    try:
        return wanted(value)
    except (TypeError, ValueError):
        return value


def _as_given(plan: Plan, name: str, received: object) -> object:
    """Return the value as the user wrote it (``1e-1``) where the flow's typed value says the same."""
    given = plan.parameters.get(name)
    return given if _typed(plan.workflow.parameters[name], given) == received else received
