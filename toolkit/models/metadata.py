"""The file ``MLmodel``: what is in a model's folder, how it is loaded, what it takes, where it comes from."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from toolkit.errors import InvalidValue, NotFound

if TYPE_CHECKING:
    from toolkit.models.signature import Signature

FILE = "MLmodel"
MLFLOW_VERSION = "3.17.2"
"""Whose format is written: MLflow's own loaders look at it."""

_Loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_Dumper = getattr(yaml, "CSafeDumper", yaml.SafeDumper)
_DEEPEST = 100
_ALWAYS = ("flavors", "mlflow_version", "model_size_bytes", "model_uuid", "utc_time_created")


def _now() -> str:
    return datetime.now(UTC).replace(tzinfo=None).isoformat(sep=" ", timespec="microseconds")


@dataclass(frozen=True, kw_only=True, slots=True)
class ModelMetadata:
    """What an ``MLmodel`` says.

    Attributes:
        flavors: Of each flavor its keys.
        signature: What the model takes and gives.
        saved_input_example_info: Which file has the example, and of what kind it is.
        run_id: The run that made it.
        model_id: Its id as a logged model.
        artifact_path: Where it was logged: a URI, or a path among the artifacts of the run.
        metadata: What the user says of it.
        utc_time_created: When it was saved, as text: UTC without a zone.
        mlflow_version: Of the format's writer.
        model_uuid: Another id of it.
        model_size_bytes: Sum of its files, without the MLmodel.
        extra: Every other key, kept as it is.
    """

    flavors: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    signature: Signature | None = None
    saved_input_example_info: Mapping[str, Any] | None = None
    run_id: str | None = None
    model_id: str | None = None
    artifact_path: str | None = None
    metadata: Mapping[str, Any] | None = None
    utc_time_created: str = field(default_factory=_now)
    mlflow_version: str | None = MLFLOW_VERSION
    model_uuid: str | None = field(default_factory=lambda: uuid.uuid4().hex)
    model_size_bytes: int | None = None
    extra: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def read(cls, folder: Path) -> ModelMetadata:
        """Return what the MLmodel of a folder says.

        Raises:
            NotFound: The folder has none.
            InvalidValue: It is no YAML, or no MLmodel.
        """
        file = folder / FILE
        try:
            text = file.read_text(encoding="utf-8")
        except (FileNotFoundError, NotADirectoryError):
            raise NotFound(f"{folder} is no model: it has no file {FILE}") from None
        except (OSError, UnicodeDecodeError) as error:
            raise InvalidValue(f"{file} cannot be read: {error}") from None
        return cls.from_text(text, str(file))

    @classmethod
    def from_text(cls, text: str, origin: str = FILE) -> ModelMetadata:
        """Return what the text of an MLmodel says.

        Args:
            text: The file's content.
            origin: Where it is from, for messages.

        Raises:
            InvalidValue: It is no YAML, or no MLmodel.
        """
        try:
            _check_depth(text, origin)
            values = yaml.load(text, Loader=_Loader)  # noqa: S506 - it is a safe one
        except yaml.YAMLError as error:
            raise InvalidValue(f"{origin} is no YAML: {' '.join(str(error).split())}") from None
        return cls.from_dict(values, origin)

    @classmethod
    def from_dict(cls, values: object, origin: str = FILE) -> ModelMetadata:
        """Return what the values of an MLmodel say.

        Args:
            values: What the YAML, or its JSON, holds.
            origin: Where they are from, for messages.

        Raises:
            InvalidValue: They are those of no MLmodel.
        """
        if not isinstance(values, dict) or not all(isinstance(key, str) for key in values):
            raise InvalidValue(f"{origin} holds no keys and values: wanted those of an MLmodel")
        flavors = values.get("flavors", {})
        if not isinstance(flavors, dict) or not all(isinstance(block, dict) for block in flavors.values()):
            raise InvalidValue(f"{origin} has flavors of {flavors!r}: wanted keys and values for each")
        known = {each.name for each in fields(cls)} - {"extra", "signature"}
        given = {key: value for key, value in values.items() if key in known}
        given.setdefault("mlflow_version", None)
        given.setdefault("model_uuid", None)
        given["utc_time_created"] = str(given.get("utc_time_created") or "")
        return cls(
            signature=_signature(values.get("signature")),
            extra={key: value for key, value in values.items() if key not in known and key != "signature"},
            **given,
        )

    def to_dict(self) -> dict[str, Any]:
        """Return the values of the MLmodel, sorted by key; what is not known is left out."""
        values = {each.name: getattr(self, each.name) for each in fields(self)}
        extra = values.pop("extra")
        values["signature"] = self.signature.to_dict() if self.signature is not None else None
        said = {key: value for key, value in values.items() if value is not None or key in _ALWAYS}
        return dict(sorted({**extra, **_plain(said)}.items()))

    def write(self, folder: Path) -> None:
        """Write the MLmodel into a folder.

        Raises:
            InvalidValue: A value cannot be written as YAML.
        """
        try:
            text = yaml.dump(self.to_dict(), Dumper=_Dumper, sort_keys=False, allow_unicode=True)
        except yaml.YAMLError as error:
            raise InvalidValue(f"the MLmodel cannot be written: {' '.join(str(error).split())}") from None
        (folder / FILE).write_text(text, encoding="utf-8")

    def flavor(self, name: str) -> Mapping[str, Any]:
        """Return the keys of a flavor.

        Raises:
            NotFound: The model does not have it.
        """
        if name not in self.flavors:
            there = ", ".join(self.flavors) or "none"
            raise NotFound(f'Model does not have the "{name}" flavor: it has {there}')
        return self.flavors[name]

    def placed(self, *, run_id: str | None, model_id: str | None, artifact_path: str | None) -> ModelMetadata:
        """Return the same for a model that is logged somewhere."""
        return replace(
            self,
            run_id=run_id,
            model_id=model_id,
            model_uuid=model_id or self.model_uuid,
            artifact_path=artifact_path,
        )


def _check_depth(text: str, origin: str) -> None:
    """Refuse what is nested so deep that the reader, which calls itself for each level, would end the process."""
    depth = 0
    for event in yaml.parse(text, Loader=_Loader):
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if depth > _DEEPEST:
            raise InvalidValue(f"{origin} is nested more than {_DEEPEST} levels deep: that is no MLmodel")


def _signature(values: Any) -> Signature | None:  # noqa: ANN401 - what YAML holds
    if not values:
        return None
    from toolkit.models.signature import Signature  # noqa: PLC0415 - for models that have one

    return Signature.from_dict(values)


def _plain(value: Any) -> Any:  # noqa: ANN401 - whatever YAML takes
    """Return mappings as dicts and sequences as lists: YAML's safe writer takes nothing else."""
    if isinstance(value, Mapping):
        return {key: _plain(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(each) for each in value]
    return value
