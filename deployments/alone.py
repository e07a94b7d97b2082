"""One change of a deployment at a time: others of this machine are told so, and do not wait."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

from filelock import FileLock, Timeout

from toolkit.deployments.names import check_name
from toolkit.errors import Conflict

_LOCKS = ".locks"  # no deployment can be called so


@contextlib.contextmanager
def alone(folder: Path, name: str) -> Iterator[None]:
    """Keep other processes of this machine from changing a deployment, for a block.

    Args:
        folder: Where the deployments of this home have their files.
        name: The deployment.

    Raises:
        Conflict: One changes it at this moment.
        InvalidValue: No deployment can be called so.
    """
    check_name(name)
    locks = folder / _LOCKS
    locks.mkdir(parents=True, exist_ok=True)
    lock = FileLock(locks / name)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        raise Conflict(
            f"deployment {name} is being changed by another process at this moment: see toolkit deployments show "
            f"{name}, and try again when it is done"
        ) from None
    try:
        yield
    finally:
        lock.release()
