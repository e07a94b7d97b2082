"""Datasets that runs use: where they come from, what is in them, and a short digest to know them by."""

from toolkit.data.arrays import from_numpy
from toolkit.data.dataset import Dataset
from toolkit.data.frames import from_pandas, from_polars
from toolkit.data.places import from_path, from_url
from toolkit.data.source import DatasetSource, get_source

__all__ = [
    "Dataset",
    "DatasetSource",
    "from_numpy",
    "from_pandas",
    "from_path",
    "from_polars",
    "from_url",
    "get_source",
]
