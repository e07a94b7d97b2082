"""A Prefect server, and workers, of a test module's own."""

from __future__ import annotations

import contextlib
import io
import json
import os
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from toolkit.cli.main import main
from toolkit.errors import ServiceError
from toolkit.flows.services import Services

TOOLKIT = [sys.executable, "-m", "toolkit"]


@contextlib.contextmanager
def prefect_server(home: Path) -> Iterator[str]:
    """Run Prefect's server for a block; give its API address."""
    services = Services(home, environ=dict(os.environ), directory=home)
    try:
        server = services.ensure_prefect(lambda _: None)
    except ServiceError:  # a machine with much to do: the files that its first start makes are there by now
        server = services.ensure_prefect(lambda _: None)
    try:
        yield server.api_url
    finally:
        services.stop_all(lambda _: None)


def call(*arguments: str) -> tuple[int, str, str]:
    """Call the command line, in this process, which has Prefect imported; return exit code, stdout and stderr."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = main(list(arguments))
    return code, out.getvalue(), err.getvalue()


def called(*arguments: str) -> Any:  # noqa: ANN401 - a JSON document
    """Call it; return the JSON that it prints, if it does well."""
    code, out, err = call(*arguments, "--json")
    assert code == 0, err or out
    return json.loads(out)


@contextlib.contextmanager
def process(command: list[str], folder: Path, log: Path, **variables: str) -> Iterator[subprocess.Popen[bytes]]:
    """Run a long-lived process in a folder for a block, leader of a session of its own."""
    folder.mkdir(parents=True, exist_ok=True)
    environ = {name: value for name, value in os.environ.items() if not name.startswith(("TOOLKIT_", "PREFECT_"))}
    with log.open("ab") as output:
        running = subprocess.Popen(
            command,
            cwd=folder,
            env={**environ, **variables},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    try:
        yield running
    finally:
        running.terminate()
        try:
            running.wait(30)
        except subprocess.TimeoutExpired:
            running.kill()
            running.wait()


def state(api_url: str, flow_run_id: str) -> str:
    """Return Prefect's state of a flow run."""
    with urllib.request.urlopen(f"{api_url}/flow_runs/{flow_run_id}") as answer:
        return str(json.load(answer)["state"]["type"])


def wait_for(what: Any, timeout: float = 240.0) -> Any:  # noqa: ANN401 - whatever it returns
    """Return what a function returns, once that is true."""
    end = time.monotonic() + timeout
    while True:
        with contextlib.suppress(urllib.error.URLError, OSError):
            if found := what():
                return found
        assert time.monotonic() < end, f"waited {timeout:g} s in vain"
        time.sleep(0.2)
