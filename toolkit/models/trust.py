"""What may be loaded that can run code: nothing, everything, or files whose digests a store has recorded.

Pickles, code files and foreign loaders do whatever they like in the process that loads them. Each place that loads one
asks here first.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from toolkit.artifacts.digest import file_digest
from toolkit.errors import UntrustedModel


@dataclass(frozen=True, kw_only=True, slots=True)
class Trust:
    """What may run code when a model is loaded. The default: nothing.

    Attributes:
        everything: Whatever the model holds.
        digests: SHA-256 digests of files that may, in hexadecimal: those that the store recorded when they were logged.
        types: Types, by their full names, that skops files may hold beside those that skops itself knows to be safe.
    """

    everything: bool = False
    digests: frozenset[str] = frozenset()
    types: frozenset[str] = frozenset()

    @classmethod
    def all(cls, types: Iterable[str] = ()) -> Trust:
        """Trust whatever the model holds."""
        return cls(everything=True, types=frozenset(types))

    def allows(self, path: Path) -> bool:
        """Tell whether a file, or every file of a folder, may run code."""
        return self.everything or (
            bool(self.digests) and all(file_digest(file) in self.digests for file in _files(path))
        )

    def require(self, path: Path, what: str) -> None:
        """Refuse to go on unless a file, or every file of a folder, may run code.

        Args:
            path: The file or folder.
            what: What it is, as in ``a pickle``, for the message.

        Raises:
            UntrustedModel: It is not trusted.
        """
        if not self.allows(path):
            raise UntrustedModel(
                f"{path} is {what}, which can run any code when it is loaded, and this store has not recorded it: if "
                "you trust whoever made it, load it with trust=True (--trust on the command line)"
            )


def _files(path: Path) -> Iterator[Path]:
    if not path.is_dir():
        yield path
        return
    for below in path.rglob("*"):
        if not below.is_dir():
            yield below
