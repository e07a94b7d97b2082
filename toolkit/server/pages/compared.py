"""The runs that are held against each other: which an address names, what they logged, and in what they differ."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

from toolkit.errors import InvalidValue, NotFound
from toolkit.recording import context as tag
from toolkit.server.pages import colours
from toolkit.server.pages.asked import Asked
from toolkit.server.pages.cells import cut
from toolkit.server.pages.experiment import PRIMARY
from toolkit.server.pages.given_tags import tags_of
from toolkit.server.pages.view import quoted
from toolkit.tracking.records import SYSTEM, DatasetInput, Run, SearchQuery
from toolkit.wiring.registry import inputs_of

MOST = 200
"""Runs that are compared at once."""

_ID = re.compile(r"[0-9A-Za-z_-]{1,64}")
_LONGEST, _NAME = 200, 40

CODE = {
    tag.GIT_COMMIT: "Commit",
    tag.GIT_DIRTY: "Uncommitted changes",
    tag.GIT_BRANCH: "Branch",
    tag.GIT_REPO: "Repository",
    tag.SOURCE_NAME: "Source",
    tag.ENTRY_POINT: "Entry point",
    "toolkit.command": "Command",
    "toolkit.code_digest": "Digest of the code",
}
"""Tags that say what code a run was, and what people call them."""

ENVIRONMENT = {
    "toolkit.environment": "Environment",
    tag.PROJECT_ENV: "Kind of environment",
    tag.PYTHON: "Python",
    tag.HOST: "Machine",
}
"""The same for what it ran in."""


@dataclass(frozen=True, kw_only=True)
class Compared:
    """Runs that are held against each other.

    Attributes:
        runs: The runs, in the order in which they were asked for.
        missing: The ids that no run has.
        base: The run that the others are held against, if one was chosen.
        names: What each run is called, by its id: those of one name with the beginnings of their ids.
        colours: The place of each run's colour, 0 to 7, by its id.
        primary: The metric that matters most in the first run's experiment, if that says so.
    """

    runs: Sequence[Run]
    missing: Sequence[str] = ()
    base: Run | None = None
    names: Mapping[str, str] = field(default_factory=dict)
    colours: Mapping[str, int] = field(default_factory=dict)
    primary: str | None = None

    @property
    def ids(self) -> str:
        """The ids of the runs as addresses have them."""
        return ",".join(run.info.run_id for run in self.runs)

    @cached_property
    def metrics(self) -> Sequence[str]:
        """The names of what the runs measured, without what they took of the machine."""
        return sorted({key for run in self.runs for key in run.data.metrics if not key.startswith(SYSTEM)})


@dataclass(frozen=True, kw_only=True, slots=True)
class Row:
    """A thing of which each run has a value.

    Attributes:
        kind: What it is: a parameter, a tag, code, environment or data.
        key: Its name.
        values: The value of each run, cut where it is long; ``None`` for a run without one.
    """

    kind: str
    key: str
    values: Sequence[str | None]


def ids_of(asked: Asked) -> Sequence[str]:
    """Return the runs that an address names, each once.

    Raises:
        InvalidValue: They are more than are compared.
    """
    named = [part.strip() for text in asked.all("runs") for part in text.split(",")]
    ids = list(dict.fromkeys(part for part in named if part))
    if len(ids) > MOST:
        raise InvalidValue(
            f"{len(ids)} runs are to be compared: wanted 2 to {MOST}. Narrow the experiment’s table by a filter, and "
            "choose among those"
        )
    return ids


def compared(asked: Asked) -> Compared:
    """Return the runs that an address names: the number of queries does not depend on how many they are.

    Raises:
        InvalidValue: They are more than are compared.
    """
    ids = ids_of(asked)
    runs = _found(asked, [run_id for run_id in ids if _ID.fullmatch(run_id)])
    there = {run.info.run_id for run in runs}
    wanted = asked.query.get("base")
    return Compared(
        runs=runs,
        missing=[run_id for run_id in ids if run_id not in there],
        base=next((run for run in runs if run.info.run_id == wanted), None),
        names=names_of(runs),
        colours=colours.of(runs),
        primary=_primary(asked, runs),
    )


def _found(asked: Asked, ids: Sequence[str]) -> Sequence[Run]:
    if not ids:
        return ()
    those = ", ".join(map(quoted, ids))
    query = SearchQuery(filter=f"attributes.run_id IN ({those})", lifecycle=None, limit=MOST)
    found = {run.info.run_id: run for run in asked.stores.runs.search_runs(query).items}
    return [found[run_id] for run_id in ids if run_id in found]


def _primary(asked: Asked, runs: Sequence[Run]) -> str | None:
    if not runs:
        return None
    try:
        return asked.stores.runs.get_experiment(runs[0].info.experiment_id).tags.get(PRIMARY)
    except NotFound:  # it was removed for good meanwhile
        return None


def names_of(runs: Sequence[Run]) -> Mapping[str, str]:
    """Return what runs are called, by their ids: those of one name with the beginnings of their ids."""
    often = Counter(run.info.run_name for run in runs)
    return {
        run.info.run_id: f"{cut(run.info.run_name, _NAME)} · {run.info.run_id[:8]}".removeprefix(" · ")
        if often[run.info.run_name] > 1 or not run.info.run_name
        else cut(run.info.run_name, _NAME)
        for run in runs
    }


def differences(asked: Asked, runs: Sequence[Run]) -> tuple[Sequence[Row], Sequence[Row]]:
    """Return in what runs differ, and what is the same in all of them.

    Args:
        asked: The request.
        runs: The runs.
    """
    data = inputs_of(asked.stores, [run.info.run_id for run in runs]) if runs else {}
    kinds: Sequence[tuple[str, Callable[[Run], Mapping[str, str]]]] = (
        ("parameter", lambda run: run.data.params),
        ("tag", tags_of),
        ("code", lambda run: _named(run, CODE)),
        ("environment", lambda run: _named(run, ENVIRONMENT)),
        ("data", lambda run: _data(data.get(run.info.run_id, ()))),
        ("run", _facts),
    )
    differing: list[Row] = []
    same: list[Row] = []
    for kind, of in kinds:
        told = [of(run) for run in runs]
        for key in sorted({key for each in told for key in each}):
            values = [each.get(key) for each in told]
            row = Row(kind=kind, key=key, values=[None if value is None else cut(value, _LONGEST) for value in values])
            (differing if len(set(values)) > 1 else same).append(row)
    return differing, same


def _named(run: Run, names: Mapping[str, str]) -> Mapping[str, str]:
    return {label: run.data.tags[key] for key, label in names.items() if run.data.tags.get(key)}


def _data(inputs: Sequence[DatasetInput]) -> Mapping[str, str]:
    """Return the digests of datasets by name; where a run has read several of one name, all of them."""
    found: dict[str, list[str]] = {}
    for each in inputs:
        found.setdefault(each.dataset.name, []).append(each.dataset.digest)
    return {name: ", ".join(sorted(digests)) for name, digests in found.items()}


def _facts(run: Run) -> Mapping[str, str]:
    return {"Experiment": run.info.experiment_id, "User": run.info.user_id}
