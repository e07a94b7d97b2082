"""``toolkit models evaluate`` and ``compare``: how good a model is on a file of rows whose answers are known."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from toolkit.cli.render import number, say, show, show_json, show_table
from toolkit.errors import InvalidValue, ThresholdFailed
from toolkit.models.evaluation.slices import PREFIX
from toolkit.models.evaluation.threshold import greater_is_better, read_thresholds
from toolkit.models.rows.kinds import STANDARD, kind_of
from toolkit.models.rows.reader import reading
from toolkit.wiring import connect

if TYPE_CHECKING:
    from toolkit.data.dataset import Dataset
    from toolkit.models.evaluation.result import EvaluationResult
    from toolkit.models.loading import LoadedModel

_ALL = 2**31 - 1
_SHOWN_OF_SLICES = (
    "accuracy_score",
    "f1_score",
    "roc_auc",
    "mean_absolute_error",
    "root_mean_squared_error",
    "r2_score",
)

_INPUT = typer.Option(..., "-i", "--input-path", metavar="FILE", help="Rows with their answers; - is standard input.")
_TARGETS = typer.Option(..., "--targets", metavar="COLUMN", help="The column with the right answers.")
_FORMAT = typer.Option(
    None, "-t", "--input-format", metavar="FORMAT", help="csv, json, split, jsonl or parquet; default: by the ending."
)
_TYPE = typer.Option(None, "--model-type", metavar="TYPE", help="classifier or regressor; default: as it looks.")
_THRESHOLDS = typer.Option(
    [],
    "--threshold",
    metavar="WANTED",
    help="Such as 'f1_score>=0.9' or 'rmse<=baseline-5%'; again for more. Exit code 1 if one is not met.",
)
_SLICES = typer.Option(
    [], "--slice", metavar="COLUMN", help="Measure each value of this column on its own; again for more."
)
_WEIGHTS = typer.Option(None, "--sample-weights", metavar="COLUMN", help="The column with how much each row counts.")
_POSITIVE = typer.Option(None, "--pos-label", metavar="CLASS", help="Of two classes, the one that is looked for.")
_TRUST = typer.Option(False, "--trust", help="Load models though they can run any code.")
_JSON = typer.Option(False, "--json", help="Print JSON.")


def evaluate(
    model_uri: str = typer.Option(..., "-m", "--model-uri", metavar="URI", help="The model."),
    input_path: str = _INPUT,
    targets: str = _TARGETS,
    input_format: str | None = _FORMAT,
    model_type: str | None = _TYPE,
    thresholds: list[str] = _THRESHOLDS,
    baseline: str | None = typer.Option(
        None, "--baseline", metavar="URI", help="A model to compare with, on the same rows."
    ),
    slices: list[str] = _SLICES,
    sample_weights: str | None = _WEIGHTS,
    pos_label: str | None = _POSITIVE,
    experiment: str | None = typer.Option(
        None, "-x", "--experiment", metavar="NAME", help="Log the run here; default: as the settings say."
    ),
    name: str | None = typer.Option(None, "--name", metavar="NAME", help="What the data are called."),
    no_log: bool = typer.Option(False, "--no-log", help="Log nothing."),
    trust: bool = _TRUST,
    as_json: bool = _JSON,
) -> None:
    """Measure a model on a file; log metrics, curves, pictures and tables as a run, and the metrics onto the model."""
    from toolkit.active.evaluate import evaluate as measure  # noqa: PLC0415 - when a call is right so far
    from toolkit.active.experiments import set_experiment  # noqa: PLC0415 - the same

    read_thresholds(thresholds)
    connect()
    if experiment is not None and not no_log:
        set_experiment(experiment)
    model = _model(model_uri, trust)
    data = _data(model, input_path, input_format, targets, name)
    try:
        result = measure(
            model,
            data,
            targets,
            model_type=model_type,
            thresholds=thresholds,
            baseline=_model(baseline, trust) if baseline is not None else None,
            slices=slices or None,
            sample_weights=sample_weights,
            pos_label=_label(pos_label, data, targets),
            log=not no_log,
        )
    except ThresholdFailed as error:
        _note_file(error.result, input_path)
        _show(error.result, as_json)
        raise
    _note_file(result, input_path)
    _show(result, as_json)


def compare(
    baseline: str = typer.Argument(metavar="A", help="The model to compare with, such as models:/wine@champion."),
    candidate: str = typer.Argument(metavar="B", help="The model that may take its place."),
    input_path: str = _INPUT,
    targets: str = _TARGETS,
    input_format: str | None = _FORMAT,
    model_type: str | None = _TYPE,
    thresholds: list[str] = _THRESHOLDS,
    slices: list[str] = _SLICES,
    sample_weights: str | None = _WEIGHTS,
    pos_label: str | None = _POSITIVE,
    trust: bool = _TRUST,
    as_json: bool = _JSON,
) -> None:
    """Measure two models on the same file, metric by metric. Thresholds are for B; nothing is logged."""
    from toolkit.active.evaluate import evaluate as measure  # noqa: PLC0415 - when a call is right so far

    read_thresholds(thresholds)
    connect()
    model = _model(candidate, trust)
    data = _data(model, input_path, input_format, targets, None)
    try:
        result = measure(
            model,
            data,
            targets,
            model_type=model_type,
            thresholds=thresholds,
            baseline=_model(baseline, trust),
            slices=slices or None,
            sample_weights=sample_weights,
            pos_label=_label(pos_label, data, targets),
            log=False,
        )
    except ThresholdFailed as error:
        _show_comparison(error.result, (baseline, candidate), as_json)
        raise
    _show_comparison(result, (baseline, candidate), as_json)


def _model(uri: str, trust: bool) -> LoadedModel:
    from toolkit.active.models import load_model  # noqa: PLC0415 - when a call is right so far

    return load_model(uri, trust=trust)


def _data(model: LoadedModel, path: str, given: str | None, targets: str, name: str | None) -> Dataset:
    """Return a file as a dataset, its columns in the types that a model wants."""
    from toolkit.data.frames import from_pandas  # noqa: PLC0415 - when there is a file

    signature = model.metadata.signature
    schema = signature.inputs if signature is not None else None
    tensor = None
    if schema is not None and schema.is_tensor_spec():  # it is of all columns, and here one is the answer
        tensor = None if schema.has_input_names() else str(schema.tensors()[0].type)
        schema = None
    with reading(path, kind_of(path, given, "--input-format"), _ALL, schema) as chunks:
        chunk = next(chunks, None)
    called = "standard input" if path == STANDARD else path
    if chunk is None:
        raise InvalidValue(f"{called} has no rows to evaluate on")
    if targets not in chunk.data.columns:
        columns = ", ".join(str(column) for column in chunk.data.columns[:20])
        raise InvalidValue(f"{called} has no column {targets!r}, as --targets says; it has {columns}")
    if tensor is not None:
        others = [column for column in chunk.data.columns if column != targets]
        chunk.data[others] = chunk.data[others].astype(tensor)
    source = None if path == STANDARD else Path(path).absolute()
    return from_pandas(chunk.data, source=source, targets=targets, name=name or Path(called).stem)


def _note_file(result: EvaluationResult, path: str) -> None:
    """Note the file itself as data of the run, too: lineage knows files by their content, tables by their rows."""
    from toolkit.data.input import recorded  # noqa: PLC0415 - when there is a file
    from toolkit.data.places import from_path  # noqa: PLC0415 - the same
    from toolkit.recording import current  # noqa: PLC0415 - the same

    if result.run_id is not None and path != STANDARD:
        current.stores().runs.log_inputs(result.run_id, [recorded(from_path(path), context="evaluation")])


def _label(text: str | None, data: Dataset, targets: str) -> object:
    """Return a class as the data have it, where the command line has text."""
    if text is None:
        return None
    table: Any = data.data
    known = {str(value): value for value in table[targets].unique().tolist()}
    if text not in known:
        raise InvalidValue(f"--pos-label is {text!r}: wanted one of {', '.join(sorted(known)[:20])}")
    return known[text]


def _show(result: EvaluationResult, as_json: bool) -> None:
    if as_json:
        show_json({"schema": 1, **result.to_dict(), "slices": _slices(result)})
        return
    compared = result.baseline_metrics
    whole = [name for name in result.metrics if not name.startswith(f"{PREFIX}/")]
    if compared is None:
        show_table(("metric", "value"), [(name, number(result.metrics[name])) for name in whole])
    else:
        show_table(("metric", "value", "baseline", "difference"), [_row(result, name)[:4] for name in whole])
    _show_slices(result)
    _show_checks(result)
    if result.run_id is not None:
        say(f"logged as run {result.run_id}, on {result.dataset_name} ({result.dataset_digest})")


def _show_comparison(result: EvaluationResult, names: Sequence[str], as_json: bool) -> None:
    base = result.baseline_metrics or {}
    if as_json:
        rows = [
            {
                "metric": name,
                "a": base.get(name),
                "b": value,
                "difference": value - base[name] if name in base else None,
                "better": _better(name, base.get(name), value) or None,
            }
            for name, value in result.metrics.items()
        ]
        told = result.to_dict()
        dataset, checks, passed = told["dataset"], told["checks"], told["passed"]
        shown = {"schema": 1, "a": names[0], "b": names[1], "dataset": dataset, "metrics": rows}
        show_json({**shown, "passed": passed, "checks": checks})
        return
    show(f"A is {names[0]}, B is {names[1]}")
    rows_of_text = [(row[0], row[2], row[1], row[3], row[4]) for row in (_row(result, name) for name in result.metrics)]
    show_table(("metric", "A", "B", "difference", "better"), rows_of_text)
    _show_checks(result)


def _row(result: EvaluationResult, name: str) -> tuple[str, str, str, str, str]:
    value, base = result.metrics[name], (result.baseline_metrics or {}).get(name)
    if base is None:
        return name, number(value), "", "", ""
    return name, number(value), number(base), f"{value - base:+.6g}", _better(name, base, value)


def _better(name: str, base: float | None, value: float) -> str:
    """Return which of two is better, where that is known."""
    greater = greater_is_better(name)
    if greater is None or base is None:
        return ""
    return "=" if value == base else "B" if (value > base) == greater else "A"


def _slices(result: EvaluationResult) -> list[dict[str, object]]:
    table = result.tables.get(PREFIX)
    return [] if table is None else table.astype(object).where(table.notna(), None).to_dict("records")


def _show_slices(result: EvaluationResult) -> None:
    rows = _slices(result)
    if not rows:
        return
    columns = [name for name in _SHOWN_OF_SLICES if name in rows[0]]
    show("")
    show_table(
        ("slice", "rows", *columns),
        [(str(row["slice"]), str(row["rows"]), *(_number(row[name]) for name in columns)) for row in rows],
    )


def _number(value: object) -> str:
    return number(value) if isinstance(value, int | float) else ""


def _show_checks(result: EvaluationResult) -> None:
    if result.checks:
        show("")
    for check in result.checks:
        show(f"{'ok    ' if check.passed else 'FAILED'}  {check}")
