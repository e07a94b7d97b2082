"""The oracle: what a training script noted is done again in memory, and compared with the full export of its store.

Nothing may differ but what must: the one call that was under way when the script was killed is there whole or not at
all, and the times of day that nobody gave.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from toolkit.data.input import recorded
from toolkit.data.places import from_url
from toolkit.recording.stores import Stores
from toolkit.tracking.memory import MemoryRunStore
from toolkit.tracking.records import ArtifactEntry, Metric, NewRun, Run, RunQuery, RunStatus
from toolkit.transfer import archive
from toolkit.transfer.export import Exporter, Selection, check

Operation = dict[str, Any]
Content = dict[str, Any]

LOST = "FAILED heartbeat_lost"
_OWN = ("mlflow.", "toolkit.")


@dataclass(kw_only=True)
class Noted:
    """What one script noted.

    Attributes:
        done: The calls that returned, with the id of the run for those that began one.
        under_way: The call that did not return, if there is one.
    """

    done: list[tuple[Operation, str | None]] = field(default_factory=list)
    under_way: Operation | None = None


def read_notes(path: Path) -> Noted:
    """Read what `trainer` noted. A last line that is not whole was not noted."""
    noted = Noted()
    for line in path.read_bytes().splitlines(keepends=True) if path.exists() else ():
        if not line.endswith(b"\n"):
            break
        told = json.loads(line)
        if "do" in told:
            noted.under_way = told["do"]
        elif noted.under_way is not None:
            noted.done.append((noted.under_way, told.get("run_id")))
            noted.under_way = None
    return noted


class Model:
    """The store as it must be after some calls: the plainest one there is."""

    def __init__(self) -> None:
        self.store = MemoryRunStore()
        self.ids: dict[str, str] = {}

    def do(self, operation: Operation, run_id: str | None) -> None:
        """Do a call that was noted."""
        name = operation["run"]
        if operation["op"] == "begin":
            self._begin(operation, run_id or f"unknown-{name}")
            return
        here = self.ids[name]
        match operation["op"]:
            case "metrics":
                moment = operation["timestamp"] or 0
                points = [
                    Metric(key=key, value=value, step=operation["step"], timestamp=moment)
                    for key, value in operation["values"].items()
                ]
                self.store.log_batch(here, metrics=points)
            case "params":
                self.store.log_batch(here, params=operation["params"])
            case "tags":
                self.store.log_batch(here, tags=operation["tags"])
            case "text":
                content = operation["text"].encode()
                entry = ArtifactEntry(
                    path=operation["path"], size=len(content), sha256=hashlib.sha256(content).hexdigest()
                )
                self.store.record_artifacts(here, [entry])
            case "input":
                used = recorded(from_url(operation["url"]), context=operation["context"])
                self.store.log_inputs(here, [used])
            case "end":
                self.store.update_run(here, status=RunStatus(operation["status"]))
            case unknown:
                raise AssertionError(unknown)

    def _begin(self, operation: Operation, run_id: str) -> None:
        parent = operation["parent"] and self.ids[operation["parent"]]
        experiment_id = (
            self.store.get_run(parent).info.experiment_id
            if parent
            else self.store.ensure_experiment(operation["experiment"] or "Default").experiment_id
        )
        self.ids[operation["run"]] = run_id
        self.store.create_run(
            NewRun(
                experiment_id=experiment_id,
                run_id=run_id,
                run_name=operation["run"],
                user_id="somebody",
                start_time=0,
                parent_run_id=parent,
                tags=operation["tags"],
            )
        )

    def content(self) -> dict[str, Content]:
        """Return what it holds, by names of runs."""
        names = {experiment.experiment_id: experiment.name for experiment in self.store.list_experiments().items}
        found = {}
        for listed in self.store.list_runs(RunQuery(limit=50_000)).items:
            run_id = listed.info.run_id
            run = self.store.get_run(run_id)
            points = [
                point for key in run.data.latest for point in self.store.metric_history(run_id, key, limit=10**6).items
            ]
            files = {entry.path: entry.sha256 for entry in self.store.list_artifacts(run_id).items}
            found[run.info.run_name] = _content(run, names[run.info.experiment_id], points, files)
        return found


def exported(stores: Stores, folder: Path) -> tuple[dict[str, Content], list[str]]:
    """Export a store whole, and return what the export says, by names of runs, and which files it could not read."""
    report = Exporter(stores, folder, Selection()).export()
    check(folder)
    lines = list(archive.read_lines(folder / archive.EXPERIMENTS))
    names = {line["experiment_id"]: line["name"] for line in lines}
    assert len(names) == len(lines) == len(set(names.values())), f"an experiment is there twice: {lines}"
    runs = [archive.run_of(line) for line in archive.read_lines(folder / archive.RUNS)]
    points: list[list[Metric]] = [[] for _ in runs]
    for line in archive.read_lines(folder / archive.METRICS):
        points[line["run"]] += archive.points_of(line)
    files: list[dict[str, str]] = [{} for _ in runs]
    for line in archive.read_lines(folder / archive.ARTIFACTS):
        files[line["run"]][line["path"]] = line["sha256"]
    found: dict[str, Content] = {}
    for number, run in enumerate(runs):
        assert run.info.run_name not in found, f"run {run.info.run_name} is there twice"
        found[run.info.run_name] = _content(run, names[run.info.experiment_id], points[number], files[number])
    return found, report.failures


def _content(run: Run, experiment: str, points: Iterable[Metric], files: Mapping[str, str]) -> Content:
    info = run.info
    reason = LOST if (info.reason or "").startswith("heartbeat_lost") else info.status.value
    return {
        "id": info.run_id,
        "experiment": experiment,
        "parent": info.parent_run_id,
        "status": reason,
        "params": dict(run.data.params),
        "tags": {key: value for key, value in run.data.tags.items() if not key.startswith(_OWN)},
        "points": sorted(_point(point) for point in points),
        "inputs": sorted(json.dumps([asdict(used.dataset), dict(used.tags)], sort_keys=True) for used in run.inputs),
        "files": dict(files),
    }


def _point(point: Metric) -> tuple[str, int, int, str]:
    """Return a point so that it can be compared, without the time that nobody gave, which only the process knows."""
    moment = 0 if point.key.startswith("auto/") else point.timestamp
    value = "NaN" if point.value != point.value else point.value.hex()
    return (point.key, point.step, moment, value)


def differences(
    there: Mapping[str, Content], notes: Sequence[Noted], *, left_open: str, unreadable: Sequence[str] = ()
) -> list[str]:
    """Compare.

    Args:
        there: What the store under test holds.
        notes: What the scripts noted.
        left_open: What became of the runs that their script did not end.
        unreadable: Artifacts that could not be read.

    Returns:
        Each difference, in words.
    """
    found: list[str] = []
    expected: set[str] = set()
    excused: set[str] = set()
    for noted in notes:
        before = _after(noted.done, None, there)
        after = _after(noted.done, noted.under_way, there)
        expected |= set(before) | (set(after) & set(there))
        running = (noted.under_way or {}).get("run")
        if noted.under_way and noted.under_way["op"] == "text" and running in before:
            excused.add(f"run {before[running]['id']}: {noted.under_way['path']}:")
        for name in sorted(set(before) | set(after)):
            choices = [after.get(name)] if name != running else [before.get(name), after.get(name)]
            found += _run_differences(name, there.get(name), choices, left_open, noted.under_way)
    found += [f"run {name}: nobody has begun it: {there[name]}" for name in sorted(set(there) - expected)]
    for failure in unreadable:
        if not any(failure.startswith(start) for start in excused):
            found.append(f"cannot be read: {failure}")
    return found


def _after(
    done: Sequence[tuple[Operation, str | None]], more: Operation | None, there: Mapping[str, Content]
) -> dict[str, Content]:
    model = Model()
    for operation, run_id in done:
        model.do(operation, run_id)
    if more is not None:
        known = there.get(more["run"])
        model.do(more, known["id"] if known else None)
    return model.content()


def _run_differences(
    name: str, actual: Content | None, choices: Sequence[Content | None], left_open: str, under_way: Operation | None
) -> list[str]:
    """Return how a run differs from the choice that it is nearest to."""
    told: list[list[str]] = []
    for wanted in choices:
        if actual is None or wanted is None:
            told.append([] if actual is wanted else [f"run {name}: {'missing' if actual is None else 'too much'}"])
            continue
        wanted = dict(wanted)
        states = {wanted["status"]} if wanted["status"] != "RUNNING" else {left_open}
        if wanted["status"] == "FAILED":
            states.add(LOST)  # a run that was lost, and then failed: the first reason stays
        if under_way and under_way["run"] == name and under_way["op"] in ("begin", "end"):
            states |= {left_open, LOST}  # a signal may come between a run's beginning and its being known to the script
        if under_way and under_way["run"] == name and under_way["op"] == "text":
            wanted["files"] = {path: digest for path, digest in wanted["files"].items() if path in actual["files"]}
        wanted["status"] = actual["status"] if actual["status"] in states else " or ".join(sorted(states))
        told.append([text for part in wanted for text in _part_differences(name, part, wanted[part], actual[part])])
    return min(told, key=len)


def _part_differences(name: str, part: str, wanted: object, actual: object) -> Iterator[str]:
    if wanted == actual:
        return
    if isinstance(wanted, dict) and isinstance(actual, dict):
        for key in sorted(set(wanted) | set(actual)):
            if wanted.get(key) != actual.get(key):
                yield f"run {name}: {part} {key!r}: wanted {wanted.get(key)!r}, there is {actual.get(key)!r}"
    elif isinstance(wanted, list) and isinstance(actual, list):
        missing, extra = _less(wanted, actual), _less(actual, wanted)
        yield f"run {name}: {part}: missing {missing[:5]} ({len(missing)}), too much {extra[:5]} ({len(extra)})"
    else:
        yield f"run {name}: {part}: wanted {wanted!r}, there is {actual!r}"


def _less(ones: Sequence[Any], others: Sequence[Any]) -> list[Any]:
    rest = list(others)
    missing = []
    for one in ones:
        if one in rest:
            rest.remove(one)
        else:
            missing.append(one)
    return missing


def assert_same(
    stores: Stores, folder: Path, notes: Sequence[Path], *, left_open: str, hint: Callable[[], str] = lambda: ""
) -> int:
    """Compare a store with what scripts noted; fail with each difference.

    Args:
        stores: The store under test.
        folder: Where to export it to.
        notes: The files of the notes.
        left_open: What became of the runs that their script did not end: a status, or `LOST`.
        hint: Says more where it fails, such as what the scripts printed.

    Returns:
        How many calls were compared.
    """
    there, unreadable = exported(stores, folder)
    read = [read_notes(path) for path in notes]
    found = differences(there, read, left_open=left_open, unreadable=unreadable)
    assert not found, "\n".join([f"{len(found)} differences", *found[:40], hint()])
    return sum(len(noted.done) for noted in read)
