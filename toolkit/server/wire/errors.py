"""Our errors as MLflow's clients expect them: they retry whatever is a 5xx for minutes, and steer by the code."""

from __future__ import annotations

from toolkit.errors import (
    AlreadyExists,
    ArtifactCorrupt,
    ArtifactError,
    Forbidden,
    NotFound,
    StorageFull,
    StoreBusy,
    StoreError,
    TooLarge,
    ToolkitError,
    UserError,
)
from toolkit.server.wire.messages import Message

RETRY_AFTER = 1
"""Seconds that a client is told to wait for a store that cannot take its request now."""

_CLASSES = {
    "INVALID_PARAMETER_VALUE": ("INVALID_PARAMETER_VALUE", "KAM00"),
    "BAD_REQUEST": ("INVALID_PARAMETER_VALUE", "KAM00"),
    "RESOURCE_ALREADY_EXISTS": ("RESOURCE_ALREADY_EXISTS", "KAM00"),
    "RESOURCE_DOES_NOT_EXIST": ("RESOURCE_NOT_FOUND", "KAM00"),
    "ENDPOINT_NOT_FOUND": ("RESOURCE_NOT_FOUND", "KAM00"),
    "DATA_LOSS": ("CLIENT_INTERNAL_ERROR", "XXM00"),
    "PERMISSION_DENIED": ("PERMISSION_DENIED", "KAM00"),
    "TEMPORARILY_UNAVAILABLE": ("CLIENT_INTERNAL_ERROR", "XXM00"),
    "INTERNAL_ERROR": ("CLIENT_INTERNAL_ERROR", "XXM00"),
}


def answer(error: Exception) -> tuple[int, Message]:
    """Return the status and the body for an error. What is no error of ours tells the client nothing of itself."""
    if isinstance(error, NotFound):
        return 404, body("RESOURCE_DOES_NOT_EXIST", error.message)
    if isinstance(error, AlreadyExists):
        return 400, body("RESOURCE_ALREADY_EXISTS", error.message)
    if isinstance(error, Forbidden):
        return 403, body("PERMISSION_DENIED", error.message)
    if isinstance(error, TooLarge):
        return 413, body("INVALID_PARAMETER_VALUE", error.message)
    if isinstance(error, UserError) and not isinstance(error, StoreError):
        return 400, body("INVALID_PARAMETER_VALUE", error.message)
    if isinstance(error, StoreBusy | StoreError):
        return 503, body("TEMPORARILY_UNAVAILABLE", error.message)
    if isinstance(error, ArtifactError):
        return _of_artifact(error)
    if isinstance(error, ToolkitError):
        return 500, body("INTERNAL_ERROR", error.message)
    return 500, body("INTERNAL_ERROR", "the server failed: its log says more")


def _of_artifact(error: ArtifactError) -> tuple[int, Message]:
    if isinstance(error, StorageFull):
        return 507, body("RESOURCE_EXHAUSTED", error.message)
    if isinstance(error, ArtifactCorrupt):  # trying again would not help, and clients try again after a 5xx
        return 409, body("DATA_LOSS", error.message)
    return 503, body("TEMPORARILY_UNAVAILABLE", error.message)


def body(code: str, message: str) -> Message:
    """Return the body of an error."""
    told: Message = {"error_code": code, "message": message}
    if code in _CLASSES:
        told["error_class"], told["sqlstate"] = _CLASSES[code]
    return told
