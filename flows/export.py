"""A plan as a file of Python that a person can read, edit and run: the same steps on the same tasks."""

from __future__ import annotations

import builtins
import keyword
import re
import shlex
from collections.abc import Iterable
from pathlib import Path

from toolkit.errors import NotYetSupported
from toolkit.flows.compile import flow_parameter_names, flow_parameter_types
from toolkit.flows.expression_code import Code, Names
from toolkit.flows.plan import Plan
from toolkit.flows.python_text import call, docstring, literal, text
from toolkit.spec.declared_environment import KEYS as ENVIRONMENT_KEYS
from toolkit.spec.document import Node, parse_document, read_text
from toolkit.spec.entry_point import OUR_KEYS
from toolkit.spec.project import Parameter, Step
from toolkit.spec.workflow import STEP_KEYS, dependencies

_COPIED = ("retries", "retry_delay", "timeout", "concurrency", "env")
"""Keys of a step that its declaration takes over as they are."""

_TRANSLATED = ("entry_point", "parameters", "needs", "foreach", "when", "cache")
"""Keys of a step that become Python."""

_TAKEN = frozenset({*keyword.kwlist, *dir(builtins), "Any", "Path", "Sequence", "Workflow", "best", "expression"})
_ANNOTATIONS = {float: "float", int: "int", bool: "bool", str: "str", list: "Sequence[Any]", dict: "dict[str, Any]"}


def flow_file(plan: Plan, target: Path) -> str:
    """Return the text of a flow file.

    Args:
        plan: What to write.
        target: Where it will stand: a project around it is named relative to it.

    Raises:
        NotYetSupported: A step does what cannot be written as Python yet.
    """
    return _FlowFile(plan, target).text()


class _FlowFile:
    """One file in the making."""

    def __init__(self, plan: Plan, target: Path) -> None:
        self._plan = plan
        self._target = target
        self._raw = _document(plan)
        self._parameters = flow_parameter_names(plan)
        for name in plan.extra:
            self._parameters[name] = _unique(name, {*self._parameters.values()})
        taken = {*_TAKEN, *self._parameters.values()}
        self._workflow = _claim("workflow", taken)
        self._steps = {name: _claim(name, taken, suffix="_step") for name in plan.workflow.steps}
        self._flow = _claim("main" if plan.workflow.name == "main" else plan.workflow.name, taken, suffix="_flow")
        self._runs = {
            name: _claim(f"{self._steps[name]}_{'runs' if step.foreach else 'run'}", taken)
            for name, step in plan.workflow.steps.items()
        }

    def text(self) -> str:
        """Return the whole file."""
        body = self._flow_lines()
        steps = "\n\n".join(self._step(step) for step in self._plan.workflow.steps.values())
        code = "\n".join(body)
        names = ["Workflow", *(name for name in ("best", "expression") if re.search(rf"\b{name}\(", code))]
        uses = [name for name in ("Any", "Sequence", "Path") if re.search(rf"\b{name}\b", code)]
        workflow = self._workflow_call()
        imports = ["from __future__ import annotations", ""]
        if "Sequence" in uses:
            imports.append("from collections.abc import Sequence")
        if "Path" in uses or "Path(" in workflow:
            imports.append("from pathlib import Path")
        if "Any" in uses:
            imports.append("from typing import Any")
        if imports[-1]:
            imports.append("")
        imports.append(f"from toolkit.workflow import {', '.join(names)}")
        return "\n".join(
            [
                self._head(),
                "",
                *imports,
                "",
                workflow,
                "",
                steps,
                "",
                "",
                code,
                "",
                "",
                'if __name__ == "__main__":',
                f"    {self._workflow}.main({self._flow})",
                "",
            ]
        )

    def _head(self) -> str:
        name = self._target.name if self._target.name != "-" else "flow.py"
        return docstring(
            f"The flow {self._plan.flow_name}.",
            "Written by `toolkit compile`, and yours from here on: edit it, and run it with\n"
            f"`python {shlex.quote(name)} --help`. The steps run as in `toolkit run`: tracked, each a Prefect task.",
        )

    # -- what is declared --------------------------------------------------------------------------

    def _workflow_call(self) -> str:
        root = self._raw
        arguments = {"project": self._project()}
        if self._plan.source.version:
            arguments["version"] = text(self._plan.source.version)
        for key in ENVIRONMENT_KEYS:
            if root is not None and key in root.fields and not root.fields[key].is_null:
                arguments[key] = literal(root.fields[key].value, indent=4)
        if self._plan.single:
            arguments["single"] = "True"
        return f"{self._workflow} = " + call("Workflow", [text(self._name())], arguments)

    def _name(self) -> str:
        return (self._plan.project.name or self._plan.project.directory.name or "project").strip()

    def _project(self) -> str:
        """Return the project as the file names it: by its own place where the project is around it."""
        source = self._plan.source
        if source.fetched:
            return text(source.uri)
        folder = self._target.absolute().parent.resolve()
        if self._target.name != "-" and folder.is_relative_to(source.directory.resolve()):
            ups = len(folder.relative_to(source.directory.resolve()).parts)
            return "Path(__file__).parent" if not ups else f"Path(__file__).parents[{ups}]"
        return text(str(source.directory))

    def _step(self, step: Step) -> str:
        plan = self._plan
        if step.deploy is not None:
            self._step_keys(step)  # says that there is no Python for it
        if step.entry_point is None:
            return self._registering_step(step)
        entry = plan.entry_points[step.name]
        command, parameters = entry.command.rstrip(), dict(entry.parameters)
        if plan.single:
            for name in plan.extra:
                command += f" --{shlex.quote(name)} {{{name}}}"
                parameters[name] = Parameter(name=name)
        arguments = {"command": text(command, indent=4)}
        if entry.name != step.name:
            arguments["entry_point"] = text(entry.name)
        if parameters:
            shown = {name: _declared(parameter) for name, parameter in parameters.items()}
            arguments["parameters"] = literal(shown, indent=4)
        raw = _field(_field(self._raw, "entry_points"), entry.name)
        for key, node in (raw.fields if raw is not None else {}).items():
            if key in ("description", *OUR_KEYS) and not node.is_null:
                arguments[key] = literal(node.value, indent=4)
        arguments |= self._step_keys(step)
        return f"{self._steps[step.name]} = " + call(f"{self._workflow}.step", [text(step.name)], arguments)

    def _registering_step(self, step: Step) -> str:
        wanted = step.register
        assert wanted is not None
        arguments = {"model": text(wanted.model)}
        for key, value in (("alias", wanted.alias), ("stage", wanted.stage)):
            if value is not None:
                arguments[key] = text(value)
        for key, flag in (("archive_existing", wanted.archive_existing), ("request", wanted.request)):
            if flag:
                arguments[key] = "True"
        arguments |= self._step_keys(step)
        return f"{self._steps[step.name]} = " + call(f"{self._workflow}.register", [text(step.name)], arguments)

    def _step_keys(self, step: Step) -> dict[str, str]:
        if self._plan.single:
            return {}
        workflow = _field(_field(self._raw, "workflows"), self._plan.workflow.name)
        raw = _field(_field(workflow, "steps"), step.name)
        fields = {key: node for key, node in (raw.fields if raw is not None else {}).items() if not node.is_null}
        for key in fields:
            if key == "register" and step.entry_point is None:
                continue
            if key in STEP_KEYS and key not in (*_COPIED, *_TRANSLATED):
                beside = " beside a command" if key == "register" else ""
                raise NotYetSupported(
                    f"step {step.name!r} has {key!r}{beside}, which cannot be written as Python yet: take it out"
                    f"{', give it a step of its own' if beside else ''}, or keep to the MLproject and `toolkit run`",
                    mark=step.mark,
                )
        copied = {key: literal(fields[key].value, indent=4) for key in fields if key in _COPIED}
        return {**copied, "cache": "True"} if step.cache else copied

    # -- the flow ----------------------------------------------------------------------------------

    def _flow_lines(self) -> list[str]:
        plan = self._plan
        description = plan.workflow.description or f"Run {plan.flow_name}"
        options = [] if plan.flow_name == self._name() else [f"name={text(plan.flow_name)}"]
        lines = [
            f"@{self._workflow}.flow" + (f"({', '.join(options)})" if options else ""),
            *self._signature(),
            f"    {docstring(description, indent=4)}",
        ]
        used = {need for step in plan.workflow.steps.values() for need in dependencies(step)}
        unsure: set[str] = set()
        for step in self._in_order():
            lines += self._call(step, used, unsure)
        return lines

    def _in_order(self) -> Iterable[Step]:
        """Return the steps so that each comes after what it needs, and those that wait in the flow come late."""
        waiting = dict(self._plan.workflow.steps)
        while waiting:
            ready = [step for step in waiting.values() if not dependencies(step) & waiting.keys()]
            step = min(ready, key=_waits)  # the first one of equals, as the file has them
            yield waiting.pop(step.name)

    def _signature(self) -> list[str]:
        types = flow_parameter_types(self._plan)
        arguments: list[tuple[str, bool]] = []
        for name, python in self._parameters.items():
            if name in self._plan.extra:
                arguments.append((f"{python}: str = {text(str(self._plan.extra[name]))}", True))
                continue
            spec = self._plan.workflow.parameters[name]
            kind, value = types[name]
            annotation = "Path" if spec.type == "path" else _annotation(kind, value)
            if name not in self._plan.parameters or value is None:
                arguments.append((f"{python}: {annotation}", False))
            else:
                arguments.append((f"{python}: {annotation} = {_default(annotation, value)}", True))
        texts = [argument for argument, _ in arguments]
        optional = [has_default for _, has_default in arguments]
        if optional != sorted(optional):
            texts.insert(0, "*")
        noqa = "  # noqa: B006" if any(" = {" in argument for argument in texts) else ""
        line = f"def {self._flow}({', '.join(texts)}) -> None:"
        if len(line) + len(noqa) <= 110:
            return [line + noqa]
        return [f"def {self._flow}({noqa}", *(f"    {argument}," for argument in texts), ") -> None:"]

    def _call(self, step: Step, used: set[str], unsure: set[str]) -> list[str]:
        code = Code(
            Names(parameters=self._parameters, runs=self._runs, workflow=self._workflow),
            fans={name for name, other in self._plan.workflow.steps.items() if other.foreach},
        )
        conditions = [f"{self._runs[need]} is not None" for need in sorted(dependencies(step) & unsure)]
        if step.when is not None:
            conditions.append(code.condition(step.when))
        line = self._submission(step, code)
        if step.name in used:
            line = f"{self._runs[step.name]} = {line}"
        if not conditions:
            return [_indented(line, 4)]
        unsure.add(step.name)
        condition = " and ".join(conditions) if len(conditions) == 1 else " and ".join(_bracketed(conditions))
        lines = [f"    {self._runs[step.name]} = None"] if step.name in used else []
        return [*lines, f"    if {condition}:", _indented(line, 8)]

    def _submission(self, step: Step, code: Code) -> str:
        """Return the call of one step."""
        values = {
            name: code.value(template) for name, template in step.parameters.items() if template.source is not None
        }
        if self._plan.single:
            values |= {name: self._parameters[name] for name in self._plan.extra}
        positional: list[str] = []
        strange = {name: value for name, value in values.items() if not _plain_name(name)}
        if step.foreach:
            lists = [f"{text(name)}: {code.value(template)}" for name, template in step.foreach.items()]
            positional.append(_mapping(lists))
        if strange:
            positional.append(_mapping([f"{text(name)}: {value}" for name, value in strange.items()]))
        named = {name: value for name, value in values.items() if name not in strange}
        told = {need for template in (*step.parameters.values(), *step.foreach.values()) for need in template.steps}
        after = [self._runs[need] for need in step.needs if need not in told]
        if after:
            named["after"] = after[0] if len(after) == 1 else f"[{', '.join(after)}]"
        method = "foreach" if step.foreach else "submit"
        return call(f"{self._steps[step.name]}.{method}", positional, named, width=100)


def _document(plan: Plan) -> Node | None:
    file = plan.project.file
    return None if file is None else parse_document(read_text(file), file=str(file))


def _field(node: Node | None, key: str) -> Node | None:
    return None if node is None else node.fields.get(key)


def _declared(parameter: Parameter) -> object:
    """Return a parameter as an entry point declares it, in as few words as will do."""
    if parameter.default is None and parameter.description is None:
        return parameter.type
    said: dict[str, object] = {"type": parameter.type}
    if parameter.default is not None:
        said["default"] = parameter.default
    if parameter.description is not None:
        said["description"] = parameter.description
    return said


def _annotation(kind: type | None, value: object) -> str:
    """Return the type of a parameter; of one whose default is not of its declared type, what fits that."""
    if kind is None:
        return "int | float" if isinstance(value, int | float) else "str" if isinstance(value, str) else "object"
    return _ANNOTATIONS.get(kind, "object")


def _default(annotation: str, value: object) -> str:
    if annotation == "Path":
        return f"Path({text(str(value))})"
    if isinstance(value, list):  # a tuple: a list as a default would be shared by all calls
        items = ", ".join(literal(item, indent=4) for item in value)
        return f"({items}{',' if len(value) == 1 else ''})"
    return literal(value, indent=4)


def _waits(step: Step) -> bool:
    """Tell whether the flow itself waits for other steps before it can call a step."""
    templates = [*step.foreach.values(), *([step.when] if step.when is not None else [])]
    return any(template.steps for template in templates)


def _plain_name(name: str) -> bool:
    return name.isidentifier() and not keyword.iskeyword(name) and name not in ("after", "self")


def _claim(name: str, taken: set[str], *, suffix: str = "") -> str:
    """Return a Python name that is not taken yet, and take it."""
    candidate = re.sub(r"\W", "_", name, flags=re.ASCII) or "step"
    if candidate[0].isdigit():
        candidate = f"step_{candidate}"
    if candidate in taken and suffix:
        candidate += suffix
    candidate = _unique(candidate, taken)
    taken.add(candidate)
    return candidate


def _unique(name: str, taken: Iterable[str]) -> str:
    candidate = re.sub(r"\W", "_", name)
    if not candidate.isidentifier() or keyword.iskeyword(candidate):
        candidate = f"p_{candidate}"
    while candidate in taken:
        candidate += "_"
    return candidate


def _mapping(items: list[str]) -> str:
    line = f"{{{', '.join(items)}}}"
    return line if len(line) <= 80 else "{\n" + "".join(f"        {item},\n" for item in items) + "    }"


def _bracketed(conditions: list[str]) -> list[str]:
    return [f"({one})" if re.search(r"\b(or|if)\b", one) else one for one in conditions]


def _indented(code: str, by: int) -> str:
    return "\n".join(" " * by + line for line in code.split("\n"))
