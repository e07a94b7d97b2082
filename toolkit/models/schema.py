"""What a model takes and gives: columns or tensors, in the JSON of MLflow's signatures.

The names and the order of arguments are MLflow's, so that a signature that a script makes by hand is made here by the
same lines.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from toolkit.errors import InvalidValue
from toolkit.models.datatypes import Type, as_type, from_json, required_in, to_json

Label = str | int | float | tuple[str | int | float, ...]
"""Of a column: most are text, a table without a header has numbers, one with a header of two lines has pairs."""

Name = Label | None
"""A value alone has none."""


@dataclass(frozen=True)
class ColSpec:
    """A column of a table.

    Attributes:
        type: The type of its values; a name such as ``double`` is taken, too.
        name: Its name; ``None``: it is known by its place.
        required: Whether data without it are refused; and those with a missing value in it, where its type has none.
    """

    type: Type
    name: Name = None
    required: bool = True

    def __post_init__(self) -> None:
        """Take a name for a type.

        Raises:
            InvalidValue: There is no such type, or the name is neither text nor a number.
        """
        object.__setattr__(self, "type", as_type(self.type))
        object.__setattr__(self, "name", _as_name(self.name))

    @property
    def forbids_missing(self) -> bool:
        """Whether a missing value is refused; a column without a name cannot say that it may have some."""
        return self.required and self.name is not None

    def to_dict(self) -> dict[str, Any]:
        """Return the column as its JSON."""
        named = {} if self.name is None else {"name": self.name}
        return {**to_json(self.type), **named, "required": self.required}

    def __repr__(self) -> str:
        """Return what a signature shows."""
        return f"{_shown(self.name)}{self.type!r}{'' if self.required else ' (optional)'}"


@dataclass(frozen=True)
class TensorSpec:
    """An array of numbers.

    Attributes:
        type: NumPy's name of the type of its elements; a ``numpy.dtype`` is taken, too.
        shape: Its dimensions; -1: any.
        name: Its name; ``None``: it is the only one.
    """

    type: str
    shape: Sequence[int]
    name: Name = None

    def __post_init__(self) -> None:
        """Take what NumPy takes for a type.

        Raises:
            InvalidValue: The type or the shape is none.
        """
        object.__setattr__(self, "type", _element_type(self.type))
        if isinstance(self.shape, str) or not all(isinstance(size, int) and size >= -1 for size in self.shape):
            raise InvalidValue("the shape of a tensor is a list of whole numbers, -1 where any size will do")
        object.__setattr__(self, "shape", tuple(self.shape))
        object.__setattr__(self, "name", _as_name(self.name))

    @property
    def required(self) -> bool:
        """Whether it must be there: always."""
        return True

    def to_dict(self) -> dict[str, Any]:
        """Return the tensor as its JSON."""
        named = {} if self.name is None else {"name": self.name}
        return {**named, "type": "tensor", "tensor-spec": {"dtype": self.type, "shape": list(self.shape)}}

    def __repr__(self) -> str:
        """Return what a signature shows."""
        return f"{_shown(self.name)}tensor of {self.type} {list(self.shape)}"


Spec = ColSpec | TensorSpec


@dataclass(frozen=True)
class Schema:
    """What goes into a model or comes out of it: columns or tensors, in their order.

    Attributes:
        inputs: The columns or tensors.
    """

    inputs: Sequence[Spec]

    def __post_init__(self) -> None:
        """Hold the columns against each other.

        Raises:
            InvalidValue: There are none, they are of both kinds, some have names and some have none, two have the same
                name, or one without a name is optional.
        """
        object.__setattr__(self, "inputs", tuple(self.inputs))
        if not self.inputs:
            raise InvalidValue("a schema has at least one column or tensor")
        _check_kinds(self.inputs)
        _check_names([each.name for each in self.inputs])
        if not self.has_input_names():
            if self.is_tensor_spec() and len(self.inputs) > 1:
                raise InvalidValue("a schema of several tensors needs a name for each")
            if not all(each.required for each in self.inputs):
                raise InvalidValue("a column that may be missing needs a name")

    def __len__(self) -> int:
        """Return how many columns or tensors there are."""
        return len(self.inputs)

    def __iter__(self) -> Iterator[Spec]:
        """Go through the columns or tensors."""
        return iter(self.inputs)

    def is_tensor_spec(self) -> bool:
        """Return whether it is of tensors."""
        return isinstance(self.inputs[0], TensorSpec)

    def has_input_names(self) -> bool:
        """Return whether its columns or tensors have names."""
        return self.inputs[0].name is not None

    def columns(self) -> list[ColSpec]:
        """Return the columns; none for a schema of tensors."""
        return [each for each in self.inputs if isinstance(each, ColSpec)]

    def tensors(self) -> list[TensorSpec]:
        """Return the tensors; none for a schema of columns."""
        return [each for each in self.inputs if isinstance(each, TensorSpec)]

    def input_names(self) -> list[Label]:
        """Return the names, or the places where there are none."""
        return [at if each.name is None else each.name for at, each in enumerate(self.inputs)]

    def required_input_names(self) -> list[Label]:
        """Return the names, or the places, of what must be there."""
        return [name for name, each in zip(self.input_names(), self.inputs, strict=True) if each.required]

    def optional_input_names(self) -> list[Label]:
        """Return the names of what may be missing."""
        return [name for name, each in zip(self.input_names(), self.inputs, strict=True) if not each.required]

    def input_types(self) -> list[Type | str]:
        """Return the type of each column, or NumPy's name of the type of each tensor."""
        return [each.type for each in self.inputs]

    def input_dict(self) -> dict[Label, Spec]:
        """Return the columns or tensors by their names, or by their places."""
        return dict(zip(self.input_names(), self.inputs, strict=True))

    def to_dict(self) -> list[dict[str, Any]]:
        """Return the schema as what its JSON is of."""
        return [each.to_dict() for each in self.inputs]

    def to_json(self) -> str:
        """Return the schema as its JSON."""
        return json.dumps(self.to_dict())

    @classmethod
    def from_dict(cls, given: object) -> Schema:
        """Return the schema that read JSON tells.

        Raises:
            InvalidValue: It tells none.
        """
        return cls([_spec(each) for each in listed(given, "a schema")])

    @classmethod
    def from_json(cls, text: str) -> Schema:
        """Return the schema that a piece of JSON tells.

        Raises:
            InvalidValue: It tells none.
        """
        return cls.from_dict(read_json(text, "a schema"))

    def __repr__(self) -> str:
        """Return what a signature shows."""
        return "[" + ", ".join(repr(each) for each in self.inputs) + "]"


def read_json(text: object, what: str) -> object:
    """Return what a piece of JSON is of.

    Raises:
        InvalidValue: It is no JSON.
    """
    if not isinstance(text, str | bytes):
        raise InvalidValue(f"{what} is written as text that is JSON, not as {type(text).__name__}")
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise InvalidValue(f"{what} is no JSON: {error}") from None


def listed(given: object, what: str) -> list[Mapping[str, Any]]:
    """Return the JSON objects of a list.

    Raises:
        InvalidValue: It is no list, or not of JSON objects.
    """
    if not isinstance(given, list) or not all(isinstance(each, Mapping) for each in given):
        raise InvalidValue(f"{what} is a list of JSON objects")
    return given


def _spec(given: Mapping[str, Any]) -> Spec:
    if given.get("type") != "tensor":
        return ColSpec(from_json(given), given.get("name"), required=required_in(given))
    told = given.get("tensor-spec")
    if not isinstance(told, Mapping) or not isinstance(told.get("shape"), list) or "dtype" not in told:
        raise InvalidValue("a tensor of a schema needs `tensor-spec` with `dtype` and `shape`")
    return TensorSpec(told["dtype"], told["shape"], given.get("name"))


def _element_type(given: object) -> str:
    # NumPy's names need no NumPy to be read; anything else does
    if isinstance(given, str) and given in _ELEMENTS:
        return given
    import numpy as np  # noqa: PLC0415 - only whoever gives one of its types pays for it

    try:
        found = np.dtype(given)  # type: ignore[call-overload]  # what it takes is for it to say
    except (TypeError, ValueError):
        raise InvalidValue(f"{given!r} is no type of a tensor's elements: give one of NumPy's") from None
    # the length of the longest text in an array is no part of what the model takes
    return {"U": "str", "S": "bytes"}.get(found.kind, str(found.name))


_ELEMENTS = frozenset(
    "bool int8 int16 int32 int64 uint8 uint16 uint32 uint64 float16 float32 float64 complex64 complex128 str bytes "
    "object".split()
)


def _as_name(name: object) -> Name:
    if isinstance(name, list | tuple) and all(isinstance(each, str | int | float) for each in name):
        return tuple(name)
    if not isinstance(name, str | int | float | None):
        raise InvalidValue(f"the name of a column is text or a number, not {type(name).__name__}: rename the column")
    return name


def _check_kinds(specs: Sequence[Spec]) -> None:
    for each in specs:
        if not isinstance(each, Spec):
            raise InvalidValue(f"a schema is of ColSpec or TensorSpec, not of {type(each).__name__}")
    if len({type(each) for each in specs}) > 1:
        raise InvalidValue("a schema is of columns or of tensors, not of both")


def _check_names(names: Sequence[Name]) -> None:
    if any(name is None for name in names) and any(name is not None for name in names):
        raise InvalidValue("either all columns of a schema have names, or none has one")
    seen: set[Name] = set()
    for name in names:
        if name is not None and name in seen:
            raise InvalidValue(f"the columns of a schema have names of their own: {name!r} came twice")
        seen.add(name)


def _shown(name: Name) -> str:
    return "" if name is None else f"{name!r}: "
