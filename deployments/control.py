"""How commands reach the supervisor of this machine's deployments: HTTP on the machine's own address, with a token.

The token is in a file that only its owner reads: other users of the machine reach the port, and nothing by it.
"""

from __future__ import annotations

import http.client
import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from toolkit.deployments import supervised
from toolkit.deployments.supervised import Wanted
from toolkit.errors import Conflict, NotFound, TargetFailed

_TIMEOUT = 120.0
"""Seconds that the supervisor gets to answer."""


class Control:
    """The supervisor, as commands ask it.

    Args:
        home: Toolkit's home.
        port: The supervisor's port.
    """

    def __init__(self, home: Path, port: int) -> None:
        self._home = home
        self._port = port

    def all(self) -> list[dict[str, Any]]:
        """Return how everything that runs is.

        Raises:
            TargetFailed: The supervisor does not answer.
        """
        found: list[dict[str, Any]] = self._ask("GET", "/releases")["releases"]
        return found

    def one(self, identity: str) -> dict[str, Any]:
        """Return how a release is.

        Raises:
            NotFound: It does not run.
            TargetFailed: The supervisor does not answer.
        """
        return self._ask("GET", f"/releases/{identity}")

    def start(self, wanted: Wanted) -> dict[str, Any]:
        """Start a release; nothing comes to it yet.

        Raises:
            Conflict: Its port cannot be listened on, or it runs already.
            TargetFailed: The supervisor does not answer.
        """
        return self._ask("POST", "/releases", asdict(wanted))

    def switch(self, identity: str) -> dict[str, Any]:
        """Let a release answer at the public address.

        Raises:
            NotFound: It does not run.
            Conflict: It is not ready, or the address cannot be listened on.
            TargetFailed: The supervisor does not answer.
        """
        return self._ask("POST", f"/releases/{identity}/switch", {})

    def stop(self, identity: str) -> None:
        """End a release; one that does not run is no error.

        Raises:
            TargetFailed: The supervisor does not answer.
        """
        self._ask("DELETE", f"/releases/{identity}")

    def _ask(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> dict[str, Any]:
        patience = None if method == "DELETE" else _TIMEOUT  # what was begun is answered first, however long that takes
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=patience)
        try:
            headers = {"Authorization": f"Bearer {_token_file(self._home).read_text(encoding='ascii')}"}
            connection.request(method, path, None if body is None else json.dumps(body), headers)
            response = connection.getresponse()
            answer: dict[str, Any] = json.loads(response.read())
        except (OSError, http.client.HTTPException, ValueError) as error:
            raise TargetFailed(
                f"the supervisor of this machine's deployments does not answer ({error or type(error).__name__}); "
                "toolkit up starts it again"
            ) from None
        finally:
            connection.close()
        message = str(answer.get("error", ""))
        if response.status == 404:
            raise NotFound(message)
        if response.status == 409:
            raise Conflict(message)
        if response.status != 200:
            raise TargetFailed(f"the supervisor of this machine's deployments: {message}")
        return answer


def write_token(home: Path, token: str) -> None:
    """Put down what commands must say."""
    file = _token_file(home)
    file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    unfinished = file.with_name(file.name + ".new")
    unfinished.touch(mode=0o600)
    unfinished.write_text(token, encoding="ascii")
    unfinished.replace(file)


def _token_file(home: Path) -> Path:
    return supervised.folder(home) / ".supervisor.token"
