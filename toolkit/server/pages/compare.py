"""Runs beside each other: what differs first, then their metrics, drawn over each other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from starlette.responses import Response

from toolkit.errors import InvalidValue, NotFound
from toolkit.server.pages import numbers, times
from toolkit.server.pages.asked import Asked
from toolkit.server.pages.cells import cut, duration_of
from toolkit.server.pages.charts import SYSTEM, options_of, sections_of
from toolkit.server.pages.render import page
from toolkit.tracking.records import Run

MOST = 200
_SOURCES = {
    "mlflow.source.git.commit": "Commit",
    "toolkit.environment": "Environment",
    "mlflow.source.name": "Source",
    "mlflow.project.entryPoint": "Entry point",
}


def show(asked: Asked) -> Response:
    """Return the page."""
    wanted = [part for text in asked.all("runs") for part in text.split(",") if part]
    ids = list(dict.fromkeys(wanted))
    if len(ids) > MOST:
        raise InvalidValue(f"{len(ids)} runs are to be compared: wanted 2 to {MOST}")
    runs = _found(asked, ids)
    base = next((run for run in runs if run.info.run_id == asked.query.get("base")), None)
    tab = asked.query.get("tab", "")
    keys = sorted({key for run in runs for key in run.data.metrics if not key.startswith(SYSTEM)})
    differing, same = differences(runs)
    return page(
        asked,
        "compare.html",
        runs=runs,
        base=base,
        tab=tab if tab in ("", "charts", "parallel", "scatter", "box") else "",
        differing=differing,
        same=same,
        metrics=_metrics(runs, keys, base),
        sections=sections_of(keys),
        drawn_runs=[{"id": run.info.run_id, "name": _name(run)} for run in runs],
        options=options_of(asked),
        points=_points(runs, keys),
        ids=",".join(run.info.run_id for run in runs),
        missing=len(ids) - len(runs),
        at=times.now(),
        name=_name,
        took=duration_of,
    )


def _found(asked: Asked, ids: Sequence[str]) -> list[Run]:
    found = []
    for run_id in ids:
        try:
            found.append(asked.stores.runs.get_run(run_id))
        except NotFound:  # the page says how many are gone
            continue
    return found


def _name(run: Run) -> str:
    return run.info.run_name or run.info.run_id[:8]


def differences(runs: Sequence[Run]) -> tuple[Sequence[tuple[str, str, Sequence[str | None]]], int]:
    """Return in what runs differ: a kind, a key and the value of each run; and how many things are the same in all."""
    rows: list[tuple[str, str, Sequence[str | None]]] = []
    same = 0
    for kind, of in (("parameter", _params), ("tag", _tags), ("source", _sources), ("data", _data)):
        told = [of(run) for run in runs]
        for key in sorted({key for each in told for key in each}):
            values = [each.get(key) for each in told]
            if len(set(values)) > 1:
                rows.append((kind, key, [None if value is None else cut(value, 200) for value in values]))
            else:
                same += 1
    return rows, same


def _params(run: Run) -> Mapping[str, str]:
    return run.data.params


def _tags(run: Run) -> Mapping[str, str]:
    return {key: value for key, value in run.data.tags.items() if not key.startswith(("mlflow.", "toolkit."))}


def _sources(run: Run) -> Mapping[str, str]:
    return {label: run.data.tags[key] for key, label in _SOURCES.items() if key in run.data.tags}


def _data(run: Run) -> Mapping[str, str]:
    return {each.dataset.name: each.dataset.digest for each in run.inputs}


def _metrics(runs: Sequence[Run], keys: Sequence[str], base: Run | None) -> Sequence[Mapping[str, object]]:
    rows = []
    for key in keys:
        values = [run.data.metrics.get(key) for run in runs]
        present = [value for value in values if value is not None]
        digits = numbers.digits_of(present)
        held = base.data.metrics.get(key) if base else None
        rows.append(
            {
                "key": key,
                "cells": [
                    None
                    if value is None
                    else (
                        numbers.metric(value, digits),
                        "" if held is None or value == held else numbers.difference(value, held),
                    )
                    for value in values
                ],
                "differs": len(set(values)) > 1,
            }
        )
    return rows


def _points(runs: Sequence[Run], keys: Sequence[str]) -> Mapping[str, object]:
    """Return the runs as points of the space of their parameters and metrics, for charts of many runs."""
    names = sorted({key for run in runs for key in run.data.params})
    varied = [key for key in names if len({run.data.params.get(key) for run in runs}) > 1]
    return {
        "params": varied[:12],
        "metrics": list(keys)[:40],
        "runs": [
            {
                "id": run.info.run_id,
                "name": _name(run),
                "params": {key: cut(run.data.params[key], 60) for key in varied[:12] if key in run.data.params},
                "metrics": {
                    key: value if value == value and abs(value) != float("inf") else None
                    for key, value in ((key, run.data.metrics[key]) for key in keys[:40] if key in run.data.metrics)
                },
            }
            for run in runs
        ],
    }


PAGES = [("GET", "/compare", show)]
