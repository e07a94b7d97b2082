"""Digests of data, in a bounded time: of the first rows, the shape, and the names of the columns.

For tables of pandas and arrays of NumPy they are MLflow's digests, as long as the bounds here do not cut more than
MLflow's own bound of 10,000 rows does: the same data is known by the same digest in both tools.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    import polars as pl

ROWS = 10_000
"""At most so many rows, or elements of an array, are looked at (MLflow's number)."""

CELLS = 4_000_000
"""At most so many cells of a table: a wide one is cut to fewer rows."""

COLUMNS = 5_000
"""At most so many columns by their content; of all others only the names count."""

BYTES = 256 * 1024 * 1024
"""At most so many bytes of a table, by what its first rows take; and of a file."""

_FIRST = 20


def short(parts: Iterable[Any]) -> str:
    """Return the first eight hexadecimal digits of the MD5 of parts, one after the other; a name, not a safeguard."""
    digest = hashlib.md5(usedforsecurity=False)
    for part in parts:
        digest.update(part)
    return digest.hexdigest()[:8]


def rows_to_read(columns: int, row_bytes: float) -> int:
    """Return how many rows of a table to look at.

    Args:
        columns: Its columns.
        row_bytes: What a row takes.
    """
    return max(1, min(ROWS, CELLS // max(1, columns), int(BYTES / max(1.0, row_bytes))))


def of_pandas(frame: pd.DataFrame) -> str:
    """Return the digest of a table of pandas: of its numbers and texts; other columns count by their names."""
    import numpy as np  # noqa: PLC0415 - the table is there, so are they
    import pandas as pd  # noqa: PLC0415 - the same

    looked_at = frame.iloc[:, :COLUMNS]
    head = looked_at.head(_FIRST)
    row_bytes = float(head.memory_usage(index=False, deep=True).sum()) / max(1, len(head))
    head = looked_at.head(rows_to_read(looked_at.shape[1], row_bytes))
    numbers = head.select_dtypes(include=[np.number]).columns
    texts = head.columns[[_is_text(head.iloc[:, at]) for at in range(head.shape[1])]]
    hashes = pd.util.hash_pandas_object(head[texts.union(numbers)]).to_numpy()
    return short([hashes.tobytes(), np.int64(len(frame)).tobytes(), *(str(name).encode() for name in frame.columns)])


def of_polars(frame: pl.DataFrame) -> str:
    """Return the digest of a table of Polars."""
    looked_at = frame[:, :COLUMNS]
    head = looked_at.head(_FIRST)
    rows = rows_to_read(head.width, float(head.estimated_size()) / max(1, head.height))
    names = (f"{name}:{kind}\n".encode() for name, kind in frame.schema.items())
    return short([looked_at.head(rows).write_ndjson().encode(), str(frame.height).encode(), *names])


def of_arrays(arrays: Iterable[np.ndarray[Any, Any]]) -> str:
    """Return the digest of arrays of NumPy."""
    import numpy as np  # noqa: PLC0415 - the arrays are there
    import pandas as pd  # noqa: PLC0415 - its hash takes objects too

    parts: list[bytes] = []
    for array in arrays:
        first = np.asarray(array.flat[:ROWS])
        try:
            parts.append(pd.util.hash_array(first).tobytes())
        except TypeError:  # of a type that has no hash
            parts.append(np.int64(first.size).tobytes())
        parts += [np.int64(length).tobytes() for length in array.shape]
    return short(parts)


def of_path(path: Path) -> str:
    """Return the digest of a file, or of the files of a folder: of sizes, names, and as many bytes as are looked at."""
    files = [path] if path.is_file() else sorted(each for each in path.rglob("*") if each.is_file())
    left, digest = BYTES, hashlib.md5(usedforsecurity=False)
    for file in files:
        name = "" if file == path else file.relative_to(path).as_posix()
        digest.update(f"{name}\0{file.stat().st_size}\0".encode("utf-8", "surrogateescape"))
        with file.open("rb") as stream:
            while left > 0 and (chunk := stream.read(min(left, 1024 * 1024))):
                digest.update(chunk)
                left -= len(chunk)
    return digest.hexdigest()[:8]


def _is_text(column: pd.Series) -> bool:
    """Tell whether a column holds texts and nothing else, not even a missing one."""
    if column.dtype.kind in "biufcmM":
        return False
    return all(type(value) is str for value in column)
