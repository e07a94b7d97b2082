"""A version of a model: what is to be decided of it, what it takes and gives, where it comes from, how it is used."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from toolkit.errors import InvalidValue, NotFound, ToolkitError
from toolkit.registry.history import Held
from toolkit.registry.promotion import MOST_REQUESTS, NewRequest, Request, RequestState, Target
from toolkit.registry.records import ModelVersion, RegisteredModel, Stage
from toolkit.server.pages import model_export, numbers
from toolkit.server.pages.directions import lower_is_better
from toolkit.server.pages.model import changes_of, measures, query_of
from toolkit.server.pages.model_files import Contract, contract_of, listed
from toolkit.server.pages.model_request import decision, done, judged, requests_of
from toolkit.server.pages.models import deployed
from toolkit.server.pages.person import acting, person_of, remember
from toolkit.server.pages.render import page, redirect
from toolkit.server.wire.errors import answer

if TYPE_CHECKING:
    from starlette.responses import Response

    from toolkit.registry.store import PromotionStore
    from toolkit.server.pages.asked import Asked

TABS = (
    ("", "Overview"),
    ("gates", "Gates"),
    ("contract", "Signature and files"),
    ("lineage", "Lineage"),
    ("history", "History"),
    ("use", "Use"),
)
_CLOSED = 20
_BODY = 600


def head(asked: Asked, tab: str) -> Mapping[str, Any]:
    """Return what the top of each page of a version shows."""
    registered = asked.catalog.registered
    version = registered.get_version(asked.path["name"], _number(asked))
    return {
        "model": registered.get_model(version.name),
        "version": version,
        "uri": f"models:/{version.name}/{version.version}",
        "shell": shlex.quote(f"models:/{version.name}/{version.version}"),
        "tab": tab,
        "tabs": TABS,
        "person": person_of(asked),
        "problem": "",
    }


def _number(asked: Asked) -> int:
    return numbers.number_of("a version", asked.path["version"], NotFound)


def show(asked: Asked) -> Response:
    """Return the overview."""
    return _shown(asked)


def _shown(asked: Asked, problem: str = "", status: int = 200) -> Response:
    values = {**head(asked, ""), "problem": problem}
    model, version = values["model"], values["version"]
    promotions = asked.catalog.promotions
    held = promotions.held(model.name)
    policies = promotions.policies(model.name)
    pending = requests_of(asked, version, RequestState.PENDING, MOST_REQUESTS)
    closed = [each for each in requests_of(asked, version, None) if each.state is not RequestState.PENDING]
    serving = [each for each in deployed(asked, model.name) if each[1].version == version.version]
    return page(
        asked,
        "model_version.html",
        status=status,
        **values,
        contract=contract_of(asked, version, whole=any(each.address for each, _ in serving)),
        policies=policies,
        decisions=[decision(asked, each, policies, held, values["person"]) for each in pending],
        closed=closed[:_CLOSED],
        done=done(asked, closed, pending),
        compared=_compared(asked, version, _base(model, held, version)),
        run=_run(asked, version),
        serving=serving,
        stages=tuple(Stage),
        typed=asked.form if asked.request.method == "POST" else {},
    )


def _run(asked: Asked, version: ModelVersion) -> Any:  # noqa: ANN401 - a run, or nothing
    try:
        return asked.stores.runs.get_run(version.run_id) if version.run_id else None
    except NotFound:  # it was removed for good, and the version stays
        return None


def _base(model: RegisteredModel, held: Held, version: ModelVersion) -> tuple[int, str] | None:
    """Return with which version one is compared, and why with that."""
    for number in held.holders(Stage.PRODUCTION):
        if number != version.version:
            return number, "Production"
    for alias, number in sorted(model.aliases.items()):
        if number != version.version:
            return number, f"@{alias}"
    return None


def _compared(asked: Asked, version: ModelVersion, base: tuple[int, str] | None) -> Mapping[str, Any]:
    """Return what was measured of a version, beside another one."""
    other = None
    if base is not None:
        try:
            other = asked.catalog.registered.get_version(version.name, base[0])
        except NotFound:  # deleted meanwhile
            base = None
    told = measures(asked, [version, *([other] if other else [])])
    ours = told[version.version][0]
    theirs = told[other.version][0] if other else {}
    rows = []
    for key in sorted({*ours, *theirs}):
        pair = [values[key] for values in (ours, theirs) if key in values]
        digits = numbers.digits_of(pair)
        both = len(pair) == 2
        rows.append(
            {
                "key": key,
                "ours": numbers.metric(ours[key], digits) if key in ours else "",
                "theirs": numbers.metric(theirs[key], digits) if key in theirs else "",
                "gap": _gap(key, ours[key], theirs[key]) if both else "",
            }
        )
    return {"rows": rows, "base": base}


def _gap(key: str, ours: float, theirs: float) -> str:
    return "the same" if ours == theirs else numbers.difference(ours, theirs, lower_is_better=lower_is_better(key))


def gates(asked: Asked) -> Response:
    """Return how a version does at the gates of each stage and alias."""
    values = head(asked, "gates")
    version = values["version"]
    policies = asked.catalog.promotions.policies(version.name)
    return page(
        asked,
        "model_version_gates.html",
        **values,
        judged=[(policy, judged(asked, version.name, version.version, policy)) for policy in policies],
    )


def contract(asked: Asked) -> Response:
    """Return what a version takes and gives, its example, what it needs, and its files."""
    values = head(asked, "contract")
    files, more = listed(asked, values["version"])
    return page(
        asked,
        "model_version_contract.html",
        **values,
        contract=contract_of(asked, values["version"]),
        files=files,
        location=asked.site.locate(values["version"].location),
        more=more,
    )


def history(asked: Asked) -> Response:
    """Return what was done to a version."""
    values = head(asked, "history")
    version = values["version"]
    return page(asked, "model_version_history.html", **values, **changes_of(asked, version.name, version.version))


def export(asked: Asked) -> Response:
    """Return what was done to a version, as CSV or JSON."""
    version = asked.catalog.registered.get_version(asked.path["name"], _number(asked))
    query = query_of(asked, version.name, version.version)
    return model_export.answer(asked, f"{version.name}-{version.version}", query)


def use(asked: Asked) -> Response:
    """Return lines that use a version."""
    values = head(asked, "use")
    told = contract_of(asked, values["version"])
    return page(asked, "model_version_use.html", **values, lines=_lines(asked, values["version"], told))


def _lines(asked: Asked, version: ModelVersion, told: Contract) -> Sequence[tuple[str, str]]:
    own = f"models:/{version.name}/{version.version}"
    named = f"models:/{version.name}@{version.aliases[0]}" if version.aliases else own
    shell, text = shlex.quote(named), json.dumps(named, ensure_ascii=False)
    base = f"{asked.request.url.scheme}://{asked.request.headers.get('host', '')}{asked.site.prefix}"
    server = json.dumps(base, ensure_ascii=False)
    name = re.sub(r"[^a-z0-9]+", "-", version.name.lower())[:40].strip("-") or "model"
    body = json.dumps(json.loads(told.request), ensure_ascii=False) if told.request else ""
    given = shlex.quote(body) if 0 < len(body) <= _BODY else "@request.json"
    return [
        (
            "Python",
            f"import toolkit\n\ntoolkit.set_tracking_uri({server})\nmodel = toolkit.load_model({text})\n"
            "model.predict(table)",
        ),
        (
            "Code written for MLflow",
            f"import mlflow\n\nmlflow.set_tracking_uri({server})\nmodel = mlflow.pyfunc.load_model({text})",
        ),
        ("Score a file", f"toolkit models predict -m {shell} -i new.csv -o scored.csv"),
        ("Serve it", f"toolkit deployments create -n {name} -m {shell}"),
        (
            "Ask what serves",
            f"curl -H 'content-type: application/json' -d {given} http://127.0.0.1:PORT/invocations",
        ),
        ("Build a Bento", f"toolkit deployments build {shell}"),
        ("In a container", f"toolkit deployments create -n {name} -m {shell} -t docker"),
        ("Look at it", f"toolkit registry show {shlex.quote(f'{version.name}/{version.version}')}"),
        ("Its place", asked.site.locate(version.location)),
    ]


def act(asked: Asked) -> Response:
    """Change a version: its description, tags, stage or aliases; ask for a move; delete it."""
    name, number, form = asked.path["name"], _number(asked), asked.form
    action = form.get("action", "")
    change = _ACTIONS.get(action)
    if change is None:
        raise InvalidValue(f"there is no action {action[:50]!r}: wanted one of {', '.join(_ACTIONS)}")
    try:
        change(asked, name, number)
    except ToolkitError as error:
        return remember(asked, _shown(asked, error.message, status=answer(error)[0]))
    place = ("models", name) if action == "delete" else ("models", name, "versions", number)
    return remember(asked, redirect(asked.url(*place), asked=asked))


def _describe(asked: Asked, name: str, number: int) -> None:
    acting(asked).registered.update_version(name, number, description=asked.form.get("description", ""))


def _tag(asked: Asked, name: str, number: int) -> None:
    value = asked.form.get("value", "") if asked.form["action"] == "tag" else None
    acting(asked).registered.update_version(name, number, tags={asked.form.get("key", "").strip(): value})


def _target(asked: Asked) -> Target:
    """Return what a form names: an alias, if it has one, else a stage."""
    alias = asked.form.get("alias", "").strip().removeprefix("@")
    return Target(alias=alias) if "alias" in asked.form else Target.read(asked.form.get("stage", ""))


def _move(asked: Asked, name: str, number: int) -> None:
    target, registered = _target(asked), acting(asked, named=True).registered
    if target.alias is not None:
        registered.set_alias(name, target.alias, number)
    else:
        registered.set_stage(name, number, Stage(str(target)), archive_existing=asked.form.get("archive") == "1")


def _unalias(asked: Asked, name: str, number: int) -> None:  # noqa: ARG001 - the form of all of them
    acting(asked).registered.delete_alias(name, asked.form.get("alias", ""))


def _request(asked: Asked, name: str, number: int) -> None:
    new = NewRequest(
        name=name, version=number, target=_target(asked), archive_existing=asked.form.get("archive") == "1"
    )
    acting(asked, named=True).promotions.request(new)


def _delete(asked: Asked, name: str, number: int) -> None:
    if asked.form.get("typed", "").strip() != str(number):
        raise InvalidValue(f"a version is deleted only if its number is typed: {number}")
    acting(asked).registered.delete_version(name, number)


def _who(asked: Asked, name: str, number: int) -> None:  # noqa: ARG001 - the same
    """Only remember who looks, which `remember` does."""
    if not asked.form.get("user", "").strip():
        raise InvalidValue("say your name")


_ACTIONS = {
    "describe": _describe,
    "tag": _tag,
    "untag": _tag,
    "move": _move,
    "unalias": _unalias,
    "request": _request,
    "delete": _delete,
    "who": _who,
}


def decide(asked: Asked) -> Response:
    """Approve, reject or withdraw a request."""
    number, action = numbers.number_of("a request", asked.path["number"], NotFound), asked.form.get("action", "")
    before = asked.catalog.promotions.get_request(number)
    if before.name != asked.path["name"]:
        raise NotFound(f"there is no request {number} of model {asked.path['name'][:200]}")
    if action not in _DECISIONS:
        raise InvalidValue(f"there is no action {action[:50]!r}: wanted one of {', '.join(_DECISIONS)}")
    try:
        _DECISIONS[action](acting(asked, named=True).promotions, number)
    except ToolkitError as error:
        inner = type(asked)(
            site=asked.site, request=asked.request, path={"name": before.name, "version": str(before.version)}
        )
        return remember(asked, _shown(inner, error.message, status=answer(error)[0]))
    told = None if action == "comment" else number
    place = asked.url("models", before.name, "versions", before.version, done=told)
    return remember(asked, redirect(place if told else f"{place}#h-r{number}", asked=asked))


_DECISIONS: Mapping[str, Callable[[PromotionStore, int], Request]] = {
    "approve": lambda promotions, number: promotions.approve(number),
    "reject": lambda promotions, number: promotions.reject(number),
    "withdraw": lambda promotions, number: promotions.withdraw(number),
    "comment": lambda promotions, number: promotions.comment(number),
}

PAGES = [
    ("GET", "/models/{name}/versions/{version}", show),
    ("POST", "/models/{name}/versions/{version}", act),
    ("GET", "/models/{name}/versions/{version}/gates", gates),
    ("GET", "/models/{name}/versions/{version}/contract", contract),
    ("GET", "/models/{name}/versions/{version}/history", history),
    ("GET", "/models/{name}/versions/{version}/history/export", export),
    ("GET", "/models/{name}/versions/{version}/use", use),
    ("POST", "/models/{name}/requests/{number}", decide),
]
