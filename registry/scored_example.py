"""A process that lets a model score its own input example: whatever the model does, it does it there.

``python -m toolkit.registry.scored_example`` reads one line of JSON: the ``folder``, and the ``digests`` that are
trusted. It writes one: whether it ``passed``, and what was ``found``.
"""

from __future__ import annotations

import contextlib
import json
import sys
from pathlib import Path

from toolkit.errors import ToolkitError


def score(folder: Path, digests: frozenset[str]) -> tuple[bool, str]:
    """Load a model, let it score its example, and return whether that went well and what was found."""
    from toolkit.models.input_example import InputExample  # noqa: PLC0415 - in the process that is for it
    from toolkit.models.loading import load_model  # noqa: PLC0415 - the same
    from toolkit.models.metadata import ModelMetadata  # noqa: PLC0415 - the same
    from toolkit.models.trust import Trust  # noqa: PLC0415 - the same

    example = InputExample.load(folder, ModelMetadata.read(folder))
    if example is None:
        return False, "it has no input example"
    model = load_model(folder, trust=Trust(digests=digests))
    answered = model.predict(example.data, example.params)
    if answered is None:
        return False, "it answers nothing"
    count = len(answered) if hasattr(answered, "__len__") and not isinstance(answered, str | bytes) else 1
    return True, f"it answers {count} prediction{'s' if count != 1 else ''}"


def main() -> None:
    """Do what standard input asks; what the model prints is kept off the answer."""
    asked = json.loads(sys.stdin.readline())
    with contextlib.redirect_stdout(sys.stderr):
        try:
            passed, found = score(Path(asked["folder"]), frozenset(asked["digests"]))
        except ToolkitError as error:
            passed, found = False, str(error)
        except Exception as error:  # noqa: BLE001 - a model of anybody's, whose code raises whatever it likes
            passed, found = False, f"it raises {type(error).__name__}: {error}"
    json.dump({"passed": passed, "found": " ".join(found.split())[:500]}, sys.stdout)


if __name__ == "__main__":
    main()
