"""Files of a run as a script works with them: values that become files, what is there, and getting it here."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import unquote, urlsplit

from toolkit.artifacts.key import check_key
from toolkit.data.source import local_path
from toolkit.entities import FileInfo
from toolkit.errors import InvalidValue, NotFound
from toolkit.recording.run import RecordedRun
from toolkit.recording.stores import Stores
from toolkit.tracking.records import ArtifactEntry

_PAGE = 10_000


def log_text(run: RecordedRun, text: str, path: str) -> None:
    """Store text.

    Raises:
        InvalidValue: It is no text.
    """
    if not isinstance(text, str):
        raise InvalidValue(f"log_text was given {type(text).__name__}: wanted text; log_dict takes other values")
    run.log_text(text, path)


def log_value(run: RecordedRun, value: object, path: str) -> None:
    """Store a value: as YAML if the path ends so, else as JSON."""
    if PurePosixPath(path).suffix in (".yaml", ".yml"):
        import yaml  # noqa: PLC0415 - only for this kind of file

        run.log_text(yaml.safe_dump(value, sort_keys=False, allow_unicode=True), path)
    else:
        run.log_json(value, path)


def log_saved(run: RecordedRun, path: str, save: Callable[[str], object]) -> None:
    """Let a library save to a temporary file of the same name, and store that as the artifact ``path``."""
    check_key(path)
    with tempfile.TemporaryDirectory(prefix="toolkit-") as folder:
        target = Path(folder) / PurePosixPath(path).name
        save(str(target))
        run.log_file(target, path)


def entries(run: RecordedRun, path: str = "") -> Iterator[ArtifactEntry]:
    """Give the files of a run at or below a path, in the order of their paths."""
    token: str | None = None
    while True:
        page = run.stores.runs.list_artifacts(run.run_id, prefix=path.strip("/"), limit=_PAGE, page_token=token)
        yield from page.items
        token = page.next_page_token
        if token is None:
            return


def listing(run: RecordedRun, path: str | None = None) -> list[FileInfo]:
    """Return what is in a folder of a run, folders and files by name; nothing for a file or where nothing is."""
    folder = (path or "").strip("/")
    depth = len(folder.split("/")) if folder else 0
    found: dict[str, FileInfo] = {}
    for entry in entries(run, folder):
        parts = entry.path.split("/")
        if len(parts) == depth:
            continue  # the path is a file itself
        name = "/".join(parts[: depth + 1])
        leaf = len(parts) == depth + 1
        found.setdefault(name, FileInfo(name, not leaf, entry.size if leaf else None))
    return sorted(found.values(), key=lambda each: each.path)


def download(run: RecordedRun, path: str | None, target: str | Path | None) -> str:
    """Return the local path of a run's file or folder; digests are checked where it is copied.

    Args:
        run: The run.
        path: Its path among the run's artifacts; default: all of them.
        target: Folder to copy it into, under its path; default: where it lies if that is on this machine (for reading
            only), else a temporary folder.

    Raises:
        NotFound: There is no such file or folder.
    """
    wanted = (path or "").strip("/")
    files = list(entries(run, wanted))
    if not files and wanted:
        raise NotFound(f"No such artifact: '{wanted}' (run {run.run_id}); list_artifacts shows what there is")
    if target is None and wanted and (here := run.local_path(wanted)) is not None:
        return str(here)
    folder = Path(tempfile.mkdtemp(prefix="toolkit-") if target is None else target).absolute()
    folder.mkdir(parents=True, exist_ok=True)
    run.fetch_all(files, folder)
    return str(folder / wanted) if wanted else str(folder)


def place_of(stores: Stores, uri: str) -> tuple[str, str] | None:
    """Return the run and the path that a URI names: ``runs:/<run id>/<path>``, or what ``artifact_uri`` says of a run.

    Returns:
        The run's id and the path; ``None`` if the URI names no run of these stores.
    """
    if uri.startswith("runs:"):
        run_id, _, path = uri.removeprefix("runs:").lstrip("/").partition("/")
        return run_id, path
    root = stores.artifact_root.rstrip("/")
    plain = local_path(root).as_posix()
    for start in (root, plain):
        if uri.startswith(f"{start}/"):
            parts = unquote(uri.removeprefix(f"{start}/")).split("/")
            if len(parts) >= 3 and parts[2] == "artifacts":
                return parts[1], "/".join(parts[3:])
    return None


def copy_of(uri: str, target: str | Path | None) -> str:
    """Return the local path of a file or folder that is no run's; copied if a folder for it is given.

    Raises:
        InvalidValue: It is neither a path nor a ``file:`` URI.
        NotFound: There is nothing.
    """
    if "://" in uri and urlsplit(uri).scheme != "file":
        raise InvalidValue(
            f"{uri!r} is no artifact of a run: wanted runs:/<run id>/<path>, what artifact_uri says, or a path"
        )
    source = local_path(uri)
    if not source.exists():
        raise NotFound(f"No such artifact: '{uri}'")
    if target is None:
        return str(source)
    copy = Path(target).absolute() / source.name
    copy.parent.mkdir(parents=True, exist_ok=True)
    return str(shutil.copytree(source, copy, dirs_exist_ok=True) if source.is_dir() else shutil.copy(source, copy))


def parsed(text: str, uri: str) -> Any:  # noqa: ANN401 - what JSON holds
    """Return what JSON text says.

    Raises:
        InvalidValue: It is no JSON.
    """
    try:
        return json.loads(text)
    except ValueError as error:
        raise InvalidValue(f"Unable to form a JSON object from file content: {uri} ({error})") from None
