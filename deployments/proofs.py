"""What a machine knows by itself of the releases that served on it.

The rows of deployments and releases are written by whoever may use the store's API. Before something is run for
somebody who may not choose what runs, it is held against a file of this machine: ``deployments/NAME/NUMBER.served``
below toolkit's home has the SHA-256 of what that release was.
"""

from __future__ import annotations

import contextlib
import hashlib
import hmac
import json
import os
from pathlib import Path
from typing import TYPE_CHECKING

from toolkit.deployments.names import check_name

if TYPE_CHECKING:
    from toolkit.deployments.records import Deployment, Release


def note(folder: Path, deployment: Deployment, release: Release) -> None:
    """Write down that a release serves here; what cannot be written is not proven later, and does no harm.

    Args:
        folder: Of all deployments of this machine.
        deployment: Whose release it is.
        release: As it stands in the store.
    """
    file = _file(folder, deployment, release)
    unfinished = file.with_suffix(".served.new")
    with contextlib.suppress(OSError):
        file.parent.mkdir(parents=True, exist_ok=True)
        with os.fdopen(os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="ascii") as to:
            to.write(_told(deployment, release))
        unfinished.replace(file)


def is_noted(folder: Path, deployment: Deployment, release: Release) -> bool:
    """Tell whether a release served here, just as it and the options of its deployment stand in the store now."""
    try:
        noted = _file(folder, deployment, release).read_text("ascii")
    except (OSError, ValueError):
        return False
    same = release.instance.get("options") == dict(deployment.options)
    return same and hmac.compare_digest(noted, _told(deployment, release))


def _file(folder: Path, deployment: Deployment, release: Release) -> Path:
    return folder / check_name(deployment.name) / f"{release.number}.served"


def _told(deployment: Deployment, release: Release) -> str:
    kept = [release.instance.get(key) for key in ("config", "options")]
    facts = [deployment.id, deployment.target, release.number, release.model, str(release.version)]
    text = json.dumps([*facts, release.bento_digest, *kept], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()
