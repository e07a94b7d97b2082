"""What a gate may need the files of a model for. A store has none of them open: it asks whoever can read them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from toolkit.registry.gates import Example, Gate, Signature
from toolkit.registry.judging import Finding
from toolkit.registry.records import ModelVersion


class ModelChecks(Protocol):
    """Reads the files of versions for gates. What cannot be read is a gate that is not passed, never an exception."""

    def signature(self, version: ModelVersion, holder: ModelVersion | None) -> Finding:
        """Tell whether whoever calls the holder can call a version; without a holder: whether it has a signature."""
        ...

    def example(self, version: ModelVersion) -> Finding:
        """Tell whether a version scores its own input example."""
        ...


@dataclass(frozen=True, slots=True)
class Needed:
    """A gate that needs files, and of which versions.

    Attributes:
        gate: The gate.
        version: The version.
        holder: Who holds the target now, if it is another version.
    """

    gate: Gate
    version: ModelVersion
    holder: ModelVersion | None

    @property
    def key(self) -> tuple[Gate, int, int | None]:
        """What a finding is kept by; the files of a version never change."""
        holder = self.holder if isinstance(self.gate, Signature) else None
        return self.gate, self.version.version, None if holder is None else holder.version


Findings = dict[tuple[Gate, int, int | None], Finding]
"""What was found of gates that need files, of the versions of one model."""


class Unseen(Exception):
    """Files must be read before gates can be judged: outside the transaction, which then begins again.

    It goes from a transaction to who opened it, and no further.
    """

    def __init__(self, needed: Sequence[Needed]) -> None:
        super().__init__("files must be read first")
        self.needed = needed


def find(checks: ModelChecks, needed: Needed) -> Finding:
    """Return what reading files says of a gate."""
    if isinstance(needed.gate, Example):
        return checks.example(needed.version)
    return checks.signature(needed.version, needed.holder)
