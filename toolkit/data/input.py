"""What `log_input` is given, as the record that the stores keep."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from toolkit.data.arrays import from_numpy
from toolkit.data.dataset import Dataset
from toolkit.data.frames import from_pandas, from_polars
from toolkit.data.places import from_path, from_url
from toolkit.errors import InvalidValue
from toolkit.tracking import records
from toolkit.tracking.system_tags import CONTEXT

_FIELDS = ("name", "digest", "source_type", "source", "schema", "profile")
_MAKERS: Mapping[tuple[str, str], Callable[..., Dataset]] = {
    ("pandas", "DataFrame"): from_pandas,
    ("polars", "DataFrame"): from_polars,
    ("numpy", "ndarray"): from_numpy,
}


def recorded(
    dataset: object, *, context: str | None = None, tags: Mapping[str, str] | None = None
) -> records.DatasetInput:
    """Return a dataset as a run's input.

    Args:
        dataset: A `Dataset`, one of MLflow's, an entity of either, a table, an array, or a path or URL.
        context: What the run uses it for.
        tags: More to say about this use.

    Raises:
        InvalidValue: It is nothing of that.
    """
    told = {str(key): str(value) for key, value in (tags or {}).items()}
    if context:
        told[CONTEXT] = context
    return records.DatasetInput(dataset=_record(dataset), tags=told)


def _record(dataset: object) -> records.Dataset:
    kind = type(dataset)
    if maker := _MAKERS.get((kind.__module__.partition(".")[0], kind.__name__)):
        dataset = maker(dataset)
    elif isinstance(dataset, str | Path):
        dataset = from_url(str(dataset)) if "://" in str(dataset) else from_path(dataset)
    if isinstance(dataset, records.Dataset):
        return dataset
    if isinstance(getattr(dataset, "source_type", None), str):  # an entity, whose fields are texts
        return records.Dataset(**{name: getattr(dataset, name, None) for name in _FIELDS})  # type: ignore[arg-type]  # checked by the store
    to_dict = getattr(dataset, "to_dict", None)
    if not callable(to_dict) or not hasattr(dataset, "digest"):
        raise InvalidValue(
            f"{kind.__name__} is no dataset: wanted one of toolkit.data.from_…, a DataFrame, an array, a path or a URL"
        )
    values = to_dict()
    return records.Dataset(**{name: values.get(name) for name in _FIELDS})
