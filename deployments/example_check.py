"""What a release must show before traffic comes to it: it answers its model's example as the model itself does."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from toolkit.deployments.bento import BuiltBento
from toolkit.deployments.endpoint import Answer
from toolkit.errors import ReleaseRefused, TargetFailed

Asking = Callable[[bytes], Answer]
"""Sends the JSON of a request to a service, and gives its answer; raises `TargetFailed` where there is none."""

LONGEST = 600.0
"""Seconds that a model has to be loaded, and to answer its example twice."""

_CLOSE, _NEAR_ZERO = 1e-5, 1e-8  # another processor, or rows beside it in a batch, may round otherwise
_SHOWN = 80


def check_example(bento: BuiltBento, ask: Asking) -> str:
    """Let a service answer the example of its model, and hold the answer against the model's own.

    Args:
        bento: What is served.
        ask: Asks the service.

    Returns:
        What was found, in one line.

    Raises:
        ReleaseRefused: It does not answer, or not as the model does.
    """
    told = own_answer(bento)
    if "problem" in told:
        raise ReleaseRefused(f"the model itself does not answer its input example: {told['problem']}")
    if "request" not in told:
        return "ready; not scored, for the model has no input example"
    try:
        came = ask(told["request"].encode())
    except TargetFailed as error:
        raise ReleaseRefused(f"the service did not answer the model's input example: {error.message}") from None
    if came.status != 200:
        raise ReleaseRefused(f"the service answered the model's input example with {came.status}: {came.problem}")
    try:
        served = json.loads(came.body)
    except ValueError:
        raise ReleaseRefused("the service answered the model's input example with what is no JSON") from None
    if "answers" not in told:
        return f"answers its example; not compared, for the model cannot be loaded here: {told['unloadable']}"
    first, second = told["answers"]
    if difference(first, second):
        return "answers its example; not compared, for the model itself answers differently each time"
    if found := difference(served, first):
        raise ReleaseRefused(f"the service answers the model's input example otherwise than the model: {found}")
    return "answers its example as the model itself does"


def own_answer(bento: BuiltBento) -> dict[str, Any]:
    """Return what a process tells that lets a model answer its example; see `toolkit.deployments.own_answer`."""
    asked = json.dumps({"folder": str(bento.model_path), "digests": sorted(trusted(bento))})
    command = [sys.executable, "-P", "-m", "toolkit.deployments.own_answer"]
    try:
        done = subprocess.run(command, input=asked + "\n", capture_output=True, text=True, timeout=LONGEST, check=False)
        found = json.loads(done.stdout)
    except subprocess.TimeoutExpired:
        return {"problem": f"it took longer than {LONGEST:g} s"}
    except ValueError:
        said = done.stderr.strip().splitlines()[-1:] or [""]
        return {"problem": f"its process ended with {done.returncode} {said[0][:200]}".rstrip()}
    return found if isinstance(found, dict) else {"problem": "its process told nothing"}


def trusted(bento: BuiltBento) -> frozenset[str]:
    """Return the digests of the files of the model that may run code, as the Bento lists them."""
    for folder in (bento.path / "src", bento.path):
        file = folder / "model.json"
        if file.is_file():
            return frozenset(json.loads(Path(file).read_text(encoding="utf-8")).get("trusted", ()))
    return frozenset()


def difference(one: Any, other: Any, place: str = "") -> str | None:  # noqa: ANN401 - what JSON holds
    """Return where two answers differ, in words; ``None``: nowhere. Numbers may be rounded otherwise."""
    if isinstance(one, dict) and isinstance(other, dict):
        if one.keys() != other.keys():
            return f"{_named(place)} has the fields {_shown(sorted(one))}, not {_shown(sorted(other))}"
        return next((found for key in one if (found := difference(one[key], other[key], f"{place}.{key}"))), None)
    if isinstance(one, list) and isinstance(other, list):
        if len(one) != len(other):
            return f"{_named(place)} holds {len(one)} values, not {len(other)}"
        pairs = enumerate(zip(one, other, strict=True))
        return next((found for at, (a, b) in pairs if (found := difference(a, b, f"{place}[{at}]"))), None)
    if _is_number(one) and _is_number(other):
        same = math.isclose(one, other, rel_tol=_CLOSE, abs_tol=_NEAR_ZERO)
    else:
        same = one == other
    return None if same else f"{_named(place)} is {_shown(one)}, not {_shown(other)}"


def _named(place: str) -> str:
    return place.lstrip(".") or "the answer"


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _shown(value: object) -> str:
    text = json.dumps(value)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"
