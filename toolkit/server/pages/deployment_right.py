"""What may be changed of a deployment from its page, and why the rest may not.

A release builds a model and runs it, on the machine of this server. Whoever may register a model could have it run what
they like: so a new version is released, and a deployment stopped, only by a browser at this machine. From elsewhere one
may go back to what this machine has served already.
"""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING

from toolkit.deployments.names import check_name
from toolkit.recording.process import host_name

if TYPE_CHECKING:
    from toolkit.deployments.records import Deployment
    from toolkit.server.pages.asked import Asked

_FORWARDED = ("forwarded", "x-forwarded-for", "x-real-ip", "via")
_KEPT_HERE = "local"


def is_here(asked: Asked) -> bool:
    """Tell whether a request comes from this machine itself, and not through a server in front of this one."""
    client = asked.request.client
    if client is None or any(name in asked.request.headers for name in _FORWARDED):
        return False
    try:
        return ipaddress.ip_address(client.host).is_loopback
    except ValueError:
        return False


def why_not_changed(asked: Asked, deployment: Deployment) -> str:
    """Return why a page of this machine may not release or stop a deployment; empty: it may."""
    if deployment.host and deployment.host != host_name():
        return f"deployment {deployment.name} is on {deployment.host}: change it there"
    if not is_here(asked):
        return (
            f"deployment {deployment.name} is changed at the server's own machine: a release runs what its model holds"
        )
    return ""


def why_not_returned(asked: Asked, deployment: Deployment, number: int) -> str:
    """Return why a page may not roll a deployment back to a release; empty: it may.

    Args:
        asked: The request.
        deployment: The deployment.
        number: Of the release.
    """
    why = why_not_changed(asked, deployment)
    if not why or (deployment.host and deployment.host != host_name()):
        return why
    log = asked.stores.home / "deployments" / check_name(deployment.name) / f"{number}.log"
    served_here = deployment.target == _KEPT_HERE and deployment.host == host_name() and log.is_file()
    return "" if served_here else why
