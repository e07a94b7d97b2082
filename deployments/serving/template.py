"""The text of ``service.py`` in a Bento: short, typed from the model's signature, for people to read and change."""

from __future__ import annotations

import json
import keyword
import math
import re
from typing import TYPE_CHECKING, Any

from toolkit.models.datatypes import Array, DataType, Map, Object

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from toolkit.deployments.config import ServiceConfig
    from toolkit.models.datatypes import Type
    from toolkit.models.params import ParamSchema
    from toolkit.models.schema import ColSpec, Schema
    from toolkit.models.signature import Signature

_PYTHON = {
    DataType.boolean: "bool",
    DataType.integer: "int",
    DataType.long: "int",
    DataType.float: "float",
    DataType.double: "float",
    DataType.string: "str",
    DataType.binary: "str",
    DataType.datetime: "datetime",
}
_WORDS = {DataType.binary: "bytes, in base64", DataType.datetime: "ISO 8601"}

_HEAD = '''\
"""{title}: what ``bentoml serve {tag}`` runs.

``POST /predict`` is typed below; ``POST /invocations`` takes what MLflow's servers take. Both are answered by
`scoring`, before BentoML's own middleware. model.json, beside this file, says which model it is and how it is served.
"""
{imports}
import bentoml
from pydantic import {pydantic}

from toolkit.deployments.serving.service import ScoringService, open_model

'''
_SERVICE = '''\

class Predictions(BaseModel):
    """What the model says, in the order of what it was given."""

    predictions: {answer}


@bentoml.service(
    name={name},
    service_class=ScoringService,
{settings}
)
class {cls}:
    model = bentoml.models.BentoModel({model})

    def __init__(self) -> None:
        self.scoring = open_model(__file__, self.model)

    @bentoml.api(route="/predict")
    def predict(self, {field}: {data}{params}) -> Predictions:
        """Ask the model."""
        return Predictions(predictions=self.scoring.plain({arguments}))
'''


def service_code(
    model_tag: str,
    config: ServiceConfig,
    signature: Signature | None,
    *,
    example: Mapping[str, Any] | None = None,
    raw: bool = False,
    base_image: str = "",
) -> str:
    """Return the text of ``service.py``.

    Args:
        model_tag: Of the model in BentoML's store, ``wine-quality:3``; the service has its name.
        config: How it runs.
        signature: The model's.
        example: A row of its input example, by column.
        raw: Whether the model takes the values that its type hints name, and no table.
        base_image: What its image is built on as it stands, ``python:3.11-slim``; empty: BentoML's choice, with a
            compiler and git on top.
    """
    name, _, version = model_tag.partition(":")
    inputs = None if signature is None or raw else signature.inputs
    classes: list[str] = []
    if inputs is None or inputs.is_tensor_spec():
        field, data = "inputs", _tensors(inputs)
    elif inputs.has_input_names():
        field, data = "rows", "list[Row]"
        classes.append(_row(inputs, example or {}))
    else:
        field, data = "rows", "list[list[Any]]"
    params, arguments = "", field
    if signature is not None and signature.params:
        classes.append(_params(signature.params))
        params, arguments = ", params: Params | None = None", f"{field}, params"
    body = "".join(classes) + _SERVICE.format(
        answer=_answer(None if signature is None else signature.outputs),
        name=_text(name),
        settings=_settings(config, base_image),
        cls=_class_name(name),
        model=_text(model_tag),
        field=field,
        data=data,
        params=params,
        arguments=arguments,
    )
    lines = {"datetime": "from datetime import datetime", "Any": "from typing import Any"}
    imports = "".join(f"\n{line}" for word, line in lines.items() if re.search(rf"[\[ ]{word}\b", body))
    pydantic = ", ".join(
        each for each in ("BaseModel", "ConfigDict", "Field") if f"{each}(" in body or each == "BaseModel"
    )
    head = _HEAD.format(
        title=f"{name}, version {version}", tag=model_tag, imports=imports + "\n" if imports else "", pydantic=pydantic
    )
    return head + body


def _text(text: str) -> str:
    """Return a text as Python writes it, in double quotes whatever is in it."""
    return json.dumps(text)


def _settings(config: ServiceConfig, base_image: str) -> str:
    resources = {key: value for key, value in (("cpu", config.cpu), ("memory", config.memory)) if value}
    lines = [
        f"workers={config.workers},",
        *([f"resources={json.dumps(resources)},"] if resources else []),
        f'traffic={{"timeout": {config.timeout!r}}},',
        'http={"host": "127.0.0.1"},  # in its image: 0.0.0.0',
        'logging={"access": {"enabled": False}},',
        *([f'image=bentoml.images.Image(base_image={_text(base_image)}, distro=""),'] if base_image else []),
    ]
    return "\n".join(f"    {line}" for line in lines)


def _class_name(name: str) -> str:
    made = "".join(part.capitalize() for part in re.split(r"[^A-Za-z0-9]+", name) if part)
    return made if made.isidentifier() and not keyword.iskeyword(made) else f"Model{made}"


def _row(schema: Schema, example: Mapping[str, Any]) -> str:
    taken: set[str] = set()
    lines = [_field(spec, _identifier(str(spec.name), taken), example) for spec in schema.columns()]
    body = "\n".join(f"    {line}" for line in lines)
    return (
        '\nclass Row(BaseModel):\n    """One row, by the columns of the model\'s signature."""\n\n'
        f"    model_config = ConfigDict(populate_by_name=True)\n\n{body}\n\n"
    )


def _field(spec: ColSpec, identifier: str, example: Mapping[str, Any]) -> str:
    kind = _type(spec.type) + ("" if spec.required else " | None")
    arguments = [] if spec.required else ["None"]
    if identifier != spec.name:
        arguments.append(f"alias={_text(str(spec.name))}")
    if spec.type in _WORDS:
        arguments.append(f"description={_text(_WORDS[spec.type])}")
    shown = example.get(str(spec.name))
    if (literal := _literal(shown)) is not None and shown is not None:
        arguments.append(f"examples=[{literal}]")
    if not arguments:
        return f"{identifier}: {kind}"
    return f"{identifier}: {kind} = Field({', '.join(arguments)})"


def _params(schema: ParamSchema) -> str:
    taken: set[str] = set()
    lines = []
    for spec in schema:
        identifier = _identifier(spec.name, taken)
        kind = _type(spec.dtype) if isinstance(spec.dtype, DataType) else "Any"
        kind = kind if spec.shape is None else f"list[{kind}]"
        alias = "" if identifier == spec.name else f", alias={_text(spec.name)}"
        lines.append(f"    {identifier}: {kind} | None = Field({_literal(spec.default) or None}{alias})")
    return (
        '\nclass Params(BaseModel):\n    """What the model is told beside the data."""\n\n'
        "    model_config = ConfigDict(populate_by_name=True)\n\n" + "\n".join(lines) + "\n\n"
    )


def _literal(value: object) -> str | None:
    """Return a plain value as Python writes it; None: it is not plain."""
    match value:
        case bool() | int() | None:
            return repr(value)
        case float():
            return repr(value) if math.isfinite(value) else None
        case str():
            return _text(value)
        case list():
            items = [_literal(each) for each in value]
            return None if None in items else f"[{', '.join(map(str, items))}]"
    return None


def _identifier(name: str, taken: set[str]) -> str:
    made = re.sub(r"\W|^(?=\d)", "_", name).lstrip("_") or "column"
    made = made if not made[0].isdigit() else f"column_{made}"
    if keyword.iskeyword(made) or made.startswith("model_") or hasattr(_Taken, made):
        made = f"{made}_"
    base, number = made, 2
    while made in taken:
        made, number = f"{base}_{number}", number + 1
    taken.add(made)
    return made


class _Taken:
    """Names that a class of pydantic has for itself."""

    copy = dict = json = schema = construct = validate = fields = None


def _type(kind: Type) -> str:
    match kind:
        case DataType():
            return _PYTHON[kind]
        case Array():
            return f"list[{_type(kind.dtype)}]"
        case Map():
            return f"dict[str, {_type(kind.value_type)}]"
        case Object():
            return "dict[str, Any]"
    return "Any"


def _tensors(schema: Schema | None) -> str:
    if schema is None:
        return "Any"
    if schema.has_input_names():
        return "dict[str, Any]"
    return _nested(schema.tensors()[0].type, schema.tensors()[0].shape)


def _nested(element: str, shape: Sequence[int]) -> str:
    kind = {"b": "bool", "i": "int", "u": "int", "f": "float"}.get(element[:1], "Any")
    for _ in shape:
        kind = f"list[{kind}]"
    return kind


def _answer(schema: Schema | None) -> str:
    if schema is None:
        return "Any"
    if schema.is_tensor_spec():
        return "Any" if schema.has_input_names() else _nested(schema.tensors()[0].type, schema.tensors()[0].shape)
    if not schema.has_input_names() and len(schema) == 1:
        return f"list[{_type(schema.columns()[0].type)}]"
    return "list[dict[str, Any]]"
