"""Search over registered models and their versions in SQL.

Prompts are registered models to MLflow, with a tag that says so. A search finds them only if its filter asks for them;
that something lacks the tag means that it is no prompt. This holds for that one tag alone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy import ColumnElement, Connection, FromClause, Row, Select, Table, and_, func, not_, or_, select

from toolkit.db.tables import model_version_tags, model_versions, registered_model_tags, registered_models
from toolkit.registry import sql_models, sql_versions
from toolkit.registry.names import IS_PROMPT
from toolkit.registry.records import ModelVersion, RegisteredModel
from toolkit.tracking import search as searches
from toolkit.tracking.filter_fields import MODELS, VERSIONS, Field, Kind
from toolkit.tracking.filter_tree import (
    EVERYTHING,
    All,
    Comparison,
    Not,
    OneOf,
    Operator,
    Tree,
    Value,
    comparisons,
    conjuncts,
)
from toolkit.tracking.records import Page, SearchQuery
from toolkit.tracking.search import OrderKey, Search
from toolkit.tracking.sql_search import prepared
from toolkit.tracking.sql_search_filter import attribute, condition, holds
from toolkit.tracking.sql_search_order import Term, after, attribute_terms, named_terms, position_of, sorted_by

MODELS_PER_PAGE = 1_000
VERSIONS_PER_PAGE = 200_000


@dataclass(frozen=True, kw_only=True)
class _Noun:
    """Where the fields of a kind of thing are.

    Attributes:
        key: Its inner key.
        columns: Its attributes.
        tags: Its tags.
        owner: The column there that says whose they are.
    """

    key: ColumnElement[int]
    columns: Mapping[str, ColumnElement[Value]]
    tags: Table
    owner: str

    def condition(self, comparison: Comparison, dialect: str) -> ColumnElement[bool]:
        """Return the condition of a comparison."""
        if comparison.field.kind is Kind.ATTRIBUTE:
            return attribute(comparison, self.columns[comparison.field.key], dialect)
        source = self.tags.alias()
        found = select(1).where(source.c[self.owner] == self.key, *holds(comparison, source, dialect)).exists()
        return not_(found) if comparison.operator is Operator.NULL and not comparison.negated else found

    def texts(self, field: Field) -> tuple[ColumnElement[str], Select[str]]:
        """Return the column of a field's values, and the statement that gives them."""
        if field.kind is Kind.ATTRIBUTE:
            column: ColumnElement[str] = self.columns[field.key]  # type: ignore[assignment]  # a field of text
            return column, select(column)
        return self.tags.c.value, select(self.tags.c.value).where(self.tags.c.key == field.key)

    def joined(self, keys: Sequence[OrderKey], source: FromClause) -> tuple[FromClause, list[Term]]:
        """Return the source with what an order needs beside it, and the terms of the order."""
        terms: list[Term] = []
        for key in keys:
            if key.field.kind is Kind.ATTRIBUTE:
                terms += attribute_terms(key, self.columns[key.field.key])
                continue
            values = self.tags.alias()
            owner = values.c[self.owner]
            source = source.outerjoin(values, and_(owner == self.key, values.c.key == key.field.key))
            terms += named_terms(key, values, owner)
        return source, terms


_MODEL = _Noun(
    key=registered_models.c.id,
    columns={
        "name": registered_models.c.name,
        "creation_timestamp": registered_models.c.created,
        "last_updated_timestamp": registered_models.c.updated,
    },
    tags=registered_model_tags,
    owner="model",
)
_VERSION = _Noun(
    key=model_versions.c.id,
    columns={
        "name": registered_models.c.name,
        "version_number": model_versions.c.number,
        "run_id": model_versions.c.run_id,
        "source_path": model_versions.c.source,
        "creation_timestamp": model_versions.c.created,
        "last_updated_timestamp": model_versions.c.updated,
    },
    tags=model_version_tags,
    owner="version",
)


def read_models(query: SearchQuery) -> Search:
    """Return a search for registered models.

    Raises:
        InvalidValue: Its filter, its order, its token or its page size cannot be used.
    """
    return searches.read(query, MODELS, most=MODELS_PER_PAGE)


def read_versions(query: SearchQuery) -> Search:
    """Return a search for versions.

    Raises:
        InvalidValue: Its filter, its order, its token or its page size cannot be used.
    """
    return searches.read(query, VERSIONS, most=VERSIONS_PER_PAGE)


def page_models(connection: Connection, search: Search, dialect: str) -> Page[RegisteredModel]:
    """Return a page of registered models."""
    where: list[ColumnElement[bool]] = [registered_models.c.deleted.is_(None)]
    if not _asks_for_prompts(search.tree):
        where.append(not_(_flagged(registered_model_tags, registered_model_tags.c.model == registered_models.c.id)))
    columns = tuple(registered_models.c)
    search, source, terms = _prepared(connection, search, _MODEL, registered_models, dialect)
    where.append(condition(search.tree, lambda part: _MODEL.condition(part, dialect)))
    rows, token = _rows(connection, search, select(*columns), source, where, terms)
    return Page(items=sql_models.records(connection, rows, dialect), next_page_token=token)


def page_versions(connection: Connection, search: Search, dialect: str) -> Page[ModelVersion]:
    """Return a page of versions, without their aliases."""
    there = registered_models.c.deleted.is_(None)  # it follows, and lets the index of names be used
    where: list[ColumnElement[bool]] = [model_versions.c.deleted.is_(None), there]
    if not _asks_for_prompts(search.tree):
        prompt = or_(
            _flagged(registered_model_tags, registered_model_tags.c.model == model_versions.c.model),
            _flagged(model_version_tags, model_version_tags.c.version == model_versions.c.id),
        )
        where.append(not_(prompt))
    search, source, terms = _prepared(connection, search, _VERSION, sql_versions.FROM, dialect)
    where.append(condition(search.tree, lambda part: _VERSION.condition(part, dialect)))
    where += _of_one_model(connection, search.tree)
    rows, token = _rows(connection, search, select(*sql_versions.COLUMNS), source, where, terms)
    items = sql_versions.records(connection, rows, dialect, with_aliases=False)
    return Page(items=items, next_page_token=token)


def _prepared(
    connection: Connection, search: Search, noun: _Noun, source: FromClause, dialect: str
) -> tuple[Search, FromClause, list[Term]]:
    """Return a search that the database can evaluate, what it selects from, and the terms of its order."""
    search = replace(search, tree=_of_prompts(search.tree))
    search = prepared(connection, search, dialect, noun.texts)
    return search, *noun.joined(search.keys, source)


def _rows(
    connection: Connection,
    search: Search,
    chosen: Select[Any],
    source: FromClause,
    where: Sequence[ColumnElement[bool]],
    terms: Sequence[Term],
) -> tuple[Sequence[Row[Any]], str | None]:
    """Return the rows of a page, and the token of the next one."""
    width, limit = len(chosen.selected_columns), search.query.limit
    at = [term.value.label(f"at{number}") for number, term in enumerate(terms) if term.constant is None]
    statement = chosen.add_columns(*at).select_from(source).where(*where).order_by(*sorted_by(terms))
    if search.position is not None:
        statement = statement.where(after(terms, search.position))
    rows = connection.execute(statement.limit(limit + 1)).all()
    token = search.token(position_of(terms, rows[limit - 1][width:])) if len(rows) > limit else None
    return rows[:limit], token


def _of_one_model(connection: Connection, tree: Tree) -> list[ColumnElement[bool]]:
    """Return the condition that versions are of the model that a filter names, by its inner key.

    PostgreSQL then knows how many versions that model has, and walks them in their order if they are many.
    """
    for part in conjuncts(tree):
        if isinstance(part, Comparison) and part.field.kind is Kind.ATTRIBUTE and part.field.key == "name":
            if part.operator is not Operator.EQUAL or part.negated:
                continue
            named = registered_models.c.name == str(part.values[0])
            key = connection.execute(select(registered_models.c.id).where(named, registered_models.c.deleted.is_(None)))
            return [model_versions.c.model == (key.scalar() or 0)]
    return []


# -- prompts -------------------------------------------------------------------------------------------


def _flagged(tags: Table, ours: ColumnElement[bool]) -> ColumnElement[bool]:
    return select(1).where(ours, tags.c.key == IS_PROMPT, func.lower(tags.c.value) == "true").exists()


def _asks_for_prompts(tree: Tree) -> bool:
    """Tell whether a filter says that something is a prompt, or that it is not none."""
    return any(_says(part, "false" if part.negated else "true") for part in comparisons(tree))


def _says(tree: Tree, value: str) -> bool:
    return (
        isinstance(tree, Comparison)
        and tree.field.kind is Kind.TAG
        and tree.field.key == IS_PROMPT
        and tree.operator is Operator.EQUAL
        and str(tree.values[0]).lower() == value
    )


def _of_prompts(tree: Tree) -> Tree:
    """Return a filter that lets the tag be absent where that means the same, and only there.

    The grammar makes ``!= x`` of this tag true also of what lacks it, which is meant of ``!= 'true'`` alone.
    """
    if _says(tree, "false") and isinstance(tree, Comparison) and not tree.negated:
        return EVERYTHING  # what is no prompt has been settled
    if isinstance(tree, OneOf):
        told = [part for part in tree.parts if isinstance(part, Comparison) and part.negated and _says(part, "false")]
        return told[0] if told else replace(tree, parts=tuple(map(_of_prompts, tree.parts)))
    if isinstance(tree, All):
        return replace(tree, parts=tuple(map(_of_prompts, tree.parts)))
    if isinstance(tree, Not):
        return replace(tree, part=_of_prompts(tree.part))
    return tree
