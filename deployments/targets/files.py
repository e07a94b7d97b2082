"""Targets that write files, which somebody applies with a tool of the place's own."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import yaml

from toolkit.deployments.target import Health, Instance
from toolkit.errors import TargetFailed

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from toolkit.deployments.target import Placement

_OURS = "Written by toolkit: "


class FilesTarget:
    """What targets that write files have in common: nothing runs, so nothing is to be waited for or ended."""

    serves = False

    def health(self, instance: Instance) -> Health:
        """Tell whether its files are there."""
        folder = Path(instance.detail.get("folder", instance.id))
        return Health(state="ready") if folder.is_dir() else Health(state="gone", message=f"{folder} is not there")

    def switch(self, new: Instance, old: Instance | None) -> Instance:  # noqa: ARG002 - who applies the files moves it
        """Return the new one: the traffic moves when its files are applied."""
        return new

    def stop(self, instance: Instance) -> None:
        """Do nothing: who applied the files takes away what they made, and the release's folder goes with it."""

    def logs(self, instance: Instance, *, lines: int = 200, follow: bool = False) -> Iterator[str]:  # noqa: ARG002
        """Yield where its files are, and what to do with them."""
        yield f"written to {instance.detail.get('folder', instance.id)}"
        if told := instance.detail.get("apply"):
            yield f"apply: {told}"


def write_files(placement: Placement, output: str, files: Mapping[str, str], *, apply: str, image: str) -> Instance:
    """Write the files of a release.

    Args:
        placement: The release.
        output: The folder that the user wants them in; empty: the release's own.
        files: Their texts, by name; those that end in ``.sh`` can be run.
        apply: The command that applies them; ``{folder}`` in it becomes their folder.
        image: The image that they name.

    Returns:
        The release, as it is found again.

    Raises:
        TargetFailed: They cannot be written.
    """
    folder = Path(output).expanduser().absolute() if output else placement.folder
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for stale in [each for each in folder.glob("*.y*ml") if each.name not in files and _is_ours(each, placement)]:
            stale.unlink()
        for name, text in files.items():
            _write(folder / name, text)
    except OSError as error:
        raise TargetFailed(f"cannot write the files of {placement.deployment} to {folder}: {error.strerror}") from None
    detail = {"folder": str(folder), "apply": apply.replace("{folder}", str(folder))}
    return Instance(id=str(folder), image=image, detail=detail)


def about(placement: Placement) -> str:
    """Return the line that opens each file."""
    return f"{_OURS}{placement.bento.tag} as release {placement.release} of {placement.deployment}."


def yaml_text(placement: Placement, value: object) -> str:
    """Return a value as YAML, with a comment above it that says where it comes from."""
    return f"# {about(placement)}\n" + yaml.safe_dump(value, sort_keys=False, allow_unicode=True, width=120)


def _is_ours(file: Path, placement: Placement) -> bool:
    """Tell whether an earlier release of the same deployment has written a file."""
    with file.open(encoding="utf-8", errors="replace") as opened:
        first = opened.readline().strip()
    return first.startswith(f"# {_OURS}") and first.endswith(f" of {placement.deployment}.")


def _write(file: Path, text: str) -> None:
    """Write a file so that it is there whole or as it was."""
    beside = file.with_name(f".{file.name}.{os.getpid()}")
    try:
        beside.write_text(text, encoding="utf-8")
        beside.chmod(0o755 if file.suffix == ".sh" else 0o644)
        beside.replace(file)
    finally:
        beside.unlink(missing_ok=True)
