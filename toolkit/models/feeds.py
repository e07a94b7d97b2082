"""What a graph of tensors is fed, made of frames and arrays; and frames, made of what it gives."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from toolkit.errors import InvalidValue

_TYPES = {
    "float": "float32",
    "double": "float64",
    "float16": "float16",
    "bool": "bool",
    "string": "object",
    **{f"{sign}int{bits}": f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64)},
}
"""Types of ONNX as numpy calls them."""


class Graph:
    """The inputs of a graph.

    Args:
        inputs: Of each its name, its type such as ``tensor(float)``, and its dimensions; those that are free are no
            numbers.
    """

    def __init__(self, inputs: Sequence[tuple[str, str, Sequence[object]]]) -> None:
        self._inputs = {name: (kind, tuple(shape)) for name, kind, shape in inputs}

    def feeds(self, data: Any) -> dict[str, Any]:  # noqa: ANN401 - frames, arrays and dicts
        """Return an array for each input.

        Args:
            data: A DataFrame, an array, or a dict of arrays by the inputs' names.

        Raises:
            InvalidValue: They are something else, or an input is missing, or has values of a type that it cannot be
                given without loss. Doubles are rounded where the graph computes with floats.
        """
        import numpy as np  # noqa: PLC0415 - heavy

        names = list(self._inputs)
        if isinstance(data, Mapping):
            given: Mapping[str, Any] = data
        elif hasattr(data, "columns"):
            given = {names[0]: data.to_numpy()} if len(names) == 1 else self._columns(data)  # by place, or by name
        elif isinstance(data, np.ndarray):
            if len(names) != 1:
                raise InvalidValue(f"an array is given, and the graph has the inputs {_listed(names)}: wanted a dict")
            given = {names[0]: data}
        else:
            raise InvalidValue(f"a {type(data).__name__} is given: wanted a DataFrame, an array or a dict of arrays")
        if unknown := [name for name in given if name not in self._inputs]:
            raise InvalidValue(f"the graph has no input {_listed(unknown)}: it has {_listed(names)}")
        if missing := [name for name in names if name not in given]:
            raise InvalidValue(f"nothing is given for the input {_listed(missing)}: the graph has {_listed(names)}")
        return {name: self._array(name, value) for name, value in given.items()}

    def frame(self, data: Any, outputs: Mapping[str, Any]) -> Any:  # noqa: ANN401 - frames
        """Return a frame with a column for each output, with the rows of the frame that was given.

        Raises:
            InvalidValue: An output has another number of rows.
        """
        import numpy as np  # noqa: PLC0415 - heavy
        import pandas as pd  # noqa: PLC0415 - heavy

        columns = {}
        for name, value in outputs.items():
            rows = value if isinstance(value, list) else np.asarray(value)
            if isinstance(rows, np.ndarray) and rows.size == len(data):
                rows = rows.reshape(-1)
            elif isinstance(rows, np.ndarray):
                rows = rows.tolist()
            if not hasattr(rows, "__len__") or len(rows) != len(data):
                raise InvalidValue(
                    f"the output {name} has not one value for each of the {len(data)} rows: give arrays instead of a "
                    "DataFrame, and get arrays"
                )
            columns[name] = rows
        return pd.DataFrame(columns, index=data.index)

    def _columns(self, data: Any) -> dict[str, Any]:  # noqa: ANN401 - a frame
        if missing := [name for name in self._inputs if name not in data.columns]:
            raise InvalidValue(f"the DataFrame has no column {_listed(missing)}, which the graph takes")
        return {name: data[name].to_numpy() for name in self._inputs}

    def _array(self, name: str, value: Any) -> Any:  # noqa: ANN401 - arrays
        import numpy as np  # noqa: PLC0415 - heavy

        kind, shape = self._inputs[name]
        element = kind.removeprefix("tensor(").removesuffix(")")
        if element not in _TYPES or not kind.startswith("tensor("):
            return value  # a sequence or a map: only a dict has those, and as they are
        array, wanted = np.asarray(value), np.dtype(_TYPES[element])
        if array.dtype.kind == "O" and wanted.kind != "O":
            array = _in_common(array)
        if len(shape) == 2 and shape[1] == 1 and array.ndim == 1:
            array = array.reshape(-1, 1)  # a column of a frame, for a graph that takes columns
        if not _may_become(array.dtype, wanted):
            raise InvalidValue(f"the input {name} takes {kind}, and {array.dtype} is given")
        return array.astype(wanted, copy=False)


def _in_common(array: Any) -> Any:  # noqa: ANN401 - arrays
    """Return objects, such as a frame's columns of several types, as an array of what they have in common."""
    import numpy as np  # noqa: PLC0415 - heavy

    filled = np.frompyfunc(lambda each: np.nan if each is None else each, 1, 1)(array)
    return np.array(filled.tolist())


def _may_become(given: Any, wanted: Any) -> bool:  # noqa: ANN401 - two dtypes
    import numpy as np  # noqa: PLC0415 - heavy

    if wanted.kind == "O":
        return given.kind in "OUT"  # text, as an array of numpy's or of objects
    numbers = wanted.kind == "f" and given.kind in "iuf"
    return given == wanted or numbers or (given.kind != "b" and bool(np.can_cast(given, wanted)))


def _listed(names: Sequence[str]) -> str:
    return ", ".join(map(str, names))
