"""What a step says of itself to a server that others' clients log to: a bearer token, as they all send one.

MLflow's clients make runs in two ways. One asks `MLFLOW_RUN_CONTEXT` for tags; the other, which `mlflow.run` and
libraries with a client of their own take, asks nothing but the server's address and who logs in. So the tags are in the
token: it lets nobody in, and says nothing that whoever makes a run could not say in its tags.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Mapping

_PREFIX = "toolkit-step."
_LONGEST = 4096
"""Characters of a token. Servers take 8 kB of all headers together, some of them less."""


def step_token(tags: Mapping[str, str]) -> str | None:
    """Return the token that says which tags runs are to have; ``None`` where it would be too long for a header."""
    said = json.dumps(dict(tags), separators=(",", ":"))
    token = _PREFIX + base64.urlsafe_b64encode(said.encode()).decode()
    return token if len(token) <= _LONGEST else None


def tags_in(authorization: str) -> dict[str, str]:
    """Return the tags that an ``Authorization`` header says; none for one of another kind, or one that is damaged."""
    scheme, _, token = authorization.strip().partition(" ")
    if scheme.lower() != "bearer" or not token.startswith(_PREFIX) or len(token) > _LONGEST:
        return {}
    try:
        said = json.loads(base64.urlsafe_b64decode(token.removeprefix(_PREFIX)))
    except (binascii.Error, ValueError, RecursionError):
        return {}
    if not isinstance(said, dict):
        return {}
    return {name: value for name, value in said.items() if isinstance(value, str)}
