"""Compared runs as points in the space of what they were given and what they measured, for charts of many runs."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from toolkit.server.pages import times
from toolkit.server.pages.asked import Asked
from toolkit.server.pages.cells import cut, duration_of
from toolkit.server.pages.compared import Compared
from toolkit.server.pages.directions import lower_is_better
from toolkit.server.pages.given_tags import tags_of
from toolkit.server.pages.states import state_of
from toolkit.tracking.records import Run

_PARAMS, _METRICS, _TAGS = 60, 60, 20
_AXES, _AXES_OF_METRICS = 8, 2
_MOST_TEXTS = 30
_WIDE = 100
_LONGEST = 60

Field = dict[str, Any]
"""An id as columns have it (``p:alpha``), a name, a kind, and the value of each run: a number, a text or nothing."""


def parallel(asked: Asked, found: Compared) -> Mapping[str, Any]:
    """Return what parallel coordinates draw: an axis for each of a few fields, or for those that the address names."""
    fields, left_out = _fields(asked, found)
    known = {field["id"] for field in fields}
    usual = _axes(fields)
    axes = [each for each in dict.fromkeys(asked.all("axis")) if each in known] or usual
    metric = next((each for each in axes if each.startswith("m:")), "")
    wide = [field["id"] for field in fields if _is_wide(field)]
    told = {
        "axes": axes,
        "usual": usual,
        "logs": [each for each in asked.all("logaxis") if each in known] if "logaxis" in asked.query else wide,
        "usual_logs": wide,
        "ranges": asked.all("range"),
    }
    return {**_drawn(found, fields, left_out, told), "chosen": _chosen(asked, known, {"colour": metric})}


def points(asked: Asked, found: Compared) -> Mapping[str, Any]:
    """Return what a chart of runs as points, or as boxes, draws: any field over any other."""
    fields, left_out = _fields(asked, found)
    ids = [field["id"] for field in fields]
    metrics = [each for each in ids if each.startswith("m:")]
    x = next((each for each in ids if each[0] in "pt"), next(iter(ids), ""))
    usual = {"x": x, "y": next(iter(metrics), next(iter(ids), "")), "colour": "", "size": "", "logx": "", "logy": ""}
    return {**_drawn(found, fields, left_out, {}), "chosen": _chosen(asked, set(ids), usual)}


def _drawn(
    found: Compared, fields: Sequence[Field], left_out: Sequence[tuple[int, int, str]], told: Mapping[str, Any]
) -> Mapping[str, Any]:
    runs = [
        {"id": run.info.run_id, "name": found.names[run.info.run_id], "slot": found.colours[run.info.run_id]}
        for run in found.runs
    ]
    base = found.base.info.run_id if found.base else None
    return {"space": {"runs": runs, "fields": fields, "base": base, **told}, "fields": fields, "left_out": left_out}


def _chosen(asked: Asked, known: Collection[str], usual: Mapping[str, str]) -> Mapping[str, tuple[str, str]]:
    """Return what is chosen in each control, and what usually is; ``none`` in the address is nothing."""
    found = {}
    for name, first in usual.items():
        given = asked.query.get(name, first)
        found[name] = (given if given in known or given == "1" else "" if given == "none" else first, first)
    return found


def _axes(fields: Sequence[Field]) -> list[str]:
    """Return the axes that are drawn if nobody chose any: parameters that say something, then metrics."""
    params = [each["id"] for each in fields if each["kind"] == "p" and (each["numeric"] or _is_short(each["values"]))]
    metrics = [each["id"] for each in fields if each["kind"] == "m" and len(set(each["values"])) > 1]
    few = params[: _AXES - min(len(metrics), _AXES_OF_METRICS)]
    return [*few, *metrics[: max(_AXES_OF_METRICS, 2 - len(few))]]


def _is_wide(field: Field) -> bool:
    """Tell whether numbers are spread so far that equal steps show little of them, as of a learning rate's."""
    there = [value for value in field["values"] if value is not None]
    return bool(field["numeric"] and there and min(there) > 0 and max(there) >= _WIDE * min(there))


def _is_short(values: Sequence[Any]) -> bool:
    return len(set(values)) <= _MOST_TEXTS


def _fields(asked: Asked, found: Compared) -> tuple[Sequence[Field], Sequence[tuple[int, int, str]]]:
    """Return the fields that can be chosen, and where they are not all: how many, of how many of what."""
    runs = found.runs
    wanted = ",".join(asked.request.query_params.values())
    params = _differing([run.data.params for run in runs])
    tags = _differing([tags_of(run) for run in runs])
    metrics = sorted(found.metrics, key=lambda key: (key != found.primary, key))
    kept_params = [key for place, key in enumerate(params) if place < _PARAMS or f"p:{key}" in wanted]
    kept_metrics = [key for place, key in enumerate(metrics) if place < _METRICS or f"m:{key}" in wanted]
    kept_tags = tags[:_TAGS]
    fields = [
        *(_field("p", key, [run.data.params.get(key) for run in runs]) for key in kept_params),
        *(_measured(key, [run.data.metrics.get(key) for run in runs]) for key in kept_metrics),
        *(_field("t", key, [tags_of(run).get(key) for run in runs]) for key in kept_tags),
        *_facts(runs),
    ]
    counts = [
        (len(kept_params), len(params), "parameters that differ"),
        (len(kept_metrics), len(metrics), "metrics"),
        (len(kept_tags), len(tags), "tags that differ"),
    ]
    return fields, [each for each in counts if each[0] < each[1]]


def _differing(told: Sequence[Mapping[str, str]]) -> Sequence[str]:
    """Return the keys whose values differ, those that most runs have first."""
    count = Counter(key for each in told for key in each)
    varied = [key for key in count if len({each.get(key) for each in told}) > 1]
    return sorted(varied, key=lambda key: (-count[key], key))


def _field(kind: str, key: str, values: Sequence[str | None]) -> Field:
    """Return a field of texts; of numbers where all of them are."""
    numbers = [None if value is None else number_in(value) for value in values]
    if all(number is not None for number, value in zip(numbers, values, strict=True) if value is not None):
        return {"id": f"{kind}:{key}", "name": key, "kind": kind, "numeric": True, "values": numbers}
    texts = [None if value is None else cut(value, _LONGEST) for value in values]
    return {"id": f"{kind}:{key}", "name": key, "kind": kind, "numeric": False, "values": texts}


def _measured(key: str, values: Sequence[float | None]) -> Field:
    finite = [value if value is not None and math.isfinite(value) else None for value in values]
    way = lower_is_better(key)
    return {"id": f"m:{key}", "name": key, "kind": "m", "numeric": True, "values": finite, "lower": way}


def _facts(runs: Sequence[Run]) -> Sequence[Field]:
    at = times.now()
    took = [duration_of(run, at) for run in runs]
    seconds = [None if each is None else each / 1000 for each in took]
    return [
        {"id": "a:duration", "name": "duration in s", "kind": "a", "numeric": True, "values": seconds},
        _field("a", "user", [run.info.user_id or None for run in runs]),
        _field("a", "state", [state_of(run) for run in runs]),
    ]


def number_in(text: str) -> float | None:
    """Return the number that a text is; ``None`` if it is none, or none of a line."""
    try:
        number = float(text)
    except ValueError:
        return None
    return number if math.isfinite(number) else None
