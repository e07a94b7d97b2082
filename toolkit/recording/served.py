"""The stores of a toolkit server: runs over its API, artifacts through it or at the place that it names."""

from __future__ import annotations

from dataclasses import dataclass

from toolkit.errors import StoreError
from toolkit.tracking.http_calls import API, read_json
from toolkit.transport.client import Answer, Ask, BadAnswer, HttpClient, Unreachable

_SPOKEN = 1
"""Number of the API that this client speaks."""


@dataclass(frozen=True, kw_only=True, slots=True)
class About:
    """What a server says of itself.

    Attributes:
        version: Its release.
        artifact_root: Where clients find artifacts; ``None``: through the server.
    """

    version: str
    artifact_root: str | None


def meet(client: HttpClient) -> About:
    """Ask a server what it is.

    Raises:
        StoreError: It does not answer, or it is another program, or one of a version that is not understood.
    """
    try:
        answer = client.ask(Ask(method="GET", path=f"{API}/about"))
    except (Unreachable, BadAnswer) as error:
        raise StoreError(f"{error.message}: start it, or set TOOLKIT_TRACKING_URI to where runs are kept") from error
    told = read_json(answer)
    if answer.status != 200 or told is None or told.get("server") != "toolkit":
        raise StoreError(_other(client, answer))
    if told.get("api") != _SPOKEN:
        raise StoreError(
            f"{client.place} speaks version {told.get('api')} of the API where {_SPOKEN} is understood: "
            f"use toolkit {told.get('version')} here"
        )
    root = str(told["artifact_root"]) if told.get("artifacts") == "direct" else None
    return About(version=str(told.get("version")), artifact_root=root)


def _other(client: HttpClient, answer: Answer) -> str:
    """Say what another program is, as far as it tells."""
    if answer.status in (401, 403):
        return (
            f"{client.place} does not let you in (HTTP {answer.status}): set TOOLKIT_TRACKING_TOKEN, or "
            "TOOLKIT_TRACKING_USERNAME and TOOLKIT_TRACKING_PASSWORD"
        )
    if answer.status in (429, 502, 503, 504):
        return f"{client.place} cannot take requests now (HTTP {answer.status}): try again later"
    wanted = "wanted a toolkit server's address or a database's URL in TOOLKIT_TRACKING_URI"
    try:
        version = client.ask(Ask(method="GET", path="/version", wait=0.0, most=1 << 20))
    except (Unreachable, BadAnswer):
        version = answer
    said = version.body[:20].decode("latin-1").strip()
    if version.status == 200 and said[:1].isdecimal() and said.replace(".", "").isalnum():
        return (
            f"{client.place} is MLflow's server (version {said}), not toolkit's: use the mlflow package with it, or "
            f"start toolkit server; {wanted}"
        )
    return f"{client.place} is a web server, but not toolkit's (HTTP {answer.status}): {wanted}"
