"""The list of a run's files on MLflow's wire."""

from __future__ import annotations

from collections.abc import Sequence

from toolkit.server.wire.call import Call, Endpoint
from toolkit.server.wire.messages import Message
from toolkit.tracking.records import ArtifactEntry


def list_files(call: Call) -> Message:
    """Return what is in a folder of a run; paths are relative to the run's root. A file has nothing in it."""
    run_id, folder = call.fields.run_id(), call.fields.text("path").rstrip("/")
    info = call.stores.runs.get_run(run_id).info
    message: Message = {"root_uri": call.locate(info.artifact_uri)}
    files = _files(call, run_id, folder)
    if files:
        message["files"] = files
    return message


def _files(call: Call, run_id: str, folder: str) -> list[Message]:
    start = f"{folder}/" if folder else ""
    found: dict[str, Message] = {}
    token = None
    while True:
        page = call.stores.runs.list_artifacts(run_id, prefix=folder, page_token=token)
        _add(found, start, page.items)
        token = page.next_page_token
        if token is None:
            return [found[path] for path in sorted(found)]


def _add(found: dict[str, Message], start: str, entries: Sequence[ArtifactEntry]) -> None:
    for entry in entries:
        if not entry.path.startswith(start):  # the path is a file's
            continue
        name, below, _ = entry.path[len(start) :].partition("/")
        path = start + name
        if below:
            found[path] = {"path": path, "is_dir": True}
        else:
            found[path] = {"path": path, "is_dir": False, "file_size": entry.size}


ENDPOINTS = (Endpoint(("GET",), "artifacts/list", list_files),)
