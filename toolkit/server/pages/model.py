"""A registered model: what its aliases and stages stand for, its versions, its rules and its history."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from toolkit.errors import InvalidValue, NotFound, ToolkitError
from toolkit.registry.gates import read_gate
from toolkit.registry.history import Action, Change, ChangeQuery
from toolkit.registry.promotion import Policy, RequestQuery, RequestState, Target
from toolkit.registry.records import ModelVersion, RegisteredModel
from toolkit.server.pages import model_export, model_table, numbers
from toolkit.server.pages.models import ACTIVE, deployed, first_line
from toolkit.server.pages.person import acting, person_of, remember
from toolkit.server.pages.render import page, redirect
from toolkit.server.pages.view import quoted
from toolkit.server.wire.errors import answer
from toolkit.tracking.records import SYSTEM, Run, SearchQuery

if TYPE_CHECKING:
    from starlette.responses import Response

    from toolkit.server.pages.asked import Asked

TABS = (("", "Versions"), ("rules", "Gates"), ("history", "History"))
_PAGE = 25
_CHANGES = 200
_RUNS = 200


@dataclass(frozen=True, kw_only=True, slots=True)
class Holder:
    """What an alias or a stage stands for.

    Attributes:
        target: The alias, written with ``@``, or the stage.
        version: The number of the version.
        since: When it came to that, in milliseconds since 1970; None where that is not known any more.
        user: Who did it.
    """

    target: str
    version: int
    since: int | None = None
    user: str | None = None


def head(asked: Asked, model: RegisteredModel, tab: str) -> Mapping[str, Any]:
    """Return what the top of each page of a model shows."""
    return {
        "model": model,
        "tab": tab,
        "tabs": TABS,
        "holders": holders(asked, model),
        "person": person_of(asked),
        "problem": "",
        "shell": shlex.quote,
    }


def holders(asked: Asked, model: RegisteredModel) -> Sequence[Holder]:
    """Return what the aliases and stages of a model stand for, and since when."""
    promotions = asked.catalog.promotions
    held = promotions.held(model.name)
    changes = promotions.history(
        ChangeQuery(name=model.name, actions=(Action.ALIAS, Action.STAGE), limit=_CHANGES)
    ).items
    found = [_holder(f"@{alias}", number, changes) for alias, number in sorted(held.aliases.items())]
    for stage in reversed(ACTIVE):
        found += [_holder(str(stage), number, changes) for number in held.holders(stage)]
    return found


def _holder(target: str, number: int, changes: Sequence[Change]) -> Holder:
    for change in changes:
        key = f"@{change.key}" if change.action is Action.ALIAS else change.new
        if key == target and change.version == number:
            return Holder(target=target, version=number, since=change.time, user=change.user)
    return Holder(target=target, version=number)


def show(asked: Asked) -> Response:
    """Return the page."""
    return _shown(asked)


def _shown(asked: Asked, problem: str = "", status: int = 200) -> Response:
    catalog = asked.catalog
    model = catalog.registered.get_model(asked.path["name"])
    found = catalog.registered.search_versions(
        SearchQuery(
            filter=f"name = {quoted(model.name)}",
            order_by=["version_number DESC"],
            limit=_PAGE,
            page_token=asked.query.get("after") or None,
        )
    )
    measured = measures(asked, found.items)
    runs = {each.run_id: measured[each.version][1] for each in found.items}
    told = {number: values for number, (values, _) in measured.items()}
    columns, known = model_table.chosen(asked, list(told.values()))
    aliases = aliases_of(model)
    held = catalog.promotions.held(model.name)
    base = model_table.in_production(model, held)
    compared = _measured(asked, model.name, base, told)
    digits = {key: numbers.digits_of([each[key] for each in told.values() if key in each]) for key in columns}
    return page(
        asked,
        "model.html",
        status=status,
        **{**head(asked, model, ""), "problem": problem},
        found=found,
        aliases=aliases,
        runs=runs,
        cells={
            number: model_table.cells(values, columns, {} if base and base[0] == number else compared, digits)
            for number, values in told.items()
        },
        columns=columns,
        known=known,
        base=base if compared else None,
        gates=model_table.gates(asked, found.items, catalog.promotions.policies(model.name)),
        files=model_table.files(asked, found.items),
        requests=catalog.promotions.requests(
            RequestQuery(name=model.name, state=RequestState.PENDING, limit=100)
        ).items,
        deployed=deployed(asked, model.name),
        line=first_line,
        courses=[
            each
            for key in columns
            if (each := model_table.course(asked, key, list(reversed(found.items)), told, aliases)) is not None
        ],
    )


def _measured(
    asked: Asked, name: str, base: tuple[int, str] | None, told: Mapping[int, Mapping[str, float]]
) -> Mapping[str, float]:
    """Return what was measured of the version in production; nothing where there is none."""
    if base is None or base[0] in told:
        return told[base[0]] if base is not None else {}
    try:
        return measures(asked, [asked.catalog.registered.get_version(name, base[0])])[base[0]][0]
    except NotFound:  # deleted meanwhile
        return {}


def aliases_of(model: RegisteredModel) -> Mapping[int, Sequence[str]]:
    """Return the aliases of each version that has some."""
    found: dict[int, list[str]] = {}
    for alias, number in sorted(model.aliases.items()):
        found.setdefault(number, []).append(alias)
    return found


def measures(asked: Asked, versions: Sequence[ModelVersion]) -> Mapping[int, tuple[Mapping[str, float], Run | None]]:
    """Return of each version what was measured of it, last by its run and then of the model itself, and its run."""
    runs = _runs(asked, sorted({each.run_id for each in versions if each.run_id}))
    found: dict[int, tuple[Mapping[str, float], Run | None]] = {}
    for each in versions:
        run = runs.get(each.run_id or "")
        values = {key: value for key, value in (run.data.metrics if run else {}).items() if not key.startswith(SYSTEM)}
        for point in _of_model(asked, each):
            values[point.metric.key] = point.metric.value
        found[each.version] = values, run
    return found


def _of_model(asked: Asked, version: ModelVersion) -> Sequence[Any]:
    if version.model_id is None:
        return ()
    try:
        points = asked.catalog.logged.get_model(version.model_id).metrics
    except NotFound:  # it was deleted, and the version stays
        return ()
    return sorted(points, key=lambda point: (point.metric.step, point.metric.timestamp))


def _runs(asked: Asked, ids: Sequence[str]) -> Mapping[str, Run]:
    found: dict[str, Run] = {}
    for start in range(0, len(ids), _RUNS):
        listed = ", ".join(f"'{each}'" for each in ids[start : start + _RUNS] if each.isalnum())
        if not listed:
            continue
        query = SearchQuery(filter=f"run_id IN ({listed})", lifecycle=None, limit=_RUNS, fields=["metrics.*"])
        found |= {run.info.run_id: run for run in asked.stores.runs.search_runs(query).items}
    return found


def history(asked: Asked) -> Response:
    """Return what was done to a model."""
    model = asked.catalog.registered.get_model(asked.path["name"])
    return page(asked, "model_history.html", **head(asked, model, "history"), **changes_of(asked, model.name))


def export(asked: Asked) -> Response:
    """Return all changes that the address asks for, as CSV or JSON."""
    model = asked.catalog.registered.get_model(asked.path["name"])
    return model_export.answer(asked, model.name, query_of(asked, model.name))


def query_of(asked: Asked, name: str, version: int | None = None) -> ChangeQuery:
    """Return the changes that the address asks for.

    Raises:
        InvalidValue: There is no such kind of change.
    """
    kind = asked.query.get("action", "")
    if kind and kind not in tuple(Action):
        raise InvalidValue(f"there is no change {kind[:50]!r}: wanted one of {', '.join(Action)}")
    return ChangeQuery(
        name=name,
        version=version,
        actions=(Action(kind),) if kind else (),
        key=asked.query.get("key") or None,
        limit=100,
        page_token=asked.query.get("after") or None,
    )


def changes_of(asked: Asked, name: str, version: int | None = None) -> Mapping[str, Any]:
    """Return the changes that the address asks for, for a table of them.

    Raises:
        InvalidValue: There is no such kind of change.
    """
    return {
        "changes": asked.catalog.promotions.history(query_of(asked, name, version)),
        "kind": asked.query.get("action", ""),
        "key": asked.query.get("key", ""),
        "kinds": tuple(Action),
        "said": said,
    }


_SAID = {
    Action.MODEL_CREATED: "model made",
    Action.MODEL_RENAMED: "model renamed",
    Action.MODEL_DESCRIBED: "model described",
    Action.MODEL_TAGGED: "tag of the model",
    Action.MODEL_DELETED: "model deleted",
    Action.VERSION_CREATED: "registered",
    Action.VERSION_DESCRIBED: "described",
    Action.VERSION_TAGGED: "tag",
    Action.VERSION_DELETED: "deleted",
    Action.STAGE: "stage",
    Action.ALIAS: "alias",
    Action.GATES: "gates",
    Action.REQUESTED: "asked for",
    Action.APPROVED: "approved",
    Action.REJECTED: "rejected",
    Action.WITHDRAWN: "withdrawn",
    Action.COMMENTED: "said to a request",
    Action.DEPLOYMENT_CREATED: "deployed",
    Action.DEPLOYMENT_RELEASED: "released",
    Action.DEPLOYMENT_ROLLED_BACK: "deployment rolled back",
    Action.DEPLOYMENT_DELETED: "deployment deleted",
}


def said(action: Action) -> str:
    """Return what was done in words."""
    return _SAID.get(action, str(action))


def rules(asked: Asked) -> Response:
    """Return what moves of the model's versions need."""
    return _rules(asked)


def _rules(asked: Asked, problem: str = "", status: int = 200) -> Response:
    model = asked.catalog.registered.get_model(asked.path["name"])
    return page(
        asked,
        "model_rules.html",
        status=status,
        **{**head(asked, model, "rules"), "problem": problem},
        policies=asked.catalog.promotions.policies(model.name),
        typed=asked.form if asked.request.method == "POST" else {},
    )


def act(asked: Asked) -> Response:
    """Change a model: its name, description or tags, a rule; put back what an alias or stage was; delete it."""
    name, form = asked.path["name"], asked.form
    action = form.get("action", "")
    change = _ACTIONS.get(action)
    if change is None:
        raise InvalidValue(f"there is no action {action[:50]!r}: wanted one of {', '.join(_ACTIONS)}")
    try:
        place = change(asked, name)
    except ToolkitError as error:
        shown = _rules if action in ("rule", "lift") else _shown
        return remember(asked, shown(asked, error.message, status=answer(error)[0]))
    return remember(asked, redirect(place, asked=asked))


def _describe(asked: Asked, name: str) -> str:
    acting(asked).registered.update_model(name, description=asked.form.get("description", ""))
    return asked.url("models", name)


def _tag(asked: Asked, name: str) -> str:
    key = asked.form.get("key", "").strip()
    value = asked.form.get("value", "") if asked.form["action"] == "tag" else None
    acting(asked).registered.update_model(name, tags={key: value})
    return asked.url("models", name)


def _rename(asked: Asked, name: str) -> str:
    made = acting(asked).registered.update_model(name, new_name=asked.form.get("new_name", "").strip())
    return asked.url("models", made.name)


def _delete(asked: Asked, name: str) -> str:
    if asked.form.get("typed", "").strip() != name:
        raise InvalidValue(f"a model and all its versions are deleted only if its name is typed: {name}")
    acting(asked).registered.delete_model(name)
    return asked.url("models")


def _roll_back(asked: Asked, name: str) -> str:
    acting(asked, named=True).promotions.rollback(name, Target.read(asked.form.get("target", "").strip()))
    return asked.url("models", name)


def _rule(asked: Asked, name: str) -> str:
    form = asked.form
    target = Target.read(form.get("target", "").strip())
    lines = form.get("gates", "").splitlines() if form["action"] == "rule" else []
    count = form.get("approvals", "").strip() if form["action"] == "rule" else ""
    approvals = numbers.whole(count or "0")
    if approvals is None:
        raise InvalidValue(f"{count[:50]!r} is no number of approvals")
    people = form.get("approvers", "").replace(",", " ").split() if form["action"] == "rule" else []
    policy = Policy(
        target=target,
        gates=tuple(read_gate(line) for line in lines if line.strip()),
        approvals=approvals,
        approvers=tuple(people),
    )
    acting(asked, named=True).promotions.set_policies(name, [policy])
    return asked.url("models", name, "rules")


_ACTIONS = {
    "describe": _describe,
    "tag": _tag,
    "untag": _tag,
    "rename": _rename,
    "delete": _delete,
    "rollback": _roll_back,
    "rule": _rule,
    "lift": _rule,
}

PAGES = [
    ("GET", "/models/{name}", show),
    ("POST", "/models/{name}", act),
    ("GET", "/models/{name}/rules", rules),
    ("GET", "/models/{name}/history", history),
    ("GET", "/models/{name}/history/export", export),
]
