"""What serves where, how it does, what served before, and the way back.

A deployment's address is what whoever made it says it is. So only those that the supervisor of this machine keeps are
asked from here (`toolkit.deployments.supervised`): a server opens no address that a client named.
"""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence

from starlette.responses import Response

from toolkit.deployments.endpoint import ask
from toolkit.deployments.records import Deployment, DeploymentState, Release
from toolkit.deployments.stats import scrape
from toolkit.deployments.store import DeploymentStore
from toolkit.deployments.supervised import read as read_supervised
from toolkit.deployments.traffic import Counts, Traffic, traffic
from toolkit.errors import InvalidValue, ToolkitError
from toolkit.registry.authors import author_of
from toolkit.server.pages.asked import Asked
from toolkit.server.pages.render import page, redirect
from toolkit.settings import environment
from toolkit.wiring.serving import open_deployment_store

_ANSWER_TIME = 30.0
_LONGEST_ANSWER = 20_000
_BUSY = (DeploymentState.CREATING, DeploymentState.UPDATING)


def _store(asked: Asked) -> DeploymentStore:
    return open_deployment_store(asked.stores)


def kept(asked: Asked) -> Mapping[str, str]:
    """Return the deployments that this machine keeps, with the addresses at which it does."""
    return {door.deployment: door.url for door in read_supervised(asked.stores.home).doors}


def show_all(asked: Asked) -> Response:
    """Return the list."""
    store = _store(asked)
    deleted = asked.query.get("deleted") == "1"
    found = store.list(deleted=deleted)
    current = {release.deployment_id: release for release in store.current()}
    return page(asked, "deployments.html", found=found, current=current, deleted=deleted)


def show(asked: Asked) -> Response:
    """Return the page of a deployment."""
    store = _store(asked)
    deployment = store.get(asked.path["name"])
    releases = store.releases(deployment.id)
    return _page(asked, deployment, releases)


def _page(asked: Asked, deployment: Deployment, releases: Sequence[Release], **tried: object) -> Response:
    serving = next((each for each in releases if each.number == deployment.release), None)
    address = kept(asked).get(deployment.name)
    seen, fault = _traffic(address, serving)
    values = {"sent": "", "answer": "", "answer_status": 0, "took": None, **tried}
    return page(
        asked,
        "deployment.html",
        deployment=deployment,
        releases=releases,
        serving=serving,
        address=address,
        traffic=seen,
        fault=fault,
        busy=deployment.state in _BUSY,
        example=values["sent"] or _example(asked, serving),
        answer=values["answer"],
        answer_status=values["answer_status"],
        took=values["took"],
    )


def _traffic(address: str | None, serving: Release | None) -> tuple[Traffic | None, str]:
    if address is None or serving is None:
        return None, ""
    try:
        seconds = max(1.0, time.time() - serving.created_at / 1000)
        return traffic(Counts.read(scrape(address)), seconds), ""
    except ToolkitError as error:
        return None, str(error)


def _example(asked: Asked, serving: Release | None) -> str:
    """Return the example of the model that serves, as a body that it takes; empty where there is none."""
    if serving is None:
        return ""
    from toolkit.server.artifacts.files import Files  # noqa: PLC0415 - here alone

    files = Files(asked.stores, asked.catalog)
    try:
        with files.open(
            files.of_version(serving.model, serving.version, "serving_input_example.json")
        ).stream as stream:
            return stream.read(_LONGEST_ANSWER).decode(errors="replace")
    except ToolkitError:  # it has none, or its files are elsewhere
        return ""


def score(asked: Asked) -> Response:
    """Let a deployment of this machine score what a form sent, and show what it answers."""
    store = _store(asked)
    deployment = store.get(asked.path["name"])
    address = kept(asked).get(deployment.name)
    if address is None:
        raise InvalidValue(
            f"deployment {deployment.name} is not kept by this machine: toolkit deployments predict -n "
            f"{deployment.name} -i FILE asks it"
        )
    sent = asked.form.get("body", "")
    began = time.monotonic()
    answer = ask(address, "/invocations", sent.encode(), timeout=_ANSWER_TIME)
    told = answer.body.decode(errors="replace")
    with contextlib.suppress(ValueError):  # then it is shown as it is
        told = json.dumps(json.loads(told), indent=2)
    took = (time.monotonic() - began) * 1000
    releases = store.releases(deployment.id)
    return _page(
        asked, deployment, releases, sent=sent, answer=told[:_LONGEST_ANSWER], answer_status=answer.status, took=took
    )


def act(asked: Asked) -> Response:
    """Go back to a release that served before: a process of its own does it, as the command line would."""
    deployment = _store(asked).get(asked.path["name"])
    if asked.form.get("action") != "rollback":
        raise InvalidValue(f"there is no action {asked.form.get('action', '')[:50]!r}: wanted rollback")
    if deployment.host and deployment.name not in kept(asked):
        raise InvalidValue(f"deployment {deployment.name} is on {deployment.host}: roll it back there")
    number = asked.form.get("to", "")
    if not number.isdigit():
        raise InvalidValue(f"{number[:50]!r} is no number of a release")
    said = author_of(asked.request.headers).user
    why = asked.form.get("why", "").strip() or "on the deployment's page"
    command = [sys.executable, "-m", "toolkit", "deployments", "rollback", "-n", deployment.name, "--to", number]
    variables = {
        **environment(),
        "TOOLKIT_HOME": str(asked.stores.home),
        "TOOLKIT_TRACKING_URI": asked.stores.tracking_uri,
        **({"LOGNAME": said} if said else {}),  # what the command takes its user's name from
    }
    log = asked.stores.home / "logs" / "pages.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("ab") as output:
        subprocess.Popen(
            [*command, "--reason", why],
            env=variables,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    return redirect(asked.url("deployments", deployment.name), asked=asked)


PAGES = [
    ("GET", "/deployments", show_all),
    ("GET", "/deployments/{name}", show),
    ("POST", "/deployments/{name}", act),
    ("POST", "/deployments/{name}/score", score),
]
