"""Files that commands write for the user: whole or not at all, and never over another one unasked."""

from __future__ import annotations

import os
import tempfile
from contextlib import suppress
from pathlib import Path

from toolkit.errors import AlreadyExists, InvalidValue


def write_new_file(target: Path, text: str, *, force: bool = False) -> None:
    """Write a file.

    Args:
        target: Where.
        text: Its text.
        force: Whether a file that is there is overwritten.

    Raises:
        AlreadyExists: There is one.
        InvalidValue: It cannot be written there.
    """
    if target.is_dir():
        raise InvalidValue(f"{target} is a directory: name a file in it")
    if not force and (target.exists() or target.is_symlink()):
        raise AlreadyExists(f"{target} is there already: name another file, or overwrite it with --force")
    try:
        handle, name = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.")
        try:
            with os.fdopen(handle, "w", encoding="utf-8") as file:
                file.write(text)
            Path(name).chmod(target.stat().st_mode if target.exists() else 0o666 & ~_umask())
            if force:
                Path(name).replace(target)
            else:
                os.link(name, target)  # unlike a rename this does not replace what somebody has written meanwhile
        finally:
            with suppress(FileNotFoundError):
                Path(name).unlink()
    except FileExistsError:
        raise AlreadyExists(f"{target} is there already: name another file, or overwrite it with --force") from None
    except OSError as error:
        raise InvalidValue(f"{target} cannot be written ({error.strerror or error}): name another file") from None


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
