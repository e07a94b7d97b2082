"""What a Bento is built from: a version's files, what of them may run code, what it needs, and our own part."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING

from toolkit.artifacts.digest import file_digest
from toolkit.deployments.bento_requirements import requirements_of
from toolkit.deployments.carried_source import carried_source
from toolkit.errors import InvalidValue
from toolkit.registry.fetched import fetch
from toolkit.registry.records import VersionStatus

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from toolkit.deployments.bento_requirements import BentoRequirements
    from toolkit.deployments.config import ServiceConfig
    from toolkit.recording.stores import Stores
    from toolkit.registry.catalog import Catalog
    from toolkit.registry.records import ModelVersion

_OF_BENTOML = ("model.yaml", "custom_objects.pkl")


@dataclass(frozen=True, kw_only=True, slots=True)
class Allowed:
    """What of a model may run code where it is served.

    Attributes:
        everything: Whatever it holds: the user said so. Otherwise what the store has recorded.
        pickles: Whether what the store has recorded may.
        types: Types, by their full names, that skops files may hold.
    """

    everything: bool = False
    pickles: bool = True
    types: frozenset[str] = frozenset()


@dataclass(frozen=True, kw_only=True, slots=True)
class Parts:
    """All that a Bento is built from.

    Attributes:
        version: The registered version.
        folder: Its files; for reading only.
        files: SHA-256 digests of them, by path.
        trusted: Those that may run code.
        types: Types that skops files may hold.
        requirements: What is installed in its image.
        config: How it serves.
        source: What of our own it carries.
    """

    version: ModelVersion
    folder: Path
    files: Mapping[str, str]
    trusted: Sequence[str]
    types: Sequence[str]
    requirements: BentoRequirements
    config: ServiceConfig
    source: Mapping[str, str]

    @property
    def model_digest(self) -> str:
        """SHA-256 of the model's files and their names."""
        return _digest(self.files)

    @property
    def digest(self) -> str:
        """SHA-256 of everything."""
        return _digest(
            {
                "model": [self.version.name, self.version.version, self.version.run_id],
                "files": self.files,
                "trusted": [self.trusted, self.types],
                "requirements": [self.requirements.python, *self.requirements.lines],
                "config": self.config.to_dict(),
                "source": self.source,
                "bentoml": metadata.version("bentoml"),
            }
        )


def parts_of(uri: str, stores: Stores, catalog: Catalog, config: ServiceConfig, allowed: Allowed) -> Parts:
    """Return what the Bento of a registered version is built from.

    Args:
        uri: ``models:/wine/3``.
        stores: Where runs and artifacts are.
        catalog: Where models are.
        config: How it is to serve.
        allowed: What of the model may run code.

    Raises:
        InvalidValue: It is no registered version, or one that cannot be served.
        NotFound: There is no such version.
        ArtifactCorrupt: A file of it is not what was recorded.
    """
    fetched = fetch(uri, stores, catalog)
    version = fetched.located.version
    if version is None:
        raise InvalidValue(f"{uri} is no registered version: register it first, and name it such as models:/wine/3")
    if version.status is not VersionStatus.READY:
        raise InvalidValue(
            f"{version.name}/{version.version} is {version.status.value}: wanted a version that is ready"
        )
    files = _files(fetched.folder)
    trust = fetched.trust(everything=allowed.everything, types=allowed.types, pickles=allowed.pickles)
    trusted = set(files.values()) if trust.everything else trust.digests & set(files.values())
    return Parts(
        version=version,
        folder=fetched.folder,
        files=files,
        trusted=sorted(trusted),
        types=sorted(trust.types),
        requirements=requirements_of(fetched.folder),
        config=config,
        source=carried_source(),
    )


def _files(folder: Path) -> dict[str, str]:
    """Return the digests of a model's files.

    Raises:
        InvalidValue: One is a link, which may lead anywhere, or has a name that BentoML's store needs.
    """
    found: dict[str, str] = {}
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if path.is_symlink() or not (path.is_dir() or path.is_file()):
            raise InvalidValue(f"the model's {name} is a link or no plain file, which does not go into a Bento")
        if name in _OF_BENTOML:
            raise InvalidValue(f"the model has a file {name}, as BentoML's store has: log it under another name")
        if path.is_file() and "__pycache__" not in path.parts:
            found[name] = file_digest(path)
    return found


def _digest(value: object) -> str:
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(text.encode()).hexdigest()
