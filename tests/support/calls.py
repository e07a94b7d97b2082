"""A call of the command line, and what it said."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, Protocol


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What a command said: its exit code, stdout and stderr."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:  # noqa: ANN401 - a JSON document
        return json.loads(self.out)

    def is_one_clear_error(self) -> bool:
        """Tell whether this is the user's mistake, said in one line, and nothing else."""
        return self.code == 2 and not self.out and self.err.startswith("error: ") and self.err.count("\n") == 1


class Cli(Protocol):
    """Calls a command."""

    def __call__(self, *arguments: str) -> Answer: ...
