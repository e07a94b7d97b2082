"""The verbs that log into the active run; without one they log into the step's run, or start one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import BinaryIO

from toolkit.active import files, operations
from toolkit.active.figures import save_figure
from toolkit.active.images import save_image
from toolkit.active.measured import log_measured, log_used
from toolkit.active.operations import RunOperations
from toolkit.active.session import run_to_log_to
from toolkit.active.tables import append_table
from toolkit.active.values import param_texts, scalar, tag_texts
from toolkit.data.input import recorded
from toolkit.errors import InvalidValue, NotFound
from toolkit.ids import now_ms
from toolkit.tracking.logged_models import DatasetRef
from toolkit.tracking.records import Metric


def log_param(key: str, value: object, synchronous: bool | None = None) -> object:
    """Log a parameter; return its value, or with ``synchronous=False`` something to wait with.

    Raises:
        Conflict: It has another value already.
    """
    run_to_log_to().log_params(param_texts({key: value}))
    return value if synchronous is None else operations.answer(synchronous) or value


def log_params(
    params: Mapping[str, object], synchronous: bool | None = None, run_id: str | None = None
) -> RunOperations | None:
    """Log parameters, all or none of them.

    Args:
        params: Values by name; they are kept as text.
        synchronous: ``True``: return when the store has them; ``False``: return something to wait with.
        run_id: Log into this run; default: the active one.

    Raises:
        Conflict: One has another value already.
    """
    run_to_log_to(run_id).log_params(param_texts(params))
    return operations.answer(synchronous)


def log_metric(
    key: str,
    value: float,
    step: int | None = None,
    synchronous: bool | None = None,
    timestamp: int | None = None,
    run_id: str | None = None,
    model_id: str | None = None,
    dataset: object | None = None,
) -> RunOperations | None:
    """Log one point of a metric.

    Args:
        key: Its name.
        value: A number; NaN and infinities too, and tensors and arrays that hold one number.
        step: Where in the training; default 0.
        synchronous: ``True``: return when the store has it; ``False``: return something to wait with.
        timestamp: Milliseconds since 1970 UTC; default: now.
        run_id: Log into this run; default: the active one.
        model_id: The logged model that was measured: the point is its own, too.
        dataset: The data that it was measured on; it becomes an input of the run.
    """
    return log_metrics({key: value}, step, synchronous, run_id, timestamp, model_id, dataset)


def log_metrics(
    metrics: Mapping[str, float],
    step: int | None = None,
    synchronous: bool | None = None,
    run_id: str | None = None,
    timestamp: int | None = None,
    model_id: str | None = None,
    dataset: object | None = None,
) -> RunOperations | None:
    """Log one point of each metric, all or none of them; arguments as in `log_metric`."""
    run = run_to_log_to(run_id)
    values = {key: scalar(value) for key, value in metrics.items()}
    moment = now_ms() if timestamp is None else timestamp
    run.log_metrics(values, step=step or 0, timestamp=moment)
    used = recorded(dataset) if dataset is not None else None
    if used is not None:
        run.log_inputs([used])
    if model_id is not None:
        points = [Metric(key=key, value=value, timestamp=moment, step=step or 0) for key, value in values.items()]
        on = DatasetRef(name=used.dataset.name, digest=used.dataset.digest) if used is not None else None
        log_measured(run.stores, run.run_id, model_id, points, on)
    return operations.answer(synchronous)


def set_tag(key: str, value: object, synchronous: bool | None = None) -> RunOperations | None:
    """Set a tag; the last value counts. ``synchronous`` as in `log_metric`."""
    run_to_log_to().set_tags(tag_texts({key: value}))
    return operations.answer(synchronous)


def set_tags(tags: Mapping[str, object], synchronous: bool | None = None) -> RunOperations | None:
    """Set tags, all or none of them. ``synchronous`` as in `log_metric`."""
    run_to_log_to().set_tags(tag_texts(tags))
    return operations.answer(synchronous)


def delete_tag(key: str) -> None:
    """Remove a tag of the active run.

    Raises:
        NotFound: The run has none of this name. While the store is away, that is not asked.
    """
    run = run_to_log_to()
    if run.lacks_tag(key):
        raise NotFound(f"No tag with name: {key} in run with id {run.run_id}")
    run.set_tags({key: None})


def log_artifact(local_path: str | Path, artifact_path: str | None = None, run_id: str | None = None) -> None:
    """Store a local file, or a folder with its name, as an artifact.

    Args:
        local_path: The file or folder.
        artifact_path: Folder among the artifacts to put it in; default: the top.
        run_id: The run; default: the active one.

    Raises:
        NotFound: There is nothing at ``local_path``.
    """
    source = Path(local_path)
    run_to_log_to(run_id).log_path(source, str(PurePosixPath(artifact_path or "") / source.name))


def log_artifacts(local_dir: str | Path, artifact_path: str | None = None, run_id: str | None = None) -> None:
    """Store all files of a local folder as artifacts.

    Args:
        local_dir: The folder.
        artifact_path: Folder among the artifacts to put them in; default: the top.
        run_id: The run; default: the active one.

    Raises:
        InvalidValue: ``local_dir`` is not a folder.
    """
    source = Path(local_dir)
    if not source.is_dir():
        raise InvalidValue(f"{local_dir} is not a folder: log_artifacts wants one, log_artifact takes a file")
    run_to_log_to(run_id).log_folder(source, artifact_path or "")


def log_text(text: str, artifact_file: str, run_id: str | None = None) -> None:
    """Store text, in UTF-8, as the artifact ``artifact_file``."""
    files.log_text(run_to_log_to(run_id), text, artifact_file)


def log_dict(dictionary: object, artifact_file: str, run_id: str | None = None) -> None:
    """Store a value as the artifact ``artifact_file``: as YAML if it is called ``.yaml`` or ``.yml``, else as JSON."""
    files.log_value(run_to_log_to(run_id), dictionary, artifact_file)


def log_stream(stream: BinaryIO, artifact_file: str, run_id: str | None = None) -> None:
    """Store what a binary stream gives until its end, in constant memory, as the artifact ``artifact_file``."""
    run_to_log_to(run_id).log_stream(stream, artifact_file)


def log_figure(figure: object, artifact_file: str, *, save_kwargs: Mapping[str, object] | None = None) -> None:
    """Store a figure of Matplotlib or Plotly as the artifact ``artifact_file``, in the format that its name says.

    Args:
        figure: The figure.
        artifact_file: Such as ``plots/roc.png``, for Plotly also ``.html``.
        save_kwargs: Arguments for the library that saves it.

    Raises:
        InvalidValue: It is no figure, or Plotly cannot save this kind of file.
    """
    save_figure(run_to_log_to(), figure, artifact_file, save_kwargs or {})


def log_image(
    image: object,
    artifact_file: str | None = None,
    key: str | None = None,
    step: int | None = None,
    timestamp: int | None = None,
    synchronous: bool | None = False,  # noqa: ARG001 - MLflow's argument: the files are stored when this returns
) -> None:
    """Store an image: as the artifact ``artifact_file``, or under a key with a step, as one of a series.

    Args:
        image: An array of NumPy (height × width, or with 1, 3 or 4 channels; integers from 0 to 255, floats from 0 to
            1, booleans), an image of Pillow, or an `Image`.
        artifact_file: Such as ``images/cat.png``.
        key: Name of the series, instead.
        step: Where in the training; default 0.
        timestamp: Milliseconds since 1970 UTC; default: now.
        synchronous: MLflow's argument; the image is stored when this returns.

    Raises:
        InvalidValue: Both or neither of ``artifact_file`` and ``key`` were given, or the image cannot be used.
    """
    save_image(run_to_log_to(), image, artifact_file=artifact_file, key=key, step=step, timestamp=timestamp)


def log_table(data: object, artifact_file: str, run_id: str | None = None) -> None:
    """Store a table, or append to the one that is there.

    Args:
        data: A DataFrame of pandas, or columns by name.
        artifact_file: Its name, which ends in ``.json`` or ``.parquet``.
        run_id: The run; default: the active one.

    Raises:
        InvalidValue: The name or the data cannot be used.
    """
    append_table(run_to_log_to(run_id), data, artifact_file)


def log_input(
    dataset: object | None = None,
    context: str | None = None,
    tags: Mapping[str, str] | None = None,
    model: object | None = None,
) -> None:
    """Note that the run uses a dataset.

    Args:
        dataset: One of `toolkit.data` or of MLflow, a DataFrame, an array, or the path or URL of a file.
        context: What for, such as ``training``.
        tags: More to say about this use.
        model: A logged model that the run uses: its id, or what `log_model` returns.
    """
    log_inputs([dataset], [context], [tags], [model])


def log_inputs(
    datasets: Sequence[object | None] | None = None,
    contexts: Sequence[str | None] | None = None,
    tags_list: Sequence[Mapping[str, str] | None] | None = None,
    models: Sequence[object | None] | None = None,
) -> None:
    """Note that the run uses datasets; the lists are as long as each other, arguments as in `log_input`.

    Raises:
        InvalidValue: The lists are of different lengths.
    """
    count = max(len(each or ()) for each in (datasets, contexts, tags_list, models))
    lists = [list(each or [None] * count) for each in (datasets, contexts, tags_list, models)]
    if any(len(each) != count for each in lists):
        raise InvalidValue("log_inputs was given lists of different lengths: wanted one entry of each a dataset")
    models = [model for model in lists[3] if model is not None]
    inputs = [
        recorded(dataset, context=context, tags=tags)
        for dataset, context, tags, _ in zip(*lists, strict=True)
        if dataset is not None
    ]
    run = run_to_log_to() if inputs or models else None
    if run is not None and inputs:
        run.log_inputs(inputs)
    if run is not None and models:
        log_used(run.stores, run.run_id, models)
