"""Tables as artifacts: logged in parts, loaded from several runs at once."""

from __future__ import annotations

import json
import tempfile
import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from toolkit.active.files import entries, log_saved
from toolkit.active.frames import pandas
from toolkit.active.images import is_picture, picture_of, small
from toolkit.errors import InvalidValue, NotFound
from toolkit.recording.run import RecordedRun
from toolkit.tracking.records import Run

if TYPE_CHECKING:
    import pandas as pd

LOGGED_ARTIFACTS = "mlflow.loggedArtifacts"
"""Tag with the tables of a run: a list of ``{"path": …, "type": "table"}`` as JSON."""

_REFUSED = "\"',:[]{}"


def append_table(run: RecordedRun, data: object, path: str) -> None:
    """Store a table, after the rows that are there.

    Raises:
        InvalidValue: The path or the data cannot be used.
    """
    _check_path(path)
    table = _pictures_stored(run, _frame(data), path)
    there = _read(run, path)
    if there is not None:
        table = pandas().concat([there, table], ignore_index=True)
    store_table(run, table, path)


def store_table(run: RecordedRun, table: pd.DataFrame, path: str) -> None:
    """Store a table in the place of the one that is there."""
    _write(run, table, path)
    logged = logged_tables(run.read().data.tags)
    if path not in logged:
        told = [{"path": each, "type": "table"} for each in (*logged, path)]
        run.set_tags({LOGGED_ARTIFACTS: json.dumps(told)})


def logged_tables(tags: Mapping[str, str]) -> list[str]:
    """Return the paths of the tables that a run's tags tell of."""
    try:
        told = json.loads(tags.get(LOGGED_ARTIFACTS, "[]"))
        return [each["path"] for each in told if each.get("type") == "table"]
    except (ValueError, TypeError, KeyError, AttributeError):  # somebody else's tag
        return []


def joined_table(runs: Sequence[RecordedRun], path: str, extra_columns: Sequence[str]) -> pd.DataFrame:
    """Return the tables of several runs, one below the other.

    Args:
        runs: The runs, each with such a table.
        path: The table's path.
        extra_columns: What to tell of each run in columns of its own: ``run_id``, ``params.alpha``, ….

    Raises:
        InvalidValue: A run has nothing of this name.
        NotFound: No run has the table.
    """
    tables = []
    for run in runs:
        table = _read(run, path)
        if table is None:
            raise NotFound(f"Artifact {path} not found for run {run.run_id}.")
        for column in extra_columns:
            table[f"{column}_" if column in table else column] = _told(run.read(), column)
        tables.append(table)
    if not tables:
        raise NotFound("No runs found with the corresponding table artifact.")
    return pandas().concat(tables, ignore_index=True)


def _check_path(path: str) -> None:
    if any(character in _REFUSED for character in path):
        raise InvalidValue(f"The artifact_file {path!r} contains forbidden characters: none of {' '.join(_REFUSED)}")
    if not path.endswith((".json", ".parquet")):
        raise InvalidValue(f"Invalid artifact file path '{path}': a table's name ends in '.json' or '.parquet'")


def _frame(data: object) -> pd.DataFrame:
    pd = pandas()
    if isinstance(data, pd.DataFrame):
        return data
    if not isinstance(data, dict):
        raise InvalidValue("data must be a pandas.DataFrame or a dictionary")
    try:
        return pd.DataFrame(data)
    except ValueError:  # one row: plain values without a list around them
        return pd.DataFrame([data])


def _pictures_stored(run: RecordedRun, table: pd.DataFrame, path: str) -> pd.DataFrame:
    """Store the images in a table as files, and put their paths in their places."""
    folder = f"table_images/{PurePosixPath(path).with_suffix('')}"

    def stored(value: object) -> object:
        if not is_picture(value):
            return value
        picture, name = picture_of(value), f"{folder}/{uuid.uuid4()}"
        log_saved(run, f"{name}.png", picture.save)
        log_saved(run, f"{name}.webp", small(picture).save)
        return {"type": "image", "filepath": f"{name}.png", "compressed_filepath": f"{name}.webp"}

    with_pictures = [
        name for name in table.columns if table[name].dtype == object and table[name].map(is_picture).any()
    ]
    if not with_pictures:
        return table
    changed = table.copy()
    for name in with_pictures:
        changed[name] = [stored(value) for value in changed[name]]
    return changed


def _read(run: RecordedRun, path: str) -> pd.DataFrame | None:
    """Return a table of a run; ``None`` if it has none of this path."""
    entry = next((each for each in entries(run, path) if each.path == path), None)
    if entry is None:
        return None
    with tempfile.TemporaryDirectory(prefix="toolkit-") as folder:
        file = Path(folder) / PurePosixPath(path).name
        run.fetch(entry, file)
        if path.endswith(".parquet"):
            return pandas().read_parquet(file)
        told = json.loads(file.read_text(encoding="utf-8"))
        return pandas().DataFrame(told["data"], columns=told["columns"])


def _write(run: RecordedRun, table: pd.DataFrame, path: str) -> None:
    if path.endswith(".parquet"):
        log_saved(run, path, lambda target: table.to_parquet(target, index=False))
        return
    text = table.to_json(orient="split", index=False, date_format="iso", force_ascii=False, default_handler=str)
    run.log_text(text, path)


def _told(run: Run, column: str) -> Any:  # noqa: ANN401 - as the run has it
    kind, _, key = column.partition(".")
    values: Mapping[str, Mapping[str, object]] = {
        "metrics": run.data.metrics,
        "params": run.data.params,
        "tags": run.data.tags,
    }
    if kind in values:
        return values[kind].get(key)
    if column in ("run_id", "experiment_id", "status", "artifact_uri", "start_time", "end_time", "run_name"):
        value = getattr(run.info, column)
        return pandas().to_datetime(value, unit="ms", utc=True) if column.endswith("_time") else str(value)
    raise InvalidValue(f"{column!r} is nothing that a run has: wanted run_id, start_time, params.…, metrics.…, tags.…")
