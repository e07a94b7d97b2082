"""Read declared parameters."""

from __future__ import annotations

from collections.abc import Mapping

from toolkit.errors import InvalidParameter, ProjectError
from toolkit.spec.document import Node
from toolkit.spec.lint import Findings, refuse_unknown_keys
from toolkit.spec.parameter_type import TYPES, checked, converted
from toolkit.spec.project import Parameter
from toolkit.spec.suggestion import hint

KEYS = ("type", "default", "description")
"""What may be said about a parameter."""


def read_parameters(node: Node | None, *, owner: str, findings: Findings, typed: bool) -> Mapping[str, Parameter]:
    """Read the ``parameters:`` of an entry point.

    Args:
        node: The mapping; ``None`` or null: there are none.
        owner: Who declares them, for messages.
        findings: Where warnings go.
        typed: Whether a default that does not have its type is an error rather than a warning.

    Raises:
        ProjectError: They are not a mapping, or one is written in a way that means nothing.
        InvalidParameter: A default does not have its type.
    """
    fields = node.mapping(f"'parameters' of {owner}") if node is not None else {}
    parameters = {}
    for name, field in fields.items():
        assert node is not None
        parameter = _parameter(name, field, node)
        if field.kind == "mapping":
            findings.unknown_keys(field, KEYS, f"parameter {name!r} of {owner}")
        _check_default(parameter, findings, typed=typed)
        parameters[name] = parameter
    return parameters


def read_typed_parameters(node: Node | None, *, owner: str) -> Mapping[str, Parameter]:
    """Read the ``parameters:`` of a workflow, where unknown keys and types are errors.

    Raises:
        ProjectError: They are not a mapping, a key is unknown, or a type is.
        InvalidParameter: A default does not have its type.
    """
    fields = node.mapping(f"'parameters' of {owner}") if node is not None else {}
    parameters = {}
    for name, field in fields.items():
        assert node is not None
        parameter = _parameter(name, field, node)
        if field.kind == "mapping":
            refuse_unknown_keys(field, KEYS, f"parameter {name!r} of {owner}")
        if parameter.type not in TYPES:
            spot = field.fields.get("type", field)
            raise ProjectError(
                f"parameter {name!r} of {owner} has the unknown type {parameter.type!r}: {hint(parameter.type, TYPES)}",
                mark=spot.mark,
            )
        if parameter.default is not None:
            converted(parameter, parameter.default)
        parameters[name] = parameter
    return parameters


def _parameter(name: str, field: Node, owner: Node) -> Parameter:
    """Return one parameter: a type's name, or a mapping."""
    mark = owner.key_marks[name]
    if field.kind == "scalar":
        return Parameter(name=name, type="string" if field.is_null else field.text, mark=mark)
    if field.kind == "list":
        raise ProjectError(
            f"parameter {name!r} must be a type or a mapping such as {{type: float, default: 0.5}}, not a list",
            mark=field.mark,
        )
    kind, default, description = (field.fields.get(key) for key in KEYS)
    return Parameter(
        name=name,
        type="string" if kind is None or kind.is_null else kind.string(f"the type of parameter {name!r}"),
        default=None if default is None else default.value,
        default_text=None if default is None or default.is_null else default.text,
        description=None if description is None or description.is_null else description.text,
        mark=mark,
    )


def _check_default(parameter: Parameter, findings: Findings, *, typed: bool) -> None:
    if parameter.default is None:
        return
    try:
        checked(parameter, parameter.default)
    except InvalidParameter as error:
        if typed:
            raise
        findings.add(f"the default of {error.message}", error.mark, rule="default-type")
