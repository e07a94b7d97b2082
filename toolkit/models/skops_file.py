"""skops files: estimators without pickle. Each type in one is either known to be safe, or has to be trusted.

MLflow takes the list of types to trust from the model's own MLmodel, and so from whoever made the model. Here nothing
of the model says what is trusted: types are those that skops knows, those that a flavor knows to do no harm, and those
that the user's settings name.
"""

from __future__ import annotations

import json
import zipfile
from collections.abc import Collection
from pathlib import Path
from typing import TYPE_CHECKING, Any

from toolkit.errors import InvalidValue, UntrustedModel

if TYPE_CHECKING:
    from toolkit.models.trust import Trust

HARMLESS = frozenset(
    {
        "collections.OrderedDict",
        "lightgbm.basic.Booster",
        *(f"lightgbm.sklearn.LGBM{kind}" for kind in ("Classifier", "Model", "Ranker", "Regressor")),
        "xgboost.core.Booster",
        *(f"xgboost.sklearn.XGB{kind}" for kind in ("Classifier", "Model", "Ranker", "Regressor")),
        *(f"xgboost.sklearn.XGBRF{kind}" for kind in ("Classifier", "Regressor")),
        *(f"catboost.core.CatBoost{kind}" for kind in ("", "Classifier", "Ranker", "Regressor")),
    }
)
"""Types that skops does not know, and that may be steps of a pipeline: at load they parse their own model, and run no
code that is in the file."""


def write(model: object, path: Path) -> list[str]:
    """Write an estimator into a file, and load it once: what cannot be loaded is not kept.

    Returns:
        The types in it that skops does not know to be safe, sorted: to load it elsewhere they have to be trusted.

    Raises:
        InvalidValue: Something in it cannot be kept in such a file.
    """
    import skops.io  # noqa: PLC0415 - for models that are kept so

    try:
        skops.io.dump(model, path)
        types = sorted(map(str, skops.io.get_untrusted_types(file=path)))
        skops.io.load(path, trusted=types)
    except OSError:
        raise
    except Exception as error:
        raise InvalidValue(
            f"skops cannot keep this {type(model).__name__} ({type(error).__name__}: {error}): save it with "
            'serialization_format="cloudpickle"'
        ) from error
    return types


def read(path: Path, trust: Trust, known: Collection[str] = HARMLESS) -> Any:  # noqa: ANN401 - an estimator
    """Return the estimator in a file.

    Args:
        path: The file.
        trust: What may be loaded beside what is safe.
        known: Types that do no harm, which skops does not know.

    Raises:
        UntrustedModel: A type in it is not known to be safe, and not trusted.
        InvalidValue: It is no such file, or what it takes is not installed.
    """
    import skops.io  # noqa: PLC0415 - for models that are kept so

    try:
        types = sorted(map(str, skops.io.get_untrusted_types(file=path)))
    except OSError:
        raise
    except Exception as error:
        raise InvalidValue(f"{path} is no skops file that can be read ({type(error).__name__}: {error})") from error
    unknown = [each for each in types if each not in known and each not in trust.types]
    if unknown and not trust.allows(path):
        raise UntrustedModel(
            f"{path} holds types that are not known to be safe ({', '.join(unknown)}), and this store has not recorded "
            "it: name them in the setting trusted_types, or, if you trust whoever made it, load it with trust=True "
            "(--trust on the command line)"
        )
    try:
        return skops.io.load(path, trusted=types)
    except OSError:
        raise
    except Exception as error:
        raise InvalidValue(
            f"{path} cannot be loaded ({type(error).__name__}: {error}): its requirements.txt says what made it"
        ) from error


def modules_in(path: Path) -> set[str]:
    """Return the top-level modules of what a file holds."""
    with zipfile.ZipFile(path) as archive:
        waiting: list[Any] = [json.loads(archive.read("schema.json"))]
    found: set[str] = set()
    while waiting:
        node = waiting.pop()
        if isinstance(node, dict):
            if isinstance(module := node.get("__module__"), str):
                found.add(module.partition(".")[0])
            waiting += node.values()
        elif isinstance(node, list):
            waiting += node
    return found
