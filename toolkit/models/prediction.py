"""Prediction by a function of a library: what is given to it, and what is not."""

from __future__ import annotations

import inspect
import logging
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Any

from toolkit.errors import InvalidValue

logger = logging.getLogger(__name__)


class FunctionPredictor:
    """A model that predicts by a function of its library.

    Args:
        native: The model as its library knows it.
        function: Takes data, and further arguments by name.
        prepare: Makes of data what the function takes.
        fixed: Arguments that are given each time, unless ``params`` has others.
    """

    def __init__(
        self,
        native: object,
        function: Callable[..., Any],
        prepare: Callable[[Any], Any] | None = None,
        fixed: Mapping[str, Any] | None = None,
    ) -> None:
        self.native = native
        self._function = function
        self._prepare = prepare
        self._fixed = dict(fixed or {})

    def predict(self, data: Any, params: Mapping[str, Any] | None = None) -> Any:  # noqa: ANN401 - what the model takes
        """Return what the function says of data.

        Args:
            data: Rows, as a frame or an array.
            params: Further arguments of the function; others are left out with a warning.

        Raises:
            InvalidValue: The data are a text, which libraries take for the path of a file.
        """
        refuse_path(data)
        given = accepted(self._function, params or {})
        return self._function(self._prepare(data) if self._prepare else data, **{**self._fixed, **given})


def refuse_path(data: object) -> None:
    """Refuse data that a library would take for the path of a file: who asks a server may not have it read files.

    Raises:
        InvalidValue: They are.
    """
    if isinstance(data, str | bytes | Path):
        raise InvalidValue(f"the data are a {type(data).__name__}: wanted rows, as a DataFrame or an array")


def with_categories(data: Any, columns: Collection[Any]) -> Any:  # noqa: ANN401 - frames
    """Return a frame with columns as categories, which are texts or numbers where data came as JSON or CSV."""
    plain = [name for name in columns if str(data[name].dtype) != "category"]
    return data.astype(dict.fromkeys(plain, "category")) if plain else data


def accepted(function: Callable[..., Any], params: Mapping[str, Any]) -> dict[str, Any]:
    """Return the params that a function names among its arguments, without its first: that is for the data.

    What it would only take as ``**kwargs`` is not given to it: nobody has said what that may do.
    """
    if not params:
        return {}
    kinds = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
    arguments = list(inspect.signature(function).parameters.values())[1:]
    known = {each.name for each in arguments if each.kind in kinds}
    if unknown := sorted(params.keys() - known):
        wanted = f"it takes {', '.join(sorted(known))}" if known else "it takes none"
        logger.warning("the model takes no param %s, which is left out: %s", ", ".join(unknown), wanted)
    return {name: value for name, value in params.items() if name in known}
