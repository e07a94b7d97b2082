"""BentoML's store as it lies on disk: items are found in it, and come into it whole or not at all.

BentoML itself copies an item into its store file by file: who is killed meanwhile leaves half of one, which is then
found and does not work. Items are made elsewhere on the same disk here, and moved to their place in one step.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml
from filelock import FileLock

from toolkit.deployments.bento_tag import BentoTag
from toolkit.errors import BuildFailed

BENTOS = "bentos"
MODELS = "models"

_FILES = {BENTOS: "bento.yaml", MODELS: "model.yaml"}
_OURS = ".toolkit"
_Loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def bentoml_home(environ: Mapping[str, str]) -> Path:
    """Return where BentoML keeps its store: ``BENTOML_HOME``, else ``~/bentoml``.

    Args:
        environ: The environment.
    """
    named = environ.get("BENTOML_HOME")
    return Path(named).expanduser().absolute() if named else Path.home() / "bentoml"


class BentoStore:
    """BentoML's store of Bentos and models.

    Args:
        home: Its folder, which need not be there.
    """

    def __init__(self, home: Path) -> None:
        self.home = home

    def path(self, kind: str, tag: BentoTag) -> Path:
        """Return where an item of a tag is, if it is there.

        Args:
            kind: `BENTOS` or `MODELS`.
            tag: What it is called.
        """
        return self.home / kind / tag.name / tag.version

    def labels(self, kind: str, tag: BentoTag) -> Mapping[str, str] | None:
        """Return the labels of an item; ``None`` where there is none, or only a part of one."""
        try:
            text = (self.path(kind, tag) / _FILES[kind]).read_text(encoding="utf-8")
            said: Any = yaml.load(text, Loader=_Loader)  # noqa: S506 - the safe loader, in C where there is one
        except (OSError, ValueError, yaml.YAMLError):
            return None
        labels = said.get("labels") if isinstance(said, dict) else None
        return {str(key): str(value) for key, value in labels.items()} if isinstance(labels, dict) else {}

    @contextmanager
    def workshop(self, name: str) -> Iterator[Path]:
        """Give an empty folder on the store's disk that goes with the block; one process at a time for each name.

        What a killed process left of an earlier one is removed.

        Raises:
            BuildFailed: The store cannot be written.
        """
        ours = self.home / _OURS
        try:
            ours.mkdir(parents=True, exist_ok=True)
            with FileLock(ours / f"{name}.lock"):
                for left in ours.glob(f"{name}=*"):
                    shutil.rmtree(left, ignore_errors=True)
                folder = Path(tempfile.mkdtemp(prefix=f"{name}=", dir=ours))
                try:
                    yield folder
                finally:
                    shutil.rmtree(folder, ignore_errors=True)
        except OSError as error:
            raise BuildFailed(f"BentoML's store {self.home} cannot be written: {error}") from error

    def show(self, kind: str, tag: BentoTag, place: Path) -> None:
        """Let an item of another store be found in this one, too."""
        link = self.path(kind, tag)
        link.parent.mkdir(parents=True)
        link.symlink_to(place.absolute(), target_is_directory=True)

    def put(self, kind: str, tag: BentoTag, made: Path) -> Path:
        """Move an item to its place; it is the latest of its name then.

        Half an item, or one that is to be replaced, makes room.

        Args:
            kind: `BENTOS` or `MODELS`.
            tag: What it is called.
            made: Its folder, on the same disk.
        """
        place = self.path(kind, tag)
        place.parent.mkdir(parents=True, exist_ok=True)
        if place.exists():
            place.rename(made.with_name(f"{made.name}.before"))  # goes with the workshop
        made.rename(place)
        latest = place.parent / "latest"
        new = made.with_name(f"{made.name}.latest")
        new.write_text(tag.version, encoding="utf-8")
        new.replace(latest)
        return place
