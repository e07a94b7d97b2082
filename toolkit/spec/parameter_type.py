"""The types of parameters that act, and what they accept."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from typing import TypeAlias

from toolkit.errors import InvalidParameter, ProjectError
from toolkit.spec.document import parse_document
from toolkit.spec.project import Parameter
from toolkit.spec.scope import OutputRef

_Convert: TypeAlias = Callable[[object], object]

_TRUE = frozenset({"true", "yes", "1"})
_FALSE = frozenset({"false", "no", "0"})


def converted(parameter: Parameter, value: object) -> object:
    """Return a value as its parameter's declared type; any value where the type's name is not one of `TYPES`.

    Raises:
        InvalidParameter: It does not have that type.
    """
    if parameter.type not in TYPES:
        return value
    convert, wanted = TYPES[parameter.type]
    try:
        return convert(value)
    except (ValueError, TypeError, OverflowError) as error:
        raise InvalidParameter(
            f"parameter {parameter.name!r} is {shown(value)}, but it wants {wanted}", mark=parameter.mark
        ) from error


def checked(parameter: Parameter, value: object) -> None:
    """Refuse a value that does not parse as the declared ``int``, ``float`` or ``bool``.

    Raises:
        InvalidParameter: It does not.
    """
    if parameter.type in {"int", "float", "bool"}:
        converted(parameter, value)


def shown(value: object) -> str:
    """Return a value for a message, cut where it is long."""
    text = repr(value) if not isinstance(value, OutputRef) else str(value)
    return text if len(text) <= 80 else text[:79] + "…"


def _float(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise TypeError
    return float(value)


def _int(value: object) -> int:
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, bool) or not isinstance(value, str | int):
        raise TypeError
    return int(value)


def _bool(value: object) -> bool:
    if isinstance(value, bool):
        return value
    text = str(value).strip().lower() if isinstance(value, str | int) else ""
    if text in _TRUE:
        return True
    if text in _FALSE:
        return False
    raise ValueError


def _text(value: object) -> object:
    if isinstance(value, OutputRef):
        return value
    if isinstance(value, list | tuple | dict):
        raise TypeError
    return str(value)


def _path(value: object) -> object:
    if isinstance(value, OutputRef):
        return value
    if isinstance(value, list | tuple) and all(isinstance(item, OutputRef | str) for item in value):
        return list(value)
    if not isinstance(value, str | os.PathLike):
        raise TypeError
    return os.fspath(value)


def _parsed(text: str) -> object:
    """Return what a text says in JSON, else in YAML."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        pass
    try:
        node = parse_document(text, file="value")
    except ProjectError as error:
        raise ValueError(error.message) from error
    return None if node is None else node.value


def _list(value: object) -> list[object]:
    found = _parsed(value) if isinstance(value, str) else value
    if isinstance(found, list | tuple):
        return list(found)
    raise TypeError


def _mapping(value: object) -> dict[object, object]:
    found = _parsed(value) if isinstance(value, str) else value
    if isinstance(found, Mapping):
        return dict(found)
    raise TypeError


TYPES: Mapping[str, tuple[_Convert, str]] = {
    "float": (_float, "a number"),
    "int": (_int, "a whole number"),
    "bool": (_bool, "true or false (also yes, no, 1, 0)"),
    "str": (_text, "a text"),
    "string": (_text, "a text"),
    "list": (_list, "a list such as [0.1, 1]"),
    "dict": (_mapping, "a mapping such as {a: 1}"),
    "mapping": (_mapping, "a mapping such as {a: 1}"),
    "path": (_path, "a path"),
    "uri": (_path, "a URI"),
}
"""Types by name: how a value is converted, and what it wants for a message."""
