"""MLflow's database as a source: SQLite or PostgreSQL, of MLflow 1, 2 or 3. It is opened for reading only.

Columns and tables that an older MLflow did not have yet are done without. MLflow keeps infinities as the greatest
double, and NaN as a flag; here they are numbers again.
"""

from __future__ import annotations

import math
import sqlite3
import sys
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import quote

from sqlalchemy import (
    ColumnElement,
    Connection,
    Engine,
    TableClause,
    column,
    create_engine,
    false,
    func,
    inspect,
    literal,
    select,
    table,
)
from sqlalchemy.exc import SQLAlchemyError

from toolkit.db.dialect import SQLITE
from toolkit.db.url import read_url, shown
from toolkit.errors import InvalidValue, NotFound, StoreError, ToolkitError
from toolkit.tracking.records import (
    Dataset,
    DatasetInput,
    Experiment,
    Lifecycle,
    Metric,
    Run,
    RunData,
    RunInfo,
    RunSize,
    RunStatus,
)
from toolkit.tracking.system_tags import PARENT, RUN_NAME
from toolkit.transfer.locations import Locations
from toolkit.transfer.source import SourceFile, SourceRun

_NEEDED = ("experiments", "runs", "metrics", "params", "tags", "alembic_version")
_LEFT_OUT = {
    "registered_models": "registered models",
    "model_versions": "model versions",
    "logged_models": "logged models",
    "trace_info": "traces",
    "evaluation_datasets": "evaluation datasets",
    "webhooks": "webhooks",
}
_PAGE = 500
_POINTS = 10_000
_GREATEST = sys.float_info.max


class MlflowDatabase:
    """Reads MLflow's database.

    Args:
        url: ``sqlite:///…`` or ``postgresql://…``.
        locations: Where its artifacts lie on this machine.

    Raises:
        InvalidSetting: The URL cannot be used.
        InvalidValue: It is not MLflow's database.
        StoreError: It cannot be opened.
    """

    own_files = False

    def __init__(self, url: str, locations: Locations) -> None:
        self._place = shown(read_url(url))
        self._engine = _open(url)
        self._locations = locations
        self._missing: dict[str, None] = {}
        try:
            with self._engine.connect() as connection:
                found = inspect(connection)
                self._tables = {
                    name: {item["name"] for item in found.get_columns(name)} for name in found.get_table_names()
                }
                self._check()
                version = connection.execute(select(self._table("alembic_version").c.version_num)).scalar()
                self.title = f"MLflow database {self._place} (schema {version})"
        except SQLAlchemyError as error:
            self.close()
            raise StoreError(f"{self._place} cannot be read: {getattr(error, 'orig', error)}") from error
        except BaseException:
            self.close()
            raise

    def _check(self) -> None:
        if "toolkit_schema" in self._tables:
            raise InvalidValue(f"{self._place} is a database of toolkit: write it by toolkit export, and import that")
        lacking = [name for name in _NEEDED if name not in self._tables]
        if lacking:
            raise InvalidValue(f"{self._place} is no database of MLflow: it has no table {', '.join(lacking)}")

    def experiments(self) -> Sequence[Experiment]:
        """See `Source.experiments`."""
        source = self._table("experiments")
        wanted = ("experiment_id", "name", "artifact_location", "lifecycle_stage", "creation_time", "last_update_time")
        with self._engine.connect() as connection:
            tags: dict[int, dict[str, str]] = {}
            if "experiment_tags" in self._tables:
                for row in connection.execute(select(self._table("experiment_tags"))):
                    tags.setdefault(row.experiment_id, {})[row.key] = row.value or ""
            rows = connection.execute(
                select(*(self._column(source, name) for name in (*wanted, "workspace"))).order_by(
                    source.c.experiment_id
                )
            ).all()
        return [
            Experiment(
                experiment_id=str(row.experiment_id),
                name=row.name if row.workspace in (None, "default") else f"{row.workspace}/{row.name}",
                artifact_location=row.artifact_location or "",
                lifecycle_stage=Lifecycle(row.lifecycle_stage or "active"),
                creation_time=row.creation_time or 0,
                last_update_time=row.last_update_time or 0,
                tags=tags.get(row.experiment_id, {}),
            )
            for row in rows
        ]

    def count_runs(self, experiment_ids: Sequence[str]) -> int:
        """See `Source.count_runs`."""
        source = self._table("runs")
        counted = select(func.count()).select_from(source).where(source.c.experiment_id.in_(map(int, experiment_ids)))
        with self._engine.connect() as connection:
            return int(connection.execute(counted).scalar_one())

    def runs(self, experiment_ids: Sequence[str]) -> Iterator[SourceRun]:
        """See `Source.runs`."""
        for experiment_id in experiment_ids:
            last = ""
            while True:
                runs = self._page(int(experiment_id), last)
                for run in runs:
                    yield SourceRun(
                        run=run,
                        points=partial(self._points, run.info.run_id),
                        files=partial(self._files, run),
                        size=partial(self._size, run),
                    )
                if len(runs) < _PAGE:
                    break
                last = runs[-1].info.run_id

    def left_out(self) -> Mapping[str, int]:
        """See `Source.left_out`."""
        with self._engine.connect() as connection:
            found = {
                title: connection.execute(select(func.count()).select_from(table(name))).scalar_one()
                for name, title in _LEFT_OUT.items()
                if name in self._tables
            }
        return {title: count for title, count in found.items() if count}

    def notes(self) -> Sequence[str]:
        """See `Source.notes`."""
        if not self._missing:
            return []
        first = next(iter(self._missing))
        return [
            f"{len(self._missing)} runs have no artifact folder, such as {first}: they have logged none, or it lies "
            "elsewhere now (--artifacts-from)"
        ]

    def close(self) -> None:
        """See `Source.close`."""
        self._engine.dispose()

    # -- one page, one run -------------------------------------------------------------------------

    def _page(self, experiment_id: int, last: str) -> list[Run]:
        source = self._table("runs")
        wanted = ("run_uuid", "name", "user_id", "status", "start_time", "end_time", "lifecycle_stage", "artifact_uri")
        listing = (
            select(*(self._column(source, name) for name in wanted))
            .where(source.c.experiment_id == experiment_id, source.c.run_uuid > last)
            .order_by(source.c.run_uuid)
            .limit(_PAGE)
        )
        with self._engine.connect() as connection:
            rows = connection.execute(listing).all()
            ids = [row.run_uuid for row in rows]
            params, tags = (self._named(connection, name, ids) for name in ("params", "tags"))
            inputs = self._inputs(connection, ids)
        return [
            Run(
                info=_info(row, str(experiment_id), tags.get(row.run_uuid, {})),
                data=RunData(params=params.get(row.run_uuid, {}), tags=tags.get(row.run_uuid, {})),
                inputs=tuple(inputs.get(row.run_uuid, ())),
            )
            for row in rows
        ]

    def _named(self, connection: Connection, name: str, ids: Sequence[str]) -> dict[str, dict[str, str]]:
        source = self._table(name)
        found: dict[str, dict[str, str]] = {}
        for row in connection.execute(select(source).where(source.c.run_uuid.in_(ids))):
            found.setdefault(row.run_uuid, {})[row.key] = row.value or ""
        return found

    def _inputs(self, connection: Connection, ids: Sequence[str]) -> dict[str, list[DatasetInput]]:
        if not {"inputs", "datasets", "input_tags"} <= self._tables.keys():
            return {}
        inputs, datasets, input_tags = (self._table(name) for name in ("inputs", "datasets", "input_tags"))
        used = (
            select(datasets, inputs.c.input_uuid, inputs.c.destination_id)
            .join_from(inputs, datasets, datasets.c.dataset_uuid == inputs.c.source_id)
            .where(*_of_runs(inputs, ids))
        )
        tagged = (
            select(input_tags)
            .join_from(inputs, input_tags, inputs.c.input_uuid == input_tags.c.input_uuid)
            .where(*_of_runs(inputs, ids))
        )
        tags: dict[str, dict[str, str]] = {}
        for row in connection.execute(tagged):
            tags.setdefault(row.input_uuid, {})[row.name] = row.value
        found: dict[str, list[DatasetInput]] = {}
        for row in connection.execute(used):
            data = Dataset(
                name=row.name,
                digest=row.digest,
                source_type=row.dataset_source_type,
                source=row.dataset_source,
                schema=row.dataset_schema,
                profile=row.dataset_profile,
            )
            found.setdefault(row.destination_id, []).append(
                DatasetInput(dataset=data, tags=tags.get(row.input_uuid, {}))
            )
        return found

    def _points(self, run_id: str) -> Iterator[Metric]:
        source = self._table("metrics")
        wanted = ("key", "value", "timestamp", "step", "is_nan")
        listing = select(*(self._column(source, name) for name in wanted)).where(source.c.run_uuid == run_id)
        with self._engine.connect() as connection:
            rows = connection.execution_options(stream_results=True, yield_per=_POINTS).execute(listing)
            for key, value, timestamp, step, is_nan in rows:
                number = math.nan if is_nan else value
                if abs(number) >= _GREATEST:  # what MLflow makes of infinities
                    number = math.copysign(math.inf, number)
                yield Metric(key=key, value=float(number), timestamp=timestamp, step=step or 0)

    def _files(self, run: Run) -> Iterator[SourceFile]:
        try:
            yield from self._locations.files(run.info.artifact_uri, run.info.run_id)
        except NotFound:
            self._missing[run.info.artifact_uri] = None

    def _size(self, run: Run) -> RunSize:
        source = self._table("metrics")
        counted = select(func.count()).select_from(source).where(source.c.run_uuid == run.info.run_id)
        with self._engine.connect() as connection:
            points = connection.execute(counted).scalar_one()
        try:
            artifacts = sum(1 for _ in self._files(run))
        except (ToolkitError, OSError):
            artifacts = 0
        data = run.data
        return RunSize(
            params=len(data.params), tags=len(data.tags), points=points, artifacts=artifacts, inputs=len(run.inputs)
        )

    # -- a schema that differs between versions ----------------------------------------------------

    def _table(self, name: str) -> TableClause:
        return table(name, *(column(one) for one in sorted(self._tables[name])))

    def _column(self, source: TableClause, name: str) -> ColumnElement[Any]:
        """Return a column, or nothing under its name where this version has none."""
        return source.c[name] if name in self._tables[source.name] else literal(None).label(name)


def _of_runs(inputs: TableClause, ids: Sequence[str]) -> tuple[ColumnElement[bool], ...]:
    return (
        inputs.c.source_type == "DATASET",
        inputs.c.destination_type == "RUN",
        inputs.c.destination_id.in_(ids) if ids else false(),
    )


def _info(row: Any, experiment_id: str, tags: Mapping[str, str]) -> RunInfo:  # noqa: ANN401 - a row
    return RunInfo(
        run_id=row.run_uuid,
        experiment_id=experiment_id,
        run_name=row.name or tags.get(RUN_NAME, ""),
        user_id=row.user_id or "",
        status=RunStatus(row.status or "FINISHED"),
        start_time=row.start_time or 0,
        end_time=row.end_time,
        artifact_uri=row.artifact_uri or "",
        lifecycle_stage=Lifecycle(row.lifecycle_stage or "active"),
        parent_run_id=tags.get(PARENT) or None,
    )


def _open(url: str) -> Engine:
    parsed = read_url(url)
    if parsed.get_backend_name() != SQLITE:
        try:
            return create_engine(
                parsed,
                isolation_level="REPEATABLE READ",
                execution_options={"postgresql_readonly": True},
                hide_parameters=True,
            )
        except ModuleNotFoundError:
            raise StoreError("PostgreSQL needs the package psycopg: install toolkit[postgres]") from None
    file = Path(parsed.database or "").absolute()
    if not file.is_file():
        raise NotFound(f"there is no database {file}")

    def connect() -> sqlite3.Connection:
        return sqlite3.connect(f"file:{quote(str(file))}?mode=ro", uri=True, timeout=20)

    return create_engine("sqlite://", creator=connect, hide_parameters=True)
