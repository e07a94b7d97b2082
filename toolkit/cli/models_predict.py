"""``toolkit models predict``: a model's predictions of a file of rows."""

from __future__ import annotations

import json
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Any

import typer

from toolkit.cli.render import say, show_json
from toolkit.errors import InvalidValue
from toolkit.models.scoring import CHUNK_ROWS, Batch, Progress, score
from toolkit.wiring import connect

_BETWEEN = 0.1  # seconds; more often nobody reads
_CLEAR = "\r\x1b[K"


def predict(
    model_uri: str = typer.Option(..., "-m", "--model-uri", metavar="URI", help="The model."),
    input_path: str = typer.Option("-", "-i", "--input-path", metavar="FILE", help="Rows; - is standard input."),
    output_path: str = typer.Option(
        "-", "-o", "--output-path", metavar="FILE", help="Predictions; - is standard output."
    ),
    input_format: str | None = typer.Option(
        None,
        "-t",
        "--input-format",
        "--content-type",
        metavar="FORMAT",
        help="csv, json, split, jsonl or parquet; default: as the file's ending says.",
    ),
    output_format: str | None = typer.Option(
        None, "--output-format", metavar="FORMAT", help="The same of the predictions."
    ),
    params: str | None = typer.Option(None, "--params", metavar="JSON", help="Parameters of the model, as an object."),
    chunk_rows: int = typer.Option(CHUNK_ROWS, "--chunk-rows", metavar="N", help="So many rows at a time."),
    keep: list[str] = typer.Option(
        [], "-k", "--keep", metavar="COLUMN", help="Write this column of the input, too; again for more; '*' for all."
    ),
    trust: bool = typer.Option(False, "--trust", help="Load the model though it can run any code."),
    as_json: bool = typer.Option(False, "--json", help="Print how many rows there were as JSON."),
) -> None:
    """Score a file in chunks: memory does not grow with it, and the predictions are written whole or not at all."""
    from toolkit.active.models import load_model  # noqa: PLC0415 - when a call is right so far

    batch = Batch(
        source=input_path,
        target=output_path,
        source_format=input_format,
        target_format=output_format,
        params=_params(params),
        chunk_rows=chunk_rows,
        keep=keep,
    )
    batch.kinds()
    connect()
    model = load_model(model_uri, trust=trust)
    with _stopped_cleanly(), RowsProgress() as progress:
        count = score(model, batch, progress)
    if as_json and output_path != "-":
        show_json({"schema": 1, "rows": count, "output": output_path})
    elif output_path != "-":
        say(f"scored {count:,} rows into {output_path}")


@contextmanager
def _stopped_cleanly() -> Iterator[None]:
    """Let SIGTERM end a block by way of what takes a half-written file away."""
    before = signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _params(text: str | None) -> dict[str, Any] | None:
    if text is None:
        return None
    try:
        found = json.loads(text)
    except ValueError as error:
        raise InvalidValue(f"--params is no JSON: {error}") from None
    if not isinstance(found, dict):
        raise InvalidValue(f"--params is {text!r:.100}: wanted an object such as '{{\"temperature\": 0.5}}'")
    return found


class RowsProgress:
    """Shows on a terminal how many rows are scored, in a line that is written over. In a pipe: nothing."""

    def __init__(self) -> None:
        self._shown = 0.0
        self._terminal = sys.stderr.isatty()

    def __enter__(self) -> RowsProgress:
        """Begin."""
        return self

    def __call__(self, progress: Progress) -> None:
        """Show it, if it was not shown a moment ago."""
        now = time.monotonic()
        if not self._terminal or now - self._shown < _BETWEEN:
            return
        self._shown = now
        share = "" if progress.share is None else f", {progress.share:.0%} of the file"
        sys.stderr.write(f"{_CLEAR}scored {progress.rows:,} rows{share}")
        sys.stderr.flush()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Take the line away."""
        if self._shown:
            sys.stderr.write(_CLEAR)
            sys.stderr.flush()
