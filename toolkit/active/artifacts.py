"""Files of runs, got by the URI that names them; `toolkit.artifacts` hands these out under MLflow's names."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from toolkit.active import files
from toolkit.active.client import Client
from toolkit.active.images import Image
from toolkit.active.session import run_to_log_to
from toolkit.entities import FileInfo
from toolkit.errors import InvalidValue
from toolkit.recording import current
from toolkit.registry.fetched import fetch

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pandas as pd
    import PIL.Image


def get_artifact_uri(artifact_path: str | None = None) -> str:
    """Return where the active run keeps its artifacts, or one of them."""
    root = run_to_log_to().info.artifact_uri
    return f"{root.rstrip('/')}/{artifact_path.strip('/')}" if artifact_path else root


def load_table(
    artifact_file: str, run_ids: Sequence[str] | None = None, extra_columns: Sequence[str] | None = None
) -> pd.DataFrame:
    """Return a table that `log_table` has stored, those of several runs one below the other, newest run first.

    Args:
        artifact_file: The table's name.
        run_ids: Of these runs; default: of all runs of the experiment that new runs go to.
        extra_columns: What to tell of each run in columns of its own: ``run_id``, ``params.alpha``, ….

    Raises:
        NotFound: No run has such a table.
    """
    return Client().load_table(current.experiment_id(), artifact_file, run_ids, extra_columns)


def download_artifacts(
    artifact_uri: str | None = None,
    run_id: str | None = None,
    artifact_path: str | None = None,
    dst_path: str | Path | None = None,
    tracking_uri: str | None = None,
    registry_uri: str | None = None,
) -> str:
    """Return the local path of a file or folder.

    Args:
        artifact_uri: ``runs:/<run id>/<path>``, ``models:/…``, what ``artifact_uri`` and `get_artifact_uri` say, or a
            local path.
        run_id: The run, instead of a URI.
        artifact_path: The path among its artifacts; default: all.
        dst_path: Folder to copy into; default: where it lies, if that is on this machine (for reading only).
        tracking_uri: The store that has the run; default: where this process logs.
        registry_uri: Where models are registered.

    Raises:
        InvalidValue: Both or neither of URI and run were given, or the URI cannot be used.
        NotFound: There is nothing.
    """
    client = Client(tracking_uri, registry_uri)
    place = _place(client, artifact_uri, run_id, artifact_path)
    if place is None and str(artifact_uri).startswith("models:"):
        target = None if dst_path is None else Path(dst_path)
        return str(fetch(str(artifact_uri), client._stores, client._catalog, target=target).folder)
    if place is None:
        return files.copy_of(str(artifact_uri), dst_path)
    return client.download_artifacts(*place, dst_path)


def list_artifacts(
    artifact_uri: str | None = None,
    run_id: str | None = None,
    artifact_path: str | None = None,
    tracking_uri: str | None = None,
) -> list[FileInfo]:
    """Return what is in a folder of a run's artifacts; arguments as in `download_artifacts`.

    Raises:
        InvalidValue: Both or neither of URI and run were given, or the URI names no run.
        NotFound: There is no such run.
    """
    client = Client(tracking_uri)
    place = _place(client, artifact_uri, run_id, artifact_path)
    if place is None and str(artifact_uri).startswith("models:"):
        folder = fetch(str(artifact_uri), client._stores, client._catalog).folder
        return [
            FileInfo(each.name, each.is_dir(), each.stat().st_size if each.is_file() else None)
            for each in sorted(folder.iterdir())
        ]
    if place is None:
        raise InvalidValue(f"{artifact_uri!r} names no run of {client.tracking_uri}: wanted runs:/<run id>/<path>")
    return client.list_artifacts(*place)


def load_text(artifact_uri: str) -> str:
    """Return the text of a file; the URI as in `download_artifacts`."""
    return Path(download_artifacts(artifact_uri)).read_text(encoding="utf-8")


def load_dict(artifact_uri: str) -> Any:  # noqa: ANN401 - what JSON holds
    """Return what a JSON file holds; the URI as in `download_artifacts`.

    Raises:
        InvalidValue: It is no JSON.
    """
    return files.parsed(load_text(artifact_uri), artifact_uri)


def load_image(artifact_uri: str) -> PIL.Image.Image:
    """Return the image of a file, as Pillow's; the URI as in `download_artifacts`."""
    return Image(download_artifacts(artifact_uri)).to_pil()


def _place(client: Client, uri: str | None, run_id: str | None, path: str | None) -> tuple[str, str] | None:
    """Return the run and the path that are meant; ``None`` if the URI names no run."""
    if (uri is None) == (run_id is None):
        raise InvalidValue("Exactly one of `run_id` or `artifact_uri` must be specified")
    if run_id is not None:
        return run_id, path or ""
    assert uri is not None
    if path is not None:
        raise InvalidValue("`artifact_path` cannot be specified if `artifact_uri` is specified")
    return None if uri.startswith("models:") else client.place_of(uri)
