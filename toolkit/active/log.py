"""The verbs that log into the active run; without one they log into the step's run, or start one."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path, PurePosixPath

from toolkit.active.session import run_to_log_to
from toolkit.errors import InvalidValue


def log_param(key: str, value: object) -> object:
    """Log a parameter; return its value.

    Raises:
        Conflict: It has another value already.
    """
    run_to_log_to().log_params({key: value})
    return value


def log_params(params: Mapping[str, object]) -> None:
    """Log parameters, all or none of them.

    Raises:
        Conflict: One has another value already.
    """
    run_to_log_to().log_params(params)


def log_metric(key: str, value: float, step: int | None = None, timestamp: int | None = None) -> None:
    """Log one point of a metric.

    Args:
        key: Its name.
        value: A number; NaN and infinities too.
        step: Where in the training; default 0.
        timestamp: Milliseconds since 1970 UTC; default: now.
    """
    run_to_log_to().log_metrics({key: value}, step=step or 0, timestamp=timestamp)


def log_metrics(metrics: Mapping[str, float], step: int | None = None, timestamp: int | None = None) -> None:
    """Log one point of each metric, all or none of them; arguments as in `log_metric`."""
    run_to_log_to().log_metrics(metrics, step=step or 0, timestamp=timestamp)


def set_tag(key: str, value: object) -> None:
    """Set a tag; the last value counts."""
    run_to_log_to().set_tags({key: value})


def set_tags(tags: Mapping[str, object]) -> None:
    """Set tags, all or none of them."""
    run_to_log_to().set_tags(tags)


def log_artifact(local_path: str | Path, artifact_path: str | None = None) -> None:
    """Store a local file, or a folder with its name, as an artifact.

    Args:
        local_path: The file or folder.
        artifact_path: Folder among the artifacts to put it in; default: the top.

    Raises:
        NotFound: There is nothing at ``local_path``.
    """
    source = Path(local_path)
    run_to_log_to().log_path(source, str(PurePosixPath(artifact_path or "") / source.name))


def log_artifacts(local_dir: str | Path, artifact_path: str | None = None) -> None:
    """Store all files of a local folder as artifacts.

    Args:
        local_dir: The folder.
        artifact_path: Folder among the artifacts to put them in; default: the top.

    Raises:
        InvalidValue: ``local_dir`` is not a folder.
    """
    source = Path(local_dir)
    if not source.is_dir():
        raise InvalidValue(f"{local_dir} is not a folder: log_artifacts wants one, log_artifact takes a file")
    run_to_log_to().log_folder(source, artifact_path or "")


def log_text(text: str, artifact_file: str) -> None:
    """Store text, in UTF-8, as the artifact ``artifact_file``."""
    run_to_log_to().log_text(text, artifact_file)


def log_dict(dictionary: object, artifact_file: str) -> None:
    """Store a value as the artifact ``artifact_file``: as YAML if it is called ``.yaml`` or ``.yml``, else as JSON."""
    if PurePosixPath(artifact_file).suffix in (".yaml", ".yml"):
        import yaml  # noqa: PLC0415 - only for this kind of file

        run_to_log_to().log_text(yaml.safe_dump(dictionary, sort_keys=False, allow_unicode=True), artifact_file)
    else:
        run_to_log_to().log_json(dictionary, artifact_file)
