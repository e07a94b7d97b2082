"""Deployments are changed from their pages: rolled back, released anew, stopped. The command line does it."""

from __future__ import annotations

from collections.abc import Sequence

from starlette.responses import Response

from toolkit.deployments.records import Deployment
from toolkit.errors import InvalidValue, NotFound, ToolkitError
from toolkit.server.pages import errand, numbers
from toolkit.server.pages.asked import Asked
from toolkit.server.pages.deployment_right import why_not_changed, why_not_returned
from toolkit.server.pages.deployments import shown
from toolkit.server.pages.models import deployment_store
from toolkit.server.pages.person import author, remember
from toolkit.server.pages.render import redirect
from toolkit.server.wire.errors import answer
from toolkit.settings import environment

_ANYWHERE = "on the deployment's page"
_MOST_WORKERS = 64


def act(asked: Asked) -> Response:
    """Change a deployment as a form says: a process of its own does it, as the command line would."""
    deployment = deployment_store(asked).get(asked.path["name"])
    action = asked.form.get("action", "")
    change = _ACTIONS.get(action)
    if change is None:
        raise InvalidValue(f"there is no action {action[:50]!r}: wanted one of {', '.join(_ACTIONS)}")
    try:
        place = change(asked, deployment)
    except ToolkitError as error:
        return remember(asked, shown(asked, deployment, error.message, answer(error)[0]))
    return remember(asked, redirect(place, asked=asked))


def _roll_back(asked: Asked, deployment: Deployment) -> str:
    number = numbers.number_of("a release", asked.form.get("to", ""))
    releases = deployment_store(asked).releases(deployment.id)
    release = next((each for each in releases if each.number == number), None)
    if release is None:
        raise NotFound(f"{deployment.name} has no release {number}: it has had {len(releases)}")
    _check(why_not_returned(asked, deployment, release))
    arguments = ["rollback", f"--to={number}"]
    if why_not_changed(asked, deployment):  # the row may be another one's when the command reads it
        arguments.append("--as-served")
    return _start(asked, deployment, f"Roll back to release {number}", arguments)


def _check(why_not: str) -> None:
    if why_not:
        raise InvalidValue(why_not)


def _release(asked: Asked, deployment: Deployment) -> str:
    _check(why_not_changed(asked, deployment))
    releases = deployment_store(asked).releases(deployment.id)
    if not releases:
        raise InvalidValue(f"deployment {deployment.name} has had no release: toolkit deployments update names one")
    model, number = releases[0].model, numbers.number_of("a version", asked.form.get("version", ""))
    arguments = ["update", f"--model=models:/{model}/{number}"]
    what = f"Release {model} version {number}"
    if given := asked.form.get("workers", "").strip():
        workers = numbers.number_of("workers", given)
        if not 1 <= workers <= _MOST_WORKERS:
            raise InvalidValue(f"{workers} workers are wanted: 1 to {_MOST_WORKERS}")
        arguments.append(f"--workers={workers}")
        what += f" with {workers} {'worker' if workers == 1 else 'workers'}"
    return _start(asked, deployment, what, arguments)


def _stop(asked: Asked, deployment: Deployment) -> str:
    _check(why_not_changed(asked, deployment))
    if asked.form.get("typed", "").strip() != deployment.name:
        raise InvalidValue(f"a deployment is stopped for good only if its name is typed: {deployment.name}")
    _start(asked, deployment, "Stop for good", ["delete"])
    return asked.url("deployments")


def _cancel(asked: Asked, deployment: Deployment) -> str:
    errand.stop(asked.stores.home, deployment.name)
    return asked.url("deployments", deployment.name)


def _start(asked: Asked, deployment: Deployment, what: str, arguments: Sequence[str]) -> str:
    """Start a command for a deployment, for who is named, and return the page that shows how it does."""
    who = author(asked, named=True)
    variables = {
        **environment(),
        "TOOLKIT_HOME": str(asked.stores.home),
        "TOOLKIT_TRACKING_URI": asked.stores.tracking_uri,
        "LOGNAME": who.user or "",  # what the command takes its user's name from
    }
    verb, *rest = arguments
    command = ["deployments", verb, f"--name={deployment.name}", f"--reason={who.reason or _ANYWHERE}", *rest]
    errand.start(asked.stores.home, (deployment.name, what, who.user or ""), command, variables)
    return asked.url("deployments", deployment.name)


_ACTIONS = {"rollback": _roll_back, "release": _release, "stop": _stop, "cancel": _cancel}

PAGES = [("POST", "/deployments/{name}", act)]
