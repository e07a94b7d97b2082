"""What need not run again: steps whose results are in the store already, and those that a resumed run has finished.

The cache never makes a run fail. Where the store does not answer, where a key cannot be made or where what it leads to
is gone, the step runs, and a line says why.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from toolkit.errors import StepFailed, ToolkitError
from toolkit.flows.code_state import Manifest
from toolkit.flows.fingerprint import Fingerprint, artifacts
from toolkit.flows.plan import Plan
from toolkit.flows.resume import STEP, Resumed
from toolkit.flows.step_key import Change, Components, Ingredients, changes
from toolkit.flows.taking import CACHED_FROM, Gone, Original, Taker, file_digest, look_over
from toolkit.flows.trial import EarlierTrial, earlier_trials
from toolkit.ids import now_ms
from toolkit.recording.run import RecordedRun
from toolkit.recording.stores import Stores
from toolkit.spec.expression import StepResult
from toolkit.spec.project import EntryPoint, Step
from toolkit.tracking.records import Run
from toolkit.tracking.step_keys import FAMILY_LENGTH, StepKey, StepKeyQuery

CACHE = "toolkit.cache"
"""Tag of a step's run: what the cache had to do with it."""
CACHE_KEY = "toolkit.cache_key"
"""Tag of a step's run: its key."""
HIT, MISS, RESUMED, REFRESHED, OFF = "hit", "miss", "resumed", "refreshed", "off"
NOT_ASKED_FOR, NOT_DECLARED = "not asked for", "no outputs declared"

_CANDIDATES = 5
_COMPARED = 50


def manifest_path(digest: str) -> str:
    """Return the artifact of a workflow's run that lists the files over which a step's code digest was made."""
    return f"cache/code-{digest[:16]}.json"


def family(plan: Plan, step: str) -> str:
    """Return the name under which all runs of a step are known: project, workflow and step."""
    project = plan.project.name or plan.project.directory.name or "project"
    return "/".join([project, plan.workflow.name, step])[:FAMILY_LENGTH]


@dataclass(frozen=True, kw_only=True, slots=True)
class CacheOptions:
    """What of the cache is wanted.

    Attributes:
        off: Take nothing from it, and put nothing into it.
        refresh: Steps that run again, whatever there is; what they leave takes the place of what there was.
    """

    off: bool = False
    refresh: frozenset[str] = frozenset()


class Wanted(Protocol):
    """A run of a step that is about to be made: `toolkit.flows.step.Invocation`."""

    @property
    def step(self) -> Step:
        """The step."""
        ...

    @property
    def label(self) -> str:
        """Name with what tells it from its siblings."""
        ...

    @property
    def values(self) -> Mapping[str, object]:
        """The entry point's parameters."""
        ...

    @property
    def before(self) -> Mapping[str, Sequence[str]]:
        """Labels of the runs before it, by step."""
        ...

    @property
    def tags(self) -> Mapping[str, str]:
        """What its run says besides."""
        ...


@dataclass(kw_only=True, slots=True)
class _Known:
    """What is known of a run of a step: its key, where it has one, and what the cache had to do with it."""

    key: str
    state: str
    components: Components | None = None
    manifest: Manifest | None = None
    taken_from: str | None = None


class StepCache:
    """Takes results over for one run of a workflow, and keeps those that it makes.

    Args:
        plan: What runs.
        stores: Where results are.
        parent: The workflow's run.
        lock: Gives the lock of the environment that a step runs in.
        note: Told what is going on, a line each.
        options: What is wanted of the cache.
        resumed: The run that this one goes on from.
    """

    def __init__(
        self,
        plan: Plan,
        stores: Stores,
        parent: RecordedRun,
        *,
        lock: Callable[[Step], str],
        note: Callable[[str], None],
        options: CacheOptions | None = None,
        resumed: Resumed | None = None,
    ) -> None:
        self._plan = plan
        self._stores = stores
        self._parent = parent
        self._note = note
        self._options = options or CacheOptions()
        self._resumed = resumed
        self._used = any(step.cache for step in plan.workflow.steps.values()) and not self._options.off
        self._fingerprint = Fingerprint(plan, stores.runs, lock)
        self._taker = Taker(stores=stores, parent=Run(info=parent.info))
        self._known: dict[str, _Known] = {}
        self._earlier: dict[str, list[tuple[StepKey, Components]]] = {}
        self._kept_manifests: set[str] = set()
        self._said: set[str] = set()
        self._lock = threading.Lock()

    # -- before a step runs ------------------------------------------------------------------------

    def take(self, wanted: Wanted, source_tags: Mapping[str, str]) -> StepResult | None:
        """Return a step's result if there is one to take over, as a run of its own; else the step must run.

        Args:
            wanted: The run of a step that is about to be made.
            source_tags: Tags of all runs of the workflow.
        """
        try:
            return self._from_resumed(wanted, source_tags) or self._from_cache(wanted, source_tags)
        except ToolkitError as error:
            self._say(f"{wanted.label}: nothing is taken over ({error})")
            return None

    def tags(self, wanted: Wanted) -> dict[str, str]:
        """Return the tags of the run that a step is about to make."""
        known = self._known.get(wanted.label)
        if known is None:
            return {CACHE: OFF} if self._options.off and wanted.step.cache else {}
        return {CACHE: known.state, CACHE_KEY: known.key} if known.state else {CACHE_KEY: known.key}

    def taken_from(self, label: str) -> str | None:
        """Return the run whose results a step took over; ``None`` for one that ran."""
        known = self._known.get(label)
        return None if known is None else known.taken_from

    def earlier_trials(self, step: Step) -> list[EarlierTrial]:
        """Return what the run that this one goes on from has tried for a step that searches.

        Raises:
            StoreError: The store cannot be read.
        """
        if self._resumed is None or step.name in self._options.refresh:
            return []
        return earlier_trials(self._stores.runs, self._resumed.run, step.name)

    def _from_resumed(self, wanted: Wanted, source_tags: Mapping[str, str]) -> StepResult | None:
        if self._resumed is None or wanted.step.name in self._options.refresh:
            return None
        finished = self._resumed.take(wanted.step.name, wanted.values, self._plan.project.directory)
        if finished is None:
            return None
        tags = finished.data.tags
        run = self._stores.runs.get_run(tags.get(CACHED_FROM, finished.info.run_id))
        try:
            original = look_over(self._stores, run, self._entry(wanted.step).outputs)
        except Gone as error:
            self._say(f"{wanted.label}: runs again: run {finished.info.run_id[:8]} finished it, but {error}")
            return None
        # Not the key that the step would have now: what it was made from is what counts for those after it.
        key = tags.get(CACHE_KEY, f"run {run.info.run_id}")
        return self._taken(wanted, original, key, RESUMED, source_tags)

    def _from_cache(self, wanted: Wanted, source_tags: Mapping[str, str]) -> StepResult | None:
        if not self._used:
            return None
        known = self._look_at(wanted)
        if known is None or known.state:
            return None
        query = StepKeyQuery(key=known.key, reusable=True, limit=_CANDIDATES)
        for candidate in self._stores.runs.find_step_keys(query):
            original = self._original(wanted, candidate)
            if original is not None:
                return self._taken(wanted, original, known.key, HIT, source_tags)
        known.state = MISS
        self._say_why(wanted, known)
        return None

    def _look_at(self, wanted: Wanted) -> _Known | None:
        """Make the key of a step's run; where it cannot be, say so."""
        try:
            components, manifest = self._fingerprint.of(wanted.step, wanted.values, self._keys_before(wanted))
        except ToolkitError as error:
            if wanted.step.cache:
                self._say(f"{wanted.label}: not cached: {error}")
            return None
        known = _Known(key=components.key, state="", components=components, manifest=manifest)
        if not wanted.step.cache:
            known.state = NOT_ASKED_FOR
        elif not self._entry(wanted.step).closed:
            known.state = NOT_DECLARED
            self._say(
                f"{wanted.step.name}: not cached: its entry point declares neither `outputs` nor `metrics`, so nobody"
                " knows what it leaves; declare them, or `outputs: {}` if it leaves nothing"
            )
        elif wanted.step.name in self._options.refresh:
            known.state = REFRESHED
        with self._lock:
            self._known[wanted.label] = known
        return known

    def _keys_before(self, wanted: Wanted) -> dict[str, list[str]]:
        with self._lock:
            return {
                step: [self._known[label].key if label in self._known else self._only_here(label) for label in labels]
                for step, labels in wanted.before.items()
            }

    def _only_here(self, label: str) -> str:
        """Return what stands for the key of a run that has none: nobody comes to the same."""
        return f"{label} of run {self._parent.run_id}"

    def _original(self, wanted: Wanted, candidate: StepKey) -> Original | None:
        """Return the run that a key leads to; where what it left is gone, nobody is led there again."""
        digests = {name: digest for name, (_, digest) in Ingredients.of_text(candidate.components).outputs.items()}
        run = self._stores.runs.get_run(candidate.run_id)
        try:
            return look_over(self._stores, run, self._entry(wanted.step).outputs, digests)
        except Gone as error:
            self._stores.runs.forget_step_keys([candidate.run_id])
            self._say(f"{wanted.label}: run {candidate.run_id[:8]} had its results, but {error}; it was struck off")
            return None

    def _taken(
        self, wanted: Wanted, original: Original, key: str, state: str, source_tags: Mapping[str, str]
    ) -> StepResult:
        entry = self._entry(wanted.step)
        result = self._taker.take(
            original,
            step=wanted.step.name,
            name=wanted.label,
            params={**wanted.values, **self._plan.extra},
            tags={
                **source_tags,
                "mlflow.project.entryPoint": entry.name,
                "mlflow.project.backend": "prefect",
                STEP: wanted.step.name,
                **wanted.tags,
                CACHE: state,
                CACHE_KEY: key,
            },
        )
        with self._lock:
            self._known[wanted.label] = _Known(key=key, state=state, taken_from=original.run.info.run_id)
        return result

    # -- after a step ran --------------------------------------------------------------------------

    def keep(self, wanted: Wanted, run_id: str | None, result: StepResult | None) -> None:
        """Keep the key of a run that was made, and let others take it over if it ended well.

        Args:
            wanted: What was to be run.
            run_id: Its run; ``None`` where there is none.
            result: What it left; ``None`` if it failed.
        """
        if not self._entry(wanted.step).leaves_files:
            self._fingerprint.code.may_have_changed()
        known = self._known.get(wanted.label)
        if known is None or known.components is None or run_id is None:
            return
        try:
            self._keep(wanted, known, run_id, result)
        except ToolkitError as error:
            self._say(f"{wanted.label}: its results cannot be taken over later: {error}")

    def _keep(self, wanted: Wanted, known: _Known, run_id: str, result: StepResult | None) -> None:
        assert known.components is not None
        assert known.manifest is not None
        reusable = result is not None and known.state in (MISS, REFRESHED)
        if reusable and (changed := self._changed_meanwhile(wanted, known)):
            reusable = False
            self._say(f"{wanted.label}: its results are not kept for others: {changed} changed while it ran")
        outputs = {} if result is None else {name: (ref.path, ref.sha256) for name, ref in result.outputs.items()}
        self._keep_manifest(known.manifest)
        self._stores.runs.keep_step_key(
            StepKey(
                run_id=run_id,
                key=known.key,
                family=family(self._plan, wanted.step.name),
                reusable=reusable,
                created=now_ms(),
                components=Ingredients(components=known.components, outputs=outputs).as_text(),
            )
        )

    def _changed_meanwhile(self, wanted: Wanted, known: _Known) -> str:
        """Say what of the key is another now than when the step began: then nobody knows which of the two it used."""
        assert known.components is not None
        now, _ = self._fingerprint.of(wanted.step, wanted.values, self._keys_before(wanted))
        return ", ".join(str(change) for change in changes(known.components, now))

    def _keep_manifest(self, manifest: Manifest) -> None:
        digest = manifest.digest
        with self._lock:
            if digest in self._kept_manifests:
                return
            self._kept_manifests.add(digest)
        self._parent.log_text(manifest.as_text(), manifest_path(digest))

    # -- when results are read ---------------------------------------------------------------------

    def check(self, run_id: str, path: str) -> None:
        """Make sure that an artifact on this machine, of a run whose results were taken over, is as it was made.

        Raises:
            StepFailed: It is not; nobody is led to that run any more.
        """
        with self._lock:
            if run_id not in {known.taken_from for known in self._known.values()}:
                return
        place = self._stores.artifacts_of(self._stores.runs.get_run(run_id).info)
        for entry in artifacts(self._stores.runs, run_id, path):
            local = place.store.local_path(place.key(entry.path))
            try:
                whole = local is not None and file_digest(local) == entry.sha256
            except Gone:
                whole = False
            if not whole:
                self._stores.runs.forget_step_keys([run_id])
                raise StepFailed(
                    f"{entry.path} of run {run_id}, whose results were taken over, is damaged: run again, and the step"
                    " that makes it runs again, too"
                )

    # -- what is said ------------------------------------------------------------------------------

    def _say_why(self, wanted: Wanted, known: _Known) -> None:
        """Say what is different from the nearest earlier run of the step, if there is one."""
        assert known.components is not None
        own = Ingredients.of_text(Ingredients(components=known.components).as_text()).components
        differences = nearest(own, self._earlier_keys(wanted.step.name))
        if differences is not None and differences[1]:
            text = ", ".join(str(change) for change in differences[1])
            self._say(f"{wanted.label}: runs again; changed since run {differences[0].run_id[:8]}: {text}")

    def _earlier_keys(self, step: str) -> list[tuple[StepKey, Components]]:
        with self._lock:
            known = self._earlier.get(step)
        if known is None:
            known = read_keys(
                self._stores.runs.find_step_keys(
                    StepKeyQuery(family=family(self._plan, step), reusable=True, limit=_COMPARED)
                )
            )
            with self._lock:
                self._earlier[step] = known
        return known

    def _say(self, text: str) -> None:
        with self._lock:
            if text in self._said:
                return
            self._said.add(text)
        self._note(text)

    def _entry(self, step: Step) -> EntryPoint:
        return self._plan.entry_points[step.name]


def read_keys(keys: Sequence[StepKey]) -> list[tuple[StepKey, Components]]:
    """Return keys with their components; those of another version are left out."""
    found = []
    for key in keys:
        try:
            found.append((key, Ingredients.of_text(key.components).components))
        except ToolkitError:
            continue
    return found


def nearest(own: Components, earlier: Sequence[tuple[StepKey, Components]]) -> tuple[StepKey, list[Change]] | None:
    """Return the earlier key that differs least, and what is different; of several the first.

    Returns:
        ``None`` where there is no earlier key.
    """
    compared = [(key, changes(components, own)) for key, components in earlier]
    return min(compared, key=lambda item: len(item[1]), default=None)
