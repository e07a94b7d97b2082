"""Search over experiments in SQL: there are few of them, and all are looked at."""

from __future__ import annotations

from sqlalchemy import Connection, FromClause, and_, select

from toolkit.db.dialect import one_of
from toolkit.db.tables import experiment_tags, experiments
from toolkit.tracking.filter_fields import Kind
from toolkit.tracking.records import Experiment, Lifecycle, Page
from toolkit.tracking.search import Search
from toolkit.tracking.sql_experiments import number_of, records
from toolkit.tracking.sql_search import prepared
from toolkit.tracking.sql_search_filter import EXPERIMENT_COLUMNS, condition, of_experiment
from toolkit.tracking.sql_search_order import Term, after, attribute_terms, named_terms, position_of, sorted_by


def page(connection: Connection, search: Search, dialect: str) -> Page[Experiment]:
    """Return a page of experiments."""
    search = prepared(connection, search, dialect)
    query = search.query
    source, terms = _joined(search)
    where = [condition(search.tree, of_experiment(dialect))]
    if query.experiment_ids:
        numbers = [n for text in query.experiment_ids if (n := number_of(text)) is not None]
        where.append(one_of(experiments.c.id, numbers, dialect))
    if query.lifecycle is not None:
        where.append((experiments.c.deleted.is_(None)) == (query.lifecycle is Lifecycle.ACTIVE))
    if search.position is not None:
        where.append(after(terms, search.position))
    columns = tuple(experiments.c)
    at = [term.value.label(f"at{number}") for number, term in enumerate(terms) if term.constant is None]
    statement = select(*columns, *at).select_from(source).where(*where).order_by(*sorted_by(terms))
    rows = connection.execute(statement.limit(query.limit + 1)).all()
    token = None
    if len(rows) > query.limit:
        token = search.token(position_of(terms, rows[query.limit - 1][len(columns) :]))
    return Page(items=records(connection, rows[: query.limit], dialect), next_page_token=token)


def _joined(search: Search) -> tuple[FromClause, list[Term]]:
    source: FromClause = experiments
    terms: list[Term] = []
    for key in search.keys:
        if key.field.kind is Kind.ATTRIBUTE:
            terms += attribute_terms(key, EXPERIMENT_COLUMNS[key.field.key])
            continue
        values = experiment_tags.alias()
        source = source.outerjoin(values, and_(values.c.experiment == experiments.c.id, values.c.key == key.field.key))
        terms += named_terms(key, values, values.c.experiment)
    return source, terms
