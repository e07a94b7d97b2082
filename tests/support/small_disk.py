"""A small disk that really is full: a tmpfs in a mount namespace of its own, gone when its last process is."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

_MOUNT = 'mount -t tmpfs -o "size=$1" tmpfs "$2" && echo ready && exec sleep 3600'


@dataclass(frozen=True, kw_only=True)
class SmallDisk:
    """A disk that is mounted for some processes only.

    Attributes:
        folder: Where those processes see it.
        holder: The process that keeps it there.
    """

    folder: Path
    holder: int

    @property
    def prefix(self) -> tuple[str, ...]:
        """What a command is started with, to see it."""
        return ("nsenter", "--target", str(self.holder), "--mount", f"--wd={Path.cwd()}")

    @property
    def view(self) -> Path:
        """Where this process sees it."""
        return Path(f"/proc/{self.holder}/root{self.folder}")

    def fill(self) -> None:
        """Leave no space."""
        with (self.view / "filler").open("ab", buffering=0) as file:
            for size in (1 << 16, 1 << 12, 1):
                with contextlib.suppress(OSError):
                    while True:
                        file.write(bytes(size))

    def free(self) -> None:
        """Give the space back that `fill` took."""
        (self.view / "filler").unlink(missing_ok=True)

    def copy(self, target: Path) -> None:
        """Copy what is on it to a disk that stays."""
        shutil.copytree(self.view, target, dirs_exist_ok=True)


@lru_cache(maxsize=1)
def why_not() -> str | None:
    """Return why there can be none here; ``None`` where there can."""
    if os.geteuid() != 0:
        return "a small disk needs root, to be mounted"
    if not (shutil.which("unshare") and shutil.which("nsenter")):
        return "a small disk needs unshare and nsenter (util-linux)"
    tried = subprocess.run(
        ["unshare", "--mount", "mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", "/mnt"],
        capture_output=True,
        text=True,
        check=False,
    )
    return f"a small disk cannot be mounted here: {tried.stderr.strip()}" if tried.returncode else None


@contextlib.contextmanager
def small_disk(folder: Path, size: str) -> Iterator[SmallDisk]:
    """Mount one for a block.

    Args:
        folder: Where.
        size: Such as ``8m``.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with subprocess.Popen(
        ["unshare", "--mount", "--propagation", "private", "sh", "-c", _MOUNT, "sh", size, str(folder)],
        stdout=subprocess.PIPE,
        stdin=subprocess.DEVNULL,
    ) as holder:
        try:
            assert holder.stdout is not None
            assert holder.stdout.readline() == b"ready\n"
            yield SmallDisk(folder=folder, holder=holder.pid)
        finally:
            holder.kill()
