"""Pictures of a workflow: a tree for the terminal, Mermaid for documents, plain values for programs."""

from __future__ import annotations

from dataclasses import replace

from toolkit.errors import InvalidValue
from toolkit.flows.plan import Plan
from toolkit.spec.project import Step
from toolkit.spec.selection import Choosable, choose
from toolkit.spec.suggestion import hint
from toolkit.spec.workflow import dependencies, order


def selected(plan: Plan, text: str) -> Plan:
    """Return a plan with some of its steps, to be shown; what they need besides is still told of them.

    Args:
        plan: The plan.
        text: Which steps, as `toolkit.spec.selection` reads it.

    Raises:
        InvalidValue: The text cannot be read, or names what is not there.
    """
    steps = plan.workflow.steps
    links = [(needed, name) for name, step in steps.items() for needed in dependencies(step)]
    names = choose(text, Choosable(names=list(steps), links=links))
    if not names:
        raise InvalidValue(f"no step is chosen by {text!r}: {hint(text, steps)}")
    return replace(plan, workflow=replace(plan.workflow, steps={name: steps[name] for name in names}))


def as_json(plan: Plan) -> dict[str, object]:
    """Return the graph as plain values."""
    return {
        "schema": 1,
        "flow": plan.flow_name,
        "workflow": None if plan.single else plan.workflow.name,
        "parameters": {
            name: {"type": spec.type, "value": plan.parameters.get(name), "required": spec.required}
            for name, spec in plan.workflow.parameters.items()
        },
        "steps": [_step_json(plan, step) for step in plan.workflow.steps.values()],
        "order": order(plan.workflow),
    }


def _step_json(plan: Plan, step: Step) -> dict[str, object]:
    entry = plan.entry_points[step.name]
    environment = plan.environment(step)
    return {
        "name": step.name,
        "entry_point": entry.name,
        "command": entry.command,
        "needs": sorted(dependencies(step)),
        "foreach": {name: template.source for name, template in step.foreach.items()},
        "search": step.search.template.source if step.search else None,
        "when": step.when.source if step.when else None,
        "parameters": {name: template.source for name, template in step.parameters.items()},
        "outputs": dict(entry.outputs),
        "metrics": list(entry.metrics),
        "retries": step.retries,
        "retry_delay": step.retry_delay,
        "timeout": step.timeout,
        "cache": step.cache,
        "concurrency": step.concurrency,
        "environment": environment.path or (environment.docker and environment.docker.image) if environment else None,
    }


def as_mermaid(plan: Plan) -> str:
    """Return the graph as a Mermaid flowchart."""
    ids = {name: f"s{index}" for index, name in enumerate(plan.workflow.steps)}
    lines = ["flowchart TD"]
    for name, step in plan.workflow.steps.items():
        label = _label(step).replace('"', "#quot;")
        shape = f'[["{label}"]]' if step.foreach or step.search else f'["{label}"]'
        lines.append(f"    {ids[name]}{shape}")
    for name, step in plan.workflow.steps.items():
        arrow = "-.->" if step.when else "-->"
        lines.extend(f"    {ids[needed]} {arrow} {ids[name]}" for needed in sorted(dependencies(step) & ids.keys()))
    return "\n".join(lines)


def as_tree(plan: Plan) -> str:
    """Return the graph as an indented tree: each step below the last of the steps that it needs."""
    title = plan.flow_name + _parameters(plan)
    levels = order(plan.workflow)
    rank = {name: position for position, name in enumerate(name for level in levels for name in level)}
    children: dict[str | None, list[str]] = {}
    for name in sorted(rank, key=rank.__getitem__):
        needs = dependencies(plan.workflow.steps[name]) & rank.keys()
        parent = max(needs, key=rank.__getitem__) if needs else None
        children.setdefault(parent, []).append(name)
    return "\n".join([title, *_branches(plan, children, None, "")])


def _branches(plan: Plan, children: dict[str | None, list[str]], parent: str | None, indent: str) -> list[str]:
    lines = []
    names = children.get(parent, [])
    for name in names:
        last = name == names[-1]
        step = plan.workflow.steps[name]
        others = sorted(dependencies(step) - {parent})
        also = f"  (also needs {', '.join(others)})" if others and parent else ""
        lines.append(f"{indent}{'└── ' if last else '├── '}{_label(step)}{also}")
        lines.extend(_branches(plan, children, name, indent + ("    " if last else "│   ")))
    return lines


def _label(step: Step) -> str:
    notes = []
    if step.entry_point and step.entry_point != step.name:
        notes.append(f"runs {step.entry_point}")
    notes.extend(f"for each {name} in {_source(template.source)}" for name, template in step.foreach.items())
    if step.search:
        notes.append(f"searches {', '.join(step.search.parameters)}")
    if step.when:
        notes.append(f"when {_source(step.when.source)}")
    if step.retries:
        notes.append(f"{step.retries} {'retry' if step.retries == 1 else 'retries'}")
    if step.timeout:
        notes.append(f"at most {step.timeout:g} s")
    if step.cache:
        notes.append("cached")
    return f"{step.name}  [{'; '.join(notes)}]" if notes else step.name


def _source(source: object) -> str:
    text = str(source).strip()
    return text[3:-2].strip() if text.startswith("${{") and text.endswith("}}") and text.count("${{") == 1 else text


def _parameters(plan: Plan) -> str:
    values = ", ".join(f"{name}={value}" for name, value in plan.parameters.items())
    return f" ({values})" if values else ""
