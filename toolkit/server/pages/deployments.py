"""What serves where, how it does, what served before, and what it answers.

A deployment's address is what whoever made it says it is. So only those that the supervisor of this machine keeps are
asked from here (`toolkit.deployments.supervised`): a server opens no address that a client named. Nor does it open a
file that one named: a release's log is where this machine puts it.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from starlette.responses import Response

from toolkit.deployments import course, steps
from toolkit.deployments.course import Look, Summary, summary
from toolkit.deployments.endpoint import ask
from toolkit.deployments.log_file import last_lines
from toolkit.deployments.names import check_name
from toolkit.deployments.records import Deployment, DeploymentState, Release, ReleaseState
from toolkit.deployments.starter import interrupted
from toolkit.deployments.stats import scrape
from toolkit.deployments.supervised import read as read_supervised
from toolkit.deployments.traffic import Counts, Traffic, traffic
from toolkit.errors import InvalidValue, NotFound, ToolkitError
from toolkit.recording.process import host_name
from toolkit.server.pages import deployment_course, deployment_trial, errand
from toolkit.server.pages.asked import Asked
from toolkit.server.pages.deployment_right import why_not_changed, why_not_returned
from toolkit.server.pages.model_files import Contract, contract_of
from toolkit.server.pages.models import deployment_store
from toolkit.server.pages.person import person_of
from toolkit.server.pages.render import page, redirect
from toolkit.server.pages.view import quoted
from toolkit.server.wire.errors import answer
from toolkit.tracking.records import SearchQuery

_ANSWER_TIME = 30.0
_LATELY = 300_000  # milliseconds that the list counts
_LOG_LINES = 300
_OFFERED = 25  # versions that may be released next
_GOES_ON = (DeploymentState.CREATING, DeploymentState.UPDATING)
_SERVED = (ReleaseState.REPLACED, ReleaseState.STOPPED)
_BEYOND = 15  # seconds that a release gets beyond the time of an answer (`toolkit.deployments.supervisor`)


@dataclass(frozen=True, kw_only=True, slots=True)
class Lately:
    """How a deployment of this machine did in the last minutes.

    Attributes:
        last: The last look at it.
        told: What it was asked.
    """

    last: Look
    told: Summary


def kept(asked: Asked) -> Mapping[str, str]:
    """Return the deployments that this machine keeps, with the addresses at which it does."""
    return {door.deployment: door.url for door in read_supervised(asked.stores.home).doors}


def lately(asked: Asked, name: str) -> Lately | None:
    """Return how a deployment of this machine did in the last minutes; None where nobody has looked."""
    looks = course.read(asked.stores.home, name)
    recent = [each for each in looks if each.time >= looks[-1].time - _LATELY]
    return Lately(last=looks[-1], told=summary(recent)) if recent else None


def show_all(asked: Asked) -> Response:
    """Return the list."""
    store = deployment_store(asked)
    deleted = asked.query.get("deleted") == "1"
    found = store.list(deleted=deleted)
    here = kept(asked)
    return page(
        asked,
        "deployments.html",
        found=found,
        current={release.deployment_id: release for release in store.current()},
        deleted=deleted,
        lately={each.name: lately(asked, each.name) for each in found if each.name in here},
        errands=errand.recent(asked.stores.home, int(time.time() * 1000) - 600_000),
        answer_of=deployment_course.answer_of,
    )


def show(asked: Asked) -> Response:
    """Return the page of a deployment."""
    return shown(asked, deployment_store(asked).get(asked.path["name"]))


def head(asked: Asked, deployment: Deployment, releases: Sequence[Release]) -> Mapping[str, Any]:
    """Return what the top of each page of a deployment shows."""
    begun = errand.last(asked.stores.home, deployment.name)
    busy = deployment.state in _GOES_ON or (begun is not None and begun.runs)
    return {
        "deployment": deployment,
        "serving": next((each for each in releases if each.number == deployment.release), None),
        "begun": begun,
        "said": errand.lines(asked.stores.home, deployment.name, 40) if begun else [],
        "busy": busy,
        "left": interrupted(deployment, releases),
        "starting": next((each for each in releases if each.state is ReleaseState.STARTING), None),
        "steps_of": lambda release: steps.read(release.instance),
        "person": person_of(asked),
        "fixed": why_not_changed(asked, deployment),
        "kept_back": lambda release: why_not_returned(asked, deployment, release),
        "problem": "",
    }


def shown(asked: Asked, deployment: Deployment, problem: str = "", status: int = 200, **tried: Any) -> Response:  # noqa: ANN401 - what the page takes
    """Return the page of a deployment, with what went wrong or was answered.

    Args:
        asked: The request.
        deployment: The deployment.
        problem: What went wrong, if anything did.
        status: Of the answer.
        tried: What a form has sent to it, and what it answered.
    """
    releases = deployment_store(asked).releases(deployment.id)
    top = {**head(asked, deployment, releases), "problem": problem}
    address = kept(asked).get(deployment.name)
    looks = course.read(asked.stores.home, deployment.name) if address else []
    seen, fault = _traffic(address, top["serving"])
    contract = _contract(asked, top["serving"])
    typed = asked.form if asked.request.method == "POST" else {}
    values = {"sent": contract.request, "told": "", "told_status": 0, "took": None, **tried}
    return page(
        asked,
        "deployment.html",
        status=status,
        **top,
        **values,
        releases=releases,
        served=_SERVED,
        address=address,
        course=deployment_course.course(looks, releases),
        answer_of=deployment_course.answer_of,
        traffic=seen,
        fault=fault,
        entries=deployment_trial.entries(contract, typed if "c0" in typed else None),
        offered=_offered(asked, releases[0].model if releases else None),
        typed=typed,
    )


def _traffic(address: str | None, serving: Release | None) -> tuple[Traffic | None, str]:
    if address is None or serving is None:
        return None, ""
    try:
        seconds = max(1.0, time.time() - serving.created_at / 1000)
        return traffic(Counts.read(scrape(address)), seconds), ""
    except ToolkitError as error:
        return None, str(error)


def _contract(asked: Asked, serving: Release | None) -> Contract:
    """Return what the model that serves takes; nothing where it cannot be read."""
    if serving is None:
        return Contract()
    try:
        version = asked.catalog.registered.get_version(serving.model, serving.version)
    except NotFound:  # it was deleted, and serves on
        return Contract()
    return contract_of(asked, version)


def _offered(asked: Asked, model: str | None) -> Sequence[int]:
    """Return the newest versions of a model, which may be released."""
    if model is None:
        return []
    query = SearchQuery(filter=f"name = {quoted(model)}", order_by=["version_number DESC"], limit=_OFFERED)
    return [each.version for each in asked.catalog.registered.search_versions(query).items]


def show_release(asked: Asked) -> Response:
    """Return the page of a release: its steps, how it was configured, what it said, and the way back to it."""
    store = deployment_store(asked)
    deployment = store.get(asked.path["name"])
    releases = store.releases(deployment.id)
    found = next((each for each in releases if str(each.number) == asked.path["number"]), None)
    if found is None:
        raise NotFound(
            f"deployment {deployment.name} has no release {asked.path['number'][:20]}: it has had {len(releases)}"
        )
    config = found.instance.get("config")
    top = head(asked, deployment, releases)
    return page(
        asked,
        "deployment_release.html",
        **top,
        release=found,
        config=config if isinstance(config, Mapping) else {},
        log=_log(asked, deployment, found.number),
        effect=effect(deployment, top["serving"], found),
        may_return=found.state in _SERVED,
    )


def _log(asked: Asked, deployment: Deployment, number: int) -> Sequence[str]:
    """Return what a release's processes on this machine said last, from where this machine puts it."""
    if deployment.host != host_name():
        return []
    folder = asked.stores.home / "deployments" / check_name(deployment.name)
    return last_lines(folder / f"{number}.log", _LOG_LINES)


def effect(deployment: Deployment, serving: Release | None, back: Release) -> Sequence[str]:
    """Return what a roll back does, in words, in its order.

    Args:
        deployment: The deployment.
        serving: The release that serves.
        back: The release that is gone back to.
    """
    what = f"{back.model} version {back.version}"
    if serving is None:
        return [f"A new release is made of {what}, as release {back.number} was configured."]
    timeout = deployment.config.get("timeout")
    patience = f", after {timeout + _BEYOND:g} s at most" if isinstance(timeout, int | float) else ""
    told = [
        f"A new release of {what}, as release {back.number} was configured, is started beside release "
        f"{serving.number} ({serving.model} version {serving.version}), which goes on answering.",
        "When it is ready and answers its example as the model does, traffic moves to it: the address stays.",
        f"Requests that run then are answered by release {serving.number}, which ends when it has done so{patience}.",
        f"If it fails its checks, nothing changes for who asks: release {serving.number} serves on.",
    ]
    if deployment.follow_alias:
        told.append(f"It follows {deployment.follow_alias} no longer: else that would take it forward again at once.")
    return told


def score(asked: Asked) -> Response:
    """Let a deployment of this machine score what a form sent, and show what it answers."""
    deployment = deployment_store(asked).get(asked.path["name"])
    address = kept(asked).get(deployment.name)
    if address is None:
        raise InvalidValue(
            f"deployment {deployment.name} is not kept by this machine: toolkit deployments predict -n "
            f"{deployment.name} -i FILE asks it"
        )
    sent = asked.form.get("body", "")
    try:
        sent = sent or _body(asked, deployment)
        began = time.monotonic()
        came = ask(address, "/invocations", sent.encode(), timeout=_ANSWER_TIME, limit=deployment_trial.READ + 1)
        took = (time.monotonic() - began) * 1000
    except ToolkitError as error:
        return shown(asked, deployment, error.message, answer(error)[0], **({"sent": sent} if sent else {}))
    told = deployment_trial.shown(came.body)
    return shown(asked, deployment, sent=sent, told=told, told_status=came.status, took=took)


def back(asked: Asked) -> Response:
    """Lead who pastes the address of an answer to the deployment, where it is asked again."""
    return redirect(f"{asked.url('deployments', asked.path['name'])}#try")


def _body(asked: Asked, deployment: Deployment) -> str:
    """Return what the fields of the form ask."""
    releases = deployment_store(asked).releases(deployment.id)
    serving = next((each for each in releases if each.number == deployment.release), None)
    return deployment_trial.body_of(_contract(asked, serving), asked.form)


PAGES = [
    ("GET", "/deployments", show_all),
    ("GET", "/deployments/{name}", show),
    ("GET", "/deployments/{name}/releases/{number}", show_release),
    ("GET", "/deployments/{name}/score", back),
    ("POST", "/deployments/{name}/score", score),
]
