"""Filters and orders of registered models, model versions and logged models."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from random import Random

import pytest

from toolkit.errors import InvalidValue
from toolkit.tracking import memory_search, search
from toolkit.tracking.filter import parse, parse_ordering
from toolkit.tracking.filter_fields import LOGGED_MODELS, MODELS, VERSIONS, Entity, Field, Kind
from toolkit.tracking.records import SearchQuery

_PROMPT = "mlflow.prompt.is_prompt"


@dataclass(frozen=True, kw_only=True)
class Version:
    """A version, with the names that filters have for what it is."""

    attributes: Mapping[str, str | int]
    tags: Mapping[str, str] = field(default_factory=dict)


def _get(version: Version, wanted: Field) -> str | int | None:
    return (version.attributes if wanted.kind is Kind.ATTRIBUTE else version.tags).get(wanted.key)


def _version(number: int, *, name: str = "m", updated: int = 0, **tags: str) -> Version:
    attributes: dict[str, str | int] = {"name": name, "version_number": number, "source_path": f"s3://b/{name}"}
    if number % 2:
        attributes["run_id"] = f"r{number}"
    return Version(attributes={**attributes, "creation_timestamp": 0, "last_updated_timestamp": updated}, tags=tags)


def found(versions: list[Version], text: str = "", *order_by: str, entity: Entity = VERSIONS) -> list[object]:
    """Return names and numbers of what a search finds, page by page."""
    seen: list[object] = []
    token = None
    while True:
        query = SearchQuery(filter=text, order_by=order_by, limit=2, page_token=token)
        page = memory_search.page_of(search.read(query, entity), versions, _get)
        seen += [f"{each.attributes['name']}{each.attributes['version_number']}" for each in page.items]
        token = page.next_page_token
        if token is None:
            return seen


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("name = 'm'", ["m3", "m2", "m1"]),
        ("name IN ('n', 'x')", ["n1"]),
        ("name NOT IN ('n') AND version_number >= 2", ["m3", "m2"]),
        ("version_number = 1", ["n1", "m1"]),
        ("run_id = 'r3' OR run_id IS NULL", ["m3", "m2"]),
        ("run_id NOT IN ('r3')", ["n1", "m1"]),
        ("source_path LIKE '%/n'", ["n1"]),
        ("attributes.name ILIKE 'N'", ["n1"]),
        ("tags.stage = 'x'", ["m2"]),
        ("tag.stage != 'x'", ["m3"]),
        ("NOT (tags.stage = 'x')", ["n1", "m3", "m1"]),
        ("last_updated_timestamp BETWEEN 6 AND 9", ["n1"]),
    ],
)
def test_versions(text: str, wanted: list[str]) -> None:
    """By every field; the newest update first, then by name and the highest number."""
    versions = [_version(1), _version(2, stage="x"), _version(3, stage="y"), _version(1, name="n", updated=7)]
    Random(1).shuffle(versions)
    assert found(versions, text) == wanted


def test_orders() -> None:
    """By every key, with the ties of each kind."""
    versions = [_version(1, updated=3), _version(2, updated=9), _version(1, name="n", updated=9)]
    assert found(versions) == ["m2", "n1", "m1"]
    assert found(versions, "", "version_number") == ["n1", "m1", "m2"]
    assert found(versions, "", "name DESC") == ["n1", "m2", "m1"]
    assert found(versions, "", "timestamp ASC") == ["m1", "m2", "n1"]
    assert found(versions, "", entity=MODELS)[-1] == "n1"
    assert found(versions, "", "last_updated_timestamp DESC", entity=MODELS) == ["m2", "n1", "m1"]
    assert parse_ordering("timestamp", MODELS) == parse_ordering("last_updated_timestamp", MODELS)


@pytest.mark.parametrize("entity", [MODELS, VERSIONS])
def test_what_lacks_the_flag_is_no_prompt(entity: Entity) -> None:
    """MLflow's clients ask for models that are no prompts by ``!=``, and mean those without the tag too."""
    flagged = [replace(_version(n), tags={_PROMPT: flag}) for n, flag in ((2, "true"), (3, "false"))]
    versions = [_version(1), *flagged]
    assert sorted(map(str, found(versions, f"tag.`{_PROMPT}` != 'true'", entity=entity))) == ["m1", "m3"]
    assert found(versions, f"tag.`{_PROMPT}` = 'true'", entity=entity) == ["m2"]
    assert sorted(map(str, found(versions, f"tags.`{_PROMPT}` != 'true' AND name = 'm'", entity=entity))) == [
        "m1",
        "m3",
    ]


@pytest.mark.parametrize(
    ("text", "entity", "column", "said"),
    [
        ("nmae = 'x'", MODELS, 0, "did you mean 'name'"),
        ("run_id = 'x'", MODELS, 0, "registered models have creation_timestamp, last_updated_timestamp, name"),
        ("name = 'x' AND params.p = '1'", MODELS, 15, "registered models have attributes, tags"),
        ("metrics.m = 1", VERSIONS, 0, "model versions have attributes, tags"),
        ("version_number = '3'", VERSIONS, 17, "wanted a number without quotes"),
        ("version_number LIKE '3'", VERSIONS, 15, "LIKE is for text"),
        ("name > 'x'", VERSIONS, 5, "> is for numbers"),
        ("datasets.name = 'x'", LOGGED_MODELS, 0, "logged models have attributes, metrics, params, tags"),
        ("stage = 'x'", LOGGED_MODELS, 0, "creation_timestamp, last_updated_timestamp, model_id, model_type, name"),
    ],
)
def test_errors_show_where(text: str, entity: Entity, column: int, said: str) -> None:
    with pytest.raises(InvalidValue) as caught:
        parse(text, entity)
    first, line, caret = str(caught.value).splitlines()
    assert said in first
    assert line == f"  {text}"
    assert caret.index("^") == column + 2


def test_logged_models() -> None:
    """Both spellings of the times."""
    assert parse("creation_time > 5", LOGGED_MODELS) == parse("attributes.creation_timestamp > 5", LOGGED_MODELS)
    assert parse("metrics.rmse < 1 AND params.p = 'x' AND model_type = 'agent'", LOGGED_MODELS)
