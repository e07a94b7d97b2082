"""Datasets from arrays of NumPy."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from toolkit.data import digest as digests
from toolkit.data import profile as profiles
from toolkit.data import schema
from toolkit.data.dataset import Dataset
from toolkit.data.frames import NAME
from toolkit.data.source import DatasetSource, source_of

if TYPE_CHECKING:
    import numpy as np

    Arrays = np.ndarray[Any, Any] | Mapping[str, np.ndarray[Any, Any]]


def from_numpy(
    features: Arrays,
    source: str | Path | DatasetSource | object | None = None,
    targets: Arrays | None = None,
    name: str | None = None,
    digest: str | None = None,
) -> Dataset:
    """Return arrays of NumPy as a dataset.

    The digest is of at most the first 10,000 elements of each array, and of their shapes.

    Args:
        features: An array, or arrays by name.
        source: Path or URL that they come from; default: the script.
        targets: What is to be predicted: an array, or arrays by name.
        name: Its name; default: ``dataset``.
        digest: Its digest, if it is known; default: computed.

    Raises:
        InvalidValue: The source cannot be used.
    """
    parts = [*_listed(features), *_listed(targets)]
    profile = {**_profile("features", features), **_profile("targets", targets)}
    return Dataset(
        name=name or NAME,
        digest=digest or digests.of_arrays(parts),
        source=source_of(source),
        schema=schema.of_arrays(features, targets),
        profile=profile,
        data=features,
        targets=targets,
    )


def _listed(arrays: Arrays | None) -> list[np.ndarray[Any, Any]]:
    if arrays is None:
        return []
    return [arrays[key] for key in sorted(arrays)] if isinstance(arrays, Mapping) else [arrays]


def _profile(prefix: str, arrays: Arrays | None) -> dict[str, object]:
    if arrays is None:
        return {}
    if isinstance(arrays, Mapping):
        return {
            f"{prefix}_shape": {key: list(array.shape) for key, array in arrays.items()},
            f"{prefix}_size": {key: int(array.size) for key, array in arrays.items()},
            f"{prefix}_nbytes": {key: int(array.nbytes) for key, array in arrays.items()},
        }
    return {
        f"{prefix}_shape": list(arrays.shape),
        f"{prefix}_size": int(arrays.size),
        f"{prefix}_nbytes": int(arrays.nbytes),
        **(profiles.of_array(arrays) if prefix == "features" else {}),
    }
