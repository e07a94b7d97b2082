"""The fields that a filter or an order may name, one table an entity."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from toolkit.errors import InvalidValue


class Kind(StrEnum):
    """Where a field's value is kept."""

    METRIC = "metrics"
    PARAM = "params"
    TAG = "tags"
    ATTRIBUTE = "attributes"
    DATASET = "datasets"


class Type(StrEnum):
    """What a field's values are."""

    NUMBER = "number"
    TEXT = "text"

    @property
    def phrase(self) -> str:
        """The type in a sentence."""
        return "a number" if self is Type.NUMBER else "text"


@dataclass(frozen=True, kw_only=True, slots=True)
class Field:
    """A field of an entity.

    Attributes:
        kind: Where its value is kept.
        key: Its name there.
        type: What its values are.
        optional: Whether a thing may lack it.
        whole: Whether it is ordered as a whole number.
    """

    kind: Kind
    key: str
    type: Type = Type.TEXT
    optional: bool = True
    whole: bool = False

    def __str__(self) -> str:
        """Return the field as a filter would name it."""
        return self.key if self.kind is Kind.ATTRIBUTE else f"{self.kind}.{self.key}"


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Entity:
    """A kind of thing that is searched.

    Attributes:
        name: Its name in the plural, for messages.
        prefixes: What may stand before the first dot.
        attributes: Its attributes by name.
        aliases: Other names of attributes.
        ties: The attributes that settle ties, as (attribute, descending).
        flags: Tags that a thing without them may as well have with another value: ``!=`` is true of it.
    """

    name: str
    prefixes: Mapping[str, Kind]
    attributes: Mapping[str, Field]
    aliases: Mapping[str, str] = field(default_factory=dict)
    ties: tuple[tuple[str, bool], ...]
    flags: frozenset[str] = frozenset()

    def find(self, prefix: str | None, key: str) -> Field:
        """Return a field.

        Args:
            prefix: What stands before the first dot; ``None`` if there is no dot.
            key: The rest.

        Raises:
            InvalidValue: There is no such field.
        """
        kind = Kind.ATTRIBUTE if prefix is None else self.kind(prefix)
        if kind is Kind.METRIC:
            return Field(kind=kind, key=key, type=Type.NUMBER)
        if kind in (Kind.PARAM, Kind.TAG):
            return Field(kind=kind, key=key)
        if kind is Kind.DATASET:
            return self._dataset(key)
        name = self.aliases.get(key, key)
        if name not in self.attributes:
            known = sorted(self.attributes)
            hint = _close(key, [*known, *self.prefixes])
            raise InvalidValue(f"unknown attribute {_shown(key)}{hint}; {self.name} have {', '.join(known)}")
        return self.attributes[name]

    def kind(self, prefix: str) -> Kind:
        """Return what a prefix stands for.

        Raises:
            InvalidValue: Nothing.
        """
        if prefix not in self.prefixes:
            known = sorted({kind.value for kind in self.prefixes.values()})
            hint = _close(prefix, list(self.prefixes))
            raise InvalidValue(f"unknown prefix {_shown(prefix)}{hint}; {self.name} have {', '.join(known)}")
        return self.prefixes[prefix]

    def _dataset(self, key: str) -> Field:
        if key not in ("name", "digest", "context"):
            raise InvalidValue(f"unknown field {_shown(key)} of datasets; they have name, digest, context")
        return Field(kind=Kind.DATASET, key=key)


def _attribute(key: str, type: Type = Type.TEXT, *, optional: bool = False, whole: bool = False) -> Field:  # noqa: A002
    return Field(kind=Kind.ATTRIBUTE, key=key, type=type, optional=optional, whole=whole or type is Type.NUMBER)


def _close(name: str, known: list[str]) -> str:
    lower = {each.lower(): each for each in known}
    found = difflib.get_close_matches(name.lower().replace(" ", "_")[:100], lower, n=1, cutoff=0.6)
    return f" (did you mean {lower[found[0]]!r}?)" if found else ""


def _shown(text: str) -> str:
    return repr(text if len(text) <= 100 else text[:100] + "…")


_ATTRIBUTE_PREFIXES = dict.fromkeys(("attribute", "attributes", "attr"), Kind.ATTRIBUTE)
_TAG_PREFIXES = dict.fromkeys(("tag", "tags"), Kind.TAG)

RUNS = Entity(
    name="runs",
    prefixes={
        **dict.fromkeys(("metric", "metrics"), Kind.METRIC),
        **dict.fromkeys(("param", "params", "parameter", "parameters"), Kind.PARAM),
        **_TAG_PREFIXES,
        **_ATTRIBUTE_PREFIXES,
        "run": Kind.ATTRIBUTE,
        **dict.fromkeys(("dataset", "datasets"), Kind.DATASET),
    },
    attributes={
        attribute.key: attribute
        for attribute in (
            _attribute("run_id"),
            _attribute("run_name"),
            _attribute("status"),
            _attribute("artifact_uri"),
            _attribute("user_id"),
            _attribute("start_time", Type.NUMBER),
            _attribute("end_time", Type.NUMBER, optional=True),
            _attribute("experiment_id", whole=True),
            _attribute("parent_run_id", optional=True),
            _attribute("reason", optional=True),
        )
    },
    aliases={
        **dict.fromkeys(("run name", "Run name", "Run Name"), "run_name"),
        **dict.fromkeys(("created", "Created"), "start_time"),
    },
    ties=(("start_time", True), ("run_id", False)),
)

EXPERIMENTS = Entity(
    name="experiments",
    prefixes={**_TAG_PREFIXES, **_ATTRIBUTE_PREFIXES},
    attributes={
        attribute.key: attribute
        for attribute in (
            _attribute("experiment_id", whole=True),
            _attribute("name"),
            _attribute("creation_time", Type.NUMBER),
            _attribute("last_update_time", Type.NUMBER),
        )
    },
    ties=(("creation_time", True), ("experiment_id", False)),
)

_IS_PROMPT = frozenset({"mlflow.prompt.is_prompt"})
_TIMES = (_attribute("creation_timestamp", Type.NUMBER), _attribute("last_updated_timestamp", Type.NUMBER))

MODELS = Entity(
    name="registered models",
    prefixes={**_TAG_PREFIXES, **_ATTRIBUTE_PREFIXES},
    attributes={attribute.key: attribute for attribute in (_attribute("name"), *_TIMES)},
    aliases={"timestamp": "last_updated_timestamp"},
    ties=(("name", False),),
    flags=_IS_PROMPT,
)

VERSIONS = Entity(
    name="model versions",
    prefixes={**_TAG_PREFIXES, **_ATTRIBUTE_PREFIXES},
    attributes={
        attribute.key: attribute
        for attribute in (
            _attribute("name"),
            _attribute("version_number", Type.NUMBER),
            _attribute("run_id", optional=True),
            _attribute("source_path", optional=True),
            *_TIMES,
        )
    },
    aliases={"version": "version_number", "timestamp": "last_updated_timestamp"},
    ties=(("last_updated_timestamp", True), ("name", False), ("version_number", True)),
    flags=_IS_PROMPT,
)

LOGGED_MODELS = Entity(
    name="logged models",
    prefixes={
        **_TAG_PREFIXES,
        **_ATTRIBUTE_PREFIXES,
        **dict.fromkeys(("metric", "metrics"), Kind.METRIC),
        **dict.fromkeys(("param", "params"), Kind.PARAM),
    },
    attributes={
        attribute.key: attribute
        for attribute in (
            _attribute("name"),
            _attribute("model_id"),
            _attribute("model_type", optional=True),
            _attribute("status"),
            _attribute("source_run_id", optional=True),
            *_TIMES,
        )
    },
    aliases={"creation_time": "creation_timestamp", "last_updated_time": "last_updated_timestamp"},
    ties=(("creation_timestamp", True), ("model_id", False)),
)
