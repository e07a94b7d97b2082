"""What pages cost in a browser: from the navigation until they can be used, and the bytes of their scripts and styles.

    python benchmarks/ui.py [--runs N …] [--store FOLDER] [--with-mlflow | --peer PYTHON] [--peer-runs N] [--times N]

The stores have runs of 20 metrics and 20 parameters each (`population.py`), one run with 50 metrics of 10,000 points,
and are shown by ``toolkit server`` in a process of its own. Debian's Chromium opens each page with an empty cache,
after a visit that does not count. A page can be used when its rows or its visible charts are drawn and, of ours, its
script listens. Of MLflow's UI, which shows the same runs from its own SQLite file, only the drawing is waited for; the
courses of many runs are one metric there, and a screen of metrics here. A figure is the median of a few visits.
"""

from __future__ import annotations

import argparse
import contextlib
import math
import os
import platform
import sqlite3
import statistics
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "tests" / "support")]

import browser as chromium  # noqa: E402 - in tests/support

from benchmarks.population import METRICS as KEYS  # noqa: E402 - beside this file
from benchmarks.population import fill  # noqa: E402 - beside this file
from benchmarks.run_overhead import mlflow_command  # noqa: E402 - the same
from benchmarks.served import Running, ours, peer  # noqa: E402 - the same
from toolkit.db.engine import open_database  # noqa: E402
from toolkit.tracking.records import Metric, NewRun, RunQuery, RunStatus, SearchQuery  # noqa: E402
from toolkit.tracking.sql import SqlRunStore  # noqa: E402

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

METRICS, POINTS, COMPARED = 50, 10_000, 100
CHARTED = "charted"
MOST_BYTES = 450_000
_AT_ONCE = 25_000
_ASSETS = ("Script", "Stylesheet")

WATCH = """(() => {
  const usable = () => %s;
  const look = () => {
    if (document.body && usable()) {
      requestAnimationFrame(() => requestAnimationFrame(() => { window.usableAfter = performance.now(); }));
    } else {
      requestAnimationFrame(look);
    }
  };
  look();
})()"""
"""Notes when a page can be used: when the frame that shows it has been painted."""

READY = "document.documentElement.dataset.ready === '1' && "
VISIBLE = """[...document.querySelectorAll('[data-chart]')].filter((e) => {
  const box = e.getBoundingClientRect(); return box.height && box.top < innerHeight; })"""
DRAWN = f"{READY}{VISIBLE}.length > 0 && {VISIBLE}.every((e) => e.dataset.drawn)"


_ONE_METRIC = (
    "metric=%22rmse%22&plot_metric_keys=%5B%22rmse%22%5D&plot_layout=%7B%22autosize%22%3Atrue%2C%22xaxis%22%3A%7B%7D%2C"
    "%22yaxis%22%3A%7B%7D%7D&x_axis=step&y_axis_scale=linear&line_smoothness=1&show_point=false&deselected_curves=%5B%5D"
    "&last_linear_y_axis_range=%5B%5D"
)
"""MLflow's page of several runs draws no courses; its page of one metric does."""


@dataclass(frozen=True, kw_only=True)
class Case:
    """A page that is opened.

    Attributes:
        name: What it is called in the table.
        path: Its address.
        usable: JavaScript that tells whether it can be used.
        limit: Seconds that ours may take.
        peer: MLflow's page of the same; empty: there is none.
        peer_usable: The same of it.
    """

    name: str
    path: str
    usable: str
    limit: float
    peer: str = ""
    peer_usable: str = ""


@dataclass
class Visits:
    """What visits of a page took.

    Attributes:
        seconds: Until it could be used, of each.
        sent: Bytes of scripts and styles, as they were sent.
        fault: Why it could not be used.
    """

    seconds: list[float] = field(default_factory=list)
    sent: int = 0
    fault: str = ""

    def shown(self) -> str:
        """Return a cell of the table."""
        return f"{statistics.median(self.seconds):.2f} s" if self.seconds else self.fault or "–"


def visit(browser: Browser, url: str, usable: str) -> tuple[float, int]:
    """Open a page with an empty cache; return the seconds until it can be used, and the bytes of its assets."""
    context = browser.new_context(viewport={"width": 1280, "height": 850})
    try:
        page = context.new_page()
        kinds: dict[str, str] = {}
        sizes: dict[str, int] = {}
        session = context.new_cdp_session(page)
        session.send("Network.enable")
        session.on("Network.responseReceived", lambda event: kinds.update({event["requestId"]: event["type"]}))
        session.on("Network.loadingFinished", lambda event: sizes.update({event["requestId"]: _size(event)}))
        page.add_init_script(WATCH % usable)
        page.goto(url, wait_until="commit")
        took = _wait(page)
        page.wait_for_load_state("load")
        return took, sum(size for request, size in sizes.items() if kinds.get(request) in _ASSETS)
    finally:
        context.close()


def _size(event: dict[str, float]) -> int:
    return int(event["encodedDataLength"])


def _wait(page: Page, longest_ms: int = 30_000) -> float:
    for _ in range(longest_ms // 20):
        took = page.evaluate("window.usableAfter ?? null")
        if took is not None:
            return float(took) / 1e3
        page.wait_for_timeout(20)
    raise TimeoutError(f"not usable after {longest_ms // 1000} s")


def measure(browser: Browser, url: str, usable: str, times: int) -> Visits:
    """Open a page so many times, after once that does not count."""
    found = Visits()
    for number in range(times + 1):
        try:
            took, found.sent = visit(browser, url, usable)
        except TimeoutError as error:
            found.fault = str(error)
            return found
        if number:
            found.seconds.append(took)
    return found


def populate(home: Path, runs: int) -> None:
    """Write the store that a server of this home shows, if it is not there."""
    if (home / "toolkit.db").exists():
        return
    home.mkdir(parents=True)
    database = open_database(f"sqlite:///{home}/toolkit.db")
    store = SqlRunStore(database, (home / "artifacts").as_uri())
    fill(database, runs)
    _add_courses(store)
    experiment = store.create_experiment(CHARTED).experiment_id
    new = NewRun(
        experiment_id=experiment, run_id="c" * 32, run_name=CHARTED, user_id="ada", start_time=1_700_000_000_000
    )
    store.create_run(new)
    for key in range(METRICS):
        for first in range(0, POINTS, _AT_ONCE):
            steps = range(first, min(POINTS, first + _AT_ONCE))
            points = [_point(f"train/metric_{key:02}", key, step, new.start_time) for step in steps]
            store.log_batch(new.run_id, metrics=points)
    store.update_run(new.run_id, status=RunStatus.FINISHED)
    store.close()


def _add_courses(store: SqlRunStore) -> None:
    """Log a course of each metric for the runs that are compared: of others only the latest values are there."""
    found = store.search_runs(SearchQuery(experiment_ids=["0"], limit=COMPARED, fields=[]))
    for place, run in enumerate(found.items):
        points = [
            _point(key, n + place, step, run.info.start_time) for n, key in enumerate(KEYS) for step in range(101, 121)
        ]
        store.log_batch(run.info.run_id, metrics=points)


def _point(name: str, key: int, step: int, start: int) -> Metric:
    value = math.exp(-step / (500 * (key + 1))) + 0.05 * math.sin(step * (key + 3))
    return Metric(key=name, value=value, timestamp=start + 100 * step, step=step)


def cases(home: Path, runs: int) -> Sequence[Case]:
    """Return the pages of a store."""
    store = SqlRunStore(open_database(f"sqlite:///{home}/toolkit.db"), "file:///artifacts")
    found = store.search_runs(SearchQuery(experiment_ids=["0"], limit=COMPARED, fields=[]))
    charted = store.list_runs(RunQuery(run_name=CHARTED)).items[0].info
    store.close()
    ids = [run.info.run_id for run in found.items]
    compared = ",".join(ids)
    listed = "%5B" + ",".join(f"%22{run_id}%22" for run_id in ids) + "%5D"
    table = f"experiment, {runs:,} runs"
    rows = READY + "document.querySelectorAll('#rows tr[data-run]').length >= 100"
    peer_rows = "document.querySelectorAll('a[href*=\"/runs/\"]').length >= 10"
    limit = 0.7 if runs <= 10_000 else 1.0
    plotted = "document.querySelectorAll('.js-plotly-plot .js-line').length >= 3"
    drawn = f"document.querySelectorAll('.js-plotly-plot .scatterlayer .trace').length >= {COMPARED}"
    columns = READY + f"document.querySelectorAll('table.compare tbody tr').length >= 2 * {COMPARED}"
    return [
        Case(name=table, path="/experiments/0", usable=rows, limit=limit, peer="/#/experiments/0/runs",
             peer_usable=peer_rows),
        Case(name=f"{table}, filter, by a metric", path="/experiments/0?q=metrics.rmse+%3C+0.5&sort=m%3Armse",
             usable=rows, limit=limit,
             peer="/#/experiments/0/runs?searchFilter=metrics.rmse+%3C+0.5&orderByKey=metrics.%60rmse%60&orderByAsc=true",
             peer_usable=peer_rows),
        Case(name=f"run, {METRICS} metrics × {POINTS:,} points", path=f"/runs/{charted.run_id}/charts", usable=DRAWN,
             limit=1.0, peer=f"/#/experiments/{charted.experiment_id}/runs/{charted.run_id}/model-metrics",
             peer_usable=plotted),
        Case(name=f"compare {COMPARED} runs", path=f"/compare?runs={compared}", usable=columns, limit=1.5,
             peer=f"/#/compare-runs?runs={listed}&experiments=%5B%220%22%5D",
             peer_usable="document.querySelectorAll('table td').length > 100"),
        Case(name=f"compare {COMPARED} runs, charts", path=f"/compare?runs={compared}&tab=charts", usable=DRAWN,
             limit=1.5, peer=f"/#/metric?runs={listed}&experiments=%5B%220%22%5D&{_ONE_METRIC}", peer_usable=drawn),
    ]  # fmt: skip


_COPY = """
ATTACH '{source}' AS ours;
INSERT OR IGNORE INTO experiments (experiment_id, name, artifact_location, lifecycle_stage, creation_time,
  last_update_time) SELECT id, name, artifact_location, 'active', created, updated FROM ours.experiments;
INSERT INTO runs (run_uuid, name, source_type, source_name, entry_point_name, user_id, status, start_time, end_time,
  deleted_time, source_version, lifecycle_stage, artifact_uri, experiment_id)
  SELECT run_id, name, 'LOCAL', '', '', user_id, status, start_time, end_time, deleted, '',
  CASE WHEN deleted IS NULL THEN 'active' ELSE 'deleted' END, artifact_uri, experiment FROM ours.runs;
INSERT INTO latest_metrics (key, value, timestamp, step, is_nan, run_uuid) SELECT k.name,
  CASE WHEN m.special = 0 THEN m.value ELSE 0 END, m.timestamp, m.step, m.special != 0, r.run_id
  FROM ours.latest_metrics m JOIN ours.metric_keys k ON k.id = m.key JOIN ours.runs r ON r.id = m.run;
INSERT INTO metrics (key, value, timestamp, step, is_nan, run_uuid)
  SELECT key, value, timestamp, step, is_nan, run_uuid FROM latest_metrics;
INSERT OR IGNORE INTO metrics (key, value, timestamp, step, is_nan, run_uuid)
  SELECT k.name, m.value, m.timestamp, m.step, 0, r.run_id
  FROM ours.metrics m JOIN ours.metric_keys k ON k.id = m.key JOIN ours.runs r ON r.id = m.run;
INSERT INTO params (key, value, run_uuid) SELECT p.key, p.value, r.run_id FROM ours.params p
  JOIN ours.runs r ON r.id = p.run;
INSERT INTO tags (key, value, run_uuid) SELECT t.key, t.value, r.run_id FROM ours.tags t
  JOIN ours.runs r ON r.id = t.run;
INSERT INTO tags (key, value, run_uuid) SELECT 'mlflow.parentRunId', parent_run_id, run_id FROM ours.runs
  WHERE parent_run_id IS NOT NULL AND true ON CONFLICT DO NOTHING;
"""


def copy_to_peer(source: Path, target: Path) -> None:
    """Write what a store of ours holds into MLflow's SQLite file, which its server has made."""
    connection = sqlite3.connect(target)
    with contextlib.closing(connection):
        if connection.execute("SELECT count(*) FROM runs").fetchone()[0]:
            return
        connection.executescript("BEGIN;" + _COPY.format(source=source).replace("ATTACH", "COMMIT; ATTACH", 1))


@dataclass
class Table:
    """The table that is printed: limits met or not.

    Attributes:
        browser: What opens the pages.
        times: How often each is opened.
        failed: Whether ours took too long, or sent too much.
    """

    browser: Browser
    times: int
    failed: bool = False

    def add(self, case: Case, server: Running, other: Running | None) -> None:
        """Measure a page and print its line."""
        found = measure(self.browser, server.url + case.path, case.usable, self.times)
        held = Visits()
        if other is not None and case.peer:
            held = measure(self.browser, other.url + case.peer, case.peer_usable, self.times)
        good = bool(found.seconds) and statistics.median(found.seconds) <= case.limit and found.sent <= MOST_BYTES
        self.failed |= not good
        print(
            f"| {case.name} | {found.shown()} | ≤ {case.limit:g} s | {'yes' if good else '**no**'} | {held.shown()} | "
            f"{found.sent / 1e3:.0f} kB | {f'{held.sent / 1e3:,.0f} kB' if held.sent else '–'} |",
            flush=True,
        )


def main() -> None:
    """Print the table; exit with 1 if a limit is not met."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, nargs="*", default=[10_000, 100_000])
    parser.add_argument("--store", type=Path, help="keep the stores here, or use those that are here")
    parser.add_argument("--with-mlflow", action="store_true", help="make MLflow's environment if it is not there")
    parser.add_argument("--peer", metavar="PYTHON", help="MLflow's interpreter")
    parser.add_argument(
        "--peer-runs", type=int, default=10_000, help="runs of the greatest store that MLflow shows too"
    )
    parser.add_argument("--times", type=int, default=5)
    parser.add_argument("--fill-only", action="store_true", help="make the stores and measure nothing")
    options = parser.parse_args()
    if reason := chromium.why_not():
        sys.exit(reason)
    python = options.peer
    if not python and options.with_mlflow and (command := mlflow_command(None, make=True)):
        python = str(Path(command).with_name("python"))
    print(
        f"{platform.machine()}, {os.cpu_count()} cores, {platform.system()} {platform.release()}; median of "
        f"{options.times} visits with an empty cache\n\n| page | ours | wanted | met | MLflow | JS+CSS | MLflow's |\n"
        "|---|---|---|---|---|---|---|",
        flush=True,
    )
    with tempfile.TemporaryDirectory() as temporary, contextlib.ExitStack() as stack:
        table = None
        for runs in options.runs:
            folder = (options.store or Path(temporary)) / str(runs)
            populate(folder / "home", runs)
            with_peer = python is not None and runs <= options.peer_runs
            if not options.fill_only and table is None:
                table = Table(stack.enter_context(chromium.running()), options.times)
            with contextlib.ExitStack() as servers:
                server = servers.enter_context(ours(folder))
                other = servers.enter_context(peer(python)(folder)) if with_peer else None
                if other is not None:
                    copy_to_peer(folder / "home" / "toolkit.db", folder / "mlflow.db")
                if table is not None:
                    for case in cases(folder / "home", runs):
                        table.add(case, server, other)
    if table is not None and table.failed:
        sys.exit(1)


if __name__ == "__main__":
    main()
