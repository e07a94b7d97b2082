"""What names and values of logged models may be: MLflow's rules and the texts of its errors."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence

from toolkit.errors import InvalidValue
from toolkit.ids import check_run_id
from toolkit.tracking import limits
from toolkit.tracking.logged_models import NewLoggedModel

TAG_VALUE_LENGTH = 100_000
MODEL_VERSIONS = "mlflow.modelVersions"
"""Tag of a logged model: the versions that it was registered as, as JSON. MLflow's clients write it too."""

_BAD_CHARACTERS = ("/", ":", ".", "%", '"', "'")
_MODEL_ID = re.compile(r"m-[0-9a-f]{32}")


def is_model_id(text: str) -> bool:
    """Tell whether text has the form of a logged model's id."""
    return _MODEL_ID.fullmatch(text) is not None


def check_new_model(new: NewLoggedModel) -> None:
    """Check a logged model that is to be made.

    Raises:
        InvalidValue: Something is out of bounds.
    """
    if not is_model_id(new.model_id):
        raise InvalidValue(limits.invalid("model_id", new.model_id, "Wanted 'm-' and 32 hexadecimal digits."))
    if not new.name or any(character in new.name for character in _BAD_CHARACTERS):
        raise InvalidValue(
            f"Invalid model name ({new.name!r}) provided. Model name must be a non-empty string and cannot contain "
            f"the following characters: {_BAD_CHARACTERS}"
        )
    limits.check_text(new.name, "name", limits.EXPERIMENT_NAME_LENGTH)
    if new.model_type is not None:
        limits.check_text(new.model_type, "model_type", limits.EXPERIMENT_NAME_LENGTH)
    if new.source_run_id is not None:
        check_run_id(new.source_run_id)
    limits.check_params(new.params)
    check_tags(new.tags)


def check_tags(tags: Mapping[str, str | None]) -> None:
    """Check tags of a logged model.

    Raises:
        InvalidValue: A key or a value is out of bounds.
    """
    limits.check_tags(tags, value_length=TAG_VALUE_LENGTH)


def with_version(value: str | None, name: str, number: int) -> str:
    """Return what the tag of a model's versions says with one more, which it lists once."""
    return each_once(value if value and _listed(value) is not None else "[]", [(name, number)])


def each_once(value: str, registered: Sequence[tuple[str, int]] = ()) -> str:
    """Return what the tag of a model's versions says, with each once; text that is no such list is left as it is.

    A client of MLflow 3.17 writes the list that it read with a second entry for the version that the server has just
    added, its number as text; what the server added meanwhile is not in it.

    Args:
        value: What was given.
        registered: The versions that there are: those that it lacks are added.
    """
    listed = _listed(value)
    if listed is None:
        return value
    entries = [*listed, *({"name": name, "version": number} for name, number in registered)]
    once: dict[tuple[str, str], dict[str, object]] = {}
    for entry in entries:
        once.setdefault((str(entry.get("name")), str(entry.get("version"))), entry)
    return json.dumps(list(once.values()))


def _listed(value: str | None) -> list[dict[str, object]] | None:
    """Return the entries of the tag; ``None`` if it is no list of such."""
    try:
        listed = json.loads(value) if value else None
    except (ValueError, RecursionError):
        return None
    return listed if isinstance(listed, list) and all(isinstance(entry, dict) for entry in listed) else None
