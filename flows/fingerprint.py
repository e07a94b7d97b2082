"""From a step that is about to run to the components of its key: what its command, its values and its files are now."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from urllib.parse import unquote, urlsplit

from toolkit.errors import NotFound, ProjectError
from toolkit.flows.code_state import CodeState, Digests, Manifest
from toolkit.flows.plan import Plan
from toolkit.flows.step_key import Components, value_text
from toolkit.spec.expression import OutputRef
from toolkit.spec.project import EntryPoint, Step
from toolkit.tracking.records import ArtifactEntry
from toolkit.tracking.store import RunStore

_ARTIFACT = "runs:/"


class Fingerprint:
    """Makes the components of keys for one run of a plan.

    Args:
        plan: What runs.
        runs: Where runs are recorded: artifacts of earlier ones may be parameters.
        lock: Gives the lock of the environment that a step runs in.
    """

    def __init__(self, plan: Plan, runs: RunStore, lock: Callable[[Step], str]) -> None:
        self._plan = plan
        self._runs = runs
        self._lock = lock
        self._digests = Digests()
        self.code = CodeState(plan.source, plan.project.file, self._digests)

    def of(
        self, step: Step, values: Mapping[str, object], before: Mapping[str, Sequence[str]]
    ) -> tuple[Components, Manifest]:
        """Return the components of the key of a step's run, and the files that it may read.

        Args:
            step: The step.
            values: The entry point's parameters.
            before: Keys of the runs before it, by step.

        Raises:
            ToolkitError: A file that it names is not there or cannot be read.
        """
        entry = self._plan.entry_points[step.name]
        shown = {name: self._shown(entry, name, value) for name, value in values.items()}
        manifest = self.code.manifest(entry.inputs)
        extra = {name: value_text(value) for name, value in self._plan.extra.items()}
        components = Components(
            command=self._plan.command(step, shown),
            strict=entry.strict,
            parameters={name: value_text(value) for name, value in shown.items()} | extra,
            code=manifest.digest,
            environment=hashlib.sha256(self._lock(step).encode("utf-8", "surrogateescape")).hexdigest(),
            inputs=dict(self._inputs(entry, values)),
            outputs=dict(entry.outputs),
            metrics=tuple(entry.metrics),
            before={name: tuple(keys) for name, keys in before.items()},
        )
        return components, manifest

    def _shown(self, entry: EntryPoint, name: str, value: object) -> object:
        """Return a value as the key sees it: of what lies somewhere, only its name."""
        if isinstance(value, list | tuple) and any(isinstance(item, OutputRef) for item in value):
            return [self._shown(entry, name, item) for item in value]
        if isinstance(value, OutputRef):
            return value_text(value)
        if _type(entry, name) == "path":
            return str(value).rstrip("/").rpartition("/")[2]
        return value

    def _inputs(self, entry: EntryPoint, values: Mapping[str, object]) -> Mapping[str, str]:
        found = {}
        for name, value in values.items():
            parts = value if isinstance(value, list | tuple) else [value]
            if any(isinstance(part, OutputRef) for part in parts):
                found[name] = " ".join(part.sha256 for part in parts if isinstance(part, OutputRef))
            elif _type(entry, name) == "path":
                found[name] = self._content(name, str(value))
        return found

    def _content(self, name: str, text: str) -> str:
        """Return the digest of what a parameter of type ``path`` names."""
        if text.startswith(_ARTIFACT):
            run_id, _, path = text.removeprefix(_ARTIFACT).partition("/")
            return artifact_digest(artifacts(self._runs, run_id, path))
        local = text
        if "://" in text or text.startswith("file:"):
            parts = urlsplit(text)
            if parts.scheme != "file":
                raise ProjectError(f"parameter {name!r} is {text}: what is there cannot be looked at")
            local = unquote(parts.path)
        places = [Path(self._plan.caller, local), Path(self._plan.project.directory, local)]
        for place in places[:1] if name in self._plan.given_here else places:
            if place.exists():
                return self._digests.of_path(place)
        raise ProjectError(f"parameter {name!r} wants a path, and there is no {text!r}")


def artifacts(runs: RunStore, run_id: str, prefix: str = "") -> list[ArtifactEntry]:
    """Return all files of a run at or below a path, ordered by path.

    Raises:
        NotFound: There is no such run, or it has none there.
    """
    found: list[ArtifactEntry] = []
    token = None
    while True:
        page = runs.list_artifacts(run_id, prefix=prefix, page_token=token)
        found += page.items
        token = page.next_page_token
        if token is None:
            break
    if prefix and not found:
        raise NotFound(f"run {run_id} has no artifact {prefix!r}")
    return found


def artifact_digest(entries: Sequence[ArtifactEntry]) -> str:
    """Return one digest for files that were stored: the only file's, or one over all of a folder."""
    if len(entries) == 1:
        return entries[0].sha256
    text = "\n".join(f"{entry.sha256} {entry.path}" for entry in entries)
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()


def _type(entry: EntryPoint, name: str) -> str:
    return entry.parameters[name].type if name in entry.parameters else "string"
