"""An S3 on this machine: moto's server, one for all tests of a process, and a bucket of its own for each."""

from __future__ import annotations

import contextlib
import functools
import itertools
import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

_ACCESS = {"AWS_ACCESS_KEY_ID": "testing", "AWS_SECRET_ACCESS_KEY": "canary-secret", "AWS_REGION": "us-east-1"}
_names = itertools.count()

Boto = Any  # botocore makes its classes at run time


def boto(endpoint: str) -> Boto:
    """Return boto's client, to do beside us what others do."""
    import boto3
    from botocore.config import Config

    return boto3.client(
        "s3",
        endpoint_url=endpoint,
        aws_access_key_id=_ACCESS["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=_ACCESS["AWS_SECRET_ACCESS_KEY"],
        region_name=_ACCESS["AWS_REGION"],
        config=Config(retries={"total_max_attempts": 1}),
    )


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextlib.contextmanager
def moto_server(folder: Path) -> Iterator[str]:
    """Run moto's server for a block; give its address."""
    port = free_port()
    command = [str(Path(sys.executable).with_name("moto_server")), "-H", "127.0.0.1", "-p", str(port)]
    environ = {**os.environ, **_ACCESS, "MOTO_S3_ALLOW_CROSSACCOUNT_ACCESS": "true"}
    with (folder / "moto.log").open("wb") as log:
        server = subprocess.Popen(command, stdout=log, stderr=log, env=environ, cwd=folder)
    try:
        address = f"http://127.0.0.1:{port}"
        _wait(server, f"{address}/moto-api/data.json", folder / "moto.log")
        yield address
    finally:
        server.terminate()
        server.wait()


def _wait(server: subprocess.Popen[bytes], url: str, log: Path) -> None:
    for _ in range(600):
        assert server.poll() is None, log.read_text()
        with contextlib.suppress(urllib.error.URLError, OSError), urllib.request.urlopen(url, timeout=5):
            return
        time.sleep(0.1)
    raise AssertionError(f"moto_server does not answer: {log.read_text()}")


def access(endpoint: str) -> dict[str, str]:
    """Return the variables with which a process finds an S3, and may use it."""
    return {**_ACCESS, "TOOLKIT_S3_ENDPOINT_URL": endpoint, "AWS_EC2_METADATA_DISABLED": "true"}


@pytest.fixture(scope="session")
def s3_endpoint(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of an S3."""
    with moto_server(tmp_path_factory.mktemp("moto")) as address:
        yield address


@pytest.fixture
def aws(s3_endpoint: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """The address of an S3 whose credentials are in the environment."""
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    for name, value in _ACCESS.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("AWS_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", os.devnull)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    return s3_endpoint


@pytest.fixture
def bucket(aws: str) -> str:
    """An empty bucket."""
    return make_bucket(aws)


def make_bucket(endpoint: str) -> str:
    name = f"bucket-{os.getpid()}-{next(_names)}"
    _client(endpoint).create_bucket(Bucket=name)
    return name


@functools.cache
def _client(endpoint: str) -> Boto:
    return boto(endpoint)
