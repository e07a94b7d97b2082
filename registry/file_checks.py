"""What the files of versions say for gates: a `toolkit.registry.checks.ModelChecks`."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path

from toolkit.errors import NotFound, ToolkitError
from toolkit.models.metadata import FILE, ModelMetadata
from toolkit.models.signature import Signature
from toolkit.recording.stores import Stores
from toolkit.registry.catalog import Catalog
from toolkit.registry.compatible import differences
from toolkit.registry.fetched import fetch, recorded_files
from toolkit.registry.judging import Finding
from toolkit.registry.locating import locate, place_of
from toolkit.registry.records import ModelVersion

LONGEST = 600.0
"""Seconds that a model has to be loaded and to score its example."""

LONGEST_SERVED = 90.0
"""The same, while a client waits: MLflow's waits for two minutes."""

_SHOWN = 3


class FileChecks:
    """Reads the files of versions.

    Args:
        stores: Where artifacts are.
        catalog: Where models are.
        pickles: Whether what runs code when it is loaded is trusted if the store has recorded its digest. A server does
            not: whoever may log a model would run code on it.
        longest: Seconds that a model has to be loaded and to score its example.
    """

    def __init__(self, stores: Stores, catalog: Catalog, *, pickles: bool = True, longest: float = LONGEST) -> None:
        self._stores = stores
        self._catalog = catalog
        self._pickles = pickles
        self._longest = longest

    def signature(self, version: ModelVersion, holder: ModelVersion | None) -> Finding:
        """See `ModelChecks.signature`."""
        try:
            ours = self._signature(version)
            theirs = None if holder is None else self._signature(holder)
        except (ToolkitError, OSError) as error:
            return Finding(passed=False, found=_line(error))
        if ours is None:
            return Finding(passed=False, found="it has no signature")
        if holder is None or theirs is None:
            other = "no other version holds it" if holder is None else f"version {holder.version} has none"
            return Finding(passed=True, found=f"it has one, and {other}")
        found = differences(ours, theirs)
        if not found:
            return Finding(passed=True, found=f"whoever calls version {holder.version} can call it")
        more = f", and {len(found) - _SHOWN} more" if len(found) > _SHOWN else ""
        return Finding(passed=False, found=f"unlike version {holder.version}: {'; '.join(found[:_SHOWN])}{more}")

    def example(self, version: ModelVersion) -> Finding:
        """See `ModelChecks.example`."""
        try:
            model = fetch(_uri(version), self._stores, self._catalog)
            if not ModelMetadata.read(model.folder).saved_input_example_info:
                return Finding(passed=False, found="it has no input example: log it with input_example")
        except (ToolkitError, OSError) as error:
            return Finding(passed=False, found=_line(error))
        asked = {"folder": str(model.folder), "digests": sorted(model.digests) if self._pickles else []}
        return _scored(json.dumps(asked), self._longest)

    def _signature(self, version: ModelVersion) -> Signature | None:
        """Return the signature of a version: of its files, that one alone is fetched.

        Raises:
            ToolkitError: It cannot be read, or is not what was recorded.
        """
        located = locate(_uri(version), self._stores, self._catalog)
        place = place_of(located, self._stores)
        recorded = recorded_files(located, self._stores.runs, self._catalog).get(FILE)
        with tempfile.TemporaryDirectory(prefix="toolkit-gate-") as folder:
            file = Path(folder) / FILE
            try:
                place.store.get_file(place.key(FILE), file, sha256=None if recorded is None else recorded.sha256)
            except NotFound:
                raise NotFound(f"there is no file {FILE} in {version.location}: it is no model") from None
            return ModelMetadata.read(Path(folder)).signature


def _uri(version: ModelVersion) -> str:
    return f"models:/{version.name}/{version.version}"


def _scored(asked: str, longest: float) -> Finding:
    """Return what the process finds that a model scores its example in."""
    command = [sys.executable, "-P", "-m", "toolkit.registry.scored_example"]
    try:
        done = subprocess.run(command, input=asked + "\n", capture_output=True, text=True, timeout=longest, check=False)
        told = json.loads(done.stdout)
        return Finding(passed=told["passed"], found=told["found"])
    except subprocess.TimeoutExpired:
        return Finding(passed=False, found=f"it took longer than {longest:g} s")
    except (ValueError, KeyError):
        said = done.stderr.strip().splitlines()[-1:] or [""]
        return Finding(passed=False, found=f"its process ended with {done.returncode} {said[0][:200]}".rstrip())


def _line(error: Exception) -> str:
    return " ".join(str(error).split())[:500]
