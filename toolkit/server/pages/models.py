"""The list of registered models, and what makes one."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING
from urllib.parse import urlencode

from toolkit.errors import InvalidValue, ToolkitError
from toolkit.registry.promotion import Request, RequestQuery, RequestState
from toolkit.registry.records import RegisteredModel, Stage
from toolkit.registry.registering import Registration, register
from toolkit.server.pages.person import acting, author, person_of, remember
from toolkit.server.pages.render import page, redirect
from toolkit.server.pages.view import quoted
from toolkit.server.wire.errors import answer
from toolkit.tracking.records import SearchQuery

if TYPE_CHECKING:
    from starlette.responses import Response

    from toolkit.deployments.records import Deployment, Release
    from toolkit.deployments.store import DeploymentStore
    from toolkit.server.pages.asked import Asked

_PAGE = 100
_REQUESTS = 50


def show(asked: Asked) -> Response:
    """Return the list."""
    return _list(asked)


def _list(asked: Asked, problem: str = "", status: int = 200) -> Response:
    wanted = asked.query.get("q", "").strip()
    query = SearchQuery(
        filter=f"name ILIKE {quoted(f'%{wanted}%')}" if wanted else "",
        order_by=["last_updated_timestamp DESC"],
        limit=_PAGE,
        page_token=asked.query.get("after") or None,
    )
    found = asked.catalog.registered.search_models(query)
    requests = asked.catalog.promotions.requests(RequestQuery(state=RequestState.PENDING, limit=_REQUESTS)).items
    serving = Counter(release.model for _, release in deployed(asked))
    return page(
        asked,
        "models.html",
        status=status,
        found=found,
        call=_call(query),
        wanted=wanted,
        requests=requests,
        waiting=Counter(each.name for each in requests),
        serving=serving,
        stages=stages_of,
        newest=newest_of,
        line=first_line,
        person=person_of(asked),
        problem=problem,
        typed=asked.form if asked.request.method == "POST" else {},
    )


def _call(query: SearchQuery) -> str:
    """Return what follows the `?` of the call of the API that finds the same."""
    given = {"filter": query.filter, "max_results": query.limit, "page_token": query.page_token}
    return urlencode([(key, value) for key, value in given.items() if value] + [("order_by", query.order_by[0])])


def stages_of(model: RegisteredModel) -> Mapping[str, int]:
    """Return the newest version in each stage that is in use."""
    return {str(each.stage): each.version for each in model.latest_versions if each.stage.active}


def newest_of(model: RegisteredModel) -> int | None:
    """Return the highest number; None: it has no version."""
    return max((each.version for each in model.latest_versions), default=None)


def first_line(text: str | None) -> str:
    """Return the first line of a description that says something, without the marks of a title or a list."""
    lines = (line.strip(" #>*-\t") for line in (text or "").splitlines())
    return next((line for line in lines if line), "")


def deployment_store(asked: Asked) -> DeploymentStore:
    """Return where it is remembered what serves where."""
    from toolkit.wiring.serving import open_deployment_store  # noqa: PLC0415 - it composes all there is

    return open_deployment_store(asked.stores)


def deployed(asked: Asked, model: str | None = None) -> Sequence[tuple[Deployment, Release]]:
    """Return what is deployed, with the release that serves or was begun last; of one model, if it is named."""
    store = deployment_store(asked)
    there = {each.id: each for each in store.list(model=model)}
    return [
        (there[release.deployment_id], release)
        for release in store.current()
        if release.deployment_id in there and model in (None, release.model)
    ]


def act(asked: Asked) -> Response:
    """Make a model, or register a version of one."""
    form = asked.form
    action, name = form.get("action", ""), form.get("name", "").strip()
    if action not in ("create", "register"):
        raise InvalidValue(f"there is no action {action[:50]!r}: wanted create or register")
    try:
        if action == "create":
            catalog = acting(asked)
            made = catalog.registered.create_model(name, description=form.get("description", "").strip() or None)
            place = asked.url("models", made.name)
        else:
            who = author(asked)
            wanted = Registration(uri=form.get("uri", "").strip(), name=name, user_id=who.user or "unknown")
            version = register(wanted, asked.stores, asked.site.catalog.acting(who))
            place = asked.url("models", version.name, "versions", version.version)
    except ToolkitError as error:
        return remember(asked, _list(asked, error.message, status=answer(error)[0]))
    return remember(asked, redirect(place, asked=asked))


def request_of(requests: Sequence[Request], number: int) -> Request | None:
    """Return the request of a number."""
    return next((each for each in requests if each.id == number), None)


ACTIVE = tuple(stage for stage in Stage if stage.active)

PAGES = [("GET", "/models", show), ("POST", "/models", act)]
