"""The parameters that a model's ``predict`` takes, in the JSON of MLflow's signatures."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from toolkit.errors import InvalidValue, SchemaMismatch
from toolkit.models.datatypes import DataType, Object, as_type, from_json, to_json
from toolkit.models.schema import listed, read_json
from toolkit.models.values import conform, parameter


@dataclass(frozen=True)
class ParamSpec:
    """A parameter.

    Attributes:
        name: Its name.
        dtype: Its type; a name is taken, too.
        default: What it is where the caller gives none.
        shape: ``None`` for one value, ``(-1,)`` for a list of them.
    """

    name: str
    dtype: DataType | Object
    default: Any
    shape: Sequence[int] | None = None

    def __post_init__(self) -> None:
        """Bring the default into the type.

        Raises:
            InvalidValue: There is no such type or shape, or the default does not fit.
        """
        object.__setattr__(self, "name", str(self.name))
        kind = as_type(self.dtype)
        if not isinstance(kind, DataType | Object) or kind is DataType.binary:
            raise InvalidValue(
                f"the parameter {self.name!r} cannot be of type {kind!r}: give a scalar's, or an object's"
            )
        object.__setattr__(self, "dtype", kind)
        if self.shape is not None:
            object.__setattr__(self, "shape", tuple(self.shape))
        if self.shape not in (None, (-1,)) or (self.shape is not None and isinstance(kind, Object)):
            raise InvalidValue(f"the shape of the parameter {self.name!r} is null, or [-1] for a list of scalars")
        try:
            object.__setattr__(self, "default", self.conform(self.default))
        except SchemaMismatch as problem:
            raise InvalidValue(
                f"the default of the parameter {self.name!r}: {problem.wanted} was wanted, and {problem.came} came"
            ) from None

    def conform(self, value: Any) -> Any:  # noqa: ANN401 - whatever a caller gives
        """Return a value as the parameter has it: a value of Python, or a list of such.

        Raises:
            SchemaMismatch: It does not fit.
        """
        if isinstance(self.dtype, Object):
            conform(
                value, self.dtype
            )  # and the model gets what came: it may tell types apart that a signature does not
            return value
        if self.shape is None:
            return parameter(value, self.dtype)
        items = value.tolist() if getattr(value, "ndim", None) == 1 else value
        if not isinstance(items, list | tuple):
            raise SchemaMismatch(came=type(value).__name__, wanted=f"a list of {self.dtype.value}")
        return [parameter(each, self.dtype) for each in items]

    def to_dict(self) -> dict[str, Any]:
        """Return the parameter as its JSON."""
        default = [_told(each) for each in self.default] if isinstance(self.default, list) else _told(self.default)
        shape = None if self.shape is None else list(self.shape)
        return {"name": self.name, "default": default, "shape": shape, **to_json(self.dtype)}

    @classmethod
    def from_dict(cls, given: Mapping[str, Any]) -> ParamSpec:
        """Return the parameter that a piece of JSON tells; old files say ``dtype`` for ``type``.

        Raises:
            InvalidValue: It tells none.
        """
        kind = given.get("type") or given.get("dtype")
        if "name" not in given or kind is None or "default" not in given:
            raise InvalidValue("a parameter of a signature needs `name`, `type` and `default`")
        dtype = from_json({**given, "type": kind})
        if not isinstance(dtype, DataType | Object):
            raise InvalidValue(f"the parameter {given['name']!r} cannot be of type {dtype!r}")
        shape = given.get("shape")
        if not isinstance(shape, list | None):
            raise InvalidValue(f"the shape of the parameter {given['name']!r} is null or [-1]")
        return cls(given["name"], dtype, given["default"], shape)

    def __repr__(self) -> str:
        """Return what a signature shows."""
        shape = "" if self.shape is None else " (list)"
        return f"{self.name!r}: {self.dtype!r}{shape} (default: {self.default!r})"


@dataclass(frozen=True)
class ParamSchema:
    """The parameters of a model.

    Attributes:
        params: The parameters, each of a name of its own.
    """

    params: Sequence[ParamSpec]

    def __post_init__(self) -> None:
        """Hold the names against each other.

        Raises:
            InvalidValue: Two parameters have one name.
        """
        object.__setattr__(self, "params", tuple(self.params))
        names = [each.name for each in self.params]
        if twice := sorted({name for name in names if names.count(name) > 1}):
            raise InvalidValue(f"the parameters of a model have names of their own: {', '.join(twice)} came twice")

    def __len__(self) -> int:
        """Return how many there are."""
        return len(self.params)

    def __iter__(self) -> Iterator[ParamSpec]:
        """Go through the parameters."""
        return iter(self.params)

    def to_dict(self) -> list[dict[str, Any]]:
        """Return the parameters as what their JSON is of."""
        return [each.to_dict() for each in self.params]

    def to_json(self) -> str:
        """Return the parameters as their JSON."""
        return json.dumps(self.to_dict())

    @classmethod
    def from_dict(cls, given: object) -> ParamSchema:
        """Return the parameters that read JSON tells.

        Raises:
            InvalidValue: It tells none.
        """
        return cls([ParamSpec.from_dict(each) for each in listed(given, "the list of a model's parameters")])

    @classmethod
    def from_json(cls, text: str) -> ParamSchema:
        """Return the parameters that a piece of JSON tells.

        Raises:
            InvalidValue: It tells none.
        """
        return cls.from_dict(read_json(text, "the list of a model's parameters"))

    def __repr__(self) -> str:
        """Return what a signature shows."""
        return "[" + ", ".join(repr(each) for each in self.params) + "]"


def _told(value: object) -> object:
    return value.isoformat() if isinstance(value, dt.date) else value
