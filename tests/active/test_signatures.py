"""Our names take what MLflow's take: the same parameters in the same order, of the same kinds, with the same defaults.

The table is MLflow 3.17.2's; ``signatures/record.py`` has made it. Ours may have more, which need not be given.
"""

from __future__ import annotations

import importlib
import inspect
import json
from pathlib import Path
from typing import Any

import pytest

TABLE = json.loads((Path(__file__).parent / "signatures" / "mlflow-3.17.2.json").read_text())
NAMES = [(path, name) for path, names in TABLE.items() for name in names]
REPLACED = {
    ("mlflow.entities", "DatasetInput", "tags"): None,  # a new list each, where MLflow says None and makes one
    ("mlflow.sklearn", "autolog", "serialization_format"): "cloudpickle",  # only what cannot be saved safely
}


def ours(path: str, name: str) -> Any:  # noqa: ANN401 - a function or a class
    place = path.replace("mlflow", "toolkit", 1)
    module, _, last = place.rpartition(".")
    holder = getattr(importlib.import_module(module), last) if last[:1].isupper() else importlib.import_module(place)
    return getattr(holder, name)


@pytest.mark.parametrize(("path", "name"), NAMES, ids=[f"{path}.{name}" for path, name in NAMES])
def test_the_signature_is_mlflows(path: str, name: str) -> None:
    theirs = TABLE[path][name]
    parameters = list(inspect.signature(ours(path, name)).parameters.values())
    for wanted, here in zip(theirs, parameters, strict=False):
        default = [] if here.default is here.empty else [REPLACED.get((path, name, here.name), here.default)]
        default = [list(each) if isinstance(each, tuple) else each for each in default]
        assert [here.name, here.kind.name, default] == wanted
    assert len(parameters) >= len(theirs), f"{name} lacks {[each[0] for each in theirs[len(parameters) :]]}"
    for more in parameters[len(theirs) :]:
        assert more.default is not more.empty, f"{name} wants {more.name}, which MLflow does not have"
