"""Lineage in SQL: what hangs together with what, read for many nodes by a few statements."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, Select, and_, null, or_, select

from toolkit.db.dialect import one_of_texts
from toolkit.db.engine import Database
from toolkit.db.tables import (
    bentos,
    datasets,
    deployments,
    input_tags,
    inputs,
    logged_models,
    model_inputs,
    model_outputs,
    model_versions,
    params,
    registered_models,
    releases,
    runs,
)
from toolkit.registry.lineage import MOST_EDGES, Direction, Edge, Key, Kind, Lineage, Node, Relation, trace
from toolkit.tracking.system_tags import CONTEXT

_ARTIFACT = re.compile(r"runs:/([a-zA-Z0-9][\w\-]{0,255})/([^\s,\]'\"]+)")
_ARTIFACT_PARAMS = (
    select(runs.c.run_id, params.c.key, params.c.value)
    .join(params, params.c.run == runs.c.id)
    .where(or_(params.c.value.like("runs:/%"), params.c.value.like("[runs:/%")))
)
"""Parameters that name artifacts of runs: of one, or a list of such."""

_OF_MODEL = and_(registered_models.c.id == bentos.c.registered, registered_models.c.deleted.is_(None))
_OF_VERSION = and_(
    model_versions.c.model == registered_models.c.id,
    model_versions.c.number == bentos.c.version,
    model_versions.c.deleted.is_(None),
)
"""The model and the version that a Bento was built of, as long as they are there."""

_SERVING = ("serving", "updating", "written")  # states of deployments of which a release serves
_TOOK_TRAFFIC = ("serving", "written", "replaced", "stopped")  # states of releases; what deployments are is above this


def read_lineage(database: Database, start: Key, direction: Direction, *, depth: int) -> Lineage:
    """Return the graph around a thing, as it is at one moment.

    Raises:
        InvalidValue: The depth is out of its bounds.
        NotFound: There is no such thing.
        StoreError: The database cannot be used.
    """
    with database.read() as connection:
        return trace(SqlLineage(connection, database.dialect), start, direction, depth=depth)


class SqlLineage:
    """A `toolkit.registry.lineage.LineageSource` in a transaction.

    Args:
        connection: In a transaction.
        dialect: Kind of database.
    """

    def __init__(self, connection: Connection, dialect: str) -> None:
        self._connection = connection
        self._dialect = dialect
        self.cut = False

    def describe(self, keys: Sequence[Key]) -> Iterator[Node]:
        """See `LineageSource.describe`."""
        of = _by_kind(keys)
        found = select(datasets.c.digest, datasets.c.name, null()).order_by(datasets.c.id)
        yield from self._nodes(Kind.DATASET, found, datasets.c.digest, of)
        yield from self._nodes(Kind.RUN, select(runs.c.run_id, runs.c.name, runs.c.status), runs.c.run_id, of)
        found = select(logged_models.c.model_id, logged_models.c.name, logged_models.c.status)
        yield from self._nodes(Kind.MODEL, found, logged_models.c.model_id, of)
        yield from self._nodes(Kind.BENTO, select(bentos.c.tag, bentos.c.tag, null()), bentos.c.tag, of)
        found = select(deployments.c.deployment_id, deployments.c.name, deployments.c.state)
        yield from self._nodes(Kind.DEPLOYMENT, found, deployments.c.deployment_id, of)
        wanted = set(of[Kind.VERSION])
        for row in self._versions(registered_models.c.name, [name.rpartition("/")[0] for name in wanted]):
            if (key := _version(row)).id in wanted:
                yield Node(key, f"{row.name} version {row.number}", row.stage)

    def edges_up(self, keys: Sequence[Key]) -> Iterator[Edge]:
        """See `LineageSource.edges_up`."""
        of = _by_kind(keys)
        yield from self._used(runs.c.run_id, of[Kind.RUN])
        yield from self._used_models(runs.c.run_id, of[Kind.RUN])
        yield from self._contained(runs.c.run_id, of[Kind.RUN])
        yield from self._given(of[Kind.RUN])
        yield from self._made(logged_models.c.model_id, of[Kind.MODEL])
        yield from self._built(bentos.c.tag, of[Kind.BENTO])
        yield from self._outlived(bentos.c.tag, of[Kind.BENTO])
        yield from self._served(deployments.c.deployment_id, of[Kind.DEPLOYMENT])
        wanted = set(of[Kind.VERSION])
        rows = self._versions(registered_models.c.name, [name.rpartition("/")[0] for name in wanted])
        yield from (edge for row in rows if _version(row).id in wanted for edge in _origin(row))

    def edges_down(self, keys: Sequence[Key]) -> Iterator[Edge]:
        """See `LineageSource.edges_down`."""
        of = _by_kind(keys)
        yield from self._used(datasets.c.digest, of[Kind.DATASET])
        yield from self._used_models(logged_models.c.model_id, of[Kind.MODEL])
        yield from self._contained(runs.c.parent_run_id, of[Kind.RUN])
        yield from self._gave(of[Kind.RUN])
        yield from self._made(runs.c.run_id, of[Kind.RUN])
        yield from self._outlived(bentos.c.run_id, of[Kind.RUN])
        wanted = set(of[Kind.VERSION])
        built = self._built(registered_models.c.name, [name.rpartition("/")[0] for name in wanted])
        yield from (edge for edge in built if edge.source.id in wanted)
        yield from self._served(releases.c.bento, of[Kind.BENTO])
        for column, kind in ((model_versions.c.run_id, Kind.RUN), (model_versions.c.model_id, Kind.MODEL)):
            for row in self._versions(column, of[kind]):
                yield from (edge for edge in _origin(row) if edge.source.kind is kind)

    def _rows(
        self, statement: Select[*tuple[Any, ...]], column: ColumnElement[Any], ids: Sequence[str]
    ) -> Sequence[Row[*tuple[Any, ...]]]:
        if not ids:
            return ()
        return self._connection.execute(statement.where(one_of_texts(column, ids, self._dialect))).all()

    def _edges(
        self, statement: Select[*tuple[Any, ...]], column: ColumnElement[Any], ids: Sequence[str]
    ) -> Sequence[Row[*tuple[Any, ...]]]:
        """Return rows that say edges, the same ones each time: data that a million runs used is asked for, too."""
        rows = self._rows(statement.order_by(*statement.selected_columns).limit(MOST_EDGES + 1), column, ids)
        self.cut = self.cut or len(rows) > MOST_EDGES
        return rows[:MOST_EDGES]

    def _nodes(
        self, kind: Kind, statement: Select[*tuple[Any, ...]], column: ColumnElement[Any], of: dict[Kind, list[str]]
    ) -> Iterator[Node]:
        seen = set()
        for identity, name, state in self._rows(statement, column, of[kind]):
            if identity not in seen:  # the same data in two experiments is one
                seen.add(identity)
                yield Node(Key(kind, identity), name, state or "")

    def _used(self, column: ColumnElement[Any], ids: Sequence[str]) -> Iterator[Edge]:
        context = and_(
            input_tags.c.run == inputs.c.run, input_tags.c.dataset == inputs.c.dataset, input_tags.c.key == CONTEXT
        )
        wanted = (
            select(datasets.c.digest, runs.c.run_id, input_tags.c.value)
            .select_from(inputs)
            .join(datasets, datasets.c.id == inputs.c.dataset)
            .join(runs, runs.c.id == inputs.c.run)
            .outerjoin(input_tags, context)
        )
        for digest, run_id, purpose in self._edges(wanted, column, ids):
            yield Edge(Key(Kind.DATASET, digest), Key(Kind.RUN, run_id), Relation.USED, purpose or "")

    def _used_models(self, column: ColumnElement[Any], ids: Sequence[str]) -> Iterator[Edge]:
        wanted = (
            select(logged_models.c.model_id, runs.c.run_id)
            .select_from(model_inputs)
            .join(logged_models, logged_models.c.id == model_inputs.c.model)
            .join(runs, runs.c.id == model_inputs.c.run)
        )
        for model_id, run_id in self._edges(wanted, column, ids):
            yield Edge(Key(Kind.MODEL, model_id), Key(Kind.RUN, run_id), Relation.USED)

    def _made(self, column: ColumnElement[Any], ids: Sequence[str]) -> Iterator[Edge]:
        noted = (
            select(runs.c.run_id, logged_models.c.model_id)
            .select_from(model_outputs)
            .join(logged_models, logged_models.c.id == model_outputs.c.model)
            .join(runs, runs.c.id == model_outputs.c.run)
        )
        begun = select(runs.c.run_id, logged_models.c.model_id).join(
            runs, runs.c.run_id == logged_models.c.source_run_id
        )
        for run_id, model_id in {tuple(row) for wanted in (noted, begun) for row in self._edges(wanted, column, ids)}:
            yield Edge(Key(Kind.RUN, run_id), Key(Kind.MODEL, model_id), Relation.MADE)

    def _contained(self, column: ColumnElement[Any], ids: Sequence[str]) -> Iterator[Edge]:
        wanted = select(runs.c.parent_run_id, runs.c.run_id).where(runs.c.parent_run_id.is_not(None))
        for parent, run_id in self._edges(wanted, column, ids):
            yield Edge(Key(Kind.RUN, parent), Key(Kind.RUN, run_id), Relation.CONTAINS)

    def _given(self, ids: Sequence[str]) -> Iterator[Edge]:
        """Yield the artifacts of other runs that runs were given: parameters say so."""
        rows = self._edges(_ARTIFACT_PARAMS, runs.c.run_id, ids)
        yield from (edge for row in rows for edge in _gifts(row))

    def _gave(self, ids: Sequence[str]) -> Iterator[Edge]:
        """Yield who was given artifacts of runs: among the parts of the same run, which alone are looked through."""
        whole = select(runs.c.parent_run_id).where(runs.c.parent_run_id.is_not(None)).distinct()
        parents = [row.parent_run_id for row in self._rows(whole, runs.c.run_id, ids)]
        wanted = set(ids)
        for row in self._edges(_ARTIFACT_PARAMS, runs.c.parent_run_id, parents):
            yield from (edge for edge in _gifts(row) if edge.source.id in wanted)

    def _built(self, column: ColumnElement[Any], ids: Sequence[str]) -> Iterator[Edge]:
        """Yield what was built of versions."""
        wanted = (
            select(bentos.c.tag, registered_models.c.name, model_versions.c.number)
            .select_from(bentos)
            .join(registered_models, _OF_MODEL)
            .join(model_versions, _OF_VERSION)
        )
        for row in self._edges(wanted, column, ids):
            yield Edge(_version(row), Key(Kind.BENTO, row.tag), Relation.BUILT)

    def _outlived(self, column: ColumnElement[Any], ids: Sequence[str]) -> Iterator[Edge]:
        """Yield what was built of versions that are there no longer: what is known of these is their run."""
        wanted = (
            select(bentos.c.run_id, bentos.c.tag, bentos.c.model, bentos.c.version)
            .outerjoin(registered_models, _OF_MODEL)
            .outerjoin(model_versions, _OF_VERSION)
            .where(bentos.c.run_id.is_not(None), model_versions.c.id.is_(None))
        )
        for run_id, tag, model, version in self._edges(wanted, column, ids):
            yield Edge(Key(Kind.RUN, run_id), Key(Kind.BENTO, tag), Relation.BUILT, f"{model}/{version}")

    def _served(self, column: ColumnElement[Any], ids: Sequence[str]) -> Iterator[Edge]:
        """Yield in which deployments Bentos serve, or served; not where they never took traffic."""
        serves = releases.c.number == deployments.c.release
        wanted = (
            select(
                releases.c.bento,
                deployments.c.deployment_id,
                releases.c.number,
                deployments.c.release,
                deployments.c.state,
            )
            .join(deployments, deployments.c.id == releases.c.deployment)
            .where(releases.c.bento != "", or_(serves, releases.c.state.in_(_TOOK_TRAFFIC)))
        )
        for row in self._edges(wanted, column, ids):
            now = row.number == row.release and row.state in _SERVING
            relation = Relation.SERVES if now else Relation.SERVED
            deployment = Key(Kind.DEPLOYMENT, row.deployment_id)
            yield Edge(Key(Kind.BENTO, row.bento), deployment, relation, f"release {row.number}")

    def _versions(self, column: ColumnElement[Any], ids: Sequence[str]) -> Iterable[Row[*tuple[Any, ...]]]:
        """Return versions: all of some models, of which few are wanted; or those of runs or logged models."""
        wanted = (
            select(
                registered_models.c.name,
                model_versions.c.number,
                model_versions.c.stage,
                model_versions.c.run_id,
                model_versions.c.model_id,
            )
            .join(registered_models, registered_models.c.id == model_versions.c.model)
            .where(registered_models.c.deleted.is_(None), model_versions.c.deleted.is_(None))
        )
        read = self._rows if column is registered_models.c.name else self._edges
        return read(wanted, column, ids)


def _gifts(row: Row[*tuple[Any, ...]]) -> Iterator[Edge]:
    """Yield the runs whose artifacts a parameter names."""
    for run_id, path in _ARTIFACT.findall(row.value):
        if run_id != row.run_id:
            yield Edge(Key(Kind.RUN, run_id), Key(Kind.RUN, row.run_id), Relation.GAVE, f"{row.key}: {path}")


def _version(row: Row[*tuple[Any, ...]]) -> Key:
    return Key(Kind.VERSION, f"{row.name}/{row.number}")


def _origin(row: Row[*tuple[Any, ...]]) -> Iterator[Edge]:
    """Yield what a version was made from: its logged model, else its run."""
    if row.model_id:
        yield Edge(Key(Kind.MODEL, row.model_id), _version(row), Relation.REGISTERED)
    elif row.run_id:
        yield Edge(Key(Kind.RUN, row.run_id), _version(row), Relation.MADE)


def _by_kind(keys: Iterable[Key]) -> dict[Kind, list[str]]:
    found: dict[Kind, list[str]] = {kind: [] for kind in Kind}
    for key in keys:
        found[key.kind].append(key.id)
    return found
