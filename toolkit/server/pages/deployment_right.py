"""What may be changed of a deployment from its page, and why the rest may not.

A release builds a model and runs it, on the machine of this server. Whoever may register a model could have it run what
they like: so a new version is released, and a deployment stopped, only by a browser at this machine, and only where the
server's owner lets pages do so (``TOOLKIT_CHANGE_FROM_PAGES``; the server of `toolkit up` does): what a server in front
of this one sends looks as if it came from here. From elsewhere one may go back to what this machine has noted to have
served (`toolkit.deployments.proofs`).
"""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING

from toolkit.deployments.proofs import is_noted
from toolkit.recording.process import host_name

if TYPE_CHECKING:
    from toolkit.deployments.records import Deployment, Release
    from toolkit.server.pages.asked import Asked

_FORWARDED = ("forwarded", "x-forwarded-for", "x-real-ip", "via", "authorization")
_KEPT_HERE = "local"


def is_here(asked: Asked) -> bool:
    """Tell whether a request comes from this machine itself, and not through a server in front of this one."""
    client = asked.request.client
    if client is None or any(name in asked.request.headers for name in _FORWARDED):
        return False
    return _is_loopback(client.host) and _is_loopback(asked.request.url.hostname or "")


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def why_not_changed(asked: Asked, deployment: Deployment) -> str:
    """Return why a page of this machine may not release or stop a deployment; empty: it may."""
    if deployment.host and deployment.host != host_name():
        return f"deployment {deployment.name} is on {deployment.host}: change it there"
    if not asked.site.change_from_pages:
        return (
            f"deployment {deployment.name} is changed by toolkit deployments at the server's own machine: a release "
            "runs what its model holds (TOOLKIT_CHANGE_FROM_PAGES=true lets pages do it for a browser there)"
        )
    if not is_here(asked):
        return (
            f"deployment {deployment.name} is changed at the server's own machine: a release runs what its model holds"
        )
    return ""


def why_not_returned(asked: Asked, deployment: Deployment, release: Release) -> str:
    """Return why a page may not roll a deployment back to a release; empty: it may."""
    why = why_not_changed(asked, deployment)
    return "" if why and is_proven(asked, deployment, release) else why


def is_proven(asked: Asked, deployment: Deployment, release: Release) -> bool:
    """Tell whether a release is known to have served on this machine, as it stands in the store."""
    kept_here = deployment.target == _KEPT_HERE and deployment.host == host_name()
    return kept_here and is_noted(asked.stores.home / "deployments", deployment, release)
