"""What was compared, to take along: all of it as CSV, and the line of Python that gives it."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence

from starlette.responses import Response

from toolkit.server.pages import times
from toolkit.server.pages.asked import Asked
from toolkit.server.pages.cells import plain
from toolkit.server.pages.compared import compared
from toolkit.server.pages.given_tags import tags_of
from toolkit.server.pages.view import quoted
from toolkit.tracking.records import Run

_FACTS = ("run_id", "run_name", "experiment_id", "status", "start_time", "end_time")


def export(asked: Asked) -> Response:
    """Return a row for each run: what it is, and all its metrics, parameters and tags, nothing cut."""
    runs = compared(asked).runs
    metrics = sorted({key for run in runs for key in run.data.metrics})
    params = sorted({key for run in runs for key in run.data.params})
    tags = sorted({key for run in runs for key in tags_of(run)})
    text = io.StringIO()
    writer = csv.writer(text)
    heads = [*_FACTS, *(f"m:{key}" for key in metrics), *(f"p:{key}" for key in params), *(f"t:{key}" for key in tags)]
    writer.writerow(map(plain, heads))
    for run in runs:
        measured = [run.data.metrics.get(key) for key in metrics]
        texts = [*(run.data.params.get(key, "") for key in params), *(run.data.tags.get(key, "") for key in tags)]
        numbers = ["" if value is None else repr(value) for value in measured]
        writer.writerow([*map(plain, _facts(run)), *numbers, *map(plain, texts)])
    headers = {"content-disposition": 'attachment; filename="runs.csv"', "cache-control": "no-store"}
    return Response(text.getvalue(), headers=headers, media_type="text/csv; charset=utf-8")


def _facts(run: Run) -> Sequence[str]:
    info = run.info
    end = times.iso(info.end_time) if info.end_time is not None else ""
    return (info.run_id, info.run_name, info.experiment_id, str(info.status), times.iso(info.start_time), end)


def python(runs: Sequence[Run]) -> str:
    """Return the line of Python that gives the runs as a pandas table."""
    those = ", ".join(quoted(run.info.run_id) for run in runs)
    return f'toolkit.search_runs(search_all_experiments=True, filter_string="attributes.run_id IN ({those})")'


PAGES = [("GET", "/compare/runs.csv", export)]
