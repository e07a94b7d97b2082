"""What a Bento is called: after its model, in BentoML's grammar of tags."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass

_ALLOWED = re.compile(r"[a-z0-9]([-._a-z0-9]*[a-z0-9])?")
_LONGEST = 63
_HASHED = 8  # hexadecimal digits that tell names and builds apart


@dataclass(frozen=True, kw_only=True, slots=True)
class BentoTag:
    """The name and the version of an item of BentoML's store.

    Attributes:
        name: That of the model, or a readable part of it and a hash where BentoML would not take it.
        version: The model's version, ``3``; ``3-1f2e3d4c`` for one that was built otherwise.
    """

    name: str
    version: str

    @classmethod
    def of(cls, model: str, version: int) -> BentoTag:
        """Return the tag of a registered version."""
        return cls(name=bento_name(model), version=str(version))

    def variant(self, digest: str) -> BentoTag:
        """Return the tag of the same version built from other inputs.

        Args:
            digest: What it is built from, in hexadecimal.
        """
        return BentoTag(name=self.name, version=f"{self.version}-{digest[:_HASHED]}")

    def __str__(self) -> str:
        """Return it as BentoML's commands take it."""
        return f"{self.name}:{self.version}"


def bento_name(model: str) -> str:
    """Return what a model is called in BentoML's store: different models never share one.

    BentoML takes up to 63 of a-z, 0-9, ``-``, ``_`` and ``.``, and makes capitals small; registered models may be
    called anything but what has ``/`` or ``:`` in it.
    """
    if len(model) <= _LONGEST and _ALLOWED.fullmatch(model):
        return model
    readable = re.sub(r"[^a-z0-9]+", "-", model.lower()).strip("-")[: _LONGEST - _HASHED - 1].strip("-")
    told = hashlib.sha256(model.encode("utf-8", "surrogatepass")).hexdigest()[:_HASHED]
    return f"{readable or 'model'}-{told}"
