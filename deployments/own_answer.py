"""A process that lets a model answer its own input example: whatever the model does, it does it there.

``python -m toolkit.deployments.own_answer`` reads one line of JSON: the ``folder``, and the ``digests`` that are
trusted. It writes one: the ``request`` that brings the example, what the model answers to it, twice (``answers``), and
what kept it from doing so (``unloadable``, ``problem``).
"""

from __future__ import annotations

import contextlib
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from toolkit.errors import ToolkitError

if TYPE_CHECKING:
    from toolkit.models.loading import LoadedModel


def answered(folder: Path, digests: frozenset[str]) -> dict[str, Any]:
    """Return the request that brings a model's example, and what the model answers."""
    from toolkit.models.input_example import InputExample, request_of  # noqa: PLC0415 - in the process that is for it
    from toolkit.models.loading import load_model  # noqa: PLC0415 - the same
    from toolkit.models.metadata import ModelMetadata  # noqa: PLC0415 - the same
    from toolkit.models.trust import Trust  # noqa: PLC0415 - the same

    metadata = ModelMetadata.read(folder)
    example = InputExample.load(folder, metadata)
    if example is None:
        return {}
    request = InputExample.load_request(folder, metadata) or request_of((example.data, dict(example.params or {})))
    try:
        model = load_model(folder, trust=Trust(digests=digests))
    except (ToolkitError, ImportError) as error:
        return {"request": request, "unloadable": _line(error)}
    return {"request": request, "answers": [_answer(model, example, request) for _ in range(2)]}


def _answer(model: LoadedModel, example: Any, request: str) -> Any:  # noqa: ANN401 - what JSON holds
    """Return what a model answers, as it stands in the JSON of an answer."""
    from toolkit.models import payload  # noqa: PLC0415 - in the process that is for it

    signature = model.metadata.signature
    asked = payload.of_json(payload.parse_json(request), signature)
    # without a signature nobody can say of which type the values of the request were: they are as they come
    data, params = (asked.data, asked.params) if signature is None else (example.data, example.params)
    return json.loads(payload.write(model.predict(data, params or None), wrapped=asked.wrapped))


def _line(error: Exception) -> str:
    return " ".join(str(error).split())[:500]


def main() -> None:
    """Do what standard input asks; what the model prints is kept off the answer."""
    asked = json.loads(sys.stdin.readline())
    with contextlib.redirect_stdout(sys.stderr):
        try:
            told = answered(Path(asked["folder"]), frozenset(asked["digests"]))
        except ToolkitError as error:
            told = {"problem": _line(error)}
        except Exception as error:  # noqa: BLE001 - a model of anybody's
            told = {"problem": f"it raises {type(error).__name__}: {_line(error)}"}
    json.dump(told, sys.stdout)


if __name__ == "__main__":
    main()
