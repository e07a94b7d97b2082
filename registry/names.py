"""What names, numbers and values of the registry may be, and the URIs of models: MLflow's rules and its texts."""

from __future__ import annotations

import json
import posixpath
import re
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

from toolkit.errors import InvalidValue
from toolkit.registry.records import NewVersion
from toolkit.tracking import limits

NAME_LENGTH = 256
TAG_VALUE_LENGTH = 100_000
ALIAS_LENGTH = 255
DESCRIPTION_LENGTH = 100_000
LINK_LENGTH = 2_048
IS_PROMPT = "mlflow.prompt.is_prompt"

_ALIAS = re.compile(r"[\w\-]*")
_VERSION_ALIAS = re.compile(r"[vV]\d+")
_NUMBER = re.compile(r"0*[1-9][0-9]{0,17}")
_MODEL_ID = re.compile(r"m-[\w\-]+")
_HOLDER = re.compile(
    r"(?:^runs:/+([a-zA-Z0-9][\w\-]{0,255})(?:/|$))|(?:/([0-9a-f]{32}|m-[0-9a-f]{32})/artifacts(?:/|$))"
)


@dataclass(frozen=True, kw_only=True, slots=True)
class ModelUri:
    """What a URI ``models:/…`` names: a logged model, or a version by its number, its alias or its stage.

    Attributes:
        model_id: Of a logged model.
        name: Of a registered model.
        version: A number.
        alias: An alias.
        stage: A stage, or ``latest``.
    """

    model_id: str | None = None
    name: str | None = None
    version: int | None = None
    alias: str | None = None
    stage: str | None = None

    @classmethod
    def read(cls, uri: str) -> ModelUri:
        """Return what a URI names.

        Raises:
            InvalidValue: It is none, or of a registry elsewhere.
        """
        parts = urlsplit(uri)
        path = parts.path.strip("/")
        if parts.scheme != "models" or parts.netloc or not parts.path.startswith("/") or not path:
            raise _no_uri(uri)
        name, slash, suffix = path.partition("/")
        if slash:
            if "/" in suffix or not suffix:
                raise _no_uri(uri)
            if _NUMBER.fullmatch(suffix):
                return cls(name=name, version=int(suffix))
            return cls(name=name, stage=suffix)
        model, at, alias = path.rpartition("@")
        if at and model and alias:
            return cls(name=model, alias=alias)
        if not _MODEL_ID.fullmatch(path):
            raise _no_uri(uri)
        return cls(model_id=path)  # also one that cannot be: whoever looks it up says that there is none


def _no_uri(uri: str) -> InvalidValue:
    return InvalidValue(
        f"Not a proper models:/ URI: {uri[:200]}. Models URIs must be of the form 'models:/model_name/suffix' or "
        "'models:/model_name@alias' where suffix is a model version, stage, or the string 'latest' and where alias is "
        "a registered model alias."
    )


def holder_of(location: str) -> str | None:
    """Return the run or the logged model in whose folder a place is, as the form of the place says."""
    found = _HOLDER.search(location)
    return (found[1] or found[2]) if found else None


def check_name(name: str, path: str = "name") -> None:
    """Check the name of a registered model.

    Raises:
        InvalidValue: It is empty, too long, has ``/`` or ``:``, or would be another one as a path.
    """
    if not isinstance(name, str) or name.strip() == "":
        raise InvalidValue(
            f"Missing value for required parameter '{path}'. See the API docs for more information about request "
            "parameters."
        )
    limits.check_text(name, path, NAME_LENGTH)
    if "/" in name or ":" in name:
        raise InvalidValue(f"Invalid model name '{name}'. Names cannot contain '/' or ':'.")
    clean = posixpath.normpath(name)
    if clean != name or clean == "." or clean.startswith(".."):
        raise InvalidValue(
            limits.invalid(
                path,
                name,
                "Names may be treated as files in certain cases, and must not resolve to other names when treated as "
                f"such. This name would resolve to {json.dumps(clean)}",
            )
        )


def is_alias(text: str) -> bool:
    """Tell whether text has the form of an alias."""
    return text != "" and _ALIAS.fullmatch(text) is not None


def check_alias(alias: str) -> None:
    """Check an alias that is to be set.

    Raises:
        InvalidValue: It is empty, too long, has other characters than letters, digits, ``_`` and ``-``, or is reserved.
    """
    if alias == "":
        raise InvalidValue("Registered model alias name cannot be empty.")
    limits.check_text(alias, "Registered model alias name", ALIAS_LENGTH)
    if not _ALIAS.fullmatch(alias):
        raise InvalidValue(
            f"Invalid alias name: '{alias}'. Names may only contain alphanumerics, underscores (_), and dashes (-)."
        )
    if alias.lower() == "latest":
        raise InvalidValue("'latest' alias name (case insensitive) is reserved.")
    if _VERSION_ALIAS.fullmatch(alias):
        raise InvalidValue(f"Version alias name '{alias}' is reserved.")


def read_version(text: str) -> int:
    """Return the number of a version.

    Raises:
        InvalidValue: It is no positive integer.
    """
    if not _NUMBER.fullmatch(text):
        raise InvalidValue(limits.invalid("version", text, "Wanted a positive integer."))
    return int(text)


def check_tags(tags: Mapping[str, str | None]) -> None:
    """Check tags of a registered model or of a version.

    Raises:
        InvalidValue: A key or a value is out of bounds.
    """
    limits.check_tags(tags, value_length=TAG_VALUE_LENGTH)


def check_description(description: str | None) -> None:
    """Check a description.

    Raises:
        InvalidValue: It is too long.
    """
    if description is not None:
        limits.check_text(description, "description", DESCRIPTION_LENGTH)


def check_new_version(new: NewVersion) -> None:
    """Check a version that is to be made.

    Raises:
        InvalidValue: Something is out of bounds.
    """
    check_name(new.name)
    check_tags(new.tags)
    check_description(new.description)
    for path in ("source", "location", "run_link"):
        if (text := getattr(new, path)) is not None:
            limits.check_text(text, path, LINK_LENGTH)
    for path in ("run_id", "model_id", "user_id"):
        if (text := getattr(new, path)) is not None:
            limits.check_text(text, path, NAME_LENGTH)
    if not new.source:
        raise InvalidValue(limits.invalid("source", new.source, "Wanted the place of the model's files."))
