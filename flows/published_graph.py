"""The graph of a workflow that has perhaps never run, kept where its runs will be: as a tag of their experiment."""

from __future__ import annotations

import base64
import hashlib
import json
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from toolkit.errors import TooLarge
from toolkit.flows.plan import Plan
from toolkit.flows.recorded_graph import PlannedStep, check_text, planned_steps, read_graph
from toolkit.recording.context import user_name
from toolkit.tracking.limits import EXPERIMENT_TAG_VALUE_LENGTH
from toolkit.tracking.records import Experiment, SearchQuery
from toolkit.tracking.store import RunStore

PREFIX = "toolkit.published."
"""Beginning of the tags that hold a graph; then a digest of the workflow's name."""
MARK = "toolkit.publishes"
"""Tag of an experiment that has such a tag, or had one."""
_SCHEMA = 1
_PACKED = "zlib:"
_LARGEST = 4_000_000
_LONGEST = 200  # characters of a default that are told
_LONGEST_NAME = 500


@dataclass(frozen=True, kw_only=True, slots=True)
class PublishedParameter:
    """A parameter of a workflow: its type, its default as text (``None``: it needs a value) and what it is for."""

    type: str = "string"
    default: str | None = None
    description: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class PublishedDeployment:
    """A deployment that runs a workflow, as it was when it was made.

    Attributes:
        id: Prefect's id of it.
        name: Its name, with its flow's: ``wine/nightly``.
        schedule: When it runs by itself, in words; empty: only when it is triggered.
        timezone: Time zone of the schedule.
        pool: Its work pool.
        paused: Whether its schedule waits.
        url: Its page in Prefect's UI; empty where that has none.
    """

    id: str
    name: str
    schedule: str = ""
    timezone: str = ""
    pool: str = ""
    paused: bool = False
    url: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Published:
    """A workflow that was published.

    Attributes:
        name: Its name, as its runs have it.
        steps: Its steps.
        description: What it is for.
        parameters: Its parameters.
        uri: The project, as the user named it.
        code: Which code it was: a commit, a snapshot, or files that are in no commit.
        user: Who published it.
        time: When, in milliseconds since 1970.
        deployments: What runs it.
        is_kept: Whether it was published for itself, and stays when its deployments go.
    """

    name: str
    steps: Sequence[PlannedStep]
    description: str = ""
    parameters: Mapping[str, PublishedParameter] = field(default_factory=dict)
    uri: str = ""
    code: str = ""
    user: str = ""
    time: int = 0
    deployments: Sequence[PublishedDeployment] = ()
    is_kept: bool = False


def of_plan(plan: Plan, *, now: int) -> Published:
    """Return what is published of a plan.

    Args:
        plan: The plan; no value that was given for it is told.
        now: The time, in milliseconds since 1970.
    """
    source = plan.source
    code = "files that are in no commit"
    if source.commit:
        code = f"commit {source.commit[:12]}{', with changes that are in no commit' if source.dirty else ''}"
    return Published(
        name=plan.flow_name,
        steps=planned_steps(plan),
        description=plan.workflow.description or "",
        parameters={
            name: PublishedParameter(
                type=one.type, default=_text(one.default), description=(one.description or "")[:_LONGEST]
            )
            for name, one in plan.workflow.parameters.items()
        },
        uri=source.name if source.fetched else str(source.directory),
        code=code,
        user=user_name(),
        time=now,
    )


def _text(value: object) -> str | None:
    if value is None:
        return None
    text = value if isinstance(value, str) else json.dumps(value, default=str)
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"


def key_of(name: str) -> str:
    """Return the tag that holds a workflow's graph. A name may hold what a tag's key cannot."""
    return PREFIX + hashlib.sha256(name.encode()).hexdigest()[:16]


def publish(
    runs: RunStore, experiment: Experiment, made: Published, deployment: PublishedDeployment | None = None
) -> None:
    """Keep a workflow's graph with an experiment; one of the same name is replaced, its deployments stay.

    Args:
        runs: The store.
        experiment: Where the workflow's runs will be.
        made: The workflow.
        deployment: What runs it from now on; ``None``: it is published for itself.

    Raises:
        TooLarge: It has more steps than a tag can tell of, or a name that is too long.
    """
    if len(made.name) > _LONGEST_NAME:
        raise TooLarge(
            f"the name of workflow {made.name[:50]!r}… has {len(made.name):,} characters: its graph is shown before it"
            f" runs only if they are at most {_LONGEST_NAME}. Its runs show it all the same"
        )
    before = read(experiment.tags.get(key_of(made.name), ""))
    others = (
        []
        if before is None
        else [one for one in before.deployments if deployment is None or not _same(one, deployment)]
    )
    kept = replace(
        made,
        deployments=[*others, *([] if deployment is None else [deployment])],
        is_kept=deployment is None or (before is not None and before.is_kept),
    )
    runs.update_experiment(experiment.experiment_id, tags={key_of(made.name): _write(kept), MARK: "1"})


def _same(one: PublishedDeployment, other: PublishedDeployment) -> bool:
    return other.id == one.id or other.name == one.name


def withdraw(runs: RunStore, deployment_id: str) -> None:
    """Forget a deployment that is gone, and graphs that were published for it alone."""
    for experiment in publishing(runs):
        for one in published_in(experiment.tags):
            rest = [each for each in one.deployments if each.id != deployment_id]
            if len(rest) == len(one.deployments):
                continue
            text = _write(replace(one, deployments=rest)) if rest or one.is_kept else None
            runs.update_experiment(experiment.experiment_id, tags={key_of(one.name): text})


def change(runs: RunStore, deployment_id: str, *, paused: bool) -> None:
    """Note that a deployment's schedule waits, or goes on."""
    for experiment in publishing(runs):
        for one in published_in(experiment.tags):
            changed = [replace(each, paused=paused) if each.id == deployment_id else each for each in one.deployments]
            if changed != list(one.deployments):
                text = _write(replace(one, deployments=changed))
                runs.update_experiment(experiment.experiment_id, tags={key_of(one.name): text})


def publishing(runs: RunStore, *, most: int = 1_000) -> Sequence[Experiment]:
    """Return the experiments with which graphs are published."""
    return runs.search_experiments(SearchQuery(filter=f"tags.`{MARK}` = '1'", limit=most)).items


def published_in(tags: Mapping[str, str]) -> Sequence[Published]:
    """Return the workflows that an experiment's tags tell of, by name; each under its own key alone."""
    found = ((key, read(value)) for key, value in tags.items() if key.startswith(PREFIX))
    return sorted((one for key, one in found if one is not None and key == key_of(one.name)), key=lambda one: one.name)


def _write(one: Published) -> str:
    told = {name: value for name, value in asdict(one).items() if value}
    told["steps"] = [{key: value for key, value in step.items() if value} for step in told.get("steps", [])]
    text = json.dumps({"schema": _SCHEMA, **told}, separators=(",", ":"))
    if len(text) <= EXPERIMENT_TAG_VALUE_LENGTH:
        return text
    packed = _PACKED + base64.b64encode(zlib.compress(text.encode(), 9)).decode()
    if len(packed) > EXPERIMENT_TAG_VALUE_LENGTH:
        raise TooLarge(
            f"the graph of workflow {one.name!r} is too large to be shown before it runs: it has {len(one.steps):,}"
            " steps. Its runs show it all the same"
        )
    return packed


def read(text: str) -> Published | None:
    """Return what a tag tells; ``None`` where that is nothing: anybody may have written it."""
    try:
        told = json.loads(_unpacked(text))
        if told["schema"] != _SCHEMA or not _is_name(told["name"]):
            return None
        check_text(told)
        time = int(told.get("time", 0))
        if abs(time) >= 2**63:
            return None
        return Published(
            **{key: str(told.get(key, "")) for key in ("name", "description", "uri", "code", "user")},
            steps=read_graph(json.dumps({"schema": 1, "steps": told["steps"]})),
            parameters={
                str(name): PublishedParameter(**_texts(one)) for name, one in told.get("parameters", {}).items()
            },
            time=time,
            deployments=[PublishedDeployment(**_texts(one)) for one in told.get("deployments", [])],
            is_kept=bool(told.get("is_kept")),
        )
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError, OverflowError, zlib.error):
        return None


def _is_name(name: object) -> bool:
    """Tell whether it can be a workflow's name, and stand in a filter."""
    return isinstance(name, str) and 0 < len(name) <= _LONGEST_NAME and "\0" not in name


def _unpacked(text: str) -> str:
    if not text.startswith(_PACKED):
        return text
    reader = zlib.decompressobj()
    found = reader.decompress(base64.b64decode(text.removeprefix(_PACKED)), _LARGEST)
    if reader.unconsumed_tail:
        raise ValueError("too large")
    return found.decode()


def _texts(told: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a record is made of: texts, but for what is true or not."""
    return {
        str(name): value if isinstance(value, bool) else str(value) for name, value in told.items() if value is not None
    }
