"""Bring declared parameters and given values together."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from toolkit.errors import InvalidParameter, InvalidValue, MissingParameters, ProjectError
from toolkit.spec.document import parse_document, read_text
from toolkit.spec.parameter_type import checked, converted
from toolkit.spec.project import Parameter
from toolkit.spec.suggestion import hint, listing

__all__ = ["Binding", "bind", "check_types", "parse_assignments", "parse_param_file"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Binding:
    """Values for a command or a workflow.

    Attributes:
        values: A value for each declared parameter, in the file's order: the given one, else the default.
        extra: Values that were given and are not declared, in the order in which they were.
        given: Names of the declared parameters whose value was given.
    """

    values: dict[str, object]
    extra: dict[str, object]
    given: frozenset[str] = frozenset()


def bind(
    parameters: Mapping[str, Parameter],
    given: Mapping[str, object],
    *,
    owner: str,
    typed: bool,
    allow_undeclared: bool = True,
) -> Binding:
    """Return a value for each parameter.

    Args:
        parameters: What is declared.
        given: What the user or a step gives. ``None`` counts as not given.
        owner: Who declares them, for messages: ``entry point 'main'``.
        typed: Whether values are converted to the declared types; else they stay as they are.
        allow_undeclared: Whether values may be given that are not declared.

    Raises:
        MissingParameters: A parameter has neither a value nor a default.
        InvalidParameter: A value does not have its declared type, or is not declared and should be.
    """
    present = {name: value for name, value in given.items() if value is not None}
    extra = {name: value for name, value in present.items() if name not in parameters}
    if extra and not allow_undeclared:
        name = next(iter(extra))
        known = hint(name, parameters, nothing="it declares none")
        raise InvalidParameter(f"{owner} has no parameter {name!r}: {known}")
    missing = [p for p in parameters.values() if p.required and p.name not in present]
    if missing:
        names = listing(parameter.name for parameter in missing)
        raise MissingParameters(
            f"No value given for missing parameters: {names}; {owner} has no default for"
            f" {'it' if len(missing) == 1 else 'them'}: give {' '.join(f'-P {p.name}=…' for p in missing)}",
            mark=missing[0].mark,
        )
    values: dict[str, object] = {}
    for name, parameter in parameters.items():
        value = present.get(name, parameter.default)
        values[name] = converted(parameter, value) if typed else value
    return Binding(values=values, extra=extra, given=frozenset(present) & frozenset(parameters))


def check_types(parameters: Mapping[str, Parameter], values: Mapping[str, object]) -> None:
    """Refuse values that do not parse as their declared ``int``, ``float`` or ``bool``.

    This is for starting a run; rendering a command does not need it. A plain MLproject's own default is never refused:
    old files have all sorts of them.

    Raises:
        InvalidParameter: A value does not have its declared type.
    """
    for name, value in values.items():
        parameter = parameters.get(name)
        if parameter is not None and value is not parameter.default:
            checked(parameter, value)


def parse_assignments(texts: Iterable[str]) -> dict[str, str]:
    """Read ``name=value`` texts, as ``-P`` takes them; split at the first ``=``.

    Raises:
        InvalidValue: One has no ``=`` or no name, or a name comes twice.
    """
    values: dict[str, str] = {}
    for text in texts:
        name, sign, value = text.partition("=")
        if not sign:
            raise InvalidValue(f"-P {text!r} has no '=': write -P {text or 'name'}=VALUE")
        if not name:
            raise InvalidValue(f"-P {text!r} has no name: write -P NAME{text}")
        if name in values:
            raise InvalidValue(f"-P {name!r} is given twice: {values[name]!r} and {value!r}; give it once")
        values[name] = value
    return values


def parse_param_file(path: Path) -> dict[str, object]:
    """Read a file of parameters: a mapping in YAML or JSON.

    Raises:
        InvalidValue: There is no such file, or it does not hold a mapping.
        ProjectError: It is neither YAML nor JSON.
    """
    if not path.exists() or path.is_dir():  # a pipe will do
        raise InvalidValue(f"there is no parameter file {path}: give a YAML or JSON file of 'name: value' lines")
    text = read_text(path)
    try:
        values = json.loads(text)
    except (ValueError, RecursionError):
        values = None
    if isinstance(values, dict):
        return values
    node = parse_document(text, file=str(path))
    if node is None:
        return {}
    try:
        fields = node.mapping("a parameter file")
    except ProjectError as error:
        raise InvalidValue(error.message, mark=error.mark) from error
    if node.duplicates:
        name, mark = node.duplicates[0]
        raise InvalidValue(f"{name!r} stands there twice: give it once", mark=mark)
    return {name: field.value for name, field in fields.items()}
