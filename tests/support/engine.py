"""A container engine for tests: the one that the environment names, else any that answers on this machine."""

from __future__ import annotations

import functools
import os

from toolkit.errors import EnvironmentBuildError

IMAGE = "python:3.11-slim"
"""A small image with Python, which tests run and build on."""


@functools.cache
def why_not() -> str | None:
    """Return why nothing can be tested with containers here; ``None`` where it can."""
    from toolkit.flows.environments.engine import connect

    try:
        engine = connect(os.environ)
    except EnvironmentBuildError as error:
        return f"there is no container engine to test with: {error}"
    try:
        engine.image(IMAGE, lambda _: None)
    except EnvironmentBuildError as error:
        return f"the image {IMAGE} cannot be had: {error}"
    finally:
        engine.close()
    return None
