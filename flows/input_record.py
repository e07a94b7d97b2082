"""What the data were that a step was given: recorded with its run, so that the run can be made again with the same.

Of each parameter that is a path or an artifact the digest is kept. What is on this machine is read while the command
runs, and looked at once more when it has ended: what changed meanwhile has no digest.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from toolkit.errors import ToolkitError
from toolkit.flows.code_state import Digests
from toolkit.flows.fingerprint import artifact_digest, artifacts
from toolkit.recording.run import TAG_LIMIT
from toolkit.spec.expression import OutputRef
from toolkit.spec.project import EntryPoint
from toolkit.tracking.limits import DATASET_LENGTHS
from toolkit.tracking.limits import INPUTS as MOST_INPUTS
from toolkit.tracking.records import Dataset, DatasetInput
from toolkit.tracking.store import RunStore
from toolkit.tracking.system_tags import CONTEXT

INPUTS = "toolkit.inputs"
"""Tag of a step's run: its inputs, as JSON."""
INPUTS_PATH = "environment/inputs.json"
"""Artifact that holds them where they are longer than a tag can be."""
ARTIFACT = "runs:/"
SOURCE_TYPE = "local"
"""Kind of the source of data on a machine, as `toolkit.data` writes it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Input:
    """A file, a folder or an artifact that a step was given.

    Attributes:
        parameter: The parameter that names it.
        artifact: ``runs:/<run id>/<path>`` of an artifact.
        path: Absolute path of what was on the machine, links followed.
        project: Its path relative to the project's directory, where it was named in there.
        sha256: Digest of a file, or one over all files of a folder; ``None`` where it changed while the command ran, or
            could not be read.
    """

    parameter: str
    artifact: str | None = None
    path: str | None = None
    project: str | None = None
    sha256: str | None = None


class InputRecord:
    """The inputs of one run of a step.

    Args:
        entry: What runs.
        values: The entry point's parameters.
        located: The same with paths made absolute.
        runs: Where artifacts are listed.
        directory: The project's directory.
        digests: What is known of files.
    """

    def __init__(
        self,
        entry: EntryPoint,
        values: Mapping[str, object],
        located: Mapping[str, object],
        *,
        runs: RunStore,
        directory: Path,
        digests: Digests,
    ) -> None:
        self._digests = digests
        self._found: list[Input] = []
        self._paths: list[tuple[str, Path]] = []
        for name, value in values.items():
            is_path = name in entry.parameters and entry.parameters[name].type == "path"
            for part in value if isinstance(value, list | tuple) else [value]:
                if isinstance(part, OutputRef):
                    self._found.append(Input(parameter=name, artifact=str(part), sha256=part.sha256 or None))
                elif is_path and str(part).startswith(ARTIFACT):
                    self._found.append(_artifact(runs, name, str(part)))
                elif is_path:
                    self._paths.append((name, Path(str(located[name]))))
        self._directory = directory
        self._first: dict[Path, str | None] = {}
        self._reader: threading.Thread | None = None

    def begin(self) -> None:
        """Read what is on this machine, beside the command."""
        if self._paths:
            self._reader = threading.Thread(target=self._read, name="toolkit-inputs", daemon=True)
            self._reader.start()

    def end(self) -> list[Input]:
        """Wait until all is read; return what the inputs were."""
        if self._reader is not None:
            self._reader.join()
        return [*self._found, *(self._local(name, path) for name, path in self._paths)]

    def _read(self) -> None:
        self._first = {path: _digest(self._digests, path) for _, path in self._paths}

    def _local(self, name: str, path: Path) -> Input:
        first = self._first.get(path)
        inside = path.relative_to(self._directory).as_posix() if path.is_relative_to(self._directory) else None
        return Input(
            parameter=name,
            path=str(path.resolve()),
            project=inside,
            sha256=first if first == _digest(self._digests, path) else None,
        )


def data_digest(sha256: str) -> str:
    """Return a digest as datasets have it: as much of a SHA-256 as there is room for."""
    return sha256[: DATASET_LENGTHS["digest"]]


def as_datasets(inputs: Sequence[Input]) -> list[DatasetInput]:
    """Return the files and folders among inputs as data that a run uses, so that lineage finds them by their digest."""
    found: dict[str, DatasetInput] = {}
    for one in inputs:
        if one.path is None or one.sha256 is None:
            continue
        digest, name = data_digest(one.sha256), Path(one.project or one.path).name[: DATASET_LENGTHS["name"]]
        data = Dataset(name=name or one.parameter, digest=digest, source_type=SOURCE_TYPE, source=source_of(one.path))
        found.setdefault(digest, DatasetInput(dataset=data, tags={CONTEXT: one.parameter}))
    return list(found.values())[:MOST_INPUTS]


def source_of(path: str) -> str:
    """Return where data are, as datasets say it."""
    return json.dumps({"uri": path})


def as_text(inputs: Sequence[Input]) -> str:
    """Return inputs as JSON."""
    return json.dumps([{key: value for key, value in asdict(one).items() if value is not None} for one in inputs])


def fits_a_tag(text: str) -> bool:
    """Tell whether a text can be a tag's value."""
    return len(text) <= TAG_LIMIT


def of_text(text: str) -> list[Input]:
    """Return what `as_text` gave; raises `ValueError` for another text."""
    try:
        return [Input(**one) for one in json.loads(text)]
    except TypeError as error:
        raise ValueError("not a list of inputs") from error


def _artifact(runs: RunStore, name: str, uri: str) -> Input:
    run_id, _, path = uri.removeprefix(ARTIFACT).partition("/")
    try:
        digest = artifact_digest(artifacts(runs, run_id, path))
    except ToolkitError:  # the step itself says what is wrong with it
        digest = None
    return Input(parameter=name, artifact=uri, sha256=digest)


def _digest(digests: Digests, path: Path) -> str | None:
    try:
        return digests.of_path(path)
    except ToolkitError:  # not readable for us does not mean not readable for the command
        return None
