"""A dataset by its name and digest, with its source, schema and profile."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field

from toolkit.data.source import DatasetSource


@dataclass(frozen=True, kw_only=True)
class Dataset:
    """Data that runs use.

    Attributes:
        name: Its name.
        digest: Eight hexadecimal digits that stand for its content.
        source: Where it comes from.
        schema: Its columns, in MLflow's form; ``None`` if it has none.
        profile: What is in it, such as ``num_rows``.
        data: The data itself, where it is in memory.
        targets: The column that is to be predicted, or the array.
        predictions: The column that holds predictions.
    """

    name: str
    digest: str
    source: DatasetSource
    schema: Mapping[str, object] | None = None
    profile: Mapping[str, object] | None = None
    data: object = field(default=None, repr=False, compare=False)
    targets: object = field(default=None, repr=False, compare=False)
    predictions: str | None = field(default=None, compare=False)

    @property
    def df(self) -> object:
        """The data frame."""
        return self.data

    @property
    def features(self) -> object:
        """The arrays."""
        return self.data

    def to_dict(self) -> dict[str, str | None]:
        """Return name, digest, source, source type, schema and profile as text, as MLflow's datasets do."""
        return {
            "name": self.name,
            "digest": self.digest,
            "source": self.source.to_json(),
            "source_type": self.source.kind,
            "schema": json.dumps(self.schema) if self.schema is not None else None,
            "profile": json.dumps(self.profile) if self.profile is not None else None,
        }

    def to_json(self) -> str:
        """Return `to_dict` as JSON."""
        return json.dumps(self.to_dict())
