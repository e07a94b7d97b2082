"""AWS on this machine: moto's server, with the one operation of SageMaker that a release takes and moto has not."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from s3 import free_port

ACCOUNT, REGION = "123456789012", "us-east-1"
Moto = Any  # its actions are made for any of its versions
_ACCESS = {"AWS_ACCESS_KEY_ID": "testing", "AWS_SECRET_ACCESS_KEY": "testing", "AWS_REGION": REGION}


def variables(address: str) -> dict[str, str]:
    """Return the variables with which boto3 finds the server."""
    return {
        **_ACCESS,
        "AWS_ENDPOINT_URL": address,
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        "AWS_EC2_METADATA_DISABLED": "true",
    }


@contextlib.contextmanager
def aws_server(folder: Path) -> Iterator[str]:
    """Run the server for a block; give its address."""
    port = free_port()
    command = [sys.executable, str(Path(__file__)), "-H", "127.0.0.1", "-p", str(port)]
    with (folder / "aws.log").open("wb") as log:
        server = subprocess.Popen(command, stdout=log, stderr=log, cwd=folder)
    try:
        address = f"http://127.0.0.1:{port}"
        for _ in range(3000):
            assert server.poll() is None, (folder / "aws.log").read_text()
            with contextlib.suppress(OSError), urllib.request.urlopen(f"{address}/moto-api/data.json", timeout=60):
                break
            time.sleep(0.1)
        yield address
    finally:
        server.terminate()
        server.wait()


def call(address: str, path: str, told: object = None) -> None:
    """Tell moto something that no client of AWS could."""
    body = json.dumps(told).encode()
    request = urllib.request.Request(address + path, body, {"Content-Type": "application/json"}, method="POST")
    with urllib.request.urlopen(request, timeout=60):
        pass


def _update_endpoint(response: Moto) -> Moto:
    """Let an endpoint take another configuration over; one that is called bad fails, and it goes back."""
    from moto.core.responses import ActionResult

    backend = response.sagemaker_backend
    name, config = response._get_param("EndpointName"), response._get_param("EndpointConfigName")
    endpoint = backend.endpoints[name]
    backend.describe_endpoint_config(config)
    if config.endswith("bad-r2"):
        endpoint.failure_reason = "the new machines were not healthy"
    else:
        endpoint.endpoint_config_name = config
    return ActionResult({"EndpointArn": endpoint.arn})


def main() -> None:
    from moto.sagemaker.responses import SageMakerResponse
    from moto.server import main as serve

    SageMakerResponse.update_endpoint = _update_endpoint  # type: ignore[attr-defined]
    serve(sys.argv[1:])


if __name__ == "__main__":
    main()
