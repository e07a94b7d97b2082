"""The OpenAPI document of a service: BentoML's own, and with it the endpoints that are answered before BentoML."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from toolkit.models import payload

if TYPE_CHECKING:
    from collections.abc import Mapping

_FORMS = {
    "dataframe_split": "A table: `columns`, `data` in rows, perhaps `index`.",
    "dataframe_records": "A table: a list of objects.",
    "instances": "Data in rows.",
    "inputs": "Data in columns, or an array.",
}
_ERROR = {
    "type": "object",
    "title": "ScoringError",
    "required": ["error_code", "message"],
    "properties": {name: {"type": "string"} for name in ("error_code", "message", "sqlstate", "error_class")},
}
_STATES = {
    "400": "The data do not fit; the message names the field.",
    "413": "The body is larger than the service takes.",
    "415": "A content type that cannot be read.",
    "500": "The model failed.",
    "503": "As many requests are being answered as the service holds at once.",
    "504": "It took too long.",
}
_MOST = 20_000  # characters of an example


def completed(document: Mapping[str, Any], example: Mapping[str, Any] | None) -> dict[str, Any]:
    """Return BentoML's document with all endpoints.

    Args:
        document: BentoML's.
        example: A request to ``/invocations`` that the model's author gave.
    """
    example = example if example is not None and len(str(example)) <= _MOST else None
    paths: dict[str, Any] = {**document.get("paths", {})}
    for path, (told, kind) in {
        "/ping": ("Answers once the model is loaded.", payload.JSON),
        "/health": ("The same as /ping.", payload.JSON),
        "/version": ("The version of toolkit that built the service.", payload.JSON),
    }.items():
        answer = {"200": {"description": told, "content": {kind: {"schema": {}}}}}
        paths[path] = {"get": {"responses": answer, "tags": ["Infrastructure"], "description": told}}
    paths["/invocations"] = {"post": _invocations(example)}
    if (typed := paths.get("/predict", {}).get("post")) is not None:
        paths["/predict"] = {"post": _typed(typed, example)}
    components = {**document.get("components", {})}
    components["schemas"] = {**components.get("schemas", {}), "ScoringError": _ERROR}
    return {**document, "paths": paths, "components": components}


def _errors() -> dict[str, Any]:
    schema = {"schema": {"$ref": "#/components/schemas/ScoringError"}}
    plain = {"schema": {"type": "string"}}
    return {
        state: {
            "description": told,
            "content": {"text/plain": plain} if state == "415" else {payload.JSON: schema},
        }
        for state, told in _STATES.items()
    }


def _invocations(example: Mapping[str, Any] | None) -> dict[str, Any]:
    forms = [
        {"type": "object", "required": [name], "properties": {name: {"description": told}, "params": {}}}
        for name, told in _FORMS.items()
    ]
    json = {"schema": {"oneOf": forms}, **({} if example is None else {"example": example})}
    answer = {"type": "object", "properties": {"predictions": {}}}
    return {
        "tags": ["Service APIs"],
        "description": "Ask the model, in the scoring protocol of MLflow.",
        "operationId": "invocations",
        "requestBody": {
            "required": True,
            "content": {
                payload.JSON: json,
                payload.CSV: {"schema": {"type": "string"}},
                payload.PARQUET: {"schema": {"type": "string", "format": "binary"}},
            },
        },
        "responses": {
            "200": {"description": "Predictions", "content": {payload.JSON: {"schema": answer}}},
            **_errors(),
        },
    }


def _typed(operation: Mapping[str, Any], example: Mapping[str, Any] | None) -> dict[str, Any]:
    """Return BentoML's description of ``/predict`` with the errors that are answered, and an example."""
    answer = {state: told for state, told in operation["responses"].items() if state in ("200", 200)}
    done = {**operation, "responses": {**answer, **_errors()}}
    if (asked := _typed_example(example)) is not None:
        body = operation["requestBody"]
        kinds = {kind: {**media, "example": asked} for kind, media in body["content"].items()}
        done["requestBody"] = {**body, "content": kinds}
    return done


def _typed_example(example: Mapping[str, Any] | None) -> dict[str, Any] | None:
    split = (example or {}).get("dataframe_split")
    if not isinstance(split, dict) or not all(isinstance(name, str) for name in split.get("columns", [0])):
        return None
    return {"rows": [dict(zip(split["columns"], row, strict=True)) for row in split["data"]]}
