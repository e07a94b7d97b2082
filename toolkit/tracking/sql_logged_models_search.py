"""Search over logged models in SQL."""

from __future__ import annotations

import re
from collections.abc import Sequence

from sqlalchemy import (
    ColumnElement,
    Connection,
    Double,
    FromClause,
    ScalarSelect,
    Select,
    SmallInteger,
    and_,
    case,
    func,
    literal,
    literal_column,
    not_,
    or_,
    select,
    type_coerce,
)

from toolkit.db.dialect import one_of
from toolkit.db.tables import logged_model_metrics, logged_model_params, logged_model_tags, logged_models
from toolkit.errors import InvalidValue
from toolkit.tracking.filter_fields import Field, Kind
from toolkit.tracking.filter_tree import Comparison, Operator, Value, comparisons
from toolkit.tracking.logged_models import MOST_DATASETS, DatasetRef, LoggedModel, LoggedModelQuery, ModelOrder
from toolkit.tracking.number import NAN as NAN_MARK
from toolkit.tracking.records import Lifecycle, Page, SearchQuery
from toolkit.tracking.search import MISSING, NAN, PRESENT, OrderKey, Search
from toolkit.tracking.sql_experiments import number_of
from toolkit.tracking.sql_logged_models_rows import records
from toolkit.tracking.sql_search import prepared
from toolkit.tracking.sql_search_filter import Leaf, attribute, condition, holds, metric_holds
from toolkit.tracking.sql_search_order import Term, after, attribute_terms, named_terms, position_of, sorted_by

COLUMNS: dict[str, ColumnElement[Value]] = {
    "name": logged_models.c.name,
    "model_id": logged_models.c.model_id,
    "model_type": logged_models.c.type,
    "status": logged_models.c.status,
    "source_run_id": logged_models.c.source_run_id,
    "creation_timestamp": logged_models.c.created,
    "last_updated_timestamp": logged_models.c.updated,
}
_NAMED = {Kind.PARAM: logged_model_params, Kind.TAG: logged_model_tags}
_ATTRIBUTE = re.compile(r"\w+")


def plain(query: LoggedModelQuery) -> SearchQuery:
    """Return a query as the grammar of searches takes it.

    Raises:
        InvalidValue: A key of its order names no field, or data for what is not measured; or it names too many data.
    """
    if len(query.datasets) > MOST_DATASETS:
        raise InvalidValue(f"{len(query.datasets)} datasets were given: wanted at most {MOST_DATASETS}")
    return SearchQuery(
        experiment_ids=query.experiment_ids,
        filter=query.filter,
        order_by=[_ordering(key) for key in query.order_by],
        lifecycle=query.lifecycle,
        limit=query.limit,
        page_token=query.page_token,
    )


def _ordering(key: ModelOrder) -> str:
    prefix, dot, name = key.field.partition(".")
    if key.dataset is not None and prefix not in ("metric", "metrics"):
        raise InvalidValue(f"Invalid order by field name: {key.field}. Data are named for metrics only.")
    if not _ATTRIBUTE.fullmatch(prefix) or (dot and not name):
        raise InvalidValue(f"Invalid order by field name: {key.field}")
    quoted = f"{prefix}.`{name.replace('`', '``')}`" if dot else prefix
    return f"{quoted} {'DESC' if key.descending else 'ASC'}"


def page(connection: Connection, search: Search, query: LoggedModelQuery, dialect: str) -> Page[LoggedModel]:
    """Return a page of logged models."""
    search = prepared(connection, search, dialect, _texts)
    source, terms = _joined(search, query)
    where = [condition(search.tree, _leaf(query.datasets, dialect))]
    if query.experiment_ids:
        numbers = [number for text in query.experiment_ids if (number := number_of(text)) is not None]
        where.append(one_of(logged_models.c.experiment, numbers, dialect))
    if query.lifecycle is not None:
        where.append(logged_models.c.deleted.is_(None) == (query.lifecycle is Lifecycle.ACTIVE))
    if query.datasets and not any(part.field.kind is Kind.METRIC for part in comparisons(search.tree)):
        points = logged_model_metrics.alias()
        where.append(select(1).where(points.c.model == logged_models.c.id, _on(points, query.datasets)).exists())
    if search.position is not None:
        where.append(after(terms, search.position))
    columns = tuple(logged_models.c)
    at = [term.value.label(f"at{number}") for number, term in enumerate(terms) if term.constant is None]
    statement = select(*columns, *at).select_from(source).where(*where).order_by(*sorted_by(terms))
    rows = connection.execute(statement.limit(query.limit + 1)).all()
    token = None
    if len(rows) > query.limit:
        token = search.token(position_of(terms, rows[query.limit - 1][len(columns) :]))
    return Page(items=records(connection, rows[: query.limit], dialect), next_page_token=token)


def _leaf(datasets: Sequence[DatasetRef], dialect: str) -> Leaf:
    def leaf(comparison: Comparison) -> ColumnElement[bool]:
        kind = comparison.field.kind
        if kind is Kind.ATTRIBUTE:
            return attribute(comparison, COLUMNS[comparison.field.key], dialect)
        absent = comparison.operator is Operator.NULL and not comparison.negated
        if kind is Kind.METRIC:
            source = logged_model_metrics.alias()
            row = [source.c.key == comparison.field.key]
            if comparison.operator is not Operator.NULL:
                row.append(metric_holds(comparison, source))
            if datasets:
                row.append(_on(source, datasets))
        else:
            source = _NAMED[kind].alias()
            row = list(holds(comparison, source, dialect))
        found = select(1).where(source.c.model == logged_models.c.id, *row).exists()
        return not_(found) if absent else found

    return leaf


def _on(points: FromClause, datasets: Sequence[DatasetRef]) -> ColumnElement[bool]:
    """Return the condition that a point was measured on one of these data."""
    each = []
    for dataset in datasets:
        same: ColumnElement[bool] = points.c.dataset_name == dataset.name
        each.append(same if dataset.digest is None else and_(same, points.c.dataset_digest == dataset.digest))
    return or_(*each)


def _joined(search: Search, query: LoggedModelQuery) -> tuple[FromClause, list[Term]]:
    source: FromClause = logged_models
    terms: list[Term] = []
    for number, key in enumerate(search.keys):
        kind = key.field.kind
        if kind is Kind.ATTRIBUTE:
            terms += attribute_terms(key, COLUMNS[key.field.key])
        elif kind is Kind.METRIC:
            terms += _metric_terms(key, query.order_by[number].dataset)
        else:
            values = _NAMED[kind].alias()
            source = source.outerjoin(values, and_(values.c.model == logged_models.c.id, values.c.key == key.field.key))
            terms += named_terms(key, values, values.c.model)
    return source, terms


def _metric_terms(key: OrderKey, dataset: DatasetRef | None) -> list[Term]:
    """Return the terms of a metric's latest value by time, on certain data if that is wanted."""

    def latest(name: str) -> ScalarSelect[float]:
        points = logged_model_metrics.alias()
        chosen = select(points.c[name]).where(points.c.model == logged_models.c.id, points.c.key == key.field.key)
        if dataset is not None:
            chosen = chosen.where(_on(points, [dataset]))
        last = [points.c.timestamp.desc(), points.c.step.desc(), points.c.run_id, points.c.value, points.c.special]
        return chosen.order_by(*last).limit(1).scalar_subquery()

    special, value = type_coerce(latest("special"), SmallInteger), type_coerce(latest("value"), Double)
    nan: ColumnElement[int] = literal_column(str(NAN_MARK))
    rank = case(
        (special.is_(None), literal_column(str(MISSING))),
        (special == nan, literal_column(str(NAN))),
        else_=literal_column(str(PRESENT)),
    )
    plain_value = func.coalesce(case((special < nan, value)), literal(0.0, Double()))
    return [Term(value=rank, type=int), Term(value=plain_value, type=float, descending=key.descending)]


def _texts(field: Field) -> tuple[ColumnElement[str], Select[str]]:
    if field.kind is Kind.ATTRIBUTE:
        column: ColumnElement[str] = COLUMNS[field.key]  # type: ignore[assignment]  # a field of text
        return column, select(column)
    named = _NAMED[field.kind]
    return named.c.value, select(named.c.value).where(named.c.key == field.key)
