"""Whether whoever calls one model can call another one: two signatures, held against each other."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from toolkit.models.datatypes import DataType, Type
from toolkit.models.params import ParamSchema
from toolkit.models.schema import ColSpec, Schema, TensorSpec
from toolkit.models.signature import Signature

_WIDER = {
    DataType.integer: (DataType.long, DataType.double),
    DataType.float: (DataType.double,),
}
"""What a value may be taken for without loss, as it is when a model is called."""


def differences(new: Signature, old: Signature) -> Sequence[str]:
    """Return what callers of a model would stumble over at another one; nothing: they would not.

    Args:
        new: The signature of the model that they would call.
        old: That of the model that they call now.
    """
    return [*_inputs(new.inputs, old.inputs), *_params(new.params, old.params), *_outputs(new.outputs, old.outputs)]


def _inputs(new: Schema | None, old: Schema | None) -> Iterator[str]:
    if new is None or old is None:
        return
    if new.is_tensor_spec() != old.is_tensor_spec():
        yield f"it takes {'tensors' if new.is_tensor_spec() else 'columns'}, not what is given now"
    elif new.is_tensor_spec():
        yield from _tensors(new.tensors(), old.tensors(), "input")
    elif new.has_input_names() != old.has_input_names():
        yield "only one of the two names its columns"
    elif new.has_input_names():
        given = {column.name: column for column in old.columns()}
        for column in new.columns():
            yield from _column(column, given.get(column.name))
    else:
        if len(new) != len(old):
            yield f"it takes {len(new)} columns, and {len(old)} are given now"
        for number, (column, before) in enumerate(zip(new.columns(), old.columns(), strict=False), 1):
            if not _takes(column.type, before.type):
                yield f"column {number} is {column.type!r}, and {before.type!r} is given now"


def _column(column: ColSpec, given: ColSpec | None) -> Iterator[str]:
    if given is None:
        if column.required:
            yield f"it needs the column {column.name!r}, which is not given now"
        return
    if not _takes(column.type, given.type):
        yield f"column {column.name!r} is {column.type!r}, and {given.type!r} is given now"
    if column.required and not given.required:
        yield f"it needs the column {column.name!r}, which may be missing now"


def _takes(wanted: Type, given: Type) -> bool:
    return wanted == given or (isinstance(given, DataType) and wanted in _WIDER.get(given, ()))


def _params(new: ParamSchema | None, old: ParamSchema | None) -> Iterator[str]:
    known = {param.name: param for param in new.params} if new is not None else {}
    for param in old.params if old is not None else ():
        if param.name not in known:
            yield f"it knows no parameter {param.name!r}"
        elif (known[param.name].dtype, known[param.name].shape) != (param.dtype, param.shape):
            yield f"the parameter {param.name!r} is of another type"


def _outputs(new: Schema | None, old: Schema | None) -> Iterator[str]:
    if old is None:
        return
    if new is None or new.is_tensor_spec() != old.is_tensor_spec():
        yield "it does not tell that it answers what is answered now"
    elif new.is_tensor_spec():
        yield from _tensors(new.tensors(), old.tensors(), "output")
    elif old.has_input_names():
        answered = {column.name: column.type for column in new.columns()}
        for column in old.columns():
            if column.name not in answered:
                yield f"it does not answer the column {column.name!r}"
            elif answered[column.name] != column.type:
                yield f"it answers {column.name!r} as {answered[column.name]!r}, which is {column.type!r} now"
    elif [column.type for column in new.columns()] != [column.type for column in old.columns()]:
        yield "it answers other columns"


def _tensors(new: Sequence[TensorSpec], old: Sequence[TensorSpec], what: str) -> Iterator[str]:
    now = {tensor.name: tensor for tensor in old}
    theirs = {tensor.name: tensor for tensor in new}
    for name in sorted(now.keys() ^ theirs.keys(), key=str):
        yield f"the {what} {name!r} is {'not there' if name in now else 'new'}"
    for name in sorted(now.keys() & theirs.keys(), key=str):
        wanted, given = theirs[name], now[name]
        fits = len(wanted.shape) == len(given.shape) and all(
            dimension in (-1, there) for dimension, there in zip(wanted.shape, given.shape, strict=True)
        )
        if wanted.type != given.type or not fits:
            yield f"the {what} {name or ''!r} is {wanted.type}{list(wanted.shape)}, not {given.type}{list(given.shape)}"
