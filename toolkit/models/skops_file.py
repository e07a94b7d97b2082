"""Files of skops: estimators without pickle. What they hold is named in them, and built from types that are trusted."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path
from typing import Any

from toolkit.errors import InvalidValue, UntrustedModel
from toolkit.models.flavor import imported
from toolkit.models.trust import Trust

_SHOWN = 5


def save_skops(model: object, path: Path) -> list[str]:
    """Write a model, and look whether it can be read.

    Returns:
        The types in it that skops does not know to be safe, such as classes of the user's.

    Raises:
        InvalidValue: skops cannot keep it.
    """
    skops = imported("skops.io", "skops")
    try:
        path.write_bytes(skops.dumps(model))
        types: list[str] = skops.get_untrusted_types(file=path)
        skops.load(path, trusted=types)
    except Exception as error:  # skops raises what it comes across
        raise InvalidValue(
            f"skops cannot keep this {type(model).__name__} ({type(error).__name__}: {error}): give "
            "serialization_format='cloudpickle', or let it use functions of modules instead of lambdas"
        ) from error
    return sorted(types)


def load_skops(path: Path, trust: Trust) -> Any:  # noqa: ANN401 - an estimator
    """Return what a file holds.

    Types that skops does not know to be safe are taken if the settings trust them, or the whole file is trusted. The
    list that a model brings along is not asked.

    Raises:
        UntrustedModel: It has others.
        InvalidValue: It cannot be loaded.
    """
    skops = imported("skops.io", "skops")
    try:
        unknown = set(skops.get_untrusted_types(file=path)) - trust.types
        if unknown and not trust.allows(path):
            raise UntrustedModel(
                f"{path} has types that skops does not know to be safe ({_few(sorted(unknown))}), and this store has "
                "not recorded it: name them in the setting trusted_types, or load it with trust=True (--trust on the "
                "command line) if you trust whoever made it"
            )
        return skops.load(path, trusted=sorted(unknown | trust.types))
    except UntrustedModel:
        raise
    except ModuleNotFoundError as error:
        raise InvalidValue(f"{path} needs the module {error.name!r}, which is not here") from error
    except Exception as error:  # skops raises what it comes across in a file
        raise InvalidValue(f"skops cannot read {path} ({type(error).__name__}: {error})") from error


def modules_in(path: Path) -> set[str]:
    """Return the top-level modules that a file names."""
    with zipfile.ZipFile(path) as archive:
        found: set[str] = set()
        waiting = [json.loads(archive.read("schema.json"))]
    while waiting:
        node = waiting.pop()
        if isinstance(node, dict):
            if isinstance(module := node.get("__module__"), str):
                found.add(module.partition(".")[0])
            waiting += node.values()
        elif isinstance(node, list):
            waiting += node
    return found


def _few(names: list[str]) -> str:
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(names[:_SHOWN]) + more
