"""Datasets from tables of pandas and of Polars."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from toolkit.data import digest as digests
from toolkit.data import profile, schema
from toolkit.data.dataset import Dataset
from toolkit.data.source import DatasetSource, source_of
from toolkit.errors import InvalidValue

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pandas as pd
    import polars as pl

NAME = "dataset"
"""Name of a dataset that is given none; MLflow's."""


def from_pandas(
    df: pd.DataFrame,
    source: str | Path | DatasetSource | object | None = None,
    targets: str | None = None,
    name: str | None = None,
    digest: str | None = None,
    predictions: str | None = None,
) -> Dataset:
    """Return a table of pandas as a dataset.

    The digest is of at most the first 10,000 rows, however large the table is. The profile says how the columns'
    values are spread, by at most 10,000 rows: what a deployment is given is held against it.

    Args:
        df: The table.
        source: Path or URL that it comes from; default: the script.
        targets: Column that is to be predicted.
        name: Its name; default: ``dataset``.
        digest: Its digest, if it is known; default: computed.
        predictions: Column that holds predictions.

    Raises:
        InvalidValue: There is no such column, or the source cannot be used.
    """
    _check_columns(list(df.columns), targets=targets, predictions=predictions)
    return Dataset(
        name=name or NAME,
        digest=digest or digests.of_pandas(df),
        source=source_of(source),
        schema=schema.of_pandas(df),
        profile={"num_rows": len(df), "num_elements": int(df.size), **profile.of_pandas(df)},
        data=df,
        targets=targets,
        predictions=predictions,
    )


def from_polars(
    df: pl.DataFrame,
    source: str | Path | DatasetSource | object | None = None,
    targets: str | None = None,
    name: str | None = None,
    digest: str | None = None,
    predictions: str | None = None,
) -> Dataset:
    """Return a table of Polars as a dataset; arguments as in `from_pandas`.

    Raises:
        InvalidValue: There is no such column, or the source cannot be used.
    """
    _check_columns(df.columns, targets=targets, predictions=predictions)
    return Dataset(
        name=name or NAME,
        digest=digest or digests.of_polars(df),
        source=source_of(source),
        schema=schema.of_polars(df),
        profile={"num_rows": df.height, "num_elements": df.height * df.width, **profile.of_polars(df)},
        data=df,
        targets=targets,
        predictions=predictions,
    )


def _check_columns(columns: Sequence[object], **named: str | None) -> None:
    for what, column in named.items():
        if column is not None and column not in columns:
            shown = ", ".join(str(each) for each in columns[:20])
            raise InvalidValue(f"the table has no {what} column {column!r}: it has {shown}")
