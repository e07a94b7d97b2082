"""The contract of a model: what it takes, what it gives and which parameters it has."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, is_dataclass
from typing import Any

from toolkit.errors import InvalidValue
from toolkit.models.hints import schema_of_dataclass
from toolkit.models.params import ParamSchema
from toolkit.models.schema import Schema, read_json


@dataclass(frozen=True)
class Signature:
    """The contract of a model.

    Attributes:
        inputs: What it takes, a dataclass of columns is taken, too; ``None``: anything.
        outputs: What it gives, given like ``inputs``; ``None``: nobody has said.
        params: Which parameters ``predict`` takes; ``None``: none.
    """

    inputs: Schema | None = None
    outputs: Schema | None = None
    params: ParamSchema | None = None

    def __post_init__(self) -> None:
        """Take dataclasses for schemas.

        Raises:
            InvalidValue: One part is of another type, or none is given.
        """
        for name in ("inputs", "outputs"):
            given = getattr(self, name)
            if isinstance(given, type) and is_dataclass(given):
                object.__setattr__(self, name, schema_of_dataclass(given))
            elif given is not None and not isinstance(given, Schema):
                raise InvalidValue(f"the {name} of a signature are a Schema, not {type(given).__name__}")
        if self.params is not None and not isinstance(self.params, ParamSchema):
            raise InvalidValue(f"the params of a signature are a ParamSchema, not {type(self.params).__name__}")
        if self.inputs is None and self.outputs is None and self.params is None:
            raise InvalidValue("a signature tells inputs, outputs or params: give at least one")

    def to_dict(self) -> dict[str, str | None]:
        """Return the signature as an ``MLmodel`` file has it: each part as JSON in a text."""
        return {
            "inputs": None if self.inputs is None else self.inputs.to_json(),
            "outputs": None if self.outputs is None else self.outputs.to_json(),
            "params": self.params.to_json() if self.params else None,
        }

    @classmethod
    def from_dict(cls, given: Mapping[str, Any]) -> Signature:
        """Return the signature that an ``MLmodel`` file tells.

        Args:
            given: ``inputs``, ``outputs`` and ``params``: JSON in a text, or what it is of, or nothing.

        Raises:
            InvalidValue: It tells none.
        """
        inputs, outputs, params = (_read(given.get(name), name) for name in ("inputs", "outputs", "params"))
        return cls(
            None if inputs is None else Schema.from_dict(inputs),
            None if outputs is None else Schema.from_dict(outputs),
            None if params is None else ParamSchema.from_dict(params),
        )

    def __repr__(self) -> str:
        """Return the parts on a line each."""
        return f"inputs: \n  {self.inputs!r}\noutputs: \n  {self.outputs!r}\nparams: \n  {self.params!r}\n"


def _read(given: object, name: str) -> object:
    if not given:
        return None
    return read_json(given, f"the {name} of a signature") if isinstance(given, str | bytes) else given
