"""Two versions of a model beside each other: metrics, signature, requirements, and what made them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from toolkit.errors import InvalidValue, NotFound
from toolkit.server.pages import numbers
from toolkit.server.pages.cells import cut
from toolkit.server.pages.directions import lower_is_better
from toolkit.server.pages.model import measures
from toolkit.server.pages.model_diff import diff
from toolkit.server.pages.model_files import Contract, Field, contract_of
from toolkit.server.pages.render import page

if TYPE_CHECKING:
    from starlette.responses import Response

    from toolkit.registry.records import ModelVersion
    from toolkit.server.pages.asked import Asked

MOST = 8

Row = tuple[str, Sequence[str | None], bool]
"""What a row is called, the value of each version, and whether they differ."""


def show(asked: Asked) -> Response:
    """Return the page."""
    model = asked.catalog.registered.get_model(asked.path["name"])
    texts = [part for text in asked.all("versions") for part in text.split(",") if part]
    wanted = [numbers.number_of("a version", text) for text in dict.fromkeys(texts)]
    if len(wanted) > MOST:
        raise InvalidValue(f"{len(wanted)} versions are to be compared: wanted 2 to {MOST}")
    versions = [asked.catalog.registered.get_version(model.name, number) for number in wanted]
    contracts = [contract_of(asked, each) for each in versions]
    measured = measures(asked, versions)
    return page(
        asked,
        "model_compare.html",
        model=model,
        versions=versions,
        contracts=contracts,
        facts=_facts(versions, contracts),
        metrics=_metrics([measured[each.version][0] for each in versions]),
        fields=_table([_of_fields(each.fields) for each in contracts]),
        requirements=_table([_of_lines(each.requirements) for each in contracts]),
        params=_table([_params(asked, each) for each in versions]),
        diff=diff(asked, versions),
    )


def _facts(versions: Sequence[ModelVersion], contracts: Sequence[Contract]) -> Sequence[Row]:
    told = [
        {
            "Stage": str(each.stage),
            "Aliases": ", ".join(f"@{alias}" for alias in each.aliases),
            "Flavor": ", ".join(contract.flavors),
            "Size": numbers.size(contract.size) if contract.size is not None else "",
            "Registered by": each.user_id or "",
        }
        for each, contract in zip(versions, contracts, strict=True)
    ]
    return [row for row in _table(told) if any(row[1])]


def _table(told: Sequence[Mapping[str, str]]) -> Sequence[Row]:
    """Return a row for each key, those first in which versions differ."""
    keys = list(dict.fromkeys(key for each in told for key in each))
    rows = [(key, [each.get(key) for each in told]) for key in keys]
    return sorted(((key, values, len(set(values)) > 1) for key, values in rows), key=lambda row: not row[2])


def _of_fields(fields: Sequence[Field]) -> Mapping[str, str]:
    return {
        f"{each.part} {each.name}": each.type
        + ("" if each.required or each.part == "parameter" else ", optional")
        + (f", default {each.default}" if each.default else "")
        for each in fields
    }


def _of_lines(lines: Sequence[str]) -> Mapping[str, str]:
    """Return requirements by package."""
    found = {}
    for line in lines:
        name = line
        for sign in ("==", ">=", "<=", "~=", "!=", ">", "<", "@", ";"):
            name = name.partition(sign)[0]
        found[name.strip()] = line.removeprefix(name).strip() or "any"
    return found


def _params(asked: Asked, version: ModelVersion) -> Mapping[str, str]:
    """Return the parameters of a version's run, and its source."""
    if not version.run_id:
        return {}
    try:
        run = asked.stores.runs.get_run(version.run_id)
    except NotFound:  # it was removed for good
        return {}
    commit = run.data.tags.get("mlflow.source.git.commit")
    return {
        **{key: cut(value, 200) for key, value in sorted(run.data.params.items())},
        **({"commit": commit} if commit else {}),
        **{f"data {each.dataset.name}": each.dataset.digest for each in run.inputs},
    }


def _metrics(told: Sequence[Mapping[str, float]]) -> Sequence[tuple[str, Sequence[tuple[str, str] | None]]]:
    """Return a row for each metric: each value, and by how much it differs from the first version's."""
    rows = []
    for key in sorted({key for each in told for key in each}):
        digits = numbers.digits_of([each[key] for each in told if key in each])
        first = told[0].get(key)
        cells = [
            (
                numbers.metric(each[key], digits),
                numbers.difference(each[key], first, lower_is_better=lower_is_better(key))
                if place and first is not None and each[key] != first
                else "",
            )
            if key in each
            else None
            for place, each in enumerate(told)
        ]
        rows.append((key, cells))
    return rows


PAGES = [("GET", "/models/{name}/compare", show)]
