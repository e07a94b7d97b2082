"""What a rule of lint looks at, and what it finds."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeAlias

from toolkit.errors import Mark
from toolkit.spec.document import Node

Level: TypeAlias = Literal["error", "warning", "note"]
"""``error``: it cannot run; ``warning``: it is likely a mistake; ``note``: there is a better way."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Finding:
    """Something that lint has to say.

    Attributes:
        rule: Name of the rule.
        message: What is wrong and what to do, in one line.
        mark: Where.
        level: How bad it is.
    """

    rule: str
    message: str
    mark: Mark
    level: Level = "warning"


@dataclass(frozen=True, kw_only=True, slots=True)
class Look:
    """What rules look at.

    Attributes:
        directory: The project's directory.
        file: Its MLproject.
        root: What that holds.
    """

    directory: Path
    file: Path
    root: Node
